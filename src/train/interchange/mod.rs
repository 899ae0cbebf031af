//! Import and export of models: reads PyTorch checkpoints of the paper's network; writes ONNX, and weights under
//! PyTorch's names.
//!
//! In and out: the bytes of files. Errors name the file and the faulty tensor.

mod onnx;
mod pytorch;

pub use onnx::to_onnx;
pub use pytorch::{ImportError, import_pytorch, import_pytorch_bytes, to_pytorch_names};
