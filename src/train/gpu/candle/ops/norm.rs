//! Batch normalization as a candle operation.

use super::{cpu_slice, new_vector, on_cpu};
use crate::runtime::simd::Isa;
use crate::train::ops::norm::{NormOf, Statistics, gradients, normalize, statistics};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, Var, bail};
use std::sync::{Arc, OnceLock};

/// The statistics to normalize with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormMode {
    /// The batch's; the running ones take it in with weight `momentum`.
    Train { momentum: f64 },
    /// The running ones.
    Evaluate,
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, then a ReLU if `relu`, for each channel (the last dimension
/// of `x`). `gamma`, `beta` and the running statistics are `[channels]`. Gradients with respect to `x`, `gamma` and
/// `beta`.
///
/// # Errors
/// Shapes that don't fit, and what the device reports.
#[expect(clippy::too_many_arguments, reason = "a batch norm is these numbers")]
pub fn batch_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    running_mean: &Var,
    running_var: &Var,
    mode: NormMode,
    epsilon: f64,
    relu: bool,
) -> Result<Tensor> {
    let channels = x.dim(x.rank() - 1)?;
    let count = x.elem_count() / channels.max(1);
    if count == 0 || gamma.dims() != [channels] || beta.dims() != [channels] {
        bail!("a batch norm of {:?} can't have a gain {:?} and a bias {:?}", x.dims(), gamma.dims(), beta.dims());
    }
    let follow = |mean: &Tensor, variance: &Tensor, momentum: f64| -> Result<()> {
        let unbiased = count as f64 / (count as f64 - 1.0).max(1.0);
        running_mean.set(&((running_mean.as_tensor() * (1.0 - momentum))? + (mean * momentum)?)?)?;
        running_var.set(&((running_var.as_tensor() * (1.0 - momentum))? + (variance * (momentum * unbiased))?)?)
    };
    if !on_cpu(x) {
        let rows = x.reshape((count, channels))?;
        let (mean, variance) = match mode {
            NormMode::Train { momentum } => {
                let mean = rows.mean_keepdim(0)?;
                let variance = rows.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
                follow(&mean.detach().flatten_all()?, &variance.detach().flatten_all()?, momentum)?;
                (mean, variance)
            }
            NormMode::Evaluate => {
                (running_mean.detach().reshape((1, channels))?, running_var.detach().reshape((1, channels))?)
            }
        };
        let scale = (variance + epsilon)?.sqrt()?.recip()?.broadcast_mul(&gamma.reshape((1, channels))?)?;
        let y = rows.broadcast_sub(&mean)?.broadcast_mul(&scale)?.broadcast_add(&beta.reshape((1, channels))?)?;
        let y = if relu { y.relu()? } else { y };
        return y.reshape(x.shape());
    }
    let statistics = Arc::new(OnceLock::new());
    if mode == NormMode::Evaluate {
        let (mean, variance) = (running_mean.to_vec1::<f32>()?, running_var.to_vec1::<f32>()?);
        let _ = statistics.set(Statistics { mean, variance });
    }
    let fixed = mode == NormMode::Evaluate;
    let op = Norm { statistics: statistics.clone(), fixed, epsilon: epsilon as f32, relu };
    let y = x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?;
    if let (NormMode::Train { momentum }, Some(Statistics { mean, variance })) = (mode, statistics.get()) {
        let tensor = |v: &[f32]| Tensor::from_slice(v, channels, x.device());
        follow(&tensor(mean)?, &tensor(variance)?, momentum)?;
    }
    Ok(y)
}

struct Norm {
    /// Those of the batch once the forward pass is done, or the running ones.
    statistics: Arc<OnceLock<Statistics>>,
    fixed: bool,
    epsilon: f32,
    relu: bool,
}

impl Norm {
    fn of<'a>(&'a self, gamma: &'a [f32]) -> Result<NormOf<'a>> {
        let missing = || candle_core::Error::Msg("the forward pass comes first".into());
        let statistics = self.statistics.get().ok_or_else(missing)?;
        Ok(NormOf { gamma, statistics, fixed: self.fixed, epsilon: self.epsilon, relu: self.relu })
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "awing-batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        gamma: &CpuStorage,
        lg: &Layout,
        beta: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gamma, beta, isa) = (cpu_slice(x, lx)?, cpu_slice(gamma, lg)?, cpu_slice(beta, lb)?, Isa::active());
        if !self.fixed {
            let _ = self.statistics.set(statistics(isa, x, gamma.len()));
        }
        let norm = self.of(gamma)?;
        Ok((CpuStorage::F32(new_vector(|out| normalize(isa, &norm, beta, x, out))), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        _: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gamma = gamma.to_vec1()?;
        let backward = Backward { norm: self.of(&gamma)?, gradients: OnceLock::new() };
        let dx = x.apply_op3_no_bwd(y, &dy.contiguous()?, &backward)?;
        let Some((dgamma, dbeta)) = backward.gradients.into_inner() else { bail!("the backward pass has not run") };
        let tensor = |v: Vec<f32>| Tensor::from_vec(v, gamma.len(), x.device());
        Ok((Some(dx), Some(tensor(dgamma)?), Some(tensor(dbeta)?)))
    }
}

struct Backward<'a> {
    norm: NormOf<'a>,
    /// Those of gain and bias.
    gradients: OnceLock<(Vec<f32>, Vec<f32>)>,
}

impl CustomOp3 for Backward<'_> {
    fn name(&self) -> &'static str {
        "awing-batch-norm-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        y: &CpuStorage,
        ly: &Layout,
        dy: &CpuStorage,
        ld: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y, dy) = (cpu_slice(x, lx)?, cpu_slice(y, ly)?, cpu_slice(dy, ld)?);
        let mut dx = Vec::new();
        let _ = self.gradients.set(gradients(Isa::active(), &self.norm, x, y, dy, &mut dx));
        Ok((CpuStorage::F32(dx), lx.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_elsewhere, check_gradient, random};
    use super::*;

    fn running(channels: usize) -> (Var, Var) {
        let mean = random(&[channels], 5);
        let variance = (random(&[channels], 6).abs().unwrap() + 0.5).unwrap();
        (Var::from_tensor(&mean).unwrap(), Var::from_tensor(&variance).unwrap())
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for mode in [NormMode::Train { momentum: 0.1 }, NormMode::Evaluate] {
            for (shape, relu) in [([2, 3, 4, 5], false), ([1, 4, 3, 19], true)] {
                let channels = shape[3];
                let (mean, variance) = running(channels);
                // Far from the corner of the ReLU on one side or the other: a difference quotient means nothing there.
                let beta = random(&[channels], 3);
                let beta = if relu { (beta.sign().unwrap() * 5.0).unwrap() } else { beta };
                let inputs = [random(&shape, 1), random(&[channels], 2), beta];
                check_gradient(&inputs, |v| {
                    batch_norm(&v[0], &v[1], &v[2], &copy(&mean), &copy(&variance), mode, 1e-5, relu)
                });
            }
        }
    }

    #[test]
    fn other_devices_compute_the_same() {
        let (mean, variance) = running(21);
        let inputs = [random(&[2, 3, 5, 21], 1), random(&[21], 2), random(&[21], 3)];
        for (mode, relu) in [(NormMode::Train { momentum: 0.1 }, false), (NormMode::Evaluate, true)] {
            check_elsewhere(&inputs, |v| {
                batch_norm(&v[0], &v[1], &v[2], &copy(&mean), &copy(&variance), mode, 1e-5, relu)
            });
        }
    }

    fn copy(var: &Var) -> Var {
        Var::from_tensor(&var.as_tensor().copy().unwrap()).unwrap()
    }

    #[test]
    fn it_normalizes_and_the_running_statistics_follow() {
        let x = ((random(&[3, 8, 8, 21], 1) * 2.0).unwrap() + 3.0).unwrap();
        let (mean, variance) = running(21);
        let old = mean.to_vec1::<f32>().unwrap();
        let (one, zero) =
            (Tensor::ones(21, candle_core::DType::F32, x.device()).unwrap(), (random(&[21], 1) * 0.0).unwrap());
        let y = batch_norm(&x, &one, &zero, &mean, &variance, NormMode::Train { momentum: 0.1 }, 1e-5, false).unwrap();
        let rows = y.reshape((192, 21)).unwrap();
        for m in rows.mean(0).unwrap().to_vec1::<f32>().unwrap() {
            assert!(m.abs() < 1e-5);
        }
        for v in rows.sqr().unwrap().mean(0).unwrap().to_vec1::<f32>().unwrap() {
            assert!((v - 1.0).abs() < 1e-3);
        }
        let expected = x.reshape((192, 21)).unwrap().mean(0).unwrap().to_vec1::<f32>().unwrap();
        for ((new, old), e) in mean.to_vec1::<f32>().unwrap().iter().zip(&old).zip(&expected) {
            assert!((new - (0.9 * old + 0.1 * e)).abs() < 1e-5);
        }
    }
}
