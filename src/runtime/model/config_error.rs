//! Errors in a model's description, and the limits on its sizes.
//!
//! The limits are far above anything useful: they keep a file of a few bytes from exhausting memory.

use crate::runtime::counted::counted;

/// Maximum side of the input, in pixels.
pub(super) const MOST_PIXELS: usize = 4096;
/// Maximum number of channels and of maps.
pub(super) const MOST_CHANNELS: usize = 4096;
/// Maximum number of stacks and blocks.
pub(crate) const MOST_REPEATS: usize = 64;
/// Maximum number of levels: those that the largest input can be halved.
pub(super) const MOST_LEVELS: usize = MOST_PIXELS.ilog2() as usize;
/// Maximum number of operations of a network.
pub(super) const MOST_OPERATIONS: usize = 10_000;

/// An error in a model's description.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("{field} is {value}, it must be at most {most}")]
    TooLarge { field: &'static str, value: usize, most: usize },
    #[error("{field} is 0, it must be at least 1")]
    Zero { field: &'static str },
    #[error("a detector has 5 outputs and 0 points, not {outputs} and {points}")]
    NotADetector { outputs: usize, points: usize },
    #[error("{} can't hold {}", counted(*outputs, "map"), counted(*points, "point"))]
    TooFewMaps { outputs: usize, points: usize },
    /// The coarsest map of the network would not have a whole number of cells.
    #[error("input_size is {size}, it must be a multiple of {multiple}")]
    InputSize { size: usize, multiple: usize },
    #[error("the crop's scale is {0}, it must be a finite number above 0")]
    CropScale(f32),
    #[error("widths has the length {0}, it must have at least 2")]
    TooFewLevels(usize),
    #[error("up_blocks has {actual} numbers, it must have {expected}, one less than widths")]
    UpBlocks { actual: usize, expected: usize },
    #[error("kernel is {0}, it must be 3 or 5")]
    Kernel(usize),
    #[error("a model of {points} points can't have the style {style}: 98 points are wflw's or ibug's")]
    Style { points: usize, style: String },
    #[error("{0}")]
    StyleFits(String),
    #[error("the calibration must have finite maxima that increase, and shares from 0 to 1")]
    Calibration,
    /// The layer is not a convolution that can be quantized, or the range is invalid.
    #[error("the layer {layer} can't be quantized with the range {range}")]
    Quantization { layer: String, range: f32 },
    /// The centres or factors of an int8 layer.
    #[error("what int8 needs to know of the layer {layer} is not one number for each of its channels")]
    Channels { layer: String },
}

/// Checks that a number is in 1..=`most`.
pub(super) fn from_one(field: &'static str, value: usize, most: usize) -> Result<(), ConfigError> {
    if value == 0 { Err(ConfigError::Zero { field }) } else { at_most(field, value, most) }
}

/// Checks that a number is at most `most`.
pub(super) fn at_most(field: &'static str, value: usize, most: usize) -> Result<(), ConfigError> {
    if value > most { Err(ConfigError::TooLarge { field, value, most }) } else { Ok(()) }
}
