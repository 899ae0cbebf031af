//! Errors of model files.

use super::config_error::ConfigError;
use crate::runtime::foreign::without_causes;
use safetensors::tensor::SafeTensorError;
use std::path::PathBuf;

/// Version of the file format, increased when an older awing cannot read a newer file.
pub(super) const FORMAT_VERSION: u64 = 1;

/// An error in a model or its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    #[error("cannot read the model {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write the model {path}")]
    Write { path: PathBuf, source: std::io::Error },
    /// The source has the error in the file's contents.
    #[error("cannot use the model {path}")]
    InFile { path: PathBuf, source: Box<ModelError> },
    /// Not a model, but a known other kind of file.
    #[error("it is {0}")]
    OtherFile(&'static str),
    /// A detector where a landmark model is needed, or the other way round.
    #[error("it is a {actual}, and a {needed} is needed")]
    WrongKind { actual: &'static str, needed: &'static str },
    #[error("not a safetensors file")]
    NotSafetensors(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a safetensors file without awing's description; an official PyTorch checkpoint has to be imported first")]
    NoDescription,
    #[error("the file has format version {0}, this awing reads version {FORMAT_VERSION}: get a newer awing")]
    UnknownVersion(u64),
    /// The description is not the JSON of a model's configuration.
    #[error("the model's description is damaged")]
    BadDescription(#[from] serde_json::Error),
    /// The description asks for an impossible network.
    #[error("the model's description is invalid")]
    Impossible(#[from] ConfigError),
    #[error("tensor {name} is missing")]
    Missing { name: String },
    #[error("tensor {name} is not part of this network")]
    Superfluous { name: String },
    #[error("tensor {name} has shape {actual:?}, the network needs {expected:?}")]
    Misshapen { name: String, actual: Vec<usize>, expected: Vec<usize> },
    #[error("tensor {name} has the type {actual}; only f32 and f16 can be read here")]
    WrongType { name: String, actual: String },
    #[error("tensor {name} holds a number that is not finite")]
    NotFinite { name: String },
    #[error("tensor {name} holds a negative variance")]
    NegativeVariance { name: String },
    #[error("tensor {name} holds a number that is too large for f16: store it in f32")]
    TooLarge { name: String },
}

impl From<SafeTensorError> for ModelError {
    fn from(error: SafeTensorError) -> Self {
        Self::NotSafetensors(without_causes(&error))
    }
}
