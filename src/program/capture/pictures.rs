//! Pictures: files, and the files of folders in the order of their names.
//!
//! Out: one frame per JPEG or PNG file.

use super::{CaptureError, Source};
use crate::runtime::image::Frame;
use std::path::{Path, PathBuf};

/// Pictures have no rate; a video of them shows this many per second.
const FRAMES_PER_SECOND: f64 = 25.0;

pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|e| matches!(e.as_str(), "jpg" | "jpeg" | "png" | "webp" | "bmp" | "tif" | "tiff"))
}

/// The pictures of a folder, in the order of their names.
pub(super) fn of_folder(folder: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let read = |source| CaptureError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if is_picture(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(CaptureError::EmptyFolder(folder.to_owned()));
    }
    paths.sort();
    Ok(paths)
}

pub(super) struct Pictures {
    name: String,
    paths: std::vec::IntoIter<PathBuf>,
    count: u64,
}

impl Pictures {
    /// Those of files, and of folders of files.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureError> {
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
            _ => format!("{} pictures", files.len()),
        };
        Ok(Self { name, paths: files.into_iter(), count: 0 })
    }
}

impl Source for Pictures {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        let Some(path) = self.paths.next() else { return Ok(None) };
        *frame = Frame::open(&path)?;
        self.count += 1;
        Ok(Some((self.count - 1) as f64 / FRAMES_PER_SECOND))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names_and_an_empty_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(of_folder(folder.path()), Err(CaptureError::EmptyFolder(_))));
        for (name, shade) in [("b.png", 2), ("a.PNG", 1), ("c.txt", 3)] {
            Frame::filled(2, 2, [shade; 3]).save(&folder.path().join(name.replace("txt", "jpg"))).unwrap();
        }
        std::fs::rename(folder.path().join("c.jpg"), folder.path().join("c.txt")).unwrap();
        let mut pictures = Pictures::open(&[folder.path().to_owned()]).unwrap();
        let mut frame = Frame::default();
        let mut shades = Vec::new();
        while pictures.next(&mut frame).unwrap().is_some() {
            shades.push(frame.rgb()[0]);
        }
        assert_eq!(shades, [1, 2]);
    }
}
