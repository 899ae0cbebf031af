//! Sampling rates of rare faces, and weights of points.
//!
//! In: a recipe's settings. Out: how often a face is drawn relative to the others of its data set, and the weights of
//! its points. Values out of range are errors that name the field.

use super::condition::Condition;
use super::{DataError, Sample};
use crate::runtime::landmarks::Scheme;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Faces and points that count more or less than the rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Emphasis {
    /// The factor by which faces with a condition are drawn more often; the largest if several conditions are true.
    pub draw: BTreeMap<Condition, f64>,
    /// The weights of the parts of a face in the loss, for models of 98 points.
    pub points: PointWeights,
}

/// Weights of the parts of 98 points, each multiplied with the point's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PointWeights {
    pub outline: f32,
    /// The outline of faces whose style has no known map to the model's, in place of `outline`.
    pub other_outline: f32,
    pub brows: f32,
    pub nose: f32,
    pub eyes: f32,
    pub mouth: f32,
    pub pupils: f32,
}

impl Default for PointWeights {
    fn default() -> Self {
        Self { outline: 1.0, other_outline: 1.0, brows: 1.0, nose: 1.0, eyes: 1.0, mouth: 1.0, pupils: 1.0 }
    }
}

/// Beyond this a single part would dominate all others.
const MOST: f64 = 100.0;

impl Emphasis {
    /// # Errors
    /// [`DataError::Options`] naming the first value that is out of range, or that means nothing for `scheme`.
    pub fn check(&self, scheme: Scheme) -> Result<(), DataError> {
        let wrong = |message: String| Err(DataError::Options(message));
        if scheme != Scheme::Wflw98 && *self != Self::default() {
            return wrong("emphasis is for models of 98 points only".into());
        }
        if let Some((condition, factor)) = self.draw.iter().find(|(_, f)| !(0.0..=MOST).contains(*f)) {
            return wrong(format!("emphasis.draw of {condition:?} is {factor}, it must lie in 0..={MOST}"));
        }
        let PointWeights { outline, other_outline, brows, nose, eyes, mouth, pupils } = self.points;
        let parts = [outline, other_outline, brows, nose, eyes, mouth, pupils];
        match parts.iter().find(|w| !(0.0..=MOST).contains(&f64::from(**w))) {
            Some(weight) => wrong(format!("emphasis.points has a weight of {weight}, it must lie in 0..={MOST}")),
            None => Ok(()),
        }
    }

    /// How many times more often `sample` is drawn than an ordinary face of its data set.
    pub fn factor(&self, sample: &Sample) -> f64 {
        let holding = self.draw.iter().filter(|(condition, _)| condition.holds(sample)).map(|(_, &factor)| factor);
        holding.reduce(f64::max).unwrap_or(1.0)
    }

    /// Multiplies the weights of a face of 98 points; those of other schemes stay. `is_mapped` says whether its style
    /// has a known map to the model's.
    pub fn weigh(&self, is_mapped: bool, weight: &mut [f32]) {
        let PointWeights { outline, other_outline, brows, nose, eyes, mouth, pupils } = self.points;
        if *self == Self::default() || weight.len() != Scheme::Wflw98.points() {
            return;
        }
        for (i, weight) in weight.iter_mut().enumerate() {
            *weight *= match i {
                0..33 if !is_mapped => other_outline,
                0..33 => outline,
                33..51 => brows,
                51..60 => nose,
                60..76 => eyes,
                76..96 => mouth,
                _ => pupils,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_weight_and_outlines_of_other_styles_their_own() {
        let points = PointWeights { outline: 0.5, other_outline: 0.25, eyes: 2.0, pupils: 3.0, ..Default::default() };
        let emphasis = Emphasis { points, ..Default::default() };
        let weighed = |is_mapped| {
            let mut weight = vec![0.5; 98];
            emphasis.weigh(is_mapped, &mut weight);
            [0, 32, 33, 60, 75, 76, 96, 97].map(|i| weight[i])
        };
        assert_eq!(weighed(true), [0.25, 0.25, 0.5, 1.0, 1.0, 0.5, 1.5, 1.5]);
        assert_eq!(weighed(false), [0.125, 0.125, 0.5, 1.0, 1.0, 0.5, 1.5, 1.5]);
    }

    #[test]
    fn what_is_out_of_range_or_of_another_scheme_is_refused() {
        let draw = BTreeMap::from([(Condition::ShutEye, -1.0)]);
        let message = |emphasis: &Emphasis, scheme| emphasis.check(scheme).unwrap_err().to_string();
        let emphasis = Emphasis { draw, ..Default::default() };
        assert!(message(&emphasis, Scheme::Wflw98).contains("ShutEye is -1"));
        assert!(message(&emphasis, Scheme::Ibug68).contains("98 points only"));
        let points = PointWeights { eyes: f32::NAN, ..Default::default() };
        assert!(message(&Emphasis { points, ..Default::default() }, Scheme::Wflw98).contains("NaN"));
    }
}
