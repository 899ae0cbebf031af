//! The trainer: a recipe and a task in, a model file out.
//!
//! [`Recipe`] defines a training; [`Trainer`] runs it and writes a log, checkpoints that survive a kill at any moment,
//! and the exponential moving average of the weights as the model. The same recipe, data, seed and number of threads
//! give the same model. Errors are [`TrainError`]s; the cause is in their `source()`.
//!
//! | file | holds |
//! |---|---|
//! | `run` | the loop over the batches, options, progress |
//! | `recipe`, `optimizer` | the settings: network, data, schedule, update rule |
//! | `compute` | loss and gradients of a batch: by `backprop` on the CPU, by candle on a GPU |
//! | `checkpoint`, `log` | the files of a training |
//! | `error` | errors of a training |

mod backprop;
mod checkpoint;
mod compute;
mod error;
mod log;
mod optimizer;
#[cfg(test)]
mod paper_gradients_tests;
mod recipe;
mod run;

pub use error::{CheckpointError, LogError, RecipeError, TrainError};
#[cfg(feature = "internals")]
pub use log::read_log;
pub use optimizer::{OptimizerConfig, OptimizerKind};
pub(in crate::train) use recipe::parse;
pub use recipe::{Adaptation, Recipe, Schedule, ScheduleShape};
pub use run::{BEST_FILE, Course, Ending, MODEL_FILE, Progress, TrainOptions, Trainer, Validator, remove_training};
