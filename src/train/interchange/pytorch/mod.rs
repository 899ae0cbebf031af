//! PyTorch's side of a model: its checkpoints in, its names out.
//!
//! In: the bytes of a checkpoint. Out: a model of the paper's network; and the other way round, a safetensors file that
//! `load_state_dict` takes. Errors are [`ImportError`]s.
//!
//! A checkpoint is a pickle, a program for a small stack machine. [`unpickler`] runs the few instructions that tensors and
//! dictionaries need and refuses all others, so nothing that a file says is ever executed; [`checkpoint`] knows the two
//! containers of PyTorch, [`import`] the names and shapes of the paper's network.

mod checkpoint;
mod error;
mod import;
mod names;
mod pickle;
mod unpickler;

pub use error::ImportError;
pub use import::{import_pytorch, import_pytorch_bytes};
pub use names::to_pytorch_names;
