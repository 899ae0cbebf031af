//! Operations on single cells and small neighbourhoods: sums with a ReLU, up- and down-sampling of maps by 2.
//!
//! In and out as for all of [`super`]: f32 maps (image, row, column, channel).

use super::output::{Out, fill};
use super::parallel;
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Numbers that are worth handing to another thread.
const NUMBERS_WORTH_A_THREAD: usize = 1 << 16;
/// Rows of a map that are worth handing to another thread.
const ROWS_WORTH_A_THREAD: usize = 32;

struct EachVector<F> {
    range: Range<usize>,
    out: Out,
    value: F,
}

/// A computation on a run of numbers at a position.
trait Elementwise: Copy {
    /// # Safety
    /// `at + count` is no more than the length, and `count` no more than [`Simd::LANES`].
    unsafe fn value<S: Simd>(&self, s: S, at: usize, count: usize) -> S::Vector;
}

impl<F: Elementwise> Kernel for EachVector<F> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let mut at = self.range.start;
        while at < self.range.end {
            let count = S::LANES.min(self.range.end - at);
            // SAFETY: `count` numbers are left.
            unsafe { s.store_partial(self.out.pointer().add(at), self.value.value(s, at, count), count) };
            at += count;
        }
    }
}

fn elementwise(length: usize, value: impl Elementwise + Sync, out: &mut Vec<f32>) {
    // SAFETY: every number is written.
    unsafe {
        fill(out, length, |out| {
            parallel::split(length, NUMBERS_WORTH_A_THREAD, |range| {
                dispatch(Isa::active(), EachVector { range, out, value });
            });
        });
    }
}

/// `x + y`, at least 0 if `relu`.
pub(crate) fn sum(x: &[f32], y: &[f32], relu: bool, out: &mut Vec<f32>) {
    assert_eq!(x.len(), y.len());
    elementwise(x.len(), Sum { x, y, lowest: if relu { 0.0 } else { f32::NEG_INFINITY } }, out);
}

/// The gradient of a ReLU from its output `y` and the gradient `dy` of that.
pub(crate) fn relu_gradient(y: &[f32], dy: &[f32], out: &mut Vec<f32>) {
    assert_eq!(y.len(), dy.len());
    elementwise(y.len(), Gated(y, dy), out);
}

#[derive(Clone, Copy)]
struct Sum<'a> {
    x: &'a [f32],
    y: &'a [f32],
    lowest: f32,
}

impl Elementwise for Sum<'_> {
    #[inline(always)]
    unsafe fn value<S: Simd>(&self, s: S, at: usize, count: usize) -> S::Vector {
        // SAFETY: passed on.
        unsafe {
            let (a, b) =
                (s.load_partial(self.x.as_ptr().add(at), count), s.load_partial(self.y.as_ptr().add(at), count));
            s.max(s.add(a, b), s.splat(self.lowest))
        }
    }
}

/// The second where the first is positive.
#[derive(Clone, Copy)]
struct Gated<'a>(&'a [f32], &'a [f32]);

impl Elementwise for Gated<'_> {
    #[inline(always)]
    unsafe fn value<S: Simd>(&self, s: S, at: usize, count: usize) -> S::Vector {
        // SAFETY: passed on.
        unsafe {
            let (a, b) =
                (s.load_partial(self.0.as_ptr().add(at), count), s.load_partial(self.1.as_ptr().add(at), count));
            s.where_positive(a, b)
        }
    }
}

/// Repeats every cell of `rows` (counted through all images) twice in both directions.
pub(crate) fn double(width: usize, channels: usize, x: &[f32], rows: usize, factor: f32, out: &mut Vec<f32>) {
    let line = width * channels;
    assert_eq!(x.len(), rows * line);
    // SAFETY: both output rows of every input row are written.
    unsafe {
        fill(out, 4 * rows * line, |out| {
            parallel::split(rows, ROWS_WORTH_A_THREAD, |range| {
                for row in range {
                    // SAFETY: rows of different parts don't overlap.
                    let to = out.pointer().add(4 * row * line).cast::<MaybeUninit<f32>>();
                    let to = std::slice::from_raw_parts_mut(to, 4 * line);
                    let (upper, lower) = to.split_at_mut(2 * line);
                    let cells = x[row * line..(row + 1) * line].chunks_exact(channels);
                    for (cell, pair) in cells.zip(upper.chunks_exact_mut(2 * channels)) {
                        let (left, right) = pair.split_at_mut(channels);
                        for ((l, r), v) in left.iter_mut().zip(right).zip(cell) {
                            l.write(v * factor);
                            r.write(v * factor);
                        }
                    }
                    lower.copy_from_slice(upper);
                }
            });
        })
    }
}

/// The sum of 2x2 cells, times `factor`; `rows` output rows, counted through all images.
pub(crate) fn halve(width: usize, channels: usize, x: &[f32], rows: usize, factor: f32, out: &mut Vec<f32>) {
    let line = width * channels;
    assert_eq!(x.len(), 4 * rows * line);
    // SAFETY: every row is written.
    unsafe {
        fill(out, rows * line, |out| {
            parallel::split(rows, ROWS_WORTH_A_THREAD, |range| {
                for row in range {
                    // SAFETY: rows of different parts don't overlap.
                    let to = out.pointer().add(row * line).cast::<MaybeUninit<f32>>();
                    let to = std::slice::from_raw_parts_mut(to, line);
                    let (upper, lower) = x[4 * row * line..4 * (row + 1) * line].split_at(2 * line);
                    let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
                    for (cell, (u, l)) in to.chunks_exact_mut(channels).zip(pairs) {
                        for (c, v) in cell.iter_mut().enumerate() {
                            v.write((u[c] + u[c + channels] + l[c] + l[c + channels]) * factor);
                        }
                    }
                }
            });
        })
    }
}
