//! Copies one half of a face onto the other, mirrored about the face's own axis.
//!
//! In: 98 points; those with a weight above 0 determine the axis. Out: the points of one side replaced by the mirrored
//! ones of the other. A turned head is not symmetric in the picture, so there the copy is only a start. A face without
//! extent has no axis.

use super::parts::FacePart;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::WFLW98_MIRROR;

/// A side of the face, in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// The line that a face is symmetric about: the points `p` with `normal * p = offset`.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Unit vector from the left side to the right one.
    normal: (f32, f32),
    offset: f32,
}

impl Axis {
    /// The axis that best mirrors the points of one side onto those of the other.
    fn of(points: &[Point<FrameSpace>], counts: impl Fn(usize) -> bool) -> Option<Self> {
        let is_left = |i: usize| side_of(i) == Some(Side::Left);
        let pairs = (0..points.len()).filter(|&i| is_left(i)).map(|i| (i, WFLW98_MIRROR[i]));
        let known: Vec<_> =
            pairs.filter(|&(a, b)| counts(a) && counts(b)).map(|(a, b)| (points[a], points[b])).collect();
        // The direction from side to side: each pair is weighted by its distance.
        let (x, y) = known.iter().fold((0.0, 0.0), |sum, (a, b)| (sum.0 + b.x - a.x, sum.1 + b.y - a.y));
        let length = x.hypot(y);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        let normal = (x / length, y / length);
        let across = known.iter().map(|&(a, b)| normal.0 * a.midpoint(b).x + normal.1 * a.midpoint(b).y);
        Some(Self { normal, offset: across.sum::<f32>() / known.len() as f32 })
    }

    fn mirrored(&self, p: Point<FrameSpace>) -> Point<FrameSpace> {
        let beyond = 2.0 * (self.normal.0 * p.x + self.normal.1 * p.y - self.offset);
        Point::new(p.x - beyond * self.normal.0, p.y - beyond * self.normal.1)
    }
}

/// The side that point `i` lies on; `None` on the axis. The outline, brows, eyes and so on are numbered from left to
/// right, so of two mirror points it depends on the part which is left.
fn side_of(i: usize) -> Option<Side> {
    let mirror = WFLW98_MIRROR[i];
    if mirror == i {
        return None;
    }
    let is_left = match i {
        // The lower lips are numbered from right to left.
        83..=87 | 93..=95 => i > mirror,
        _ => i < mirror,
    };
    Some(if is_left { Side::Left } else { Side::Right })
}

/// The points with those of `part` on side `from` copied onto the other side; a part that lies on one side is copied as
/// a whole onto its twin. `None` if the face has no axis.
pub(super) fn copy_side(
    points: &[Point<FrameSpace>],
    counts: impl Fn(usize) -> bool,
    part: FacePart,
    from: Side,
) -> Option<Vec<Point<FrameSpace>>> {
    // The points to be replaced must not determine the axis.
    let is_apart = |i: usize| part == FacePart::WholeFace || part.twin().points().chain(part.points()).all(|p| p != i);
    let axis = Axis::of(points, |i| counts(i) && is_apart(i))?;
    let is_source = |i: usize| part.twin() != part || side_of(i) == Some(from);
    let mut copied = points.to_vec();
    for i in part.points().filter(|&i| is_source(i)) {
        copied[WFLW98_MIRROR[i]] = axis.mirrored(points[i]);
    }
    Some(copied)
}

#[cfg(test)]
mod tests {
    use super::super::sample::face_points;
    use super::*;
    use crate::runtime::geometry::Similarity;

    /// A face that is symmetric about its own axis, turned in the picture.
    fn symmetric() -> Vec<Point<FrameSpace>> {
        let upright = face_points();
        let symmetric = (0..98).map(|i| {
            let (p, q) = (upright[i], upright[WFLW98_MIRROR[i]]);
            Point::new(0.5 * (p.x + 200.0 - q.x), 0.5 * (p.y + q.y))
        });
        let turn: Similarity<FrameSpace, FrameSpace> =
            Similarity::about(Point::new(100.0, 100.0), Point::new(300.0, 200.0), 1.5, 0.4);
        symmetric.map(|p: Point<FrameSpace>| turn.apply(p)).collect()
    }

    #[test]
    fn every_point_left_of_the_axis_is_on_the_left_side() {
        let points = face_points();
        for i in 0..98 {
            match side_of(i) {
                Some(Side::Left) => assert!(points[i].x < points[WFLW98_MIRROR[i]].x, "point {i}"),
                Some(Side::Right) => assert!(points[i].x > points[WFLW98_MIRROR[i]].x, "point {i}"),
                None => assert_eq!(WFLW98_MIRROR[i], i),
            }
        }
    }

    #[test]
    fn a_symmetric_face_stays_as_it_is() {
        let points = symmetric();
        for from in [Side::Left, Side::Right] {
            let copied = copy_side(&points, |_| true, FacePart::WholeFace, from).unwrap();
            assert!(points.iter().zip(&copied).all(|(a, b)| a.distance(*b) < 1e-2));
        }
    }

    #[test]
    fn a_correction_of_one_side_comes_to_the_other() {
        let truth = symmetric();
        let mut points = truth.clone();
        // The right eye is wrong: too low.
        for i in FacePart::RightEye.points() {
            points[i].y += 4.0;
        }
        let copied = copy_side(&points, |_| true, FacePart::LeftEye, Side::Right).unwrap();
        for i in FacePart::RightEye.points() {
            assert!(copied[i].distance(truth[i]) < 1e-2, "{i}: {:?} {:?}", copied[i], truth[i]);
        }
        assert_eq!(copied[60], points[60]);
        let mouth = copy_side(&points, |_| true, FacePart::Mouth, Side::Left).unwrap();
        assert_eq!((mouth[76], mouth[68]), (points[76], points[68]), "the source and other parts stay");
    }

    #[test]
    fn points_in_one_place_have_no_axis() {
        let points = vec![Point::new(5.0, 5.0); 98];
        assert!(copy_side(&points, |_| true, FacePart::WholeFace, Side::Left).is_none());
        assert!(copy_side(&face_points(), |_| false, FacePart::WholeFace, Side::Left).is_none());
    }
}
