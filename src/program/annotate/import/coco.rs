//! COCO keypoints: one JSON file for many pictures.
//!
//! `keypoints` of an annotation are x, y, visibility for each point. Coordinates are pixels; integers are their
//! centres. Points with visibility 0 were not placed. Pictures are relative to the file, to a folder above it, or in
//! `images` beside one of these.

use super::{Foreign, ForeignFace};
use crate::runtime::geometry::Point;
use crate::train::data::PictureFolders;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

#[derive(Deserialize)]
pub(super) struct Coco {
    #[serde(default)]
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: i64,
    file_name: String,
    width: Option<usize>,
    height: Option<usize>,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<i64>,
    image_id: i64,
    #[serde(default)]
    keypoints: Vec<f32>,
}

pub(super) fn read(file: &Path, coco: Coco) -> Foreign {
    let images: HashMap<i64, &Image> = coco.images.iter().map(|image| (image.id, image)).collect();
    let mut folders = PictureFolders::above(file, Some("images"));
    let mut foreign = Foreign::default();
    for (index, annotation) in coco.annotations.iter().enumerate() {
        let origin = format!("{}: annotation {}", file.display(), annotation.id.unwrap_or(index as i64));
        let keypoints = annotation.keypoints.as_chunks::<3>();
        let why = match images.get(&annotation.image_id) {
            None => format!("there is no image {}", annotation.image_id),
            Some(_) if annotation.keypoints.is_empty() => "it has no keypoints".into(),
            Some(_) if !keypoints.1.is_empty() => "its keypoints are not triples of x, y, visibility".into(),
            Some(image) => {
                foreign.faces.push(ForeignFace {
                    picture: folders.find(&image.file_name),
                    size: image.width.zip(image.height),
                    points: keypoints.0.iter().map(|&[x, y, _]| Point::new(x, y)).collect(),
                    is_known: Some(keypoints.0.iter().map(|&[.., visibility]| visibility > 0.0).collect()),
                    origin,
                });
                continue;
            }
        };
        foreign.left_out.push(format!("{origin}: {why}"));
    }
    foreign
}
