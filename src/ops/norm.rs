//! Batch normalization over the last dimension, with the ReLU that mostly follows it.
//!
//! PyTorch's semantics: in training the batch's mean and biased variance normalize, and the running statistics follow
//! with the unbiased variance; in evaluation the running ones normalize. Statistics are summed in f32 over short runs of
//! pixels and in f64 over these, in an order that depends on the number of threads alone.

use super::{cpu_slice, filled, on_cpu, parallel};
use crate::simd::{Isa, Kernel, Simd, dispatch};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, Var, bail};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Which statistics normalize.
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

#[derive(Debug)]
struct Statistics {
    mean: Vec<f32>,
    /// Biased.
    variance: Vec<f32>,
}

struct Norm {
    /// Those of the batch once the forward pass is done, or the running ones.
    statistics: Arc<OnceLock<Statistics>>,
    /// Whether the statistics don't depend on the input.
    fixed: bool,
    epsilon: f32,
    relu: bool,
}

/// Pixels that are summed in f32 before f64 takes over.
const RUN: usize = 64;
/// Pixels that are worth handing to another thread.
const PIXELS_WORTH_A_THREAD: usize = 512;

/// Sums over pixels of two numbers a channel, computed part by part on the current thread pool.
fn channel_sums(
    count: usize,
    channels: usize,
    sum: impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync,
) -> (Vec<f64>, Vec<f64>) {
    let parts = parallel::threads().min(count.div_ceil(PIXELS_WORTH_A_THREAD)).max(1);
    let length = count.div_ceil(parts);
    let part = |part: usize| {
        let (mut first, mut second) = (vec![0.0_f64; channels], vec![0.0_f64; channels]);
        let (mut a, mut b) = (vec![0.0_f32; channels], vec![0.0_f32; channels]);
        let end = ((part + 1) * length).min(count);
        let mut start = part * length;
        while start < end {
            a.fill(0.0);
            b.fill(0.0);
            let stop = (start + RUN).min(end);
            sum(start..stop, &mut a, &mut b);
            for c in 0..channels {
                first[c] += f64::from(a[c]);
                second[c] += f64::from(b[c]);
            }
            start = stop;
        }
        (first, second)
    };
    let all: Vec<_> = if parts == 1 { vec![part(0)] } else { (0..parts).into_par_iter().map(part).collect() };
    let mut total = (vec![0.0; channels], vec![0.0; channels]);
    for (first, second) in all {
        for c in 0..channels {
            total.0[c] += first[c];
            total.1[c] += second[c];
        }
    }
    total
}

/// Plain code compiled for an instruction set: the compiler makes vectors of it.
struct Vectorized<F>(F);

impl<F: FnOnce()> Kernel for Vectorized<F> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        (self.0)();
    }
}

impl Norm {
    fn coefficients(&self, gamma: &[f32], beta: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let Statistics { mean, variance } = self.known()?;
        let scale: Vec<f32> = gamma.iter().zip(variance).map(|(g, v)| g / (v.max(0.0) + self.epsilon).sqrt()).collect();
        let shift = beta.iter().zip(&scale).zip(mean).map(|((b, s), m)| b - s * m).collect();
        Ok((scale, shift))
    }

    fn known(&self) -> Result<&Statistics> {
        self.statistics.get().ok_or_else(|| candle_core::Error::Msg("the forward pass comes first".into()))
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
        let channels = gamma.len();
        let count = x.len() / channels;
        if !self.fixed {
            let (sum, squares) = channel_sums(count, channels, |pixels, a, b| {
                dispatch(
                    isa,
                    Vectorized(
                        #[inline(always)]
                        || {
                            for pixel in x[pixels.start * channels..pixels.end * channels].chunks_exact(channels) {
                                for ((a, b), v) in a.iter_mut().zip(b.iter_mut()).zip(pixel) {
                                    *a += v;
                                    *b += v * v;
                                }
                            }
                        },
                    ),
                );
            });
            let mean: Vec<f64> = sum.iter().map(|s| s / count as f64).collect();
            let variance = squares.iter().zip(&mean).map(|(s, m)| (s / count as f64 - m * m).max(0.0) as f32).collect();
            let mean = mean.into_iter().map(|m| m as f32).collect();
            let _ = self.statistics.set(Statistics { mean, variance });
        }
        let (scale, shift) = self.coefficients(gamma, beta)?;
        let lowest = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        // SAFETY: every pixel is written.
        let y = unsafe {
            filled(x.len(), |out| {
                parallel::split(count, PIXELS_WORTH_A_THREAD, |pixels| {
                    // SAFETY: parts don't overlap.
                    let out = std::slice::from_raw_parts_mut(
                        out.pointer().add(pixels.start * channels),
                        pixels.len() * channels,
                    );
                    let x = &x[pixels.start * channels..pixels.end * channels];
                    dispatch(
                        isa,
                        Vectorized(
                            #[inline(always)]
                            || {
                                for (y, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                                    for (((y, x), a), b) in y.iter_mut().zip(x).zip(&scale).zip(&shift) {
                                        *y = (x * a + b).max(lowest);
                                    }
                                }
                            },
                        ),
                    );
                });
            })
        };
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        _: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Statistics { mean, variance } = self.known()?;
        let inverse_deviation: Vec<f32> = variance.iter().map(|v| 1.0 / (v.max(0.0) + self.epsilon).sqrt()).collect();
        let backward = Backward {
            mean: mean.clone(),
            inverse_deviation,
            gamma: gamma.to_vec1()?,
            fixed: self.fixed,
            relu: self.relu,
            sums: OnceLock::new(),
        };
        let dx = x.apply_op3_no_bwd(y, &dy.contiguous()?, &backward)?;
        let Some((dgamma, dbeta)) = backward.sums.into_inner() else { bail!("the backward pass has run") };
        let channels = dgamma.len();
        let tensor = |v: Vec<f32>| Tensor::from_vec(v, channels, x.device());
        Ok((Some(dx), Some(tensor(dgamma)?), Some(tensor(dbeta)?)))
    }
}

struct Backward {
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    gamma: Vec<f32>,
    fixed: bool,
    relu: bool,
    /// The gradients of gain and bias.
    sums: OnceLock<(Vec<f32>, Vec<f32>)>,
}

impl CustomOp3 for Backward {
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
        let (x, y, dy, isa) = (cpu_slice(x, lx)?, cpu_slice(y, ly)?, cpu_slice(dy, ld)?, Isa::active());
        let Self { mean, inverse_deviation, gamma, relu, .. } = self;
        let channels = gamma.len();
        let count = x.len() / channels;
        // Without a ReLU every gradient passes.
        let lowest = if *relu { 0.0 } else { f32::NEG_INFINITY };
        let (products, sums) = channel_sums(count, channels, |pixels, a, b| {
            let all = pixels.start * channels..pixels.end * channels;
            let (x, y, dy) = (&x[all.clone()], &y[all.clone()], &dy[all]);
            dispatch(
                isa,
                Vectorized(
                    #[inline(always)]
                    || {
                        let rows =
                            x.chunks_exact(channels).zip(y.chunks_exact(channels)).zip(dy.chunks_exact(channels));
                        for ((x, y), dy) in rows {
                            let sums = a.iter_mut().zip(b.iter_mut()).zip(mean.iter().zip(inverse_deviation));
                            for (((a, b), (mean, inverse)), ((x, y), dy)) in sums.zip(x.iter().zip(y).zip(dy)) {
                                let (gradient, nothing) = (*dy, 0.0);
                                let g = if *y > lowest { gradient } else { nothing };
                                *a += g * (x - mean) * inverse;
                                *b += g;
                            }
                        }
                    },
                ),
            );
        });
        // dx = scale * (g - mean of g - normalized x * mean of (g * normalized x)); the means drop out where the
        // statistics are fixed.
        let share = if self.fixed { 0.0 } else { 1.0 / count as f64 };
        let scale: Vec<f32> = gamma.iter().zip(inverse_deviation).map(|(g, i)| g * i).collect();
        let slope: Vec<f32> = (0..channels)
            .map(|c| (-f64::from(scale[c]) * f64::from(inverse_deviation[c]) * products[c] * share) as f32)
            .collect();
        let offset: Vec<f32> = (0..channels)
            .map(|c| (-f64::from(scale[c]) * sums[c] * share - f64::from(slope[c]) * f64::from(mean[c])) as f32)
            .collect();
        // SAFETY: every pixel is written.
        let dx = unsafe {
            filled(x.len(), |out| {
                parallel::split(count, PIXELS_WORTH_A_THREAD, |pixels| {
                    let all = pixels.start * channels..pixels.end * channels;
                    // SAFETY: parts don't overlap.
                    let out = std::slice::from_raw_parts_mut(out.pointer().add(all.start), all.len());
                    let (x, y, dy) = (&x[all.clone()], &y[all.clone()], &dy[all]);
                    dispatch(
                        isa,
                        Vectorized(
                            #[inline(always)]
                            || {
                                let rows = x
                                    .chunks_exact(channels)
                                    .zip(y.chunks_exact(channels))
                                    .zip(dy.chunks_exact(channels));
                                for (out, ((x, y), dy)) in out.chunks_exact_mut(channels).zip(rows) {
                                    let lines = scale.iter().zip(&slope).zip(&offset);
                                    let cells = x.iter().zip(y).zip(dy);
                                    for (out, (((scale, slope), offset), ((x, y), dy))) in
                                        out.iter_mut().zip(lines.zip(cells))
                                    {
                                        let (gradient, nothing) = (*dy, 0.0);
                                        let g = if *y > lowest { gradient } else { nothing };
                                        *out = scale * g + slope * x + offset;
                                    }
                                }
                            },
                        ),
                    );
                });
            })
        };
        let narrow = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect();
        let _ = self.sums.set((narrow(products), narrow(sums)));
        Ok((CpuStorage::F32(dx), lx.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{check_gradient, random};

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
