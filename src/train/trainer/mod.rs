//! The trainer: a recipe and a task in, a model file out.
//!
//! [`Recipe`] says what to train and how; [`Trainer`] does it, writes a log, checkpoints that survive a kill
//! at any moment, and the average of the weights (EMA) as the model. The same recipe, seed and thread
//! count train the same model.

mod checkpoint;
mod compute;
mod log;
mod optimizer;
#[cfg(test)]
mod paper_gradients_tests;
mod passes;
mod recipe;
mod trainer;

pub use log::read_log;
pub use recipe::Recipe;
pub use trainer::{Ending, Progress, TrainError, TrainOptions, Trainer, Validator};
