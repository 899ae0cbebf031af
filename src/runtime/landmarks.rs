//! Landmarks and their schemes: the number of points, the points of each part of the face, how points mirror, the
//! curves that they form, and maps from one scheme to another.
//!
//! "Left" means left in the picture. Indices are 0-based. Nothing here fails.

mod curves;
mod parts;
mod style;

pub use curves::{AFLW19_BOUNDARIES, COFW29_BOUNDARIES, Curve, IBUG68_BOUNDARIES, WFLW98_BOUNDARIES, WFLW98_OUTLINES};
pub use parts::Part;
pub use style::{PoseTerms, Style, StyleFit, StyleFits};

use crate::runtime::geometry::{FrameSpace, Point, Space};

/// A landmark in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Landmark {
    /// In pixels of the frame; it may lie beyond the frame's border.
    pub point: Point<FrameSpace>,
    /// The probability that the point is within a tenth of the eye distance of the ground truth, 0..=1; 0 beyond the
    /// border.
    pub confidence: f32,
}

/// A set of landmarks in a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Scheme {
    /// WFLW: outline, brows, nose, lids, lips, pupils.
    Wflw98,
    /// iBUG, Multi-PIE: 300-W.
    Ibug68,
    /// COFW: brows, eyes, nose, lips, chin.
    Cofw29,
    /// AFLW without the ears: brows, eyes, nose, mouth, chin.
    Aflw19,
}

impl Scheme {
    pub const ALL: [Self; 4] = [Self::Wflw98, Self::Ibug68, Self::Cofw29, Self::Aflw19];

    /// The scheme with this number of points.
    pub fn of_points(points: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.points() == points)
    }

    /// The number of points.
    pub const fn points(self) -> usize {
        self.mirror().len()
    }

    /// The indices of the points of `part`, in the scheme's order; none if the scheme has none there.
    ///
    /// In WFLW-98 an eye's eight points run clockwise: `[0]` is its left and `[4]` its right corner, `[2]` the middle
    /// of the upper and `[6]` that of the lower lid. Lips run clockwise from their left corner.
    pub const fn part(self, part: Part) -> &'static [usize] {
        match self {
            Self::Wflw98 => parts::wflw98_part(part),
            Self::Ibug68 => parts::ibug68_part(part),
            Self::Cofw29 => parts::cofw29_part(part),
            Self::Aflw19 => parts::aflw19_part(part),
        }
    }

    /// `mirror()[i]` is the point that point `i` becomes when the picture is mirrored left to right; an involution.
    pub const fn mirror(self) -> &'static [usize] {
        match self {
            Self::Wflw98 => &WFLW98_MIRROR,
            Self::Ibug68 => &IBUG68_MIRROR,
            Self::Cofw29 => &COFW29_MIRROR,
            Self::Aflw19 => &AFLW19_MIRROR,
        }
    }

    /// The curves that the boundary map draws, as the paper's official code groups them.
    pub const fn boundaries(self) -> &'static [Curve] {
        match self {
            Self::Wflw98 => &WFLW98_BOUNDARIES,
            Self::Ibug68 => &IBUG68_BOUNDARIES,
            Self::Cofw29 => &COFW29_BOUNDARIES,
            Self::Aflw19 => &AFLW19_BOUNDARIES,
        }
    }

    /// The curves to draw a face with: through more points than those of the boundary map, where the scheme has them.
    pub const fn outlines(self) -> &'static [Curve] {
        match self {
            Self::Wflw98 => &WFLW98_OUTLINES,
            Self::Ibug68 | Self::Cofw29 | Self::Aflw19 => self.boundaries(),
        }
    }

    /// The points of WFLW-98 whose mean is this point of the scheme: the one at its position, or those around it.
    ///
    /// # Panics
    /// If the scheme has no such point.
    pub fn of_wflw98(self, point: usize) -> &'static [usize] {
        match self {
            Self::Wflw98 => &EACH_OF_WFLW98[point..=point],
            Self::Ibug68 => &WFLW98_OF_IBUG68[point..=point],
            Self::Cofw29 => WFLW98_OF_COFW29[point],
            Self::Aflw19 => WFLW98_OF_AFLW19[point],
        }
    }

    /// Left and right outer eye corner: their distance is the inter-ocular norm.
    pub const fn outer_eye_corners(self) -> (usize, usize) {
        match self {
            Self::Wflw98 => WFLW98_OUTER_EYE_CORNERS,
            Self::Ibug68 => (36, 45),
            Self::Cofw29 => (8, 9),
            Self::Aflw19 => (6, 11),
        }
    }

    /// The number of points on the outline of the face, which are the first ones; 0 if the scheme has no outline.
    pub const fn outline_points(self) -> usize {
        match self {
            Self::Wflw98 => 33,
            Self::Ibug68 => 17,
            Self::Cofw29 | Self::Aflw19 => 0,
        }
    }

    /// Left and right corner of the mouth.
    pub const fn mouth_corners(self) -> (usize, usize) {
        match self {
            Self::Wflw98 => (76, 82),
            Self::Ibug68 => (48, 54),
            Self::Cofw29 => (22, 23),
            Self::Aflw19 => (15, 17),
        }
    }

    /// The points whose means are the left and the right pupil: the distance of the pupils is the inter-pupil norm.
    /// iBUG has no pupils, so each is the mean of the six lid points of its eye, as in 300-W.
    pub const fn pupils(self) -> (&'static [usize], &'static [usize]) {
        match self {
            Self::Wflw98 => (&[WFLW98_PUPILS.0], &[WFLW98_PUPILS.1]),
            Self::Ibug68 => (&[36, 37, 38, 39, 40, 41], &[42, 43, 44, 45, 46, 47]),
            Self::Cofw29 => (&[16], &[17]),
            Self::Aflw19 => (&[7], &[10]),
        }
    }
}

/// Number of points of the WFLW scheme (Wu et al., CVPR 2018), which awing predicts.
pub const WFLW_POINTS: usize = 98;
/// Number of points of the iBUG scheme (300-W).
pub const IBUG_POINTS: usize = 68;

/// `WFLW98_MIRROR[i]` is the point that point `i` becomes when the picture is mirrored left to right; an involution.
pub const WFLW98_MIRROR: [usize; WFLW_POINTS] = [
    32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2,
    1, 0, 46, 45, 44, 43, 42, 50, 49, 48, 47, 37, 36, 35, 34, 33, 41, 40, 39, 38, 51, 52, 53, 54, 59, 58, 57, 56, 55,
    72, 71, 70, 69, 68, 75, 74, 73, 64, 63, 62, 61, 60, 67, 66, 65, 82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83, 92,
    91, 90, 89, 88, 95, 94, 93, 97, 96,
];

/// Like [`WFLW98_MIRROR`], for 68 points.
pub const IBUG68_MIRROR: [usize; IBUG_POINTS] = [
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 27, 28, 29, 30,
    35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
];

/// Like [`WFLW98_MIRROR`], for the 29 points of COFW.
pub const COFW29_MIRROR: [usize; 29] =
    [1, 0, 3, 2, 6, 7, 4, 5, 9, 8, 11, 10, 14, 15, 12, 13, 17, 16, 19, 18, 20, 21, 23, 22, 24, 25, 26, 27, 28];

/// Like [`WFLW98_MIRROR`], for the 19 points of AFLW.
pub const AFLW19_MIRROR: [usize; 19] = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 14, 13, 12, 17, 16, 15, 18];

/// `WFLW98_OF_IBUG68[i]` is the WFLW point that is point `i` of iBUG-68.
pub static WFLW98_OF_IBUG68: [usize; IBUG_POINTS] = [
    0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 33, 34, 35, 36, 37, 42, 43, 44, 45, 46, 51, 52, 53,
    54, 55, 56, 57, 58, 59, 60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 88, 89, 90, 91, 92, 93, 94, 95,
];

/// Every point of WFLW-98 is itself.
static EACH_OF_WFLW98: [usize; WFLW_POINTS] = {
    let mut all = [0; WFLW_POINTS];
    let mut i = 0;
    while i < WFLW_POINTS {
        all[i] = i;
        i += 1;
    }
    all
};

/// The points of WFLW-98 whose mean is each point of COFW: brow and eye corners, the middles of their edges, pupils,
/// nostrils, tip and base of the nose, mouth corners, the middles of the lips' edges, chin.
static WFLW98_OF_COFW29: [&[usize]; 29] = [
    &[33],
    &[46],
    &[37, 38],
    &[42, 50],
    &[35],
    &[40],
    &[44],
    &[48],
    &[60],
    &[72],
    &[64],
    &[68],
    &[62],
    &[66],
    &[70],
    &[74],
    &[96],
    &[97],
    &[55],
    &[59],
    &[54],
    &[57],
    &[76],
    &[82],
    &[79],
    &[90],
    &[94],
    &[85],
    &[16],
];

/// Like [`WFLW98_OF_COFW29`], for AFLW: ends and middles of brows and eyes, nostrils and tip of the nose, corners and
/// middle of the mouth, chin.
static WFLW98_OF_AFLW19: [&[usize]; 19] = [
    &[33],
    &[35, 40],
    &[37, 38],
    &[42, 50],
    &[44, 48],
    &[46],
    &[60],
    &[96],
    &[64],
    &[68],
    &[97],
    &[72],
    &[55],
    &[54],
    &[59],
    &[76],
    &[90, 94],
    &[82],
    &[16],
];

/// The weight of a point that was not annotated but interpolated.
pub const INTERPOLATED_WEIGHT: f32 = 0.5;

/// The 98 WFLW points and their weights from the 68 of iBUG. Every second point of the jaw and the lid centres are
/// midpoints of their neighbours (weight [`INTERPOLATED_WEIGHT`]); the lower edges of the brows and the pupils are
/// unknown (weight 0, at the origin).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirroring_twice_changes_nothing() {
        for scheme in Scheme::ALL {
            let mirror = scheme.mirror();
            assert!((0..scheme.points()).all(|i| mirror[mirror[i]] == i), "{scheme:?}");
            assert_eq!(Scheme::of_points(scheme.points()), Some(scheme));
        }
    }

    #[test]
    fn parts_share_no_point_and_mirror_to_the_part_of_the_other_side() {
        let other_side = |part| match part {
            Part::LeftBrow => Part::RightBrow,
            Part::RightBrow => Part::LeftBrow,
            Part::LeftEye => Part::RightEye,
            Part::RightEye => Part::LeftEye,
            Part::LeftPupil => Part::RightPupil,
            Part::RightPupil => Part::LeftPupil,
            middle => middle,
        };
        for scheme in Scheme::ALL {
            let mut seen: Vec<usize> = Part::ALL.into_iter().flat_map(|part| scheme.part(part)).copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..scheme.points()).collect::<Vec<_>>(), "{scheme:?}: every point is in one part");
            for part in Part::ALL {
                let mut mirrored: Vec<usize> = scheme.part(part).iter().map(|&i| scheme.mirror()[i]).collect();
                let mut other = scheme.part(other_side(part)).to_vec();
                mirrored.sort_unstable();
                other.sort_unstable();
                assert_eq!(mirrored, other, "{scheme:?} {part:?}");
            }
        }
    }

    #[test]
    fn maps_from_wflw_keep_sides_and_parts() {
        for scheme in Scheme::ALL {
            for point in 0..scheme.points() {
                let mut mirrored: Vec<usize> = scheme.of_wflw98(point).iter().map(|&i| WFLW98_MIRROR[i]).collect();
                let mut other = scheme.of_wflw98(scheme.mirror()[point]).to_vec();
                mirrored.sort_unstable();
                other.sort_unstable();
                assert_eq!(mirrored, other, "{scheme:?} {point}");
            }
            for part in Part::ALL.into_iter().filter(|part| *part != Part::OuterLips) {
                let of_part = |i: &usize| scheme.of_wflw98(*i).iter().all(|i| Scheme::Wflw98.part(part).contains(i));
                assert!(scheme.part(part).iter().all(of_part), "{scheme:?} {part:?}");
            }
        }
    }

    #[test]
    fn mirrored_curves_are_curves() {
        for scheme in [Scheme::Wflw98, Scheme::Ibug68, Scheme::Cofw29] {
            for curve in scheme.boundaries() {
                let mut mirrored: Vec<usize> = curve.points.iter().map(|&p| scheme.mirror()[p]).collect();
                let forward = scheme.boundaries().iter().any(|c| c.points == mirrored);
                mirrored.reverse();
                assert!(
                    forward || scheme.boundaries().iter().any(|c| c.points == mirrored),
                    "{scheme:?} {}",
                    curve.name
                );
            }
        }
    }

    #[test]
    fn the_norms_join_a_left_and_a_right_point() {
        for scheme in Scheme::ALL {
            let mirror = scheme.mirror();
            for (left, right) in [scheme.outer_eye_corners(), scheme.mouth_corners()] {
                assert_eq!(mirror[left], right);
            }
            let (left, right) = scheme.pupils();
            assert!(left.iter().all(|&i| right.contains(&mirror[i])), "{scheme:?}");
        }
    }

    #[test]
    fn the_68_points_mirror_and_curve_as_their_98_do() {
        for (i, of98) in WFLW98_OF_IBUG68.into_iter().enumerate() {
            assert_eq!(WFLW98_OF_IBUG68[IBUG68_MIRROR[i]], WFLW98_MIRROR[of98]);
        }
        for (small, large) in IBUG68_BOUNDARIES.iter().zip(&WFLW98_BOUNDARIES) {
            let mapped: Vec<usize> = small.points.iter().map(|&i| WFLW98_OF_IBUG68[i]).collect();
            let kept: Vec<usize> = large.points.iter().copied().filter(|i| WFLW98_OF_IBUG68.contains(i)).collect();
            assert_eq!(mapped, kept, "{}", small.name);
        }
    }

    #[test]
    fn points_missing_in_ibug68_are_interpolated_or_have_no_weight() {
        let points: [Point<crate::runtime::geometry::FrameSpace>; IBUG_POINTS] =
            std::array::from_fn(|i| Point::new(i as f32, 2.0 * i as f32));
        let (all, weight) = wflw98_from_ibug68(&points);
        assert_eq!((all[1], weight[1]), (Point::new(0.5, 1.0), INTERPOLATED_WEIGHT));
        assert_eq!((all[62], weight[62]), (points[37].midpoint(points[38]), INTERPOLATED_WEIGHT));
        let unknown: Vec<usize> = (0..WFLW_POINTS).filter(|&i| weight[i] == 0.0).collect();
        assert_eq!(unknown, [38, 39, 40, 41, 47, 48, 49, 50, 96, 97]);
    }
}
