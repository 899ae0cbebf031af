//! Landmark schemes: how many points, what they are called, how they mirror, which of them form curves, and how one
//! scheme maps to another.
//!
//! "Left" means left in the image. Indices are 0-based. Nothing here fails.

use crate::geometry::{Point, Space};

/// Points of the WFLW scheme (Wu et al., CVPR 2018), the one that awing predicts.
pub const WFLW_POINTS: usize = 98;
/// Points of the iBUG scheme (300-W).
pub const IBUG_POINTS: usize = 68;

/// `WFLW98_MIRROR[i]` is the point that point `i` becomes when the picture is mirrored left to right; an involution.
pub const WFLW98_MIRROR: [usize; WFLW_POINTS] = [
    32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2,
    1, 0, 46, 45, 44, 43, 42, 50, 49, 48, 47, 37, 36, 35, 34, 33, 41, 40, 39, 38, 51, 52, 53, 54, 59, 58, 57, 56, 55,
    72, 71, 70, 69, 68, 75, 74, 73, 64, 63, 62, 61, 60, 67, 66, 65, 82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83, 92,
    91, 90, 89, 88, 95, 94, 93, 97, 96,
];

/// `WFLW98_OF_IBUG68[i]` is the WFLW point that is point `i` of iBUG-68.
pub const WFLW98_OF_IBUG68: [usize; IBUG_POINTS] = [
    0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 33, 34, 35, 36, 37, 42, 43, 44, 45, 46, 51, 52, 53,
    54, 55, 56, 57, 58, 59, 60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 88, 89, 90, 91, 92, 93, 94, 95,
];

/// How far a point is trusted that was not annotated but interpolated.
pub const INTERPOLATED_WEIGHT: f32 = 0.5;

/// The 98 points and their weights from the 68 of iBUG: every second point of the jaw and the lid centres are midpoints
/// of their neighbours (weight [`INTERPOLATED_WEIGHT`]); the lower edges of the brows and the pupils stay unknown
/// (weight 0, at the origin).
pub fn wflw98_from_ibug68<S: Space>(points: &[Point<S>; IBUG_POINTS]) -> (Vec<Point<S>>, Vec<f32>) {
    let mut all = vec![Point::new(0.0, 0.0); WFLW_POINTS];
    let mut weight = vec![0.0; WFLW_POINTS];
    for (&point, of98) in points.iter().zip(WFLW98_OF_IBUG68) {
        all[of98] = point;
        weight[of98] = 1.0;
    }
    let jaw = (1..32).step_by(2);
    let lid_centres = [62, 66, 70, 74];
    for i in jaw.chain(lid_centres) {
        all[i] = all[i - 1].midpoint(all[i + 1]);
        weight[i] = INTERPOLATED_WEIGHT;
    }
    (all, weight)
}

/// Outer eye corners in WFLW-98: their distance is the inter-ocular norm of the published tables.
pub const WFLW98_OUTER_EYE_CORNERS: (usize, usize) = (60, 72);
/// Pupils in WFLW-98: their distance is the inter-pupil norm.
pub const WFLW98_PUPILS: (usize, usize) = (96, 97);

/// A curve through landmarks, in drawing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Curve {
    pub name: &'static str,
    pub points: &'static [usize],
    /// Whether the last point joins the first.
    pub closed: bool,
}

const fn curve(name: &'static str, points: &'static [usize], closed: bool) -> Curve {
    Curve { name, points, closed }
}

/// The 13 curves of the boundary map for 98 points, as the official code groups them (`reference`: class `AddBoundary`
/// of the paper's evaluation code). Pupils and the lower edges of the brows take no part.
pub const WFLW98_BOUNDARIES: [Curve; 13] = [
    curve(
        "jaw",
        &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
            29, 30, 31, 32,
        ],
        false,
    ),
    curve("left brow", &[33, 34, 35, 36, 37], false),
    curve("right brow", &[42, 43, 44, 45, 46], false),
    curve("left upper lid", &[60, 61, 62, 63, 64], false),
    curve("right upper lid", &[68, 69, 70, 71, 72], false),
    curve("left lower lid", &[60, 67, 66, 65, 64], false),
    curve("right lower lid", &[68, 75, 74, 73, 72], false),
    curve("nose ridge", &[51, 52, 53, 54], false),
    curve("nose base", &[55, 56, 57, 58, 59], false),
    curve("outer upper lip", &[76, 77, 78, 79, 80, 81, 82], false),
    curve("outer lower lip", &[76, 87, 86, 85, 84, 83, 82], false),
    curve("inner upper lip", &[88, 89, 90, 91, 92], false),
    curve("inner lower lip", &[88, 95, 94, 93, 92], false),
];

/// The curves that a person expects to see drawn for 98 points.
pub const WFLW98_OUTLINES: [Curve; 9] = [
    curve("jaw", WFLW98_BOUNDARIES[0].points, false),
    curve("left brow", &[33, 34, 35, 36, 37, 38, 39, 40, 41], true),
    curve("right brow", &[42, 43, 44, 45, 46, 47, 48, 49, 50], true),
    curve("nose ridge", &[51, 52, 53, 54], false),
    curve("nose base", &[55, 56, 57, 58, 59], false),
    curve("left eye", &[60, 61, 62, 63, 64, 65, 66, 67], true),
    curve("right eye", &[68, 69, 70, 71, 72, 73, 74, 75], true),
    curve("outer lips", &[76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87], true),
    curve("inner lips", &[88, 89, 90, 91, 92, 93, 94, 95], true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirroring_twice_changes_nothing() {
        for i in 0..WFLW_POINTS {
            assert_eq!(WFLW98_MIRROR[WFLW98_MIRROR[i]], i);
        }
    }

    #[test]
    fn mirrored_curves_are_curves() {
        for curve in WFLW98_BOUNDARIES {
            let mut mirrored: Vec<usize> = curve.points.iter().map(|&p| WFLW98_MIRROR[p]).collect();
            let forward = WFLW98_BOUNDARIES.iter().any(|c| c.points == mirrored);
            mirrored.reverse();
            assert!(forward || WFLW98_BOUNDARIES.iter().any(|c| c.points == mirrored), "{}", curve.name);
        }
    }
}
