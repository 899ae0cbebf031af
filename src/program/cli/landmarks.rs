//! `awing landmarks`: the numbers and positions of the landmarks.
//!
//! Out: tables of the parts and of the maps between schemes on standard output, or a picture of a face with its 98
//! points numbered.

use super::paths::{Content, Overwrite, Paths};
use crate::program::console::print;
use crate::program::diagram;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct LandmarksArguments {
    /// Draw a face with the number of every point instead
    #[arg(long, value_name = "FILE.png")]
    diagram: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing landmarks
  awing landmarks --diagram landmarks.png";

pub(super) fn run(arguments: &LandmarksArguments) -> Result<()> {
    let Some(path) = &arguments.diagram else {
        return print(diagram::tables());
    };
    Paths::default().writes("--diagram", [path], Content::Picture).check(arguments.overwrite)?;
    diagram::draw().save(path)?;
    print(format!("wrote {}\n", path.display()))
}
