//! Filled shapes with soft shading on a canvas.

use crate::runtime::image::Frame;
use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Paint, PathBuilder, Pixmap, Point,
    RadialGradient, Shader, SpreadMode, Stroke, Transform,
};

pub(super) type Rgb = [f32; 3];

pub(super) struct Painter {
    canvas: Pixmap,
}

/// A colour made lighter (factors above 1) or darker.
pub(super) fn shaded(color: Rgb, factor: f32) -> Rgb {
    color.map(|v| (v * factor).min(1.0))
}

fn rgba(color: Rgb, alpha: f32) -> Color {
    let cut = |v: f32| v.clamp(0.0, 1.0);
    Color::from_rgba(cut(color[0]), cut(color[1]), cut(color[2]), cut(alpha)).unwrap_or(Color::BLACK)
}

/// The fill of a shape.
pub(super) enum Fill {
    Plain(Rgb, f32),
    /// Radial gradient from the centre: colours and opacities at the centre and at the radius.
    Radial {
        center: (f32, f32),
        radius: f32,
        inner: (Rgb, f32),
        outer: (Rgb, f32),
    },
    /// Linear gradient between two points.
    Linear {
        from: (f32, f32),
        to: (f32, f32),
        first: (Rgb, f32),
        last: (Rgb, f32),
    },
}

impl Painter {
    pub fn new(width: usize, height: usize) -> Option<Self> {
        Some(Self { canvas: Pixmap::new(width as u32, height as u32)? })
    }

    pub fn wall(&mut self) {
        let (w, h) = (self.canvas.width() as f32, self.canvas.height() as f32);
        self.canvas.fill(rgba([0.42, 0.47, 0.52], 1.0));
        let all = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)];
        let light = Fill::Radial {
            center: (0.3 * w, 0.25 * h),
            radius: 0.9 * w.max(h),
            inner: ([0.72, 0.74, 0.74], 1.0),
            outer: ([0.25, 0.29, 0.35], 1.0),
        };
        self.polygon(&all, &light);
    }

    pub fn copy_to(&self, frame: &mut Frame) {
        for (to, from) in frame.rgb_mut().chunks_exact_mut(3).zip(self.canvas.data().chunks_exact(4)) {
            to.copy_from_slice(&from[..3]);
        }
    }

    fn paint(fill: &Fill) -> Paint<'static> {
        let point = |(x, y): (f32, f32)| Point::from_xy(x, y);
        let stops = |a: &(Rgb, f32), b: &(Rgb, f32)| {
            vec![GradientStop::new(0.0, rgba(a.0, a.1)), GradientStop::new(1.0, rgba(b.0, b.1))]
        };
        let shader = match fill {
            Fill::Plain(color, alpha) => Some(Shader::SolidColor(rgba(*color, *alpha))),
            Fill::Radial { center, radius, inner, outer } => RadialGradient::new(
                point(*center),
                point(*center),
                radius.max(0.1),
                stops(inner, outer),
                SpreadMode::Pad,
                Transform::identity(),
            ),
            Fill::Linear { from, to, first, last } => LinearGradient::new(
                point(*from),
                point(*to),
                stops(first, last),
                SpreadMode::Pad,
                Transform::identity(),
            ),
        };
        Paint { shader: shader.unwrap_or(Shader::SolidColor(Color::TRANSPARENT)), anti_alias: true, ..Paint::default() }
    }

    pub fn polygon(&mut self, points: &[(f32, f32)], fill: &Fill) {
        let mut path = PathBuilder::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        path.close();
        if let Some(path) = path.finish() {
            self.canvas.fill_path(&path, &Self::paint(fill), FillRule::Winding, Transform::identity(), None);
        }
    }

    /// A closed smooth curve through the points.
    pub fn blob(&mut self, points: &[(f32, f32)], fill: &Fill) {
        self.polygon(&smooth(points, true), fill);
    }

    pub fn ellipse(&mut self, center: (f32, f32), rx: f32, ry: f32, angle_rad: f32, fill: &Fill) {
        let (sin, cos) = angle_rad.sin_cos();
        let points: Vec<_> = (0..40)
            .map(|i| {
                let (s, c) = (i as f32 * std::f32::consts::TAU / 40.0).sin_cos();
                let (x, y) = (rx * c, ry * s);
                (center.0 + cos * x - sin * y, center.1 + sin * x + cos * y)
            })
            .collect();
        self.polygon(&points, fill);
    }

    /// An open smooth curve through the points.
    pub fn curve(&mut self, points: &[(f32, f32)], width: f32, color: Rgb, alpha: f32) {
        let mut path = PathBuilder::new();
        for (i, (x, y)) in smooth(points, false).into_iter().enumerate() {
            if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        if let Some(path) = path.finish() {
            let paint = Self::paint(&Fill::Plain(color, alpha));
            self.canvas.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
    }
}

/// A Catmull-Rom curve through the points.
fn smooth(points: &[(f32, f32)], closed: bool) -> Vec<(f32, f32)> {
    const STEPS: usize = 6;
    let n = points.len() as isize;
    let at = |i: isize| points[(if closed { i.rem_euclid(n) } else { i.clamp(0, n - 1) }) as usize];
    let mut out = Vec::new();
    for i in 0..if closed { n } else { n - 1 } {
        let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        for k in 0..STEPS {
            let t = k as f32 / STEPS as f32;
            let mix = |a: f32, b: f32, c: f32, d: f32| {
                b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
            };
            out.push((mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1)));
        }
    }
    if !closed {
        out.extend(points.last());
    }
    out
}
