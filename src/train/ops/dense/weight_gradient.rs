//! The gradient of a dense convolution with respect to its weights.

use super::packed::{Lanes, blocks};
use super::shape::ConvShape;
use crate::runtime::simd::{Isa, Kernel, Simd, array, dispatch};
use crate::train::ops::parallel;
use crate::train::ops::vectors::ZEROS;
use std::ops::Range;

/// The gradient with respect to the weights, `[outputs, inputs, kernel, kernel]`. The sum is in an order that depends
/// on the number of threads alone.
///
/// # Panics
/// If a slice has the wrong length for `shape`.
pub fn weight_gradient(isa: Isa, shape: &ConvShape, images: usize, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (height, width) = shape.output_size();
    let pixels = images * height * width;
    assert_eq!(x.len(), images * shape.height * shape.width * shape.inputs);
    assert_eq!(dy.len(), pixels * shape.outputs);
    let lanes = dispatch(isa, Lanes);
    let padded = shape.outputs.div_ceil(lanes) * lanes;
    let taps = shape.kernel * shape.kernel;
    let parts = parallel::threads().min(pixels.div_ceil(GRADIENT_CHUNK)).max(1);
    let length = pixels.div_ceil(parts);
    let part = |part: usize| {
        let mut sums = vec![0.0_f32; taps * shape.inputs * padded];
        let range = part * length..((part + 1) * length).min(pixels);
        dispatch(isa, WeightGradient { shape, x, dy, padded, sums: &mut sums, pixels: range });
        sums
    };
    let partial = parallel::map(parts, part);
    let mut gradient = vec![0.0; shape.outputs * shape.inputs * taps];
    for sums in &partial {
        for tap in 0..taps {
            for input in 0..shape.inputs {
                let row = &sums[(tap * shape.inputs + input) * padded..][..shape.outputs];
                for (output, value) in row.iter().enumerate() {
                    gradient[(output * shape.inputs + input) * taps + tap] += value;
                }
            }
        }
    }
    gradient
}

/// Pixels whose inputs and gradients stay in the nearest cache while all taps and channels pass over them.
const GRADIENT_CHUNK: usize = 64;

struct WeightGradient<'a> {
    shape: &'a ConvShape,
    x: &'a [f32],
    dy: &'a [f32],
    /// Output channels, rounded up to whole vectors.
    padded: usize,
    /// `[tap][input][padded]`
    sums: &'a mut [f32],
    pixels: Range<usize>,
}

impl Kernel for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let &ConvShape { height, width, inputs, outputs, kernel, stride, padding } = self.shape;
        let (out_height, out_width) = self.shape.output_size();
        let mut from = [ZEROS.as_ptr(); GRADIENT_CHUNK];
        let mut gradients = vec![0.0_f32; GRADIENT_CHUNK * self.padded];
        let mut start = self.pixels.start;
        while start < self.pixels.end {
            let count = GRADIENT_CHUNK.min(self.pixels.end - start);
            for i in 0..count {
                let pixel = &self.dy[(start + i) * outputs..][..outputs];
                gradients[i * self.padded..][..outputs].copy_from_slice(pixel);
            }
            for tap in 0..kernel * kernel {
                let mut used = 0;
                let mut rows = [0_usize; GRADIENT_CHUNK];
                for i in 0..count {
                    let pixel = start + i;
                    let (image, rest) = (pixel / (out_height * out_width), pixel % (out_height * out_width));
                    let y = (rest / out_width * stride + tap / kernel).wrapping_sub(padding);
                    let x = (rest % out_width * stride + tap % kernel).wrapping_sub(padding);
                    if y < height && x < width {
                        from[used] = self.x[((image * height + y) * width + x) * inputs..].as_ptr();
                        rows[used] = i * self.padded;
                        used += 1;
                    }
                }
                // SAFETY: every pointer has `inputs` numbers, every row of `gradients` `padded` and `sums` of this tap
                // `inputs * padded`.
                unsafe {
                    let sums = self.sums.as_mut_ptr().add(tap * inputs * self.padded);
                    let from = &from[..used];
                    let rows = &rows[..used];
                    let mut first = 0;
                    for vectors in blocks(outputs, S::LANES) {
                        let (dy, sums) = (gradients.as_ptr().add(first), sums.add(first));
                        let many = S::REGISTERS >= 32;
                        match (vectors, many) {
                            (1, true) => outer::<S, 12, 1>(s, from, rows, dy, sums, inputs, self.padded),
                            (2, true) => outer::<S, 12, 2>(s, from, rows, dy, sums, inputs, self.padded),
                            (3, true) => outer::<S, 8, 3>(s, from, rows, dy, sums, inputs, self.padded),
                            (_, true) => outer::<S, 6, 4>(s, from, rows, dy, sums, inputs, self.padded),
                            (1, false) => outer::<S, 8, 1>(s, from, rows, dy, sums, inputs, self.padded),
                            (2, false) => outer::<S, 6, 2>(s, from, rows, dy, sums, inputs, self.padded),
                            (3, false) => outer::<S, 4, 3>(s, from, rows, dy, sums, inputs, self.padded),
                            (_, false) => outer::<S, 3, 4>(s, from, rows, dy, sums, inputs, self.padded),
                        }
                        first += vectors * S::LANES;
                    }
                }
            }
            start += count;
        }
    }
}

/// `sums[input][v] += from[pixel][input] * dy[pixel][v]`, `M` inputs at a time.
#[inline(always)]
unsafe fn outer<S: Simd, const M: usize, const V: usize>(
    s: S,
    from: &[*const f32],
    rows: &[usize],
    dy: *const f32,
    sums: *mut f32,
    inputs: usize,
    padded: usize,
) {
    // SAFETY: see the caller.
    unsafe {
        let mut input = 0;
        while input < inputs {
            let count = M.min(inputs - input);
            if count < M {
                for i in input..inputs {
                    let mut sum: [S::Vector; V] = array(|v| s.load(sums.add(i * padded + v * S::LANES)));
                    for (pixel, row) in from.iter().zip(rows) {
                        let value = s.splat(*pixel.add(i));
                        for (v, sum) in sum.iter_mut().enumerate() {
                            *sum = s.mul_add(value, s.load(dy.add(row + v * S::LANES)), *sum);
                        }
                    }
                    for (v, sum) in sum.into_iter().enumerate() {
                        s.store(sums.add(i * padded + v * S::LANES), sum);
                    }
                }
                return;
            }
            let mut tile: [[S::Vector; V]; M] =
                array(|m| array(|v| s.load(sums.add((input + m) * padded + v * S::LANES))));
            for (pixel, row) in from.iter().zip(rows) {
                let g: [S::Vector; V] = array(|v| s.load(dy.add(row + v * S::LANES)));
                let pixel = pixel.add(input);
                for (m, sums) in tile.iter_mut().enumerate() {
                    let value = s.splat(*pixel.add(m));
                    for (sum, g) in sums.iter_mut().zip(g) {
                        *sum = s.mul_add(value, g, *sum);
                    }
                }
            }
            for (m, sum) in tile.iter().enumerate() {
                for (v, &sum) in sum.iter().enumerate() {
                    s.store(sums.add((input + m) * padded + v * S::LANES), sum);
                }
            }
            input += M;
        }
    }
}
