//! Fits a model's maps to the annotation styles of data sets.
//!
//! In: a model of 98 points and faces that people annotated in other styles, other than those for evaluation. Out: for
//! each style pose-dependent shifts of its points ([`StyleFit`]), by least squares in units of the eye distance. A
//! style whose faces have no tip of the nose, from which the pose is told, gets constant shifts. The fit is not
//! symmetric, because all of 300-W's points are about half a percent of the box too far right, which a symmetric fit
//! would leave (3.66 instead of 3.59 % on Helen).

use super::report::EvalError;
use crate::runtime::engine::Landmarker;
use crate::runtime::landmarks::{PoseTerms, Scheme, Style, StyleFit, WFLW_POINTS, WFLW98_OF_IBUG68};
use crate::train::data::Sample;
use std::collections::BTreeMap;

/// The fewest faces that a style is fitted to.
const FEWEST_FACES: usize = 40;
const NOSE_TIP: usize = 54;

/// A fit to one style, and the number of faces that it was measured on.
pub struct FittedStyle {
    pub style: Style,
    pub fit: StyleFit,
    pub faces: usize,
}

/// Fits the shifts from a model of the style `of_model` to each other style that people annotated enough of the
/// `samples` in; crops are from the true landmarks.
///
/// # Errors
/// Pictures that can't be read, by name; a model that fails, has other points or no style; no style with enough faces.
pub fn fit_styles(
    landmarker: &mut Landmarker,
    of_model: Option<Style>,
    samples: &[Sample],
    mut on_face: impl FnMut(),
) -> Result<Vec<FittedStyle>, EvalError> {
    if landmarker.scheme() != Some(Scheme::Wflw98) {
        return Err(EvalError::Scheme { points: landmarker.points() });
    }
    let of_model = of_model.ok_or(EvalError::MixedStyles)?;
    let mut styles: BTreeMap<Style, (usize, Vec<[Normal; 2]>)> = BTreeMap::new();
    let is_of_use = |s: &&Sample| s.scheme == Scheme::Wflw98 && s.style != of_model && !s.is_automatic;
    for sample in samples.iter().filter(is_of_use) {
        on_face();
        let (left, right) = sample.scheme.outer_eye_corners();
        let are_known = |indices: &[usize]| indices.iter().all(|&i| sample.weight[i] > 0.0);
        let Some(around) = sample.landmark_box().filter(|_| are_known(&[left, right])) else { continue };
        if sample.style == Style::Ibug && !are_known(&WFLW98_OF_IBUG68) {
            continue;
        }
        let frame = sample.open()?;
        let crop_from_frame = landmarker.crop_about(&around, 0.0);
        let predicted: Vec<_> = landmarker.predict(&frame, &crop_from_frame)?.iter().map(|l| l.point).collect();
        let Some((pose, residuals)) = StyleFit::residuals(&predicted, &sample.points) else { continue };
        let pose = if are_known(&[NOSE_TIP]) { pose } else { [1.0, 0.0, 0.0] };
        // Errors are measured in eye distances.
        let weight = (around.side() / sample.points[left].distance(sample.points[right]).max(1.0)).powi(2);
        let (faces, sums) =
            styles.entry(sample.style).or_insert_with(|| (0, vec![[Normal::default(); 2]; WFLW_POINTS]));
        *faces += 1;
        for (i, [x, y]) in residuals.into_iter().enumerate().filter(|(i, _)| are_known(&[*i])) {
            sums[i][0].add(&pose, x, weight);
            sums[i][1].add(&pose, y, weight);
        }
    }
    styles.retain(|_, (faces, _)| *faces >= FEWEST_FACES);
    let fitted = styles.into_iter().filter_map(|(style, (faces, sums))| {
        let shifts = StyleFit::points_of(style).into_iter().map(|i| sums[i].map(|along| along.solve()));
        let fit = StyleFit::new(style, shifts.collect()).ok()?;
        Some(FittedStyle { style, fit, faces })
    });
    let fitted: Vec<FittedStyle> = fitted.collect();
    if fitted.is_empty() { Err(EvalError::TooFewFacesOfAStyle { fewest: FEWEST_FACES }) } else { Ok(fitted) }
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

    /// By Cramer's rule. The mean alone if the faces do not determine the terms of the pose, 0 without a face.
    fn solve(&self) -> [f32; 3] {
        let determinant = |m: &[[f64; 3]; 3]| {
            (0..3)
                .map(|i| m[0][i] * (m[1][(i + 1) % 3] * m[2][(i + 2) % 3] - m[1][(i + 2) % 3] * m[2][(i + 1) % 3]))
                .sum()
        };
        let whole: f64 = determinant(&self.matrix);
        let size = self.matrix[0][0];
        if size <= 0.0 {
            return [0.0; 3];
        }
        if whole.abs() <= 1e-9 * size.powi(3) {
            return [(self.right[0] / size) as f32, 0.0, 0.0];
        }
        std::array::from_fn(|term| {
            let mut replaced = self.matrix;
            (0..3).for_each(|row| replaced[row][term] = self.right[row]);
            let of: f64 = determinant(&replaced);
            (of / whole) as f32
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_of_a_pose_are_found_again_and_the_mean_if_all_poses_are_alike() {
        let mut normal = Normal::default();
        for i in 0..50 {
            let pose = [1.0, (i % 7) as f32 / 7.0 - 0.4, (i % 5) as f32 / 20.0];
            normal.add(&pose, 2.0 - 3.0 * pose[1] + 0.5 * pose[2], 1.0 + (i % 3) as f32);
        }
        let terms = normal.solve();
        assert!(terms.iter().zip([2.0, -3.0, 0.5]).all(|(a, e)| (a - e).abs() < 1e-3), "{terms:?}");
        let mut one = Normal::default();
        one.add(&[1.0, 0.2, 0.1], 3.0, 1.0);
        one.add(&[1.0, 0.2, 0.1], 4.0, 3.0);
        assert_eq!([one.solve(), Normal::default().solve()], [[3.75, 0.0, 0.0], [0.0; 3]]);
    }
}
