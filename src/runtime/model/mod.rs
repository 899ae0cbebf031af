//! Network definitions, their configuration, and the model file.
//!
//! A [`Model`] is a configuration and its weights. Its file is safetensors: convolution weights in half (or single) precision,
//! biases and batch norms in single precision, and the configuration as JSON in the metadata, so that a file describes
//! itself. A file that doesn't fit its own description is refused with the first tensor that is missing, superfluous or
//! misshapen; nothing is ever half-loaded.
//!
//! The network itself is data ([`graph::Graph`]) with two executors: [`Network`] runs it in candle, with gradients;
//! [`crate::runtime::engine`] compiles it for inference.
//!
//! A file that [`crate::train::quantize`] made has bytes for the weights of some layers (tensors of type I8) and beside each what
//! one counts in every output channel, under the layer's name and `weight_unit`; in memory they are numbers like all others.

mod bundled;
mod config;
mod config_error;
mod edge;
mod file;
pub mod graph;
mod paper;
mod quantization;
mod weight_format;

pub use bundled::{default_detector, default_landmarks};
pub use config::{Architecture, BoxSide, CropConvention, DETECTOR_OUTPUTS, Kind, ModelConfig};
pub use config_error::ConfigError;
pub(crate) use config_error::MOST_REPEATS;
pub use edge::EdgeConfig;
pub use file::{Model, ModelError};
pub use paper::PaperConfig;
pub use quantization::Quantization;
pub(crate) use quantization::{LARGEST_BYTE, round_to_bytes};
pub use weight_format::WeightFormat;
