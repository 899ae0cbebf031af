//! Real-time face-landmark tracking on an ordinary CPU.
//!
//! `awing` finds faces in pictures and video and puts 98 landmarks (the WFLW scheme) on each. The landmarks are read
//! off heatmaps that a small hourglass network predicts; it is trained with the Adaptive Wing loss (Wang, Bo, Fuxin,
//! ICCV 2019). See `ARCHITECTURE.md` for the rooms of the house and how data flows through them.

// Some tests inside share files with those outside, which call the library by its name.
#[cfg(test)]
extern crate self as awing;

pub mod capture;
pub mod cli;
pub mod data;
pub mod detect;
pub mod engine;
pub mod eval;
pub mod files;
pub mod geometry;
pub mod heatmap;
pub mod image;
pub mod landmarks;
pub mod loss;
pub mod model;
pub mod ops;
pub mod plot;
pub mod quantize;
pub mod simd;
pub mod synth;
pub mod text;
pub mod track;
pub mod train;
pub mod view;
