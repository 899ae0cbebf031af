//! The program layer: sources of frames, the running session, its display, and the commands.
//!
//! | room | holds |
//! |---|---|
//! | [`capture`] | sources of frames, and writers of pictures and videos |
//! | [`view`] | drawing on a canvas, and the window that shows it |
//! | [`collect`] | chooses frames that are worth correcting, and writes them to disk |
//! | [`models`] | the tuned models of this computer, and the one that awing starts with |
//! | [`config`] | the settings of `awing.toml` |
//! | [`profiles`] | what awing learned about people, by name |
//! | [`annotate`] | correction of collected faces in a window, and import of labels |
//! | [`diagram`] | the landmarks with their numbers, as a picture and as tables |
//! | [`output`] | sends the signals of faces to other programs, over the network |
//! | [`live`] | the running session: one source tracked, shown and written |
//! | [`cli`] | the commands |

// Results go through `console::print`: `println` panics if standard output is closed.
#![deny(clippy::print_stdout)]

pub(crate) mod annotate;
pub mod capture;
pub mod cli;
mod collect;
mod config;
mod console;
mod diagram;
mod latest;
pub(crate) mod live;
mod models;
mod output;
mod places;
mod profiles;
pub(crate) mod view;
