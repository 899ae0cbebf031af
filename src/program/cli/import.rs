//! `awing import`: a PyTorch checkpoint of the paper's network in, a model file out.

use crate::runtime::model::WeightFormat;
use crate::train::interchange::import_pytorch;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct ImportArguments {
    /// The official checkpoint, in PyTorch's zip format or the older one
    #[arg(value_name = "CHECKPOINT.pth")]
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// How convolution weights are stored: f16 halves the file, f32 keeps every bit
    #[arg(long, value_enum, default_value = "f16")]
    precision: WeightChoice,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum WeightChoice {
    F32,
    F16,
}

pub(super) fn run(arguments: &ImportArguments) -> Result<()> {
    let ImportArguments { checkpoint, out, precision } = arguments;
    let format = match precision {
        WeightChoice::F32 => WeightFormat::F32,
        WeightChoice::F16 => WeightFormat::F16,
    };
    let model = import_pytorch(checkpoint)?;
    model.save_as(out, format)?;
    let (stacks, points) = (model.config().graph().outputs.len(), model.config().points);
    println!("wrote {}: {stacks} stacks, {points} points and the boundary map", out.display());
    Ok(())
}
