//! What can be wrong with a model file.

use super::config_error::ConfigError;
use crate::runtime::foreign::without_causes;
use safetensors::tensor::{Dtype, SafeTensorError};
use std::path::PathBuf;

/// Version of the file format. Goes up when an older awing could not read a newer file.
pub(super) const FORMAT_VERSION: u64 = 1;

/// What can be wrong with a model file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file can't be read.
    #[error("cannot read the model {path}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file can't be written; the old one is whole.
    #[error("cannot write the model {path}")]
    Write { path: PathBuf, source: std::io::Error },
    /// What is wrong with a file, by its name.
    #[error("cannot use the model {path}")]
    InFile { path: PathBuf, source: Box<ModelError> },
    /// Not a safetensors file, or cut off.
    #[error("not a model file")]
    NotSafetensors(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a safetensors file without awing's description; an official PyTorch checkpoint has to be imported first")]
    NoDescription,
    #[error("the file has format version {0}, this awing reads version {FORMAT_VERSION}: get a newer awing")]
    UnknownVersion(u64),
    /// The description is not the JSON that it should be.
    #[error("the model's description is damaged")]
    BadDescription(#[from] serde_json::Error),
    /// A network that can't be.
    #[error("the model's description is impossible")]
    Impossible(#[from] ConfigError),
    #[error("tensor {name} is missing")]
    Missing { name: String },
    #[error("tensor {name} is not part of this network")]
    Superfluous { name: String },
    #[error("tensor {name} has shape {actual:?}, the network needs {expected:?}")]
    Misshapen { name: String, actual: Vec<usize>, expected: Vec<usize> },
    #[error("tensor {name} is of type {actual:?}; f32 and f16 are understood")]
    WrongType { name: String, actual: Dtype },
    #[error("tensor {name} holds a number that is not finite")]
    NotFinite { name: String },
    #[error("tensor {name} holds a variance under 0")]
    NegativeVariance { name: String },
    #[error("tensor {name} holds a number that is too large for half precision: store it in single precision")]
    TooLarge { name: String },
}

impl From<SafeTensorError> for ModelError {
    fn from(error: SafeTensorError) -> Self {
        Self::NotSafetensors(without_causes(&error))
    }
}
