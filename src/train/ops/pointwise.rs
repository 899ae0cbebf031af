//! Operations on single cells and small neighbourhoods: sums with a ReLU, up- and down-sampling of maps by 2.
//!
//! In and out as for all of [`super`]: f32 maps (image, row, column, channel).

use super::output::{Out, fill, new_vector};
use super::{cpu_slice, on_cpu, parallel};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Numbers that are worth handing to another thread.
const NUMBERS_WORTH_A_THREAD: usize = 1 << 16;
/// Rows of a map that are worth handing to another thread.
const ROWS_WORTH_A_THREAD: usize = 32;

/// `x + y` of two tensors of the same shape, at least 0 if `relu`.
///
/// # Errors
/// Shapes that differ, and what the device reports.
pub fn add(x: &Tensor, y: &Tensor, relu: bool) -> Result<Tensor> {
    if on_cpu(x) {
        return x.contiguous()?.apply_op2(&y.contiguous()?, Add { relu });
    }
    let sum = (x + y)?;
    if relu { sum.relu() } else { Ok(sum) }
}

/// Nearest-neighbour up-sampling by 2 of `[images, height, width, channels]`.
///
/// # Errors
/// What the device reports.
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    if on_cpu(x) {
        return x.contiguous()?.apply_op1(Upsample);
    }
    let (n, h, w, c) = x.dims4()?;
    let wide = x.reshape((n, h, 1, w, 1, c))?.broadcast_as((n, h, 2, w, 2, c))?;
    wide.contiguous()?.reshape((n, 2 * h, 2 * w, c))
}

/// Average pooling of 2x2 cells of `[images, height, width, channels]`, whose height and width are even.
///
/// # Errors
/// An odd side, and what the device reports.
pub fn avg_pool2x(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    if h % 2 != 0 || w % 2 != 0 {
        bail!("a map of {h}x{w} cells can't be halved");
    }
    if on_cpu(x) {
        return x.contiguous()?.apply_op1(Pool);
    }
    x.reshape((n, h / 2, 2, w / 2, 2, c))?.mean((2, 4))
}

struct EachVector<F> {
    range: Range<usize>,
    out: Out,
    value: F,
}

/// What is computed for a run of numbers at a position.
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

struct Add {
    relu: bool,
}

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "awing-add"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, y: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (cpu_slice(x, lx)?, cpu_slice(y, ly)?);
        if lx.shape() != ly.shape() {
            bail!("{:?} and {:?} can't be added", lx.shape(), ly.shape());
        }
        Ok((CpuStorage::F32(new_vector(|out| sum(x, y, self.relu, out))), lx.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, sum: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = if self.relu { sum.apply_op2_no_bwd(&dy.contiguous()?, &Gate)? } else { dy.clone() };
        Ok((Some(gradient.clone()), Some(gradient)))
    }
}

/// The gradient of a ReLU, from its output and the gradient of that.
struct Gate;

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "awing-relu-gradient"
    }

    fn cpu_fwd(&self, y: &CpuStorage, ly: &Layout, dy: &CpuStorage, ld: &Layout) -> Result<(CpuStorage, Shape)> {
        let (y, dy) = (cpu_slice(y, ly)?, cpu_slice(dy, ld)?);
        Ok((CpuStorage::F32(new_vector(|out| relu_gradient(y, dy, out))), ly.shape().clone()))
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

struct Upsample;
struct Pool;

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "awing-upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        Resize { doubled: true, factor: 1.0 }.cpu_fwd(x, lx)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(&Resize { doubled: false, factor: 1.0 })?))
    }
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "awing-average-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        Resize { doubled: false, factor: 0.25 }.cpu_fwd(x, lx)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(&Resize { doubled: true, factor: 0.25 })?))
    }
}

/// Doubling, or the sum of 2x2 cells; times a factor.
struct Resize {
    doubled: bool,
    factor: f32,
}

impl CustomOp1 for Resize {
    fn name(&self) -> &'static str {
        "awing-resize"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = lx.shape().dims4()?;
        let x = cpu_slice(x, lx)?;
        Ok(if self.doubled {
            let y = new_vector(|out| double(w, c, x, n * h, self.factor, out));
            (CpuStorage::F32(y), Shape::from((n, 2 * h, 2 * w, c)))
        } else {
            let y = new_vector(|out| halve(w / 2, c, x, n * h / 2, self.factor, out));
            (CpuStorage::F32(y), Shape::from((n, h / 2, w / 2, c)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ops::tests::{check_elsewhere, check_gradient, random};

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (x, y) = (random(&[2, 4, 6, 19], 1), random(&[2, 4, 6, 19], 2));
        check_gradient(std::slice::from_ref(&x), |v| upsample2x(&v[0]));
        check_gradient(std::slice::from_ref(&x), |v| avg_pool2x(&v[0]));
        // Away from the corner of the ReLU, where a difference quotient means nothing.
        let away = |t: &Tensor| (t + (t.sign().unwrap() * 0.1).unwrap()).unwrap();
        let sum = away(&(&x + &y).unwrap());
        for relu in [false, true] {
            check_gradient(&[(&sum - &y).unwrap(), y.clone()], |v| add(&v[0], &v[1], relu));
        }
    }

    #[test]
    fn other_devices_compute_the_same() {
        let (x, y) = (random(&[2, 4, 6, 19], 1), random(&[2, 4, 6, 19], 2));
        check_elsewhere(std::slice::from_ref(&x), |v| upsample2x(&v[0]));
        check_elsewhere(std::slice::from_ref(&x), |v| avg_pool2x(&v[0]));
        for relu in [false, true] {
            check_elsewhere(&[x.clone(), y.clone()], |v| add(&v[0], &v[1], relu));
        }
    }

    #[test]
    fn they_are_candles_operations() {
        let x = random(&[3, 6, 4, 33], 1);
        let nchw = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let same = |a: Tensor, b: Tensor| {
            let worst = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 1e-6, "{worst}");
        };
        same(avg_pool2x(&x).unwrap(), nchw.avg_pool2d(2).unwrap().permute((0, 2, 3, 1)).unwrap());
        same(upsample2x(&x).unwrap(), nchw.upsample_nearest2d(12, 8).unwrap().permute((0, 2, 3, 1)).unwrap());
        same(add(&x, &x, true).unwrap(), (x * 2.0).unwrap().relu().unwrap());
    }
}
