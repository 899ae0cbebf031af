//! The lists of WFLW (Wu et al., CVPR 2018): `list_98pt_rect_attr_{train,test}.txt`.
//!
//! One face per line, with fields separated by spaces: 98 points as x and y, the face rectangle (upper left, lower
//! right), six attributes of 0 or 1, and the picture's path. Paths are relative to a folder `WFLW_images` beside the
//! list or above it. An attribute of 1 puts the face into the subset of that name.

use super::folders::PictureFolders;
use super::{DataError, Origin, Sample};
use crate::runtime::files::read_text;
use crate::runtime::geometry::{Point, Rect};
use crate::runtime::landmarks::{Scheme, Style, WFLW_POINTS};
use std::path::Path;
use std::sync::Arc;

/// The six subsets of the published tables, in the order of the attributes.
pub const WFLW_SUBSETS: [&str; 6] = ["pose", "expression", "illumination", "make-up", "occlusion", "blur"];

/// The folder of WFLW's pictures.
const PICTURES: &str = "WFLW_images";
const COORDINATES: usize = 2 * WFLW_POINTS;
const RECT: usize = 4;
const NUMBERS: usize = COORDINATES + RECT + WFLW_SUBSETS.len();

/// Reads all faces of a list.
///
/// # Errors
/// [`DataError::Read`] if the list can't be read; [`DataError::Row`] with the line of a malformed row;
/// [`DataError::Empty`] if there is no row.
pub fn read_wflw(list: &Path) -> Result<Vec<Sample>, DataError> {
    let text = read_text(list).map_err(|source| DataError::Read { path: list.to_owned(), source })?;
    let file: Arc<Path> = list.into();
    let mut folders = PictureFolders::above(list, Some(PICTURES));
    let mut samples = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let origin = Origin { file: file.clone(), line: index + 1 };
        samples.push(read_row(line, origin, &mut folders)?.checked()?);
    }
    if samples.is_empty() {
        let expected = "each line must have 196 coordinates, 4 numbers of the rectangle, 6 attributes and a path";
        return Err(DataError::Empty { path: list.to_owned(), expected });
    }
    Ok(samples)
}

fn read_row(line: &str, origin: Origin, folders: &mut PictureFolders) -> Result<Sample, DataError> {
    let mut rest = line.trim();
    let mut numbers = [0.0_f32; NUMBERS];
    for (i, number) in numbers.iter_mut().enumerate() {
        let (word, tail) = rest.split_once(char::is_whitespace).ok_or_else(|| {
            origin.error(format!("expected {NUMBERS} numbers and the picture's path, the row ends after {i} numbers"))
        })?;
        *number = word
            .parse()
            .ok()
            .filter(|n: &f32| n.is_finite())
            .ok_or_else(|| origin.error(format!("number {} of {NUMBERS} is {word:?}", i + 1)))?;
        rest = tail.trim_start();
    }
    let (coordinates, others) = numbers.split_at(COORDINATES);
    let (rect, attributes) = others.split_at(RECT);
    let mut subsets = Vec::new();
    for (name, &attribute) in WFLW_SUBSETS.iter().zip(attributes) {
        match attribute {
            0.0 => {}
            1.0 => subsets.push((*name).to_owned()),
            other => return Err(origin.error(format!("the attribute {name} is {other}, it must be 0 or 1"))),
        }
    }
    Ok(Sample {
        image: folders.find(rest),
        frame: None,
        name: rest.to_owned(),
        dataset: "wflw".into(),
        subject: None,
        clip: None,
        scheme: Scheme::Wflw98,
        style: Style::Wflw,
        is_automatic: false,
        points: coordinates.as_chunks::<2>().0.iter().map(|&[x, y]| Point::new(x, y)).collect(),
        weight: vec![1.0; WFLW_POINTS],
        rect: Some(Rect::new(rect[0], rect[1], rect[2] - rect[0], rect[3] - rect[1])),
        subsets,
        size: None,
        origin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use std::fs;

    fn row(attributes: &str, path: &str) -> String {
        let coordinates: String = (0..98).map(|i| format!("{}.25 {} ", i, 2 * i)).collect();
        format!("{coordinates}10 20 110 140 {attributes} {path}\n")
    }

    fn read(text: &str) -> Result<Vec<Sample>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list_98pt_rect_attr_test.txt");
        fs::write(&list, text).unwrap();
        read_wflw(&list)
    }

    #[test]
    fn a_row_has_points_rectangle_subsets_and_path() {
        let samples = read(&row("1 0 0 0 1 0", "0--Parade/a b.jpg")).unwrap();
        let sample = &samples[0];
        assert_eq!(sample.points[3], Point::new(3.25, 6.0));
        assert_eq!(sample.rect, Some(Rect::new(10.0, 20.0, 100.0, 120.0)));
        assert_eq!(sample.subsets, ["pose", "occlusion"]);
        assert_eq!(sample.name, "0--Parade/a b.jpg");
    }

    #[test]
    fn pictures_are_found_in_the_published_folders() {
        let root = tempfile::tempdir().unwrap();
        let lists = root.path().join("WFLW_annotations/list_98pt_rect_attr_train_test");
        let pictures = root.path().join("WFLW_images/0--Parade");
        fs::create_dir_all(&lists).unwrap();
        fs::create_dir_all(&pictures).unwrap();
        Frame::filled(200, 200, [5, 5, 5]).save(&pictures.join("a.png")).unwrap();
        let list = lists.join("list_98pt_rect_attr_train.txt");
        fs::write(&list, row("0 0 0 0 0 0", "0--Parade/a.png")).unwrap();
        read_wflw(&list).unwrap()[0].open().unwrap();
    }

    #[test]
    fn a_broken_row_is_reported_with_file_and_line() {
        let good = row("0 0 0 0 0 0", "a.jpg");
        for (bad, expected) in [
            (good.replace("3.25", "x"), "number 7 of 206 is \"x\""),
            (good.replace("3.25", "nan"), "number 7 of 206 is \"nan\""),
            (row("0 0 0 0 0 2", "a.jpg"), "the attribute blur is 2"),
            ("1 2 3 a.jpg\n".into(), "ends after 3 numbers"),
            (row("0 0 0 0 0 0", ""), "ends after 205 numbers"),
        ] {
            let message = read(&format!("{good}{bad}")).unwrap_err().to_string();
            assert!(message.contains("_test.txt:2: ") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn an_empty_list_is_an_error() {
        assert!(matches!(read("\n"), Err(DataError::Empty { .. })));
    }
}
