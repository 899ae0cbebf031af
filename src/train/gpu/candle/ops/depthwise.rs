//! Depthwise convolution as a candle operation.

use super::{cpu_slice, new_vector, on_cpu};
use crate::runtime::simd::Isa;
use crate::train::ops::Epilogue;
use crate::train::ops::depthwise::{DepthwiseShape, Packed, input_gradient, run_parallel, weight_gradient};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

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
        let out = new_vector(|out| run_parallel(Isa::active(), &shape, images, x, &packed, Epilogue::default(), out));
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
    use super::super::tests::{check_elsewhere, check_gradient, random};
    use super::*;

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
}
