//! The size of a dense convolution.

use crate::train::ops::output_size;

/// The size of a convolution over one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Rows and columns of the input.
    pub height: usize,
    pub width: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// Side of the filter.
    pub kernel: usize,
    pub stride: usize,
    /// Zeros about the picture, on every side.
    pub padding: usize,
}

impl ConvShape {
    /// Rows and columns of the output.
    ///
    /// # Panics
    /// If the filter is larger than the picture with its border, or the stride is 0.
    pub fn output_size(&self) -> (usize, usize) {
        let Self { height, width, kernel, stride, padding, .. } = *self;
        output_size((height, width), kernel, stride, padding)
    }
}

/// Channels of the largest convolution.
pub(crate) const MOST_CHANNELS: usize = 4096;
