//! Fine-tuning: a model learns from a few corrected faces on the device it runs on, and never gets worse.
//!
//! In: a base model and accepted faces (98 points, or the base's scheme), from [`crate::train::read_faces`]. Out: a tuned
//! model with a [`Verdict`]: the error on faces that were held out, by clip, before and after, with a paired bootstrap
//! interval, and the error on the guard before and after. A tuned model is accepted if it is better on the held-out faces
//! beyond chance and at most [`verdict::MOST_GUARD_LOSS_PERCENT`] percent worse on every guard. Procedural faces always guard;
//! [`FineTuneOptions::guard`] adds annotated faces.
//!
//! What is learned is a step of the training that the base came from (Adaptive Wing loss with the weight map, the same
//! augmentation); what protects the base is in `defaults.toml`, with measurements in docs/engineering/fine-tuning.md: the norms keep
//! their statistics, and the result is interpolated with the base (Wortsman et al., "Robust fine-tuning of zero-shot models",
//! CVPR 2022), with the share that is best on the held-out faces among those that hurt no guard.
//!
//! Stopped at any moment, even by a kill, it goes on from its last checkpoint to the same verdict. Errors are
//! [`FineTuneError`]s.
//!
//! | file | holds |
//! |---|---|
//! | `recipe` | how a model is tuned |
//! | `labels` | the checks of the labels, and the split |
//! | `procedural` | procedural faces |
//! | `measure` | errors of a model on fixed faces |
//! | `run` | training, interpolation, verdict |
//! | `own_faces` | a training without a recipe, for `awing train` |
//! | `verdict` | what is reported |
//! | `picture` | the report as a picture |

mod error;
mod labels;
mod measure;
mod own_faces;
mod picture;
mod recipe;
mod run;
#[cfg(test)]
mod tests;
mod verdict;

pub use error::FineTuneError;
pub use own_faces::OwnFaces;
pub use recipe::TuningRecipe;
pub use run::{FineTune, FineTuneEnding, FineTuneOptions, FineTuneProgress, Tuned};
pub use verdict::{Change, PartChange, Tried, Verdict};
