//! Training the face detector: photographs, items composed from them, targets with their loss, and validation.

mod compose;
mod loss;
mod photographs;
mod targets;
mod task;
mod validator;

pub(crate) use compose::stage;
pub use photographs::{Photograph, read_photographs};
pub use task::DetectorTask;
pub use validator::DetectorValidator;
