//! Dense convolution on the CPU: every output channel sees every input channel.
//!
//! Activations are f32 (image, row, column, channel), weights `[out, in, kernel, kernel]`. The forward pass is a matrix
//! product that never builds its left side: a tile of a few output pixels times a few vectors of output channels stays
//! in registers while the taps of the filter pass over the picture in place (pixels beyond it read zeros). The input
//! gradient is the same product with flipped, transposed weights; the weight gradient is a sum of outer products over
//! the pixels. All of it is written once over [`Simd`].
//!
//! All of these work on plain slices; [`super::conv2d`] is the candle operation.

use super::{fill, output_size, parallel};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use rayon::prelude::*;
use std::ops::Range;

/// The size of a convolution over one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Rows and columns of the input.
    pub height: usize,
    pub width: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// Side of the filter.
    pub kernel: usize,
    pub stride: usize,
    /// Zeros about the picture, on every side.
    pub padding: usize,
}

impl ConvShape {
    /// Rows and columns of the output.
    ///
    /// # Panics
    /// If the filter is larger than the picture with its border, or the stride is 0.
    pub fn output_size(&self) -> (usize, usize) {
        let Self { height, width, kernel, stride, padding, .. } = *self;
        output_size((height, width), kernel, stride, padding)
    }

    /// Why the shape is impossible, if it is.
    pub(super) fn problem(&self) -> Option<String> {
        let channels = self.inputs.max(self.outputs);
        if channels > ZEROS.len() {
            return Some(format!("{channels} channels are more than {}", ZEROS.len()));
        }
        if self.stride == 0 || self.kernel == 0 || self.height.min(self.width) + 2 * self.padding < self.kernel {
            return Some(format!("{self:?} has no output"));
        }
        None
    }
}

/// What a pixel beyond the picture reads; as many channels as any network here has.
static ZEROS: [f32; 4096] = [0.0; 4096];

/// Vectors of output channels in one tile, at most.
const MAX_VECTORS: usize = 4;
/// Output pixels that are finished before the next block of output channels begins: their inputs stay in the cache.
const CHUNK_PIXELS: usize = 192;

/// Weights in the order in which a tile reads them: blocks of up to four vectors of output channels; in a block, for
/// each tap and input channel, those channels' weights, zeros behind the last.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    isa: Isa,
    lanes: usize,
    outputs: usize,
    /// Rows of a block: taps times input channels.
    rows: usize,
    /// Vectors of each block.
    blocks: Vec<usize>,
    values: Vec<f32>,
}

/// Vectors for each block: as even as four registers allow.
pub(super) fn blocks(channels: usize, lanes: usize) -> impl Iterator<Item = usize> {
    let vectors = channels.div_ceil(lanes);
    let count = vectors.div_ceil(MAX_VECTORS);
    (0..count).map(move |i| vectors / count + usize::from(i < vectors % count))
}

struct Lanes;

impl Kernel for Lanes {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

impl PackedWeights {
    /// Packs `[outputs, inputs, kernel, kernel]` weights.
    ///
    /// # Panics
    /// If `weight` has another length.
    pub fn new(isa: Isa, weight: &[f32], outputs: usize, inputs: usize, kernel: usize) -> Self {
        assert_eq!(weight.len(), outputs * inputs * kernel * kernel);
        Self::pack(isa, outputs, inputs, kernel * kernel, |tap, input, output| {
            weight[(output * inputs + input) * kernel * kernel + tap]
        })
    }

    /// The weights of the input gradient: inputs and outputs change places and the filter is turned about.
    fn transposed(isa: Isa, weight: &[f32], outputs: usize, inputs: usize, kernel: usize) -> Self {
        let last = kernel * kernel - 1;
        Self::pack(isa, inputs, outputs, kernel * kernel, |tap, output, input| {
            weight[(output * inputs + input) * kernel * kernel + last - tap]
        })
    }

    /// `weight` tells the one of a tap, an input and an output.
    fn pack(isa: Isa, outputs: usize, inputs: usize, taps: usize, weight: impl Fn(usize, usize, usize) -> f32) -> Self {
        let lanes = dispatch(isa, Lanes);
        let blocks: Vec<usize> = blocks(outputs, lanes).collect();
        let rows = taps * inputs;
        let mut values = vec![0.0; rows * blocks.iter().sum::<usize>() * lanes];
        let (mut rest, mut first) = (values.as_mut_slice(), 0);
        for vectors in &blocks {
            let length = vectors * lanes;
            let (block, others) = rest.split_at_mut(rows * length);
            let count = length.min(outputs - first);
            for input in 0..inputs {
                for tap in 0..taps {
                    let to = &mut block[(tap * inputs + input) * length..][..count];
                    for (i, to) in to.iter_mut().enumerate() {
                        *to = weight(tap, input, first + i);
                    }
                }
            }
            (rest, first) = (others, first + length);
        }
        Self { isa, lanes, outputs, rows, blocks, values }
    }
}

/// What happens to a sum before it is written: plus bias, plus residual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One number an output channel.
    pub bias: Option<&'a [f32]>,
    /// Laid out as the output.
    pub residual: Option<&'a [f32]>,
}

/// Where a kernel writes; ranges of different threads don't overlap.
#[derive(Clone, Copy)]
pub(super) struct Out(pub *mut f32);

// SAFETY: every thread writes its own range of pixels only.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

impl Out {
    pub fn pointer(self) -> *mut f32 {
        self.0
    }
}

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
    assert!(epilogue.bias.is_none_or(|b| b.len() == shape.outputs));
    assert!(epilogue.residual.is_none_or(|r| r.len() == out_length));
    pixels
}

/// Convolves `images` pictures on the current thread pool; what `out` held before goes.
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
        let &ConvShape { height, width, inputs, outputs, kernel, stride, padding } = self.shape;
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
                    let from: [*const f32; M] =
                        std::array::from_fn(|m| base.add(if m < count { m } else { count - 1 } * inputs));
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
                            let from: [*const f32; M] = std::array::from_fn(|m| {
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
                for (m, sums) in sums.iter().enumerate().take(count) {
                    let at = (start + m) * outputs + first;
                    for (v, &sum) in sums.iter().enumerate() {
                        let (at, channel) = (at + v * S::LANES, first + v * S::LANES);
                        let left = (outputs - channel).min(S::LANES);
                        let mut value = sum;
                        if let Some(bias) = self.epilogue.bias {
                            value = s.add(value, load(s, bias.as_ptr().add(channel), left));
                        }
                        if let Some(residual) = self.epilogue.residual {
                            value = s.add(value, load(s, residual.as_ptr().add(at), left));
                        }
                        let to = self.out.pointer().add(at);
                        if left == S::LANES { s.store(to, value) } else { s.store_partial(to, value, left) }
                    }
                }
            }
            start += count;
        }
    }
}

#[inline(always)]
unsafe fn load<S: Simd>(s: S, from: *const f32, count: usize) -> S::Vector {
    // SAFETY: the caller has `count` numbers there.
    unsafe { if count == S::LANES { s.load(from) } else { s.load_partial(from, count) } }
}

/// `sums[m][v] += from[m][k] * weights[k][v]` for all `k < length`.
#[inline(always)]
unsafe fn accumulate<S: Simd, const M: usize, const V: usize>(
    s: S,
    from: &[*const f32; M],
    length: usize,
    weights: *const f32,
    sums: &mut [[S::Vector; V]; M],
) {
    // SAFETY: the caller has `length` numbers behind every pointer and `length * V` vectors of weights.
    unsafe {
        let mut local = *sums;
        for k in 0..length {
            let row = weights.add(k * V * S::LANES);
            let w: [S::Vector; V] = std::array::from_fn(|v| s.load(row.add(v * S::LANES)));
            for m in 0..M {
                let value = s.splat(*from[m].add(k));
                for v in 0..V {
                    local[m][v] = s.mul_add(value, w[v], local[m][v]);
                }
            }
        }
        *sums = local;
    }
}

/// The gradient with respect to the input, from the gradient `dy` with respect to the output; plus `residual`, laid out
/// as the input. What `out` held before goes.
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
        let back = ConvShape { height, width, inputs: outputs, outputs: inputs, kernel, stride, padding };
        let epilogue = Epilogue { residual, ..Epilogue::default() };
        return run_parallel(&back, images, dy, &packed, epilogue, out);
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

/// Input gradient for strides over 1: every input pixel collects the outputs whose windows it lies in. Pixels that are a
/// stride apart meet the same taps and are summed together.
struct Strided<'a> {
    /// Of the forward pass.
    shape: &'a ConvShape,
    dy: &'a [f32],
    /// Transposed and turned.
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
                                let from: [*const f32; M] = std::array::from_fn(|m| {
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
                                let to = self.out.pointer().add(at);
                                if left == S::LANES { s.store(to, value) } else { s.store_partial(to, value, left) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The gradient with respect to the weights, `[outputs, inputs, kernel, kernel]`. The sum is in an order that depends on
/// the number of threads alone.
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
    let partial: Vec<Vec<f32>> =
        if parts == 1 { vec![part(0)] } else { (0..parts).into_par_iter().map(part).collect() };
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

/// The gradient with respect to the bias: the sum over all pixels.
pub fn bias_gradient(outputs: usize, dy: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0_f64; outputs];
    for pixels in dy.chunks(outputs * GRADIENT_CHUNK) {
        let mut part = vec![0.0_f32; outputs];
        for pixel in pixels.chunks_exact(outputs) {
            for (sum, value) in part.iter_mut().zip(pixel) {
                *sum += value;
            }
        }
        for (sum, value) in sums.iter_mut().zip(part) {
            *sum += f64::from(value);
        }
    }
    sums.into_iter().map(|v| v as f32).collect()
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
                    let mut sum: [S::Vector; V] = std::array::from_fn(|v| s.load(sums.add(i * padded + v * S::LANES)));
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
                std::array::from_fn(|m| std::array::from_fn(|v| s.load(sums.add((input + m) * padded + v * S::LANES))));
            for (pixel, row) in from.iter().zip(rows) {
                let g: [S::Vector; V] = std::array::from_fn(|v| s.load(dy.add(row + v * S::LANES)));
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
