//! Errors of PyTorch checkpoints.

use crate::runtime::foreign::without_causes;
use crate::runtime::model::ModelError;
use std::io;
use std::path::PathBuf;
use zip::result::ZipError;

/// Why a PyTorch checkpoint can't be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file can't be read.
    #[error("cannot read the checkpoint {path}")]
    Read { path: PathBuf, source: io::Error },
    /// An error in a file, with its name.
    #[error("cannot import {path}")]
    InFile { path: PathBuf, source: Box<ImportError> },
    /// Another kind of file, or a damaged zip archive.
    #[error("not a PyTorch checkpoint: {reason}")]
    NotACheckpoint { reason: String, source: Option<Box<dyn std::error::Error + Send + Sync>> },
    /// A checkpoint that has no tensor of the paper's network. `names` lists some of those that it has.
    #[error("a checkpoint of another network than the paper's: {missing} is missing, its tensors are {names}")]
    OtherNetwork { missing: String, names: String },
    #[error("the checkpoint ends too early: the file is incomplete")]
    Truncated,
    /// A pickle that breaks its format. `at` counts the bytes of the pickle.
    #[error("the checkpoint is damaged, or not a dictionary of tensors (byte {at} of a pickle): {reason}")]
    Damaged { at: usize, reason: String },
    /// A pickle that asks for something to be run or made besides tensors and dictionaries.
    #[error(
        "the checkpoint asks for {name}, which is not a part of a tensor or dictionary and is not run; \
         save the state_dict() of the network alone"
    )]
    Foreign { name: String },
    /// A tensor that reaches beyond its storage, or whose storage is missing.
    #[error("the data of tensor {name} is incomplete: {reason}")]
    Numbers { name: String, reason: String },
    /// Tensors that are not those of the paper's network.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ImportError {
    pub(super) fn not_a_checkpoint(reason: impl Into<String>) -> Self {
        Self::NotACheckpoint { reason: reason.into(), source: None }
    }

    pub(super) fn bad_archive(reason: impl Into<String>, source: ZipError) -> Self {
        Self::NotACheckpoint { reason: reason.into(), source: Some(without_causes(&source)) }
    }
}
