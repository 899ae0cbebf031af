//! Collecting: chooses the frames of a video that are worth correcting, and writes them to disk.
//!
//! In: tracked frames. Out: a recording ([`crate::train::collection`]) with the kept frames, and a [`CollectorEvent`]
//! for each. Frames are kept on request or automatically: sharp ones, different from those kept before, spread over
//! time, and hard rather than easy for the model. Nothing here depends on windows or cameras. Errors are events: a
//! frame that can't be written does not stop tracking.
//!
//! | file | holds |
//! |---|---|
//! | `appearance` | measurements of a face in a frame |
//! | `difficulty` | hints that a face is hard for the model |
//! | `selection` | the choice of frames |
//! | `template` | landmarks for a face that was not found |
//! | `writer` | the thread that writes |
//! | `collector` | all of that together |
//!
//! A clip is five seconds of one recording. Training and held-out faces never share a clip: neighbouring frames are so
//! alike that a model which merely remembers them would seem better than it is. Five seconds are long enough for most
//! frames of two clips to differ, and short enough for a minute, the usual length of a recording, to give a dozen
//! clips.

mod appearance;
mod collector;
mod difficulty;
mod selection;
mod template;
mod writer;

pub(crate) use collector::{Collector, CollectorEvent, Origin};
pub(crate) use selection::{Reason, SelectionOptions};
