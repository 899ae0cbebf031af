//! PyTorch's side of a model: its checkpoints in, its names out.

mod names;

pub use names::to_pytorch_names;
