//! The convolution kernels and their neighbours as candle custom operations, forward and backward.
//!
//! Activations are f32 and laid out (image, row, column, channel): channels are the innermost dimension, so a 1x1
//! convolution is a matrix product and every kernel reads whole vectors. Weights keep PyTorch's order.

pub mod parallel;
pub mod simd;
