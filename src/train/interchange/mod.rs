//! Models from and for other programs: PyTorch checkpoints of the paper's network in; ONNX and PyTorch's names out.
//!
//! In and out: the bytes of files. Errors name the file, and the tensor that is wrong.

mod onnx;
mod pytorch;

pub use onnx::to_onnx;
pub use pytorch::{ImportError, import_pytorch, import_pytorch_bytes, to_pytorch_names};
