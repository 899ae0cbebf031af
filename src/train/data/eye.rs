//! The coordinates of an open eye in a crop, for augmentations.
//!
//! In: the 98 landmarks of a crop and their weights. Out: coordinates about one eye: x from 0 at the left corner to 1
//! at the right, y up from the line between them, both in widths of the eye. An eye that is unknown, tiny or shut is
//! `None`.

use super::condition::EYES;
use crate::runtime::geometry::{CropSpace, Point};

/// The pupil in each eye.
pub(super) const PUPILS: [usize; 2] = [96, 97];
/// An eye narrower than this, in pixels, has no lids to see.
const LEAST_WIDTH: f32 = 7.0;
/// An eye whose lids are closer than this, in widths of the eye, is not open.
const LEAST_OPENING: f32 = 0.12;

/// See the module's contract.
pub(super) struct Eye {
    corner: Point<CropSpace>,
    /// The vector from the left corner to the right one, and the same rotated towards the brow.
    along: (f32, f32),
    up: (f32, f32),
    width: f32,
    /// The lids at the five points of each, from the left.
    pub upper: [(f32, f32); 5],
    pub lower: [(f32, f32); 5],
}

impl Eye {
    /// The eye on `side` (0 left, 1 right in the picture).
    pub fn open(points: &[Point<CropSpace>], weight: &[f32], side: usize) -> Option<Self> {
        let first = EYES[side];
        if (first..first + 8).any(|i| weight[i] <= 0.0) {
            return None;
        }
        let (left, right) = (points[first], points[first + 4]);
        let width = left.distance(right);
        if width < LEAST_WIDTH {
            return None;
        }
        let along = ((right.x - left.x) / width, (right.y - left.y) / width);
        let none = [(0.0, 0.0); 5];
        let mut eye = Self { corner: left, along, up: (along.1, -along.0), width, upper: none, lower: none };
        eye.upper = [0, 1, 2, 3, 4].map(|i| eye.local(points[first + i]));
        eye.lower = [0, 7, 6, 5, 4].map(|i| eye.local(points[first + i]));
        let rises = |lid: &[(f32, f32); 5]| lid.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !rises(&eye.upper) || !rises(&eye.lower) {
            return None;
        }
        let gaps = [1, 2, 3].map(|i| eye.upper[i].1 - eye.lower[i].1);
        (gaps.iter().all(|gap| *gap > 0.0) && gaps.iter().sum::<f32>() >= 3.0 * LEAST_OPENING).then_some(eye)
    }

    pub fn local(&self, p: Point<CropSpace>) -> (f32, f32) {
        let (dx, dy) = ((p.x - self.corner.x) / self.width, (p.y - self.corner.y) / self.width);
        (dx * self.along.0 + dy * self.along.1, dx * self.up.0 + dy * self.up.1)
    }

    /// The inverse of [`Self::local`].
    pub fn place(&self, x: f32, y: f32) -> Point<CropSpace> {
        let (x, y) = (x * self.width, y * self.width);
        Point::new(self.corner.x + x * self.along.0 + y * self.up.0, self.corner.y + x * self.along.1 + y * self.up.1)
    }

    /// The heights of the lower and the upper lid at `x`: straight between their points; beyond the corners those of
    /// the corner.
    pub fn lids(&self, x: f32) -> (f32, f32) {
        (on_curve(&self.lower, x), on_curve(&self.upper, x))
    }
}

pub(super) fn on_curve(lid: &[(f32, f32); 5], x: f32) -> f32 {
    let next = lid.partition_point(|(at, _)| *at <= x).clamp(1, 4);
    let ((x0, y0), (x1, y1)) = (lid[next - 1], lid[next]);
    y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0)
}
