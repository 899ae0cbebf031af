//! The tuned models of this computer: which there are, and which one awing starts with.
//!
//! In: models that were tuned, with a record of how. Out: a private folder with a model file and a record as JSON for each,
//! and the choice. The bundled model is always there and is not part of it. Every file is replaced as a whole, and a model
//! that is in use was read into memory before, so a session is not disturbed by any of this. One process at a time changes
//! the library. Errors name the file and what to do.

mod library;
mod record;

pub(crate) use library::ModelLibrary;
pub(crate) use record::{BUNDLED, TuningRecord};
