//! Photographs to train a detector on: whole pictures with face boxes, single faces with five points, faces with
//! landmarks, and pictures without a face.

use crate::runtime::files::read_text;
use crate::runtime::geometry::{FrameSpace, Point, Rect};
use crate::train::data::{DataError, Format, Origin, Sample, Split, is_wflw_list, open};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One in this many pictures without faces is never trained on.
pub const HELD_OUT_EVERY: usize = 6;

/// Pixels: no box or point of a picture lies further out.
const FARTHEST: f32 = 1e6;

/// The data set of faces with five points.
const FIVE_POINTS: &str = "points5";

/// A picture and the annotations of its faces.
#[derive(Clone, Debug, PartialEq)]
pub enum Photograph {
    /// All faces are boxed, each box as tight as the landmarks would be.
    Scene { image: PathBuf, faces: Vec<Rect<FrameSpace>> },
    /// One face with landmarks, of a data set; there may be other, unmarked faces around it.
    Face { image: PathBuf, face: Rect<FrameSpace>, dataset: String },
    /// No face.
    Background { image: PathBuf },
}

impl Photograph {
    /// The picture's file.
    pub fn image(&self) -> &Path {
        match self {
            Self::Scene { image, .. } | Self::Face { image, .. } | Self::Background { image } => image,
        }
    }

    /// The data set of a single face.
    pub(super) fn dataset(&self) -> Option<&str> {
        match self {
            Self::Face { dataset, .. } => Some(dataset),
            Self::Scene { .. } | Self::Background { .. } => None,
        }
    }

    /// The photograph that it shows or is cut from: the file's name without its ending and without `_f0`, `_w0` ...,
    /// the number of a face in it.
    fn source(&self) -> &str {
        let stem = self.image().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        match stem.rsplit_once(['f', 'w']) {
            Some((source, face)) if !face.is_empty() && face.bytes().all(|b| b.is_ascii_digit()) => {
                source.strip_suffix('_').unwrap_or(stem)
            }
            _ => stem,
        }
    }
}

/// Removes from `photographs` the faces that are cut from scenes of `held_out`, so that a detector is not measured on
/// scenes that it was trained on. Returns their number.
pub fn leave_out_faces_of(held_out: &[Photograph], photographs: &mut Vec<Photograph>) -> usize {
    let is_scene = |p: &&Photograph| matches!(p, Photograph::Scene { .. });
    let scenes: BTreeSet<&str> = held_out.iter().filter(is_scene).map(Photograph::source).collect();
    let before = photographs.len();
    photographs.retain(|p| !matches!(p, Photograph::Face { .. }) || !scenes.contains(p.source()));
    before - photographs.len()
}

/// Whether a file lists pictures without faces, by its name.
pub fn is_list_of_faceless(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "txt") && !is_wflw_list(path)
}

#[derive(Deserialize)]
struct Row {
    image: String,
    boxes: Option<Vec<[f32; 4]>>,
    points5: Option<[[f32; 2]; 5]>,
}

/// Reads photographs: a `.txt` file that is not WFLW's lists pictures without faces; a `.jsonl` file has rows with
/// `boxes` (x, y, width, height from the edge of the picture, forehead to chin, as in WIDER FACE), with `points5`
/// (eyes, nose, mouth corners), or with landmarks as any landmark data set. Paths are relative to the file's folder or
/// one above it.
///
/// A list of pictures without faces is one for training and testing alike: every [`HELD_OUT_EVERY`]th belongs to the
/// test part, the others to the training. Of all other files `split` takes everything.
///
/// # Errors
/// [`DataError`] with the file and the line.
pub fn read_photographs(path: &Path, split: Split) -> Result<Vec<Photograph>, DataError> {
    let text = read_text(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let broken = |line: usize, message: String| {
        let origin = Origin { file: path.into(), line: line + 1 };
        DataError::Row { origin, message }
    };
    let find = |line: usize, name: &str| -> Result<PathBuf, DataError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut folder = path.parent();
        while let Some(f) = folder {
            let candidate = f.join(name);
            if candidate.exists() {
                return Ok(candidate);
            }
            folder = f.parent();
        }
        Err(broken(line, format!("the picture {name} is neither in the file's folder nor in one above it")))
    };
    let lines = || text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    if is_list_of_faceless(path) {
        let is_wanted = |i: usize| (i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == (split == Split::Test);
        let wanted = lines().enumerate().filter(|(i, _)| is_wanted(*i)).map(|(_, line)| line);
        return wanted.map(|(i, l)| Ok(Photograph::Background { image: find(i, l.trim())? })).collect();
    }
    let faces = || -> Result<Vec<Photograph>, DataError> {
        let face =
            |s: Sample| s.landmark_box().map(|face| Photograph::Face { image: s.image, face, dataset: s.dataset });
        Ok(open(path, Format::Auto, split)?.into_iter().filter_map(face).collect())
    };
    if is_wflw_list(path) {
        return faces();
    }
    let Some((number, first)) = lines().next() else {
        return Err(DataError::Empty { path: path.to_owned(), expected: "a row a picture" });
    };
    let parse = |i: usize, l: &str| serde_json::from_str::<Row>(l).map_err(|e| broken(i, e.to_string()));
    let row = parse(number, first)?;
    if row.boxes.is_none() && row.points5.is_none() {
        return faces();
    }
    lines()
        .map(|(i, l)| {
            let row = parse(i, l)?;
            let numbers = row.boxes.iter().flatten().flatten().chain(row.points5.iter().flatten().flatten());
            if let Some(number) = numbers.copied().find(|n| n.abs() > FARTHEST) {
                return Err(broken(i, format!("{number} is no place in a picture: no picture is that large")));
            }
            let image = find(i, &row.image)?;
            match (row.boxes, row.points5) {
                (Some(boxes), _) => {
                    // WIDER FACE has a few without an area.
                    let boxes = boxes.into_iter().filter(|[_, _, width, height]| *width > 0.0 && *height > 0.0);
                    Ok(Photograph::Scene { image, faces: boxes.map(landmark_box_from_head_box).collect() })
                }
                (None, Some(points)) => {
                    let face = landmark_box_from_five(points);
                    Ok(Photograph::Face { image, face, dataset: FIVE_POINTS.into() })
                }
                (None, None) => Err(broken(i, "neither boxes nor points5".into())),
            }
        })
        .collect()
}

/// WIDER boxes reach from the forehead to the chin and lie on pixel edges; landmarks begin at the brows, at about a
/// quarter of the height.
fn landmark_box_from_head_box([x, y, width, height]: [f32; 4]) -> Rect<FrameSpace> {
    const FOREHEAD: f32 = 0.24;
    Rect::new(x - 0.5, y - 0.5 + FOREHEAD * height, width, (1.0 - FOREHEAD) * height)
}

/// Fitted to 2,500 faces with 98 landmarks, in units of the distance from the eyes' to the mouth's middle: the height
/// is 2.15, the centre 0.65 below the eyes, the width follows the distance of the eyes, and a turned head lies on the
/// other side than its nose.
fn landmark_box_from_five(points: [[f32; 2]; 5]) -> Rect<FrameSpace> {
    let [left_eye, right_eye, nose, left_mouth, right_mouth] = points.map(|[x, y]| Point::<FrameSpace>::new(x, y));
    let (eyes, mouth) = (left_eye.midpoint(right_eye), left_mouth.midpoint(right_mouth));
    let unit = eyes.distance(mouth).max(1.0);
    let middle = eyes.midpoint(mouth);
    let width = 0.958 * unit + 1.323 * left_eye.distance(right_eye);
    let height = 2.15 * unit;
    let along = ((mouth.x - eyes.x) / unit, (mouth.y - eyes.y) / unit);
    let center_x = eyes.x + 0.646 * unit * along.0 - 1.186 * (nose.x - middle.x);
    let center_y = eyes.y + 0.646 * unit * along.1;
    Rect::new(center_x - width / 2.0, center_y - height / 2.0, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_row_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scenes.jsonl");
        std::fs::write(&file, "\nno row\n").unwrap();
        let error = read_photographs(&file, Split::Train).unwrap_err();
        assert!(matches!(&error, DataError::Row { origin: Origin { line: 2, .. }, .. }), "{error}");
    }

    #[test]
    fn rows_and_their_errors() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        crate::runtime::image::Frame::filled(8, 8, [1, 2, 3]).save(&at("a.png")).unwrap();
        std::fs::write(at("b.txt"), "a.png\n").unwrap();
        let train = |name: &str| read_photographs(&at(name), Split::Train);
        assert_eq!(train("b.txt").unwrap(), [Photograph::Background { image: at("a.png") }]);
        std::fs::write(
            at("c.jsonl"),
            "{\"image\":\"a.png\",\"boxes\":[[0,0,4,8]]}\n{\"image\":\"x.png\",\"boxes\":[]}\n",
        )
        .unwrap();
        let error = train("c.jsonl").unwrap_err().to_string();
        assert!(error.contains("c.jsonl:2: ") && error.contains("x.png"), "{error}");
        std::fs::write(at("c.jsonl"), "{\"image\":\"a.png\",\"boxes\":[[0,0,4,1e30]]}\n").unwrap();
        let error = train("c.jsonl").unwrap_err().to_string();
        assert!(error.contains("c.jsonl:1: 1") && error.contains("no picture is that large"), "{error}");
        std::fs::write(at("c.jsonl"), "{\"image\":\"a.png\",\"boxes\":[[0,0,4,8]]}\n").unwrap();
        let Photograph::Scene { faces, .. } = &train("c.jsonl").unwrap()[0] else { panic!("a scene") };
        assert!((faces[0].y - 1.42).abs() < 1e-5 && (faces[0].height - 6.08).abs() < 1e-5);
    }

    #[test]
    fn a_sixth_of_the_pictures_without_faces_is_never_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        let names: Vec<String> = (0..13).map(|i| format!("{i}.png")).collect();
        for name in &names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::write(&list, names.join("\n")).unwrap();
        let read = |split| read_photographs(&list, split).unwrap();
        let (train, test) = (read(Split::Train), read(Split::Test));
        assert_eq!((train.len(), test.len()), (11, 2));
        assert!(test.iter().all(|p| !train.contains(p)));
    }

    #[test]
    fn faces_cut_from_held_out_scenes_are_left_out() {
        let rect = Rect::new(0.0, 0.0, 9.0, 9.0);
        let face =
            |name: &str| Photograph::Face { image: format!("faces/{name}").into(), face: rect, dataset: String::new() };
        let scene = Photograph::Scene { image: "detect/6_Funeral_6_444.jpg".into(), faces: vec![rect] };
        let mut faces = ["6_Funeral_6_444_w0.jpg", "6_Funeral_6_444_f12.jpg", "6_Funeral_6_445_w0.jpg", "wolf4.jpg"]
            .map(face)
            .to_vec();
        assert_eq!(leave_out_faces_of(&[scene.clone(), face("wolf4.jpg")], &mut faces), 2);
        assert_eq!(faces, ["6_Funeral_6_445_w0.jpg", "wolf4.jpg"].map(face));
        let mut scenes = vec![scene.clone()];
        assert_eq!(leave_out_faces_of(&[scene], &mut scenes), 0, "scenes are the user's own business");
    }

    #[test]
    fn five_points_of_an_upright_face_give_a_box_around_it() {
        let face = landmark_box_from_five([[40.0, 50.0], [60.0, 50.0], [50.0, 60.0], [42.0, 70.0], [58.0, 70.0]]);
        assert!((face.center().x - 50.0).abs() < 1e-3);
        assert!(face.y < 50.0 && face.y + face.height > 78.0 && face.width > 38.0);
    }
}
