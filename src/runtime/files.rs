//! Files that are whole or not there: written beside the target, flushed to disk, then renamed over it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` so that a reader sees the old file or the new one, never a part.
///
/// # Errors
/// Whatever the file system reports; the old file is then untouched.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Staged::write(path, bytes)?.place()
}

/// A file that lies beside its place, whole. Files that belong together are all written before the first is placed. It is
/// removed if it is not placed.
pub struct Staged {
    beside: PathBuf,
    path: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `path`.
    ///
    /// # Errors
    /// Whatever the file system reports.
    pub fn write(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let staged = Self { beside: beside.into(), path: path.to_owned() };
        let mut file = File::create(&staged.beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Puts it in its place, over what is there.
    ///
    /// # Errors
    /// Whatever the file system reports; the old file is then untouched.
    pub fn place(self) -> io::Result<()> {
        fs::rename(&self.beside, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Once it is placed there is nothing to remove.
        let _ = fs::remove_file(&self.beside);
    }
}
