//! The program layer: sources of frames, the running session, what it shows, and the commands.
//!
//! | room | holds |
//! |---|---|
//! | [`capture`] | sources of frames, and writers of pictures and videos |
//! | [`view`] | drawing on a canvas, and the window that shows it |
//! | [`collect`] | the choice of frames that are worth correcting, and their way to the disk |
//! | [`models`] | the tuned models of this computer, and the one that awing starts with |
//! | [`config`] | the settings of `awing.toml` |
//! | [`profiles`] | what is known of a person, by name |
//! | [`annotate`] | collected faces corrected in a window, and labels of other programs |
//! | [`diagram`] | the landmarks with their numbers, as a picture and as tables |
//! | [`output`] | the signals of faces on their way to other programs, over the network |
//! | [`live`] | the running session: one source tracked, shown and written |
//! | [`cli`] | the commands |

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
