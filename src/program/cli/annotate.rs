//! `awing annotate`: collected faces corrected in a window.

use super::interrupt;
use super::parse::scale;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct AnnotateArguments {
    /// A collection (a folder of recordings), or one recording
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Scale of the window, its text and lines [default: the desktop's]
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    scale: Option<f32>,
}

pub(super) fn run(arguments: &AnnotateArguments) -> Result<()> {
    edit(arguments)
}

#[cfg(feature = "window")]
fn edit(arguments: &AnnotateArguments) -> Result<()> {
    crate::program::annotate::run(&arguments.folder, arguments.scale, &*interrupt::flag()?)
}

#[cfg(not(feature = "window"))]
fn edit(_: &AnnotateArguments) -> Result<()> {
    anyhow::bail!("faces are corrected in a window, and this awing was built without the feature \"window\"")
}
