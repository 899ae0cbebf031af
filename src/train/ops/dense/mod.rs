//! Dense convolution on the CPU: every output channel sees every input channel.
//!
//! Activations are f32 (image, row, column, channel), weights `[out, in, kernel, kernel]`. The forward pass is a matrix
//! product that never builds its left side: a tile of a few output pixels times a few vectors of output channels stays
//! in registers while the taps of the filter pass over the picture in place (pixels beyond it read zeros). The input
//! gradient is the same product with flipped, transposed weights; the weight gradient is a sum of outer products over
//! the pixels. All of it is written once over [`crate::runtime::simd::Simd`].
//!
//! All of these work on plain slices and panic if one has the wrong length; [`super::conv2d`] is the candle operation.

mod forward;
mod input_gradient;
mod packed;
mod shape;
mod tile;
mod weight_gradient;

pub use forward::{Epilogue, run_parallel};
pub use input_gradient::input_gradient;
pub use packed::PackedWeights;
pub(super) use packed::blocks;
pub use shape::ConvShape;
pub use weight_gradient::{bias_gradient, weight_gradient};
