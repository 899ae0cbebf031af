//! Covers: things before a face that hide a part of it. What stays in sight is a face all the same, and the landmarks
//! behind them keep their places.
//!
//! In: a picture in 0..=1 (row, column, RGB), and the view that shows the face in it. Out: the picture, painted over.
//! Nothing fails.

use super::View;
use super::chance::either_way;
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Rect};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::f32::consts::{PI, TAU};

/// What hides a part of a face. Places are (u, v) in its box, whose edges are at -1 and 1; `edge`, in 0..=1, says how
/// far a cover reaches, within what is usual.
#[derive(Clone, Copy)]
enum Cover {
    /// From the nose down.
    Mask {
        edge: f32,
    },
    /// From the brows up, over the hair.
    Cap {
        edge: f32,
    },
    DarkGlasses {
        edge: f32,
    },
    LeftSide {
        edge: f32,
    },
    RightSide {
        edge: f32,
    },
    /// An ellipse with half axes of this length, one of them turned by `angle_rad` from the row.
    Hand {
        middle: (f32, f32),
        half: (f32, f32),
        angle_rad: f32,
    },
}

impl Cover {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let (kind, edge) = (rng.random_range(0..6), rng.random());
        match kind {
            0 => Self::Mask { edge },
            1 => Self::Cap { edge },
            2 => Self::DarkGlasses { edge },
            3 => Self::LeftSide { edge },
            4 => Self::RightSide { edge },
            _ => Self::Hand {
                middle: (either_way(rng, 0.8), rng.random_range(-0.2..1.0)),
                half: (rng.random_range(0.35..0.8), rng.random_range(0.2..0.45)),
                angle_rad: rng.random_range(0.0..PI),
            },
        }
    }

    fn hides(self, u: f32, v: f32) -> bool {
        match self {
            Self::Mask { edge } => v > -0.3 + 0.35 * edge && u.abs().powi(3) + v.max(0.0).powi(3) < 1.2,
            Self::Cap { edge } => {
                let brim = -0.7 - 0.35 * edge - 0.15 * u * u;
                v < brim && (0.8 * u).hypot(0.6 * (v + 0.8)) < 1.0
            }
            Self::DarkGlasses { edge } => {
                let at = |middle: f32| ((u - middle) / 0.4).powi(2) + ((v + 0.6) / (0.2 + 0.15 * edge)).powi(2);
                at(-0.45) < 1.0 || at(0.45) < 1.0 || (u.abs() < 0.45 && (v + 0.68).abs() < 0.05)
            }
            Self::LeftSide { edge } => u < -0.5 + 0.5 * edge + 0.15 * v && u.abs() < 1.5 && v.abs() < 1.2,
            Self::RightSide { edge } => u > 0.5 - 0.5 * edge + 0.15 * v && u.abs() < 1.5 && v.abs() < 1.2,
            Self::Hand { middle, half, angle_rad } => {
                let (sin, cos) = angle_rad.sin_cos();
                let (x, y) = (u - middle.0, v - middle.1);
                ((x * cos + y * sin) / half.0).hypot((y * cos - x * sin) / half.1) < 1.0
            }
        }
    }

    /// Its colour; a hand has that of the face, `skin`.
    fn color(self, rng: &mut ChaCha8Rng, skin: [f32; 3]) -> [f32; 3] {
        let brightest = if matches!(self, Self::DarkGlasses { .. }) { 0.3 } else { 1.0 };
        match (self, rng.random_range(0..3)) {
            (Self::Hand { .. }, _) => {
                let light = rng.random_range(0.7..1.25);
                skin.map(|value| light * value)
            }
            // Near to white.
            (Self::Mask { .. }, 0) => [rng.random_range(0.7..1.0); 3],
            (_, 0) => [brightest * rng.random::<f32>(); 3],
            _ => std::array::from_fn(|_| brightest * rng.random::<f32>()),
        }
    }
}

/// Shade across the box and depth of the folds, at most; folds in half of a box's side.
const MOST_SHADE: f32 = 0.2;
const DEEPEST_FOLD: f32 = 0.1;
const FOLDS: std::ops::Range<f32> = 1.0..6.0;

/// Hides a part of a face that `view` shows in the picture `out`. The cover has one colour, darker towards one side,
/// with folds.
pub(in crate::train) fn hide_part(rng: &mut ChaCha8Rng, view: &View, face: &Rect<FrameSpace>, out: &mut [f32]) {
    let (middle, center) = (view.apply(face.center()), face.center());
    let half_side = 0.5 * face.side() * view.crop_from_frame.scale();
    let within = |reach: f32, c: f32| (c - reach).max(0.0) as usize..((c + reach).max(0.0) as usize).min(view.size);
    let mean = {
        let (mut sum, mut count) = ([0.0_f32; 3], 0.0_f32);
        for y in within(0.3 * half_side, middle.y) {
            for x in within(0.3 * half_side, middle.x) {
                sum.iter_mut().zip(&out[(y * view.size + x) * 3..]).for_each(|(sum, value)| *sum += value);
                count += 1.0;
            }
        }
        sum.map(|sum| sum / count.max(1.0))
    };
    let cover = Cover::draw(rng);
    let color = cover.color(rng, mean);
    let shade: [f32; 2] = std::array::from_fn(|_| either_way(rng, MOST_SHADE));
    let (depth, turn) = (rng.random_range(0.0..DEEPEST_FOLD), rng.random_range(0.0..PI));
    let (folds, phase) = (TAU * rng.random_range(FOLDS), rng.random_range(0.0..TAU));
    let frame_from_crop = view.crop_from_frame.inverse();
    let columns = within(3.0 * half_side, middle.x);
    for y in within(3.0 * half_side, middle.y) {
        for x in columns.clone() {
            let shown = if view.mirrored { view.size - 1 - x } else { x };
            let p: Point<FrameSpace> = frame_from_crop.apply(Point::<CropSpace>::new(shown as f32, y as f32));
            let (u, v) = ((p.x - center.x) / (0.5 * face.width), (p.y - center.y) / (0.5 * face.height));
            if cover.hides(u, v) {
                let fold = depth * (folds * (u * turn.cos() + v * turn.sin()) + phase).sin();
                let light = 0.9 + shade[0] * u.clamp(-1.0, 1.0) + shade[1] * v.clamp(-1.0, 1.0) + fold;
                for (o, c) in out[(y * view.size + x) * 3..][..3].iter_mut().zip(color) {
                    *o = (light * c).clamp(0.0, 1.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::crop_from_frame;
    use crate::runtime::image::Border;
    use rand::SeedableRng;

    #[test]
    fn a_cover_hides_a_part_of_the_face_and_nothing_far_from_it() {
        let face = Rect::new(30.0, 30.0, 20.0, 20.0);
        for (seed, mirrored) in (0..90).map(|seed| (seed, seed % 2 == 0)) {
            let crop_from_frame = crop_from_frame(face.center(), 80.0, 0.7, 80);
            let view = View { crop_from_frame, mirrored, border: Border::Black, size: 80 };
            let mut out = vec![2.0; 80 * 80 * 3];
            hide_part(&mut ChaCha8Rng::seed_from_u64(seed), &view, &face, &mut out);
            let hidden = |x: usize, y: usize| out[(y * 80 + x) * 3] <= 1.0;
            let (mut inside, mut all, mut outside) = (0, 0, 0);
            for (x, y) in (0..80 * 80).map(|i| (i % 80, i / 80)) {
                let distance = (x as f32 - 39.5).hypot(y as f32 - 39.5);
                inside += usize::from(distance < 10.0 && hidden(x, y));
                all += usize::from(hidden(x, y));
                outside += usize::from(distance > 30.0 && hidden(x, y));
            }
            assert!(all > 10 && inside < 240, "{inside} of about 314, {all} in all, seed {seed}");
            assert_eq!(outside, 0);
        }
    }
}
