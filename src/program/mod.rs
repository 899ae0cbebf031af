//! The program layer: sources of frames, the running session, what it shows, and the commands.
//!
//! | room | holds |
//! |---|---|
//! | [`capture`] | sources of frames, and writers of pictures and videos |
//! | [`synth`] | procedural faces with exact landmarks |
//! | [`view`] | drawing on a canvas, and the window that shows it |
//! | [`live`] | the running session: one source tracked, shown and written |
//! | [`cli`] | the commands |

pub mod capture;
pub mod cli;
mod console;
pub(crate) mod live;
pub(crate) mod view;
