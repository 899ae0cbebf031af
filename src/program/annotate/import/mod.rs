//! Imports labels from other programs as a recording.
//!
//! In: a file, or a folder of files, of faces with 98 points (WFLW) or 68 (iBUG): `.pts`, COCO keypoints, LabelMe, or
//! CVAT for images 1.1; and their pictures. Out: a recording with copies of the pictures, upright, and a list of what
//! was left out, each with the file and the reason. Points are pixels of the picture with (0, 0) at the centre of the
//! first one; each reader documents the origin of its format. Errors: no readable file, no face that fits, an existing
//! recording, a failed write.
//!
//! Faces of 98 points are accepted, since a person has placed them. So are faces of 68 points, after the mean shift
//! from 300-W's annotation style to WFLW's: the 68 points count fully, points between two of them half. The pupils and
//! the lower edges of the brows are not among the 68 and don't count until a person moves them.

mod coco;
mod cvat;
mod labelme;
mod labels;
mod numbered;

use super::IMPORTED;
use crate::program::console::with_causes;
use crate::runtime::files::read_text;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::image::Frame;
use crate::train::collection::{CollectedFace, CollectionError, Recording, Review};
use crate::train::data::{picture_beside, read_pts};
use anyhow::{Context, Result, anyhow, bail};
use labels::{Labels, finished};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// A face that another program has labelled.
#[derive(Clone, Debug, PartialEq)]
struct ForeignFace {
    picture: PathBuf,
    /// Width and height of the picture, if the file has them.
    size: Option<(usize, usize)>,
    points: Vec<Point<FrameSpace>>,
    /// Which of the points were placed; all, if there are none.
    is_known: Option<Vec<bool>>,
    /// Where it was read: the file, and the position in it.
    origin: String,
}

/// The result of reading a file: faces, and why others are left out, with their positions.
#[derive(Debug, Default)]
struct Foreign {
    faces: Vec<ForeignFace>,
    left_out: Vec<String>,
}

/// The result of an import.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The new recording.
    pub recording: PathBuf,
    pub faces: usize,
    pub pictures: usize,
    /// What was left out: where, and why.
    pub left_out: Vec<String>,
}

/// Imports `path` into a new recording of the collection, named after it.
///
/// # Errors
/// See the module. If no face fits, nothing is written, and the error lists why.
pub(crate) fn import(collection: &Path, path: &Path) -> Result<Imported> {
    let foreign = read(path)?;
    let mut by_picture: BTreeMap<PathBuf, Vec<ForeignFace>> = BTreeMap::new();
    for face in foreign.faces {
        by_picture.entry(face.picture.clone()).or_default().push(face);
    }
    let mut left_out = foreign.left_out;
    let mut recording = None;
    let (mut rows, mut pictures) = (Vec::new(), 0);
    for (picture, faces) in by_picture {
        let frame = match Frame::open(&picture) {
            Ok(frame) => frame,
            Err(error) => {
                let why = with_causes(&error);
                left_out.extend(faces.iter().map(|face| format!("{}: {why}", face.origin)));
                continue;
            }
        };
        let mut fitting = Vec::new();
        for face in faces {
            match finished(&face, (frame.width(), frame.height())) {
                Ok(labels) => fitting.push((face, labels)),
                Err(why) => left_out.push(format!("{}: {why}", face.origin)),
            }
        }
        if fitting.is_empty() {
            continue;
        }
        let recording = match &mut recording {
            Some(recording) => recording,
            none => none.insert(create(collection, path)?),
        };
        let image = recording.add_picture(&frame)?;
        pictures += 1;
        rows.extend(fitting.into_iter().map(|(face, labels)| row(&image, &frame, &face, labels)));
    }
    let Some(mut recording) = recording else {
        bail!("no face of {} fits; nothing was imported:\n  {}", path.display(), left_out.join("\n  "));
    };
    let faces = rows.len();
    recording.add(rows)?;
    Ok(Imported { recording: recording.folder().to_owned(), faces, pictures, left_out })
}

fn row(image: &str, frame: &Frame, face: &ForeignFace, labels: Labels) -> CollectedFace {
    let stem = face.picture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let file = face.picture.file_name().unwrap_or_default().to_string_lossy().into_owned();
    CollectedFace {
        image: image.to_owned(),
        width: frame.width(),
        height: frame.height(),
        points: labels.points.iter().map(|p| [p.x, p.y]).collect(),
        weight: labels.weight,
        review: Review::Accepted,
        clip: stem,
        predicted: None,
        confidence: None,
        score: None,
        source: Some(file),
        time_s: None,
        other: [(IMPORTED.to_owned(), face.origin.clone().into())].into_iter().collect(),
    }
}

/// An empty recording, named after the imported file or folder.
fn create(collection: &Path, path: &Path) -> Result<Recording> {
    let absolute = std::path::absolute(path).with_context(|| format!("cannot read {}", path.display()))?;
    let stem = if path.is_dir() { absolute.file_name() } else { absolute.file_stem() };
    let name = format!("import-{}", stem.unwrap_or_default().to_string_lossy());
    Recording::create(collection, &name).map_err(|error| match error {
        CollectionError::Exists { path } => {
            anyhow!("{} exists already: remove it first, or rename what you import", path.display())
        }
        error => error.into(),
    })
}

/// Reads a file, or all files of a folder, in the order of their names.
fn read(path: &Path) -> Result<Foreign> {
    let is_label = |path: &PathBuf| matches!(ending(path).as_str(), "pts" | "json" | "xml");
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let all: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files = all.into_iter().filter(is_label).collect();
        files.sort();
        if files.is_empty() {
            bail!("{} holds no labels: .pts, .json (COCO, LabelMe) or .xml (CVAT) files are expected", path.display());
        }
    }
    let mut all = Foreign::default();
    for file in files {
        match read_file(&file) {
            Ok(Foreign { faces, left_out }) => {
                if faces.is_empty() && left_out.is_empty() {
                    all.left_out.push(format!("{}: it holds no faces", file.display()));
                }
                all.faces.extend(faces);
                all.left_out.extend(left_out);
            }
            Err(error) => all.left_out.push(format!("{}: {}", file.display(), with_causes(&*error))),
        }
    }
    Ok(all)
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

fn read_file(file: &Path) -> Result<Foreign, Box<dyn Error + Send + Sync>> {
    match ending(file).as_str() {
        "pts" => {
            let picture = picture_beside(file).ok_or("there is no picture beside it (.jpg or .png)")?;
            let origin = file.display().to_string();
            let points = read_pts(file).map_err(|error| without_the_name(&error, &origin))?;
            let face = ForeignFace { picture, size: None, points, is_known: None, origin };
            Ok(Foreign { faces: vec![face], left_out: Vec::new() })
        }
        "json" => {
            let value: serde_json::Value = serde_json::from_str(&read_text(file)?)?;
            if value.get("shapes").is_some() {
                Ok(labelme::read(file, serde_json::from_value(value)?))
            } else if value.get("annotations").is_some() {
                Ok(coco::read(file, serde_json::from_value(value)?))
            } else {
                Err("neither COCO keypoints (\"annotations\") nor LabelMe (\"shapes\")".into())
            }
        }
        "xml" => cvat::read(file, &read_text(file)?),
        _ => Err("labels are .pts, .json (COCO, LabelMe) or .xml (CVAT) files".into()),
    }
}

/// The error's text without the file's name at its start, which the message already has.
fn without_the_name(error: &dyn Error, name: &str) -> String {
    let text = with_causes(error);
    text.strip_prefix(name).map_or(text.clone(), |rest| rest.trim_start_matches(':').trim_start().to_owned())
}

#[cfg(test)]
mod tests;
