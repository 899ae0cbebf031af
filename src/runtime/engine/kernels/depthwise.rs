//! Depthwise convolution of some output rows into a strip, the left factor of the 1x1 convolution that follows.
//!
//! In: an f32 map. Out: (row, column, channel) without gaps, as the factors of the product.

use super::Factor;
use crate::runtime::engine::plan::{Address, Depthwise};
use crate::runtime::simd::{Simd, array};
use std::ops::Range;

/// Output cells of a row that are summed together.
const TILE: usize = 8;

/// Writes output `rows` to `strip`.
///
/// # Safety
/// As for [`Simd`]; `d` and `memory` are of one plan, `strip` has room for the rows.
#[inline(always)]
pub(super) unsafe fn depthwise<S: Simd, F: Factor<S>>(
    s: S,
    d: &Depthwise<Address>,
    memory: *const u8,
    rows: Range<usize>,
    strip: *mut u8,
) {
    // SAFETY: by this function's contract.
    unsafe {
        match (d.kernel, d.stride) {
            (3, 1) => rows_of::<S, F, 3, 1, 10>(s, d, memory, rows, strip),
            (3, 2) => rows_of::<S, F, 3, 2, 17>(s, d, memory, rows, strip),
            (5, 1) => rows_of::<S, F, 5, 1, 12>(s, d, memory, rows, strip),
            (5, 2) => rows_of::<S, F, 5, 2, 19>(s, d, memory, rows, strip),
            (kernel, stride) => unreachable!("{kernel}x{kernel} with stride {stride} is refused by the compiler"),
        }
    }
}

/// The windows of a tile cover `N` input cells of a row.
///
/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn rows_of<S: Simd, F: Factor<S>, const K: usize, const STRIDE: usize, const N: usize>(
    s: S,
    d: &Depthwise<Address>,
    memory: *const u8,
    rows: Range<usize>,
    strip: *mut u8,
) {
    // SAFETY: the border of the map is as wide as the filter needs, so every tap of every output cell is in the map; a
    // cell has `channels` values, a multiple of every vector's lanes.
    unsafe {
        let first_row = rows.start;
        for channel in (0..d.channels).step_by(S::LANES) {
            let weights = d.weights.pointer().cast::<f32>().add(channel);
            for row in rows.clone() {
                let source = memory.add(d.start.0 + row * STRIDE * d.row_bytes + channel * 4);
                let to = strip.add(((row - first_row) * d.width * d.channels + channel) * F::BYTES);
                let mut column = 0;
                while column + TILE <= d.width {
                    let from = source.add(column * STRIDE * d.pitch_bytes);
                    let sums = tile::<S, K, STRIDE, TILE, N>(s, d, from, weights);
                    for (i, sum) in sums.into_iter().enumerate() {
                        F::store(s, to.add((column + i) * d.channels * F::BYTES), sum);
                    }
                    column += TILE;
                }
                while column < d.width {
                    let from = source.add(column * STRIDE * d.pitch_bytes);
                    let [sum] = tile::<S, K, STRIDE, 1, K>(s, d, from, weights);
                    F::store(s, to.add(column * d.channels * F::BYTES), sum);
                    column += 1;
                }
            }
        }
    }
}

/// The sums of `T` neighbouring output cells, from `N` input cells of each row.
///
/// # Safety
/// As for [`depthwise`]; `from` and `weights` are at the upper left tap and at the same channel.
#[inline(always)]
unsafe fn tile<S: Simd, const K: usize, const STRIDE: usize, const T: usize, const N: usize>(
    s: S,
    d: &Depthwise<Address>,
    from: *const u8,
    weights: *const f32,
) -> [S::Vector; T] {
    // SAFETY: by this function's contract.
    unsafe {
        let mut sums = [s.splat(0.0); T];
        for tap_row in 0..K {
            let from = from.add(tap_row * d.row_bytes);
            let weights = weights.add(tap_row * K * d.channels);
            let cells: [S::Vector; N] = array(|i| s.load(from.add(i * d.pitch_bytes).cast()));
            for tap in 0..K {
                let weight = s.load(weights.add(tap * d.channels));
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = s.mul_add(cells[i * STRIDE + tap], weight, *sum);
                }
            }
        }
        sums
    }
}
