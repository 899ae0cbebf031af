//! Chooses the fastest precision of a core, among those that are accurate enough.
//!
//! In: the measured rates of the core, and the quantization entry of the model file. Out: a precision, and the reason.
//! The rates of number types are small multiples of each other, since they follow from the width and number of the
//! core's multipliers: a half, one, one and a half (bytes on AVX2), two or four. The threshold lies midway between one
//! and one and a half. Measurements that are off by a fifth thus lead to the same choice, and a plan does not change
//! from one start to the next.

use super::Precision;
use crate::runtime::model::Quantization;
use crate::runtime::simd::Rates;

/// The smallest ratio of rates at which a precision is preferred to a more accurate one: the geometric mean of one and
/// one and a half.
const FASTER: f64 = 1.2247;

/// The largest increase of the error at which int8 is chosen, relative to the error before.
pub const MOST_LOSS: f64 = 0.01;

/// The precision that a network runs in.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Never [`Precision::Auto`].
    pub precision: Precision,
    /// The reason as text; `None` if this precision was requested.
    pub reason: Option<String>,
}

/// Chooses for a model whose file has this `quantization` entry.
pub(super) fn choose(quantization: Option<&Quantization>, rates: &Rates) -> Choice {
    let in_f32 = format!("f32 runs at {:.0} G/s in registers", rates.f32);
    let (mut precision, mut best, mut reason) = (Precision::F32, rates.f32, in_f32);
    match rates.bf16 {
        Some(bf16) if bf16 >= FASTER * best => {
            reason += &format!(", bf16 at {bf16:.0}");
            (precision, best) = (Precision::F16, bf16);
        }
        Some(bf16) => reason += &format!(", bf16 only at {bf16:.0}"),
        None => reason += ", there are no bf16 products",
    }
    let loss = quantization.and_then(|quantization| quantization.loss);
    match (rates.int8, quantization) {
        (_, None) => reason += "; the model has no int8 layers",
        (None, _) => reason += "; there are no int8 products",
        (Some(int8), _) if int8 < FASTER * best => reason += &format!("; int8 only at {int8:.0}"),
        (Some(int8), _) => match loss {
            None => reason += "; the model's file does not say what int8 costs in accuracy",
            Some(loss) if loss > MOST_LOSS => reason += &format!("; int8 costs {:.1} % of accuracy", 100.0 * loss),
            Some(loss) => {
                reason += &format!("; int8 at {int8:.0}, for {:.2} % of accuracy", 100.0 * loss.max(0.0));
                precision = Precision::Int8;
            }
        },
    }
    Choice { precision, reason: Some(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAPPHIRE_RAPIDS: Rates = Rates { f32: 155.0, bf16: Some(76.0), int8: Some(615.0) };
    const ZEN_5: Rates = Rates { f32: 255.0, bf16: Some(510.0), int8: Some(1020.0) };
    const AVX2: Rates = Rates { f32: 77.0, bf16: None, int8: Some(115.0) };

    fn chosen(rates: &Rates, loss: Option<Option<f64>>) -> Precision {
        let quantization = loss.map(|loss| Quantization { loss, ..Quantization::default() });
        choose(quantization.as_ref(), rates).precision
    }

    #[test]
    fn bf16_is_chosen_where_it_is_faster_than_f32_only() {
        assert_eq!(chosen(&ZEN_5, None), Precision::F16);
        assert_eq!(chosen(&SAPPHIRE_RAPIDS, None), Precision::F32);
        assert_eq!(chosen(&AVX2, None), Precision::F32);
    }

    #[test]
    fn int8_is_chosen_where_it_is_faster_and_its_measured_loss_is_small() {
        for rates in [&ZEN_5, &SAPPHIRE_RAPIDS, &AVX2] {
            assert_eq!(chosen(rates, Some(Some(0.004))), Precision::Int8);
            assert_eq!(chosen(rates, Some(Some(-0.001))), Precision::Int8);
            assert_ne!(chosen(rates, Some(Some(0.02))), Precision::Int8);
            assert_ne!(chosen(rates, Some(None)), Precision::Int8);
        }
        assert_eq!(chosen(&Rates { int8: None, ..AVX2 }, Some(Some(0.0))), Precision::F32);
        assert_eq!(chosen(&Rates { int8: Some(77.0), ..AVX2 }, Some(Some(0.0))), Precision::F32);
    }

    #[test]
    fn noise_of_a_fifth_changes_no_choice() {
        for noise in [0.83, 1.2] {
            for (rates, expected) in [(ZEN_5, Precision::F16), (SAPPHIRE_RAPIDS, Precision::F32)] {
                let rates = Rates { bf16: rates.bf16.map(|rate| rate * noise), ..rates };
                assert_eq!(chosen(&rates, None), expected, "{rates:?}");
            }
            for int8 in [77.0, 115.0, 154.0] {
                let expected = if int8 > 77.0 { Precision::Int8 } else { Precision::F32 };
                let rates = Rates { int8: Some(int8 * noise), ..AVX2 };
                assert_eq!(chosen(&rates, Some(Some(0.0))), expected, "{rates:?}");
            }
        }
    }

    #[test]
    fn the_reason_names_the_rates() {
        let reason = choose(None, &SAPPHIRE_RAPIDS).reason.unwrap();
        assert!(reason.contains("155") && reason.contains("76"), "{reason}");
    }
}
