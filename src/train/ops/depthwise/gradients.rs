//! The gradients of a depthwise convolution with respect to its input and its weights.

use super::forward::{ROWS_WORTH_A_THREAD, run_parallel};
use super::shape::{DepthwiseShape, Packed};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use crate::train::ops::output::{Epilogue, Out, fill};
use crate::train::ops::parallel;
use crate::train::ops::vectors::{load, store};
use rayon::prelude::*;
use std::ops::Range;

/// The gradient with respect to the input, from the gradient `dy` with respect to the output; plus `residual`, laid out
/// as the input. Replaces the contents of `out`.
///
/// # Panics
/// If a slice has the wrong length for `shape`.
pub fn input_gradient(
    isa: Isa,
    shape: &DepthwiseShape,
    images: usize,
    dy: &[f32],
    weight: &[f32],
    residual: Option<&[f32]>,
    out: &mut Vec<f32>,
) {
    let &DepthwiseShape { height, width, channels, kernel, stride, padding } = shape;
    let rotated = Packed::rotated(weight, channels, kernel);
    let (out_height, out_width) = shape.output_size();
    if stride == 1 && padding < kernel {
        let transposed = DepthwiseShape {
            height: out_height,
            width: out_width,
            channels,
            kernel,
            stride,
            padding: kernel - 1 - padding,
        };
        let epilogue = Epilogue { residual, ..Epilogue::default() };
        return run_parallel(isa, &transposed, images, dy, &rotated, epilogue, out);
    }
    let length = images * height * width * channels;
    assert_eq!(dy.len(), images * out_height * out_width * channels);
    assert!(residual.is_none_or(|r| r.len() == length));
    // SAFETY: all rows of all images are written.
    unsafe {
        fill(out, length, |out| {
            parallel::split(images * height, ROWS_WORTH_A_THREAD, |rows| {
                dispatch(isa, Scatter { shape, dy, weight: rotated.values(), residual, out, rows });
            });
        });
    }
}

/// Input gradient for strides over 1: every input pixel collects the outputs whose windows it lies in.
struct Scatter<'a> {
    shape: &'a DepthwiseShape,
    dy: &'a [f32],
    /// Rotated filters, `[tap][channel]`.
    weight: &'a [f32],
    /// Laid out as the input.
    residual: Option<&'a [f32]>,
    out: Out,
    /// Input rows, counted through all pictures.
    rows: Range<usize>,
}

impl Kernel for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let &DepthwiseShape { height, width, channels, kernel, stride, padding } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        // Outputs whose window holds input coordinate `i`.
        let reach = |i: usize, outputs: usize| {
            let first = (i + padding + 1).saturating_sub(kernel).div_ceil(stride);
            first..((i + padding) / stride + 1).min(outputs)
        };
        // The tap of the rotated filter with which output `o` holds input coordinate `i`.
        let tap = |i: usize, o: usize| kernel - 1 - (i + padding - o * stride);
        let of_columns: Vec<Range<usize>> = (0..width).map(|column| reach(column, out_width)).collect();
        for row in self.rows.clone() {
            let (image, row) = (row / height, row % height);
            let out_rows = reach(row, out_height);
            for (column, out_columns) in of_columns.iter().enumerate() {
                let mut channel = 0;
                while channel < channels {
                    let lanes = S::LANES.min(channels - channel);
                    // SAFETY: `reach` yields outputs and taps that exist; `lanes` channels are left.
                    unsafe {
                        let cell = ((image * height + row) * width + column) * channels + channel;
                        let mut sum = match self.residual {
                            Some(residual) => load(s, residual.as_ptr().add(cell), lanes),
                            None => s.splat(0.0),
                        };
                        for out_row in out_rows.clone() {
                            for out_column in out_columns.clone() {
                                let at = ((image * out_height + out_row) * out_width + out_column) * channels + channel;
                                let tap = tap(row, out_row) * kernel + tap(column, out_column);
                                let tap = tap * channels + channel;
                                let (g, w) = (self.dy.as_ptr().add(at), self.weight.as_ptr().add(tap));
                                sum = s.mul_add(load(s, g, lanes), load(s, w, lanes), sum);
                            }
                        }
                        store(s, self.out.pointer().add(cell), sum, lanes);
                    }
                    channel += S::LANES;
                }
            }
        }
    }
}

/// The gradient with respect to the weights; the order of the sums depends on the number of threads alone.
///
/// # Panics
/// If a slice has the wrong length for `shape`.
pub fn weight_gradient(isa: Isa, shape: &DepthwiseShape, images: usize, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let &DepthwiseShape { channels, kernel, .. } = shape;
    let (height, width) = shape.output_size();
    assert_eq!(x.len(), images * shape.height * shape.width * channels);
    assert_eq!(dy.len(), images * height * width * channels);
    let (taps, rows) = (kernel * kernel, images * height);
    let parts = parallel::threads().min(rows.div_ceil(ROWS_WORTH_A_THREAD)).max(1);
    let length = rows.div_ceil(parts);
    let part = |part: usize| {
        let mut sums = vec![0.0_f32; taps * channels];
        let rows = part * length..((part + 1) * length).min(rows);
        dispatch(isa, WeightGradient { shape, x, dy, sums: &mut sums, rows });
        sums
    };
    let partial: Vec<Vec<f32>> =
        if parts == 1 { vec![part(0)] } else { (0..parts).into_par_iter().map(part).collect() };
    let mut gradient = vec![0.0; channels * taps];
    for sums in &partial {
        for tap in 0..taps {
            for channel in 0..channels {
                gradient[channel * taps + tap] += sums[tap * channels + channel];
            }
        }
    }
    gradient
}

struct WeightGradient<'a> {
    shape: &'a DepthwiseShape,
    x: &'a [f32],
    dy: &'a [f32],
    /// `[tap][channel]`
    sums: &'a mut [f32],
    /// Output rows, counted through all pictures.
    rows: Range<usize>,
}

impl Kernel for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        match self.shape.kernel {
            // SAFETY: passed on.
            5 => unsafe { self.rows_of::<S, 5>(s) },
            // SAFETY: passed on.
            3 => unsafe { self.rows_of::<S, 3>(s) },
            // SAFETY: passed on.
            _ => unsafe { self.rows_of::<S, 1>(s) },
        }
    }
}

impl WeightGradient<'_> {
    /// `K` taps of a filter row are summed in registers along an output row.
    #[inline(always)]
    unsafe fn rows_of<S: Simd, const K: usize>(self, s: S) {
        let &DepthwiseShape { height, width, channels, kernel, stride, padding } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        for row in self.rows.clone() {
            let (image, row) = (row / out_height, row % out_height);
            let top = row * stride;
            for tap_y in padding.saturating_sub(top)..kernel.min((height + padding).saturating_sub(top)) {
                let line = (image * height + top + tap_y - padding) * width;
                for tap_start in (0..kernel).step_by(K) {
                    let mut channel = 0;
                    while channel < channels {
                        let lanes = S::LANES.min(channels - channel);
                        // SAFETY: columns outside the picture are skipped; `lanes` channels are left.
                        unsafe {
                            let mut sums = [s.splat(0.0); K];
                            for column in 0..out_width {
                                let left = column * stride + tap_start;
                                let at = ((image * out_height + row) * out_width + column) * channels + channel;
                                let g = load(s, self.dy.as_ptr().add(at), lanes);
                                let from = self.x.as_ptr().add(line * channels + channel);
                                if left >= padding && left + K <= width + padding {
                                    let from = from.add((left - padding) * channels);
                                    for (i, sum) in sums.iter_mut().enumerate() {
                                        *sum = s.mul_add(load(s, from.add(i * channels), lanes), g, *sum);
                                    }
                                } else {
                                    for (i, sum) in sums.iter_mut().enumerate() {
                                        if left + i >= padding && left + i < width + padding {
                                            let from = from.add((left + i - padding) * channels);
                                            *sum = s.mul_add(load(s, from, lanes), g, *sum);
                                        }
                                    }
                                }
                            }
                            for (i, sum) in sums.into_iter().enumerate() {
                                let tap = tap_y * kernel + tap_start + i;
                                let to = self.sums.as_mut_ptr().add(tap * channels + channel);
                                s.store_partial(to, s.add(load(s, to, lanes), sum), lanes);
                            }
                        }
                        channel += S::LANES;
                    }
                }
            }
        }
    }
}
