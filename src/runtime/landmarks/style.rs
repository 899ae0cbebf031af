//! Annotation styles: data sets place points of the same name at different positions.
//!
//! The styles of 300-W (iBUG) and WFLW differ by up to a tenth of the eye distance at the ends of the outline. A model
//! trained on a mix learns neither, so each model has one style, and faces in the other style are converted by a mean
//! shift of each point, in the frame in which the face is upright.
//!
//! In: 98 points in picture coordinates, at any rotation. Out: the same face in another style. Nothing here fails.

use super::{IBUG_POINTS, WFLW_POINTS, WFLW98_OF_IBUG68};
use crate::runtime::geometry::{Point, Rect, Space};
use serde::{Deserialize, Serialize};

/// The data set whose conventions the points follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// WFLW.
    #[default]
    Wflw,
    /// 300-W.
    Ibug,
    /// Another data set, whose shifts from WFLW are unknown; its inner points are used unchanged.
    Other,
}

/// Shift from the position in 300-W's style to that in WFLW's, for each of the 68 points: right and down in an upright
/// face, in percent of the longer side of the box around all its points. Estimated from the errors of the same
/// predictors on both data sets.
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
/// Position of the tip of the nose between the eyes (0) and the mouth (1) in a face that looks straight ahead.
const USUAL_NOSE: f32 = 0.6;
/// The outline. Its odd points are not among the 68; each lies between two that are.
const BETWEEN: std::ops::Range<usize> = 0..33;
/// The four lid centres, each with the lid points before and after it, and the corners beyond those.
const LID_CENTRES: [(usize, [usize; 2], [usize; 2]); 4] =
    [(62, [61, 63], [60, 64]), (66, [65, 67], [64, 60]), (70, [69, 71], [68, 72]), (74, [73, 75], [72, 68])];

impl Style {
    /// The style of a face whose data set line names `scheme` for its 98 points; `None` if the scheme is unknown.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "wflw98" | "pseudo98" => Some(Self::Wflw),
            "ibug68" | "ibug68-auto" => Some(Self::Ibug),
            "scut86" | "fgnet68" | "frl189" => Some(Self::Other),
            _ => None,
        }
    }

    /// Converts the points of a face from this style to `to`. Points of weight 0 stay; points between the 68 are
    /// interpolated from them (see [`super::wflw98_from_ibug68`]).
    ///
    /// # Panics
    /// If there are not 98 points and weights.
    pub fn convert<S: Space>(self, to: Self, points: &mut [Point<S>], weight: &[f32]) {
        self.convert_for(to, None, points, weight);
    }

    /// As [`Self::convert`], to the points that a model whose fit to 300-W's style is `fit` would predict.
    ///
    /// # Panics
    /// As [`Self::convert`].
    pub fn convert_for<S: Space>(self, to: Self, fit: Option<&IbugFit>, points: &mut [Point<S>], weight: &[f32]) {
        assert_eq!((points.len(), weight.len()), (WFLW_POINTS, WFLW_POINTS));
        let sign = match (self, to) {
            (Self::Ibug, Self::Wflw) => 1.0,
            (Self::Wflw, Self::Ibug) => -1.0,
            _ => return,
        };
        let Some(frame) = UprightFrame::of(points, weight) else { return };
        let before = points.to_vec();
        for (shift, i) in IBUG_TO_WFLW.iter().zip(WFLW98_OF_IBUG68) {
            if weight[i] > 0.0 {
                points[i] = frame.shifted(points[i], sign * shift[0], sign * shift[1]);
            }
        }
        if let Some(fit) = fit.filter(|_| (self, to) == (Self::Ibug, Self::Wflw)) {
            fit.undo(&before, points, weight);
        }
        // Points that are not among the 68 lie between them.
        for i in BETWEEN.skip(1).step_by(2) {
            if weight[i] > 0.0 {
                points[i] = points[i - 1].midpoint(points[i + 1]);
            }
        }
        for (i, [a, b], [before, after]) in LID_CENTRES {
            if weight[i] > 0.0 {
                points[i] = match to {
                    // The same midpoint as for 300-W's 68 points.
                    Self::Ibug => points[a].midpoint(points[b]),
                    _ => on_the_lid([points[before], points[a], points[b], points[after]]),
                };
            }
        }
    }

    /// A prediction of 98 points in the style `of`, converted to this style; `None` if no conversion is needed or
    /// known. `fit` is the model's own fit to 300-W's style, if it has one.
    pub fn expressed<S: Space>(
        self,
        of: Option<Self>,
        fit: Option<&IbugFit>,
        predicted: &[Point<S>],
    ) -> Option<Vec<Point<S>>> {
        let of = of.filter(|&of| of != self && self != Self::Other && predicted.len() == WFLW_POINTS)?;
        let fitted = (self == Self::Ibug).then(|| fit?.apply(predicted)).flatten();
        Some(fitted.unwrap_or_else(|| {
            let mut points = predicted.to_vec();
            of.convert(self, &mut points, &[1.0; WFLW_POINTS]);
            points
        }))
    }
}

/// A model's own fit to 300-W's style. Each model needs its own fit, because its output depends on its training; the
/// fit has pose terms, because turned heads have other shifts than frontal ones. For each of the 68 points and for x
/// and y it holds a constant and the coefficients of the head's yaw and pitch, all in percent of the longer side of the
/// upright box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IbugFit(Vec<[[f32; 3]; 2]>);

/// The pose terms that shifts depend on: 1, yaw, pitch.
pub type PoseTerms = [f32; 3];

impl IbugFit {
    /// A fit with these coefficients for the 68 points.
    ///
    /// # Errors
    /// The number of points is wrong, or a number is not finite.
    pub fn new(shifts: Vec<[[f32; 3]; 2]>) -> Result<Self, String> {
        let fit = Self(shifts);
        fit.check()?;
        Ok(fit)
    }

    /// Checks the number of points and that all numbers are finite.
    pub fn check(&self) -> Result<(), String> {
        if self.0.len() != IBUG_POINTS {
            return Err(format!("a fit to 300-W's style has {IBUG_POINTS} points, not {}", self.0.len()));
        }
        match self.0.as_flattened().as_flattened().iter().find(|v| !v.is_finite()) {
            Some(value) => Err(format!("a fit to 300-W's style holds {value}")),
            None => Ok(()),
        }
    }

    /// The pose of predicted points, and the offset of the ground truth from each of the 68 points: right and down in
    /// the upright face, in percent of its box. `None` for a face without extent.
    pub fn residuals<S: Space>(
        predicted: &[Point<S>],
        truth: &[Point<S>],
    ) -> Option<(PoseTerms, [[f32; 2]; IBUG_POINTS])> {
        let frame = UprightFrame::of(predicted, &[1.0; WFLW_POINTS])?;
        let residual = |i: usize| {
            let (dx, dy) = (truth[i].x - predicted[i].x, truth[i].y - predicted[i].y);
            let (x, y) = frame.upright((dx, dy));
            [x / frame.percent, y / frame.percent]
        };
        Some((frame.pose(predicted)?, WFLW98_OF_IBUG68.map(residual)))
    }

    /// Moves `points`, roughly in the model's style, to the positions that the fit maps to `ibug`, the points in
    /// 300-W's style.
    fn undo<S: Space>(&self, ibug: &[Point<S>], points: &mut [Point<S>], weight: &[f32]) {
        let Some(frame) = UprightFrame::of(points, weight) else { return };
        let Some(pose) = frame.pose(points) else { return };
        for ([x, y], i) in self.0.iter().zip(WFLW98_OF_IBUG68) {
            if weight[i] > 0.0 {
                points[i] = frame.shifted(ibug[i], -along(x, pose), -along(y, pose));
            }
        }
    }

    /// `predicted` in 300-W's style.
    fn apply<S: Space>(&self, predicted: &[Point<S>]) -> Option<Vec<Point<S>>> {
        let frame = UprightFrame::of(predicted, &[1.0; WFLW_POINTS])?;
        let pose = frame.pose(predicted)?;
        let points: Vec<Point<S>> = (self.0.iter().zip(WFLW98_OF_IBUG68))
            .map(|([x, y], i)| frame.shifted(predicted[i], along(x, pose), along(y, pose)))
            .collect();
        let (mut all, weight) = super::wflw98_from_ibug68(points.as_slice().try_into().ok()?);
        // These points are not defined in 300-W.
        for (i, point) in all.iter_mut().enumerate().filter(|(i, _)| weight[*i] == 0.0) {
            *point = predicted[i];
        }
        Some(all)
    }
}

/// A shift in this pose.
fn along(terms: &[f32; 3], pose: PoseTerms) -> f32 {
    terms.iter().zip(pose).map(|(term, of)| term * of).sum()
}

/// The centre of a lid, on a cubic through its corners and quarter points; the centre of the chord is too close to the
/// eye's centre.
fn on_the_lid<S: Space>([before, a, b, after]: [Point<S>; 4]) -> Point<S> {
    let cubic = |before: f32, a: f32, b: f32, after: f32| (2.0 * (a + b)) / 3.0 - (before + after) / 6.0;
    Point::new(cubic(before.x, a.x, b.x, after.x), cubic(before.y, a.y, b.y, after.y))
}

/// The frame in which a face is upright: its direction, and the unit of the shifts.
struct UprightFrame {
    /// Unit vector from the left eye to the right one.
    along: (f32, f32),
    /// A hundredth of the longer side of the upright box around all points, in pixels.
    percent: f32,
}

impl UprightFrame {
    /// Eye outlines without the lid centres, and the extremes of the outer lip: every scheme of 98 points has some of
    /// them.
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
        // The sum of the direction from eye to eye and the one perpendicular to eyes and mouth: either alone tilts in a
        // turned head.
        let down = (mouth.x - eyes.x, mouth.y - eyes.y);
        let h = (right.x - left.x + down.1, right.y - left.y - down.0);
        let length = h.0.hypot(h.1);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        let along = (h.0 / length, h.1 / length);
        let mut frame = Self { along, percent: 0.0 };
        let known = points.iter().zip(weight).filter(|(_, w)| **w > 0.0);
        let upright = |p: &Point<S>| {
            let (x, y) = frame.upright((p.x, p.y));
            Point::<S>::new(x, y)
        };
        frame.percent = 0.01 * Rect::around(known.map(|(p, _)| upright(p)))?.side();
        (frame.percent > 0.0).then_some(frame)
    }

    /// Rotates a vector in the picture into the upright face, in pixels.
    fn upright(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (self.along.0 * x + self.along.1 * y, self.along.0 * y - self.along.1 * x)
    }

    /// The pose terms, from the position of the nose's tip relative to eyes and mouth.
    fn pose<S: Space>(&self, points: &[Point<S>]) -> Option<PoseTerms> {
        let mean = |indices: &[usize]| {
            let count = indices.len() as f32;
            let sum = indices.iter().fold((0.0, 0.0), |sum, &i| (sum.0 + points[i].x, sum.1 + points[i].y));
            self.upright((sum.0 / count, sum.1 / count))
        };
        let (eyes, mouth) = (mean(&[60, 64, 68, 72]), mean(&[76, 82]));
        let nose = self.upright((points[54].x, points[54].y));
        let length = mouth.1 - eyes.1;
        let turn = (nose.0 - 0.5 * (eyes.0 + mouth.0)) / length;
        let nod = (nose.1 - eyes.1) / length - USUAL_NOSE;
        (length > 0.0).then_some([1.0, turn.clamp(-1.0, 1.0), nod.clamp(-1.0, 1.0)])
    }

    /// `p` moved to the right and down in the upright face, in percent of its box.
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

    /// A face with 68 points: two circles as eyes, one as the mouth, a half circle as the outline.
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
    fn converting_there_and_back_keeps_a_face_within_a_tenth_of_the_shifts() {
        let (before, weight) = ibug_face();
        let mut points = before.clone();
        Style::Ibug.convert(Style::Wflw, &mut points, &weight);
        let moved = points[0].distance(before[0]);
        assert!(moved > 5.0, "the end of the outline moves by {moved}");
        assert!(points[0].y < before[0].y && points[0].x < before[0].x);
        Style::Wflw.convert(Style::Ibug, &mut points, &weight);
        for i in WFLW98_OF_IBUG68 {
            assert!(points[i].distance(before[i]) < 0.1 * moved, "point {i}: {:?} {:?}", points[i], before[i]);
        }
    }

    #[test]
    fn a_rotated_face_shifts_as_the_upright_one_does() {
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
    fn a_fit_undoes_what_it_was_measured_as_in_any_rotation() {
        let (mut face, _) = ibug_face();
        (38..42).chain(47..51).chain([96, 97]).for_each(|i| face[i] = Point::new(100.0, 70.0));
        let truth: Vec<_> = face.iter().map(|p| Point::new(p.x + 3.0, p.y - 2.0)).collect();
        let (pose, residuals) = IbugFit::residuals(&face, &truth).unwrap();
        assert!(pose[1].abs() < 1e-3, "it looks straight ahead: {pose:?}");
        let fit = IbugFit::new(residuals.map(|[x, y]| [[x, 0.0, 0.0], [y, 0.0, 0.0]]).to_vec()).unwrap();
        let turn: Similarity<FrameSpace, FrameSpace> =
            Similarity::about(Point::new(100.0, 100.0), Point::new(300.0, 200.0), 0.7, -2.5);
        let turned: Vec<_> = face.iter().map(|&p| turn.apply(p)).collect();
        let expressed = Style::Ibug.expressed(Some(Style::Wflw), Some(&fit), &turned).unwrap();
        for i in WFLW98_OF_IBUG68 {
            assert!(expressed[i].distance(turn.apply(truth[i])) < 1e-2, "point {i}");
        }
        assert_eq!(expressed[96], turned[96]);
        let mut back = expressed.clone();
        Style::Ibug.convert_for(Style::Wflw, Some(&fit), &mut back, &[1.0; WFLW_POINTS]);
        for i in WFLW98_OF_IBUG68 {
            assert!(back[i].distance(turned[i]) < 0.1 * expressed[i].distance(turned[i]), "point {i} on the way back");
        }
        assert!(IbugFit::new(vec![[[0.0; 3]; 2]; 67]).is_err() && IbugFit::new(vec![[[f32::NAN; 3]; 2]; 68]).is_err());
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
