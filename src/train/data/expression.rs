//! An augmentation that raises or lowers brows.
//!
//! From photographs of calm faces a network learns a fixed height of the brows, and misplaces raised and lowered ones.
//! Here a crop is warped to raise or lower them: the skin between lids and brows is stretched or squeezed, the brows
//! move undeformed, and the forehead absorbs the rest.
//!
//! In: a square crop (row, column, RGB) and its 98 landmarks; both are changed together. Nothing here fails; faces
//! whose eyes or brows are unknown stay as they are.

use crate::runtime::geometry::{CropSpace, Point};
use crate::runtime::landmarks::WFLW98_OUTER_EYE_CORNERS;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Brow points of the 98, the right one's then the left one's.
const BROWS: Range<usize> = 33..51;
/// Eye outlines of the 98.
const EYES: Range<usize> = 60..76;

/// The largest rise of the brows, in distances between the outer eye corners.
const HIGHEST_RISE: f32 = 0.16;
/// Their largest fall, as a share of the gap between lids and brows.
const DEEPEST_FALL: f32 = 0.45;
/// One brow's difference from the other, at most, as a share of the common movement.
const ASYMMETRY: f32 = 0.5;
/// Height of the forehead that absorbs the movement, in eye distances.
const FOREHEAD: f32 = 0.55;
/// Where the movement fades out to the sides, in eye distances from the middle.
const FADE: Range<f32> = 0.6..0.95;
/// Lids and brows closer than this, in eye distances, leave nothing to stretch.
const SMALLEST_GAP: f32 = 0.03;

/// A drawn movement of both brows, in coordinates about the eyes: x along the line of the eyes, y from it towards the
/// brows, both in eye distances.
struct Movement {
    middle: Point<CropSpace>,
    /// Unit vector along the line of the eyes, times the eye distance.
    along: (f32, f32),
    /// The same turned towards the brows.
    up: (f32, f32),
    eye_distance: f32,
    /// Top of the lids, lowest and highest point of the brows.
    lids: f32,
    lowest: f32,
    highest: f32,
    /// Rise of the brow at negative and at positive x.
    rises: [f32; 2],
}

impl Movement {
    fn draw(rng: &mut ChaCha8Rng, points: &[Point<CropSpace>], weight: &[f32]) -> Option<Self> {
        if BROWS.chain(EYES).any(|i| weight[i] <= 0.0) {
            return None;
        }
        let (a, b) = (points[WFLW98_OUTER_EYE_CORNERS.0], points[WFLW98_OUTER_EYE_CORNERS.1]);
        let eye_distance = a.distance(b);
        if eye_distance < 4.0 {
            return None;
        }
        let along = ((b.x - a.x) / eye_distance, (b.y - a.y) / eye_distance);
        // From the subject's right eye to the left one in the picture; up is a quarter turn to the left of it.
        let mut movement = Self {
            middle: a.midpoint(b),
            along,
            up: (along.1, -along.0),
            eye_distance,
            lids: 0.0,
            lowest: 0.0,
            highest: 0.0,
            rises: [0.0; 2],
        };
        let heights = |range: Range<usize>| range.map(|i| movement.local(points[i]).1).collect::<Vec<_>>();
        let (eyes, brows) = (heights(EYES), heights(BROWS));
        let max = |values: &[f32]| values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        movement.lids = max(&eyes);
        movement.lowest = brows.iter().copied().fold(f32::INFINITY, f32::min);
        movement.highest = max(&brows);
        let gap = movement.lowest - movement.lids;
        if gap < SMALLEST_GAP {
            return None;
        }
        let common = rng.random_range(-DEEPEST_FALL * gap..HIGHEST_RISE);
        let floor = -DEEPEST_FALL * gap;
        movement.rises = [(); 2].map(|()| {
            let own = 1.0 + rng.random_range(-ASYMMETRY..ASYMMETRY);
            (common * own).clamp(floor, HIGHEST_RISE)
        });
        Some(movement)
    }

    fn local(&self, p: Point<CropSpace>) -> (f32, f32) {
        let (dx, dy) = ((p.x - self.middle.x) / self.eye_distance, (p.y - self.middle.y) / self.eye_distance);
        (dx * self.along.0 + dy * self.along.1, dx * self.up.0 + dy * self.up.1)
    }

    /// The rise of the brow at `x`.
    fn rise(&self, x: f32) -> f32 {
        let side = smooth_step((x + 0.15) / 0.3);
        let fade = 1.0 - smooth_step((x.abs() - FADE.start) / (FADE.end - FADE.start));
        (self.rises[0] + (self.rises[1] - self.rises[0]) * side) * fade
    }

    /// Heights that bound the stretched, the moved and the squeezed part.
    fn knots(&self) -> [f32; 4] {
        [self.lids, self.lowest, self.highest, self.highest + FOREHEAD]
    }

    /// The new position of a point.
    fn moved(&self, p: Point<CropSpace>) -> Point<CropSpace> {
        let (x, y) = self.local(p);
        let rise = self.rise(x);
        let [lids, lowest, highest, top] = self.knots();
        self.shifted(p, interpolate(y, &[(lids, 0.0), (lowest, rise), (highest, rise), (top, 0.0)]))
    }

    /// The old position of the point at `p`.
    fn source(&self, p: Point<CropSpace>) -> Point<CropSpace> {
        let (x, y) = self.local(p);
        let rise = self.rise(x);
        let [lids, lowest, highest, top] = self.knots();
        let back = interpolate(y, &[(lids, 0.0), (lowest + rise, rise), (highest + rise, rise), (top, 0.0)]);
        self.shifted(p, -back)
    }

    fn shifted(&self, p: Point<CropSpace>, by: f32) -> Point<CropSpace> {
        Point::new(p.x + self.up.0 * by * self.eye_distance, p.y + self.up.1 * by * self.eye_distance)
    }
}

/// From 0 to 1 as `t` does.
fn smooth_step(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Linear interpolation between points with rising first numbers; constant beyond them.
fn interpolate(at: f32, knots: &[(f32, f32); 4]) -> f32 {
    let next = knots.partition_point(|(x, _)| *x <= at);
    if next == 0 || next == knots.len() {
        return 0.0;
    }
    let ((x0, y0), (x1, y1)) = (knots[next - 1], knots[next]);
    y0 + (y1 - y0) * (at - x0) / (x1 - x0)
}

/// Raises or lowers the brows of the face in a crop of `size` pixels a side, picture and landmarks alike.
///
/// # Panics
/// If there are not 98 points and weights, or the picture has another size.
pub fn move_brows(
    rng: &mut ChaCha8Rng,
    size: usize,
    picture: &mut [f32],
    points: &mut [Point<CropSpace>],
    weight: &[f32],
) {
    assert_eq!(picture.len(), size * size * 3);
    let Some(movement) = Movement::draw(rng, points, weight) else { return };
    resample(size, picture, |at| Some(movement.source(at)).filter(|from| *from != at));
    points[BROWS].iter_mut().for_each(|p| *p = movement.moved(*p));
}

/// Warps a square picture: each pixel is sampled bilinearly at its source; without a source it stays.
pub(super) fn resample(
    size: usize,
    picture: &mut [f32],
    source: impl Fn(Point<CropSpace>) -> Option<Point<CropSpace>>,
) {
    let before = picture.to_vec();
    let last = (size - 1) as f32;
    for (i, pixel) in picture.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let at = Point::new((i % size) as f32, (i / size) as f32);
        let Some(from) = source(at) else { continue };
        let (x, y) = (from.x.clamp(0.0, last), from.y.clamp(0.0, last));
        let (column, row) = ((x as usize).min(size - 2), (y as usize).min(size - 2));
        let (fx, fy) = (x - column as f32, y - row as f32);
        let value = |r: usize, c: usize, channel: usize| before[(r * size + c) * 3 + channel];
        *pixel = std::array::from_fn(|channel| {
            let between = |r: usize| {
                let (a, b) = (value(r, column, channel), value(r, column + 1, channel));
                a + fx * (b - a)
            };
            between(row) + fy * (between(row + 1) - between(row))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    /// A face of points: eyes at height 70, brows some way above, all others below.
    fn face() -> (Vec<Point<CropSpace>>, Vec<f32>) {
        let mut points = vec![Point::new(64.0, 100.0); 98];
        for (i, p) in points[BROWS].iter_mut().enumerate() {
            let side = if i < 9 { 34.0 } else { 76.0 };
            *p = Point::new(side + (i % 9) as f32 * 2.0, 50.0 - (i % 3) as f32);
        }
        for (i, p) in points[EYES].iter_mut().enumerate() {
            let side = if i < 8 { 34.0 } else { 78.0 };
            *p = Point::new(side + (i % 8) as f32 * 2.0, 69.0 + (i % 2) as f32);
        }
        (points, vec![1.0; 98])
    }

    #[test]
    fn brows_stay_on_their_dots_and_nothing_else_moves() {
        let size = 128;
        let (points, weight) = face();
        let mut furthest = (0.0_f32, 0.0_f32);
        for seed in 0..40 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            // A bright dot on one brow point.
            let dot = 33 + seed as usize % 18;
            let mut picture = vec![0.0; size * size * 3];
            for (i, pixel) in picture.chunks_exact_mut(3).enumerate() {
                let d = Point::new((i % size) as f32, (i / size) as f32).distance(points[dot]);
                pixel.fill((-0.5 * (d / 1.5).powi(2)).exp());
            }
            let mut moved = points.clone();
            move_brows(&mut rng, size, &mut picture, &mut moved, &weight);
            let brightest = (0..size * size).max_by(|&a, &b| picture[a * 3].total_cmp(&picture[b * 3])).unwrap();
            let found = Point::new((brightest % size) as f32, (brightest / size) as f32);
            assert!(found.distance(moved[dot]) < 1.3, "{found:?} instead of {:?}", moved[dot]);
            for i in (0..98).filter(|i| !BROWS.contains(i)) {
                assert_eq!(moved[i], points[i]);
            }
            let rise = points[dot].y - moved[dot].y;
            furthest = (furthest.0.min(rise), furthest.1.max(rise));
        }
        assert!(furthest.0 < -2.0 && furthest.1 > 5.0, "{furthest:?}");
    }

    #[test]
    fn a_face_with_unknown_brows_stays_as_it_is() {
        let (mut points, mut weight) = face();
        weight[40] = 0.0;
        let before = points.clone();
        let mut picture = vec![0.5; 128 * 128 * 3];
        move_brows(&mut ChaCha8Rng::seed_from_u64(1), 128, &mut picture, &mut points, &weight);
        assert_eq!(points, before);
    }
}
