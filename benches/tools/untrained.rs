//! Writes an untrained model of a recipe's network, so that its speed can be measured before it is trained.
//!
//! Run `cargo run --release --example untrained -- recipes/paper-wflw.toml paper.safetensors`, then
//! `awing bench --profile --model paper.safetensors`.

use awing::internals::untrained;
use awing::train::Recipe;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let recipe = Recipe::load(Path::new(&arguments.next().ok_or("which recipe?")?))?;
    let out = arguments.next().ok_or("to which file?")?;
    untrained(&recipe.model, 1)?.save(Path::new(&out))?;
    Ok(())
}
