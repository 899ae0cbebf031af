//! Fine-tuning: trains a model on a few corrected faces, on the device it runs on, and rejects the result if it is
//! worse.
//!
//! In: a base model and accepted faces (98 points, or the base's scheme), from [`crate::train::read_faces`]. Out: a
//! tuned model with a [`Verdict`]: the error on held-out faces, split by clip, before and after, with a paired
//! bootstrap interval, and the errors on the guards before and after. A tuned model is accepted if it is better on the
//! held-out faces beyond chance and its error on every guard is at most [`verdict::MOST_RISE_PERCENT`] percent higher,
//! on procedural faces also up to [`verdict::MOST_PROCEDURAL_RISE`] percent of the eye distance. Procedural faces are
//! always a guard; [`FineTuneOptions::guard`] adds annotated faces.
//!
//! The training is that of the base model (Adaptive Wing loss with the weight map, the same augmentation). The measures
//! that protect the base are in `defaults.toml`, with measurements in docs/engineering/fine-tuning.md: norm statistics
//! are frozen, and the result is interpolated with the base (Wortsman et al., "Robust fine-tuning of zero-shot models",
//! CVPR 2022), with the share that is best on the held-out faces among those that hurt no guard.
//!
//! After a stop at any moment, even a kill, it continues from its last checkpoint to the same verdict. Errors are
//! [`FineTuneError`]s.
//!
//! | file | holds |
//! |---|---|
//! | `recipe` | the settings of a fine-tuning |
//! | `labels` | the checks of the labels, and the split |
//! | `measure` | errors of a model on fixed faces |
//! | `run` | training, interpolation, verdict |
//! | `own_faces` | a training without a recipe, for `awing train` |
//! | `verdict` | the acceptance test and its report |
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
