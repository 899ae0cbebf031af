//! One head: the features of a person, an expression, a pose, and the landmarks in three dimensions.
//!
//! In head space x runs to the right, y down and z towards the viewer; the unit is half the width of the face at the
//! ears, and the origin lies between the eyes and the nose.

use super::paint::Rgb;
use crate::runtime::landmarks::WFLW_POINTS;
#[cfg(feature = "internals")]
use crate::runtime::signals::Rotation;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub(super) type Solid = [f32; 3];

/// The features of a person.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub skin: Rgb,
    pub hair: Rgb,
    pub iris: Rgb,
    pub lips: Rgb,
    pub shirt: Rgb,
    /// Relative height of the lower face and widths of the jaw, the nose and the mouth: about 1.
    pub chin: f32,
    jaw: f32,
    nose: f32,
    mouth: f32,
}

impl Identity {
    /// Average features.
    pub fn average() -> Self {
        let grey = [0.5; 3];
        Self { skin: grey, hair: grey, iris: grey, lips: grey, shirt: grey, chin: 1.0, jaw: 1.0, nose: 1.0, mouth: 1.0 }
    }

    pub fn random(rng: &mut ChaCha8Rng) -> Self {
        const SKINS: [Rgb; 4] = [[0.91, 0.74, 0.64], [0.83, 0.63, 0.50], [0.69, 0.48, 0.36], [0.52, 0.35, 0.26]];
        const HAIRS: [Rgb; 4] = [[0.20, 0.13, 0.09], [0.10, 0.08, 0.08], [0.42, 0.27, 0.14], [0.32, 0.30, 0.30]];
        const IRISES: [Rgb; 3] = [[0.32, 0.20, 0.10], [0.25, 0.38, 0.48], [0.30, 0.38, 0.22]];
        const SHIRTS: [Rgb; 3] = [[0.20, 0.30, 0.42], [0.45, 0.22, 0.22], [0.25, 0.38, 0.30]];
        let skin = SKINS[rng.random_range(0..SKINS.len())];
        Self {
            skin,
            hair: HAIRS[rng.random_range(0..HAIRS.len())],
            iris: IRISES[rng.random_range(0..IRISES.len())],
            lips: [skin[0] * 0.86, skin[1] * 0.62, skin[2] * 0.64],
            shirt: SHIRTS[rng.random_range(0..SHIRTS.len())],
            chin: rng.random_range(0.95..1.05),
            jaw: rng.random_range(0.94..1.05),
            nose: rng.random_range(0.92..1.08),
            mouth: rng.random_range(0.92..1.08),
        }
    }
}

/// The pose of the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Pixels.
    pub center: (f32, f32),
    /// Half the width of the face, in pixels.
    pub scale: f32,
    /// Yaw, positive to the viewer's right.
    pub yaw_rad: f32,
    /// Pitch, positive downwards.
    pub pitch_rad: f32,
    /// Roll, positive clockwise.
    pub roll_rad: f32,
}

/// The facial expression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expression {
    /// 0 closed, 1 open.
    pub eyes: f32,
    /// 0 closed, 1 wide open.
    pub mouth: f32,
    /// 0 neutral, 1 a broad smile.
    pub smile: f32,
    /// How far the brows are raised.
    pub brows: f32,
    /// Direction of the gaze, to the right and upwards, -1..=1.
    pub gaze: f32,
    pub gaze_up: f32,
}

impl Expression {
    /// Eyes open, mouth closed.
    pub const CALM: Self = Self { eyes: 1.0, mouth: 0.0, smile: 0.2, brows: 0.2, gaze: 0.0, gaze_up: 0.0 };

    pub fn at(t: f32) -> Self {
        // A blink of 0.2 s every 3.5 s.
        let since_blink = (t / 3.5).fract() * 3.5;
        let eyes = ((since_blink - 0.1).abs() / 0.1).min(1.0);
        let talking = (0.5 + 0.5 * (0.4 * t).sin()).powi(2);
        Self {
            eyes,
            mouth: talking * (0.5 + 0.5 * (7.3 * t).sin()) * (0.6 + 0.4 * (3.1 * t).sin()),
            smile: 0.5 + 0.5 * (0.33 * t + 2.0).sin(),
            brows: 0.5 + 0.5 * (0.61 * t).sin(),
            gaze: (0.47 * t).sin(),
            gaze_up: 0.0,
        }
    }

    /// Any expression. Eyes are open more often than not.
    pub fn random(rng: &mut ChaCha8Rng) -> Self {
        let eyes = if rng.random_bool(0.7) { rng.random_range(0.8..=1.0) } else { rng.random_range(0.0..1.0) };
        Self {
            eyes,
            mouth: rng.random_range(-0.6_f32..1.0).max(0.0),
            smile: rng.random_range(0.0..1.0),
            brows: rng.random_range(0.0..1.0),
            gaze: rng.random_range(-1.2..1.2),
            gaze_up: rng.random_range(-1.0..1.0),
        }
    }
}

/// The depth of the face's surface, without the nose: fitted to the average face of `signals`, so that a turned head
/// looks and measures like a person's.
pub(super) fn surface(x: f32, y: f32) -> f32 {
    let x2 = x * x;
    0.828 - (0.847 + 0.281 * x2) * x2 + (0.061 - (0.170 - 0.016 * y) * y - 0.400 * x2) * y
}

impl Head {
    /// Yaw, then pitch, then roll.
    fn turn(&self, [x, y, z]: Solid) -> Solid {
        let (sy, cy) = self.yaw_rad.sin_cos();
        let (sp, cp) = self.pitch_rad.sin_cos();
        let (sr, cr) = self.roll_rad.sin_cos();
        let (x, z) = (cy * x + sy * z, cy * z - sy * x);
        let (y, z) = (cp * y + sp * z, cp * z - sp * y);
        [cr * x - sr * y, sr * x + cr * y, z]
    }

    /// Pitch, yaw and roll in degrees as in AFLW2000.
    #[cfg(feature = "internals")]
    pub fn angles_deg(&self) -> [f32; 3] {
        let axes = [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]];
        // Columns, with y up.
        let [a, b, c] = axes.map(|axis| self.turn(axis)).map(|[x, y, z]| [x, -y, z].map(f64::from));
        let rows = std::array::from_fn(|i| [a[i], b[i], c[i]]);
        Rotation::from_rows(rows).angles().map(|angle| angle.to_degrees() as f32)
    }

    /// Projects from head space to pixels.
    pub fn project(&self, solid: Solid) -> (f32, f32) {
        let [x, y, z] = self.turn(solid);
        // A camera at eight face widths.
        const DISTANCE: f32 = 16.0;
        let near = self.scale * DISTANCE / (DISTANCE - z);
        (self.center.0 + near * x, self.center.1 + near * y)
    }
}

/// The 98 landmarks of a head that faces straight ahead.
pub(super) fn solid(identity: &Identity, expression: &Expression) -> [Solid; WFLW_POINTS] {
    let mut solid = SolidLandmarks([[0.0; 3]; WFLW_POINTS]);
    solid.put_outline(identity, expression);
    solid.put_brows(expression);
    solid.put_nose(identity);
    solid.put_eyes(expression);
    solid.put_mouth(identity, expression);
    solid.0
}

struct SolidLandmarks([Solid; WFLW_POINTS]);

impl SolidLandmarks {
    /// Places landmark `i` at (x, y), `lift` in front of the face's surface.
    fn put(&mut self, i: usize, x: f32, y: f32, lift: f32) {
        self.0[i] = [x, y, surface(x, y) + lift];
    }

    fn put_outline(&mut self, identity: &Identity, e: &Expression) {
        // The outline, evenly spaced along its length.
        let outline: Vec<(f32, f32)> = (0..=200)
            .map(|i| {
                let angle = std::f32::consts::PI * i as f32 / 200.0;
                let (s, c) = angle.sin_cos();
                // The sine of pi, rounded to `f32`, is slightly below 0.
                let s = s.max(0.0);
                let drop = 1.42 * identity.chin + 0.10 * e.mouth;
                let x = -c.signum() * c.abs().powf(0.82) * (1.0 + (identity.jaw - 1.0) * s);
                (x, -0.16 + (drop + 0.16) * s.powf(1.12))
            })
            .collect();
        let lengths: Vec<f32> = std::iter::once(0.0)
            .chain(outline.windows(2).scan(0.0, |sum, p| {
                *sum += (p[1].0 - p[0].0).hypot(p[1].1 - p[0].1);
                Some(*sum)
            }))
            .collect();
        for i in 0..=32 {
            let wanted = lengths[200] * i as f32 / 32.0;
            let k = lengths.partition_point(|l| *l < wanted).clamp(1, 200);
            let f = (wanted - lengths[k - 1]) / (lengths[k] - lengths[k - 1]).max(1e-6);
            let mix = |a: f32, b: f32| a + f * (b - a);
            self.put(i, mix(outline[k - 1].0, outline[k].0), mix(outline[k - 1].1, outline[k].1), -0.01);
        }
    }

    fn put_brows(&mut self, e: &Expression) {
        let raise = 0.09 * e.brows;
        let upper = [
            (-0.86, -0.43, 0.19),
            (-0.74, -0.575, 0.165),
            (-0.56, -0.63, 0.10),
            (-0.37, -0.61, 0.07),
            (-0.19, -0.55, 0.04),
        ];
        let lower = [(-0.20, -0.475, 0.0), (-0.37, -0.525, 0.01), (-0.55, -0.545, 0.06), (-0.72, -0.50, 0.115)];
        for (i, (x, y, lift)) in upper.into_iter().chain(lower).enumerate() {
            self.put(33 + i, x, y - raise, lift);
            // The right brow starts at its inner end: 42..=46 above, 47..=49 below, 50 the inner end below.
            let j = if i < 5 {
                46 - i
            } else if i == 5 {
                50
            } else {
                55 - i
            };
            self.put(j, -x, y - raise, lift);
        }
    }

    fn put_nose(&mut self, identity: &Identity) {
        for (i, (y, lift)) in [(-0.20, 0.02), (-0.02, 0.11), (0.15, 0.215), (0.31, 0.30)].into_iter().enumerate() {
            self.put(51 + i, 0.0, y, lift * identity.nose);
        }
        for (i, (x, y, lift)) in [
            (-0.235, 0.40, 0.065),
            (-0.12, 0.455, 0.085),
            (0.0, 0.485, 0.10),
            (0.12, 0.455, 0.085),
            (0.235, 0.40, 0.065),
        ]
        .into_iter()
        .enumerate()
        {
            self.put(55 + i, x * identity.nose, y, lift);
        }
    }

    fn put_eyes(&mut self, e: &Expression) {
        // Upper lids move down, lower lids slightly up.
        let open = e.eyes;
        let squint = 0.02 * e.smile;
        let lid = |up: f32, down: f32| {
            (-0.19 - up * open + 0.035 * (1.0 - open), -0.175 + (down - squint) * (0.3 + 0.7 * open))
        };
        let (side, middle) = (lid(0.075, 0.05), lid(0.105, 0.075));
        let eye = [
            (-0.66, -0.18, 0.01),
            (-0.565, side.0, -0.03),
            (-0.455, middle.0, -0.075),
            (-0.345, side.0, -0.125),
            (-0.25, -0.155, -0.185),
            (-0.345, side.1, -0.125),
            (-0.455, middle.1, -0.085),
            (-0.565, side.1, -0.04),
        ];
        // The eyeball lies deeper towards the nose than the surface around it.
        for (i, (x, y, lift)) in eye.into_iter().enumerate() {
            self.put(60 + i, x, y, lift);
            // The right eye starts at its inner corner: 4, 3, 2, 1, 0, 7, 6, 5 mirrored.
            self.put(68 + (12 - i) % 8, -x, y, lift);
        }
        // Pupils move on eyeballs of 1.2 cm, where the face's half width is 6.75 cm.
        const EYEBALL: f32 = 0.178;
        let (right, up) = (0.06 * e.gaze, 0.03 * e.gaze_up);
        let back = EYEBALL - (EYEBALL * EYEBALL - right * right - up * up).sqrt();
        for (i, x) in [(96, -0.455), (97, 0.455)] {
            self.put(i, x, -0.185, -0.085 - back);
            self.0[i][0] += right;
            self.0[i][1] -= up;
        }
    }

    fn put_mouth(&mut self, identity: &Identity, e: &Expression) {
        let (wide, corner) = (identity.mouth * (0.40 + 0.07 * e.smile - 0.05 * e.mouth), 0.80 - 0.06 * e.smile);
        let (gap, drop) = (0.02 * e.mouth, 0.26 * e.mouth);
        let outer = [
            (-1.0, corner),
            (-0.62, 0.725 - gap),
            (-0.25, 0.69 - gap),
            (0.0, 0.705 - gap),
            (0.25, 0.69 - gap),
            (0.62, 0.725 - gap),
            (1.0, corner),
            (0.6, 0.885 + 0.85 * drop),
            (0.27, 0.925 + drop),
            (0.0, 0.935 + drop),
            (-0.27, 0.925 + drop),
            (-0.6, 0.885 + 0.85 * drop),
        ];
        for (i, (x, y)) in outer.into_iter().enumerate() {
            self.put(76 + i, x * wide, y, 0.07 * (1.0 - x * x) - 0.01);
        }
        let inner = [
            (-0.88, corner + 0.002),
            (-0.42, 0.79 - gap),
            (0.0, 0.795 - gap),
            (0.42, 0.79 - gap),
            (0.88, corner + 0.002),
            (0.42, 0.805 + 0.9 * drop),
            (0.0, 0.815 + drop),
            (-0.42, 0.805 + 0.9 * drop),
        ];
        for (i, (x, y)) in inner.into_iter().enumerate() {
            self.put(88 + i, x * wide, y, 0.06 * (1.0 - x * x) - 0.04);
        }
    }
}
