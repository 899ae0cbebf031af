//! Private folders, and atomic file writes: a file is written beside its target, flushed to disk, then renamed over the target.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` so that a reader sees either the old file or the new one, never a part.
///
/// # Errors
/// Any I/O error; the old file is then untouched.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Staged::write(path, bytes)?.place()
}

/// What makes a folder that on Unix only its owner can enter; `with_parents`: missing ones above it as well, and one that
/// exists is no error.
pub fn private_folder(with_parents: bool) -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(with_parents);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// A complete file, waiting beside its target. Files that belong together are all written before the first is placed. A
/// file that is not placed is removed when dropped.
pub struct Staged {
    beside: PathBuf,
    path: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `path`.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn write(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let staged = Self { beside: beside.into(), path: path.to_owned() };
        let mut file = File::create(&staged.beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Renames the file to its target, replacing what is there.
    ///
    /// # Errors
    /// Any I/O error; the old file is then untouched.
    pub fn place(self) -> io::Result<()> {
        fs::rename(&self.beside, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After `place` there is nothing to remove.
        let _ = fs::remove_file(&self.beside);
    }
}
