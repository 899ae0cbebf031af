//! Errors of collections.

use crate::runtime::image::ImageError;
use std::io;
use std::path::PathBuf;

/// Why a collection can't be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// A file or folder that can't be read.
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    /// A file or folder that can't be written or removed.
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    /// A picture that can't be written.
    #[error("cannot store a frame")]
    Picture(#[from] ImageError),
    /// A row that is not a collected face.
    #[error("{path}:{line} is not a collected face")]
    Row { path: PathBuf, line: usize, source: serde_json::Error },
    /// A valid JSON row with impossible content.
    #[error("{path}:{line}: {message}")]
    Content { path: PathBuf, line: usize, message: String },
    /// Another process writes to the recording.
    #[error("{path} is in use by another awing; wait until it has ended")]
    InUse { path: PathBuf },
    /// A folder that holds no recording.
    #[error("{path} is no recording: it has no faces.jsonl")]
    NoRecording { path: PathBuf },
    /// A recording with this name exists already.
    #[error("{path} exists already")]
    Exists { path: PathBuf },
}
