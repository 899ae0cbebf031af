//! The tuned models of this computer, and the one that awing starts with.
//!
//! In: tuned models, each with a record of its fine-tuning. Out: a private folder with a model file and a JSON record
//! for each, and the choice. The bundled model always exists and is not in the folder. Every file is replaced as a
//! whole, and a session holds its model in memory, so changes don't disturb it. One process at a time changes the
//! library. Errors name the file and the remedy.

mod library;
mod record;

pub(crate) use library::ModelLibrary;
pub(crate) use record::{BUNDLED, TuningRecord};
