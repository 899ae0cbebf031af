//! Errors of a training, by cause.
//!
//! A message names the file or the value; its cause is in `source()` only.

use crate::runtime::foreign::without_causes;
use crate::runtime::image::ImageError;
use crate::runtime::model::{ConfigError, ModelError};
use crate::train::data::DataError;
use std::io;
use std::path::PathBuf;

/// Errors of a training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A recipe that can't be read or is invalid.
    #[error("cannot use the recipe {path}")]
    Recipe { path: PathBuf, source: RecipeError },
    /// A checkpoint that can't be read, is damaged, or belongs to another training; it is left as it is.
    #[error("cannot resume from the checkpoint {path}")]
    Checkpoint { path: PathBuf, source: CheckpointError },
    /// A checkpoint that can't be put into its format.
    #[error("cannot encode the checkpoint {path}")]
    Encode { path: PathBuf, source: CheckpointError },
    /// A line of the log (counted from 1) that awing did not write.
    #[error("the log {path} is damaged in line {line}")]
    Log { path: PathBuf, line: usize, source: LogError },
    /// A file that can't be read.
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    /// A file that can't be written, because the disk is full, for example. The old file is whole.
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    /// Another training is at work in the output folder.
    #[error("{path} is being written by {holder}: wait until that has ended, or give --out another folder")]
    InUse { path: PathBuf, holder: String },
    /// The output folder holds a training, and resuming was not asked for.
    #[error("{0} holds a training already; add --resume to continue it, or give --out another folder")]
    Occupied(PathBuf),
    /// The output folder holds a file that a training would overwrite.
    #[error("{0} would be overwritten: there is no checkpoint beside it; give --out another folder")]
    Unresumable(PathBuf),
    /// Loss or gradient are infinite or NaN.
    #[error(
        "the loss is not a number any more in step {step}; what {out} holds is from before and whole. \
         A lower learning_rate or a longer warm-up helps"
    )]
    Diverged { step: u64, out: PathBuf },
    /// A recipe that holds the weights to those of a start, and a training without one.
    #[error("the recipe's adaptation.anchor needs a starting model: name one with --start-from")]
    NoStart,
    /// Training data that can't be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model that can't be made or written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The learning curve can't be written.
    #[error(transparent)]
    Curve(#[from] ImageError),
    /// The GPU's error.
    #[error("the device failed")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The validator's error.
    #[error("the validation failed")]
    Validation(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Errors in a recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file can't be read.
    #[error(transparent)]
    Read(io::Error),
    /// Not TOML, or fields that are missing, unknown or of another type; names the line.
    #[error(transparent)]
    Syntax(toml::de::Error),
    /// A network that can't be.
    #[error("the model is impossible")]
    Model(#[from] ConfigError),
    #[error("{field} is for landmarks: leave it out of a detector's recipe")]
    LandmarksOnly { field: &'static str },
    #[error("{field} are for a detector: leave them out of a recipe for landmarks")]
    DetectorOnly { field: &'static str },
    #[error("impossible compositions: {0}")]
    Compositions(String),
    #[error("{field} is not a finite number")]
    NotFinite { field: String },
    #[error("{field} is 0, it must be at least 1")]
    Zero { field: &'static str },
    #[error(
        "batch_size is {batch_size}, at most {most} pictures of {side} pixels a side are possible: more do not fit into \
         the memory of a computer"
    )]
    BatchTooLarge { batch_size: usize, side: usize, most: usize },
    #[error("{field} is {count}, at most {most} are possible")]
    TooMany { field: &'static str, count: usize, most: usize },
    #[error("procedural faces have 98 landmarks, the model {points}: leave procedural_faces out")]
    NoProceduralFaces { points: usize },
    #[error("{field} is {value}, it must be above 0")]
    NotPositive { field: &'static str, value: f64 },
    #[error("{field} is {value}, it must not be below 0")]
    Negative { field: &'static str, value: f64 },
    #[error("{field} is {value}, it must be at least 0 and below 1")]
    NotBelowOne { field: &'static str, value: f64 },
    #[error("{field} is {value}, it must be from 0 to 1")]
    OutsideOfOne { field: &'static str, value: f64 },
    #[error("{field} is {value}, it must be above 0 and at most 1")]
    NotAShare { field: &'static str, value: f64 },
    /// Landmarks of no known scheme, or no boundary map.
    #[error(
        "a model of {points} points and {outputs} maps can't be trained: points are 98, 68, 29 or 19, and outputs one \
         more, for the boundary map"
    )]
    Untrainable { points: usize, outputs: usize },
    #[error("a detector's targets are always continuous: leave out targets")]
    DetectorTargets,
}

/// Errors in the checkpoint of a training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file can't be read.
    #[error(transparent)]
    Read(io::Error),
    /// Not a safetensors file, cut off, or without one of the tensors.
    #[error(transparent)]
    Safetensors(Box<dyn std::error::Error + Send + Sync>),
    #[error("it is not the checkpoint of a training")]
    NotACheckpoint,
    /// Position and recipe are not the JSON that they should be.
    #[error("its description is damaged")]
    Description(#[from] serde_json::Error),
    #[error("it belongs to another recipe; give --out another folder or train with the old recipe")]
    OtherRecipe,
    #[error("it was trained on other data; give --out another folder or train on the old data")]
    OtherData,
    #[error("it started from another model; name that one with --start-from, or give --out another folder")]
    OtherStart,
    #[error("{name} has {actual} values, the network needs {expected:?}")]
    Misshapen { name: String, actual: usize, expected: Vec<usize> },
    #[error("it was written by another version of awing")]
    OtherVersion,
    #[error("its checksum does not match: the file is damaged")]
    Checksum,
}

impl From<safetensors::SafeTensorError> for CheckpointError {
    fn from(error: safetensors::SafeTensorError) -> Self {
        Self::Safetensors(without_causes(&error))
    }
}

/// Errors in a line of the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    #[error("the fields {expected} were expected")]
    Fields { expected: &'static str },
    #[error("{text:?} is not a number")]
    Number { text: String, source: std::num::ParseFloatError },
}
