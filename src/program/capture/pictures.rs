//! Pictures: files, and the files of folders in the natural order of their names, 2 before 10.
//!
//! Out: one frame per file, and the name of that file. In a folder, hidden files and everything but files are ignored;
//! an unreadable picture is reported and skipped, and [`Source::left_out`] counts it.

use super::{CaptureError, Source};
use crate::program::console::{say, with_causes};
use crate::runtime::counted::counted;
use crate::runtime::image::Frame;
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

/// Pictures have no rate; a video of them shows this many per second.
const FRAMES_PER_SECOND: f64 = 25.0;
/// The endings of pictures.
const PICTURES: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];
/// In a folder also these, for their first picture. Alone they are videos.
const MOVING_PICTURES: [&str; 1] = ["gif"];
/// The endings of unsupported picture formats, so that a folder with them is not skipped silently.
const UNREADABLE_PICTURES: [&str; 4] = ["heic", "heif", "avif", "jxl"];

pub(super) fn is_picture(path: &Path) -> bool {
    ends_in(path, &PICTURES)
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|extension| endings.iter().any(|ending| extension.eq_ignore_ascii_case(ending)))
}

/// The pictures of a folder, in the natural order of their names.
pub(super) fn of_folder(folder: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let read = |source| CaptureError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A broken link stays in the list, to be reported as a missing picture.
        let is_file = fs::metadata(&path).map_or(true, |about| about.is_file());
        let endings = [&PICTURES[..], &MOVING_PICTURES, &UNREADABLE_PICTURES];
        if !is_hidden && is_file && endings.iter().any(|endings| ends_in(&path, endings)) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(CaptureError::EmptyFolder(folder.to_owned()));
    }
    paths.sort_by(|a, b| natural_order(a, b));
    Ok(paths)
}

pub(super) struct Pictures {
    name: String,
    /// Whether it is one picture, without which there is nothing to do.
    is_single: bool,
    paths: std::vec::IntoIter<PathBuf>,
    /// Files that were passed: delivered, skipped or bad.
    passed: u64,
    /// The file that the last frame came from.
    current: Option<PathBuf>,
    /// Pictures of the folder that couldn't be read.
    bad: u64,
}

impl Pictures {
    /// Those of files, and of folders of files, from that of time `start_s` on.
    pub fn open(paths: &[PathBuf], start_s: f64) -> Result<Self, CaptureError> {
        let mut files = Vec::new();
        for path in paths {
            match path.is_dir() {
                true => files.extend(of_folder(path)?),
                false if is_picture(path) => files.push(path.clone()),
                false => return Err(CaptureError::SeveralInputs(path.clone())),
            }
        }
        let name = match paths {
            [path] => path.display().to_string(),
            _ => counted(files.len(), "picture"),
        };
        let is_single = matches!(paths, [path] if !path.is_dir());
        let skipped = ((start_s * FRAMES_PER_SECOND).round() as usize).min(files.len());
        let paths = files.split_off(skipped).into_iter();
        Ok(Self { name, is_single, paths, passed: skipped as u64, current: None, bad: 0 })
    }
}

/// Compares names so that numbers in them come in their order.
fn natural_order(a: &Path, b: &Path) -> Ordering {
    let name = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    let (a_name, b_name) = (name(a), name(b));
    let (mut a_rest, mut b_rest) = (a_name.as_slice(), b_name.as_slice());
    while let (Some(x), Some(y)) = (a_rest.first(), b_rest.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (take_number(&mut a_rest), take_number(&mut b_rest));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            (a_rest, b_rest) = (&a_rest[1..], &b_rest[1..]);
            x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase())
        };
        if order.is_ne() {
            return order;
        }
    }
    // Names that differ in nothing but case or leading zeros.
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// The digits that `rest` begins with, which it loses, without leading zeros.
fn take_number<'n>(rest: &mut &'n [u8]) -> &'n [u8] {
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at(length);
    *rest = after;
    let zeros = number.iter().take_while(|&&digit| digit == b'0').count();
    &number[zeros..]
}

fn read(path: &Path) -> Result<Frame, CaptureError> {
    if ends_in(path, &UNREADABLE_PICTURES) {
        let format = path.extension().unwrap_or_default().to_string_lossy().to_uppercase();
        return Err(CaptureError::UnreadableFormat { path: path.to_owned(), format });
    }
    Ok(Frame::open(path)?)
}

impl Source for Pictures {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        for path in self.paths.by_ref() {
            let time_s = self.passed as f64 / FRAMES_PER_SECOND;
            self.passed += 1;
            match read(&path) {
                Ok(picture) => *frame = picture,
                Err(error) if !self.is_single => {
                    say(&format!("awing: {}; skipping it", with_causes(&error)));
                    self.bad += 1;
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.current = Some(path);
            return Ok(Some(time_s));
        }
        Ok(None)
    }

    fn frames_per_second(&self) -> Option<f64> {
        Some(FRAMES_PER_SECOND)
    }

    fn describe(&self) -> String {
        self.name.clone()
    }

    fn is_slide_show(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<&Path> {
        self.current.as_deref()
    }

    fn left_out(&self) -> Option<CaptureError> {
        let (name, bad) = (self.name.clone(), self.bad);
        (bad > 0).then(|| CaptureError::LeftOut { name, bad, of: self.passed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(folder: &Path, name: &str, shade: u8) {
        Frame::filled(2, 2, [shade; 3]).save(&folder.join(name)).unwrap();
    }

    /// The shades of all pictures of a folder, and their names.
    fn all(pictures: &mut Pictures) -> Vec<(u8, String)> {
        let mut frame = Frame::default();
        let mut all = Vec::new();
        while pictures.next(&mut frame).unwrap().is_some() {
            let name = pictures.picture().and_then(Path::file_name).unwrap();
            all.push((frame.rgb()[0], name.to_string_lossy().into_owned()));
        }
        all
    }

    #[test]
    fn a_folder_is_read_in_the_natural_order_of_names_and_an_empty_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Pictures::open(&[folder.path().to_owned()], 0.0), Err(CaptureError::EmptyFolder(_))));
        for (name, shade) in [("10.png", 3), ("2.PNG", 2), ("b.png", 4), ("0001.png", 1)] {
            save(folder.path(), name, shade);
        }
        fs::write(folder.path().join("c.txt"), "no picture").unwrap();
        let mut pictures = Pictures::open(&[folder.path().to_owned()], 0.0).unwrap();
        let expected = [(1, "0001.png"), (2, "2.PNG"), (3, "10.png"), (4, "b.png")];
        assert_eq!(all(&mut pictures), expected.map(|(shade, name)| (shade, name.to_owned())));
        assert!(pictures.left_out().is_none());
    }

    #[test]
    fn the_time_of_a_picture_is_its_place_in_the_folder_whatever_could_not_be_read_before_it() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "1.png", 1);
        fs::write(folder.path().join("2.png"), "no picture").unwrap();
        save(folder.path(), "3.png", 3);
        let times = |start_s: f64| {
            let mut pictures = Pictures::open(&[folder.path().to_owned()], start_s).unwrap();
            let mut frame = Frame::default();
            std::iter::from_fn(|| pictures.next(&mut frame).unwrap()).collect::<Vec<f64>>()
        };
        let place = |place: f64| place / FRAMES_PER_SECOND;
        assert_eq!(times(0.0), [place(0.0), place(2.0)]);
        assert_eq!(times(place(1.0)), [place(2.0)]);
    }

    #[test]
    fn names_are_in_natural_order() {
        let mut names = ["a10", "a9b", "A9", "a009", "a", "10", "9", "a99999999999999999999999", "a9.b", ""];
        names.sort_by(|a, b| natural_order(Path::new(a), Path::new(b)));
        assert_eq!(names, ["", "9", "10", "a", "A9", "a009", "a9.b", "a9b", "a10", "a99999999999999999999999"]);
    }

    #[test]
    fn what_can_be_read_of_a_folder_is_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, shade) in [("1.png", 1), ("2.bmp", 2), ("3.webp", 3), ("4.tiff", 4), ("5.gif", 5)] {
            save(folder.path(), name, shade);
        }
        // Neither a hidden file, as macOS puts beside every picture, nor a folder is a picture.
        fs::write(at("._1.png"), "about 1.png").unwrap();
        fs::create_dir(at("6.jpg")).unwrap();
        fs::write(at("7.jpg"), "no JPEG").unwrap();
        fs::write(at("8.heic"), "a picture of a phone").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("nowhere.png"), at("9.png")).unwrap();
        let mut pictures = Pictures::open(&[folder.path().to_owned()], 0.0).unwrap();
        let expected = [(1, "1.png"), (2, "2.bmp"), (3, "3.webp"), (4, "4.tiff"), (5, "5.gif")];
        assert_eq!(all(&mut pictures), expected.map(|(shade, name)| (shade, name.to_owned())));
        let bad = if cfg!(unix) { 3 } else { 2 };
        let left_out = pictures.left_out().unwrap().to_string();
        assert!(left_out.contains(&format!("{bad} of {} pictures", bad + 5)), "{left_out}");
    }
}
