//! Evaluation of eye openness.
//!
//! In: the true and the predicted openness of every eye, lid distance over eye width
//! ([`crate::train::data::openness`]). Out: the mean predicted openness of shut and of open eyes, and the correlation
//! of truth and prediction. Nothing here fails.

use serde::{Deserialize, Serialize};

/// Eyes with at most this true openness are shut.
const SHUT: f32 = 0.1;
/// Eyes with at least this true openness are open.
const OPEN: f32 = 0.2;

/// Metrics of eye openness, over all faces whose lids are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eyes {
    pub eyes: usize,
    pub shut: usize,
    pub open: usize,
    /// Mean predicted openness of truly shut eyes; none if there are none.
    pub predicted_shut: Option<f64>,
    /// The same of truly open eyes.
    pub predicted_open: Option<f64>,
    /// The ratio of the two: 0 if eyes close completely, 1 if they never close.
    pub shut_over_open: Option<f64>,
    /// Pearson's correlation of true and predicted openness.
    pub correlation: Option<f64>,
}

impl Eyes {
    /// The metrics of pairs of true and predicted openness; `None` if there is no eye.
    pub(super) fn of(pairs: &[(f32, f32)]) -> Option<Self> {
        let mean = |keep: &dyn Fn(f32) -> bool| -> (usize, Option<f64>) {
            let kept: Vec<f64> = pairs.iter().filter(|(truth, _)| keep(*truth)).map(|(_, p)| f64::from(*p)).collect();
            let count = kept.len();
            (count, (count > 0).then(|| kept.iter().sum::<f64>() / count as f64))
        };
        let (shut, predicted_shut) = mean(&|truth| truth <= SHUT);
        let (open, predicted_open) = mean(&|truth| truth >= OPEN);
        let shut_over_open = predicted_shut.zip(predicted_open).filter(|(_, open)| *open > 0.0).map(|(s, o)| s / o);
        (!pairs.is_empty()).then(|| Self {
            eyes: pairs.len(),
            shut,
            open,
            predicted_shut,
            predicted_open,
            shut_over_open,
            correlation: correlation(pairs),
        })
    }
}

/// `None` where either side does not vary.
fn correlation(pairs: &[(f32, f32)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let sum = |value: &dyn Fn(f64, f64) -> f64| -> f64 {
        pairs.iter().map(|&(a, b)| value(f64::from(a), f64::from(b))).sum::<f64>() / count
    };
    let (a, b) = (sum(&|a, _| a), sum(&|_, b| b));
    let (aa, bb) = (sum(&|x, _| (x - a).powi(2)), sum(&|_, y| (y - b).powi(2)));
    (aa > 0.0 && bb > 0.0).then(|| sum(&|x, y| (x - a) * (y - b)) / (aa * bb).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eyes_that_close_half_way_are_half_as_open_when_shut() {
        let pairs = [(0.0, 0.15), (0.1, 0.15), (0.15, 0.2), (0.3, 0.3), (0.4, 0.3)];
        let eyes = Eyes::of(&pairs).unwrap();
        assert_eq!((eyes.eyes, eyes.shut, eyes.open), (5, 2, 2));
        assert!((eyes.shut_over_open.unwrap() - 0.5).abs() < 1e-6);
        assert!((0.9..1.0).contains(&eyes.correlation.unwrap()));
    }

    #[test]
    fn without_shut_eyes_there_is_nothing_to_compare() {
        let eyes = Eyes::of(&[(0.3, 0.3), (0.3, 0.2)]).unwrap();
        assert_eq!((eyes.shut, eyes.shut_over_open, eyes.correlation), (0, None, None));
        assert_eq!(Eyes::of(&[]), None);
    }
}
