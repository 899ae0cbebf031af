//! The runtime layer: frames in, faces out, without training or the program.
//!
//! It depends neither on candle nor on any crate of the command line, as `cargo check --no-default-features` verifies.
//! Imports run downwards: a module never names one above it in this table.
//!
//! | room | holds |
//! |---|---|
//! | [`geometry`] | points, boxes and similarity transforms, each tagged with its space |
//! | [`simd`] | the vector operations that kernels are written in |
//! | [`files`] | reading of whole files, atomic file writes, claims on outputs |
//! | [`file_kind`] | recognition of files of the wrong kind |
//! | [`named`] | enums whose variants have names |
//! | [`foreign`] | errors of other crates |
//! | [`workers`] | threads that help the calling one |
//! | [`landmarks`] | the landmark schemes |
//! | [`image`] | frames and the crop |
//! | [`heatmap`] | landmarks from heatmaps |
//! | [`model`] | the network as data, and the model file |
//! | [`engine`] | the compiled network |
//! | [`detect`] | the face detector |
//! | [`track`] | the tracker |
//! | [`signals`] | head pose, eyes, gaze, mouth and blend shapes of tracked faces |

pub(crate) mod counted;
pub(crate) mod detect;
pub(crate) mod engine;
pub(crate) mod file_kind;
pub(crate) mod files;
pub(crate) mod foreign;
pub(crate) mod geometry;
pub(crate) mod heatmap;
pub(crate) mod image;
pub(crate) mod landmarks;
pub(crate) mod model;
pub(crate) mod named;
pub(crate) mod signals;
pub(crate) mod simd;
pub(crate) mod track;
pub(crate) mod workers;
