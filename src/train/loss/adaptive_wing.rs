//! The Adaptive Wing loss and its gradient (paper section 3.2).
//!
//! With `d = |target - prediction|`, `y` the target and `p = alpha - y`:
//!
//! - `d < theta`: `omega ln(1 + (d / epsilon)^p)`,
//! - `d >= theta`: `A d - C`, the tangent there: `A = omega p (theta / epsilon)^p / (theta (1 + (theta / epsilon)^p))`,
//!   `C = theta A - omega ln(1 + (theta / epsilon)^p)`.
//!
//! The weighted loss map is part of the data ([`crate::train::targets::weight_map`]). One pass over the cells computes
//! loss and gradient.

use super::objective::{Objective, Targets};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use crate::train::ops::parallel;
use std::sync::Mutex;

/// Shape of the loss near 0: the higher `ALPHA - y`, the flatter.
const ALPHA: f32 = 2.1;
/// Scale of the loss.
const OMEGA: f32 = 14.0;
/// Width of the curved part.
const EPSILON: f32 = 1.0;
/// The end of the curved part.
const THETA: f32 = 0.5;

/// The smallest difference whose power is taken: below it the gradient is 0 to single precision or cut off steeply.
const SMALLEST: f32 = 1e-6;

/// `sum(weight * loss) / normalizer`; where the weight is 0, a cell does not count whatever the prediction holds.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveWing;

/// Cells that are worth handing to another thread, and whose losses are summed in f32.
const GRAIN: usize = 1 << 13;

impl Objective for AdaptiveWing {
    fn loss_and_gradient(&self, prediction: &[f32], targets: Targets<'_>, gradient: &mut Vec<f32>) -> f64 {
        let Targets { maps, weight, normalizer } = targets;
        assert_eq!([maps.len(), weight.len()], [prediction.len(); 2]);
        gradient.resize(prediction.len(), 0.0);
        let factor = (1.0 / normalizer) as f32;
        let parts: Vec<Mutex<(&mut [f32], f64)>> = gradient.chunks_mut(GRAIN).map(|g| Mutex::new((g, 0.0))).collect();
        parallel::split(parts.len(), 1, |range| {
            for part in range {
                let cells = part * GRAIN..((part + 1) * GRAIN).min(prediction.len());
                // Every part belongs to one range: the lock is free and not poisoned.
                let Ok(mut place) = parts[part].lock() else { continue };
                let (gradient, sum) = &mut *place;
                *sum = dispatch(
                    Isa::active(),
                    Cells {
                        prediction: &prediction[cells.clone()],
                        target: &maps[cells.clone()],
                        weight: &weight[cells],
                        factor,
                        gradient,
                    },
                );
            }
        });
        // In the order of the parts, so that the sum does not depend on the threads.
        let sum: f64 = parts.into_iter().map(|p| p.into_inner().map_or(f64::NAN, |(_, sum)| sum)).sum();
        sum / normalizer
    }
}

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
                // With weight 0 the prediction must not count, not even a NaN.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::train::loss::tests::{STEP, check_gradient, evaluate};
    use crate::train::ops::tests::random_numbers;

    /// y, A, C, then the loss at d = 0.01, 0.1, 0.5, 1.0 and its slope at 0.001, 0.01, 0.1, computed in double
    /// precision with the paper's formula by an independent program.
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

    /// Prediction, target and weight of `cells` cells; many targets and weights are 0.
    pub fn three(cells: usize) -> [Vec<f32>; 3] {
        let numbers = |seed| random_numbers(cells, seed);
        let positive = |seed, scale: f32| numbers(seed).iter().map(|v| v.max(0.0) * scale).collect();
        [numbers(1), positive(2, 1.0), positive(3, 5.0)]
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let [prediction, maps, weight] = three(300);
        let targets = Targets { maps: &maps, weight: &weight, normalizer: 7.0 };
        let bends = [0.0, THETA];
        check_gradient(&AdaptiveWing, &prediction, targets, |i| {
            let d = (prediction[i] - maps[i]).abs();
            bends.iter().any(|bend| (d - bend).abs() < 4.0 * STEP)
        });
    }

    #[test]
    fn many_cells_are_the_sum_of_their_parts_on_any_number_of_threads() {
        let [prediction, maps, weight] = three(2 * GRAIN + 117);
        let targets = Targets { maps: &maps, weight: &weight, normalizer: 77.0 };
        let each = prediction.iter().zip(&maps).zip(&weight).map(|((&p, &y), &w)| {
            let (loss, slope) = cell(p, y);
            (f64::from(w) * f64::from(loss) / 77.0, w * slope / 77.0)
        });
        let (losses, slopes): (Vec<f64>, Vec<f32>) = each.unzip();
        let run = |threads| parallel::Pool::new(threads).install(|| evaluate(&AdaptiveWing, &prediction, targets));
        let (loss, gradient) = run(1);
        assert!((loss / losses.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        assert!(gradient.iter().zip(&slopes).all(|(a, e)| (a - e).abs() < 1e-5));
        assert_eq!(run(3), (loss, gradient));
    }

    #[test]
    fn cells_of_weight_zero_do_not_count_whatever_they_hold() {
        let targets = Targets { maps: &[0.0, 0.5, 1.0], weight: &[1.0, 0.0, 2.0], normalizer: 1.0 };
        let (loss, gradient) = evaluate(&AdaptiveWing, &[0.2, f32::NAN, 0.4], targets);
        assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()));
        assert_eq!(gradient[1], 0.0);
    }

    #[test]
    fn every_instruction_set_gives_the_portable_result() {
        let [p, y, w] = three(7 * 11 * 5);
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
