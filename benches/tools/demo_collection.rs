//! Writes a collection of procedural faces, to try `awing annotate` without a camera:
//! `cargo run --release --example demo_collection -- FOLDER`.

#[path = "../../tests/demo_collection/mod.rs"]
mod demo_collection;

use std::path::Path;

const FACES: usize = 14;

fn main() {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("give the folder to write");
        std::process::exit(2);
    };
    demo_collection::write(&Path::new(&folder).join("demo"), FACES);
}
