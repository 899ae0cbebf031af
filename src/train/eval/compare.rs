//! Comparison of two models on the same faces, with a confidence interval for the difference.
//!
//! Every metric is a mean over faces, so its difference is the mean of the per-face differences. The bootstrap (Efron
//! 1979) estimates how much that mean depends on the choice of faces: it resamples the faces many times, with
//! replacement, and takes the mean of each sample. The interval holds the middle 95 % of those means. The bootstrap is
//! paired: a face is drawn together with both of its errors.

use super::metrics::Counted;
use super::report::{Evaluation, FaceResult};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Number of draws; the ends of the interval then vary by about a hundredth of its length.
const DRAWS: usize = 10_000;
const SEED: u64 = 1;
/// Share of the draws on each side of the interval.
const TAIL: f64 = 0.025;

/// Errors of a comparison.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum CompareError {
    #[error("the evaluations differ in {0}: errors of different kinds can't be compared")]
    Options(&'static str),
    #[error("the evaluations hold {0} and {1} faces: run both on the same data")]
    Count(usize, usize),
    #[error("face {number} is {first} in one evaluation and {second} in the other: run both on the same data")]
    Face { number: usize, first: String, second: String },
    #[error("no face was measured in both evaluations")]
    Nothing,
}

/// A metric for both models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// "NME, %", "failures over 8 %, %", "AUC at 8 %" ...
    pub figure: String,
    /// Faces that both evaluations measured; failures and areas also include faces that one of them missed.
    pub faces: usize,
    pub first: f64,
    pub second: f64,
    /// Second minus first.
    pub difference: f64,
    /// The 95 % confidence interval of the difference.
    pub interval: (f64, f64),
}

impl Comparison {
    /// Whether the interval excludes 0.
    pub fn is_clear(&self) -> bool {
        self.interval.0 > 0.0 || self.interval.1 < 0.0
    }
}

/// Compares two evaluations of the same faces, in the same order.
///
/// # Errors
/// [`CompareError`] if their faces, norm or points differ.
pub fn compare(first: &Evaluation, second: &Evaluation) -> Result<Vec<Comparison>, CompareError> {
    if first.norm != second.norm {
        return Err(CompareError::Options("the norm"));
    }
    if first.counted != second.counted {
        return Err(CompareError::Options("the points that count"));
    }
    if first.faces.len() != second.faces.len() {
        return Err(CompareError::Count(first.faces.len(), second.faces.len()));
    }
    let pairs: Vec<(&FaceResult, &FaceResult)> = first.faces.iter().zip(&second.faces).collect();
    if let Some(i) = pairs.iter().position(|(a, b)| (&a.image, &a.dataset) != (&b.image, &b.dataset)) {
        let name = |face: &FaceResult| format!("{} ({})", face.image, face.dataset);
        return Err(CompareError::Face { number: i + 1, first: name(pairs[i].0), second: name(pairs[i].1) });
    }
    let points = |face: &FaceResult| face.landmarks.len();
    if pairs.iter().any(|(a, b)| !a.is_missed() && !b.is_missed() && points(a) != points(b)) {
        return Err(CompareError::Options("the number of landmarks"));
    }
    let over = |figure: String, value: &dyn Fn(&FaceResult) -> Option<f64>| {
        let values: Vec<(f64, f64)> = pairs.iter().filter_map(|(a, b)| Some((value(a)?, value(b)?))).collect();
        (!values.is_empty()).then(|| paired_bootstrap(figure, &values))
    };
    let mut comparisons = Vec::new();
    comparisons.extend(over("NME, %".into(), &|face| Some(100.0 * face.error?)));
    comparisons.extend(over("NME of 68 points, %".into(), &|face| Some(100.0 * face.error68?)));
    let thresholds = first.summaries.iter().flat_map(|s| &s.at).map(|at| at.threshold_percent);
    let mut thresholds: Vec<f64> = thresholds.collect();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let counted: Counted = first.counted;
    for percent in thresholds {
        let threshold = percent / 100.0;
        let error = |face: &FaceResult| if face.is_missed() { Some(f64::INFINITY) } else { face.error_over(counted) };
        comparisons.extend(over(format!("failures over {percent} %, %"), &|face| {
            Some(if error(face)? > threshold { 100.0 } else { 0.0 })
        }));
        comparisons
            .extend(over(format!("AUC at {percent} %"), &|face| Some((1.0 - error(face)? / threshold).max(0.0))));
    }
    if comparisons.is_empty() { Err(CompareError::Nothing) } else { Ok(comparisons) }
}

/// The metric for both models over faces with a value in each, with the interval of the difference.
pub(in crate::train) fn paired_bootstrap(figure: String, values: &[(f64, f64)]) -> Comparison {
    let count = values.len();
    let mean = |of: fn(&(f64, f64)) -> f64| values.iter().map(of).sum::<f64>() / count as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn = (0..count).map(|_| values[rng.random_range(0..count)]);
            drawn.map(|(a, b)| b - a).sum::<f64>() / count as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[(share * (DRAWS - 1) as f64).round() as usize];
    Comparison {
        figure,
        faces: count,
        first: mean(|v| v.0),
        second: mean(|v| v.1),
        difference: mean(|v| v.1 - v.0),
        interval: (at(TAIL), at(1.0 - TAIL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::eval::BoxSource;
    use crate::train::eval::metrics::Norm;
    use crate::train::eval::report::{AtThreshold, Summary};

    fn evaluation(errors: &[Option<f64>]) -> Evaluation {
        let face = |(i, error): (usize, &Option<f64>)| FaceResult {
            image: format!("{i}.png"),
            dataset: "a".into(),
            subsets: Vec::new(),
            landmarks68: None,
            landmarks98: None,
            landmarks: if error.is_some() { vec![[0.0, 0.0]] } else { Vec::new() },
            score: 0.5,
            error: *error,
            error68: None,
        };
        let at = vec![AtThreshold { threshold_percent: 10.0, failure_rate_percent: None, area_under_curve: None }];
        let summary = Summary {
            name: "a".into(),
            faces: errors.len(),
            missed: 0,
            unmeasured: 0,
            nme_percent: None,
            nme68_percent: None,
            at,
        };
        Evaluation {
            norm: Norm::InterOcular,
            box_source: BoxSource::Truth,
            second_look: false,
            counted: Counted::Known,
            summaries: vec![summary],
            subsets: Vec::new(),
            eyes: None,
            not_numbers: 0,
            faces: errors.iter().enumerate().map(face).collect(),
        }
    }

    #[test]
    fn the_interval_is_that_of_the_normal_approximation() {
        // Differences with mean 0.2 and standard deviation 1 (in percent): over 400 faces, 0.2 +- 1.96 / 20.
        let errors = |shift: f64| -> Vec<Option<f64>> {
            (0..400).map(|i| Some(0.04 + shift * (0.002 + if i % 2 == 0 { 0.01 } else { -0.01 }))).collect()
        };
        let comparison = &compare(&evaluation(&errors(0.0)), &evaluation(&errors(1.0))).unwrap()[0];
        assert_eq!(comparison.figure, "NME, %");
        assert!((comparison.difference - 0.2).abs() < 1e-9);
        assert!((comparison.interval.0 - 0.102).abs() < 0.006, "{comparison:?}");
        assert!((comparison.interval.1 - 0.298).abs() < 0.006, "{comparison:?}");
        assert!(comparison.is_clear());
    }

    #[test]
    fn a_model_against_itself_has_no_difference_at_all() {
        let one = evaluation(&[Some(0.03), Some(0.2), None]);
        for comparison in compare(&one, &one).unwrap() {
            assert_eq!((comparison.difference, comparison.interval), (0.0, (0.0, 0.0)));
            assert!(!comparison.is_clear());
        }
    }

    #[test]
    fn a_face_that_one_model_misses_counts_as_its_failure() {
        let (a, b) = (evaluation(&[Some(0.03), Some(0.05)]), evaluation(&[Some(0.03), None]));
        let comparisons = compare(&a, &b).unwrap();
        let of = |figure: &str| comparisons.iter().find(|c| c.figure == figure).unwrap();
        assert_eq!((of("NME, %").faces, of("NME, %").difference), (1, 0.0));
        assert_eq!(of("failures over 10 %, %").difference, 50.0);
        assert!((of("AUC at 10 %").difference + 0.25).abs() < 1e-9);
    }

    #[test]
    fn other_faces_and_other_norms_are_refused() {
        let one = evaluation(&[Some(0.03), Some(0.05)]);
        assert_eq!(compare(&one, &evaluation(&[Some(0.03)])), Err(CompareError::Count(2, 1)));
        let mut other = one.clone();
        other.faces[1].image = "x.png".into();
        assert!(matches!(compare(&one, &other), Err(CompareError::Face { number: 2, .. })));
        let other = Evaluation { norm: Norm::Box, ..one.clone() };
        assert_eq!(compare(&one, &other), Err(CompareError::Options("the norm")));
    }
}
