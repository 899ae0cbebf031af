//! The gradients of a depthwise convolution with respect to its input and its weights.

use super::forward::{ROWS_WORTH_A_THREAD, run_parallel};
use super::shape::{DepthwiseShape, Packed};
use crate::runtime::simd::{Isa, Kernel, Simd, array, dispatch, output_of_tap};
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
    let partial = parallel::map(parts, part);
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
        // SAFETY: lengths were compared by the caller; the core has the instruction set by the contract of `Kernel`.
        unsafe {
            // As many sums as registers allow, so that they don't wait for each other: all taps, or one filter row.
            match (self.shape.kernel, self.shape.stride, S::REGISTERS >= 32) {
                (5, 1, true) => self.rows_of::<S, 5, 1, 5>(s),
                (5, 2, true) => self.rows_of::<S, 5, 2, 5>(s),
                (5, 1, false) => self.rows_of::<S, 5, 1, 1>(s),
                (5, 2, false) => self.rows_of::<S, 5, 2, 1>(s),
                (3, 1, _) => self.rows_of::<S, 3, 1, 3>(s),
                (3, 2, _) => self.rows_of::<S, 3, 2, 3>(s),
                _ => self.any_rows(s),
            }
        }
    }
}

/// The input rows under `R` rows of taps and a vector of channels: where each begins, and the numbers between its
/// pixels. What lies beyond the picture is zeros.
struct Lines<const R: usize> {
    start: [*const f32; R],
    step: [usize; R],
}

impl WeightGradient<'_> {
    /// `K` is the kernel, `R` the number of filter rows whose taps are summed at once along an output row.
    #[inline(always)]
    unsafe fn rows_of<S: Simd, const K: usize, const STRIDE: usize, const R: usize>(self, s: S) {
        let &DepthwiseShape { height, width, channels, padding, .. } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        for row in self.rows.clone() {
            let (image, row) = (row / out_height, row % out_height);
            let gradients = (image * out_height + row) * out_width * channels;
            for first in (0..K).step_by(R) {
                // The input row of a row of taps; beyond `height` if there is none.
                let row_of = |r: usize| (row * STRIDE + first + r).wrapping_sub(padding);
                if (0..R).all(|r| row_of(r) >= height) {
                    continue;
                }
                for channel in (0..channels).step_by(S::LANES) {
                    let lanes = S::LANES.min(channels - channel);
                    // SAFETY: rows and columns outside the picture read `ZEROS`; `lanes` channels are left; `sums` has
                    // room for every tap.
                    unsafe {
                        let lines = Lines::<R> {
                            start: array(|r| match row_of(r) {
                                y if y < height => {
                                    self.x.as_ptr().add((image * height + y) * width * channels + channel)
                                }
                                _ => ZEROS.as_ptr(),
                            }),
                            step: array(|r| if row_of(r) < height { channels } else { 0 }),
                        };
                        let dy = self.dy.as_ptr().add(gradients + channel);
                        let mut sums = [[s.splat(0.0); K]; R];
                        let mut at = 0;
                        while at < out_width {
                            if lanes == S::LANES && at + TILE <= out_width {
                                self.tile::<S, K, STRIDE, R, TILE>(s, &lines, dy, at, lanes, &mut sums);
                                at += TILE;
                            } else {
                                self.tile::<S, K, STRIDE, R, 1>(s, &lines, dy, at, lanes, &mut sums);
                                at += 1;
                            }
                        }
                        for (r, sums) in sums.into_iter().enumerate().filter(|(r, _)| row_of(*r) < height) {
                            for (i, sum) in sums.into_iter().enumerate() {
                                let to = self.sums.as_mut_ptr().add(((first + r) * K + i) * channels + channel);
                                store(s, to, s.add(load(s, to, lanes), sum), lanes);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Adds the products of `T` gradients from `at` on with what lies under the taps. Each gradient and each pixel of
    /// the input is loaded once.
    ///
    /// # Safety
    /// As for [`Simd`]; the gradients lie in the row, and `T` is 1 unless `lanes` is a whole vector.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "the sums stay in registers")]
    unsafe fn tile<S: Simd, const K: usize, const STRIDE: usize, const R: usize, const T: usize>(
        &self,
        s: S,
        lines: &Lines<R>,
        dy: *const f32,
        at: usize,
        lanes: usize,
        sums: &mut [[S::Vector; K]; R],
    ) {
        let &DepthwiseShape { width, channels, padding, .. } = self.shape;
        let count = if T == 1 { lanes } else { S::LANES };
        // SAFETY: by this function's contract; columns outside the picture read `ZEROS`.
        unsafe {
            let gradients: [S::Vector; T] = array(|t| load(s, dy.add((at + t) * channels), count));
            for r in 0..R {
                for i in 0..(T - 1) * STRIDE + K {
                    let column = (at * STRIDE + i).wrapping_sub(padding);
                    let from = if column < width { lines.start[r].add(column * lines.step[r]) } else { ZEROS.as_ptr() };
                    let value = load(s, from, count);
                    for tap in 0..K {
                        if let Some(t) = output_of_tap(i, tap, STRIDE, T) {
                            sums[r][tap] = s.mul_add(value, gradients[t], sums[r][tap]);
                        }
                    }
                }
            }
        }
    }

    /// For filters of any size: one tap after the other.
    #[inline(always)]
    unsafe fn any_rows<S: Simd>(self, s: S) {
        let &DepthwiseShape { height, width, channels, kernel, stride, padding } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        for row in self.rows.clone() {
            let (image, row) = (row / out_height, row % out_height);
            for (tap_y, tap_x) in (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))) {
                let y = (row * stride + tap_y).wrapping_sub(padding);
                let columns = (0..out_width).map(|column| (column, (column * stride + tap_x).wrapping_sub(padding)));
                for (column, x) in columns.filter(|(_, x)| y < height && *x < width) {
                    for channel in (0..channels).step_by(S::LANES) {
                        let lanes = S::LANES.min(channels - channel);
                        let from = ((image * height + y) * width + x) * channels + channel;
                        let at = ((image * out_height + row) * out_width + column) * channels + channel;
                        // SAFETY: row and column lie in the picture, and `lanes` channels are left.
                        unsafe {
                            let to = self.sums.as_mut_ptr().add((tap_y * kernel + tap_x) * channels + channel);
                            let (x, dy) = (self.x.as_ptr().add(from), self.dy.as_ptr().add(at));
                            store(s, to, s.mul_add(load(s, x, lanes), load(s, dy, lanes), load(s, to, lanes)), lanes);
                        }
                    }
                }
            }
        }
    }
}

/// Output pixels of a row whose gradients stay in registers.
const TILE: usize = 4;
