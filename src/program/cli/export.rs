//! `awing export`: exports a model for other programs.
//!
//! In: a model file. Out: an ONNX file, or the weights under PyTorch's names. On failure nothing is written.

use super::parse::batch;
use super::paths::{Content, Overwrite, Paths};
use crate::program::console::print;
use crate::runtime::files::write_whole;
use crate::runtime::model::{Model, default_landmarks};
use crate::train::interchange::{to_onnx, to_pytorch_names};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct ExportArguments {
    /// The landmark model or detector [default: the bundled landmark model]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The file to write: `NAME.onnx` for ONNX Runtime, OpenCV and TensorRT (opset 17), or
    /// `NAME.pth-names.safetensors`, the weights under PyTorch's names for `load_state_dict`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Fix the batch size of the ONNX network; some programs need that [default: any size]
    #[arg(long, value_name = "N", value_parser = batch)]
    batch: Option<usize>,
    #[command(flatten)]
    overwrite: Overwrite,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing export --out landmarks.onnx
  awing export mine.safetensors --out mine.onnx --batch 1";

pub(super) fn run(arguments: &ExportArguments) -> Result<()> {
    let ExportArguments { model, out, batch, overwrite } = arguments;
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let content = if name.ends_with(".onnx") {
        Content::Onnx
    } else if name.ends_with(".pth-names.safetensors") {
        Content::Tensors
    } else {
        bail!("cannot tell the format from {name:?}: --out has to end in .onnx or .pth-names.safetensors");
    };
    let is_onnx = content == Content::Onnx;
    if !is_onnx && batch.is_some() {
        bail!("--batch is for ONNX files: --out {} is not one", out.display());
    }
    Paths::default().reads("MODEL", model.as_ref()).writes("--out", [out], content).check(*overwrite)?;
    let model = model.as_deref().map_or_else(default_landmarks, Model::load)?;
    let bytes = if is_onnx { to_onnx(&model, *batch)? } else { to_pytorch_names(&model)? };
    write_whole(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    print(format!("wrote {} ({:.1} MB)\n", out.display(), bytes.len() as f64 / 1e6))
}
