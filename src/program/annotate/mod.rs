//! `awing annotate`: a person reviews and corrects collected faces, or imports labels from other programs.
//!
//! In: a recording or a collection ([`crate::train::collection`]) and a window; or label files of other programs. Out:
//! the same faces with corrected points, each accepted, rejected or pending; or a new recording.
//!
//! | room | holds |
//! |---|---|
//! | `editor` | the window in which faces are corrected |
//! | `import` | labels of other programs |

#[cfg(feature = "window")]
mod editor;
mod import;

#[cfg(feature = "window")]
pub(crate) use editor::run;
pub(crate) use import::{Imported, import};

/// The key of rows whose labels come from another program: the file that they were in.
const IMPORTED: &str = "imported";
