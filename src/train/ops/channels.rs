//! Passes over the pixels of a map with a few vectors of channels at a time, and sums over the pixels.
//!
//! In: maps of whole pixels, (pixel, channel). Sums are in f32 over short runs of pixels and in f64 over these, in an
//! order that depends on the number of threads alone. Functions panic if a slice has the wrong length.

use super::dense::blocks;
use super::parallel;
use crate::runtime::simd::{Isa, Kernel, Simd, array, dispatch};
use std::ops::Range;

/// Pixels that are summed in f32 before f64 takes over.
const RUN: usize = 64;
/// Pixels that are worth handing to another thread.
pub(super) const PIXELS_WORTH_A_THREAD: usize = 512;

/// Sums over pixels of two numbers a channel, computed part by part on the current thread pool.
pub(super) fn channel_sums(
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
    let all = parallel::map(parts, part);
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
pub(super) trait ChannelBlocks {
    /// # Safety
    /// As for [`Simd`]; `first` is a channel and `V` vectors from there reach the last one or less.
    unsafe fn block<S: Simd, const V: usize>(&mut self, s: S, first: usize);
}

pub(super) struct EachBlock<B> {
    pub channels: usize,
    pub blocks: B,
}

impl<B: ChannelBlocks> Kernel for EachBlock<B> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self, s: S) {
        let mut first = 0;
        for vectors in blocks(self.channels, S::LANES) {
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

/// `V` vectors of a pixel's channels, from `numbers[at]` on; lanes behind the last of them are 0.
///
/// # Safety
/// As for [`Simd`]; `left` numbers lie there, more than fill `V - 1` vectors.
#[inline(always)]
pub(super) unsafe fn load_vectors<S: Simd, const V: usize>(
    s: S,
    numbers: &[f32],
    at: usize,
    left: usize,
) -> [S::Vector; V] {
    // SAFETY: the caller has `left` numbers there.
    unsafe {
        let from = numbers.as_ptr().add(at);
        array(|v| {
            let left = left - v * S::LANES;
            let from = from.add(v * S::LANES);
            if left >= S::LANES { s.load(from) } else { s.load_partial(from, left) }
        })
    }
}

/// The first `left` lanes of `V` vectors of a pixel's channels.
///
/// # Safety
/// As for [`Simd`]; `left` numbers have room at `to`, more than fill `V - 1` vectors, and nobody else writes them.
#[inline(always)]
pub(super) unsafe fn store_vectors<S: Simd, const V: usize>(s: S, to: *mut f32, values: [S::Vector; V], left: usize) {
    // SAFETY: the caller has `left` numbers there.
    unsafe {
        for (v, value) in values.into_iter().enumerate() {
            let (to, left) = (to.add(v * S::LANES), left - v * S::LANES);
            if left >= S::LANES { s.store(to, value) } else { s.store_partial(to, value, left) }
        }
    }
}

/// Sums of each channel of `x`: the gradient of a bias, from that of the map that it was added to.
///
/// # Panics
/// If `x` has no whole number of pixels.
pub fn bias_gradient(isa: Isa, channels: usize, x: &[f32]) -> Vec<f32> {
    assert!(x.len().is_multiple_of(channels));
    let (sums, _) = channel_sums(x.len() / channels, channels, |pixels, sum, _| {
        let x = &x[pixels.start * channels..pixels.end * channels];
        dispatch(isa, EachBlock { channels, blocks: Sums { x, channels, sum } });
    });
    sums.into_iter().map(|sum| sum as f32).collect()
}

struct Sums<'a> {
    x: &'a [f32],
    channels: usize,
    sum: &'a mut [f32],
}

impl ChannelBlocks for Sums<'_> {
    #[inline(always)]
    unsafe fn block<S: Simd, const V: usize>(&mut self, s: S, first: usize) {
        let left = self.channels - first;
        // SAFETY: every slice has whole pixels of `channels` numbers.
        unsafe {
            let mut sum = [s.splat(0.0); V];
            for at in (first..self.x.len()).step_by(self.channels) {
                let x: [S::Vector; V] = load_vectors(s, self.x, at, left);
                sum = array(|v| s.add(sum[v], x[v]));
            }
            store_vectors(s, self.sum.as_mut_ptr().add(first), sum, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ops::tests::random_numbers;

    #[test]
    fn a_bias_has_the_sum_of_all_pixels_as_its_gradient() {
        for channels in [1, 5, 16, 35, 99] {
            let x = random_numbers(130 * channels, 1);
            for isa in Isa::available() {
                for (channel, sum) in bias_gradient(isa, channels, &x).into_iter().enumerate() {
                    let expected: f64 = x[channel..].iter().step_by(channels).map(|v| f64::from(*v)).sum();
                    assert!((f64::from(sum) - expected).abs() < 1e-4, "{}: {sum}, not {expected}", isa.name());
                }
            }
        }
    }
}
