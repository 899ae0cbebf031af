//! Anti-aliased strokes whose opacity changes along their length, with a soft dark rim that keeps them readable on any
//! background.
//!
//! In: segments in pixels of the canvas. Out: the canvas with all of them in one colour. If several overlap, the
//! largest coverage counts, so joints of faint strokes show no dots; paths of a drawing library have one opacity each,
//! and strokes drawn one by one would darken each other. Strokes that are not finite or far away are left out.

use super::canvas::cover;
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::image::Frame;

/// Opacity of the rim beside a stroke.
const RIM: f32 = 0.42;
const RIM_COLOR: [u8; 3] = [0; 3];
/// Coordinates beyond this lie on no canvas.
const FAR: f32 = 1e5;

/// The coverage of strokes, of the size of the canvas.
#[derive(Default)]
pub struct Ink {
    width: usize,
    height: usize,
    /// Of every pixel: its coverage by strokes and by their rims, in 1/255. All 0 between two drawings.
    cover: Vec<[u8; 2]>,
    /// Columns and rows with strokes: from, until.
    used: Option<[usize; 4]>,
}

/// An end of a stroke.
#[derive(Clone, Copy, Debug)]
pub struct StrokeEnd {
    pub at: Point<CanvasSpace>,
    /// 0..=1.
    pub opacity: f32,
}

impl Ink {
    /// Takes the size of the canvas.
    pub fn begin(&mut self, width: usize, height: usize) {
        if (self.width, self.height) != (width, height) {
            (self.width, self.height) = (width, height);
            self.cover.clear();
            self.cover.resize(width * height, [0; 2]);
            self.used = None;
        }
    }

    /// Adds a stroke `thickness` pixels wide with round ends and a rim of `rim` pixels; with both ends at one place, a
    /// dot.
    pub fn stroke(&mut self, from: StrokeEnd, to: StrokeEnd, thickness: f32, rim: f32) {
        let (a, b) = (from.at, to.at);
        if ![a.x, a.y, b.x, b.y].iter().all(|v| v.abs() < FAR) {
            return;
        }
        let radius = 0.5 * thickness;
        let reach = radius + rim.max(0.5) + 1.0;
        let columns = range(a.x.min(b.x) - reach, a.x.max(b.x) + reach, self.width);
        let rows = range(a.y.min(b.y) - reach, a.y.max(b.y) + reach, self.height);
        if columns.is_empty() || rows.is_empty() {
            return;
        }
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let square = (dx * dx + dy * dy).max(1e-12);
        for y in rows.clone() {
            let py = y as f32 - a.y;
            let line = &mut self.cover[y * self.width..][columns.clone()];
            for (x, cover) in columns.clone().zip(line) {
                let px = x as f32 - a.x;
                let along = ((px * dx + py * dy) / square).clamp(0.0, 1.0);
                let distance = (px - along * dx).hypot(py - along * dy);
                let opacity = 255.0 * (from.opacity + (to.opacity - from.opacity) * along);
                let inside = (radius + 0.5 - distance).clamp(0.0, 1.0);
                let near = (1.0 - (distance - radius) / rim).clamp(0.0, 1.0);
                cover[0] = cover[0].max((opacity * inside) as u8);
                cover[1] = cover[1].max((RIM * opacity * near) as u8);
            }
        }
        let [x0, y0, x1, y1] = self.used.unwrap_or([usize::MAX, usize::MAX, 0, 0]);
        self.used = Some([x0.min(columns.start), y0.min(rows.start), x1.max(columns.end), y1.max(rows.end)]);
    }

    /// Draws all strokes onto the canvas and forgets them.
    pub fn draw(&mut self, canvas: &mut Frame, color: [u8; 3]) {
        let Some([x0, y0, x1, y1]) = self.used.take() else { return };
        let lines = canvas.rgb_mut().chunks_exact_mut(self.width * 3).zip(self.cover.chunks_exact_mut(self.width));
        for (line, covers) in lines.take(y1).skip(y0) {
            let pixels = &mut line.as_chunks_mut::<3>().0[x0..x1];
            for (pixel, covered) in pixels.iter_mut().zip(&mut covers[x0..x1]) {
                let [stroke, rim] = std::mem::take(covered);
                if rim > 0 {
                    cover(pixel, RIM_COLOR, f32::from(rim) / 255.0);
                }
                if stroke > 0 {
                    cover(pixel, color, f32::from(stroke) / 255.0);
                }
            }
        }
    }
}

/// The pixels of `0..count` between two places.
fn range(from: f32, to: f32, count: usize) -> std::ops::Range<usize> {
    let from = (from.ceil().max(0.0) as usize).min(count);
    from..(to.floor().max(-1.0) as isize + 1).clamp(from as isize, count as isize) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(x: f32, y: f32, opacity: f32) -> StrokeEnd {
        StrokeEnd { at: Point::new(x, y), opacity }
    }

    #[test]
    fn a_stroke_covers_as_much_as_it_is_wide_and_long_wherever_it_lies() {
        for (x, y) in [(10.0, 10.0), (10.3, 10.5), (9.8, 10.1)] {
            let mut ink = Ink::default();
            let mut canvas = Frame::filled(60, 60, [0; 3]);
            ink.begin(60, 60);
            ink.stroke(end(x, y, 1.0), end(x + 30.0, y + 20.0, 1.0), 3.0, 2.0);
            ink.draw(&mut canvas, [255; 3]);
            let light: f32 = canvas.rgb().chunks_exact(3).map(|p| f32::from(p[0]) / 255.0).sum();
            let area = 30.0_f32.hypot(20.0) * 3.0 + std::f32::consts::PI * 1.5 * 1.5;
            assert!((light - area).abs() < 0.03 * area, "{light} instead of {area}");
        }
    }

    #[test]
    fn joints_of_faint_strokes_are_no_darker_than_the_strokes() {
        let mut ink = Ink::default();
        let mut canvas = Frame::filled(60, 20, [0; 3]);
        ink.begin(60, 20);
        for x in [10.0, 20.0, 30.0] {
            ink.stroke(end(x, 10.0, 0.4), end(x + 10.0, 10.0, 0.4), 3.0, 2.0);
        }
        ink.draw(&mut canvas, [255; 3]);
        let along: Vec<u8> = (12..38).map(|x| canvas.rgb()[(10 * 60 + x) * 3]).collect();
        assert!(along.iter().all(|v| *v == along[0] && (95..=110).contains(v)), "{along:?}");
        let empty = canvas.clone();
        ink.draw(&mut canvas, [255; 3]);
        assert_eq!(canvas, empty, "what was drawn is forgotten");
    }

    #[test]
    fn what_is_no_place_on_the_canvas_is_left_out() {
        let mut ink = Ink::default();
        let mut canvas = Frame::filled(20, 20, [7; 3]);
        ink.begin(20, 20);
        for place in [f32::NAN, f32::INFINITY, -1e9, 1e9, -40.0, 60.0] {
            ink.stroke(end(place, place, 1.0), end(place, place, 1.0), 3.0, 2.0);
        }
        ink.draw(&mut canvas, [255; 3]);
        assert_eq!(canvas, Frame::filled(20, 20, [7; 3]));
    }
}
