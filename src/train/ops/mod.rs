//! The kernels that training differentiates: convolutions, norms and their neighbours, forward and backward.
//!
//! In and out: f32 activations laid out (image, row, column, channel). Channels are the innermost dimension, so a 1x1
//! convolution is a matrix product and every kernel reads whole vectors. Weights keep PyTorch's order.
//!
//! Every operation has two faces: functions on plain slices, which write into a vector of the caller's, and a candle
//! operation with gradients. On the CPU both run our own kernels; on other devices the operation is put together from
//! candle's. The functions on slices panic if a slice has the wrong length; the operations return an error for shapes that
//! don't fit, and for what the device reports.
//!
//! Work is split over the current rayon pool ([`parallel`]); instructions are chosen in [`crate::runtime::simd`].

mod conv;
pub mod dense;
pub mod depthwise;
pub(crate) mod norm;
mod output;
pub mod parallel;
pub(crate) mod pointwise;
mod vectors;

pub use conv::conv2d;
pub use depthwise::depthwise_conv2d;
pub use norm::{NormMode, batch_norm};
pub use pointwise::{add, avg_pool2x, upsample2x};

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

/// Whether our own kernels compute `x`. Tests can say no, to run what another device would.
pub(crate) fn on_cpu(x: &Tensor) -> bool {
    #[cfg(test)]
    if tests::ELSEWHERE.get() {
        return false;
    }
    x.device().is_cpu()
}

/// The numbers of a contiguous f32 tensor.
fn cpu_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a contiguous tensor is needed here") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

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
    use super::*;
    use candle_core::{Device, Var};
    use rand::{Rng, SeedableRng};

    thread_local! {
        pub(super) static ELSEWHERE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    /// Runs `work` with the operations that other devices than the CPU use, on the CPU.
    pub fn as_elsewhere<R>(work: impl FnOnce() -> R) -> R {
        ELSEWHERE.set(true);
        let result = work();
        ELSEWHERE.set(false);
        result
    }

    /// Compares `f` and its gradients as other devices compute them with what our kernels compute.
    pub fn check_elsewhere(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let all = || -> Vec<Vec<f32>> {
            let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
            let out = f(&vars.iter().map(|v| v.as_tensor().clone()).collect::<Vec<_>>()).unwrap();
            let gradients = (&out * random(out.dims(), 99)).unwrap().sum_all().unwrap().backward().unwrap();
            let of = vars.iter().map(|v| gradients.get(v).unwrap());
            std::iter::once(&out).chain(of).map(|t| t.flatten_all().unwrap().to_vec1().unwrap()).collect()
        };
        for (k, (ours, theirs)) in all().iter().zip(as_elsewhere(all)).enumerate() {
            assert_eq!(ours.len(), theirs.len());
            for (a, e) in ours.iter().zip(theirs) {
                assert!(
                    (a - e).abs() < 2e-3 * e.abs().max(1.0),
                    "{:?}, result {k}: {a}, elsewhere {e}",
                    inputs[0].dims()
                );
            }
        }
    }

    /// Numbers in -1..1.
    pub fn random(shape: &[usize], seed: u64) -> Tensor {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// Compares the gradients of a random weighting of `f`'s output with central differences.
    pub fn check_gradient(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
        const STEP: f32 = 1e-2;
        let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let out = f(&tensors).unwrap();
        let mix = random(out.dims(), 99);
        let loss = |t: &[Tensor]| (f(t).unwrap() * &mix).unwrap().sum_all().unwrap();
        let gradients = loss(&tensors).backward().unwrap();
        for (k, var) in vars.iter().enumerate() {
            let gradient = gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for i in (0..values.len()).step_by(values.len().div_ceil(40)) {
                let shifted = |by: f32| {
                    let mut moved = values.clone();
                    moved[i] += by;
                    let mut all: Vec<Tensor> = inputs.to_vec();
                    all[k] = Tensor::from_vec(moved, inputs[k].dims(), &Device::Cpu).unwrap();
                    f64::from(loss(&all).to_scalar::<f32>().unwrap())
                };
                let expected = (shifted(STEP) - shifted(-STEP)) / f64::from(2.0 * STEP);
                let actual = f64::from(gradient[i]);
                assert!(
                    (actual - expected).abs() < 2e-2 * expected.abs().max(1.0),
                    "input {k}, element {i}: {actual} instead of {expected}"
                );
            }
        }
    }
}
