//! Models from and for other programs: PyTorch checkpoints of the paper's network in, ONNX out.

mod onnx;
mod pytorch;

pub use onnx::to_onnx;
pub use pytorch::{ImportError, import_pytorch, import_pytorch_bytes, to_pytorch_names};
