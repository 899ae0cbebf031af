//! The running session: tracks, shows and writes the frames of a source until something ends it.
//!
//! In: an open source and [`SessionOptions`]; meanwhile keys and clicks. Out: a window and the requested files; an
//! [`Observer`] sees every frame. Errors: those of the source, a network, an output or the display. However the session
//! ends (the source, the window, Ctrl-C, a lost display), its files are complete.
//!
//! | file | holds |
//! |---|---|
//! | `options` | the options of a session |
//! | `run` | the threads |
//! | `session` | the state that they share, and the end of the session |
//! | `lifecycle` | running, ending, ended |
//! | `source` | the source, switching cameras, seeking in a video |
//! | `tracking` | the loop of the tracking thread |
//! | `frame` | a tracked frame |
//! | `controls` | settings and requests to the tracking thread, and its status |
//! | `notices`, `model_choice` | temporary messages; the landmark model in use |
//! | `outputs` | everything that is written or sent: `json`, `csv` (both of `lines`), `recording`, `virtual_camera`, and `takes`, started by a key; the senders and the server are in [`output`](super::output) |
//! | `collecting` | collecting faces |
//! | `display` | the main thread: the window, or painting without one |
//! | `window` | the session in a window: keys, mouse, bar and help, with `figures`, `inspector`, and the drawing of `painter` |
//! | `desk` | connects the session and its pages |
//! | `observer`, `progress` | observers of a session; lines on standard error |
//! | `tuning` | fine-tuning beside the session |
//! | `tracker_setup` | options and models of a tracker |
//!
//! Threads: the main thread displays, one tracks, one ends the session, and every recording, every receiver and a
//! camera has its own. Between capture, tracking and display the latest frame replaces older ones, so a slow thread
//! delays none of the others.

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

pub(crate) use csv::CsvRows;
pub(crate) use frame::TrackedFrame;
pub(crate) use json::JsonLines;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use lines::NoReader;
pub(crate) use observer::Observer;
pub(crate) use options::{DisplayOptions, OutputOptions, SessionOptions, SignalOptions};
pub(crate) use progress::ProgressLines;
pub(crate) use run::run;
pub(crate) use source::SessionSource;
pub(crate) use tracker_setup::{LandmarkModel, TrackerSetup};
