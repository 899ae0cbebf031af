//! The operations of a network on tensors, with gradients.
//!
//! In and out: f32 tensors laid out (image, row, column, channel), weights in PyTorch's order. On a GPU they are
//! composed of candle's operations. On the CPU they run awing's kernels ([`crate::train::ops`]), so that tests and
//! benches can compare these kernels with candle's gradients and results. Fails for shapes that don't match, and with
//! the device's error.

mod conv;
mod depthwise;
mod norm;
mod pointwise;

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

/// A new vector that `compute` has filled.
pub(crate) fn new_vector(compute: impl FnOnce(&mut Vec<f32>)) -> Vec<f32> {
    let mut out = Vec::new();
    compute(&mut out);
    out
}

/// The numbers of a contiguous f32 tensor.
fn cpu_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a contiguous tensor is needed here") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::train::ops::tests::random_numbers;
    use candle_core::{Device, Var};

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
        Tensor::from_vec(random_numbers(shape.iter().product(), seed), shape, &Device::Cpu).unwrap()
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
