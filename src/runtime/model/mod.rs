//! Network definitions, their configuration, and the model file.
//!
//! A [`Model`] is a configuration and its weights. Its file is safetensors: convolution weights in f16 (or f32), biases
//! and batch norms in f32, and the configuration as JSON in the metadata, so that a file describes itself. A file that
//! doesn't fit its own description is refused with the first tensor that is missing, superfluous or misshapen; no model
//! is ever loaded in part.
//!
//! The network itself is data ([`graph::Graph`]): the training layer runs it with gradients,
//! [`crate::runtime::engine`] compiles it for inference.
//!
//! What int8 needs beside the weights stands in the configuration ([`Quantization`]).

mod balance;
mod bundled;
mod config;
mod config_error;
mod edge;
mod error;
mod file;
pub mod graph;
mod paper;
mod quantization;
mod weight_format;

pub(crate) use balance::Group;
pub use bundled::{default_detector, default_landmarks};
pub use config::{Architecture, BoxSide, CropConvention, DETECTOR_OUTPUTS, Kind, ModelConfig};
pub use config_error::ConfigError;
pub(crate) use config_error::MOST_REPEATS;
pub use edge::EdgeConfig;
pub use error::ModelError;
pub use file::Model;
pub use paper::PaperConfig;
pub use quantization::Quantization;
pub(crate) use quantization::{INT8_LIMIT, quantize_row};
pub use weight_format::WeightFormat;
