//! The program layer: sources of frames, the window, outputs and the commands.

pub mod capture;
pub mod cli;
pub mod synth;
pub(crate) mod tracker_setup;
pub(crate) mod view;
