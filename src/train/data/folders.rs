//! Finds the pictures that a list names by relative paths.
//!
//! In: a list's file and a relative path in it. Out: the picture's path. Nothing fails here: a missing picture is
//! reported when it is opened.

use std::path::{Path, PathBuf};

/// How many levels above the list's folder a relative path may start.
const FOLDERS_ABOVE: usize = 2;

/// Finds pictures whose paths are relative to the list's folder or to one above it.
pub(crate) struct PictureFolders {
    folders: Vec<PathBuf>,
    /// The folder of the last picture, which almost always holds the next one too.
    last: usize,
}

impl PictureFolders {
    /// A finder for the list `file`; each folder is tried both on its own and with `inner` appended.
    pub(crate) fn above(file: &Path, inner: Option<&str>) -> Self {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let mut folders = Vec::new();
        for folder in absolute.ancestors().skip(1).take(1 + FOLDERS_ABOVE) {
            folders.push(folder.to_owned());
            folders.extend(inner.map(|inner| folder.join(inner)));
        }
        Self { folders, last: 0 }
    }

    /// The path of the picture, or its path in the list's own folder if it is not found.
    pub(crate) fn find(&mut self, image: &str) -> PathBuf {
        let order = std::iter::once(self.last).chain(0..self.folders.len());
        for i in order {
            let Some(folder) = self.folders.get(i) else { continue };
            let path = folder.join(image);
            if path.is_file() {
                self.last = i;
                return path;
            }
        }
        self.folders.first().map_or_else(|| PathBuf::from(image), |folder| folder.join(image))
    }
}
