//! The gradient of a dense convolution with respect to its input.

use super::forward::run_parallel;
use super::packed::PackedWeights;
use super::shape::ConvShape;
use super::tile::accumulate;
use crate::runtime::simd::{Isa, Kernel, Simd, array, dispatch};
use crate::train::ops::output::{Epilogue, Out, fill};
use crate::train::ops::parallel;
use crate::train::ops::vectors::{ZEROS, load, store};
use std::ops::Range;

/// The gradient with respect to the input, from the gradient `dy` with respect to the output; plus `residual`, laid out
/// as the input. Replaces the contents of `out`.
///
/// # Panics
/// If a slice has the wrong length for `shape`.
pub fn input_gradient(
    isa: Isa,
    shape: &ConvShape,
    images: usize,
    dy: &[f32],
    weight: &[f32],
    residual: Option<&[f32]>,
    out: &mut Vec<f32>,
) {
    let (height, width) = shape.output_size();
    let &ConvShape { inputs, outputs, kernel, stride, padding, .. } = shape;
    assert_eq!(dy.len(), images * height * width * outputs);
    assert_eq!(weight.len(), outputs * inputs * kernel * kernel);
    let packed = PackedWeights::transposed(isa, weight, outputs, inputs, kernel);
    if stride == 1 && padding < kernel {
        let padding = kernel - 1 - padding;
        let transposed = ConvShape { height, width, inputs: outputs, outputs: inputs, kernel, stride, padding };
        let epilogue = Epilogue { residual, ..Epilogue::default() };
        return run_parallel(&transposed, images, dy, &packed, epilogue, out);
    }
    let length = images * shape.height * shape.width * inputs;
    assert!(outputs <= ZEROS.len() && residual.is_none_or(|r| r.len() == length));
    // SAFETY: every row is written by exactly one part.
    unsafe {
        fill(out, length, |out| {
            parallel::split(images * shape.height, ROWS_WORTH_A_THREAD, |rows| {
                dispatch(isa, Strided { shape, dy, packed: &packed, residual, out, rows });
            });
        });
    }
}

/// Input rows that are worth handing to another thread.
const ROWS_WORTH_A_THREAD: usize = 8;

/// Input gradient for strides over 1: every input pixel collects the outputs whose windows it lies in. Pixels that are
/// a stride apart meet the same taps and are summed together.
struct Strided<'a> {
    /// Of the forward pass.
    shape: &'a ConvShape,
    dy: &'a [f32],
    /// Transposed, its filters rotated by 180 degrees.
    packed: &'a PackedWeights,
    residual: Option<&'a [f32]>,
    out: Out,
    /// Input rows, counted through all pictures.
    rows: Range<usize>,
}

impl Kernel for Strided<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let (mut weights, mut first) = (self.packed.values.as_ptr(), 0);
        for &vectors in &self.packed.blocks {
            // SAFETY: passed on; the blocks cover the channels, and their weights lie one behind the other.
            unsafe {
                match vectors {
                    1 => self.block::<S, 8, 1>(s, weights, first),
                    2 => self.block::<S, 6, 2>(s, weights, first),
                    3 => self.block::<S, 4, 3>(s, weights, first),
                    _ => self.block::<S, 3, 4>(s, weights, first),
                }
                weights = weights.add(self.packed.rows * vectors * self.packed.lanes);
            }
            first += vectors * self.packed.lanes;
        }
    }
}

impl Strided<'_> {
    /// `V` vectors of input channels from channel `first` on, for `M` pixels at a time.
    #[inline(always)]
    unsafe fn block<S: Simd, const M: usize, const V: usize>(&self, s: S, weights: *const f32, first: usize) {
        let &ConvShape { height, width, inputs, outputs, kernel, stride, padding } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        for row in self.rows.clone() {
            let (image, y) = (row / height, row % height + padding);
            let out_rows = (y + 1).saturating_sub(kernel).div_ceil(stride)..(y / stride + 1).min(out_height);
            for phase in 0..stride.min(width) {
                for start in (phase..width).step_by(M * stride) {
                    let count = M.min((width - start).div_ceil(stride));
                    // SAFETY: the core has the instruction set by the contract of `Kernel`.
                    let mut sums = unsafe { [[s.splat(0.0); V]; M] };
                    for out_row in out_rows.clone() {
                        let line = (image * out_height + out_row) * out_width;
                        // Taps with which a window begins on a column of the output's grid.
                        for tap_x in ((start + padding) % stride..kernel).step_by(stride) {
                            let column = ((start + padding) as isize - tap_x as isize) / stride as isize;
                            let tap = kernel * kernel - 1 - ((y - out_row * stride) * kernel + tap_x);
                            // SAFETY: outputs beyond the picture read `ZEROS`; each tap has `outputs * V` vectors of
                            // weights.
                            unsafe {
                                let from: [*const f32; M] = array(|m| {
                                    let column = column + m as isize;
                                    if m < count && column >= 0 && column < out_width as isize {
                                        self.dy.as_ptr().add((line + column as usize) * outputs)
                                    } else {
                                        ZEROS.as_ptr()
                                    }
                                });
                                let weights = weights.add(tap * outputs * V * S::LANES);
                                accumulate::<S, M, V>(s, &from, outputs, weights, &mut sums);
                            }
                        }
                    }
                    for (m, sums) in sums.iter().enumerate().take(count) {
                        let at = (row * width + start + m * stride) * inputs + first;
                        for (v, &sum) in sums.iter().enumerate() {
                            let left = (inputs - first - v * S::LANES).min(S::LANES);
                            let at = at + v * S::LANES;
                            // SAFETY: the pixel has `left` channels there.
                            unsafe {
                                let value = match self.residual {
                                    Some(residual) => s.add(sum, load(s, residual.as_ptr().add(at), left)),
                                    None => sum,
                                };
                                store(s, self.out.pointer().add(at), value, left);
                            }
                        }
                    }
                }
            }
        }
    }
}
