//! Paints one face: projects its landmarks to pixels, and draws everything around them.

use super::head::{Expression, Head, Identity, solid, surface};
use super::paint::{Fill, Painter, Rgb, shaded};
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::WFLW_POINTS;

/// Draws the person and returns the landmarks in pixels.
pub(super) fn draw(
    painter: &mut Painter,
    identity: &Identity,
    head: &Head,
    expression: &Expression,
) -> [Point<FrameSpace>; WFLW_POINTS] {
    let solid = solid(identity, expression);
    let mut points = solid.map(|p| head.project(p));
    for (point, &[x, y, _]) in points.iter_mut().zip(&solid).take(OUTLINE) {
        *point = edge(head, x, y, OUTLINE_LIFT);
    }
    let mut drawing = Drawing { painter, identity, head, expression, points };
    drawing.body_and_neck();
    drawing.hair_and_ears();
    drawing.skin();
    drawing.fringe();
    drawing.nose();
    drawing.eyes();
    drawing.brows();
    drawing.mouth();
    // The canvas puts pixel centres at half-integers.
    points.map(|(x, y)| Point::new(x - 0.5, y - 0.5))
}

/// Number of landmarks on the outline.
const OUTLINE: usize = 33;
/// The distance of the outline in front of the face's surface.
const OUTLINE_LIFT: f32 = -0.01;

/// The visible end of the face at height `y` on the side of `x`: `x`, or nearer to the middle if the cheek hides that.
fn edge(head: &Head, x: f32, y: f32, lift: f32) -> (f32, f32) {
    const STEPS: i32 = 24;
    let (sin, cos) = head.roll_rad.sin_cos();
    let outwards = |p: &(f32, f32)| (p.0 * cos + p.1 * sin) * x;
    let row = (0..=STEPS).map(|i| {
        let x = x * i as f32 / STEPS as f32;
        head.project([x, y, surface(x, y) + lift])
    });
    row.max_by(|a, b| outwards(a).total_cmp(&outwards(b))).unwrap_or_default()
}

/// A face while it is painted, from the back to the front.
struct Drawing<'a> {
    painter: &'a mut Painter,
    identity: &'a Identity,
    head: &'a Head,
    expression: &'a Expression,
    /// The landmarks in pixels of the canvas.
    points: [(f32, f32); WFLW_POINTS],
}

impl Drawing<'_> {
    /// A point of head space that lies `lift` in front of the face's surface, in pixels.
    fn at(&self, x: f32, y: f32, lift: f32) -> (f32, f32) {
        self.head.project([x, y, surface(x, y) + lift])
    }

    /// As [`Self::at`], but where the face seems to end if it hides the point.
    fn edge(&self, x: f32, y: f32, lift: f32) -> (f32, f32) {
        edge(self.head, x, y, lift)
    }

    /// The visible share of the surface at `x`, 0..=1: the far cheek turns away.
    fn seen(&self, x: f32) -> f32 {
        const TURNS_AWAY: f32 = 5.0;
        (1.0 - TURNS_AWAY * (x * self.head.yaw_rad.sin()).max(0.0)).max(0.0)
    }

    /// A point of the body, which stays still when the head turns.
    fn body(&self, x: f32, y: f32) -> (f32, f32) {
        (self.head.center.0 + self.head.scale * x, self.head.center.1 + self.head.scale * y)
    }

    fn of(&self, indices: &[usize]) -> Vec<(f32, f32)> {
        indices.iter().map(|&i| self.points[i]).collect()
    }

    fn range(&self, from: usize, to: usize) -> Vec<(f32, f32)> {
        self.points[from..=to].to_vec()
    }

    /// The colour of shadows on the skin.
    fn shade(&self) -> Rgb {
        shaded(self.identity.skin, 0.45)
    }

    fn hair(&self) -> Fill {
        Fill::Radial {
            center: self.at(-0.3, -1.1, 0.0),
            radius: 2.0 * self.head.scale,
            inner: (shaded(self.identity.hair, 1.5), 1.0),
            outer: (shaded(self.identity.hair, 0.7), 1.0),
        }
    }

    /// An ellipse around a point of the face that fades out towards its edge.
    fn soft(&mut self, x: f32, y: f32, rx: f32, ry: f32, color: Rgb, alpha: f32) {
        let center = self.at(x, y, 0.0);
        let unit = self.head.scale;
        let alpha = alpha * self.seen(x);
        let fill = Fill::Radial { center, radius: rx.max(ry) * unit, inner: (color, alpha), outer: (color, 0.0) };
        self.painter.ellipse(center, rx * unit, ry * unit, self.head.roll_rad, &fill);
    }

    fn body_and_neck(&mut self) {
        // Shoulders and neck stay still when the head turns.
        let shoulders = [
            self.body(-2.3, 4.2),
            self.body(-2.1, 2.5),
            self.body(-1.3, 2.05),
            self.body(-0.5, 1.8),
            self.body(0.5, 1.8),
            self.body(1.3, 2.05),
            self.body(2.1, 2.5),
            self.body(2.3, 4.2),
        ];
        let cloth = Fill::Linear {
            from: self.body(-2.0, 2.0),
            to: self.body(2.0, 3.0),
            first: (shaded(self.identity.shirt, 1.25), 1.0),
            last: (shaded(self.identity.shirt, 0.6), 1.0),
        };
        self.painter.blob(&shoulders, &cloth);
        let neck = [
            self.body(-0.6, 0.8),
            self.body(0.6, 0.8),
            self.body(0.62, 1.9),
            self.body(0.2, 2.15),
            self.body(-0.2, 2.15),
            self.body(-0.62, 1.9),
        ];
        let shadow = Fill::Linear {
            from: self.body(0.0, 0.9),
            to: self.body(0.0, 2.1),
            first: (shaded(self.identity.skin, 0.5), 1.0),
            last: (shaded(self.identity.skin, 0.82), 1.0),
        };
        self.painter.blob(&neck, &shadow);
    }

    fn hair_and_ears(&mut self) {
        let unit = self.head.scale;
        // The hair behind, the ears, then the skin from the jaw to the forehead.
        let crown = self.head.project([0.0, -0.62, -0.35]);
        let dark = self.hair();
        self.painter.ellipse(crown, 1.16 * unit, 1.12 * unit, self.head.roll_rad, &dark);
        for side in [-1.0, 1.0] {
            let ear = self.head.project([side * 1.05, 0.05, -0.42]);
            self.painter.ellipse(
                ear,
                0.15 * unit,
                0.30 * unit,
                self.head.roll_rad,
                &Fill::Plain(shaded(self.identity.skin, 0.82), 1.0),
            );
            self.painter.ellipse(
                ear,
                0.08 * unit,
                0.19 * unit,
                self.head.roll_rad,
                &Fill::Plain(shaded(self.identity.skin, 0.66), 1.0),
            );
        }
    }

    fn skin(&mut self) {
        let unit = self.head.scale;
        let mut outline = self.range(0, 32);
        for (x, y) in
            [(0.97, -0.55), (0.82, -0.95), (0.45, -1.22), (0.0, -1.3), (-0.45, -1.22), (-0.82, -0.95), (-0.97, -0.55)]
        {
            outline.push(self.edge(x, y, -0.02));
        }
        let light = self.at(-0.28, -0.25, 0.0);
        let flesh = Fill::Radial {
            center: light,
            radius: 1.75 * unit,
            inner: (shaded(self.identity.skin, 1.07), 1.0),
            outer: (shaded(self.identity.skin, 0.66), 1.0),
        };
        self.painter.blob(&outline, &flesh);
        let shade = self.shade();
        for side in [-1.0, 1.0] {
            self.soft(side * 0.45, -0.24, 0.34, 0.27, shade, 0.42);
            self.soft(
                side * 0.56,
                0.38,
                0.36,
                0.33,
                [self.identity.skin[0], self.identity.skin[1] * 0.72, self.identity.skin[2] * 0.68],
                0.30,
            );
            self.soft(side * 0.66, 0.62, 0.24, 0.42, shade, 0.28);
        }
        self.soft(0.0, 1.08, 0.34, 0.12, shade, 0.40);
        self.soft(0.0, 1.25 * self.identity.chin, 0.25, 0.16, [1.0, 0.95, 0.9], 0.12);
        self.soft(0.0, -0.85, 0.55, 0.30, [1.0, 0.96, 0.92], 0.16);
    }

    fn fringe(&mut self) {
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
        .map(|(x, y)| self.edge(x, y, 0.02))
        .collect();
        self.painter.blob(&fringe, &self.hair());
    }

    fn nose(&mut self) {
        let unit = self.head.scale;
        let shade = self.shade();
        // The nose may stand out beyond the far cheek. Then the shadowed side, the wings, the highlights on the ridge
        // and the tip.
        let mut nose = self.of(&[51, 52, 53, 54, 57]);
        nose.push(self.at(0.0, -0.2, 0.0));
        self.painter.polygon(&nose, &Fill::Plain(shaded(self.identity.skin, 0.95), 1.0));
        let turned = if self.head.yaw_rad > 0.0 { -1.0 } else { 1.0 };
        let flank = [
            self.points[51],
            self.at(turned * 0.13, -0.05, 0.02),
            self.at(turned * 0.24, 0.36, 0.06),
            self.points[57],
            self.points[54],
            self.points[53],
            self.points[52],
        ];
        self.painter.blob(&flank, &Fill::Plain(shade, 0.22));
        self.painter.curve(&self.of(&[51, 52, 53]), 0.075 * unit, [1.0, 0.96, 0.92], 0.20);
        let tip = self.points[54];
        self.painter.ellipse(
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
                self.at(side * 0.19, 0.26, 0.14),
                (self.points[i].0, self.points[i].1 - 0.05 * unit),
                self.points[i],
                self.points[if i == 55 { 56 } else { 58 }],
            ];
            self.painter.curve(&wing, 0.030 * unit, shaded(self.identity.skin, 0.42), 0.75);
            let hole = self.points[if i == 55 { 56 } else { 58 }];
            self.painter.ellipse(
                (hole.0, hole.1 - 0.02 * unit),
                0.068 * unit,
                0.032 * unit,
                self.head.roll_rad,
                &Fill::Plain([0.16, 0.08, 0.07], 0.85),
            );
        }
        self.painter.curve(&self.range(55, 59), 0.022 * unit, shaded(self.identity.skin, 0.45), 0.7);
    }

    fn eyes(&mut self) {
        let unit = self.head.scale;
        let shade = self.shade();
        // Eyes.
        for (first, pupil) in [(60, 96), (68, 97)] {
            let outline = self.range(first, first + 7);
            self.painter.blob(&outline, &Fill::Plain([0.93, 0.92, 0.90], 1.0));
            if self.expression.eyes > 0.15 {
                let center = self.points[pupil];
                let visible = Clip { lids: &outline };
                for (radius, color) in [
                    (0.105, shaded(self.identity.iris, 0.55)),
                    (0.092, self.identity.iris),
                    (0.048, [0.03, 0.02, 0.02]),
                ] {
                    self.painter.polygon(&visible.disc(center, radius * unit), &Fill::Plain(color, 1.0));
                }
                let spark = (center.0 - 0.03 * unit, center.1 - 0.035 * unit);
                self.painter.polygon(&visible.disc(spark, 0.018 * unit), &Fill::Plain([1.0; 3], 0.95));
            }
            let upper = &outline[..5];
            let above: Vec<_> = upper.iter().map(|(x, y)| (*x, y + 0.012 * unit)).collect();
            self.painter.curve(&above, 0.045 * unit, [0.0; 3], 0.25);
            self.painter.curve(upper, 0.034 * unit, [0.09, 0.06, 0.05], 0.95);
            let fold: Vec<_> = upper.iter().map(|(x, y)| (*x, y - 0.075 * unit)).collect();
            self.painter.curve(&fold, 0.018 * unit, shade, 0.65);
            let lower = [outline[4], outline[5], outline[6], outline[7], outline[0]];
            self.painter.curve(&lower, 0.014 * unit, shaded(self.identity.skin, 0.45), 0.8);
        }
    }

    fn brows(&mut self) {
        // Brows.
        for brow in [33..=41, 42..=50] {
            self.painter.blob(&self.points[brow], &Fill::Plain(shaded(self.identity.hair, 0.9), 0.88));
        }
    }

    fn mouth(&mut self) {
        let unit = self.head.scale;
        // The mouth: lips, the dark interior with teeth, the line between the lips.
        let lip = Fill::Linear {
            from: self.points[79],
            to: self.points[85],
            first: (shaded(self.identity.lips, 0.88), 1.0),
            last: (shaded(self.identity.lips, 1.12), 1.0),
        };
        self.painter.blob(&self.range(76, 87), &lip);
        let inside = self.range(88, 95);
        self.painter.blob(&inside, &Fill::Plain([0.20, 0.06, 0.06], 1.0));
        if self.expression.mouth > 0.25 {
            let down = |p: (f32, f32), share: f32| {
                let low = self.points[94];
                (p.0 + share * 0.1 * (low.0 - p.0), p.1 + share * (low.1 - self.points[90].1))
            };
            let teeth = [
                self.points[89],
                self.points[90],
                self.points[91],
                down(self.points[91], 0.3),
                down(self.points[90], 0.36),
                down(self.points[89], 0.3),
            ];
            self.painter.blob(&teeth, &Fill::Plain([0.92, 0.90, 0.86], 0.95));
        }
        self.painter.curve(&self.of(&[88, 89, 90, 91, 92]), 0.020 * unit, shaded(self.identity.lips, 0.42), 0.9);
        let sheen = [
            self.at(-0.12, 0.89 + 0.24 * self.expression.mouth, 0.07),
            self.at(0.0, 0.90 + 0.26 * self.expression.mouth, 0.07),
            self.at(0.12, 0.89 + 0.24 * self.expression.mouth, 0.07),
        ];
        self.painter.curve(&sheen, 0.035 * unit, [1.0, 0.9, 0.88], 0.22);
    }
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
