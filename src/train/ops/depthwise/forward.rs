//! The forward pass of a depthwise convolution.

use super::shape::{DepthwiseShape, Packed};
use crate::runtime::simd::{Isa, Kernel, Simd, array, dispatch, output_of_tap};
use crate::train::ops::output::{Epilogue, Out, fill};
use crate::train::ops::parallel;
use crate::train::ops::vectors::{ZEROS, load};
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

/// An output row, for one vector of channels.
struct OutputRow {
    /// Input rows of the first tap, counted from `padding` rows above the picture.
    top: usize,
    /// Taps whose rows lie inside the picture.
    taps: Range<usize>,
    /// The picture's first number of these channels.
    picture: usize,
    /// The output row's first number of these channels.
    out: usize,
    channel: usize,
    /// Channels that are left, at most a vector.
    lanes: usize,
}

impl Forward<'_> {
    /// `K` and `STRIDE` are kernel and stride, or 0 for those that have no tiles.
    #[inline(always)]
    unsafe fn rows_of<S: Simd, const K: usize, const STRIDE: usize>(&self, s: S) {
        let &DepthwiseShape { height, width, channels, kernel, stride, padding } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        for row in self.rows.clone() {
            let (image, row) = (row / out_height, row % out_height);
            let top = row * stride;
            let taps = padding.saturating_sub(top)..kernel.min((height + padding).saturating_sub(top));
            for channel in (0..channels).step_by(S::LANES) {
                let row = OutputRow {
                    top,
                    taps: taps.clone(),
                    picture: image * height * width * channels + channel,
                    out: (image * out_height + row) * out_width * channels + channel,
                    channel,
                    lanes: S::LANES.min(channels - channel),
                };
                let mut at = 0;
                while at < out_width {
                    // SAFETY: the tile lies in the row, and has whole vectors unless it is a single pixel.
                    at += unsafe {
                        match out_width - at {
                            8.. if K > 0 && row.lanes == S::LANES => self.tile::<S, K, STRIDE, 8>(s, &row, at),
                            4.. if K > 0 && row.lanes == S::LANES => self.tile::<S, K, STRIDE, 4>(s, &row, at),
                            _ => self.pixel(s, &row, at),
                        }
                    };
                }
            }
        }
    }

    /// `T` pixels of an output row from `at` on, for a whole vector of channels; returns `T`. A filter row's weights
    /// stay in registers, and each pixel of the input is loaded once for all of its taps. Pixels beyond the picture
    /// are zeros.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "the sums stay in registers")]
    unsafe fn tile<S: Simd, const K: usize, const STRIDE: usize, const T: usize>(
        &self,
        s: S,
        row: &OutputRow,
        at: usize,
    ) -> usize {
        let &DepthwiseShape { width, channels, padding, .. } = self.shape;
        // SAFETY: taps are kept inside the picture; the epilogue was compared with the output.
        unsafe {
            let mut sums = [s.splat(0.0); T];
            for tap_y in row.taps.clone() {
                let line = self.x.as_ptr().add(row.picture + (row.top + tap_y - padding) * width * channels);
                let weight = self.weight.as_ptr().add(tap_y * K * channels + row.channel);
                let weights: [S::Vector; K] = array(|tap| s.load(weight.add(tap * channels)));
                for i in 0..(T - 1) * STRIDE + K {
                    let column = (at * STRIDE + i).wrapping_sub(padding);
                    let value = s.load(if column < width { line.add(column * channels) } else { ZEROS.as_ptr() });
                    for tap in 0..K {
                        if let Some(t) = output_of_tap(i, tap, STRIDE, T) {
                            sums[t] = s.mul_add(value, weights[tap], sums[t]);
                        }
                    }
                }
            }
            for t in 0..T {
                let cell = row.out + (at + t) * channels;
                self.epilogue.write(s, self.out, cell, row.channel, row.lanes, sums[t]);
            }
        }
        T
    }

    /// One pixel of an output row, at `at`; returns 1.
    #[inline(always)]
    unsafe fn pixel<S: Simd>(&self, s: S, row: &OutputRow, at: usize) -> usize {
        let &DepthwiseShape { width, channels, kernel, stride, padding, .. } = self.shape;
        let left = at * stride;
        // SAFETY: taps are kept inside the picture; the last vector of channels reads `lanes` numbers; the epilogue was
        // compared with the output.
        unsafe {
            let mut sum = s.splat(0.0);
            for tap_y in row.taps.clone() {
                let line = row.picture + (row.top + tap_y - padding) * width * channels;
                for tap_x in padding.saturating_sub(left)..kernel.min((width + padding).saturating_sub(left)) {
                    let from = self.x.as_ptr().add(line + (left + tap_x - padding) * channels);
                    let weight = self.weight.as_ptr().add((tap_y * kernel + tap_x) * channels + row.channel);
                    sum = s.mul_add(load(s, from, row.lanes), load(s, weight, row.lanes), sum);
                }
            }
            self.epilogue.write(s, self.out, row.out + at * channels, row.channel, row.lanes, sum);
        }
        1
    }
}
