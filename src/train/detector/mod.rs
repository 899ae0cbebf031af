//! Training the face detector: photographs, items composed from them, targets with their loss, and validation.

mod compose;
mod loss;
mod photographs;
mod targets;
mod task;
mod validator;

pub use compose::stage;
pub use photographs::{Photograph, is_list_of_faceless, leave_out_faces_of, read_photographs};
pub use task::DetectorTask;
pub use validator::DetectorValidator;
