//! The running session: the frames of a source are tracked, shown and written until something ends it.
//!
//! In: an open source and [`SessionOptions`]; meanwhile the person's keys. Out: a window and the files that were asked
//! for; an [`Observer`] sees every frame on its way. Errors: what the source, a network, an output or the display
//! reports. However the session ends (the source, the window, Ctrl-C, a display that goes away), its files are whole.
//!
//! | file | holds |
//! |---|---|
//! | `options` | what a session is asked for |
//! | `run` | the threads |
//! | `session` | what they share, and how the session is ended |
//! | `lifecycle` | running, ending, ended |
//! | `source` | the source, the change to another camera, and to another place of a video |
//! | `tracking` | the loop of the tracking thread |
//! | `frame` | a tracked frame |
//! | `controls` | what the window and pages ask of the tracking thread, and what that reports |
//! | `notices`, `model_choice` | what the person should know for a while; which landmark model is used |
//! | `outputs` | everything that is written or sent: `json`, `csv` (both of `lines`), `recording`, `virtual_camera`, and `takes`, which a key asks for; the senders and the server are in [`output`](super::output) |
//! | `collecting` | faces that the person collects |
//! | `display` | the main thread: the window, or painting without one |
//! | `window` | the session in a window: keys, mouse, bar and help, with `figures`, `inspector`, and the drawing of `painter` |
//! | `desk` | the session and its pages |
//! | `observer`, `progress` | whoever watches a session; lines on standard error |
//! | `tuning` | fine-tuning beside the session |
//! | `tracker_setup` | what a tracker is made from |
//!
//! Threads: the main thread shows, one tracks, one ends the session, and every recording and every receiver has its own; a
//! camera brings another. Between capture, tracking and display the latest frame replaces older ones, so a slow thread delays none of
//! the others.

mod collecting;
mod controls;
mod csv;
mod desk;
mod display;
#[cfg(feature = "window")]
mod figures;
mod frame;
#[cfg(feature = "window")]
mod inspector;
mod json;
mod lifecycle;
mod lines;
mod model_choice;
mod notices;
mod observer;
mod options;
mod outputs;
mod painter;
mod progress;
mod recording;
mod run;
mod session;
mod source;
mod takes;
mod tracker_setup;
mod tracking;
mod tuning;
mod virtual_camera;
#[cfg(feature = "window")]
mod window;

pub(crate) use frame::TrackedFrame;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use observer::Observer;
pub(crate) use options::{DisplayOptions, OutputOptions, SessionOptions, SignalOptions};
pub(crate) use progress::ProgressLines;
pub(crate) use run::run;
pub(crate) use source::SessionSource;
pub(crate) use tracker_setup::{LandmarkModel, TrackerSetup};
