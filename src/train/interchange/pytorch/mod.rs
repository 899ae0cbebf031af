//! PyTorch: reads its checkpoints, and writes weights under its names.
//!
//! In: the bytes of a checkpoint. Out: a model of the paper's network; and in the other direction, a safetensors file
//! for `load_state_dict`. Errors are [`ImportError`]s.
//!
//! A checkpoint is a pickle, a program for a small stack machine. [`unpickler`] runs the few instructions that tensors
//! and dictionaries need and refuses all others, so no code from a file is ever executed. [`checkpoint`] reads
//! PyTorch's two containers, [`import`] has the names and shapes of the paper's network.

mod checkpoint;
mod error;
mod import;
mod names;
mod pickle;
mod unpickler;

pub use error::ImportError;
pub use import::{import_pytorch, import_pytorch_bytes};
pub use names::to_pytorch_names;
