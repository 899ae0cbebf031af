//! Batch normalization over the last dimension, with the ReLU that mostly follows it.
//!
//! PyTorch's semantics: in training the batch's mean and biased variance normalize, and the running statistics follow
//! with the unbiased variance; in evaluation the running ones normalize. Statistics are summed in f32 over short runs of
//! pixels and in f64 over these, in an order that depends on the number of threads alone.

use super::dense::blocks as vector_blocks;
use super::{cpu_slice, fill, new_vector, on_cpu, parallel};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
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

/// What normalizes each channel.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub mean: Vec<f32>,
    /// Biased.
    pub variance: Vec<f32>,
}

impl Statistics {
    fn inverse_deviation(&self, epsilon: f32) -> Vec<f32> {
        self.variance.iter().map(|v| 1.0 / (v.max(0.0) + epsilon).sqrt()).collect()
    }
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

/// A computation that passes over the pixels once for every group of up to four vectors of channels, so that what
/// belongs to the channels stays in registers.
trait ChannelBlocks {
    /// # Safety
    /// As for [`Simd`]; `first` is a channel and `V` vectors from there reach the last one or less.
    unsafe fn block<S: Simd, const V: usize>(&mut self, s: S, first: usize);
}

struct EachBlock<B> {
    channels: usize,
    blocks: B,
}

impl<B: ChannelBlocks> Kernel for EachBlock<B> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self, s: S) {
        let mut first = 0;
        for vectors in vector_blocks(self.channels, S::LANES) {
            // SAFETY: passed on; the blocks cover the channels.
            unsafe {
                match vectors {
                    1 => self.blocks.block::<S, 1>(s, first),
                    2 => self.blocks.block::<S, 2>(s, first),
                    3 => self.blocks.block::<S, 3>(s, first),
                    _ => self.blocks.block::<S, 4>(s, first),
                }
            }
            first += vectors * S::LANES;
        }
    }
}

/// `V` vectors of `numbers` from `at` on, of which `left` are there at least once.
#[inline(always)]
unsafe fn load<S: Simd, const V: usize>(s: S, numbers: &[f32], at: usize, left: usize) -> [S::Vector; V] {
    // SAFETY: the caller has `left` numbers there.
    unsafe {
        let from = numbers.as_ptr().add(at);
        std::array::from_fn(|v| {
            let left = left - v * S::LANES;
            let from = from.add(v * S::LANES);
            if left >= S::LANES { s.load(from) } else { s.load_partial(from, left) }
        })
    }
}

#[inline(always)]
unsafe fn store<S: Simd, const V: usize>(s: S, to: *mut f32, values: [S::Vector; V], left: usize) {
    // SAFETY: the caller has `left` numbers there.
    unsafe {
        for (v, value) in values.into_iter().enumerate() {
            let (to, left) = (to.add(v * S::LANES), left - v * S::LANES);
            if left >= S::LANES { s.store(to, value) } else { s.store_partial(to, value, left) }
        }
    }
}

/// Sums of the numbers and of their squares.
struct Moments<'a> {
    x: &'a [f32],
    channels: usize,
    sum: &'a mut [f32],
    squares: &'a mut [f32],
}

impl ChannelBlocks for Moments<'_> {
    #[inline(always)]
    unsafe fn block<S: Simd, const V: usize>(&mut self, s: S, first: usize) {
        let left = self.channels - first;
        // SAFETY: every slice has whole pixels of `channels` numbers.
        unsafe {
            let (mut sum, mut squares) = ([s.splat(0.0); V], [s.splat(0.0); V]);
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load(s, self.x, at, left);
                for v in 0..V {
                    sum[v] = s.add(sum[v], x[v]);
                    squares[v] = s.mul_add(x[v], x[v], squares[v]);
                }
            }
            store(s, self.sum.as_mut_ptr().add(first), sum, left);
            store(s, self.squares.as_mut_ptr().add(first), squares, left);
        }
    }
}

/// `x * scale + shift`, at least `lowest`.
struct Affine<'a> {
    x: &'a [f32],
    channels: usize,
    scale: &'a [f32],
    shift: &'a [f32],
    lowest: f32,
    out: *mut f32,
}

impl ChannelBlocks for Affine<'_> {
    #[inline(always)]
    unsafe fn block<S: Simd, const V: usize>(&mut self, s: S, first: usize) {
        let left = self.channels - first;
        // SAFETY: every slice has whole pixels of `channels` numbers, and `out` as many as `x`.
        unsafe {
            let scale: [S::Vector; V] = load(s, self.scale, first, left);
            let shift: [S::Vector; V] = load(s, self.shift, first, left);
            let lowest = s.splat(self.lowest);
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load(s, self.x, at, left);
                let y = std::array::from_fn(|v| s.max(s.mul_add(x[v], scale[v], shift[v]), lowest));
                store::<S, V>(s, self.out.add(at), y, left);
            }
        }
    }
}

/// Sums of `g` and of `g` times the normalized `x`, where `g` is `dy` or, with a ReLU, `dy` where `y` is positive.
struct GradientSums<'a> {
    x: &'a [f32],
    y: Option<&'a [f32]>,
    dy: &'a [f32],
    channels: usize,
    mean: &'a [f32],
    inverse_deviation: &'a [f32],
    products: &'a mut [f32],
    sums: &'a mut [f32],
}

impl ChannelBlocks for GradientSums<'_> {
    #[inline(always)]
    unsafe fn block<S: Simd, const V: usize>(&mut self, s: S, first: usize) {
        let left = self.channels - first;
        // SAFETY: every slice has whole pixels of `channels` numbers.
        unsafe {
            let mean: [S::Vector; V] = load(s, self.mean, first, left);
            let inverse: [S::Vector; V] = load(s, self.inverse_deviation, first, left);
            let (mut products, mut sums) = ([s.splat(0.0); V], [s.splat(0.0); V]);
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load(s, self.x, at, left);
                let g: [S::Vector; V] = gated(s, self.y, self.dy, at, left);
                for v in 0..V {
                    products[v] = s.mul_add(g[v], s.sub(x[v], mean[v]), products[v]);
                    sums[v] = s.add(sums[v], g[v]);
                }
            }
            let products = std::array::from_fn(|v| s.mul(products[v], inverse[v]));
            store::<S, V>(s, self.products.as_mut_ptr().add(first), products, left);
            store(s, self.sums.as_mut_ptr().add(first), sums, left);
        }
    }
}

/// `dy`, or `dy` where `y` is positive.
#[inline(always)]
unsafe fn gated<S: Simd, const V: usize>(
    s: S,
    y: Option<&[f32]>,
    dy: &[f32],
    at: usize,
    left: usize,
) -> [S::Vector; V] {
    // SAFETY: the caller has `left` numbers there.
    unsafe {
        let dy: [S::Vector; V] = load(s, dy, at, left);
        let Some(y) = y else { return dy };
        let y: [S::Vector; V] = load(s, y, at, left);
        std::array::from_fn(|v| s.where_positive(y[v], dy[v]))
    }
}

/// `g * scale + x * slope + offset`.
struct InputGradient<'a> {
    x: &'a [f32],
    y: Option<&'a [f32]>,
    dy: &'a [f32],
    channels: usize,
    scale: &'a [f32],
    slope: &'a [f32],
    offset: &'a [f32],
    out: *mut f32,
}

impl ChannelBlocks for InputGradient<'_> {
    #[inline(always)]
    unsafe fn block<S: Simd, const V: usize>(&mut self, s: S, first: usize) {
        let left = self.channels - first;
        // SAFETY: every slice has whole pixels of `channels` numbers, and `out` as many as `x`.
        unsafe {
            let scale: [S::Vector; V] = load(s, self.scale, first, left);
            let slope: [S::Vector; V] = load(s, self.slope, first, left);
            let offset: [S::Vector; V] = load(s, self.offset, first, left);
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load(s, self.x, at, left);
                let g: [S::Vector; V] = gated(s, self.y, self.dy, at, left);
                let dx = std::array::from_fn(|v| s.mul_add(g[v], scale[v], s.mul_add(x[v], slope[v], offset[v])));
                store::<S, V>(s, self.out.add(at), dx, left);
            }
        }
    }
}

/// The batch's statistics of `x`, whole pixels of `channels` numbers.
pub(crate) fn statistics(isa: Isa, x: &[f32], channels: usize) -> Statistics {
    assert!(x.len().is_multiple_of(channels));
    let count = x.len() / channels;
    let (sum, squares) = channel_sums(count, channels, |pixels, sum, squares| {
        let x = &x[pixels.start * channels..pixels.end * channels];
        dispatch(isa, EachBlock { channels, blocks: Moments { x, channels, sum, squares } });
    });
    let mean: Vec<f64> = sum.iter().map(|s| s / count as f64).collect();
    let variance = squares.iter().zip(&mean).map(|(s, m)| (s / count as f64 - m * m).max(0.0) as f32).collect();
    Statistics { mean: mean.into_iter().map(|m| m as f32).collect(), variance }
}

/// What normalizes, and what follows it.
#[derive(Clone, Copy)]
pub(crate) struct NormOf<'a> {
    pub gamma: &'a [f32],
    pub statistics: &'a Statistics,
    /// Whether the statistics don't depend on the input.
    pub fixed: bool,
    pub epsilon: f32,
    pub relu: bool,
}

/// The normalized `x`; what `out` held before goes.
pub(crate) fn normalize(isa: Isa, norm: &NormOf<'_>, beta: &[f32], x: &[f32], out: &mut Vec<f32>) {
    let NormOf { gamma, statistics, epsilon, relu, .. } = *norm;
    let channels = gamma.len();
    assert!(x.len().is_multiple_of(channels) && beta.len() == channels);
    assert!(statistics.mean.len() == channels && statistics.variance.len() == channels);
    let scale: Vec<f32> = gamma.iter().zip(statistics.inverse_deviation(epsilon)).map(|(g, i)| g * i).collect();
    let shift: Vec<f32> = beta.iter().zip(&scale).zip(&statistics.mean).map(|((b, s), m)| b - s * m).collect();
    let lowest = if relu { 0.0 } else { f32::NEG_INFINITY };
    // SAFETY: every pixel is written; parts don't overlap.
    unsafe {
        fill(out, x.len(), |out| {
            parallel::split(x.len() / channels, PIXELS_WORTH_A_THREAD, |pixels| {
                let all = pixels.start * channels..pixels.end * channels;
                let out = out.pointer().add(all.start);
                let blocks = Affine { x: &x[all], channels, scale: &scale, shift: &shift, lowest, out };
                dispatch(isa, EachBlock { channels, blocks });
            });
        });
    }
}

/// The gradients with respect to gain and bias, and, in `out`, to `x`, from the output `y` and the gradient `dy` of it.
pub(crate) fn gradients(
    isa: Isa,
    norm: &NormOf<'_>,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    out: &mut Vec<f32>,
) -> (Vec<f32>, Vec<f32>) {
    let NormOf { gamma, statistics: Statistics { mean, .. }, fixed, epsilon, relu } = *norm;
    let inverse_deviation = norm.statistics.inverse_deviation(epsilon);
    let channels = gamma.len();
    let count = x.len() / channels;
    assert_eq!([x.len(), y.len(), dy.len()], [count * channels; 3]);
    let y = relu.then_some(y);
    let (products, sums) = channel_sums(count, channels, |pixels, products, sums| {
        let all = pixels.start * channels..pixels.end * channels;
        let (x, y, dy) = (&x[all.clone()], y.map(|y| &y[all.clone()]), &dy[all]);
        let inverse_deviation = &inverse_deviation;
        let blocks = GradientSums { x, y, dy, channels, mean, inverse_deviation, products, sums };
        dispatch(isa, EachBlock { channels, blocks });
    });
    // dx = scale * (g - mean of g - normalized x * mean of (g * normalized x)); the means drop out where the
    // statistics are fixed.
    let share = if fixed { 0.0 } else { 1.0 / count as f64 };
    let scale: Vec<f32> = gamma.iter().zip(&inverse_deviation).map(|(g, i)| g * i).collect();
    let slope: Vec<f32> = (0..channels)
        .map(|c| (-f64::from(scale[c]) * f64::from(inverse_deviation[c]) * products[c] * share) as f32)
        .collect();
    let offset: Vec<f32> = (0..channels)
        .map(|c| (-f64::from(scale[c]) * sums[c] * share - f64::from(slope[c]) * f64::from(mean[c])) as f32)
        .collect();
    // SAFETY: every pixel is written; parts don't overlap.
    unsafe {
        fill(out, x.len(), |out| {
            parallel::split(count, PIXELS_WORTH_A_THREAD, |pixels| {
                let all = pixels.start * channels..pixels.end * channels;
                let out = out.pointer().add(all.start);
                let (x, y, dy) = (&x[all.clone()], y.map(|y| &y[all.clone()]), &dy[all]);
                let (scale, slope, offset) = (&scale, &slope, &offset);
                let blocks = InputGradient { x, y, dy, channels, scale, slope, offset, out };
                dispatch(isa, EachBlock { channels, blocks });
            });
        });
    }
    let narrow = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect();
    (narrow(products), narrow(sums))
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
    use super::*;
    use crate::train::ops::tests::{check_elsewhere, check_gradient, random};

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

    #[test]
    fn every_instruction_set_gives_the_portable_result() {
        let values = |shape: &[usize], seed| random(shape, seed).flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for channels in [1, 5, 16, 35, 64, 99] {
            let [x, dy] = [1, 2].map(|seed| values(&[130, channels], seed));
            let [gamma, beta] = [3, 4].map(|seed| values(&[channels], seed));
            for relu in [false, true] {
                let all = |isa| {
                    let statistics = statistics(isa, &x, channels);
                    let norm = NormOf { gamma: &gamma, statistics: &statistics, fixed: false, epsilon: 1e-5, relu };
                    let (mut y, mut dx) = (Vec::new(), Vec::new());
                    normalize(isa, &norm, &beta, &x, &mut y);
                    let (dgamma, dbeta) = gradients(isa, &norm, &x, &y, &dy, &mut dx);
                    [y, dx, dgamma, dbeta, statistics.mean.clone(), statistics.variance.clone()].concat()
                };
                let expected = all(Isa::Portable);
                for isa in Isa::available() {
                    for (a, e) in all(isa).iter().zip(&expected) {
                        assert!((a - e).abs() < 1e-4 * e.abs().max(1.0), "{}: {a} instead of {e}", isa.name());
                    }
                }
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
