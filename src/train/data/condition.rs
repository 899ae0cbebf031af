//! Conditions that make a face rare, read from its landmarks: shut eyes, a turned head, a wide-open mouth.
//!
//! In: faces of 98 points; the weights say which are known. A condition that the known points can't show counts as
//! false. Nothing here fails.

use super::Sample;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::Scheme;
use serde::{Deserialize, Serialize};

/// A condition that is rare in photographs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// At least one eye is shut: also winks, and whatever a labelling program takes for one.
    ShutEye,
    /// One eye is shut and the other nearly so: for labels whose winks can't be trusted.
    ShutEyes,
    /// The head is turned to a side by more than about 20 degrees.
    Turned,
    /// The lips are apart by more than a quarter of the way from the eyes to the mouth.
    OpenMouth,
}

/// Lid distance over eye width below which an eye is shut; open ones lie at 0.2 to 0.4.
const SHUT: f32 = 0.1;
/// Below this ratio the other eye is nearly shut.
const NEARLY_SHUT: f32 = 0.16;
/// The distance of the nose's tip from the line from the eyes to the mouth, over the length of that line.
const TURNED: f32 = 0.15;
const OPEN_MOUTH: f32 = 0.25;

/// The eyes' outlines begin at these points, with the left corner; seven more follow clockwise.
pub const EYES: [usize; 2] = [60, 68];

impl Condition {
    /// Whether the condition is true.
    pub fn holds(self, sample: &Sample) -> bool {
        if sample.scheme != Scheme::Wflw98 {
            return false;
        }
        let Sample { points, weight, .. } = sample;
        let known = |i: usize| (weight[i] > 0.0).then(|| points[i]);
        match self {
            Self::ShutEye => EYES.iter().any(|&eye| openness(points, weight, eye).is_some_and(|open| open < SHUT)),
            Self::ShutEyes => {
                let open = EYES.map(|eye| openness(points, weight, eye).unwrap_or(f32::INFINITY));
                open[0].min(open[1]) < SHUT && open[0].max(open[1]) < NEARLY_SHUT
            }
            Self::Turned => face_axis(known).is_some_and(|(eyes, along, length)| {
                // The tip, or the middle of the base where the tip is not known.
                known(54).or(known(57)).is_some_and(|nose| {
                    let from_eyes = (nose.x - eyes.x, nose.y - eyes.y);
                    (from_eyes.0 * along.1 - from_eyes.1 * along.0).abs() > TURNED * length
                })
            }),
            Self::OpenMouth => face_axis(known).is_some_and(|(.., length)| {
                known(90).zip(known(94)).is_some_and(|(upper, lower)| upper.distance(lower) > OPEN_MOUTH * length)
            }),
        }
    }
}

/// The mean distance of an eye's lids over its width: about 0.3 for an open eye, 0 for a shut one. `eye` is one of
/// [`EYES`]. `None` if a corner or all pairs of lid points are unknown.
pub fn openness(points: &[Point<FrameSpace>], weight: &[f32], eye: usize) -> Option<f32> {
    let between = |a: usize, b: usize| {
        (weight[eye + a] > 0.0 && weight[eye + b] > 0.0).then(|| points[eye + a].distance(points[eye + b]))
    };
    let width = between(0, 4).filter(|width| *width > 0.0)?;
    let lids: Vec<f32> =
        [(1, 7), (2, 6), (3, 5)].into_iter().filter_map(|(upper, lower)| between(upper, lower)).collect();
    (!lids.is_empty()).then(|| lids.iter().sum::<f32>() / lids.len() as f32 / width)
}

/// The middle of the eyes' corners, the unit vector from there to the middle of the mouth's corners, and the distance.
fn face_axis(known: impl Fn(usize) -> Option<Point<FrameSpace>>) -> Option<(Point<FrameSpace>, (f32, f32), f32)> {
    let eyes = known(60)?.midpoint(known(64)?).midpoint(known(68)?.midpoint(known(72)?));
    let mouth = known(76)?.midpoint(known(82)?);
    let length = eyes.distance(mouth);
    (length > 0.0).then(|| (eyes, ((mouth.x - eyes.x) / length, (mouth.y - eyes.y) / length), length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::landmarks::Style;
    use crate::train::data::Origin;
    use std::path::Path;

    /// A frontal face with open eyes: only the points that are asked for.
    fn face() -> Sample {
        let mut points = vec![Point::new(0.0, 0.0); 98];
        for (eye, x) in [(60, 40.0), (68, 90.0)] {
            let outline = [
                (0.0, 0.0),
                (5.0, -4.0),
                (10.0, -5.0),
                (15.0, -4.0),
                (20.0, 0.0),
                (15.0, 3.0),
                (10.0, 4.0),
                (5.0, 3.0),
            ];
            for (i, (dx, dy)) in outline.into_iter().enumerate() {
                points[eye + i] = Point::new(x + dx, 60.0 + dy);
            }
        }
        for (i, x, y) in [(54, 75.0, 85.0), (76, 60.0, 120.0), (82, 90.0, 120.0), (90, 75.0, 117.0), (94, 75.0, 123.0)]
        {
            points[i] = Point::new(x, y);
        }
        let origin = Origin { file: Path::new("faces.jsonl").into(), line: 1 };
        Sample {
            image: "a.png".into(),
            frame: None,
            name: "a.png".into(),
            dataset: "test".into(),
            subject: None,
            clip: None,
            scheme: Scheme::Wflw98,
            style: Style::Wflw,
            is_automatic: false,
            points,
            weight: vec![1.0; 98],
            rect: None,
            subsets: Vec::new(),
            size: None,
            origin,
        }
    }

    fn conditions(sample: &Sample) -> Vec<Condition> {
        let all = [Condition::ShutEye, Condition::ShutEyes, Condition::Turned, Condition::OpenMouth];
        all.into_iter().filter(|c| c.holds(sample)).collect()
    }

    #[test]
    fn an_ordinary_face_is_not_rare() {
        assert_eq!(conditions(&face()), []);
        let open = openness(&face().points, &[1.0; 98], 60).unwrap();
        assert!((open - 23.0 / 60.0).abs() < 1e-6);
    }

    #[test]
    fn one_shut_eye_is_enough() {
        let mut wink = face();
        for i in [69, 70, 71] {
            wink.points[i].y = wink.points[144 - i].y - 1.0;
        }
        assert_eq!(conditions(&wink), [Condition::ShutEye]);
        // Unknown eyes can't be shut; known ones still count.
        wink.weight[69] = 0.0;
        wink.weight[71] = 0.0;
        assert_eq!(conditions(&wink), [Condition::ShutEye]);
        wink.weight[68] = 0.0;
        assert_eq!(conditions(&wink), []);
    }

    #[test]
    fn two_shut_eyes_are_more_than_a_wink() {
        let mut shut = face();
        for (upper, lower) in [(69, 75), (70, 74), (71, 73), (61, 67), (62, 66), (63, 65)] {
            shut.points[upper].y = shut.points[lower].y - 1.0;
        }
        assert_eq!(conditions(&shut), [Condition::ShutEye, Condition::ShutEyes]);
        shut.weight[60] = 0.0;
        assert_eq!(conditions(&shut), [Condition::ShutEye], "an eye that is unknown is not shut");
    }

    #[test]
    fn a_nose_beside_the_middle_is_a_turned_head_and_lips_apart_an_open_mouth() {
        let mut turned = face();
        turned.points[54].x = 87.0;
        assert_eq!(conditions(&turned), [Condition::Turned]);
        let mut open = face();
        open.points[94].y = 140.0;
        assert_eq!(conditions(&open), [Condition::OpenMouth]);
    }
}
