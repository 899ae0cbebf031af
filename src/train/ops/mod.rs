//! The kernels of training, forward and backward: convolutions, norms and element-wise operations.
//!
//! In and out: f32 activations laid out (image, row, column, channel). Channels are the innermost dimension, so a 1x1
//! convolution is a matrix product and every kernel reads whole vectors. Weights keep PyTorch's order.
//!
//! Functions take plain slices and write into the caller's vector. They panic if a slice has the wrong length.
//! `gpu::candle::ops` has the same operations on tensors.
//!
//! Work is split over the threads of a pool ([`parallel`]); instructions are chosen in [`crate::runtime::simd`].

mod channels;
pub mod dense;
pub mod depthwise;
pub(crate) mod norm;
mod output;
pub mod parallel;
pub(crate) mod pointwise;
mod vectors;

pub use channels::bias_gradient;
pub use output::Epilogue;

/// Rows and columns of the output of a filter.
///
/// # Panics
/// If the filter is larger than the picture with its border, or the stride is 0.
fn output_size((height, width): (usize, usize), kernel: usize, stride: usize, padding: usize) -> (usize, usize) {
    let along = |n: usize| {
        let padded = n + 2 * padding;
        assert!(
            stride > 0 && padded >= kernel,
            "a filter of {kernel} pixels does not fit {n} with {padding} beside them"
        );
        (padded - kernel) / stride + 1
    };
    (along(height), along(width))
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::{Rng, SeedableRng};

    /// Numbers in -1..1.
    pub fn random_numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }
}
