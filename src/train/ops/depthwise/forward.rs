//! The forward pass of a depthwise convolution.

use super::shape::{DepthwiseShape, Packed};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use crate::train::ops::output::{Epilogue, Out, fill};
use crate::train::ops::parallel;
use crate::train::ops::vectors::load;
use std::ops::Range;

/// Convolves `images` pictures on the current thread pool. Replaces the contents of `out`.
///
/// # Panics
/// If a slice has the wrong length for `shape`.
pub fn run_parallel(
    isa: Isa,
    shape: &DepthwiseShape,
    images: usize,
    x: &[f32],
    packed: &Packed,
    epilogue: Epilogue<'_>,
    out: &mut Vec<f32>,
) {
    let (height, width) = shape.output_size();
    let length = images * height * width * shape.channels;
    assert_eq!(x.len(), images * shape.height * shape.width * shape.channels);
    assert_eq!(packed.values().len(), shape.kernel * shape.kernel * shape.channels);
    epilogue.check(shape.channels, length);
    // SAFETY: all rows of all images are written.
    unsafe {
        fill(out, length, |out| {
            parallel::split(images * height, ROWS_WORTH_A_THREAD, |rows| {
                let forward = Forward { shape, x, weight: packed.values(), epilogue, out, rows };
                dispatch(isa, forward);
            });
        });
    }
}

/// Output rows that are worth handing to another thread.
pub(super) const ROWS_WORTH_A_THREAD: usize = 16;

struct Forward<'a> {
    shape: &'a DepthwiseShape,
    x: &'a [f32],
    weight: &'a [f32],
    epilogue: Epilogue<'a>,
    out: Out,
    /// Output rows, counted through all pictures.
    rows: Range<usize>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        // SAFETY: lengths were compared by the callers; the core has the instruction set by the contract of `Kernel`.
        unsafe {
            match (self.shape.kernel, self.shape.stride) {
                (5, 1) => self.rows_of::<S, 5, 1>(s),
                (5, 2) => self.rows_of::<S, 5, 2>(s),
                (3, 1) => self.rows_of::<S, 3, 1>(s),
                (3, 2) => self.rows_of::<S, 3, 2>(s),
                _ => self.rows_of::<S, 0, 0>(s),
            }
        }
    }
}

impl Forward<'_> {
    /// `K` and `T` are kernel and stride where they are known to the compiler, else 0.
    #[inline(always)]
    unsafe fn rows_of<S: Simd, const K: usize, const T: usize>(&self, s: S) {
        let &DepthwiseShape { height, width, channels, padding, .. } = self.shape;
        let kernel = if K == 0 { self.shape.kernel } else { K };
        let stride = if T == 0 { self.shape.stride } else { T };
        let (out_height, out_width) = self.shape.output_size();
        // Columns whose windows lie inside the picture.
        let first_inside = padding.div_ceil(stride).min(out_width);
        let end_inside =
            if width + padding < kernel { 0 } else { ((width + padding - kernel) / stride + 1).min(out_width) };
        for row in self.rows.clone() {
            let (image, row) = (row / out_height, row % out_height);
            let top = row * stride;
            // Taps whose rows lie inside the picture.
            let taps = padding.saturating_sub(top)..kernel.min((height + padding).saturating_sub(top));
            let picture = image * height * width * channels;
            let out_row = (image * out_height + row) * out_width * channels;
            let mut channel = 0;
            while channel < channels {
                let lanes = S::LANES.min(channels - channel);
                let column =
                    |column: usize, tap: usize| picture + ((top + tap - padding) * width + column) * channels + channel;
                let mut at = 0;
                while at < out_width {
                    // SAFETY: taps are kept inside the picture; the last vector of channels reads `lanes` numbers;
                    // the epilogue was compared with the output.
                    unsafe {
                        if lanes == S::LANES && at >= first_inside && at + TILE <= end_inside {
                            let mut sums = [s.splat(0.0); TILE];
                            for tap_y in taps.clone() {
                                let from = self.x.as_ptr().add(column(at * stride - padding, tap_y));
                                let weight = self.weight.as_ptr().add(tap_y * kernel * channels + channel);
                                for tap_x in 0..kernel {
                                    let w = s.load(weight.add(tap_x * channels));
                                    for (i, sum) in sums.iter_mut().enumerate() {
                                        let value = s.load(from.add((i * stride + tap_x) * channels));
                                        *sum = s.mul_add(value, w, *sum);
                                    }
                                }
                            }
                            for (i, sum) in sums.into_iter().enumerate() {
                                let cell = out_row + (at + i) * channels + channel;
                                self.epilogue.write(s, self.out, cell, channel, lanes, sum);
                            }
                            at += TILE;
                            continue;
                        }
                        let left = at * stride;
                        let mut sum = s.splat(0.0);
                        for tap_y in taps.clone() {
                            for tap_x in
                                padding.saturating_sub(left)..kernel.min((width + padding).saturating_sub(left))
                            {
                                let from = self.x.as_ptr().add(column(left + tap_x - padding, tap_y));
                                let weight = self.weight.as_ptr().add((tap_y * kernel + tap_x) * channels + channel);
                                sum = s.mul_add(load(s, from, lanes), load(s, weight, lanes), sum);
                            }
                        }
                        let cell = out_row + at * channels + channel;
                        self.epilogue.write(s, self.out, cell, channel, lanes, sum);
                        at += 1;
                    }
                }
                channel += S::LANES;
            }
        }
    }
}

/// Output pixels of a row that are summed together.
const TILE: usize = 8;
