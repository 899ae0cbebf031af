//! Network definitions, their configuration, and the model file.
//!
//! A [`Model`] is a configuration and its weights. Its file is safetensors: convolution weights in half (or single)
//! precision, biases and batch norms in single precision, and the configuration as JSON in the metadata, so that a file
//! describes itself. A file that doesn't fit its own description is refused with the first tensor that is missing,
//! superfluous or misshapen; nothing is ever half-loaded.
//!
//! The network itself is data ([`graph::Graph`]) with two executors: [`Network`] runs it in candle, with gradients;
//! [`crate::engine`] compiles it for inference.

mod bundled;
mod config;
mod edge;
mod file;
pub mod graph;
mod network;
mod onnx;
mod paper;
mod pytorch;

pub use bundled::{default_detector, default_landmarks};
pub use config::{Architecture, BoxSide, CropConvention, Kind, ModelConfig};
pub use edge::EdgeConfig;
pub use file::{Model, ModelError, WeightFormat};
pub use network::{Mode, Network};
pub(crate) use network::{NORM_EPSILON, NORM_MOMENTUM, coordinate_planes};
pub use onnx::to_onnx;
pub use paper::PaperConfig;
pub use pytorch::{CheckpointError, import_pytorch, import_pytorch_bytes, to_pytorch_names};
