//! The runtime layer: frames in, faces out, with no training and no program around it.
//!
//! It depends on neither candle nor any crate of the command line; `cargo check --no-default-features` holds that. Imports
//! run downwards: a room below never names one above it.
//!
//! | room | holds |
//! |---|---|
//! | [`geometry`] | points, boxes and similarity transforms, each tagged with its space |
//! | [`simd`] | the vector operations that kernels are written in |
//! | [`files`] | files that are whole or absent |
//! | [`named`] | enums whose variants have names |
//! | [`foreign`] | errors of other crates |
//! | [`landmarks`] | the landmark schemes |
//! | [`image`] | frames and the one crop |
//! | [`heatmap`] | landmarks from heatmaps |
//! | [`model`] | the network as data, and the model file |
//! | [`engine`] | the compiled network |
//! | [`detect`] | the face detector |
//! | [`track`] | the tracker |

pub(crate) mod detect;
pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod foreign;
pub(crate) mod geometry;
pub(crate) mod heatmap;
pub(crate) mod image;
pub(crate) mod landmarks;
pub(crate) mod model;
pub(crate) mod named;
pub(crate) mod simd;
pub(crate) mod track;
