//! `awing import`: converts a PyTorch checkpoint of the paper's network to a model file.

use super::parse::named;
use super::paths::{Content, Overwrite, Paths};
use crate::program::console::print;
use crate::runtime::counted::counted;
use crate::runtime::model::WeightFormat;
use crate::train::interchange::import_pytorch;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct ImportArguments {
    /// The checkpoint, in PyTorch's zip format or the older one
    #[arg(value_name = "CHECKPOINT.pth")]
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// Precision of the stored convolution weights
    #[arg(long, value_parser = named::<WeightFormat>(), default_value_t = WeightFormat::F16)]
    precision: WeightFormat,
    #[command(flatten)]
    overwrite: Overwrite,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing import WFLW_4HG.pth --out paper.safetensors
  awing import WFLW_4HG.pth --out paper.safetensors --precision f32";

pub(super) fn run(arguments: &ImportArguments) -> Result<()> {
    let ImportArguments { checkpoint, out, precision, overwrite } = arguments;
    Paths::default().reads("CHECKPOINT", [checkpoint]).writes("--out", [out], Content::Model).check(*overwrite)?;
    let model = import_pytorch(checkpoint)?;
    model.save_as(out, *precision)?;
    let (stacks, points) = (model.config().graph().outputs.len(), model.config().points);
    let (stacks, points) = (counted(stacks, "stack"), counted(points, "point"));
    print(format!("wrote {}: {stacks}, {points} and the boundary map\n", out.display()))
}
