//! LabelMe: one JSON file for each picture.
//!
//! A face is one shape of 98 or 68 points, or a group of single points whose labels hold their numbers. Coordinates are
//! pixels from the picture's corner, so half a pixel is subtracted. The picture is at `imagePath`, relative to the
//! file, or beside it under the same name; pictures inside the file are not read.

use super::numbered::{self, NamedPoint};
use super::{Foreign, ForeignFace};
use crate::runtime::geometry::{FrameSpace, Point};
use crate::train::data::picture_beside;
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelMe {
    shapes: Vec<Shape>,
    #[serde(default)]
    image_path: String,
    image_width: Option<usize>,
    image_height: Option<usize>,
}

#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    label: String,
    points: Vec<[f32; 2]>,
    group_id: Option<i64>,
}

pub(super) fn read(file: &Path, labels: LabelMe) -> Foreign {
    // Windows separates folders with backslashes.
    let named = file.with_file_name("").join(labels.image_path.replace('\\', "/"));
    let picture = if named.is_file() { named } else { picture_beside(file).unwrap_or(named) };
    let size = labels.image_width.zip(labels.image_height);
    let centred = |&[x, y]: &[f32; 2]| Point::<FrameSpace>::new(x - 0.5, y - 0.5);
    let mut foreign = Foreign::default();
    let mut single = Vec::new();
    let face = |points, is_known, place: String| ForeignFace {
        picture: picture.clone(),
        size,
        points,
        is_known,
        origin: format!("{}{place}", file.display()),
    };
    for (index, shape) in labels.shapes.iter().enumerate() {
        match shape.points.as_slice() {
            [point] => single.push(NamedPoint {
                label: shape.label.clone(),
                group: shape.group_id,
                at: centred(point),
                is_known: true,
            }),
            points => {
                let place = format!(": shape {} ({})", index + 1, shape.label);
                foreign.faces.push(face(points.iter().map(centred).collect(), None, place));
            }
        }
    }
    for points in numbered::faces(single) {
        match points {
            Ok((points, _)) => foreign.faces.push(face(points, None, String::new())),
            Err(why) => foreign.left_out.push(format!("{}: {why}", file.display())),
        }
    }
    foreign
}
