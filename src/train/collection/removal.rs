//! Deletes a recording.

use super::recording::{LOCK_FILE, lock};
use super::{CollectionError, FACES_FILE};
use crate::runtime::files::target_of_unfinished;
use std::fs;
use std::path::{Path, PathBuf};

/// The deleted files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    pub pictures: usize,
    /// Of all files together.
    pub bytes: u64,
    /// Files that awing did not write. They stay, and so does the folder.
    pub left: Vec<PathBuf>,
}

/// Deletes the recording in `folder`: its pictures, its faces and, unless it holds other files, the folder. If the
/// process is killed meanwhile, the recording can be deleted again.
///
/// # Errors
/// [`CollectionError::NoRecording`], [`CollectionError::InUse`], [`CollectionError::Write`].
pub fn remove(folder: &Path) -> Result<Removed, CollectionError> {
    if !folder.join(FACES_FILE).is_file() {
        return Err(CollectionError::NoRecording { path: folder.to_owned() });
    }
    let lock = lock(folder)?;
    let mut removed = Removed { pictures: 0, bytes: 0, left: Vec::new() };
    for entry in fs::read_dir(folder).map_err(|source| CollectionError::Read { path: folder.to_owned(), source })? {
        let path = entry.map_err(|source| CollectionError::Read { path: folder.to_owned(), source })?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match kind(&name) {
            Kind::Picture => {
                removed.bytes += remove_file(&path)?;
                removed.pictures += 1;
            }
            Kind::Unfinished => removed.bytes += remove_file(&path)?,
            Kind::Own => {}
            Kind::Other => removed.left.push(path),
        }
    }
    // Last: as long as this file exists, the folder is a recording.
    removed.bytes += remove_file(&folder.join(FACES_FILE))?;
    // Some systems can't delete open files.
    drop(lock);
    removed.bytes += remove_file(&folder.join(LOCK_FILE))?;
    if removed.left.is_empty() {
        fs::remove_dir(folder).map_err(|source| CollectionError::Write { path: folder.to_owned(), source })?;
    }
    Ok(removed)
}

enum Kind {
    Picture,
    /// Temporary files of a killed process.
    Unfinished,
    /// Faces and lock, deleted last.
    Own,
    Other,
}

fn kind(name: &str) -> Kind {
    if name == FACES_FILE || name == LOCK_FILE {
        return Kind::Own;
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_picture = |name: &str| name.strip_suffix(".png").is_some_and(is_number);
    if is_picture(name) {
        return Kind::Picture;
    }
    match target_of_unfinished(name) {
        Some(target) if is_picture(target) || target == FACES_FILE => Kind::Unfinished,
        _ => Kind::Other,
    }
}

/// Deletes a file and returns its size in bytes.
fn remove_file(path: &Path) -> Result<u64, CollectionError> {
    let write = |source| CollectionError::Write { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(write)?.len();
    fs::remove_file(path).map_err(write)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use crate::train::collection::Recording;

    fn recording(collection: &Path, name: &str) -> PathBuf {
        let mut recording = Recording::create(collection, name).unwrap();
        recording.add_picture(&Frame::filled(4, 4, [7; 3])).unwrap();
        recording.folder().to_owned()
    }

    #[test]
    fn a_recording_is_deleted_as_a_whole_and_others_stay() {
        let collection = tempfile::tempdir().unwrap();
        let (a, b) = (recording(collection.path(), "a"), recording(collection.path(), "b"));
        fs::write(a.join("000007.png.4711.tmp"), "what a killed process left").unwrap();
        let removed = remove(&a).unwrap();
        assert_eq!((removed.pictures, removed.left.len()), (1, 0));
        assert!(removed.bytes > 0 && !a.exists() && b.exists());
    }

    #[test]
    fn files_that_awing_did_not_write_are_left_and_named() {
        let collection = tempfile::tempdir().unwrap();
        let a = recording(collection.path(), "a");
        let notes = a.join("notes.txt");
        fs::write(&notes, "mine").unwrap();
        assert_eq!(remove(&a).unwrap().left, std::slice::from_ref(&notes));
        assert_eq!(fs::read_dir(&a).unwrap().count(), 1);
        assert!(notes.exists());
    }

    #[test]
    fn what_is_no_recording_or_is_in_use_is_not_deleted() {
        let collection = tempfile::tempdir().unwrap();
        let folder = collection.path().join("photographs");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("000001.png"), "a picture").unwrap();
        assert!(matches!(remove(&folder), Err(CollectionError::NoRecording { .. })));
        assert!(folder.join("000001.png").exists());
        let open = Recording::create(collection.path(), "a").unwrap();
        assert!(matches!(remove(open.folder()), Err(CollectionError::InUse { .. })));
        assert!(open.folder().join(FACES_FILE).exists());
    }
}
