//! Depthwise convolution: every channel has a filter of its own.
//!
//! Activations are f32 (image, row, column, channel), weights `[channels, 1, kernel, kernel]`. One vector holds
//! neighbouring channels of one pixel; a few output pixels of a row are summed in registers at a time. [`Packed`] and
//! [`run_parallel`] work on plain slices; [`depthwise_conv2d`] is the candle operation with gradients.

use super::dense::Out;
use super::parallel;
use super::{cpu_slice, fill, new_vector, on_cpu, output_size};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::ops::Range;

/// The size of a depthwise convolution over one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DepthwiseShape {
    /// Rows and columns of the input.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Side of the filter.
    pub kernel: usize,
    pub stride: usize,
    /// Zeros about the picture, on every side.
    pub padding: usize,
}

impl DepthwiseShape {
    /// Rows and columns of the output.
    ///
    /// # Panics
    /// If the filter is larger than the picture with its border, or the stride is 0.
    pub fn output_size(&self) -> (usize, usize) {
        let Self { height, width, kernel, stride, padding, .. } = *self;
        output_size((height, width), kernel, stride, padding)
    }
}

/// Weights as `[tap][channel]`.
#[derive(Clone, Debug)]
pub struct Packed(Vec<f32>);

impl Packed {
    /// Packs `[channels, 1, kernel, kernel]` weights.
    ///
    /// # Panics
    /// If `weight` has another length.
    pub fn new(weight: &[f32], channels: usize, kernel: usize) -> Self {
        let taps = kernel * kernel;
        assert_eq!(weight.len(), channels * taps);
        Self((0..taps).flat_map(|tap| (0..channels).map(move |c| weight[c * taps + tap])).collect())
    }

    /// The filters turned about: the weights of the input gradient.
    fn turned(weight: &[f32], channels: usize, kernel: usize) -> Self {
        let taps = kernel * kernel;
        Self((0..taps).flat_map(|tap| (0..channels).map(move |c| weight[c * taps + taps - 1 - tap])).collect())
    }
}

/// Convolves `images` pictures on the current thread pool, plus `residual`, laid out as the output; what `out` held before goes.
///
/// # Panics
/// If a slice has the wrong length for `shape`.
pub fn run_parallel(
    isa: Isa,
    shape: &DepthwiseShape,
    images: usize,
    x: &[f32],
    packed: &Packed,
    residual: Option<&[f32]>,
    out: &mut Vec<f32>,
) {
    let (height, width) = shape.output_size();
    let length = images * height * width * shape.channels;
    assert_eq!(x.len(), images * shape.height * shape.width * shape.channels);
    assert_eq!(packed.0.len(), shape.kernel * shape.kernel * shape.channels);
    assert!(residual.is_none_or(|r| r.len() == length));
    // SAFETY: all rows of all images are written.
    unsafe {
        fill(out, length, |out| {
            parallel::split(images * height, ROWS_WORTH_A_THREAD, |rows| {
                let forward = Forward { shape, x, weight: &packed.0, residual, out, rows };
                dispatch(isa, forward);
            });
        });
    }
}

/// Output rows that are worth handing to another thread.
const ROWS_WORTH_A_THREAD: usize = 16;

struct Forward<'a> {
    shape: &'a DepthwiseShape,
    x: &'a [f32],
    weight: &'a [f32],
    /// Laid out as the output.
    residual: Option<&'a [f32]>,
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
                    // SAFETY: taps are kept inside the picture; the last vector of channels reads `lanes` numbers.
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
                                self.finish(s, out_row + (at + i) * channels + channel, lanes, sum);
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
                                let (value, w) = if lanes == S::LANES {
                                    (s.load(from), s.load(weight))
                                } else {
                                    (s.load_partial(from, lanes), s.load_partial(weight, lanes))
                                };
                                sum = s.mul_add(value, w, sum);
                            }
                        }
                        self.finish(s, out_row + at * channels + channel, lanes, sum);
                        at += 1;
                    }
                }
                channel += S::LANES;
            }
        }
    }

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, at: usize, lanes: usize, sum: S::Vector) {
        // SAFETY: `at` is a cell of the output with `lanes` channels left.
        unsafe {
            let mut value = sum;
            if let Some(residual) = self.residual {
                value = s.add(value, load(s, residual.as_ptr().add(at), lanes));
            }
            let to = self.out.pointer().add(at);
            if lanes == S::LANES { s.store(to, value) } else { s.store_partial(to, value, lanes) }
        }
    }
}

/// Output pixels of a row that are summed together.
const TILE: usize = 8;

/// The gradient with respect to the input, from the gradient `dy` with respect to the output; plus `residual`, laid out
/// as the input. What `out` held before goes.
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
    let turned = Packed::turned(weight, channels, kernel);
    let (out_height, out_width) = shape.output_size();
    if stride == 1 && padding < kernel {
        let back = DepthwiseShape {
            height: out_height,
            width: out_width,
            channels,
            kernel,
            stride,
            padding: kernel - 1 - padding,
        };
        return run_parallel(isa, &back, images, dy, &turned, residual, out);
    }
    let length = images * height * width * channels;
    assert_eq!(dy.len(), images * out_height * out_width * channels);
    assert!(residual.is_none_or(|r| r.len() == length));
    // SAFETY: all rows of all images are written.
    unsafe {
        fill(out, length, |out| {
            parallel::split(images * height, ROWS_WORTH_A_THREAD, |rows| {
                dispatch(isa, Scatter { shape, dy, weight: &turned.0, residual, out, rows });
            });
        });
    }
}

/// Input gradient for strides over 1: every input pixel collects the outputs whose windows it lies in.
struct Scatter<'a> {
    shape: &'a DepthwiseShape,
    dy: &'a [f32],
    /// Turned filters, `[tap][channel]`.
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
        // The tap of the turned filter with which output `o` holds input coordinate `i`.
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
                                sum = if lanes == S::LANES {
                                    s.mul_add(s.load(g), s.load(w), sum)
                                } else {
                                    s.mul_add(s.load_partial(g, lanes), s.load_partial(w, lanes), sum)
                                };
                            }
                        }
                        let to = self.out.pointer().add(cell);
                        if lanes == S::LANES { s.store(to, sum) } else { s.store_partial(to, sum, lanes) }
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

#[inline(always)]
unsafe fn load<S: Simd>(s: S, from: *const f32, count: usize) -> S::Vector {
    // SAFETY: the caller has `count` numbers there.
    unsafe { if count == S::LANES { s.load(from) } else { s.load_partial(from, count) } }
}

/// Depthwise convolution of `x` `[images, height, width, channels]` with `weight` `[channels, 1, kernel, kernel]` and
/// `bias` `[channels]`, with `padding` zeros about the picture. Gradients with respect to all three.
///
/// On other devices than the CPU it is kernel x kernel shifted products, because candle runs a grouped convolution
/// group by group.
///
/// # Errors
/// Shapes that don't fit, and what the device reports.
pub fn depthwise_conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let y = if on_cpu(x) {
        x.contiguous()?.apply_op2(&weight.contiguous()?, Depthwise { stride, padding })?
    } else {
        shifted_products(x, weight, stride, padding)?
    };
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

fn shifted_products(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let shape = Depthwise { stride, padding }.shape(x.shape(), weight.shape())?.1;
    let (height, width) = shape.output_size();
    // One row and column more than needed, so that strided rows can be cut out in whole groups.
    let extra = stride - 1;
    let x = x.pad_with_zeros(1, padding, padding + extra)?.pad_with_zeros(2, padding, padding + extra)?;
    let (images, _, _, channels) = x.dims4()?;
    let mut sum: Option<Tensor> = None;
    for tap_y in 0..shape.kernel {
        for tap_x in 0..shape.kernel {
            let part = x.narrow(1, tap_y, height * stride)?.narrow(2, tap_x, width * stride)?;
            let part = part.contiguous()?.reshape((images, height, stride, width, stride, channels))?;
            let part =
                part.narrow(2, 0, 1)?.narrow(4, 0, 1)?.contiguous()?.reshape((images, height, width, channels))?;
            let filter = weight.narrow(2, tap_y, 1)?.narrow(3, tap_x, 1)?.reshape(channels)?;
            let product = part.broadcast_mul(&filter)?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
    }
    sum.ok_or_else(|| candle_core::Error::Msg("a filter has a tap".into()))
}

#[derive(Clone, Copy)]
struct Depthwise {
    stride: usize,
    padding: usize,
}

impl Depthwise {
    fn shape(&self, x: &Shape, weight: &Shape) -> Result<(usize, DepthwiseShape)> {
        let (images, height, width, channels) = x.dims4()?;
        let (filters, one, kernel, kernel_width) = weight.dims4()?;
        let &Depthwise { stride, padding } = self;
        if filters != channels || one != 1 || kernel != kernel_width {
            bail!("a depthwise convolution of {channels} channels can't have weights {:?}", weight.dims());
        }
        if stride == 0 || height.min(width) + 2 * padding < kernel {
            bail!("a {kernel}x{kernel} filter has no output on {height}x{width} pixels with padding {padding}");
        }
        Ok((images, DepthwiseShape { height, width, channels, kernel, stride, padding }))
    }
}

impl CustomOp2 for Depthwise {
    fn name(&self) -> &'static str {
        "awing-depthwise"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let (images, shape) = self.shape(lx.shape(), lw.shape())?;
        let packed = Packed::new(cpu_slice(w, lw)?, shape.channels, shape.kernel);
        let x = cpu_slice(x, lx)?;
        let out = new_vector(|out| run_parallel(Isa::active(), &shape, images, x, &packed, None, out));
        let (height, width) = shape.output_size();
        Ok((CpuStorage::F32(out), Shape::from((images, height, width, shape.channels))))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (images, shape) = self.shape(x.shape(), w.shape())?;
        let dx = if x.track_op() {
            Some(dy.apply_op2_no_bwd(w, &Gradient { images, shape, of_weight: false })?)
        } else {
            None
        };
        let dw = if w.track_op() {
            Some(x.apply_op2_no_bwd(&dy, &Gradient { images, shape, of_weight: true })?)
        } else {
            None
        };
        Ok((dx, dw))
    }
}

/// Of the input from (dy, weight), or of the weight from (x, dy).
struct Gradient {
    images: usize,
    shape: DepthwiseShape,
    of_weight: bool,
}

impl CustomOp2 for Gradient {
    fn name(&self) -> &'static str {
        "awing-depthwise-gradient"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self { images, shape, of_weight } = self;
        let (a, b, isa) = (cpu_slice(a, la)?, cpu_slice(b, lb)?, Isa::active());
        Ok(if *of_weight {
            let dims = (shape.channels, 1, shape.kernel, shape.kernel);
            (CpuStorage::F32(weight_gradient(isa, shape, *images, a, b)), Shape::from(dims))
        } else {
            let dims = (*images, shape.height, shape.width, shape.channels);
            let dx = new_vector(|out| input_gradient(isa, shape, *images, a, b, None, out));
            (CpuStorage::F32(dx), Shape::from(dims))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ops::tests::{check_elsewhere, check_gradient, random};

    const SHAPES: [(usize, usize, usize, usize, usize, usize); 8] = [
        (1, 1, 1, 3, 3, 1),
        (2, 7, 9, 17, 3, 1),
        (3, 12, 14, 16, 5, 1),
        (2, 11, 8, 48, 5, 2),
        (1, 16, 20, 99, 3, 2),
        (1, 2, 3, 20, 5, 1),
        (2, 32, 5, 33, 5, 2),
        (1, 9, 9, 8, 7, 1),
    ];

    #[test]
    fn it_is_candles_grouped_convolution() {
        for (n, h, w, c, k, s) in SHAPES {
            let (x, weight, bias) = (random(&[n, h, w, c], 1), random(&[c, 1, k, k], 2), random(&[c], 3));
            let ours = depthwise_conv2d(&x, &weight, Some(&bias), s, k / 2).unwrap();
            let nchw = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let theirs = nchw.conv2d(&weight, k / 2, s, 1, c).unwrap().permute((0, 2, 3, 1)).unwrap();
            let theirs = theirs.broadcast_add(&bias).unwrap();
            let worst = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 1e-4, "{n}x{h}x{w}x{c}, kernel {k}, stride {s}: {worst}");
        }
    }

    #[test]
    fn other_devices_compute_the_same() {
        for (n, h, w, c, k, s) in SHAPES {
            let inputs = [random(&[n, h, w, c], 1), random(&[c, 1, k, k], 2), random(&[c], 3)];
            for padding in [k / 2, k - 1] {
                check_elsewhere(&inputs, |v| depthwise_conv2d(&v[0], &v[1], Some(&v[2]), s, padding));
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (n, h, w, c, k, s) in
            [(2, 5, 4, 3, 3, 1), (1, 6, 5, 18, 5, 2), (2, 8, 9, 5, 5, 1), (1, 5, 7, 4, 3, 2), (1, 9, 9, 2, 7, 1)]
        {
            let inputs = [random(&[n, h, w, c], 1), random(&[c, 1, k, k], 2)];
            for padding in 0..k {
                if h.min(w) + 2 * padding >= k {
                    check_gradient(&inputs, |v| depthwise_conv2d(&v[0], &v[1], None, s, padding));
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_portable_result() {
        let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (_, height, width, channels, kernel, stride) in SHAPES {
            let shape = DepthwiseShape { height, width, channels, kernel, stride, padding: kernel / 2 };
            let (oh, ow) = shape.output_size();
            let x = values(random(&[height, width, channels], 1));
            let weight = values(random(&[channels, kernel, kernel], 2));
            let dy = values(random(&[oh, ow, channels], 3));
            let all = |isa| {
                let mut out = vec![f32::NAN; dy.len()];
                let packed = Packed::new(&weight, channels, kernel);
                run_parallel(isa, &shape, 1, &x, &packed, Some(&dy), &mut out);
                out.extend(new_vector(|out| input_gradient(isa, &shape, 1, &dy, &weight, Some(&x), out)));
                out.extend(weight_gradient(isa, &shape, 1, &x, &dy));
                out
            };
            let expected = all(Isa::Portable);
            for isa in Isa::available() {
                for (a, e) in all(isa).iter().zip(&expected) {
                    assert!((a - e).abs() < 1e-3 * e.abs().max(1.0), "{}: {a} instead of {e}", isa.name());
                }
            }
        }
    }
}
