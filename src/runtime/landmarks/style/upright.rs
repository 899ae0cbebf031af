//! The frame in which a face is upright, of 98 points.
//!
//! In: points in picture coordinates at any rotation, and which of them are known. Out: directions, the unit of shifts,
//! and the pose of the head as far as points tell. A face without extent has none.

use super::PoseTerms;
use crate::runtime::geometry::{Point, Rect, Space};

/// Position of the tip of the nose between the eyes (0) and the mouth (1) in a face that looks straight ahead.
const USUAL_NOSE: f32 = 0.6;

/// The frame in which a face is upright: its direction, and the unit of the shifts.
pub(super) struct UprightFrame {
    /// Unit vector from the left eye to the right one.
    along: (f32, f32),
    /// A hundredth of the longer side of the upright box around all points, in pixels.
    pub percent: f32,
}

impl UprightFrame {
    /// Eye outlines without the lid centres, and the extremes of the outer lip: every scheme of 98 points has some of
    /// them.
    const EYES: [[usize; 6]; 2] = [[60, 61, 63, 64, 65, 67], [68, 69, 71, 72, 73, 75]];
    const MOUTH: [usize; 4] = [76, 79, 82, 85];

    pub fn of<S: Space>(points: &[Point<S>], weight: &[f32]) -> Option<Self> {
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
    pub fn upright(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (self.along.0 * x + self.along.1 * y, self.along.0 * y - self.along.1 * x)
    }

    /// The pose terms, from the position of the nose's tip relative to eyes and mouth; those of a face that looks
    /// straight ahead if one of these points is unknown.
    pub fn pose<S: Space>(&self, points: &[Point<S>], weight: &[f32]) -> Option<PoseTerms> {
        const EYES: [usize; 4] = [60, 64, 68, 72];
        const MOUTH: [usize; 2] = [76, 82];
        const NOSE: usize = 54;
        if EYES.iter().chain(&MOUTH).chain(&[NOSE]).any(|&i| weight[i] == 0.0) {
            return Some([1.0, 0.0, 0.0]);
        }
        let mean = |indices: &[usize]| {
            let count = indices.len() as f32;
            let sum = indices.iter().fold((0.0, 0.0), |sum, &i| (sum.0 + points[i].x, sum.1 + points[i].y));
            self.upright((sum.0 / count, sum.1 / count))
        };
        let (eyes, mouth) = (mean(&EYES), mean(&MOUTH));
        let nose = self.upright((points[NOSE].x, points[NOSE].y));
        let length = mouth.1 - eyes.1;
        let turn = (nose.0 - 0.5 * (eyes.0 + mouth.0)) / length;
        let nod = (nose.1 - eyes.1) / length - USUAL_NOSE;
        (length > 0.0).then_some([1.0, turn.clamp(-1.0, 1.0), nod.clamp(-1.0, 1.0)])
    }

    /// `p` moved to the right and down in the upright face, in percent of its box.
    pub fn shifted<S: Space>(&self, p: Point<S>, right: f32, down: f32) -> Point<S> {
        let (right, down) = (right * self.percent, down * self.percent);
        Point::new(p.x + self.along.0 * right - self.along.1 * down, p.y + self.along.1 * right + self.along.0 * down)
    }
}
