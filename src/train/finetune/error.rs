//! Errors of a fine-tuning.

use crate::runtime::counted::counted;
use crate::runtime::engine::EngineError;
use crate::runtime::image::ImageError;
use crate::runtime::model::ModelError;
use crate::train::data::DataError;
use crate::train::quantize::QuantizeError;
use crate::train::trainer::{RecipeError, TrainError};

/// Errors of a fine-tuning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FineTuneError {
    /// Too few faces to train on some and hold out others.
    #[error(
        "{}: too few to train on some and hold out others; add at least {} more",
        counted(*found, "accepted face"),
        needed - found
    )]
    TooFew { found: usize, needed: usize },
    /// All faces are from one clip, so no independent ones are left to hold out.
    #[error(
        "all faces are of {clips} clip(s), and the measurement needs at least {needed}: capture again, or for longer \
         (clips that show the same moments count as one)"
    )]
    TooFewClips { clips: usize, needed: usize },
    /// Labels with left and right swapped, each with its file and line.
    #[error("left and right are exchanged in the labels of {}: mirror them, or reject these faces", list(.faces))]
    Mirrored { faces: Vec<String> },
    /// The same face of the same picture with different labels.
    #[error("{first} and {second} label the same face differently, by {percent:.0} % of the eye distance: reject one")]
    Contradiction { first: String, second: String, percent: f32 },
    /// A base model that can't be tuned.
    #[error("only a landmark model with 98, 68, 29 or 19 points and a boundary map can be tuned")]
    Base,
    /// The recipe is invalid.
    #[error("the recipe can't be used")]
    Recipe(#[from] RecipeError),
    /// Faces or pictures that can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The error that stopped the training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A model that can't be made.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model that can't be quantized as its base was.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// A model that can't be compiled.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The picture of the report can't be written.
    #[error(transparent)]
    Picture(#[from] ImageError),
}

/// The first few names, and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
