//! An augmentation that closes eyes.
//!
//! Photographs show open eyes, so a network trained on them predicts half-open lids for shut ones. Here an eye of a
//! crop is warped shut or narrower: the skin between brow and upper lid is stretched down over the eye, the lower lid
//! rises a little, and the eyeball between the lids is squeezed away.
//!
//! In: a square crop (row, column, RGB) and its 98 landmarks; both are changed together. Nothing here fails; eyes that
//! are unknown, tiny or shut already stay as they are.

use super::condition::EYES;
use super::expression::resample;
use super::eye::{Eye, PUPILS};
use crate::runtime::geometry::{CropSpace, Point};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Share of faces with one eye unchanged.
const WINKS: f32 = 0.35;
/// Share of eyes that close (nearly) completely; the rest narrow.
const SHUT: f32 = 0.65;
/// The closure of an eye that shuts.
const SHUT_CLOSURE: std::ops::RangeInclusive<f32> = 0.9..=1.0;
/// The closure of an eye that narrows.
const NARROWED_CLOSURE: std::ops::RangeInclusive<f32> = 0.2..=0.9;
/// The lower lid's share of the closure.
const LOWER_LID: std::ops::Range<f32> = 0.0..0.3;
/// Height of the skin above and below the lids that stretches, in widths of the eye; above, at most up to the brow.
const SKIN: (f32, f32) = (0.45, 0.35);
/// The smallest height of skin between lid and brow to stretch.
const LEAST_SKIN: f32 = 0.1;
/// The brow over each eye.
const BROWS: [std::ops::Range<usize>; 2] = [33..42, 42..51];
/// How far the skin beside the corners moves too, in widths of the eye.
const BESIDE: f32 = 0.08;

/// One eye that closes.
struct Closing {
    eye: Eye,
    /// The heights at which the skin above and below stays.
    top: f32,
    bottom: f32,
    closure: f32,
    /// The lower lid's share of the closure.
    rising: f32,
}

impl Closing {
    fn draw(rng: &mut ChaCha8Rng, points: &[Point<CropSpace>], weight: &[f32], side: usize) -> Option<Self> {
        let closure = if rng.random::<f32>() < SHUT {
            rng.random_range(SHUT_CLOSURE)
        } else {
            rng.random_range(NARROWED_CLOSURE)
        };
        let rising = rng.random_range(LOWER_LID);
        let eye = Eye::open(points, weight, side)?;
        let highest = eye.upper.iter().map(|p| p.1).fold(f32::NEG_INFINITY, f32::max);
        let lowest = eye.lower.iter().map(|p| p.1).fold(f32::INFINITY, f32::min);
        let brow = BROWS[side].clone().filter(|&i| weight[i] > 0.0).map(|i| eye.local(points[i]).1);
        let top = brow.fold(highest + SKIN.0, f32::min).max(highest + LEAST_SKIN);
        Some(Self { eye, top, bottom: lowest - SKIN.1, closure, rising })
    }

    /// Heights that the warp is made of at `x`, before and after: skin above, upper lid, lower lid, skin below.
    fn heights(&self, x: f32) -> ([f32; 4], [f32; 4]) {
        let (lower, upper) = self.eye.lids(x);
        let gap = (upper - lower).max(0.0);
        let upper = lower + gap;
        let (fall, rise) = (self.closure * gap * (1.0 - self.rising), self.closure * gap * self.rising);
        ([self.top, upper, lower, self.bottom], [self.top, upper - fall, lower + rise, self.bottom])
    }

    /// The new position of a point of the picture; `None` if it stays.
    fn moved(&self, p: Point<CropSpace>) -> Option<Point<CropSpace>> {
        let (x, y) = self.eye.local(p);
        let (before, after) = self.heights(x);
        Some(self.eye.place(x, between(y, &before, &after)?))
    }

    /// The old position of the point at `p`; `None` if it stayed.
    fn source(&self, p: Point<CropSpace>) -> Option<Point<CropSpace>> {
        let (x, y) = self.eye.local(p);
        if !(-BESIDE..=1.0 + BESIDE).contains(&x) {
            return None;
        }
        let (before, after) = self.heights(x);
        Some(self.eye.place(x, between(y, &after, &before)?))
    }
}

/// Maps `y` from its position between falling heights to the same position between others; `None` outside them.
fn between(y: f32, from: &[f32; 4], to: &[f32; 4]) -> Option<f32> {
    if y >= from[0] || y <= from[3] {
        return None;
    }
    let part = (0..3).find(|&i| y >= from[i + 1] && from[i] > from[i + 1])?;
    let share = (y - from[part + 1]) / (from[part] - from[part + 1]);
    Some(to[part + 1] + share * (to[part] - to[part + 1]))
}

/// Closes one or both eyes of the face in a crop of `size` pixels a side, some completely and some in part, picture and
/// landmarks alike.
///
/// # Panics
/// If there are not 98 points and weights, or the picture has another size.
pub fn close_eyes(
    rng: &mut ChaCha8Rng,
    size: usize,
    picture: &mut [f32],
    points: &mut [Point<CropSpace>],
    weight: &[f32],
) {
    assert_eq!((picture.len(), points.len(), weight.len()), (size * size * 3, 98, 98));
    let open = (rng.random::<f32>() < WINKS).then(|| rng.random_range(0..2));
    let mut draw = |side| Closing::draw(rng, points, weight, side).filter(|_| open != Some(side));
    let closings = [draw(0), draw(1)];
    if closings.iter().all(Option::is_none) {
        return;
    }
    resample(size, picture, |p| closings.iter().flatten().find_map(|closing| closing.source(p)));
    for (side, closing) in closings.iter().enumerate() {
        let Some(closing) = closing else { continue };
        let eye = EYES[side];
        for i in [eye + 1, eye + 2, eye + 3, eye + 5, eye + 6, eye + 7, PUPILS[side]] {
            if weight[i] > 0.0 {
                points[i] = closing.moved(points[i]).unwrap_or(points[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::eye::on_curve;
    use super::*;
    use rand::SeedableRng;

    const SIZE: usize = 128;

    /// Two open eyes of 28 pixels, brows over them, pupils inside; everything else in one place.
    fn face() -> (Vec<Point<CropSpace>>, Vec<f32>) {
        let mut points = vec![Point::new(64.0, 100.0); 98];
        for (side, x) in [28.0_f32, 72.0].into_iter().enumerate() {
            let outline = [
                (0.0, 0.0),
                (7.0, -5.0),
                (14.0, -6.0),
                (21.0, -5.0),
                (28.0, 0.0),
                (21.0, 3.0),
                (14.0, 4.0),
                (7.0, 3.0),
            ];
            for (i, (dx, dy)) in outline.into_iter().enumerate() {
                points[EYES[side] + i] = Point::new(x + dx, 64.0 + dy);
            }
            for (i, brow) in BROWS[side].clone().enumerate() {
                points[brow] = Point::new(x + 3.0 * i as f32, 46.0);
            }
            points[PUPILS[side]] = Point::new(x + 14.0, 63.0);
        }
        (points, vec![1.0; 98])
    }

    /// White between the lids, black elsewhere.
    fn picture(points: &[Point<CropSpace>]) -> Vec<f32> {
        let mut picture = vec![0.0; SIZE * SIZE * 3];
        for (i, pixel) in picture.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let at = Point::<CropSpace>::new((i % SIZE) as f32, (i / SIZE) as f32);
            for eye in EYES {
                let lid = |of: [usize; 5]| of.map(|i| (points[eye + i].x, points[eye + i].y));
                let (upper, lower) = (lid([0, 1, 2, 3, 4]), lid([0, 7, 6, 5, 4]));
                if on_curve(&upper, at.x) < at.y && at.y < on_curve(&lower, at.x) {
                    *pixel = [1.0; 3];
                }
            }
        }
        picture
    }

    fn gap(points: &[Point<CropSpace>], eye: usize) -> f32 {
        points[eye + 2].distance(points[eye + 6])
    }

    #[test]
    fn lids_close_over_what_lies_between_them_and_nothing_else_moves() {
        let (points, weight) = face();
        let before = picture(&points);
        let white = |picture: &[f32], side: usize| -> f32 {
            let columns = if side == 0 { 0..64 } else { 64..128 };
            (0..SIZE * SIZE).filter(|i| columns.contains(&(i % SIZE))).map(|i| picture[3 * i]).sum()
        };
        let (mut winks, mut shut) = (0, 0);
        for seed in 0..60 {
            let (mut moved, mut after) = (points.clone(), before.clone());
            close_eyes(&mut ChaCha8Rng::seed_from_u64(seed), SIZE, &mut after, &mut moved, &weight);
            let closed = [0, 1].map(|side| gap(&moved, EYES[side]) / gap(&points, EYES[side]));
            for (side, &left) in closed.iter().enumerate() {
                let light = white(&after, side) / white(&before, side);
                assert!((light - left).abs() < 0.12, "seed {seed}: lids at {left}, light {light}");
                let eye = EYES[side];
                let (upper, lower, pupil) = (moved[eye + 2].y, moved[eye + 6].y, moved[PUPILS[side]].y);
                assert!(upper <= pupil + 1e-3 && pupil <= lower + 1e-3);
                assert_eq!((moved[eye], moved[eye + 4]), (points[eye], points[eye + 4]));
            }
            winks += usize::from(closed.contains(&1.0));
            shut += closed.iter().filter(|left| **left < 0.11).count();
            let others = (0..98).filter(|i| !(60..76).contains(i) && !PUPILS.contains(i));
            others.for_each(|i| assert_eq!(moved[i], points[i]));
        }
        assert!((10..35).contains(&winks) && shut > 40, "{winks} winks, {shut} shut eyes");
    }

    #[test]
    fn eyes_that_are_shut_unknown_or_tiny_stay() {
        let (points, weight) = face();
        let before = picture(&points);
        let stays = |points: &[Point<CropSpace>], weight: &[f32]| {
            let (mut moved, mut after) = (points.to_vec(), before.clone());
            close_eyes(&mut ChaCha8Rng::seed_from_u64(5), SIZE, &mut after, &mut moved, weight);
            moved == points && after == before
        };
        assert!(!stays(&points, &weight));
        assert!(stays(&points, &[0.0; 98]));
        let tiny: Vec<_> = points.iter().map(|p| Point::new(0.2 * p.x, 0.2 * p.y)).collect();
        assert!(stays(&tiny, &weight));
        let mut shut = points.clone();
        for eye in EYES {
            (1..4).for_each(|i| shut[eye + i].y = 65.0);
            (5..8).for_each(|i| shut[eye + i].y = 66.0);
        }
        assert!(stays(&shut, &weight));
    }
}
