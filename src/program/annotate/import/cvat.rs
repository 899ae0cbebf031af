//! "CVAT for images 1.1": one XML file for many pictures.
//!
//! A face is one `points` (or polyline) of 98 or 68 points, a skeleton, or a group of single points; the labels of
//! single points hold their numbers. Coordinates are pixels from the picture's corner, so half a pixel is subtracted.
//! Points of a skeleton that are `outside` were not placed. Pictures are relative to the file, to a folder above it, or
//! in `images`.

use super::numbered::{self, NamedPoint};
use super::{Foreign, ForeignFace};
use crate::runtime::counted::counted;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::train::data::PictureFolders;
use roxmltree::{Document, Node};
use std::error::Error;
use std::path::Path;

pub(super) fn read(file: &Path, text: &str) -> Result<Foreign, Box<dyn Error + Send + Sync>> {
    let document = Document::parse(text)?;
    let root = document.root_element();
    if !root.has_tag_name("annotations") {
        return Err("it has no element \"annotations\": export it as \"CVAT for images 1.1\"".into());
    }
    if root.children().any(|node| node.has_tag_name("track")) {
        return Err("these are tracks of a video: export them as \"CVAT for images 1.1\"".into());
    }
    let mut folders = PictureFolders::above(file, Some("images"));
    let mut foreign = Foreign::default();
    for image in root.children().filter(|node| node.has_tag_name("image")) {
        let line = document.text_pos_at(image.range().start).row;
        let origin = format!("{}:{line}", file.display());
        let Some(name) = image.attribute("name") else {
            foreign.left_out.push(format!("{origin}: an image without a name"));
            continue;
        };
        let number = |name: &str| image.attribute(name)?.parse::<usize>().ok();
        let (picture, size) = (folders.find(name), number("width").zip(number("height")));
        for face in faces(image) {
            let added = face.map(|(points, is_known)| ForeignFace {
                picture: picture.clone(),
                size,
                points,
                is_known,
                origin: origin.clone(),
            });
            match added {
                Ok(face) => foreign.faces.push(face),
                Err(why) => foreign.left_out.push(format!("{origin}: {why}")),
            }
        }
    }
    Ok(foreign)
}

/// The points of a face, and which of them were placed; or why they are not a face.
type Face = Result<(Vec<Point<FrameSpace>>, Option<Vec<bool>>), String>;

fn faces(image: Node<'_, '_>) -> Vec<Face> {
    let with_flags = |face: numbered::NumberedFace| face.map(|(points, is_known)| (points, Some(is_known)));
    let (mut faces, mut single) = (Vec::new(), Vec::new());
    for shape in image.children().filter(Node::is_element) {
        match shape.tag_name().name() {
            "skeleton" => {
                let points = shape.children().filter(|node| node.has_tag_name("points"));
                match points.map(|node| named(node, None)).collect::<Result<Vec<_>, _>>() {
                    Ok(points) => faces.extend(numbered::faces(points).into_iter().map(with_flags)),
                    Err(why) => faces.push(Err(why)),
                }
            }
            "points" | "polyline" | "polygon" => match points_of(shape) {
                Ok(points) if points.len() == 1 => match named(shape, group_of(shape)) {
                    Ok(point) => single.push(point),
                    Err(why) => faces.push(Err(why)),
                },
                points => faces.push(points.map(|points| (points, None))),
            },
            // Boxes, tags and masks are not points.
            _ => {}
        }
    }
    faces.extend(numbered::faces(single).into_iter().map(with_flags));
    faces
}

fn group_of(shape: Node<'_, '_>) -> Option<i64> {
    shape.attribute("group_id")?.parse().ok()
}

/// A single point with its label.
fn named(node: Node<'_, '_>, group: Option<i64>) -> Result<NamedPoint, String> {
    let label = node.attribute("label").unwrap_or_default().to_owned();
    match points_of(node)?.as_slice() {
        &[at] => Ok(NamedPoint { label, group, at, is_known: node.attribute("outside") != Some("1") }),
        points => Err(format!("the point {label:?} of a skeleton has {}", counted(points.len(), "position"))),
    }
}

/// `x,y;x,y;...`
fn points_of(node: Node<'_, '_>) -> Result<Vec<Point<FrameSpace>>, String> {
    let text = node.attribute("points").unwrap_or_default();
    let points = text.split(';').map(|pair| {
        let (x, y) = pair.split_once(',')?;
        let number = |text: &str| text.trim().parse::<f32>().ok();
        Some(Point::new(number(x)? - 0.5, number(y)? - 0.5))
    });
    points.collect::<Option<_>>().ok_or_else(|| format!("{text:?} are no points \"x,y;x,y\""))
}
