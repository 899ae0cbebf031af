//! Annotation styles: data sets place points of the same name at different positions.
//!
//! The styles of 300-W (iBUG) and WFLW differ by up to a tenth of the eye distance at the ends of the outline. A model
//! trained on a mix learns neither, so each model has one style, and faces in another style are converted by a shift of
//! each point, in the frame in which the face is upright. Shifts between 300-W's style and WFLW's are known; those of
//! other styles only for a model that was fitted to them ([`StyleFits`]).
//!
//! In: 98 points in picture coordinates, at any rotation. Out: the same face in another style. Nothing here fails.

mod fit;
mod upright;

pub use fit::{PoseTerms, StyleFit, StyleFits};

use super::{IBUG_POINTS, WFLW_POINTS, WFLW98_OF_IBUG68};
use crate::runtime::geometry::{Point, Space};
use serde::{Deserialize, Serialize};
use upright::UprightFrame;

/// The data set whose conventions the points follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// WFLW.
    #[default]
    Wflw,
    /// 300-W.
    Ibug,
    /// SCUT-FBP5500.
    Scut,
    /// FG-NET.
    Fgnet,
    /// WebMorph: the template of the Face Research Lab.
    Frl,
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
            "scut86" => Some(Self::Scut),
            "fgnet68" => Some(Self::Fgnet),
            "frl189" => Some(Self::Frl),
            _ => None,
        }
    }

    /// The data sets of this style, as they call themselves.
    pub fn data_sets(self) -> &'static str {
        match self {
            Self::Wflw => "WFLW",
            Self::Ibug => "300-W",
            Self::Scut => "SCUT-FBP5500",
            Self::Fgnet => "FG-NET",
            Self::Frl => "WebMorph",
        }
    }

    /// Converts the points of a face from this style to `to`. Points of weight 0 stay; points between the 68 are
    /// interpolated from them (see [`super::wflw98_from_ibug68`]).
    ///
    /// # Panics
    /// If there are not 98 points and weights.
    pub fn convert<S: Space>(self, to: Self, points: &mut [Point<S>], weight: &[f32]) {
        self.convert_for(to, &StyleFits::default(), points, weight);
    }

    /// As [`Self::convert`], to the points that a model of the style `to` with these fits would predict. A style
    /// without known shifts is converted only if the model was fitted to it.
    ///
    /// # Panics
    /// As [`Self::convert`].
    pub fn convert_for<S: Space>(self, to: Self, fits: &StyleFits, points: &mut [Point<S>], weight: &[f32]) {
        assert_eq!((points.len(), weight.len()), (WFLW_POINTS, WFLW_POINTS));
        if self == to {
            return;
        }
        let before = points.to_vec();
        let sign = match (self, to) {
            (Self::Ibug, Self::Wflw) => Some(1.0),
            (Self::Wflw, Self::Ibug) => Some(-1.0),
            _ => None,
        };
        if let Some(sign) = sign {
            let Some(frame) = UprightFrame::of(points, weight) else { return };
            for (shift, i) in IBUG_TO_WFLW.iter().zip(WFLW98_OF_IBUG68) {
                if weight[i] > 0.0 {
                    points[i] = frame.shifted(points[i], sign * shift[0], sign * shift[1]);
                }
            }
        }
        if let Some(fit) = fits.of(self) {
            fit.undo(self, &before, points, weight);
        }
        if sign.is_some() {
            place_between(to, points, weight);
        }
    }

    /// A prediction of 98 points in the style `of`, converted to this style; `None` if no conversion is needed or
    /// known. `fits` are those of the model.
    pub fn expressed<S: Space>(
        self,
        of: Option<Self>,
        fits: &StyleFits,
        predicted: &[Point<S>],
    ) -> Option<Vec<Point<S>>> {
        let of = of.filter(|&of| of != self && predicted.len() == WFLW_POINTS)?;
        if let Some(fitted) = fits.of(self).and_then(|fit| fit.apply(self, predicted)) {
            return Some(fitted);
        }
        matches!((of, self), (Self::Wflw, Self::Ibug) | (Self::Ibug, Self::Wflw)).then(|| {
            let mut points = predicted.to_vec();
            of.convert(self, &mut points, &[1.0; WFLW_POINTS]);
            points
        })
    }
}

/// Places the points that are not among the 68 between those that are, as the style `of` does.
fn place_between<S: Space>(of: Style, points: &mut [Point<S>], weight: &[f32]) {
    for i in BETWEEN.skip(1).step_by(2) {
        if weight[i] > 0.0 {
            points[i] = points[i - 1].midpoint(points[i + 1]);
        }
    }
    for (i, [a, b], [before, after]) in LID_CENTRES {
        if weight[i] > 0.0 {
            points[i] = match of {
                // The same midpoint as for 300-W's 68 points.
                Style::Ibug => points[a].midpoint(points[b]),
                _ => on_the_lid([points[before], points[a], points[b], points[after]]),
            };
        }
    }
}

/// The centre of a lid, on a cubic through its corners and quarter points; the centre of the chord is too close to the
/// eye's centre.
fn on_the_lid<S: Space>([before, a, b, after]: [Point<S>; 4]) -> Point<S> {
    let cubic = |before: f32, a: f32, b: f32, after: f32| (2.0 * (a + b)) / 3.0 - (before + after) / 6.0;
    Point::new(cubic(before.x, a.x, b.x, after.x), cubic(before.y, a.y, b.y, after.y))
}

#[cfg(test)]
mod tests {
    use super::super::{IBUG68_MIRROR, wflw98_from_ibug68};
    use super::*;
    use crate::runtime::geometry::{FrameSpace, Similarity};
    use std::collections::BTreeMap;

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
        let (pose, residuals) = StyleFit::residuals(&face, &truth).unwrap();
        assert!(pose[1].abs() < 1e-3, "it looks straight ahead: {pose:?}");
        let turn: Similarity<FrameSpace, FrameSpace> =
            Similarity::about(Point::new(100.0, 100.0), Point::new(300.0, 200.0), 0.7, -2.5);
        let turned: Vec<_> = face.iter().map(|&p| turn.apply(p)).collect();
        for style in [Style::Ibug, Style::Scut] {
            let indices = StyleFit::points_of(style);
            let constant = |i: &usize| residuals[*i].map(|along| [along, 0.0, 0.0]);
            let fit = StyleFit::new(style, indices.iter().map(constant).collect()).unwrap();
            let fits = StyleFits::default().with(style, fit);
            let expressed = style.expressed(Some(Style::Wflw), &fits, &turned).unwrap();
            for &i in &indices {
                assert!(expressed[i].distance(turn.apply(truth[i])) < 1e-2, "point {i}");
            }
            if style == Style::Ibug {
                assert_eq!(expressed[96], turned[96]);
            }
            let mut back = expressed.clone();
            style.convert_for(Style::Wflw, &fits, &mut back, &[1.0; WFLW_POINTS]);
            for i in indices {
                assert!(
                    back[i].distance(turned[i]) < 0.1 * expressed[i].distance(turned[i]),
                    "{style:?}: point {i} on the way back"
                );
            }
        }
    }

    #[test]
    fn a_face_whose_nose_is_not_annotated_is_converted_as_one_that_looks_straight_ahead() {
        let (face, mut weight) = ibug_face();
        let fit = StyleFit::new(Style::Frl, vec![[[1.0, 40.0, 40.0], [0.0; 3]]; WFLW_POINTS]).unwrap();
        let fits = StyleFits::default().with(Style::Frl, fit);
        let mut points = face.clone();
        (weight[54], points[54]) = (0.0, Point::new(0.0, 0.0));
        Style::Frl.convert_for(Style::Wflw, &fits, &mut points, &weight);
        assert_eq!(points[54], Point::new(0.0, 0.0));
        let moved = |i: usize| (points[i].x - face[i].x, points[i].y - face[i].y);
        assert!((moved(60).0 + 1.8).abs() < 0.1 && moved(60).1.abs() < 1e-3, "{:?}", moved(60));
    }

    #[test]
    fn fits_have_the_points_of_their_style_and_finite_numbers() {
        assert!(StyleFit::new(Style::Ibug, vec![[[0.0; 3]; 2]; 67]).is_err());
        assert!(StyleFit::new(Style::Frl, vec![[[0.0; 3]; 2]; 68]).is_err());
        assert!(StyleFit::new(Style::Ibug, vec![[[f32::NAN; 3]; 2]; 68]).is_err());
    }

    #[test]
    fn fits_are_read_by_style_and_as_earlier_versions_wrote_them() {
        let fit = StyleFit::new(Style::Ibug, vec![[[1.0, 0.5, 0.0]; 2]; 68]).unwrap();
        let fits = StyleFits::default().with(Style::Ibug, fit.clone());
        let text = serde_json::to_string(&fits).unwrap();
        assert_eq!(serde_json::from_str::<StyleFits>(&text).unwrap(), fits);
        assert_eq!(serde_json::from_str::<StyleFits>(&serde_json::to_string(&fit).unwrap()).unwrap(), fits);
        let of_another = BTreeMap::from([("scut", fit)]);
        let read: StyleFits = serde_json::from_str(&serde_json::to_string(&of_another).unwrap()).unwrap();
        assert!(read.check().unwrap_err().contains("98 points, not 68"));
    }

    #[test]
    fn unknown_points_and_unknown_styles_stay() {
        let (before, weight) = ibug_face();
        let mut points = before.clone();
        Style::Ibug.convert(Style::Wflw, &mut points, &weight);
        assert_eq!((points[96], points[40]), (before[96], before[40]));
        let mut points = before.clone();
        Style::Scut.convert(Style::Wflw, &mut points, &weight);
        assert_eq!(points, before);
        assert_eq!(Style::Scut.expressed(Some(Style::Wflw), &StyleFits::default(), &before), None);
    }
}
