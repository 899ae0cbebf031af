//! Faces collected on this device, for correction and fine-tuning.
//!
//! A collection is a folder of recordings; a recording is a folder with lossless pictures and a file of JSON lines,
//! `faces.jsonl`, in the format of [`crate::train::data::read_jsonl`] with the additional keys of [`CollectedFace`].
//! In: frames and faces, and corrections of them. Out: the faces, in memory and as a file that every command with
//! `--data` reads. A face is on disk when the call that adds or changes it returns; a killed process leaves the file as
//! it was before or after the call. On Unix only the owner can read a new recording. One process at a time writes to a
//! recording, under a lock that ends with the process. Errors are [`CollectionError`]s, which name the file.

mod error;
mod face;
mod recording;
mod removal;

pub use error::CollectionError;
pub use face::{CollectedFace, Review};
pub use recording::{FACES_FILE, Recording, recordings, recordings_at, undetected_faces, without_cut_line};
pub use removal::{Removed, remove};
