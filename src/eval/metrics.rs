//! The measures of the field, on numbers only: normalized mean error, failure rate, area under the error curve.
//!
//! Errors are fractions (0.03 is 3 %). Sources: the official evaluation code for the normalized error; the area under
//! the curve is exact, not sampled, because the cumulative error curve is a step function:
//! `AUC(t) = mean(max(0, 1 - e / t))`.

use crate::geometry::{Point, Rect, Space};
use crate::landmarks::{WFLW98_OF_IBUG68, WFLW98_OUTER_EYE_CORNERS, WFLW98_PUPILS};
use serde::{Deserialize, Serialize};

/// The length that point errors are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Distance of the outer eye corners.
    InterOcular,
    /// Distance between the middles of the two eyes' outlines (six points an eye, as 300-W counts them).
    InterPupil,
    /// Distance of the two pupil landmarks.
    Pupil,
    /// Square root of the area of the box around the true landmarks.
    Box,
}

/// The six outline points of each eye in WFLW-98 that iBUG-68 has too.
const EYE_OUTLINES: [[usize; 6]; 2] = [[60, 61, 63, 64, 65, 67], [68, 69, 71, 72, 73, 75]];

impl Norm {
    /// The length in pixels for a face with these 98 true landmarks; `None` if a point that it needs has weight 0 or
    /// the length is not positive.
    pub fn length<S: Space>(self, truth: &[Point<S>], weight: &[f32]) -> Option<f32> {
        let known = |i: usize| (weight[i] > 0.0).then(|| truth[i]);
        let distance = |i, j| Some(known(i)?.distance(known(j)?));
        let length = match self {
            Norm::InterOcular => distance(WFLW98_OUTER_EYE_CORNERS.0, WFLW98_OUTER_EYE_CORNERS.1)?,
            Norm::Pupil => distance(WFLW98_PUPILS.0, WFLW98_PUPILS.1)?,
            Norm::InterPupil => {
                let middle = |outline: &[usize; 6]| -> Option<Point<S>> {
                    let mut sum = (0.0, 0.0);
                    for &i in outline {
                        let p = known(i)?;
                        sum = (sum.0 + p.x, sum.1 + p.y);
                    }
                    Some(Point::new(sum.0 / 6.0, sum.1 / 6.0))
                };
                middle(&EYE_OUTLINES[0])?.distance(middle(&EYE_OUTLINES[1])?)
            }
            Norm::Box => {
                let points = truth.iter().zip(weight).filter(|(_, w)| **w > 0.0).map(|(p, _)| *p);
                Rect::around(points)?.area().sqrt()
            }
        };
        (length > 0.0).then_some(length)
    }
}

/// Which of the 98 points count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subset {
    /// All 98 with a weight over 0.
    #[serde(rename = "98")]
    Wflw98,
    /// The 68 of iBUG (300-W).
    #[serde(rename = "68")]
    Ibug68,
}

/// Mean point distance over the norm. Points of weight 0 don't count, all others count alike; `None` if none is left
/// or the norm is not to be had.
pub fn normalized_mean_error<S: Space>(
    predicted: &[Point<S>],
    truth: &[Point<S>],
    weight: &[f32],
    norm: Norm,
    subset: Subset,
) -> Option<f64> {
    let length = f64::from(norm.length(truth, weight)?);
    let counted: Vec<usize> = match subset {
        Subset::Wflw98 => (0..truth.len()).filter(|&i| weight[i] > 0.0).collect(),
        Subset::Ibug68 => WFLW98_OF_IBUG68.into_iter().filter(|&i| weight[i] > 0.0).collect(),
    };
    if counted.is_empty() {
        return None;
    }
    let sum: f64 = counted.iter().map(|&i| f64::from(predicted[i].distance(truth[i]))).sum();
    Some(sum / counted.len() as f64 / length)
}

/// Share of errors over `threshold`; missed faces count as failures.
pub fn failure_rate(errors: &[f64], missed: usize, threshold: f64) -> f64 {
    let failed = errors.iter().filter(|e| **e > threshold).count() + missed;
    failed as f64 / (errors.len() + missed).max(1) as f64
}

/// Area under the cumulative error curve from 0 to `threshold`, over `threshold`: 1 is perfect. Missed faces count as
/// errors beyond it.
pub fn area_under_curve(errors: &[f64], missed: usize, threshold: f64) -> f64 {
    let sum: f64 = errors.iter().map(|e| (1.0 - e / threshold).max(0.0)).sum();
    sum / (errors.len() + missed).max(1) as f64
}

/// The cumulative error curve: for each error bound of `0 ..= threshold` in `steps` steps, the share of faces at or
/// under it.
pub fn cumulative_error_curve(errors: &[f64], missed: usize, threshold: f64, steps: usize) -> Vec<(f64, f64)> {
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = (errors.len() + missed).max(1) as f64;
    (0..=steps)
        .map(|i| {
            let bound = threshold * i as f64 / steps as f64;
            (bound, sorted.partition_point(|e| *e <= bound) as f64 / count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::FrameSpace;

    fn face() -> (Vec<Point<FrameSpace>>, Vec<f32>) {
        let points = (0..98).map(|i| Point::new((i % 10) as f32 * 10.0, (i / 10) as f32 * 10.0)).collect();
        (points, vec![1.0; 98])
    }

    #[test]
    fn a_shift_of_a_tenth_of_the_eye_distance_is_ten_percent() {
        let (truth, weight) = face();
        let length = Norm::InterOcular.length(&truth, &weight).unwrap();
        let moved: Vec<_> = truth.iter().map(|p| Point::new(p.x + 0.1 * length, p.y)).collect();
        for subset in [Subset::Wflw98, Subset::Ibug68] {
            let error = normalized_mean_error(&moved, &truth, &weight, Norm::InterOcular, subset).unwrap();
            assert!((error - 0.1).abs() < 1e-6);
        }
    }

    #[test]
    fn points_without_weight_do_not_count() {
        let (truth, mut weight) = face();
        let mut predicted = truth.clone();
        predicted[0] = Point::new(1e6, 1e6);
        weight[0] = 0.0;
        let error = normalized_mean_error(&predicted, &truth, &weight, Norm::InterOcular, Subset::Wflw98).unwrap();
        assert_eq!(error, 0.0);
        weight[60] = 0.0;
        assert_eq!(Norm::InterOcular.length(&truth, &weight), None);
    }

    #[test]
    fn the_identity_of_area_and_mean_error_holds() {
        // AUC at t = 1 - mean(min(error, t)) / t, and so at least 1 - mean / t.
        let errors = [0.01_f64, 0.04, 0.05, 0.09, 0.2];
        let mean = errors.iter().map(|e| e.min(0.1)).sum::<f64>() / 5.0;
        assert!((area_under_curve(&errors, 0, 0.1) - (1.0 - mean / 0.1)).abs() < 1e-12);
        let curve = cumulative_error_curve(&errors, 0, 0.1, 10_000);
        let sampled: f64 = curve.iter().map(|(_, share)| share).sum::<f64>() / curve.len() as f64;
        assert!((sampled - area_under_curve(&errors, 0, 0.1)).abs() < 1e-3);
    }

    #[test]
    fn the_identity_finds_the_two_published_rows_that_cannot_be() {
        // The paper's WFLW table as the official repository prints it: mean error in %, area at 10 %. Test set, pose,
        // expression, illumination, make-up, occlusion, blur; provided boxes, then boxes from the true landmarks.
        let rows = [
            (4.36, 0.5719),
            (7.38, 0.3120),
            (4.58, 0.5149),
            (4.32, 0.5777),
            (4.27, 0.5715),
            (5.19, 0.5022),
            (4.96, 0.5120),
            (4.21, 0.5895),
            (7.21, 0.3337),
            (4.46, 0.5718),
            (4.23, 0.5958),
            (4.02, 0.6017),
            (4.99, 0.5275),
            (4.82, 0.5393),
        ];
        const ROUNDING: f64 = 5e-4;
        let impossible: Vec<f64> =
            rows.iter().filter(|(mean, area)| *area < 1.0 - mean / 10.0 - ROUNDING).map(|(mean, _)| *mean).collect();
        assert_eq!(impossible, [4.58, 4.27], "expression and make-up, provided boxes");
    }

    #[test]
    fn a_missed_face_is_a_failure() {
        assert_eq!(failure_rate(&[0.05, 0.2], 2, 0.1), 0.75);
        assert_eq!(area_under_curve(&[0.0, 0.0], 2, 0.1), 0.5);
    }
}
