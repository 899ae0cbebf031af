//! The augmentation of training pictures: a random view of the face, then random changes of its appearance.
//!
//! In: a picture and a box around its face; out: a square crop in 0..=1 and the landmarks in its pixels. All random
//! numbers come from the caller's generator. Geometry is one crop ([`crop_into`], the same as in tracking) and a
//! mirror; changes of appearance (see [`Augmentation::paint`]) move no point.

use super::chance::{chance, either_way, normal, rarely};
use super::{DataError, photometric};
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Similarity, crop_from_frame};
use crate::runtime::image::{Border, Frame, crop_into};
use crate::runtime::landmarks::Scheme;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Defines a struct of numbers from 0 to a maximum, each listed once. Recipes name them in one flat table.
macro_rules! amounts {
    ($(#[$attribute:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident = $default:literal, at most $most:literal;)+
    }) => {
        $(#[$attribute])*
        pub struct $name {
            $($(#[$doc])* pub $field: f32,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        impl $name {
            /// Every number is 0.
            const ZERO: Self = Self { $($field: 0.0),+ };

            /// The name, value and maximum of every number.
            fn limits(&self) -> impl Iterator<Item = (&'static str, f32, f32)> {
                [$((stringify!($field), self.$field, $most)),+].into_iter()
            }
        }
    };
}

amounts! {
/// The strength and frequency of each change. Probabilities are in 0..=1. The defaults are those of the study that
/// chose the edge networks.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Standard deviation of the rotation, in degrees.
    rotation_deg = 15.0, at most 180.0;
    /// The largest rotation, either way, in degrees.
    rotation_limit_deg = 30.0, at most 180.0;
    /// Probability of a rotation drawn uniformly from a wider range instead.
    wide_rotation = 0.12, at most 1.0;
    /// The wider range, either way, in degrees.
    wide_rotation_deg = 50.0, at most 180.0;
    /// Probability of a rotation drawn uniformly from the full circle.
    full_turn = 0.0, at most 1.0;
    /// The crop's side is multiplied by e to the power of at most this, either way.
    scale = 0.2, at most 1.0;
    /// The crop is shifted by at most this share of its side, either way, in x and in y.
    shift = 0.08, at most 0.5;
    /// Probability of a mirrored picture.
    mirror = 0.5, at most 1.0;
    /// Probability of black beyond the picture; otherwise the nearest pixel is repeated.
    black_border = 0.5, at most 1.0;
    /// Probability of one or two rectangles over the picture: a colour, noise, or a patch of another picture.
    occlusion = 0.3, at most 1.0;
    /// Probability that an occluding rectangle is an ellipse instead.
    ellipses = 0.0, at most 1.0;
    /// Probability of a mask, a cap, dark glasses or a hand before the face, or of a hidden side.
    partly_hidden = 0.0, at most 1.0;
    /// Probability of poor light: mostly from one side, too dim (with noise and faded colours), or too flat, quantized
    /// to the levels that a camera has left.
    poor_light = 0.0, at most 1.0;
    /// Probability of levels stretched as if the light were good: this makes dark or flat pictures of a room resemble
    /// all others.
    stretch = 0.0, at most 1.0;
    /// Probability of changed tones: gamma, contrast, brightness and the channels' gains, all four.
    tone = 0.8, at most 1.0;
    /// Gamma is e to the power of at most this, either way.
    gamma = 0.4, at most 2.0;
    /// Contrast is 1 plus at most this, either way.
    contrast = 0.25, at most 1.0;
    /// Brightness changes by at most this share of the full range, either way.
    brightness = 0.1, at most 1.0;
    /// Each channel's gain is 1 plus at most this, either way.
    gain = 0.1, at most 1.0;
    /// Probability of a grey picture.
    grey = 0.12, at most 1.0;
    /// Probability of a picture of lower resolution, scaled up again.
    low_resolution = 0.12, at most 1.0;
    /// Probability of a blurred picture.
    blur = 0.12, at most 1.0;
    /// Probability of a picture blurred along a line.
    motion_blur = 0.06, at most 1.0;
    /// Probability of noise.
    noise = 0.08, at most 1.0;
    /// Probability of brows raised or lowered, on faces of 98 points.
    brows = 0.35, at most 1.0;
    /// Probability of eyes that look aside, on faces of 98 points.
    gaze = 0.0, at most 1.0;
    /// Probability of closing eyes, one or both, completely or in part, on faces of 98 points.
    eyelids = 0.0, at most 1.0;
}
}

/// Another picture to take an occluding patch from: a square of `side` pixels about `center`.
pub struct Donor {
    pub frame: Arc<Frame>,
    pub center: Point<FrameSpace>,
    pub side: f32,
}

impl Augmentation {
    /// No change at all: the upright crop used in evaluation.
    pub fn none() -> Self {
        Self::ZERO
    }

    /// # Errors
    /// [`DataError::Options`] naming the first field that is out of range.
    pub fn check(&self) -> Result<(), DataError> {
        for (name, value, most) in self.limits() {
            if !(0.0..=most).contains(&value) {
                return Err(DataError::Options(format!("augmentation.{name} is {value}, it must lie in 0..={most}")));
            }
        }
        Ok(())
    }

    /// Draws a view of a face: the square of `side` pixels about `middle`, changed at random, as a crop of `size`
    /// pixels a side.
    pub fn view(&self, rng: &mut ChaCha8Rng, middle: Point<FrameSpace>, side: f32, size: usize) -> View {
        let angle_deg = if rarely(rng, self.full_turn) {
            either_way(rng, 180.0)
        } else if chance(rng, self.wide_rotation) {
            either_way(rng, self.wide_rotation_deg)
        } else {
            (normal(rng) * self.rotation_deg).clamp(-self.rotation_limit_deg, self.rotation_limit_deg)
        };
        let side = side * either_way(rng, self.scale).exp();
        let center =
            Point::new(middle.x + side * either_way(rng, self.shift), middle.y + side * either_way(rng, self.shift));
        View {
            crop_from_frame: crop_from_frame(center, side, angle_deg.to_radians(), size),
            mirrored: chance(rng, self.mirror),
            border: if chance(rng, self.black_border) { Border::Black } else { Border::Replicate },
            size,
        }
    }

    /// Changes the appearance of a picture of `height * width * 3` values in 0..=1 (row, column, RGB): occluding
    /// rectangles and ellipses, stretched levels, tones, poor light, grey, low resolution, blur, motion blur, noise, in
    /// this order. No point moves. `donor` supplies another picture on request; it may have none.
    ///
    /// # Errors
    /// Those of `donor`.
    ///
    /// # Panics
    /// If the picture is empty or has another number of values.
    pub fn paint(
        &self,
        rng: &mut ChaCha8Rng,
        height: usize,
        width: usize,
        picture: &mut [f32],
        mut donor: impl FnMut(&mut ChaCha8Rng) -> Result<Option<Donor>, DataError>,
    ) -> Result<(), DataError> {
        assert!(picture.len() == height * width * 3 && !picture.is_empty(), "a picture has three values a pixel");
        if chance(rng, self.occlusion) {
            for _ in 0..rng.random_range(1..=2) {
                photometric::occlude(rng, height, width, picture, self.ellipses, &mut donor)?;
            }
        }
        if rarely(rng, self.stretch) {
            photometric::stretch(rng, picture);
        }
        if chance(rng, self.tone) {
            let tone = photometric::Tone {
                gamma: either_way(rng, self.gamma).exp(),
                contrast: 1.0 + either_way(rng, self.contrast),
                brightness: either_way(rng, self.brightness),
                gain: [(); 3].map(|()| 1.0 + either_way(rng, self.gain)),
            };
            tone.apply(picture);
        }
        if rarely(rng, self.poor_light) {
            photometric::poor_light(rng, height, width, picture);
        }
        if chance(rng, self.grey) {
            photometric::grey(picture);
        }
        if chance(rng, self.low_resolution) {
            photometric::lower_resolution(rng, height, width, picture);
        }
        if chance(rng, self.blur) {
            photometric::blur(rng, height, width, picture);
        }
        if chance(rng, self.motion_blur) {
            photometric::motion_blur(rng, height, width, picture);
        }
        if chance(rng, self.noise) {
            photometric::noise(rng, picture);
        }
        Ok(())
    }
}

/// A square view of a picture: the transform from the frame into the crop.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub crop_from_frame: Similarity<CropSpace, FrameSpace>,
    /// Whether the crop is mirrored left to right, after the transform.
    pub mirrored: bool,
    /// What lies beyond the frame.
    pub border: Border,
    /// Pixels a side of the crop.
    pub size: usize,
}

impl View {
    /// Renders the crop: `size * size * 3` values in 0..=1 (row, column, RGB).
    ///
    /// # Panics
    /// If `out` has another length, or the frame is empty.
    pub fn render(&self, frame: &Frame, out: &mut [f32]) {
        crop_into(frame, &self.crop_from_frame, self.size, self.border, out);
        if self.mirrored {
            for row in out.chunks_exact_mut(self.size * 3) {
                let (pixels, _) = row.as_chunks_mut::<3>();
                pixels.reverse();
            }
        }
    }

    /// The position in the crop of a point of the frame.
    pub fn apply(&self, point: Point<FrameSpace>) -> Point<CropSpace> {
        let p = self.crop_from_frame.apply(point);
        if self.mirrored { Point::new((self.size - 1) as f32 - p.x, p.y) } else { p }
    }

    /// A face's landmarks and their weights in the crop. In a mirrored crop left and right are swapped.
    ///
    /// # Panics
    /// If there are not as many of each as the scheme has points.
    pub fn landmarks(
        &self,
        scheme: Scheme,
        points: &[Point<FrameSpace>],
        weight: &[f32],
    ) -> (Vec<Point<CropSpace>>, Vec<f32>) {
        let mirror = scheme.mirror();
        let of = |i: usize| if self.mirrored { mirror[i] } else { i };
        (0..mirror.len()).map(|i| (self.apply(points[of(i)]), weight[of(i)])).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Rect;
    use crate::runtime::landmarks::{WFLW_POINTS, WFLW98_MIRROR};
    use rand::SeedableRng;

    fn geometry_only() -> Augmentation {
        let Augmentation {
            rotation_deg,
            rotation_limit_deg,
            wide_rotation,
            wide_rotation_deg,
            scale,
            shift,
            mirror,
            ..
        } = Augmentation::default();
        Augmentation {
            rotation_deg,
            rotation_limit_deg,
            wide_rotation,
            wide_rotation_deg,
            scale,
            shift,
            mirror,
            ..Augmentation::none()
        }
    }

    /// The 98 points on a grid, and a picture with a dot of its own colour at each.
    fn dotted(spacing: usize) -> (Frame, Vec<Point<FrameSpace>>) {
        let side = 11 * spacing;
        let mut frame = Frame::filled(side, side, [0, 0, 0]);
        let points: Vec<_> = (0..WFLW_POINTS)
            .map(|i| Point::new(((i % 10 + 1) * spacing) as f32 + 0.25, ((i / 10 + 1) * spacing) as f32 - 0.25))
            .collect();
        for (i, p) in points.iter().enumerate() {
            for y in 0..side {
                for x in 0..side {
                    if Point::new(x as f32, y as f32).distance(*p) < 0.4 * spacing as f32 {
                        frame.rgb_mut()[(y * side + x) * 3..][..3].copy_from_slice(&color_of(i));
                    }
                }
            }
        }
        (frame, points)
    }

    fn color_of(point: usize) -> [u8; 3] {
        [(60 + point % 10 * 20) as u8, (60 + point / 10 * 20) as u8, 200]
    }

    #[test]
    fn landmarks_stay_on_their_dots_through_rotation_scale_shift_and_mirror() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut mirrored = 0;
        for (spacing, size) in [(14, 128), (30, 96)] {
            let (frame, points) = dotted(spacing);
            let around = Rect::around(points.iter().copied()).unwrap();
            let weight: Vec<f32> = (0..WFLW_POINTS).map(|i| i as f32 / 100.0).collect();
            let mut picture = vec![0.0; size * size * 3];
            for _ in 0..40 {
                let view = geometry_only().view(&mut rng, around.center(), 1.35 * around.side(), size);
                view.render(&frame, &mut picture);
                let (landmarks, weights) = view.landmarks(Scheme::Wflw98, &points, &weight);
                for (i, p) in landmarks.iter().enumerate() {
                    let source = if view.mirrored { WFLW98_MIRROR[i] } else { i };
                    assert_eq!(weights[i], weight[source]);
                    let (x, y) = (p.x.round() as i32, p.y.round() as i32);
                    if x < 0 || y < 0 || x >= size as i32 || y >= size as i32 {
                        continue;
                    }
                    let pixel = &picture[(y as usize * size + x as usize) * 3..][..3];
                    for (value, expected) in pixel.iter().zip(color_of(source)) {
                        assert!((value * 255.0 - f32::from(expected)).abs() < 8.0, "point {i}: {pixel:?}");
                    }
                }
                mirrored += usize::from(view.mirrored);
            }
        }
        assert!((20..60).contains(&mirrored));
    }

    #[test]
    fn a_landmark_is_exact_to_a_tenth_of_a_pixel_at_every_scale() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let size = 64;
        for side in [30.0_f32, 64.0, 110.0, 200.0, 500.0] {
            let n = (1.6 * side) as usize;
            let spot = Point::<FrameSpace>::new(0.5 * n as f32 + 0.3, 0.5 * n as f32 - 0.2);
            let radius = side / 20.0;
            let mut frame = Frame::filled(n, n, [0, 0, 0]);
            for y in 0..n {
                for x in 0..n {
                    let d = Point::new(x as f32, y as f32).distance(spot) / radius;
                    frame.rgb_mut()[(y * n + x) * 3..][..3].fill((250.0 * (-0.5 * d * d).exp()).round() as u8);
                }
            }
            let mut picture = vec![0.0; size * size * 3];
            for _ in 0..10 {
                let view = geometry_only().view(&mut rng, spot, side, size);
                view.render(&frame, &mut picture);
                let (center, _) = photometric::center_of_light(&picture, size);
                let expected = view.apply(spot);
                assert!(center.distance(expected) < 0.1, "side {side}: {center:?} instead of {expected:?}");
            }
        }
    }

    #[test]
    fn mirrored_twice_is_the_same() {
        let (frame, points) = dotted(12);
        let around = Rect::around(points.iter().copied()).unwrap();
        let weight: Vec<f32> = (0..WFLW_POINTS).map(|i| i as f32 / 100.0).collect();
        let size = 96;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let straight = Augmentation::none().view(&mut rng, around.center(), 1.35 * around.side(), size);
        let mirrored = View { mirrored: true, ..straight.clone() };
        let (mut once, mut picture) = (vec![0.0; size * size * 3], vec![0.0; size * size * 3]);
        mirrored.render(&frame, &mut once);
        straight.render(&frame, &mut picture);
        assert_ne!(once, picture);
        // The mirrored crop as a picture of its own, mirrored again.
        let rgb = once.iter().map(|v| (v * 255.0).round() as u8).collect();
        let again = Frame::from_rgb(size, size, rgb).unwrap();
        let whole = crop_from_frame(Point::new(47.5, 47.5), 96.0, 0.0, size);
        let back = View { crop_from_frame: whole, ..mirrored.clone() };
        let mut twice = vec![0.0; size * size * 3];
        back.render(&again, &mut twice);
        assert!(twice.iter().zip(&picture).all(|(a, b)| (a - b).abs() < 0.003));
        let (points_once, weight_once) = mirrored.landmarks(Scheme::Wflw98, &points, &weight);
        let in_frame: Vec<_> = points_once.iter().map(|p| Point::new(p.x, p.y)).collect();
        let (points_twice, weight_twice) = back.landmarks(Scheme::Wflw98, &in_frame, &weight_once);
        let (expected, expected_weight) = straight.landmarks(Scheme::Wflw98, &points, &weight);
        assert_eq!(weight_twice, expected_weight);
        assert!(points_twice.iter().zip(&expected).all(|(p, q)| p.distance(*q) < 1e-3));
    }

    #[test]
    fn ten_thousand_draws_stay_in_range_and_never_panic() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let always = Augmentation {
            occlusion: 1.0,
            tone: 1.0,
            grey: 0.3,
            low_resolution: 0.3,
            blur: 0.3,
            motion_blur: 0.3,
            noise: 0.5,
            ..Augmentation::default()
        };
        let donor = Arc::new(Frame::filled(5, 7, [40, 90, 160]));
        for i in 0..10_000 {
            let (height, width) = (1 + i % 13, 1 + i % 17);
            let mut picture = vec![0.5; height * width * 3];
            let give =
                |_: &mut ChaCha8Rng| Ok(Some(Donor { frame: donor.clone(), center: Point::new(2.0, 3.0), side: 4.0 }));
            always.paint(&mut rng, height, width, &mut picture, give).unwrap();
            assert!(picture.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let (frame, points) = dotted(12);
        let around = Rect::around(points.iter().copied()).unwrap();
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let augmentation = Augmentation::default();
            let mut picture = vec![0.0; 48 * 48 * 3];
            let view = augmentation.view(&mut rng, around.center(), 1.35 * around.side(), 48);
            view.render(&frame, &mut picture);
            augmentation.paint(&mut rng, 48, 48, &mut picture, |_| Ok(None)).unwrap();
            (view, picture)
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }

    #[test]
    fn a_strength_out_of_range_is_named() {
        Augmentation::default().check().unwrap();
        for value in [-0.1, 1.1, f32::NAN] {
            let message = Augmentation { blur: value, ..Augmentation::default() }.check().unwrap_err().to_string();
            assert!(message.contains("augmentation.blur"), "{message}");
        }
    }
}
