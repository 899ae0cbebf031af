//! The size of a depthwise convolution, and its weights.

use crate::train::ops::output_size;

/// The size of a depthwise convolution over one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DepthwiseShape {
    /// Rows and columns of the input.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Side of the filter.
    pub kernel: usize,
    pub stride: usize,
    /// Zeros about the picture, on every side.
    pub padding: usize,
}

impl DepthwiseShape {
    /// Rows and columns of the output.
    ///
    /// # Panics
    /// If the filter is larger than the picture with its border, or the stride is 0.
    pub fn output_size(&self) -> (usize, usize) {
        let Self { height, width, kernel, stride, padding, .. } = *self;
        output_size((height, width), kernel, stride, padding)
    }
}

/// Weights as `[tap][channel]`.
#[derive(Clone, Debug)]
pub struct Packed(Vec<f32>);

impl Packed {
    /// Packs `[channels, 1, kernel, kernel]` weights.
    ///
    /// # Panics
    /// If `weight` has another length.
    pub fn new(weight: &[f32], channels: usize, kernel: usize) -> Self {
        let taps = kernel * kernel;
        assert_eq!(weight.len(), channels * taps);
        Self((0..taps).flat_map(|tap| (0..channels).map(move |c| weight[c * taps + tap])).collect())
    }

    /// The filters rotated by 180 degrees: the weights of the input gradient.
    pub(super) fn rotated(weight: &[f32], channels: usize, kernel: usize) -> Self {
        let taps = kernel * kernel;
        Self((0..taps).flat_map(|tap| (0..channels).map(move |c| weight[c * taps + taps - 1 - tap])).collect())
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.0
    }
}
