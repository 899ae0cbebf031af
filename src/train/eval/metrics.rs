//! The field's metrics: normalized mean error, failure rate and area under the error curve, on plain numbers.
//!
//! Errors are fractions (0.03 is 3 %). The normalized error follows the official evaluation code. The area under the
//! curve is exact, not sampled, since the cumulative error curve is a step function:
//! `AUC(t) = mean(max(0, 1 - e / t))`.

use crate::runtime::geometry::{Point, Rect, Space};
use crate::runtime::landmarks::{Scheme, WFLW98_OF_IBUG68};
use crate::runtime::named::named;
use serde::{Deserialize, Serialize};

/// The length by which point errors are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Distance between the outer eye corners.
    InterOcular,
    /// Distance between the centres of the two eyes: of their outlines (six points per eye) for 98 and 68 points, as in
    /// 300-W; of the pupils or eye centres if a scheme has no outlines (the usual norm of COFW).
    InterPupil,
    /// Distance between the two pupil landmarks; 68 points have none.
    Pupil,
    /// Square root of the area of the box around the true landmarks; for AFLW, of its own face box, as in its published
    /// tables.
    Box,
}

named!(Norm {
    InterOcular = "inter-ocular": "Distance between the outer eye corners",
    InterPupil = "inter-pupil": "Distance between the centres of the eyes",
    Pupil = "pupil": "Distance between the pupils",
    Box = "box": "Square root of the area of the landmarks' box; for AFLW, of its own box",
});

/// The six outline points of each eye in WFLW-98 that iBUG-68 has too.
const EYE_OUTLINES: [[usize; 6]; 2] = [[60, 61, 63, 64, 65, 67], [68, 69, 71, 72, 73, 75]];

impl Norm {
    /// The length in pixels for a face with these true landmarks; `None` if the scheme lacks a point that the norm
    /// needs, the point has weight 0, or the length is not positive. `own_box` is the data set's own face box, if it
    /// has one.
    pub fn length<S: Space>(
        self,
        scheme: Scheme,
        truth: &[Point<S>],
        weight: &[f32],
        own_box: Option<&Rect<S>>,
    ) -> Option<f32> {
        let middle = |indices: &[usize]| -> Option<Point<S>> {
            let mut sum = (0.0, 0.0);
            for &i in indices {
                let p = (weight[i] > 0.0).then(|| truth[i])?;
                sum = (sum.0 + p.x, sum.1 + p.y);
            }
            let count = indices.len() as f32;
            Some(Point::new(sum.0 / count, sum.1 / count))
        };
        let between = |(left, right): (&[usize], &[usize])| Some(middle(left)?.distance(middle(right)?));
        let length = match self {
            Norm::InterOcular => {
                let (left, right) = scheme.outer_eye_corners();
                between((&[left], &[right]))?
            }
            Norm::InterPupil if scheme == Scheme::Wflw98 => between((&EYE_OUTLINES[0], &EYE_OUTLINES[1]))?,
            Norm::Pupil if scheme == Scheme::Ibug68 => return None,
            Norm::InterPupil | Norm::Pupil => between(scheme.pupils())?,
            Norm::Box => {
                let points = truth.iter().zip(weight).filter(|(_, w)| **w > 0.0).map(|(p, _)| *p);
                let own_box = own_box.filter(|_| scheme == Scheme::Aflw19).copied();
                own_box.or_else(|| Rect::around(points))?.area().sqrt()
            }
        };
        (length > 0.0).then_some(length)
    }
}

/// The points that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// All points with a weight above 0.
    Known,
    /// Of those, the 68 points of WFLW's 98 that iBUG (300-W) has too.
    Ibug68,
}

/// Mean point error divided by `length`. Points of weight 0 do not count, all others count equally; `None` if none is
/// left.
pub fn normalized_mean_error<S: Space>(
    predicted: &[Point<S>],
    truth: &[Point<S>],
    weight: &[f32],
    length: f32,
    counted: Counted,
) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_usize);
    let mut add = |i: usize| {
        if weight[i] > 0.0 {
            sum += f64::from(predicted[i].distance(truth[i]));
            count += 1;
        }
    };
    match counted {
        Counted::Known => (0..truth.len()).for_each(&mut add),
        Counted::Ibug68 => WFLW98_OF_IBUG68.into_iter().for_each(&mut add),
    }
    (count > 0).then(|| sum / count as f64 / f64::from(length))
}

/// Share of errors above `threshold`; missed faces count as failures, and so does an error that is not a number.
pub fn failure_rate(errors: &[f64], missed: usize, threshold: f64) -> f64 {
    let failed = errors.iter().filter(|e| e.is_nan() || **e > threshold).count() + missed;
    failed as f64 / (errors.len() + missed).max(1) as f64
}

/// Area under the cumulative error curve from 0 to `threshold`, divided by `threshold`: 1 is perfect. Missed faces
/// count as errors above it.
pub fn area_under_curve(errors: &[f64], missed: usize, threshold: f64) -> f64 {
    let sum: f64 = errors.iter().map(|e| (1.0 - e / threshold).max(0.0)).sum();
    // The sum of no numbers is -0.0.
    (sum + 0.0) / (errors.len() + missed).max(1) as f64
}

/// The cumulative error curve: the share of faces with at most each error, for `0 ..= threshold` in `steps` steps.
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
    use crate::runtime::geometry::FrameSpace;

    fn face() -> (Vec<Point<FrameSpace>>, Vec<f32>) {
        let points = (0..98).map(|i| Point::new((i % 10) as f32 * 10.0, (i / 10) as f32 * 10.0)).collect();
        (points, vec![1.0; 98])
    }

    const EVERY_NORM: [Norm; 4] = [Norm::InterOcular, Norm::InterPupil, Norm::Pupil, Norm::Box];

    #[test]
    fn a_shift_of_a_tenth_of_the_eye_distance_is_ten_percent() {
        let (truth, weight) = face();
        let length = Norm::InterOcular.length(Scheme::Wflw98, &truth, &weight, None).unwrap();
        let moved: Vec<_> = truth.iter().map(|p| Point::new(p.x + 0.1 * length, p.y)).collect();
        for counted in [Counted::Known, Counted::Ibug68] {
            let error = normalized_mean_error(&moved, &truth, &weight, length, counted).unwrap();
            assert!((error - 0.1).abs() < 1e-6);
        }
    }

    #[test]
    fn the_lengths_are_those_of_the_published_protocols() {
        let own_box = Rect::new(0.0, 0.0, 40.0, 10.0);
        // On the line y = x = index, every distance is the difference of (mean) indices times the square root of 2.
        let lengths = |scheme: Scheme| {
            let truth: Vec<Point<FrameSpace>> = (0..scheme.points()).map(|i| Point::new(i as f32, i as f32)).collect();
            let weight = vec![1.0; truth.len()];
            EVERY_NORM.map(|norm| {
                let unit = if norm == Norm::Box { 1.0 } else { std::f32::consts::SQRT_2 };
                norm.length(scheme, &truth, &weight, Some(&own_box)).map(|l| (10.0 * l / unit).round() / 10.0)
            })
        };
        assert_eq!(lengths(Scheme::Wflw98), [Some(12.0), Some(8.0), Some(1.0), Some(97.0)]);
        assert_eq!(lengths(Scheme::Ibug68), [Some(9.0), Some(6.0), None, Some(67.0)]);
        assert_eq!(lengths(Scheme::Cofw29), [Some(1.0), Some(1.0), Some(1.0), Some(28.0)]);
        assert_eq!(lengths(Scheme::Aflw19), [Some(5.0), Some(3.0), Some(3.0), Some(20.0)]);
    }

    #[test]
    fn points_without_weight_do_not_count() {
        let (truth, mut weight) = face();
        let mut predicted = truth.clone();
        predicted[0] = Point::new(1e6, 1e6);
        weight[0] = 0.0;
        let error = normalized_mean_error(&predicted, &truth, &weight, 10.0, Counted::Known).unwrap();
        assert_eq!(error, 0.0);
        weight[60] = 0.0;
        assert_eq!(Norm::InterOcular.length(Scheme::Wflw98, &truth, &weight, None), None);
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
        // The paper's WFLW table as the official repository prints it: mean error in %, area at 10 %. Columns: test
        // set, pose, expression, illumination, make-up, occlusion, blur; first with the provided boxes, then with boxes
        // from the true landmarks.
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
    fn the_published_failure_rates_are_whole_faces_of_the_subsets() {
        // Failures at 10 % in the paper's WFLW table (with the provided boxes, then with boxes from the true
        // landmarks), and the sizes of the test set, pose, expression, illumination, make-up, occlusion and blur.
        let rows = [
            (2500, 2.84, 2.04),
            (326, 13.50, 9.20),
            (314, 2.23, 1.27),
            (698, 2.58, 2.01),
            (206, 2.91, 0.97),
            (736, 5.98, 4.21),
            (773, 3.75, 2.72),
        ];
        for (faces, provided, from_truth) in rows {
            for published in [provided, from_truth] {
                let failures = (published / 100.0 * f64::from(faces)).round() as usize;
                let errors: Vec<f64> = (0..faces as usize).map(|i| if i < failures { 0.11 } else { 0.1 }).collect();
                let rate = 100.0 * failure_rate(&errors, 0, 0.1);
                assert!((rate - published).abs() <= 0.005 + 1e-9, "{rate} of {faces} instead of {published}");
            }
        }
    }

    #[test]
    fn a_missed_face_is_a_failure() {
        assert_eq!(failure_rate(&[0.05, 0.2], 2, 0.1), 0.75);
        assert_eq!(area_under_curve(&[0.0, 0.0], 2, 0.1), 0.5);
    }

    #[test]
    fn an_error_that_is_not_a_number_is_a_failure() {
        assert_eq!(failure_rate(&[0.05, f64::NAN], 0, 0.1), 0.5);
        assert_eq!(area_under_curve(&[0.0, f64::NAN], 0, 0.1), 0.5);
    }

    #[test]
    fn an_area_of_nothing_is_printed_without_a_sign() {
        for errors in [&[][..], &[0.3]] {
            assert_eq!(format!("{:.4}", area_under_curve(errors, 1, 0.1)), "0.0000");
        }
    }
}
