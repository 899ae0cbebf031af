//! The Adaptive Wing loss and its gradient (paper section 3.2).
//!
//! With `d = |target - prediction|`, `y` the target and `p = alpha - y`:
//!
//! - `d < theta`: `omega ln(1 + (d / epsilon)^p)`,
//! - `d >= theta`: `A d - C`, the tangent there: `A = omega p (theta / epsilon)^p / (theta (1 + (theta / epsilon)^p))`,
//!   `C = theta A - omega ln(1 + (theta / epsilon)^p)`.
//!
//! The weighted loss map is part of the data ([`crate::train::targets::weight_map`]). One candle operation computes loss and
//! gradient in the same pass; on other devices than the CPU they are put together from candle's operations.

use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use crate::train::ops::parallel;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, Mutex};

/// Shape of the loss near 0: the higher `ALPHA - y`, the flatter.
pub const ALPHA: f32 = 2.1;
/// Scale of the loss.
pub const OMEGA: f32 = 14.0;
/// Width of the curved part.
pub const EPSILON: f32 = 1.0;
/// Where the curved part ends.
pub const THETA: f32 = 0.5;

/// The smallest difference whose power is taken: below it the gradient is 0 to single precision or cut off steeply.
const SMALLEST: f32 = 1e-6;

/// `sum(weight * loss) / normalizer`, a scalar, with the gradient with respect to `prediction`. All three tensors have
/// the same shape; where the weight is 0 nothing counts.
///
/// # Errors
/// Shapes that differ, a normalizer that is not over 0, and what the device reports.
pub fn adaptive_wing(prediction: &Tensor, target: &Tensor, weight: &Tensor, normalizer: f64) -> Result<Tensor> {
    if prediction.dims() != target.dims() || prediction.dims() != weight.dims() {
        bail!("{:?}, {:?} and {:?} should be of one shape", prediction.dims(), target.dims(), weight.dims());
    }
    if normalizer <= 0.0 {
        bail!("the loss can't be divided by {normalizer}");
    }
    if !crate::train::ops::on_cpu(prediction) {
        return composed(prediction, target, weight, normalizer);
    }
    let op = Loss { normalizer, gradient: Arc::new(Mutex::new(Vec::new())) };
    prediction.contiguous()?.apply_op3(&target.contiguous()?.detach(), &weight.contiguous()?.detach(), op)
}

/// The same from candle's operations.
fn composed(prediction: &Tensor, target: &Tensor, weight: &Tensor, normalizer: f64) -> Result<Tensor> {
    let (alpha, omega, epsilon, theta) = (f64::from(ALPHA), f64::from(OMEGA), f64::from(EPSILON), f64::from(THETA));
    let d = (prediction - target)?.abs()?.maximum(f64::from(SMALLEST))?;
    let p = (alpha - target)?;
    let curved = (((d.affine(1.0 / epsilon, 0.0)?.log()? * &p)?.exp()? + 1.0)?.log()? * omega)?;
    let t = (&p * (theta / epsilon).ln())?.exp()?;
    let slope = (((&p * &t)? / (&t + 1.0)?)? * (omega / theta))?;
    let offset = ((&slope * theta)? - ((&t + 1.0)?.log()? * omega)?)?;
    let straight = ((&slope * &d)? - offset)?;
    let each = d.lt(theta)?.where_cond(&curved, &straight)?;
    (each * weight)?.sum_all()? / normalizer
}

/// As [`adaptive_wing`] on plain numbers and the current thread pool: returns the loss and leaves its gradient with respect
/// to `prediction` in `gradient`, whose old contents go. The sum is in an order that depends on nothing but the length.
///
/// # Panics
/// If the lengths differ.
pub fn loss_and_gradient(
    prediction: &[f32],
    target: &[f32],
    weight: &[f32],
    normalizer: f64,
    gradient: &mut Vec<f32>,
) -> f64 {
    assert_eq!([target.len(), weight.len()], [prediction.len(); 2]);
    gradient.resize(prediction.len(), 0.0);
    let factor = (1.0 / normalizer) as f32;
    let parts: Vec<Mutex<(&mut [f32], f64)>> = gradient.chunks_mut(GRAIN).map(|g| Mutex::new((g, 0.0))).collect();
    parallel::split(parts.len(), 1, |range| {
        for part in range {
            let cells = part * GRAIN..((part + 1) * GRAIN).min(prediction.len());
            // Nobody else comes here: the lock is free and whole.
            let Ok(mut place) = parts[part].lock() else { continue };
            let (gradient, sum) = &mut *place;
            *sum = dispatch(
                Isa::active(),
                Cells {
                    prediction: &prediction[cells.clone()],
                    target: &target[cells.clone()],
                    weight: &weight[cells],
                    factor,
                    gradient,
                },
            );
        }
    });
    let sum: f64 = parts.into_iter().map(|p| p.into_inner().map_or(f64::NAN, |(_, sum)| sum)).sum();
    sum / normalizer
}

struct Loss {
    normalizer: f64,
    /// Filled by the forward pass.
    gradient: Arc<Mutex<Vec<f32>>>,
}

/// Cells that are worth handing to another thread, and whose losses are summed in f32.
const GRAIN: usize = 1 << 13;

/// Loss and derivative (with respect to the prediction) of one cell.
#[inline(always)]
fn cell(prediction: f32, target: f32) -> (f32, f32) {
    let difference = prediction - target;
    let d = difference.abs().max(SMALLEST);
    let p = ALPHA - target;
    let power = exp2(p * log2(d / EPSILON));
    let curved = OMEGA * std::f32::consts::LN_2 * log2(1.0 + power);
    let curved_slope = OMEGA * p * power / (d * (1.0 + power));
    let t = exp2(p * LOG2_OF_THETA);
    let slope = OMEGA * p * t / (THETA * (1.0 + t));
    let straight = slope * (d - THETA) + OMEGA * std::f32::consts::LN_2 * log2(1.0 + t);
    let inside = d < THETA;
    let sign = if difference > 0.0 {
        1.0
    } else if difference < 0.0 {
        -1.0
    } else {
        0.0
    };
    (if inside { curved } else { straight }, sign * if inside { curved_slope } else { slope })
}

/// log2(THETA / EPSILON)
const LOG2_OF_THETA: f32 = -1.0;

/// Base-2 logarithm of a positive, normal number, to 2e-7; plain operations only, so that the compiler makes vectors.
#[inline(always)]
fn log2(x: f32) -> f32 {
    const SQRT_HALF_BITS: i32 = 0x3f35_04f3;
    let bits = x.to_bits() as i32;
    let exponent = (bits - SQRT_HALF_BITS) >> 23;
    let mantissa = f32::from_bits((bits - (exponent << 23)) as u32);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let s2 = s * s;
    let series = 1.0 + s2 * (1.0 / 3.0 + s2 * (1.0 / 5.0 + s2 * (1.0 / 7.0 + s2 * (1.0 / 9.0))));
    exponent as f32 + 2.0 * std::f32::consts::LOG2_E * s * series
}

/// `2^x` for moderate `x` (cut to -126..=126), to 3e-7.
#[inline(always)]
fn exp2(x: f32) -> f32 {
    // Adding this rounds to an integer in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-126.0, 126.0);
    let rounded = x + ROUND;
    let whole = (rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let f = (x - (rounded - ROUND)) * std::f32::consts::LN_2;
    let series =
        1.0 + f * (1.0 + f * (1.0 / 2.0 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f * (1.0 / 720.0))))));
    series * f32::from_bits(((whole + 127) << 23) as u32)
}

struct Cells<'a> {
    prediction: &'a [f32],
    target: &'a [f32],
    weight: &'a [f32],
    factor: f32,
    gradient: &'a mut [f32],
}

impl Kernel for Cells<'_> {
    /// The sum of the weighted losses.
    type Output = f64;

    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) -> f64 {
        const LANES: usize = 16;
        let mut sums = [0.0_f32; LANES];
        let whole = self.prediction.len() / LANES * LANES;
        let (p, y, w) = (&self.prediction[..whole], &self.target[..whole], &self.weight[..whole]);
        let parts = p.chunks_exact(LANES).zip(y.chunks_exact(LANES)).zip(w.chunks_exact(LANES));
        for (((p, y), w), g) in parts.zip(self.gradient.chunks_exact_mut(LANES)) {
            for i in 0..LANES {
                let (loss, slope) = cell(p[i], y[i]);
                // Where the weight is 0, whatever the prediction holds must not count, not even a NaN.
                let counts = w[i] != 0.0;
                sums[i] += if counts { w[i] * loss } else { 0.0 };
                g[i] = if counts { w[i] * slope * self.factor } else { 0.0 };
            }
        }
        let mut sum: f64 = sums.iter().map(|v| f64::from(*v)).sum();
        for i in whole..self.prediction.len() {
            let (loss, slope) = cell(self.prediction[i], self.target[i]);
            let weight = self.weight[i];
            if weight != 0.0 {
                sum += f64::from(weight * loss);
            }
            self.gradient[i] = if weight != 0.0 { weight * slope * self.factor } else { 0.0 };
        }
        sum
    }
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a contiguous tensor is needed here") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

impl CustomOp3 for Loss {
    fn name(&self) -> &'static str {
        "awing-adaptive-wing"
    }

    fn cpu_fwd(
        &self,
        prediction: &CpuStorage,
        lp: &Layout,
        target: &CpuStorage,
        lt: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (prediction, target, weight) = (slice(prediction, lp)?, slice(target, lt)?, slice(weight, lw)?);
        let mut gradient = Vec::new();
        let loss = loss_and_gradient(prediction, target, weight, self.normalizer, &mut gradient);
        if let Ok(mut kept) = self.gradient.lock() {
            *kept = gradient;
        }
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        prediction: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        incoming: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let factor = incoming.to_scalar::<f32>()?;
        let op = Kept { gradient: self.gradient.clone(), factor };
        Ok((Some(prediction.apply_op1_no_bwd(&op)?), None, None))
    }
}

/// The gradient of the forward pass, handed out.
struct Kept {
    gradient: Arc<Mutex<Vec<f32>>>,
    factor: f32,
}

impl CustomOp1 for Kept {
    fn name(&self) -> &'static str {
        "awing-adaptive-wing-gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Ok(mut gradient) = self.gradient.lock() else { bail!("the gradient is lost") };
        let mut values = gradient.clone();
        if values.len() != layout.shape().elem_count() {
            bail!("the forward pass comes first");
        }
        gradient.shrink_to_fit();
        if self.factor != 1.0 {
            values.iter_mut().for_each(|v| *v *= self.factor);
        }
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ops::tests::random;
    use candle_core::{Device, Var};

    /// y, A, C, then the loss at d = 0.01, 0.1, 0.5, 1.0 and its slope at 0.001, 0.01, 0.1, computed in double precision
    /// with the paper's formula by an independent program.
    const TABLE: [(f32, [f32; 9]); 5] = [
        (0.0, [11.1214, 2.6255, 0.0009, 0.1108, 2.9352, 8.4959, 0.015, 0.185, 2.317]),
        (0.2, [11.2423, 2.2976, 0.0022, 0.1751, 3.3235, 8.9447, 0.053, 0.422, 3.307]),
        (0.5, [11.1127, 1.5651, 0.0088, 0.3473, 3.9912, 9.5475, 0.355, 1.412, 5.489]),
        (0.8, [10.5133, 0.4849, 0.0351, 0.6846, 4.7717, 10.0284, 2.291, 4.560, 8.686]),
        (1.0, [9.7978, -0.4615, 0.0881, 1.0701, 5.3605, 10.2594, 7.714, 9.656, 11.332]),
    ];

    #[test]
    fn values_and_slopes_are_those_of_the_table() {
        for (y, row) in TABLE {
            let loss = |d: f32| cell(y + d, y).0;
            let slope = |d: f32| cell(y - d, y).1;
            assert!((-slope(0.7) - row[0]).abs() < 1e-3, "A at {y}");
            assert!((row[0] * 0.8 - loss(0.8) - row[1]).abs() < 1e-3, "C at {y}");
            for (d, expected) in [0.01, 0.1, 0.5, 1.0].into_iter().zip(&row[2..6]) {
                assert!((loss(d) - expected).abs() < 2e-4, "loss at {y}, {d}: {}", loss(d));
            }
            for (d, expected) in [0.001, 0.01, 0.1].into_iter().zip(&row[6..]) {
                assert!((-slope(d) - expected).abs() < 2e-3, "slope at {y}, {d}: {}", slope(d));
            }
        }
    }

    #[test]
    fn there_is_no_step_where_the_curve_ends_and_none_at_zero() {
        for y in [0.0, 0.3, 1.0] {
            let (before, after) = (cell(y + THETA - 1e-5, y), cell(y + THETA + 1e-5, y));
            assert!((before.0 - after.0).abs() < 1e-3 && (before.1 - after.1).abs() < 1e-3);
            assert_eq!(cell(y, y).1, 0.0);
            assert!(cell(y, y).0.abs() < 1e-4);
        }
    }

    #[test]
    fn logarithm_and_power_are_exact_to_single_precision() {
        for i in 1..4000 {
            let x = 1e-6 * 1.005_f32.powi(i);
            assert!((log2(x) - x.log2()).abs() < 1e-6 * x.log2().abs().max(1.0), "{x}");
        }
        for i in -1200..1200 {
            let x = i as f32 * 0.0503;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-6, "{x}");
        }
    }

    fn three(shape: &[usize]) -> (Tensor, Tensor, Tensor) {
        let target = random(shape, 2).relu().unwrap();
        let weight = (random(shape, 3).relu().unwrap() * 5.0).unwrap();
        (random(shape, 1), target, weight)
    }

    #[test]
    fn loss_and_gradient_are_those_of_candles_operations() {
        let (prediction, target, weight) = three(&[3, 11, 13, 29]);
        let var = Var::from_tensor(&prediction).unwrap();
        let ours = adaptive_wing(&var, &target, &weight, 77.0).unwrap();
        let theirs = composed(&var, &target, &weight, 77.0).unwrap();
        let scalar = |t: &Tensor| t.to_scalar::<f32>().unwrap();
        assert!((scalar(&ours) / scalar(&theirs) - 1.0).abs() < 1e-4);
        let gradient = |loss: &Tensor| loss.backward().unwrap().get(&var).unwrap().clone();
        let difference = (gradient(&ours) - gradient(&theirs)).unwrap().abs().unwrap().max_all().unwrap();
        assert!(scalar(&difference) < 1e-4, "{}", scalar(&difference));
        let doubled = gradient(&(ours * 2.0).unwrap());
        let expected = (gradient(&theirs) * 2.0).unwrap();
        assert!(scalar(&(doubled - expected).unwrap().abs().unwrap().max_all().unwrap()) < 2e-4);
    }

    #[test]
    fn cells_of_weight_zero_do_not_count_whatever_they_hold() {
        let target = Tensor::new(&[0.0_f32, 0.5, 1.0], &Device::Cpu).unwrap();
        let weight = Tensor::new(&[1.0_f32, 0.0, 2.0], &Device::Cpu).unwrap();
        let bad = Var::new(&[0.2_f32, f32::NAN, 0.4], &Device::Cpu).unwrap();
        let loss = adaptive_wing(&bad, &target, &weight, 1.0).unwrap();
        assert!(loss.to_scalar::<f32>().unwrap().is_finite());
        let gradient = loss.backward().unwrap().get(&bad).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient[1], 0.0);
    }

    #[test]
    fn every_instruction_set_gives_the_portable_result() {
        let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (p, y, w) = three(&[1, 7, 11, 5]);
        let (p, y, w) = (values(p), values(y), values(w));
        let run = |isa| {
            let mut gradient = vec![0.0; p.len()];
            let sum =
                dispatch(isa, Cells { prediction: &p, target: &y, weight: &w, factor: 0.5, gradient: &mut gradient });
            (sum, gradient)
        };
        let (expected, gradient) = run(Isa::Portable);
        for isa in Isa::available() {
            let (sum, g) = run(isa);
            assert!((sum / expected - 1.0).abs() < 1e-5);
            assert!(g.iter().zip(&gradient).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }
}
