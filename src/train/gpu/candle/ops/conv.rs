//! Dense convolution as a candle operation; see [`dense`] for the kernels.

use super::{cpu_slice, new_vector, on_cpu};
use crate::runtime::simd::Isa;
use crate::train::ops::dense::{self, ConvShape, MOST_CHANNELS, PackedWeights};
use crate::train::ops::{Epilogue, bias_gradient};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// Convolution of `x` `[images, height, width, inputs]` with `weight` `[outputs, inputs, kernel, kernel]` and `bias`
/// `[outputs]`: `[images, height', width', outputs]`, with `padding` zeros about the picture.
///
/// Gradients with respect to all three. On the CPU these are the kernels of [`dense`]; elsewhere candle's own.
///
/// # Errors
/// Shapes that don't fit, and what the device reports.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
    let op = Conv { stride, padding };
    if !on_cpu(x) {
        let y = by_candle(x, weight, &op.shape(x.shape(), weight.shape())?.1)?;
        return match bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        };
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, op),
        None => x.apply_op2(&weight, op),
    }
}

/// The convolution with candle's operations. The picture is first padded, or cut, to exactly what the windows reach:
/// candle's backward pass takes how much of the picture a stride leaves over from the height alone, and so fails for
/// 9x8 pixels and a stride of 2.
fn by_candle(x: &Tensor, weight: &Tensor, shape: &ConvShape) -> Result<Tensor> {
    let &ConvShape { kernel, stride, padding, .. } = shape;
    let (height, width) = shape.output_size();
    let mut x = x.clone();
    for (dim, outputs) in [(1, height), (2, width)] {
        let (side, reached) = (x.dim(dim)?, (outputs - 1) * stride + kernel);
        let kept = side.min(reached.saturating_sub(padding));
        x = x.narrow(dim, 0, kept)?.pad_with_zeros(dim, padding, reached.saturating_sub(padding + kept))?;
    }
    let nchw = x.permute((0, 3, 1, 2))?.contiguous()?;
    nchw.conv2d(weight, 0, stride, 1, 1)?.permute((0, 2, 3, 1))?.contiguous()
}

#[derive(Clone, Copy)]
struct Conv {
    stride: usize,
    padding: usize,
}

impl Conv {
    fn shape(&self, x: &Shape, weight: &Shape) -> Result<(usize, ConvShape)> {
        let (images, height, width, inputs) = x.dims4()?;
        let (outputs, weight_inputs, kernel, kernel_width) = weight.dims4()?;
        if weight_inputs != inputs || kernel != kernel_width {
            bail!("a convolution of {inputs} channels can't have weights {:?}", weight.dims());
        }
        let &Conv { stride, padding } = self;
        let shape = ConvShape { height, width, inputs, outputs, kernel, stride, padding };
        if inputs.max(outputs) > MOST_CHANNELS {
            bail!("{} channels are more than {MOST_CHANNELS}", inputs.max(outputs));
        }
        if stride == 0 || kernel == 0 || height.min(width) + 2 * padding < kernel {
            bail!("{shape:?} has no output");
        }
        Ok((images, shape))
    }

    fn forward(
        &self,
        (x, lx): (&CpuStorage, &Layout),
        (weight, lw): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let (images, shape) = self.shape(lx.shape(), lw.shape())?;
        let isa = Isa::active();
        let packed = PackedWeights::new(isa, cpu_slice(weight, lw)?, shape.outputs, shape.inputs, shape.kernel);
        let bias = bias.map(|(b, l)| cpu_slice(b, l)).transpose()?;
        if bias.is_some_and(|b| b.len() != shape.outputs) {
            bail!("a convolution of {} output channels needs as many biases", shape.outputs);
        }
        let epilogue = Epilogue { bias, ..Epilogue::default() };
        let x = cpu_slice(x, lx)?;
        let out = new_vector(|out| dense::run_parallel(&shape, images, x, &packed, epilogue, out));
        let (height, width) = shape.output_size();
        Ok((CpuStorage::F32(out), Shape::from((images, height, width, shape.outputs))))
    }

    fn gradients(&self, x: &Tensor, weight: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (images, shape) = self.shape(x.shape(), weight.shape())?;
        let dx = if x.track_op() { Some(dy.apply_op2_no_bwd(weight, &InputGradient { images, shape })?) } else { None };
        let dw =
            if weight.track_op() { Some(x.apply_op2_no_bwd(&dy, &WeightGradient { images, shape })?) } else { None };
        Ok((dx, dw))
    }
}

impl CustomOp2 for Conv {
    fn name(&self) -> &'static str {
        "awing-conv2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward((x, lx), (w, lw), None)
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, w, dy)
    }
}

impl CustomOp3 for Conv {
    fn name(&self) -> &'static str {
        "awing-conv2d-bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, lx), (w, lw), Some((b, lb)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = self.gradients(x, w, dy)?;
        Ok((dx, dw, Some(dy.contiguous()?.apply_op1_no_bwd(&BiasGradient)?)))
    }
}

struct InputGradient {
    images: usize,
    shape: ConvShape,
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "awing-conv2d-input-gradient"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, ly: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self { images, shape } = self;
        let (dy, w) = (cpu_slice(dy, ly)?, cpu_slice(w, lw)?);
        let dx = new_vector(|out| dense::input_gradient(Isa::active(), shape, *images, dy, w, None, out));
        Ok((CpuStorage::F32(dx), Shape::from((*images, shape.height, shape.width, shape.inputs))))
    }
}

struct WeightGradient {
    images: usize,
    shape: ConvShape,
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "awing-conv2d-weight-gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, dy: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self { images, shape } = self;
        let dw = dense::weight_gradient(Isa::active(), shape, *images, cpu_slice(x, lx)?, cpu_slice(dy, ly)?);
        Ok((CpuStorage::F32(dw), Shape::from((shape.outputs, shape.inputs, shape.kernel, shape.kernel))))
    }
}

struct BiasGradient;

impl CustomOp1 for BiasGradient {
    fn name(&self) -> &'static str {
        "awing-conv2d-bias-gradient"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let outputs = ly.shape().dims4()?.3;
        Ok((CpuStorage::F32(bias_gradient(Isa::active(), outputs, cpu_slice(dy, ly)?)), Shape::from(outputs)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_elsewhere, check_gradient, random};
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn it_is_candles_convolution() {
        for (n, h, w, cin, cout, k, s) in [
            (1, 1, 1, 3, 5, 1, 1),
            (2, 7, 9, 3, 17, 3, 1),
            (3, 8, 6, 16, 99, 3, 2),
            (2, 13, 5, 6, 16, 7, 2),
            (1, 9, 11, 48, 48, 1, 1),
            (2, 9, 8, 5, 64, 1, 2),
            (1, 6, 6, 33, 130, 3, 1),
        ] {
            let x = random(&[n, h, w, cin], 1);
            let weight = random(&[cout, cin, k, k], 2);
            let bias = random(&[cout], 3);
            let ours = conv2d(&x, &weight, Some(&bias), s, k / 2).unwrap();
            let nchw = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let theirs = nchw.conv2d(&weight, k / 2, s, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
            let theirs = theirs.broadcast_add(&bias).unwrap();
            let worst = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 1e-3, "{n}x{h}x{w}x{cin} to {cout}, kernel {k}, stride {s}: {worst}");
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (n, h, w, cin, cout, k, s) in
            [(2, 5, 4, 3, 5, 3, 1), (1, 6, 5, 4, 18, 3, 2), (2, 5, 7, 2, 3, 7, 2), (1, 4, 4, 17, 20, 1, 1)]
        {
            let inputs = [random(&[n, h, w, cin], 1), random(&[cout, cin, k, k], 2), random(&[cout], 3)];
            for padding in 0..k {
                if h.min(w) + 2 * padding >= k {
                    check_gradient(&inputs, |v| conv2d(&v[0], &v[1], Some(&v[2]), s, padding));
                }
            }
        }
    }

    /// Gradients of input and weight by stock candle, (image, row, column, channel).
    fn stock(x: &Tensor, weight: &Tensor, stride: usize, padding: usize, dy: &Tensor) -> Result<[Tensor; 2]> {
        let nchw = Var::from_tensor(&x.permute((0, 3, 1, 2))?.contiguous()?)?;
        let weight = Var::from_tensor(weight)?;
        let y = nchw.conv2d(&weight, padding, stride, 1, 1)?.permute((0, 2, 3, 1))?;
        let gradients = (y * dy)?.sum_all()?.backward()?;
        let of = |var: &Var| gradients.get(var).cloned().ok_or_else(|| candle_core::Error::Msg("no gradient".into()));
        Ok([of(&nchw)?.permute((0, 2, 3, 1))?, of(&weight)?])
    }

    #[test]
    fn gradients_are_candles_where_candle_is_right() {
        for (h, w, k, s, p) in [(7, 9, 3, 1, 1), (8, 6, 3, 2, 1), (9, 5, 3, 2, 1), (12, 10, 7, 2, 3), (6, 11, 5, 1, 0)]
        {
            let (x, weight) = (random(&[2, h, w, 5], 1), random(&[6, 5, k, k], 2));
            let vars = [Var::from_tensor(&x).unwrap(), Var::from_tensor(&weight).unwrap()];
            let y = conv2d(&vars[0], &vars[1], None, s, p).unwrap();
            let dy = random(y.dims(), 3);
            let gradients = (y * &dy).unwrap().sum_all().unwrap().backward().unwrap();
            for (var, expected) in vars.iter().zip(stock(&x, &weight, s, p, &dy).unwrap()) {
                let off = (gradients.get(var).unwrap() - expected).unwrap().abs().unwrap().max_all().unwrap();
                assert!(off.to_scalar::<f32>().unwrap() < 1e-3, "{h}x{w}, filter {k}, stride {s}, padding {p}");
            }
        }
    }

    /// When this fails, candle has learnt it, and [`by_candle`] may leave the padding to it.
    #[test]
    fn candle_still_fails_where_the_sides_leave_over_different_amounts() {
        let (x, weight, dy) = (random(&[1, 9, 8, 2], 1), random(&[3, 2, 3, 3], 2), random(&[1, 5, 4, 3], 3));
        assert!(stock(&x, &weight, 2, 1, &dy).is_err());
    }

    #[test]
    fn other_devices_compute_the_same() {
        for (n, h, w, cin, cout, k, s, p) in [
            (2, 7, 9, 3, 17, 3, 1, 1),
            (3, 8, 5, 6, 9, 3, 2, 1),
            (1, 9, 8, 5, 6, 1, 2, 0),
            (2, 13, 6, 6, 16, 7, 2, 3),
            (1, 5, 7, 4, 3, 3, 1, 0),
            (1, 11, 8, 4, 3, 3, 3, 2),
        ] {
            let inputs = [random(&[n, h, w, cin], 1), random(&[cout, cin, k, k], 2), random(&[cout], 3)];
            check_elsewhere(&inputs, |v| conv2d(&v[0], &v[1], Some(&v[2]), s, p));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let x = Tensor::zeros((1, 4, 4, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let weight = Tensor::zeros((8, 4, 3, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(conv2d(&x, &weight, None, 1, 1).is_err());
    }
}
