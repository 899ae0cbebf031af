//! Depthwise convolution: every channel has a filter of its own.
//!
//! Activations are f32 (image, row, column, channel), weights `[channels, 1, kernel, kernel]`. One vector holds
//! neighbouring channels of one pixel; a few output pixels of a row are summed in registers at a time. [`run_parallel`] and
//! the gradients work on plain slices and panic if one has the wrong length; [`depthwise_conv2d`] is the candle operation
//! with gradients.

mod forward;
mod gradients;
mod operation;
mod shape;

pub use forward::run_parallel;
pub use gradients::{input_gradient, weight_gradient};
pub use operation::depthwise_conv2d;
pub use shape::{DepthwiseShape, Packed};
