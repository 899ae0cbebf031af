//! Annotation styles: where the people behind a data set put a point that another data set puts elsewhere.
//!
//! 300-W (iBUG) and WFLW name the same points and place them differently, by as much as a tenth of the eye distance at
//! the ends of the outline. A model that is shown both learns neither, so a model has one style, and faces of the
//! other are moved by a mean shift for each point, in the frame in which the face is upright.
//!
//! In: 98 points in picture coordinates, in any rotation. Out: the same face in another style. Nothing here fails.

use super::{IBUG_POINTS, INTERPOLATED_WEIGHT, WFLW_POINTS, WFLW98_OF_IBUG68};
use crate::runtime::geometry::{Point, Rect, Space};
use serde::{Deserialize, Serialize};

/// Whose habit of placing the points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// WFLW's.
    #[default]
    Wflw,
    /// 300-W's.
    Ibug,
    /// Another data set's whose shifts from WFLW are not known; its inner points are taken as they are.
    Other,
}

/// Where the point that 300-W places would lie in WFLW, for the 68 points: to the right and down in an upright face, in
/// percent of the longer side of the box around all its points. Learnt from how the same predictors miss on both.
const IBUG_TO_WFLW: [[f32; 2]; IBUG_POINTS] = [
    [-2.52, -4.58],
    [-1.12, -4.03],
    [-0.48, -3.68],
    [-0.39, -3.33],
    [-0.43, -2.65],
    [-0.75, -2.04],
    [-0.83, -1.54],
    [-0.54, -1.31],
    [0.0, -0.75],
    [0.54, -1.31],
    [0.83, -1.54],
    [0.75, -2.04],
    [0.43, -2.65],
    [0.39, -3.33],
    [0.48, -3.68],
    [1.12, -4.03],
    [2.52, -4.58],
    [1.67, -0.24],
    [2.07, -1.15],
    [1.06, -0.25],
    [-0.2, -0.47],
    [-0.99, -1.74],
    [0.99, -1.74],
    [0.2, -0.47],
    [-1.06, -0.25],
    [-2.07, -1.15],
    [-1.67, -0.24],
    [0.0, -0.27],
    [0.0, 0.55],
    [0.0, 1.5],
    [0.0, 1.82],
    [-1.24, 0.12],
    [-0.46, -0.47],
    [0.0, -1.18],
    [0.46, -0.47],
    [1.24, 0.12],
    [-0.94, -0.44],
    [-1.95, -0.17],
    [1.77, -0.29],
    [0.6, -0.74],
    [1.53, -0.43],
    [-1.7, -0.57],
    [-0.6, -0.74],
    [-1.77, -0.29],
    [1.95, -0.17],
    [0.94, -0.44],
    [1.7, -0.57],
    [-1.53, -0.43],
    [-0.42, -0.68],
    [-0.27, -0.26],
    [0.81, -0.25],
    [0.0, -1.23],
    [-0.81, -0.25],
    [0.27, -0.26],
    [0.42, -0.68],
    [1.82, -2.35],
    [2.27, -1.67],
    [0.0, -0.85],
    [-2.27, -1.67],
    [-1.82, -2.35],
    [-1.74, -0.76],
    [-4.14, -0.52],
    [0.0, -1.19],
    [4.14, -0.52],
    [1.74, -0.76],
    [4.31, -0.75],
    [0.0, 0.03],
    [-4.31, -0.75],
];
/// Points that 68 leave out and that lie between two of them: the odd ones of the outline.
const BETWEEN: std::ops::Range<usize> = 0..33;
/// The four lid centres, each with the lid points before and after it and the corners beyond these.
const LID_CENTRES: [(usize, [usize; 2], [usize; 2]); 4] =
    [(62, [61, 63], [60, 64]), (66, [65, 67], [64, 60]), (70, [69, 71], [68, 72]), (74, [73, 75], [72, 68])];

impl Style {
    /// The style of a face that a line of `scheme` describes by 98 points; `None` if there is no such scheme.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "wflw98" | "pseudo98" => Some(Self::Wflw),
            "ibug68" | "ibug68-auto" => Some(Self::Ibug),
            "scut86" | "fgnet68" | "frl189" => Some(Self::Other),
            _ => None,
        }
    }

    /// Moves the points of a face of this style to where `to` has them. Points of weight 0 stay; points that 300-W does
    /// not know and that were interpolated (see [`super::wflw98_from_ibug68`]) are interpolated again.
    ///
    /// # Panics
    /// If there are not 98 points and weights.
    pub fn convert<S: Space>(self, to: Self, points: &mut [Point<S>], weight: &[f32]) {
        assert_eq!((points.len(), weight.len()), (WFLW_POINTS, WFLW_POINTS));
        let sign = match (self, to) {
            (Self::Ibug, Self::Wflw) => 1.0,
            (Self::Wflw, Self::Ibug) => -1.0,
            _ => return,
        };
        let Some(frame) = UprightFrame::of(points, weight) else { return };
        for (shift, i) in IBUG_TO_WFLW.iter().zip(WFLW98_OF_IBUG68) {
            if weight[i] > 0.0 {
                points[i] = frame.shifted(points[i], sign * shift[0], sign * shift[1]);
            }
        }
        // A model predicts what lies between; only what was interpolated before is so again.
        let interpolated = |i: usize| self == Self::Ibug && weight[i] == INTERPOLATED_WEIGHT;
        for i in BETWEEN.skip(1).step_by(2) {
            if interpolated(i) {
                points[i] = points[i - 1].midpoint(points[i + 1]);
            } else if weight[i] > 0.0 {
                let [x, y] = mean_shift(i - 1, i + 1);
                points[i] = frame.shifted(points[i], sign * x, sign * y);
            }
        }
        for (i, [a, b], [before, after]) in LID_CENTRES {
            if interpolated(i) {
                points[i] = on_the_lid([points[before], points[a], points[b], points[after]]);
            } else if weight[i] > 0.0 {
                let [x, y] = mean_shift(a, b);
                points[i] = frame.shifted(points[i], sign * x, sign * y);
            }
        }
    }

    /// A prediction of 98 points, made in the style `of`, as a data set of this style has them; `None` where that is the
    /// same.
    pub fn expressed<S: Space>(self, of: Option<Self>, predicted: &[Point<S>]) -> Option<Vec<Point<S>>> {
        let of = of.filter(|&of| of != self && self != Self::Other && predicted.len() == WFLW_POINTS)?;
        let mut points = predicted.to_vec();
        of.convert(self, &mut points, &[1.0; WFLW_POINTS]);
        Some(points)
    }
}

/// The shift half-way between those of two of the 98 points that 68 have too.
fn mean_shift(a: usize, b: usize) -> [f32; 2] {
    let of = |point: usize| {
        let place = WFLW98_OF_IBUG68.iter().position(|&i| i == point);
        place.map_or([0.0, 0.0], |place| IBUG_TO_WFLW[place])
    };
    let (a, b) = (of(a), of(b));
    [0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1])]
}

/// The middle of a lid by the cubic through its corners and quarter points: the chord's middle lies too near the eye's.
fn on_the_lid<S: Space>([before, a, b, after]: [Point<S>; 4]) -> Point<S> {
    let cubic = |before: f32, a: f32, b: f32, after: f32| (2.0 * (a + b)) / 3.0 - (before + after) / 6.0;
    Point::new(cubic(before.x, a.x, b.x, after.x), cubic(before.y, a.y, b.y, after.y))
}

/// The frame in which a face is upright: its direction and the unit that shifts are measured in.
struct UprightFrame {
    /// Unit vector from the left eye to the right one.
    along: (f32, f32),
    /// A hundredth of the longer side of the upright box around all points, in pixels.
    percent: f32,
}

impl UprightFrame {
    /// Eye outlines without the lid centres, and the outer lip's extremes: every scheme of 98 points knows some of them.
    const EYES: [[usize; 6]; 2] = [[60, 61, 63, 64, 65, 67], [68, 69, 71, 72, 73, 75]];
    const MOUTH: [usize; 4] = [76, 79, 82, 85];

    fn of<S: Space>(points: &[Point<S>], weight: &[f32]) -> Option<Self> {
        let mean = |indices: &[usize]| {
            let known = indices.iter().filter(|&&i| weight[i] > 0.0);
            let (mut x, mut y, mut count) = (0.0, 0.0, 0.0);
            for &i in known {
                (x, y, count) = (x + points[i].x, y + points[i].y, count + 1.0);
            }
            (count > 0.0).then(|| Point::<S>::new(x / count, y / count))
        };
        let [left, right] = [mean(&Self::EYES[0])?, mean(&Self::EYES[1])?];
        let (eyes, mouth) = (left.midpoint(right), mean(&Self::MOUTH)?);
        // The line of the eyes and the one across from eyes to mouth, together: either alone tilts in a turned head.
        let down = (mouth.x - eyes.x, mouth.y - eyes.y);
        let h = (right.x - left.x + down.1, right.y - left.y - down.0);
        let length = h.0.hypot(h.1);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        let along = (h.0 / length, h.1 / length);
        let upright = |p: Point<S>| Point::<S>::new(along.0 * p.x + along.1 * p.y, along.0 * p.y - along.1 * p.x);
        let known = points.iter().zip(weight).filter(|(_, w)| **w > 0.0);
        let percent = 0.01 * Rect::around(known.map(|(&p, _)| upright(p)))?.side();
        Some(Self { along, percent })
    }

    /// `p` moved by so many percent to the right and down in the upright face.
    fn shifted<S: Space>(&self, p: Point<S>, right: f32, down: f32) -> Point<S> {
        let (right, down) = (right * self.percent, down * self.percent);
        Point::new(p.x + self.along.0 * right - self.along.1 * down, p.y + self.along.1 * right + self.along.0 * down)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{IBUG68_MIRROR, wflw98_from_ibug68};
    use super::*;
    use crate::runtime::geometry::{FrameSpace, Similarity};

    /// A face by 68 points: two circles as eyes, one as a mouth, a half circle as an outline.
    fn ibug_face() -> (Vec<Point<FrameSpace>>, Vec<f32>) {
        let on_circle = |x: f32, y: f32, r: f32, turn: f32| {
            let angle = std::f32::consts::TAU * turn;
            Point::new(x + r * angle.cos(), y + r * angle.sin())
        };
        let points = std::array::from_fn(|i| match i {
            0..17 => on_circle(100.0, 100.0, 90.0, 0.5 - i as f32 / 32.0),
            17..27 => Point::new(40.0 + 12.0 * (i - 17) as f32, 60.0),
            27..31 => Point::new(100.0, 80.0 + 8.0 * (i - 27) as f32),
            31..36 => Point::new(80.0 + 10.0 * (i - 31) as f32, 112.0),
            36..42 => on_circle(65.0, 80.0, 12.0, 0.5 + (i - 36) as f32 / 6.0),
            42..48 => on_circle(135.0, 80.0, 12.0, 0.5 + (i - 42) as f32 / 6.0),
            _ => on_circle(100.0, 145.0, if i < 60 { 20.0 } else { 10.0 }, 0.5 + (i - 48) as f32 / 12.0),
        });
        wflw98_from_ibug68(&points)
    }

    #[test]
    fn the_shifts_of_left_and_right_are_each_others_mirror() {
        for (i, [x, y]) in IBUG_TO_WFLW.into_iter().enumerate() {
            assert_eq!([-x, y], IBUG_TO_WFLW[IBUG68_MIRROR[i]], "point {i}");
        }
    }

    #[test]
    fn a_face_there_and_back_is_the_same_to_a_hundredth_of_the_shifts() {
        let (before, weight) = ibug_face();
        let mut points = before.clone();
        Style::Ibug.convert(Style::Wflw, &mut points, &weight);
        let moved = points[0].distance(before[0]);
        assert!(moved > 5.0, "the end of the outline moves by {moved}");
        assert!(points[0].y < before[0].y && points[0].x < before[0].x);
        Style::Wflw.convert(Style::Ibug, &mut points, &weight);
        for i in WFLW98_OF_IBUG68 {
            assert!(points[i].distance(before[i]) < 0.05 * moved, "point {i}: {:?} {:?}", points[i], before[i]);
        }
    }

    #[test]
    fn a_turned_face_moves_as_the_upright_one_does() {
        let (before, weight) = ibug_face();
        let turn: Similarity<FrameSpace, FrameSpace> =
            Similarity::about(Point::new(100.0, 100.0), Point::new(300.0, 200.0), 1.7, 2.1);
        let mut upright = before.clone();
        Style::Ibug.convert(Style::Wflw, &mut upright, &weight);
        let mut turned: Vec<_> = before.iter().map(|&p| turn.apply(p)).collect();
        Style::Ibug.convert(Style::Wflw, &mut turned, &weight);
        for i in (0..WFLW_POINTS).filter(|&i| weight[i] > 0.0) {
            assert!(turned[i].distance(turn.apply(upright[i])) < 1e-2, "point {i}");
        }
    }

    #[test]
    fn the_middle_of_a_lid_lies_on_its_arc_and_not_on_the_chord() {
        let arc = |x: f32| Point::<FrameSpace>::new(x, -6.0 + 0.06 * (x - 10.0) * (x - 10.0));
        let middle = on_the_lid([arc(0.0), arc(5.0), arc(15.0), arc(20.0)]);
        assert!(middle.distance(arc(10.0)) < 1e-5, "{middle:?}");
    }

    #[test]
    fn unknown_points_and_unknown_styles_stay() {
        let (before, weight) = ibug_face();
        let mut points = before.clone();
        Style::Ibug.convert(Style::Wflw, &mut points, &weight);
        assert_eq!((points[96], points[40]), (before[96], before[40]));
        let mut points = before.clone();
        Style::Other.convert(Style::Wflw, &mut points, &weight);
        assert_eq!(points, before);
    }
}
