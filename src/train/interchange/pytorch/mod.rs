//! PyTorch's side of a model: its checkpoints in, its names out.
//!
//! A checkpoint is a pickle, a program for a small stack machine. [`pickle`] runs the few instructions that tensors and
//! dictionaries need and refuses all others, so nothing that a file says is ever executed; [`checkpoint`] knows the two
//! containers of PyTorch, [`import`] the names and shapes of the paper's network.

mod checkpoint;
mod error;
mod import;
mod names;
mod pickle;

pub use error::ImportError;
pub use import::{import_pytorch, import_pytorch_bytes};
pub use names::to_pytorch_names;
