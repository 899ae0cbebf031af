//! Collecting: which frames of a video are worth correcting, and their way to the disk.
//!
//! In: tracked frames. Out: a recording ([`crate::train::collection`]) with the frames that were kept, and what became of
//! each, as [`CollectorEvent`]s. Frames are kept because the person asked, or by themselves: sharp, different from those
//! kept before, spread over time, and rather hard for the model than easy. Nothing here knows windows or cameras. Errors
//! are events: a frame that can't be written does not stop tracking.
//!
//! | file | holds |
//! |---|---|
//! | `appearance` | what can be measured of a face in a frame |
//! | `difficulty` | how hard it is for the model |
//! | `selection` | the choice of frames |
//! | `template` | landmarks for a face that was not found |
//! | `writer` | the thread that writes |
//! | `collector` | all of that together |
//!
//! A clip is a stretch of five seconds of one recording. What is learned from a clip is never measured on the same clip:
//! neighbouring frames are so alike that a model which merely remembers them would pass for a better one. Five seconds are
//! long enough that most frames of two clips differ, and short enough that a minute, which is what a person records, gives
//! a dozen of them to divide.

mod appearance;
mod collector;
mod difficulty;
mod selection;
mod template;
mod writer;

pub(crate) use collector::{Collector, CollectorEvent, Origin};
pub(crate) use selection::{Reason, SelectionOptions};
