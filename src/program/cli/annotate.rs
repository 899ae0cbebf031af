//! `awing annotate`: corrects collected faces in a window, or imports labels from other programs as a recording.

use super::parse::scale;
use crate::program::annotate::{Imported, import};
use crate::program::console::{print, say};
use crate::program::places;
use crate::runtime::counted::counted;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct AnnotateArguments {
    /// A folder of recordings, or one recording [default: the faces that `awing capture` collected]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Import labels from another program as a recording instead: .pts, COCO keypoints or LabelMe (.json), or CVAT for
    /// images 1.1 (.xml), with 98 or 68 points; a file or a folder of files
    #[arg(long, value_name = "PATH")]
    import: Option<PathBuf>,
    /// Scale the window, text and lines by this factor [default: the desktop's scale]
    #[arg(long, value_name = "FACTOR", value_parser = scale, conflicts_with = "import")]
    scale: Option<f32>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing annotate
  awing annotate faces/ --import labels/";

pub(super) fn run(arguments: &AnnotateArguments) -> Result<()> {
    let folder = arguments.folder.clone().or_else(places::samples);
    let folder = folder.context("there is no home folder to look for faces in; name the folder")?;
    match &arguments.import {
        Some(path) => bring_in(&folder, path),
        None => edit(&folder, arguments.scale),
    }
}

fn bring_in(collection: &Path, path: &Path) -> Result<()> {
    let Imported { recording, faces, pictures, left_out } = import(collection, path)?;
    let (of_faces, of_pictures) = (counted(faces, "face"), counted(pictures, "picture"));
    let said = print(format!("imported {of_faces} in {of_pictures} as {}\n", recording.display()));
    if left_out.is_empty() {
        return said;
    }
    left_out.iter().for_each(|line| say(&format!("left out: {line}")));
    bail!("left out {} of {}, see above", left_out.len(), counted(left_out.len() + faces, "label"))
}

#[cfg(feature = "window")]
fn edit(folder: &Path, scale: Option<f32>) -> Result<()> {
    crate::program::annotate::run(folder, scale, &*super::interrupt::flag()?)
}

#[cfg(not(feature = "window"))]
fn edit(_: &Path, _: Option<f32>) -> Result<()> {
    bail!("faces are corrected in a window, and this awing was built without the feature \"window\"")
}
