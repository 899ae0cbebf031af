//! `awing export`: a model for other programs.
//!
//! In: a model file. Out: an ONNX file, or the weights under PyTorch's names. Nothing is written if it fails.

use super::paths::{Content, Overwrite, Paths};
use crate::runtime::files::write_whole;
use crate::runtime::model::Model;
use crate::train::interchange::{to_onnx, to_pytorch_names};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct ExportArguments {
    /// The model: of landmarks or a detector, edge or paper
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// What to write: `FILE.onnx` for ONNX Runtime and TensorRT (opset 17, any batch), or `FILE.pth-names.safetensors`,
    /// the weights under PyTorch's names for `load_state_dict`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

/// Makes the bytes of a file of a model.
type Convert = fn(&Model) -> Result<Vec<u8>>;

pub(super) fn run(arguments: &ExportArguments) -> Result<()> {
    let ExportArguments { model, out, overwrite } = arguments;
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let (content, convert): (_, Convert) = if name.ends_with(".onnx") {
        (Content::Onnx, |model| Ok(to_onnx(model)?))
    } else if name.ends_with(".pth-names.safetensors") {
        (Content::Model, |model| Ok(to_pytorch_names(model)?))
    } else {
        bail!("cannot tell from {name:?} what to write: --out ends in .onnx or .pth-names.safetensors");
    };
    Paths::default().reads("MODEL", [model]).writes("--out", [out], content).check(*overwrite)?;
    let bytes = convert(&Model::load(model)?)?;
    write_whole(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    println!("wrote {} ({:.1} MB)", out.display(), bytes.len() as f64 / 1e6);
    Ok(())
}
