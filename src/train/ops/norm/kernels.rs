//! Batch normalization on plain slices.

use crate::runtime::simd::{Isa, Simd, array, dispatch};
use crate::train::ops::channels::{
    ChannelBlocks, EachBlock, PIXELS_WORTH_A_THREAD, channel_sums, load_vectors, store_vectors,
};
use crate::train::ops::output::fill;
use crate::train::ops::parallel;

/// The statistics that normalize each channel.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub mean: Vec<f32>,
    /// Biased.
    pub variance: Vec<f32>,
}

/// `1 / sqrt(variance + epsilon)` of each channel.
pub(crate) fn inverse_deviation(variance: &[f32], epsilon: f32) -> Vec<f32> {
    variance.iter().map(|v| 1.0 / (v.max(0.0) + epsilon).sqrt()).collect()
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
                let x: [S::Vector; V] = load_vectors(s, self.x, at, left);
                for v in 0..V {
                    sum[v] = s.add(sum[v], x[v]);
                    squares[v] = s.mul_add(x[v], x[v], squares[v]);
                }
            }
            store_vectors(s, self.sum.as_mut_ptr().add(first), sum, left);
            store_vectors(s, self.squares.as_mut_ptr().add(first), squares, left);
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
            let scale: [S::Vector; V] = load_vectors(s, self.scale, first, left);
            let shift: [S::Vector; V] = load_vectors(s, self.shift, first, left);
            let lowest = s.splat(self.lowest);
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load_vectors(s, self.x, at, left);
                let y = array(|v| s.max(s.mul_add(x[v], scale[v], shift[v]), lowest));
                store_vectors::<S, V>(s, self.out.add(at), y, left);
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
            let mean: [S::Vector; V] = load_vectors(s, self.mean, first, left);
            let inverse: [S::Vector; V] = load_vectors(s, self.inverse_deviation, first, left);
            let (mut products, mut sums) = ([s.splat(0.0); V], [s.splat(0.0); V]);
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load_vectors(s, self.x, at, left);
                let g: [S::Vector; V] = gated(s, self.y, self.dy, at, left);
                for v in 0..V {
                    products[v] = s.mul_add(g[v], s.sub(x[v], mean[v]), products[v]);
                    sums[v] = s.add(sums[v], g[v]);
                }
            }
            let products = array(|v| s.mul(products[v], inverse[v]));
            store_vectors::<S, V>(s, self.products.as_mut_ptr().add(first), products, left);
            store_vectors(s, self.sums.as_mut_ptr().add(first), sums, left);
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
        let dy: [S::Vector; V] = load_vectors(s, dy, at, left);
        let Some(y) = y else { return dy };
        let y: [S::Vector; V] = load_vectors(s, y, at, left);
        array(|v| s.where_positive(y[v], dy[v]))
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
            let scale: [S::Vector; V] = load_vectors(s, self.scale, first, left);
            let slope: [S::Vector; V] = load_vectors(s, self.slope, first, left);
            let offset: [S::Vector; V] = load_vectors(s, self.offset, first, left);
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load_vectors(s, self.x, at, left);
                let g: [S::Vector; V] = gated(s, self.y, self.dy, at, left);
                let dx = array(|v| s.mul_add(g[v], scale[v], s.mul_add(x[v], slope[v], offset[v])));
                store_vectors::<S, V>(s, self.out.add(at), dx, left);
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

/// The parameters of the normalization.
#[derive(Clone, Copy)]
pub(crate) struct NormOf<'a> {
    pub gamma: &'a [f32],
    pub statistics: &'a Statistics,
    /// Whether the statistics don't depend on the input.
    pub fixed: bool,
    pub epsilon: f32,
    pub relu: bool,
}

/// The normalized `x`; replaces the contents of `out`.
pub(crate) fn normalize(isa: Isa, norm: &NormOf<'_>, beta: &[f32], x: &[f32], out: &mut Vec<f32>) {
    let NormOf { gamma, statistics, epsilon, relu, .. } = *norm;
    let channels = gamma.len();
    assert!(x.len().is_multiple_of(channels) && beta.len() == channels);
    assert!(statistics.mean.len() == channels && statistics.variance.len() == channels);
    let scale: Vec<f32> =
        gamma.iter().zip(inverse_deviation(&statistics.variance, epsilon)).map(|(g, i)| g * i).collect();
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
    let NormOf { gamma, statistics: Statistics { mean, variance }, fixed, epsilon, relu } = *norm;
    let inverse_deviation = inverse_deviation(variance, epsilon);
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
