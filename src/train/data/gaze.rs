//! An augmentation that moves irises.
//!
//! People in photographs mostly look into the camera, so a network trained on them places pupils in the middle of the
//! eye, wherever it looks. Here the iris of a crop is moved along the eye under unchanged lids, and the white on either
//! side of it is stretched or squeezed.
//!
//! In: a square crop (row, column, RGB) and its 98 landmarks; both are changed together. Nothing here fails; eyes that
//! are unknown, tiny or shut, or whose pupil is unknown, stay as they are.

use super::expression::resample;
use super::eye::{Eye, PUPILS};
use crate::runtime::geometry::{CropSpace, Point};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The largest movement of the pupils, either way, in widths of the eye.
const FARTHEST: f32 = 0.28;
/// The radius of the iris, in widths of the eye.
const IRIS: f32 = 0.21;
/// White that is left between the iris and the corner of the eye, in widths of the eye.
const LEAST_WHITE: f32 = 0.03;

/// One eye that looks aside.
struct Glance {
    eye: Eye,
    /// The old position of the pupil, in the eye's coordinates, and its new x.
    from: (f32, f32),
    to: f32,
}

impl Glance {
    fn new(points: &[Point<CropSpace>], weight: &[f32], side: usize, shift: f32) -> Option<Self> {
        const PUPIL: std::ops::RangeInclusive<f32> = IRIS + LEAST_WHITE..=1.0 - IRIS - LEAST_WHITE;
        let eye = Eye::open(points, weight, side)?;
        let pupil = PUPILS[side];
        let from = eye.local(points[pupil]);
        let (lower, upper) = eye.lids(from.0);
        if weight[pupil] <= 0.0 || !PUPIL.contains(&from.0) || !(lower..=upper).contains(&from.1) {
            return None;
        }
        let to = (from.0 + shift).clamp(*PUPIL.start(), *PUPIL.end());
        Some(Self { eye, from, to })
    }

    /// The old position of the point at `p`; `None` if it stayed.
    fn source(&self, p: Point<CropSpace>) -> Option<Point<CropSpace>> {
        let (x, y) = self.eye.local(p);
        let (lower, upper) = self.eye.lids(x);
        if !(0.0..=1.0).contains(&x) || !(lower..=upper).contains(&y) {
            return None;
        }
        let from = if x < self.to - IRIS {
            x * (self.from.0 - IRIS) / (self.to - IRIS)
        } else if x > self.to + IRIS {
            1.0 - (1.0 - x) * (1.0 - self.from.0 - IRIS) / (1.0 - self.to - IRIS)
        } else {
            x - self.to + self.from.0
        };
        // The lids stay where they are.
        let (lower, upper) = self.eye.lids(from);
        Some(self.eye.place(from, y.clamp(lower, upper.max(lower))))
    }

    fn pupil(&self) -> Point<CropSpace> {
        let (lower, upper) = self.eye.lids(self.to);
        self.eye.place(self.to, self.from.1.clamp(lower, upper.max(lower)))
    }
}

/// Turns the eyes of the face in a crop of `size` pixels a side to the left or to the right, both alike, picture and
/// landmarks.
///
/// # Panics
/// If there are not 98 points and weights, or the picture has another size.
pub fn look_aside(
    rng: &mut ChaCha8Rng,
    size: usize,
    picture: &mut [f32],
    points: &mut [Point<CropSpace>],
    weight: &[f32],
) {
    assert_eq!((picture.len(), points.len(), weight.len()), (size * size * 3, 98, 98));
    let shift = rng.random_range(-FARTHEST..=FARTHEST);
    let glances = [0, 1].map(|side| Glance::new(points, weight, side, shift));
    if glances.iter().all(Option::is_none) {
        return;
    }
    resample(size, picture, |p| glances.iter().flatten().find_map(|glance| glance.source(p)));
    for (side, glance) in glances.iter().enumerate() {
        if let Some(glance) = glance {
            points[PUPILS[side]] = glance.pupil();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::condition::EYES;
    use super::*;
    use rand::SeedableRng;

    const SIZE: usize = 128;

    /// Two open eyes, 28 pixels wide, with a dark iris in white; skin elsewhere.
    fn face() -> (Vec<f32>, Vec<Point<CropSpace>>) {
        let mut points = vec![Point::new(64.0, 110.0); 98];
        for (side, x) in [(0, 25.0), (1, 75.0)] {
            let lids = [
                (0.0, 0.0),
                (7.0, -5.0),
                (14.0, -6.0),
                (21.0, -5.0),
                (28.0, 0.0),
                (21.0, 4.0),
                (14.0, 5.0),
                (7.0, 4.0),
            ];
            for (i, (dx, dy)) in lids.into_iter().enumerate() {
                points[EYES[side] + i] = Point::new(x + dx, 60.0 + dy);
            }
            points[PUPILS[side]] = Point::new(x + 14.0, 59.5);
        }
        let mut picture = vec![0.6; SIZE * SIZE * 3];
        let weight = vec![1.0; 98];
        for side in [0, 1] {
            let eye = Eye::open(&points, &weight, side).unwrap();
            for (i, pixel) in picture.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let p = Point::new((i % SIZE) as f32, (i / SIZE) as f32);
                let (x, y) = eye.local(p);
                let (lower, upper) = eye.lids(x);
                if (0.0..=1.0).contains(&x) && (lower..=upper).contains(&y) {
                    let is_iris = p.distance(points[PUPILS[side]]) < IRIS * 28.0;
                    *pixel = [if is_iris { 0.1 } else { 0.95 }; 3];
                }
            }
        }
        (picture, points)
    }

    /// The middle of what is dark, left of or right of the middle of the picture.
    fn dark(picture: &[f32], side: usize) -> f32 {
        let half = side * SIZE / 2..(side + 1) * SIZE / 2;
        let columns = (0..SIZE * SIZE).filter(|i| half.contains(&(i % SIZE)) && picture[i * 3] < 0.4);
        let columns: Vec<f32> = columns.map(|i| (i % SIZE) as f32).collect();
        columns.iter().sum::<f32>() / columns.len() as f32
    }

    #[test]
    fn the_iris_moves_with_its_landmark_and_all_else_stays() {
        let (before, start) = face();
        let mut farthest: f32 = 0.0;
        for seed in 0..20 {
            let (mut picture, mut points) = (before.clone(), start.clone());
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            look_aside(&mut rng, SIZE, &mut picture, &mut points, &vec![1.0; 98]);
            for side in [0, 1] {
                let moved = points[PUPILS[side]].x - start[PUPILS[side]].x;
                let seen = dark(&picture, side) - dark(&before, side);
                assert!((moved - seen).abs() < 1.2, "seed {seed}: {moved}, {seen}");
                farthest = farthest.max(moved.abs());
            }
            let skin = |picture: &[f32]| picture.iter().filter(|v| (0.55..0.65).contains(*v)).count();
            assert!(skin(&picture).abs_diff(skin(&before)) < 150, "{} {}", skin(&picture), skin(&before));
            assert!((0..96).all(|i| points[i] == start[i]));
        }
        assert!(farthest > 4.0, "{farthest}");
    }

    #[test]
    fn eyes_without_a_known_pupil_stay() {
        let (before, start) = face();
        let (mut picture, mut points) = (before.clone(), start.clone());
        let mut weight = vec![1.0; 98];
        (weight[96], weight[97]) = (0.0, 0.0);
        look_aside(&mut ChaCha8Rng::seed_from_u64(1), SIZE, &mut picture, &mut points, &weight);
        assert!(picture == before && points == start);
    }
}
