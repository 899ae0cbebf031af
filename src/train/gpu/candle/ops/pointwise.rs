//! Sums with a ReLU, up- and down-sampling of maps by 2, as candle operations; the kernels are those of
//! [`crate::train::ops::pointwise`].

use super::{cpu_slice, new_vector, on_cpu};
use crate::train::ops::pointwise::{double, halve, relu_gradient, sum};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// `x + y` of two tensors of the same shape, at least 0 if `relu`.
///
/// # Errors
/// Shapes that differ, and what the device reports.
pub fn add(x: &Tensor, y: &Tensor, relu: bool) -> Result<Tensor> {
    if on_cpu(x) {
        return x.contiguous()?.apply_op2(&y.contiguous()?, Add { relu });
    }
    let sum = (x + y)?;
    if relu { sum.relu() } else { Ok(sum) }
}

/// Nearest-neighbour up-sampling by 2 of `[images, height, width, channels]`.
///
/// # Errors
/// The device's error.
pub fn upsample2x(x: &Tensor) -> Result<Tensor> {
    if on_cpu(x) {
        return x.contiguous()?.apply_op1(Upsample);
    }
    let (n, h, w, c) = x.dims4()?;
    let wide = x.reshape((n, h, 1, w, 1, c))?.broadcast_as((n, h, 2, w, 2, c))?;
    wide.contiguous()?.reshape((n, 2 * h, 2 * w, c))
}

/// Average pooling of 2x2 cells of `[images, height, width, channels]`, whose height and width are even.
///
/// # Errors
/// An odd side, and what the device reports.
pub fn avg_pool2x(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    if h % 2 != 0 || w % 2 != 0 {
        bail!("a map of {h}x{w} cells can't be halved");
    }
    if on_cpu(x) {
        return x.contiguous()?.apply_op1(Pool);
    }
    x.reshape((n, h / 2, 2, w / 2, 2, c))?.mean((2, 4))
}

struct Add {
    relu: bool,
}

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "awing-add"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, y: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (cpu_slice(x, lx)?, cpu_slice(y, ly)?);
        if lx.shape() != ly.shape() {
            bail!("{:?} and {:?} can't be added", lx.shape(), ly.shape());
        }
        Ok((CpuStorage::F32(new_vector(|out| sum(x, y, self.relu, out))), lx.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, sum: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = if self.relu { sum.apply_op2_no_bwd(&dy.contiguous()?, &Gate)? } else { dy.clone() };
        Ok((Some(gradient.clone()), Some(gradient)))
    }
}

/// The gradient of a ReLU, from its output and the gradient of that.
struct Gate;

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "awing-relu-gradient"
    }

    fn cpu_fwd(&self, y: &CpuStorage, ly: &Layout, dy: &CpuStorage, ld: &Layout) -> Result<(CpuStorage, Shape)> {
        let (y, dy) = (cpu_slice(y, ly)?, cpu_slice(dy, ld)?);
        Ok((CpuStorage::F32(new_vector(|out| relu_gradient(y, dy, out))), ly.shape().clone()))
    }
}

struct Upsample;
struct Pool;

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "awing-upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        Resize { doubled: true, factor: 1.0 }.cpu_fwd(x, lx)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(&Resize { doubled: false, factor: 1.0 })?))
    }
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "awing-average-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        Resize { doubled: false, factor: 0.25 }.cpu_fwd(x, lx)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(&Resize { doubled: true, factor: 0.25 })?))
    }
}

/// Doubling, or the sum of 2x2 cells; times a factor.
struct Resize {
    doubled: bool,
    factor: f32,
}

impl CustomOp1 for Resize {
    fn name(&self) -> &'static str {
        "awing-resize"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = lx.shape().dims4()?;
        let x = cpu_slice(x, lx)?;
        Ok(if self.doubled {
            let y = new_vector(|out| double(w, c, x, n * h, self.factor, out));
            (CpuStorage::F32(y), Shape::from((n, 2 * h, 2 * w, c)))
        } else {
            let y = new_vector(|out| halve(w / 2, c, x, n * h / 2, self.factor, out));
            (CpuStorage::F32(y), Shape::from((n, h / 2, w / 2, c)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_elsewhere, check_gradient, random};
    use super::*;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (x, y) = (random(&[2, 4, 6, 19], 1), random(&[2, 4, 6, 19], 2));
        check_gradient(std::slice::from_ref(&x), |v| upsample2x(&v[0]));
        check_gradient(std::slice::from_ref(&x), |v| avg_pool2x(&v[0]));
        // Away from the corner of the ReLU, where a difference quotient means nothing.
        let away = |t: &Tensor| (t + (t.sign().unwrap() * 0.1).unwrap()).unwrap();
        let sum = away(&(&x + &y).unwrap());
        for relu in [false, true] {
            check_gradient(&[(&sum - &y).unwrap(), y.clone()], |v| add(&v[0], &v[1], relu));
        }
    }

    #[test]
    fn other_devices_compute_the_same() {
        let (x, y) = (random(&[2, 4, 6, 19], 1), random(&[2, 4, 6, 19], 2));
        check_elsewhere(std::slice::from_ref(&x), |v| upsample2x(&v[0]));
        check_elsewhere(std::slice::from_ref(&x), |v| avg_pool2x(&v[0]));
        for relu in [false, true] {
            check_elsewhere(&[x.clone(), y.clone()], |v| add(&v[0], &v[1], relu));
        }
    }

    #[test]
    fn they_are_candles_operations() {
        let x = random(&[3, 6, 4, 33], 1);
        let nchw = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let same = |a: Tensor, b: Tensor| {
            let worst = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 1e-6, "{worst}");
        };
        same(avg_pool2x(&x).unwrap(), nchw.avg_pool2d(2).unwrap().permute((0, 2, 3, 1)).unwrap());
        same(upsample2x(&x).unwrap(), nchw.upsample_nearest2d(12, 8).unwrap().permute((0, 2, 3, 1)).unwrap());
        same(add(&x, &x, true).unwrap(), (x * 2.0).unwrap().relu().unwrap());
    }
}
