//! Faces as JSON lines, awing's own format.
//!
//! One object a line: `image` (a path: absolute, or relative to the file's folder or one of the folders above it),
//! `points` (pairs [x, y], pixels of the picture after EXIF rotation, an integer is the centre of a pixel), and
//! optionally `weight` (a number in 0..=1 for each point, otherwise 1), `dataset` (otherwise the file's stem),
//! `subject`, `box` ([x, y, width, height], the data set's own face box), `subsets` (names), `width` and `height` of
//! the picture. The number of points gives the scheme: 98 is WFLW, 29 COFW, 19 AFLW. `scheme` is the annotation style
//! of 98 points: "wflw98" (the default), "pseudo98" (programs that imitate WFLW), "ibug68" or "ibug68-auto" (converted
//! from the 68 points of 300-W), or another data set's, "scut86", "fgnet68", "frl189". `clip` names the part of a video
//! that the picture comes from. `review` is "accepted" (the default), or "pending" or "rejected": such rows are not
//! labels and are skipped. Other keys and empty lines are ignored.

use super::folders::PictureFolders;
use super::{DataError, Origin, Sample};
use crate::runtime::files::read_text;
use crate::runtime::geometry::{Point, Rect};
use crate::runtime::landmarks::{Scheme, Style};
use crate::train::collection::{Review, without_cut_line};
use std::path::Path;
use std::sync::Arc;

#[derive(serde::Deserialize)]
struct Row {
    image: String,
    points: Vec<[f32; 2]>,
    weight: Option<Vec<f32>>,
    scheme: Option<String>,
    dataset: Option<String>,
    subject: Option<String>,
    clip: Option<String>,
    #[serde(default = "accepted")]
    review: Review,
    #[serde(rename = "box")]
    rect: Option<[f32; 4]>,
    #[serde(default)]
    subsets: Vec<String>,
    width: Option<usize>,
    height: Option<usize>,
}

fn accepted() -> Review {
    Review::Accepted
}

/// Reads every face of a JSON-lines file that may be used for training. Pictures are located but not opened; a missing
/// one is reported when it is opened.
///
/// # Errors
/// [`DataError::Read`] if the file can't be read, [`DataError::Row`] with the line for a row that is broken,
/// [`DataError::Empty`] if there is no row.
pub fn read_jsonl(path: &Path) -> Result<Vec<Sample>, DataError> {
    samples_in(&text_of(path)?, path)
}

/// As [`read_jsonl`], for the faces of a recording, which another thread or process may be adding to.
pub(super) fn read_recorded(path: &Path) -> Result<Vec<Sample>, DataError> {
    samples_in(without_cut_line(&text_of(path)?), path)
}

fn text_of(path: &Path) -> Result<String, DataError> {
    read_text(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

fn samples_in(text: &str, path: &Path) -> Result<Vec<Sample>, DataError> {
    let file: Arc<Path> = path.into();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut folders = PictureFolders::above(path, None);
    let mut samples = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let origin = Origin { file: file.clone(), line: index + 1 };
        let row: Row = serde_json::from_str(line)
            .map_err(|e| origin.error(format!("not a face: {}", within_the_line(&e.to_string()))))?;
        if row.review != Review::Accepted {
            continue;
        }
        let scheme = match Scheme::of_points(row.points.len()) {
            Some(scheme) if scheme != Scheme::Ibug68 => scheme,
            _ => {
                let found = row.points.len();
                return Err(origin.error(format!("expected 98 points (or 29 of COFW, 19 of AFLW), found {found}")));
            }
        };
        let style = match row.scheme.as_deref().filter(|_| scheme == Scheme::Wflw98) {
            None => Style::Wflw,
            Some(name) => Style::of_scheme(name).ok_or_else(|| {
                origin.error(format!(
                    "98 points of scheme {name:?}: known are wflw98, pseudo98, ibug68, ibug68-auto, scut86, fgnet68, frl189"
                ))
            })?,
        };
        let weight = row.weight.unwrap_or_else(|| vec![1.0; row.points.len()]);
        let sample = Sample {
            image: folders.find(&row.image),
            frame: None,
            name: row.image,
            dataset: row.dataset.unwrap_or_else(|| stem.clone().into_owned()),
            subject: row.subject,
            clip: row.clip,
            scheme,
            style,
            is_automatic: row.scheme.is_some_and(|name| name.ends_with("-auto") || name.starts_with("pseudo")),
            points: row.points.iter().map(|&[x, y]| Point::new(x, y)).collect(),
            weight,
            rect: row.rect.map(|[x, y, width, height]| Rect::new(x, y, width, height)),
            subsets: row.subsets,
            size: row.width.zip(row.height),
            origin,
        };
        samples.push(sample.checked()?);
    }
    if samples.is_empty() {
        let expected = "one JSON object a line is expected, with \"image\" and 98 \"points\"";
        return Err(DataError::Empty { path: path.to_owned(), expected });
    }
    Ok(samples)
}

/// The parser counts lines within the row, which would contradict the line of the file.
fn within_the_line(message: &str) -> String {
    message.replace(" at line 1 column", " at column")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use crate::train::data::tests::chain;
    use std::fs;

    fn row(image: &str, points: usize, extra: &str) -> String {
        let points: Vec<String> = (0..points).map(|i| format!("[{}, {}.5]", i % 10, i / 10)).collect();
        format!("{{\"image\": \"{image}\", \"points\": [{}]{extra}}}\n", points.join(","))
    }

    fn read(text: &str) -> Result<Vec<Sample>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("faces.jsonl");
        fs::write(&file, text).unwrap();
        read_jsonl(&file)
    }

    fn message(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_row_without_weight_or_name_is_fully_trusted_and_named_after_the_file() {
        let samples = read(&row("a.png", 98, "")).unwrap();
        assert_eq!(samples[0].dataset, "faces");
        assert!(samples[0].weight.iter().all(|&w| w == 1.0));
        assert_eq!(samples[0].points[12], Point::new(2.0, 1.5));
    }

    #[test]
    fn the_number_of_points_tells_the_scheme() {
        let extra = ", \"box\": [1, 2, 30, 40], \"subsets\": [\"frontal\"]";
        for (points, scheme) in [(98, Scheme::Wflw98), (29, Scheme::Cofw29), (19, Scheme::Aflw19)] {
            let sample = &read(&row("a.png", points, extra)).unwrap()[0];
            assert_eq!((sample.scheme, sample.points.len(), sample.weight.len()), (scheme, points, points));
            assert_eq!(sample.rect, Some(Rect::new(1.0, 2.0, 30.0, 40.0)));
            assert_eq!(sample.subsets, ["frontal"]);
        }
    }

    #[test]
    fn the_scheme_of_a_row_tells_the_style_of_its_98_points() {
        let read = |extra: &str| read(&row("a.png", 98, extra)).map(|samples| samples[0].style);
        assert_eq!(read("").unwrap(), Style::Wflw);
        for (name, style) in [("pseudo98", Style::Wflw), ("ibug68-auto", Style::Ibug), ("fgnet68", Style::Fgnet)] {
            assert_eq!(read(&format!(", \"scheme\": \"{name}\"")).unwrap(), style);
        }
        let message = read(", \"scheme\": \"wflw99\"").unwrap_err().to_string();
        assert!(message.contains("faces.jsonl:1: 98 points of scheme \"wflw99\""), "{message}");
    }

    #[test]
    fn a_broken_row_is_reported_with_file_and_line() {
        let good = row("a.png", 98, "");
        let text = format!("{good}\n{}", row("b.png", 97, ""));
        let message = message(&text);
        assert!(
            message.contains("faces.jsonl:3: expected 98 points (or 29 of COFW, 19 of AFLW), found 97"),
            "{message}"
        );
    }

    #[test]
    fn broken_json_is_reported_with_line_and_column() {
        let text = format!("{}{{\"image\": \"b.png\", \"points\": [[1, }}\n", row("a.png", 98, ""));
        let message = message(&text);
        assert!(message.contains("faces.jsonl:2: not a face") && message.contains("at column 35"), "{message}");
    }

    #[test]
    fn numbers_that_are_too_large_are_refused() {
        let text = row("a.png", 98, "").replacen("[0, 0.5]", "[1e39, 0.5]", 1);
        assert!(message(&text).contains("faces.jsonl:1: not a face: number out of range"), "{}", message(&text));
    }

    #[test]
    fn points_far_outside_any_picture_are_refused_with_file_and_line() {
        let good = row("a.png", 98, "");
        let bad = row("a.png", 98, "").replacen("[0, 0.5]", "[1e30, 0.5]", 1);
        let said = message(&(good + &bad));
        assert!(
            said.contains("faces.jsonl:2: point 0 lies at (1") && said.contains("no picture is that large"),
            "{said}"
        );
        let said = message(&row("a.png", 98, ", \"box\": [0, 0, 3e20, 9]"));
        assert!(said.contains("faces.jsonl:1: the face box"), "{said}");
        // The position of an unknown point means nothing.
        let unknown = format!(", \"weight\": [0{}]", ",1".repeat(97));
        assert!(read(&row("a.png", 98, &unknown).replacen("[0, 0.5]", "[1e30, 0.5]", 1)).is_ok());
    }

    #[test]
    fn points_several_picture_sizes_outside_are_refused_before_anything_is_learned_from_them() {
        let folder = tempfile::tempdir().unwrap();
        Frame::filled(20, 20, [9, 9, 9]).save(&folder.path().join("a.png")).unwrap();
        let file = folder.path().join("faces.jsonl");
        let size = ", \"width\": 20, \"height\": 20";
        for (x, is_meant) in [("-59", true), ("79", true), ("-61", false), ("81", false)] {
            let text = |extra: &str| row("a.png", 98, extra).replacen("[0, 0.5]", &format!("[{x}, 0.5]"), 1);
            fs::write(&file, text("")).unwrap();
            let opened = read_jsonl(&file).unwrap()[0].open().map_err(|e| e.to_string());
            fs::write(&file, text(size)).unwrap();
            let read = read_jsonl(&file).map_err(|e| e.to_string());
            assert_eq!((opened.is_ok(), read.is_ok()), (is_meant, is_meant), "{x}");
            for message in [opened.err(), read.err()].into_iter().flatten() {
                assert!(message.contains("faces.jsonl:1: point 0") && message.contains("20x20"), "{message}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_first_row_is_no_part_of_it() {
        assert_eq!(read(&format!("\u{feff}{}", row("a.png", 98, ""))).unwrap().len(), 1);
    }

    #[test]
    fn weights_outside_0_to_1_are_refused() {
        let weights = |w: &str| format!(", \"weight\": [{}{w}]", "1,".repeat(97));
        assert!(message(&row("a.png", 98, &weights("1.5"))).contains("weight 97 is 1.5"));
        assert!(message(&row("a.png", 98, &weights("1, 1"))).contains("expected 98 weights, found 99"));
        let nothing = format!(", \"weight\": [{}0]", "0,".repeat(97));
        assert!(message(&row("a.png", 98, &nothing)).contains("no point has a weight above 0"));
    }

    #[test]
    fn a_file_without_rows_is_an_error() {
        assert!(matches!(read("\n\n"), Err(DataError::Empty { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_jsonl(Path::new("/nowhere/faces.jsonl")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/faces.jsonl"));
    }

    #[test]
    fn a_missing_picture_is_named_with_its_line_when_it_is_opened() {
        let samples = read(&row("sub/missing.png", 98, "")).unwrap();
        let message = chain(&samples[0].open().unwrap_err());
        assert!(message.contains("sub/missing.png") && message.contains("faces.jsonl:1"), "{message}");
    }

    #[test]
    fn pictures_are_found_beside_the_file_and_in_the_folders_above() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("faces/helen")).unwrap();
        let picture = Frame::filled(20, 20, [9, 9, 9]);
        picture.save(&folder.path().join("faces/helen/a.png")).unwrap();
        picture.save(&folder.path().join("faces/b.png")).unwrap();
        let file = folder.path().join("faces/train.jsonl");
        fs::write(&file, row("faces/helen/a.png", 98, "") + &row("b.png", 98, "")).unwrap();
        for sample in read_jsonl(&file).unwrap() {
            assert_eq!(sample.open().unwrap(), picture, "{}", sample.name);
        }
    }

    #[test]
    fn a_picture_of_another_size_than_the_row_says_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Frame::filled(20, 20, [9, 9, 9]).save(&folder.path().join("a.png")).unwrap();
        let file = folder.path().join("faces.jsonl");
        fs::write(&file, row("a.png", 98, ", \"width\": 21, \"height\": 20")).unwrap();
        let message = read_jsonl(&file).unwrap()[0].open().unwrap_err().to_string();
        assert!(message.contains("20x20") && message.contains("21x20"), "{message}");
    }
}
