//! Real-time face-landmark tracking on an ordinary CPU.
//!
//! `awing` finds faces in pictures and video and puts 98 landmarks (the WFLW scheme) on each. The landmarks are read
//! off heatmaps that a small hourglass network predicts; it is trained with the Adaptive Wing loss (Wang, Bo, Fuxin,
//! ICCV 2019). See `ARCHITECTURE.md` for the layers and rooms of the crate and how data flows through them.

// Layers above use what a layer alone does not.
#![cfg_attr(not(feature = "program"), allow(dead_code, unused_imports))]

// Some tests inside share files with those outside, which call the library by its name.
#[cfg(test)]
extern crate self as awing;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "program")]
mod program;
mod runtime;
#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "program")]
#[doc(hidden)]
pub use program::cli::main as run_program;
pub use runtime::detect::Detection;
pub use runtime::engine::{Backend, EngineError, Executor, Precision};
pub use runtime::geometry::{FrameSpace, Point, Rect};
pub use runtime::heatmap::HeatmapView;
pub use runtime::image::{Frame, ImageError};
pub use runtime::landmarks::{Landmark, Part, Scheme};
pub use runtime::model::{Model, ModelError};
pub use runtime::track::{Face, Models, Smoothing, StageTimes, TrackError, Tracker, TrackerOptions};
