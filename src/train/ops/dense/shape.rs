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

    /// Why the shape is impossible, if it is.
    pub(in crate::train::ops) fn problem(&self) -> Option<String> {
        let channels = self.inputs.max(self.outputs);
        if channels > ZEROS.len() {
            return Some(format!("{channels} channels are more than {}", ZEROS.len()));
        }
        if self.stride == 0 || self.kernel == 0 || self.height.min(self.width) + 2 * self.padding < self.kernel {
            return Some(format!("{self:?} has no output"));
        }
        None
    }
}

/// What a pixel beyond the picture reads; as many as any network here has channels.
pub(super) static ZEROS: [f32; 4096] = [0.0; 4096];
