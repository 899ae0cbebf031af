//! Folders of pictures, each with a `.pts` file of 68 points beside it, as 300-W and its parts are distributed.
//!
//! A `.pts` file consists of `version: 1`, `n_points: 68`, `{`, one line `x y` per point, and `}`. Its coordinates are
//! 1-based, so 1 is subtracted. The 68 points become 98 with [`wflw98_from_ibug68`].

use super::{DataError, Origin, Sample};
use crate::runtime::counted::counted;
use crate::runtime::files::read_text;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::{IBUG_POINTS, Scheme, Style, wflw98_from_ibug68};
use std::fs;
use std::path::{Path, PathBuf};

/// Reads all faces of a folder (not of its subfolders), sorted by name; the data set is named after the folder.
///
/// # Errors
/// [`DataError::Read`] if the folder or a file can't be read; [`DataError::Row`] for a malformed `.pts` file or one
/// without a picture beside it; [`DataError::Empty`] if there is none.
pub fn read_pts_folder(folder: &Path) -> Result<Vec<Sample>, DataError> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    read_faces(folder, &absolute.file_name().unwrap_or_default().to_string_lossy())
}

/// Like [`read_pts_folder`], with a name for the data set.
pub(super) fn read_faces(folder: &Path, dataset: &str) -> Result<Vec<Sample>, DataError> {
    let read = |source| DataError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pts")) {
            files.push(path);
        }
    }
    files.sort();
    let samples = files.iter().map(|file| read_face(file, dataset)).collect::<Result<Vec<_>, _>>()?;
    if samples.is_empty() {
        let expected = "pictures are expected, each with a .pts file of 68 points beside it";
        return Err(DataError::Empty { path: folder.to_owned(), expected });
    }
    Ok(samples)
}

fn read_face(file: &Path, dataset: &str) -> Result<Sample, DataError> {
    let points = read_pts(file)?;
    let origin = Origin { file: file.into(), line: 0 };
    let points: &[_; IBUG_POINTS] = points
        .as_slice()
        .try_into()
        .map_err(|_| origin.error(format!("expected {IBUG_POINTS} points, found {}", points.len())))?;
    let (points, weight) = wflw98_from_ibug68(points);
    let image = picture_beside(file).ok_or_else(|| {
        origin
            .error(format!("there is no picture beside it: expected {}", file.with_extension("jpg or .png").display()))
    })?;
    let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sample = Sample {
        image,
        frame: None,
        name,
        dataset: dataset.to_owned(),
        subject: None,
        clip: None,
        scheme: Scheme::Wflw98,
        style: Style::Ibug,
        is_automatic: false,
        points,
        weight,
        rect: None,
        subsets: Vec::new(),
        size: None,
        origin,
    };
    sample.checked()
}

/// The picture of the same name beside a file.
pub fn picture_beside(file: &Path) -> Option<PathBuf> {
    ["jpg", "png", "jpeg", "JPG", "PNG", "JPEG"].iter().map(|e| file.with_extension(e)).find(|path| path.is_file())
}

/// Reads all points of one `.pts` file, in 0-based pixels.
///
/// # Errors
/// [`DataError::Read`] if it can't be read; [`DataError::Row`] with the line that breaks the format.
pub fn read_pts(file: &Path) -> Result<Vec<Point<FrameSpace>>, DataError> {
    let text = read_text(file).map_err(|source| DataError::Read { path: file.to_owned(), source })?;
    let at = |line: usize| Origin { file: file.into(), line };
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let end = text.lines().count();
    let mut next =
        |expected: &str| lines.next().ok_or_else(|| at(end).error(format!("the file ends before {expected}")));

    let (line, version) = next("the line \"version: 1\"")?;
    if header(version, "version").is_none_or(|v| v.parse() != Ok(1.0)) {
        return Err(at(line).error(format!("expected \"version: 1\", found {version:?}")));
    }
    let (line, count) = next("the line \"n_points: ..\"")?;
    let count: usize = header(count, "n_points")
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| at(line).error(format!("expected \"n_points: {IBUG_POINTS}\", found {count:?}")))?;
    let (line, brace) = next("the opening brace")?;
    if brace != "{" {
        return Err(at(line).error(format!("expected an opening brace, found {brace:?}")));
    }
    let mut points = Vec::new();
    loop {
        let (line, text) = next("the closing brace")?;
        if text == "}" {
            if points.len() != count {
                let found = counted(points.len(), "point");
                return Err(at(line).error(format!("n_points says {count}, but the file has {found}")));
            }
            return Ok(points);
        }
        let mut numbers = text.split_whitespace().map(str::parse::<f32>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(x)), Some(Ok(y)), None) if x.is_finite() && y.is_finite() => {
                points.push(Point::new(x - 1.0, y - 1.0));
            }
            _ => return Err(at(line).error(format!("expected two finite numbers \"x y\", found {text:?}"))),
        }
    }
}

/// The value after `name:` in a header line.
fn header<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use crate::runtime::landmarks::WFLW98_OF_IBUG68;

    pub(in crate::train::data) fn pts(points: usize) -> String {
        let lines: String = (0..points).map(|i| format!("{}.5 {}\n", 10 + i % 9, 10 + i)).collect();
        format!("version: 1\nn_points:  68\n{{\n{lines}}}\n")
    }

    fn read(text: &str) -> Result<Vec<Sample>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("face_1.pts"), text).unwrap();
        Frame::filled(90, 90, [1, 2, 3]).save(&folder.path().join("face_1.png")).unwrap();
        let samples = read_pts_folder(folder.path())?;
        samples[0].open()?;
        Ok(samples)
    }

    #[test]
    fn the_first_pixel_of_a_pts_file_is_number_1() {
        let samples = read(&pts(68)).unwrap();
        for (i, &of98) in WFLW98_OF_IBUG68.iter().enumerate() {
            assert_eq!(samples[0].points[of98], Point::new((9 + i % 9) as f32 + 0.5, (9 + i) as f32));
            assert_eq!(samples[0].weight[of98], 1.0);
        }
    }

    #[test]
    fn broken_files_are_reported_with_their_line() {
        for (text, expected) in [
            (pts(67), "face_1.pts:71: n_points says 68, but the file has 67 points"),
            (pts(68).replace("version: 1", "version: 2"), "face_1.pts:1: expected \"version: 1\""),
            (pts(68).replace("n_points:  68", "n_points: many"), "face_1.pts:2: expected \"n_points: 68\""),
            (pts(68).replace('{', ""), "face_1.pts:4: expected an opening brace"),
            (pts(68).replace('}', ""), "the file ends before the closing brace"),
            (pts(68).replace("11.5 11\n", "11.5\n"), "face_1.pts:5: expected two finite numbers"),
            (pts(68).replace("11.5 11\n", "11.5 nan\n"), "face_1.pts:5: expected two finite numbers"),
            (pts(67).replace("68", "67"), "face_1.pts: expected 68 points, found 67"),
            (String::new(), "the file ends before the line \"version: 1\""),
        ] {
            let message = read(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}\ninstead of\n{expected}");
        }
    }

    #[test]
    fn a_pts_file_without_a_picture_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("face_1.pts"), pts(68)).unwrap();
        let message = read_pts_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains("face_1.pts: there is no picture beside it"), "{message}");
    }

    #[test]
    fn a_folder_without_faces_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_pts_folder(folder.path()), Err(DataError::Empty { .. })));
    }
}
