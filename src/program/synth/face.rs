//! One face: its landmarks on a head in three dimensions, and how it is painted.
//!
//! In head space x runs to the right, y down and z towards the viewer; the unit is half the width of the face at the
//! ears, and the origin lies between the eyes and the nose.

use super::paint::{Fill, Painter, Rgb, shaded};
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::WFLW_POINTS;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

type Solid = [f32; 3];

/// The features of a person.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    skin: Rgb,
    hair: Rgb,
    iris: Rgb,
    lips: Rgb,
    shirt: Rgb,
    /// Relative height of the lower face and widths of the jaw, the nose and the mouth: about 1.
    chin: f32,
    jaw: f32,
    nose: f32,
    mouth: f32,
}

impl Identity {
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
    eyes: f32,
    /// 0 closed, 1 wide open.
    mouth: f32,
    /// 0 neutral, 1 a broad smile.
    smile: f32,
    /// How far the brows are raised.
    brows: f32,
    /// Horizontal direction of the gaze, -1..=1.
    gaze: f32,
}

impl Expression {
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
        }
    }
}

/// The depth of the face's surface, without the nose.
fn surface(x: f32, y: f32) -> f32 {
    0.75 * (1.0 - 0.75 * x * x - 0.12 * y * y)
}

/// The 98 landmarks of a head that faces straight ahead.
fn solid(identity: &Identity, e: &Expression) -> [Solid; WFLW_POINTS] {
    let mut points = [[0.0; 3]; WFLW_POINTS];
    let mut put = |i: usize, x: f32, y: f32, lift: f32| points[i] = [x, y, surface(x, y) + lift];
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
        put(i, mix(outline[k - 1].0, outline[k].0), mix(outline[k - 1].1, outline[k].1), -0.18);
    }
    let raise = 0.09 * e.brows;
    let upper = [(-0.86, -0.43), (-0.74, -0.575), (-0.56, -0.63), (-0.37, -0.61), (-0.19, -0.55)];
    let lower = [(-0.20, -0.475), (-0.37, -0.525), (-0.55, -0.545), (-0.72, -0.50)];
    for (i, (x, y)) in upper.into_iter().chain(lower).enumerate() {
        put(33 + i, x, y - raise, 0.05);
        // The right brow starts at its inner end: 42..=46 above, 47..=49 below, 50 the inner end below.
        let j = if i < 5 {
            46 - i
        } else if i == 5 {
            50
        } else {
            55 - i
        };
        put(j, -x, y - raise, 0.05);
    }
    for (i, (y, lift)) in [(-0.20, 0.08), (-0.02, 0.17), (0.15, 0.27), (0.31, 0.38)].into_iter().enumerate() {
        put(51 + i, 0.0, y, lift * identity.nose);
    }
    for (i, (x, y, lift)) in
        [(-0.235, 0.40, 0.10), (-0.12, 0.455, 0.17), (0.0, 0.485, 0.22), (0.12, 0.455, 0.17), (0.235, 0.40, 0.10)]
            .into_iter()
            .enumerate()
    {
        put(55 + i, x * identity.nose, y, lift);
    }
    // Upper lids move down, lower lids slightly up.
    let open = e.eyes;
    let squint = 0.02 * e.smile;
    let lid =
        |up: f32, down: f32| (-0.19 - up * open + 0.035 * (1.0 - open), -0.175 + (down - squint) * (0.3 + 0.7 * open));
    let (side, middle) = (lid(0.075, 0.05), lid(0.105, 0.075));
    let eye = [
        (-0.66, -0.18),
        (-0.565, side.0),
        (-0.455, middle.0),
        (-0.345, side.0),
        (-0.25, -0.155),
        (-0.345, side.1),
        (-0.455, middle.1),
        (-0.565, side.1),
    ];
    for (i, (x, y)) in eye.into_iter().enumerate() {
        put(60 + i, x, y, 0.0);
        // The right eye starts at its inner corner: 4, 3, 2, 1, 0, 7, 6, 5 mirrored.
        put(68 + (12 - i) % 8, -x, y, 0.0);
    }
    for (i, x) in [(96, -0.455), (97, 0.455)] {
        put(i, x + 0.06 * e.gaze, -0.185, 0.02);
    }
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
        put(76 + i, x * wide, y, 0.06 * (1.0 - x * x));
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
        put(88 + i, x * wide, y, 0.05 * (1.0 - x * x));
    }
    points
}

impl Head {
    /// Projects from head space to pixels.
    fn project(&self, [x, y, z]: Solid) -> (f32, f32) {
        let (sy, cy) = self.yaw_rad.sin_cos();
        let (sp, cp) = self.pitch_rad.sin_cos();
        let (sr, cr) = self.roll_rad.sin_cos();
        let (x, z) = (cy * x + sy * z, cy * z - sy * x);
        let (y, z) = (cp * y + sp * z, cp * z - sp * y);
        // A camera at eight face widths.
        const DISTANCE: f32 = 16.0;
        let near = self.scale * DISTANCE / (DISTANCE - z);
        (self.center.0 + near * (cr * x - sr * y), self.center.1 + near * (sr * x + cr * y))
    }
}

/// Draws the person and returns the landmarks in pixels.
pub(super) fn draw(
    painter: &mut Painter,
    identity: &Identity,
    head: &Head,
    expression: &Expression,
) -> [Point<FrameSpace>; WFLW_POINTS] {
    let solid = solid(identity, expression);
    let points: [(f32, f32); WFLW_POINTS] = solid.map(|p| head.project(p));
    let at = |x: f32, y: f32, lift: f32| head.project([x, y, surface(x, y) + lift]);
    let unit = head.scale;
    let Identity { skin, hair, iris, lips, shirt, .. } = identity;
    let of = |indices: &[usize]| -> Vec<(f32, f32)> { indices.iter().map(|&i| points[i]).collect() };
    let range = |from: usize, to: usize| points[from..=to].to_vec();

    // Shoulders and neck stay still when the head turns.
    let body = |x: f32, y: f32| (head.center.0 + unit * x, head.center.1 + unit * y);
    let shoulders = [
        body(-2.3, 4.2),
        body(-2.1, 2.5),
        body(-1.3, 2.05),
        body(-0.5, 1.8),
        body(0.5, 1.8),
        body(1.3, 2.05),
        body(2.1, 2.5),
        body(2.3, 4.2),
    ];
    let cloth = Fill::Linear {
        from: body(-2.0, 2.0),
        to: body(2.0, 3.0),
        first: (shaded(*shirt, 1.25), 1.0),
        last: (shaded(*shirt, 0.6), 1.0),
    };
    painter.blob(&shoulders, &cloth);
    let neck = [body(-0.6, 0.8), body(0.6, 0.8), body(0.62, 1.9), body(0.2, 2.15), body(-0.2, 2.15), body(-0.62, 1.9)];
    let shadow = Fill::Linear {
        from: body(0.0, 0.9),
        to: body(0.0, 2.1),
        first: (shaded(*skin, 0.5), 1.0),
        last: (shaded(*skin, 0.82), 1.0),
    };
    painter.blob(&neck, &shadow);

    // The hair behind, the ears, then the skin from the jaw to the forehead.
    let crown = head.project([0.0, -0.62, -0.25]);
    let dark = Fill::Radial {
        center: at(-0.3, -1.1, 0.0),
        radius: 2.0 * unit,
        inner: (shaded(*hair, 1.5), 1.0),
        outer: (shaded(*hair, 0.7), 1.0),
    };
    painter.ellipse(crown, 1.16 * unit, 1.12 * unit, head.roll_rad, &dark);
    for side in [-1.0, 1.0] {
        let ear = head.project([side * 1.05, 0.05, -0.15]);
        painter.ellipse(ear, 0.15 * unit, 0.30 * unit, head.roll_rad, &Fill::Plain(shaded(*skin, 0.82), 1.0));
        painter.ellipse(ear, 0.08 * unit, 0.19 * unit, head.roll_rad, &Fill::Plain(shaded(*skin, 0.66), 1.0));
    }
    let mut outline = range(0, 32);
    for (x, y) in
        [(0.97, -0.55), (0.82, -0.95), (0.45, -1.22), (0.0, -1.3), (-0.45, -1.22), (-0.82, -0.95), (-0.97, -0.55)]
    {
        outline.push(head.project([x, y, surface(x, y) - 0.2]));
    }
    let light = at(-0.28, -0.25, 0.0);
    let flesh = Fill::Radial {
        center: light,
        radius: 1.75 * unit,
        inner: (shaded(*skin, 1.07), 1.0),
        outer: (shaded(*skin, 0.66), 1.0),
    };
    painter.blob(&outline, &flesh);
    let soft = |painter: &mut Painter, x: f32, y: f32, rx: f32, ry: f32, color: Rgb, alpha: f32| {
        let center = at(x, y, 0.0);
        let radius = rx.max(ry) * unit;
        let fill = Fill::Radial { center, radius, inner: (color, alpha), outer: (color, 0.0) };
        painter.ellipse(center, rx * unit, ry * unit, head.roll_rad, &fill);
    };
    let shade = shaded(*skin, 0.45);
    for side in [-1.0, 1.0] {
        soft(painter, side * 0.45, -0.24, 0.34, 0.27, shade, 0.42);
        soft(painter, side * 0.56, 0.38, 0.36, 0.33, [skin[0], skin[1] * 0.72, skin[2] * 0.68], 0.30);
        soft(painter, side * 0.66, 0.62, 0.24, 0.42, shade, 0.28);
    }
    soft(painter, 0.0, 1.08, 0.34, 0.12, shade, 0.40);
    soft(painter, 0.0, 1.25 * identity.chin, 0.25, 0.16, [1.0, 0.95, 0.9], 0.12);
    soft(painter, 0.0, -0.85, 0.55, 0.30, [1.0, 0.96, 0.92], 0.16);

    // Fringe.
    let fringe: Vec<_> = [
        (-1.02, -0.42),
        (-0.92, -0.80),
        (-0.5, -1.02),
        (0.1, -1.06),
        (0.62, -0.92),
        (0.93, -0.72),
        (1.02, -0.42),
        (1.08, -0.9),
        (0.6, -1.42),
        (0.0, -1.52),
        (-0.6, -1.42),
        (-1.08, -0.9),
    ]
    .into_iter()
    .map(|(x, y)| head.project([x, y, surface(x, y) - 0.1]))
    .collect();
    painter.blob(&fringe, &dark);

    // The nose: the shadowed side, the wings, the highlights on the ridge and the tip.
    let turned = if head.yaw_rad > 0.0 { -1.0 } else { 1.0 };
    let flank = [
        points[51],
        at(turned * 0.13, -0.05, 0.02),
        at(turned * 0.24, 0.36, 0.06),
        points[57],
        points[54],
        points[53],
        points[52],
    ];
    painter.blob(&flank, &Fill::Plain(shade, 0.22));
    painter.curve(&of(&[51, 52, 53]), 0.075 * unit, [1.0, 0.96, 0.92], 0.20);
    let tip = points[54];
    painter.ellipse(
        tip,
        0.10 * unit,
        0.075 * unit,
        0.0,
        &Fill::Radial {
            center: tip,
            radius: 0.10 * unit,
            inner: ([1.0, 0.97, 0.94], 0.38),
            outer: ([1.0, 0.97, 0.94], 0.0),
        },
    );
    for (i, side) in [(55, -1.0), (59, 1.0)] {
        let wing = [
            at(side * 0.19, 0.26, 0.14),
            (points[i].0, points[i].1 - 0.05 * unit),
            points[i],
            points[if i == 55 { 56 } else { 58 }],
        ];
        painter.curve(&wing, 0.030 * unit, shaded(*skin, 0.42), 0.75);
        let hole = points[if i == 55 { 56 } else { 58 }];
        painter.ellipse(
            (hole.0, hole.1 - 0.02 * unit),
            0.068 * unit,
            0.032 * unit,
            head.roll_rad,
            &Fill::Plain([0.16, 0.08, 0.07], 0.85),
        );
    }
    painter.curve(&range(55, 59), 0.022 * unit, shaded(*skin, 0.45), 0.7);

    // Eyes.
    for (first, pupil) in [(60, 96), (68, 97)] {
        let outline = range(first, first + 7);
        painter.blob(&outline, &Fill::Plain([0.93, 0.92, 0.90], 1.0));
        if expression.eyes > 0.15 {
            let center = points[pupil];
            let visible = Clip { lids: &outline };
            for (radius, color) in [(0.105, shaded(*iris, 0.55)), (0.092, *iris), (0.048, [0.03, 0.02, 0.02])] {
                painter.polygon(&visible.disc(center, radius * unit), &Fill::Plain(color, 1.0));
            }
            let spark = (center.0 - 0.03 * unit, center.1 - 0.035 * unit);
            painter.polygon(&visible.disc(spark, 0.018 * unit), &Fill::Plain([1.0; 3], 0.95));
        }
        let upper = &outline[..5];
        let above: Vec<_> = upper.iter().map(|(x, y)| (*x, y + 0.012 * unit)).collect();
        painter.curve(&above, 0.045 * unit, [0.0; 3], 0.25);
        painter.curve(upper, 0.034 * unit, [0.09, 0.06, 0.05], 0.95);
        let fold: Vec<_> = upper.iter().map(|(x, y)| (*x, y - 0.075 * unit)).collect();
        painter.curve(&fold, 0.018 * unit, shade, 0.65);
        let lower = [outline[4], outline[5], outline[6], outline[7], outline[0]];
        painter.curve(&lower, 0.014 * unit, shaded(*skin, 0.45), 0.8);
    }

    // Brows.
    for brow in [33..=41, 42..=50] {
        painter.blob(&points[brow], &Fill::Plain(shaded(*hair, 0.9), 0.88));
    }

    // The mouth: lips, the dark interior with teeth, the line between the lips.
    let lip = Fill::Linear {
        from: points[79],
        to: points[85],
        first: (shaded(*lips, 0.88), 1.0),
        last: (shaded(*lips, 1.12), 1.0),
    };
    painter.blob(&range(76, 87), &lip);
    let inside = range(88, 95);
    painter.blob(&inside, &Fill::Plain([0.20, 0.06, 0.06], 1.0));
    if expression.mouth > 0.25 {
        let down = |p: (f32, f32), share: f32| {
            let low = points[94];
            (p.0 + share * 0.1 * (low.0 - p.0), p.1 + share * (low.1 - points[90].1))
        };
        let teeth =
            [points[89], points[90], points[91], down(points[91], 0.3), down(points[90], 0.36), down(points[89], 0.3)];
        painter.blob(&teeth, &Fill::Plain([0.92, 0.90, 0.86], 0.95));
    }
    painter.curve(&of(&[88, 89, 90, 91, 92]), 0.020 * unit, shaded(*lips, 0.42), 0.9);
    let sheen = [
        at(-0.12, 0.89 + 0.24 * expression.mouth, 0.07),
        at(0.0, 0.90 + 0.26 * expression.mouth, 0.07),
        at(0.12, 0.89 + 0.24 * expression.mouth, 0.07),
    ];
    painter.curve(&sheen, 0.035 * unit, [1.0, 0.9, 0.88], 0.22);

    // The canvas puts pixel centres at half-integers.
    points.map(|(x, y)| Point::new(x - 0.5, y - 0.5))
}

/// The region of the eye between the lids.
struct Clip<'a> {
    lids: &'a [(f32, f32)],
}

impl Clip<'_> {
    /// A disc; where it extends beyond the lids, its edge is moved onto them.
    fn disc(&self, center: (f32, f32), radius: f32) -> Vec<(f32, f32)> {
        (0..32)
            .map(|i| {
                let (s, c) = (i as f32 * std::f32::consts::TAU / 32.0).sin_cos();
                let mut reach = radius;
                let inside = |r: f32| contains(self.lids, (center.0 + r * c, center.1 + r * s));
                if !inside(reach) {
                    let (mut low, mut high) = (0.0, radius);
                    for _ in 0..7 {
                        let middle = 0.5 * (low + high);
                        if inside(middle) { low = middle } else { high = middle }
                    }
                    reach = low;
                }
                (center.0 + reach * c, center.1 + reach * s)
            })
            .collect()
    }
}

/// Whether a polygon contains a point (even-odd rule).
fn contains(polygon: &[(f32, f32)], (x, y): (f32, f32)) -> bool {
    let mut inside = false;
    for (i, &(x0, y0)) in polygon.iter().enumerate() {
        let (x1, y1) = polygon[(i + 1) % polygon.len()];
        if (y0 > y) != (y1 > y) && x < x0 + (y - y0) / (y1 - y0) * (x1 - x0) {
            inside = !inside;
        }
    }
    inside
}
