//! Fits a model's map to 300-W's style.
//!
//! In: a model of 98 points and faces annotated by 300-W, other than those for evaluation. Out: pose-dependent shifts
//! of the 68 points ([`IbugFit`]), by least squares in units of the eye distance. The fit is not symmetric, because all
//! of 300-W's points are about half a percent of the box too far right, which a symmetric fit would leave (3.66 instead
//! of 3.59 % on Helen).

use super::report::EvalError;
use crate::runtime::engine::Landmarker;
use crate::runtime::landmarks::{IBUG_POINTS, IbugFit, PoseTerms, Scheme, Style, WFLW98_OF_IBUG68};
use crate::train::data::Sample;

/// Fits the shifts on the `samples` that people annotated in 300-W's style; crops are from the true landmarks.
///
/// # Errors
/// Pictures that can't be read, by name; a model that fails or has other points; too few faces of 300-W's style.
pub fn fit_ibug_style(
    landmarker: &mut Landmarker,
    samples: &[Sample],
    mut on_face: impl FnMut(),
) -> Result<IbugFit, EvalError> {
    if landmarker.scheme() != Some(Scheme::Wflw98) {
        return Err(EvalError::Scheme { points: landmarker.points() });
    }
    let mut sums: Vec<[Normal; 2]> = vec![[Normal::default(); 2]; IBUG_POINTS];
    for sample in samples.iter().filter(|s| s.style == Style::Ibug && !s.is_automatic) {
        on_face();
        let (left, right) = sample.scheme.outer_eye_corners();
        let is_known = WFLW98_OF_IBUG68.iter().all(|&i| sample.weight[i] > 0.0);
        let Some(around) = sample.landmark_box().filter(|_| is_known) else { continue };
        let frame = sample.open()?;
        let crop_from_frame = landmarker.crop_about(&around, 0.0);
        let predicted: Vec<_> = landmarker.predict(&frame, &crop_from_frame)?.iter().map(|l| l.point).collect();
        let Some((pose, residuals)) = IbugFit::residuals(&predicted, &sample.points) else { continue };
        // Errors are measured in eye distances.
        let weight = (around.side() / sample.points[left].distance(sample.points[right]).max(1.0)).powi(2);
        for (i, [x, y]) in residuals.into_iter().enumerate() {
            sums[i][0].add(&pose, x, weight);
            sums[i][1].add(&pose, y, weight);
        }
    }
    let shifts = sums.iter().map(|[x, y]| Some([x.solve()?, y.solve()?])).collect::<Option<Vec<_>>>();
    shifts.and_then(|shifts| IbugFit::new(shifts).ok()).ok_or(EvalError::NothingToMeasure)
}

/// The normal equations of one coordinate of one point.
#[derive(Clone, Copy, Default)]
struct Normal {
    /// Sums of products of the terms, and of the terms with the value.
    matrix: [[f64; 3]; 3],
    right: [f64; 3],
}

impl Normal {
    fn add(&mut self, terms: &PoseTerms, value: f32, weight: f32) {
        for (i, a) in terms.iter().enumerate() {
            for (j, b) in terms.iter().enumerate() {
                self.matrix[i][j] += f64::from(weight * a * b);
            }
            self.right[i] += f64::from(weight * a * value);
        }
    }

    /// By Cramer's rule; `None` if the faces do not determine the terms.
    fn solve(&self) -> Option<[f32; 3]> {
        let determinant = |m: &[[f64; 3]; 3]| {
            (0..3)
                .map(|i| m[0][i] * (m[1][(i + 1) % 3] * m[2][(i + 2) % 3] - m[1][(i + 2) % 3] * m[2][(i + 1) % 3]))
                .sum()
        };
        let whole: f64 = determinant(&self.matrix);
        let size = self.matrix[0][0];
        (size > 0.0 && whole.abs() > 1e-9 * size.powi(3)).then(|| {
            std::array::from_fn(|term| {
                let mut replaced = self.matrix;
                (0..3).for_each(|row| replaced[row][term] = self.right[row]);
                let of: f64 = determinant(&replaced);
                (of / whole) as f32
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_of_a_pose_are_found_again_and_too_little_is_refused() {
        let mut normal = Normal::default();
        for i in 0..50 {
            let pose = [1.0, (i % 7) as f32 / 7.0 - 0.4, (i % 5) as f32 / 20.0];
            normal.add(&pose, 2.0 - 3.0 * pose[1] + 0.5 * pose[2], 1.0 + (i % 3) as f32);
        }
        let terms = normal.solve().unwrap();
        assert!(terms.iter().zip([2.0, -3.0, 0.5]).all(|(a, e)| (a - e).abs() < 1e-3), "{terms:?}");
        let mut one = Normal::default();
        one.add(&[1.0, 0.2, 0.1], 3.0, 1.0);
        assert!(one.solve().is_none() && Normal::default().solve().is_none());
    }
}
