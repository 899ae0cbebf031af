//! The precision of the weights in a model file.

use crate::runtime::named::named;

/// The number format of convolution weights in a file; biases and batch norms are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    #[default]
    F16,
    F32,
}

named!(WeightFormat {
    F32 = "f32": "Single precision: every bit is kept",
    F16 = "f16": "Half precision: half the size",
});
