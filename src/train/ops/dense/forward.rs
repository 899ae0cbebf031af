//! The forward pass of a dense convolution.

use super::packed::PackedWeights;
use super::shape::ConvShape;
use super::tile::accumulate;
use crate::runtime::simd::{Kernel, Simd, array, dispatch};
use crate::train::ops::output::{Epilogue, Out, fill};
use crate::train::ops::parallel;
use crate::train::ops::vectors::ZEROS;
use std::ops::Range;

/// Output pixels that are finished before the next block of output channels begins: their inputs stay in the cache.
const CHUNK_PIXELS: usize = 192;

fn check(
    shape: &ConvShape,
    images: usize,
    x: &[f32],
    packed: &PackedWeights,
    epilogue: &Epilogue<'_>,
    out_length: usize,
) -> usize {
    let (height, width) = shape.output_size();
    let pixels = images * height * width;
    assert!(shape.inputs <= ZEROS.len());
    assert_eq!(x.len(), images * shape.height * shape.width * shape.inputs);
    assert_eq!((packed.outputs, packed.rows), (shape.outputs, shape.kernel * shape.kernel * shape.inputs));
    assert_eq!(out_length, pixels * shape.outputs);
    epilogue.check(shape.outputs, out_length);
    pixels
}

/// Convolves `images` pictures on the current thread pool; replaces the contents of `out`.
///
/// # Panics
/// If a slice has the wrong length for `shape`, or `packed` is of another.
pub fn run_parallel(
    shape: &ConvShape,
    images: usize,
    x: &[f32],
    packed: &PackedWeights,
    epilogue: Epilogue<'_>,
    out: &mut Vec<f32>,
) {
    let (height, width) = shape.output_size();
    let length = images * height * width * shape.outputs;
    let pixels = check(shape, images, x, packed, &epilogue, length);
    let grain = MULTIPLICATIONS_WORTH_A_THREAD / (packed.rows * shape.outputs).max(1) + 1;
    // SAFETY: every pixel is written by exactly one part.
    unsafe {
        fill(out, length, |out| {
            parallel::split(pixels, grain, |pixels| {
                dispatch(packed.isa, Forward { shape, x, packed, epilogue, out, pixels });
            });
        });
    }
}

/// Multiplications that are worth handing to another thread.
const MULTIPLICATIONS_WORTH_A_THREAD: usize = 1 << 20;

struct Forward<'a> {
    shape: &'a ConvShape,
    x: &'a [f32],
    packed: &'a PackedWeights,
    epilogue: Epilogue<'a>,
    out: Out,
    /// Output pixels, counted through all pictures.
    pixels: Range<usize>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        // SAFETY: `check` compared all lengths; the core has the instruction set by the contract of `Kernel`.
        unsafe {
            let mut start = self.pixels.start;
            while start < self.pixels.end {
                let end = (start + CHUNK_PIXELS).min(self.pixels.end);
                let (mut weights, mut first) = (self.packed.values.as_ptr(), 0);
                for &vectors in &self.packed.blocks {
                    let many = S::REGISTERS >= 32;
                    match (vectors, many) {
                        (1, true) => self.block::<S, 14, 1>(s, start..end, weights, first),
                        (2, true) => self.block::<S, 12, 2>(s, start..end, weights, first),
                        (3, true) => self.block::<S, 8, 3>(s, start..end, weights, first),
                        (_, true) => self.block::<S, 6, 4>(s, start..end, weights, first),
                        (1, false) => self.block::<S, 8, 1>(s, start..end, weights, first),
                        (2, false) => self.block::<S, 6, 2>(s, start..end, weights, first),
                        (3, false) => self.block::<S, 4, 3>(s, start..end, weights, first),
                        (_, false) => self.block::<S, 3, 4>(s, start..end, weights, first),
                    }
                    weights = weights.add(self.packed.rows * vectors * self.packed.lanes);
                    first += vectors * self.packed.lanes;
                }
                start = end;
            }
        }
    }
}

impl Forward<'_> {
    /// `V` vectors of output channels from channel `first` on, for the given pixels, `M` at a time.
    #[inline(always)]
    unsafe fn block<S: Simd, const M: usize, const V: usize>(
        &self,
        s: S,
        pixels: Range<usize>,
        weights: *const f32,
        first: usize,
    ) {
        let &ConvShape { height, width, inputs, kernel, stride, padding, .. } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        let mut start = pixels.start;
        let (mut image, rest) = (start / (out_height * out_width), start % (out_height * out_width));
        let (mut row, mut column) = (rest / out_width, rest % out_width);
        while start < pixels.end {
            let count = M.min(pixels.end - start);
            // SAFETY: pointers are made for taps inside the picture only, all others read `ZEROS`.
            unsafe {
                let mut sums = [[s.splat(0.0); V]; M];
                if kernel == 1 && stride == 1 && padding == 0 {
                    let base = self.x.as_ptr().add(start * inputs);
                    let from: [*const f32; M] = array(|m| base.add(if m < count { m } else { count - 1 } * inputs));
                    accumulate::<S, M, V>(s, &from, inputs, weights, &mut sums);
                } else {
                    // Upper left corner of each pixel's window, and its picture.
                    let mut corners = [(0_isize, 0_isize, self.x.as_ptr()); M];
                    let mut inside = true;
                    for corner in corners.iter_mut().take(count) {
                        let y = (row * stride) as isize - padding as isize;
                        let x = (column * stride) as isize - padding as isize;
                        *corner = (y, x, self.x.as_ptr().add(image * height * width * inputs));
                        inside &= x >= 0 && x + kernel as isize <= width as isize;
                        column += 1;
                        if column == out_width {
                            column = 0;
                            row += 1;
                            if row == out_height {
                                row = 0;
                                image += 1;
                            }
                        }
                    }
                    for m in count..M {
                        corners[m] = corners[count - 1];
                    }
                    let mut weights = weights;
                    for tap_y in 0..kernel as isize {
                        // The taps of a filter row lie side by side in the picture unless one sticks out of it.
                        let (steps, length) = if inside && kernel * inputs <= ZEROS.len() {
                            (1, kernel * inputs)
                        } else {
                            (kernel as isize, inputs)
                        };
                        for tap_x in 0..steps {
                            let from: [*const f32; M] = array(|m| {
                                let (y, x, picture) = corners[m];
                                let (y, x) = (y + tap_y, x + tap_x);
                                if y >= 0 && y < height as isize && x >= 0 && x < width as isize {
                                    picture.add((y as usize * width + x as usize) * inputs)
                                } else {
                                    ZEROS.as_ptr()
                                }
                            });
                            accumulate::<S, M, V>(s, &from, length, weights, &mut sums);
                            weights = weights.add(length * V * S::LANES);
                        }
                    }
                }
                for (m, &sums) in sums.iter().enumerate().take(count) {
                    self.finish(s, start + m, first, sums);
                }
            }
            start += count;
        }
    }

    /// Writes `V` vectors of output channels of one pixel, from channel `first` on.
    #[inline(always)]
    unsafe fn finish<S: Simd, const V: usize>(&self, s: S, pixel: usize, first: usize, sums: [S::Vector; V]) {
        let outputs = self.shape.outputs;
        for (v, sum) in sums.into_iter().enumerate() {
            let channel = first + v * S::LANES;
            let (at, left) = (pixel * outputs + channel, (outputs - channel).min(S::LANES));
            // SAFETY: the pixel has `left` channels there; `check` compared bias and residual with the output.
            unsafe { self.epilogue.write(s, self.out, at, channel, left, sum) };
        }
    }
}
