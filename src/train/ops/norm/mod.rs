//! Batch normalization over the last dimension, with the ReLU that mostly follows it.
//!
//! PyTorch's semantics: in training the batch's mean and biased variance normalize, and the running statistics follow
//! with the unbiased variance; in evaluation the running ones normalize. Statistics are summed in f32 over short runs of
//! pixels and in f64 over these, in an order that depends on the number of threads alone. The functions on slices panic if
//! one has the wrong length.

mod kernels;
mod operation;

pub(crate) use kernels::{NormOf, Statistics, gradients, normalize, statistics};
pub use operation::{NormMode, batch_norm};
