//! Landmarks, boxes and text over a frame.
//!
//! In: a frame and faces in its pixels. The drawing is anti-aliased, its lines grow with the face, a dark halo keeps it
//! readable on any background, and a landmark that is not sure is faint. Points beyond the frame or not finite are left
//! out; nothing fails.

use crate::geometry::{FrameSpace, Point, Rect};
use crate::image::Frame;
use crate::landmarks::{Curve, WFLW_POINTS, WFLW98_OUTLINES};
use crate::text;
use tiny_skia::{Color, LineCap, LineJoin, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Stroke, Transform};

/// A face to draw.
#[derive(Clone, Copy, Debug)]
pub struct OverlayFace<'a> {
    pub id: u64,
    /// 0..=1.
    pub score: f32,
    pub rect: Rect<FrameSpace>,
    /// With 98 of them the outlines are drawn as curves, any other number as points.
    pub landmarks: &'a [Point<FrameSpace>],
    /// Of each landmark, 0..=1; it sets the opacity.
    pub confidence: &'a [f32],
}

/// What is drawn, and the canvas that it is drawn on.
pub struct Overlay {
    /// Connected outlines.
    pub curves: bool,
    /// A dot on each landmark.
    pub points: bool,
    /// Corners of the box, the number and the score.
    pub boxes: bool,
    canvas: Option<Pixmap>,
}

/// Line width over the face's longer side, and the thinnest and thickest line in pixels.
const LINE_OF_SIDE: f32 = 0.010;
const LINE_PIXELS: (f32, f32) = (1.1, 4.0);
/// How faint the least sure landmark is.
const FAINTEST: f32 = 0.15;
const PALETTE: [[u8; 3]; 5] = [[90, 220, 255], [255, 190, 70], [150, 255, 130], [255, 130, 200], [190, 160, 255]];

impl Default for Overlay {
    fn default() -> Self {
        Self::new()
    }
}

impl Overlay {
    /// Everything is drawn.
    pub fn new() -> Self {
        Self { curves: true, points: true, boxes: true, canvas: None }
    }

    /// Draws the faces over the frame.
    pub fn draw(&mut self, frame: &mut Frame, faces: &[OverlayFace<'_>]) {
        if faces.is_empty() || frame.width() == 0 || frame.height() == 0 {
            return;
        }
        let (width, height) = (frame.width() as u32, frame.height() as u32);
        let mut canvas = match self.canvas.take() {
            Some(canvas) if (canvas.width(), canvas.height()) == (width, height) => canvas,
            _ => match Pixmap::new(width, height) {
                Some(canvas) => canvas,
                None => return,
            },
        };
        canvas.fill(Color::TRANSPARENT);
        for face in faces {
            self.draw_face(&mut canvas, face);
        }
        blend(frame, &canvas);
        self.canvas = Some(canvas);
        if self.boxes {
            for face in faces.iter().filter(|f| f.rect.x.is_finite() && f.rect.y.is_finite()) {
                let label = format!("{}  {:.0} %", face.id, 100.0 * face.score);
                let size = (0.09 * face.rect.side()).clamp(11.0, 22.0);
                let (x, y) = (face.rect.x, face.rect.y - margin(face) - 1.4 * size);
                for (dx, dy) in [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)] {
                    text::draw(frame, x + dx, y + dy, size, [0, 0, 0], &label);
                }
                text::draw(frame, x, y, size, color(face.id), &label);
            }
        }
    }

    fn draw_face(&self, canvas: &mut Pixmap, face: &OverlayFace<'_>) {
        let side = face.rect.side();
        if !side.is_finite() || side <= 0.0 {
            return;
        }
        let line = (LINE_OF_SIDE * side).clamp(LINE_PIXELS.0, LINE_PIXELS.1);
        let opacity =
            |i: usize| FAINTEST + (1.0 - FAINTEST) * face.confidence.get(i).map_or(1.0, |c| c.clamp(0.0, 1.0));
        let rgb = color(face.id);
        // All halos first: they must not darken lines that are there.
        for halo in [true, false] {
            let (rgb, extra, strength) = if halo { ([0, 0, 0], 1.6, 0.45) } else { (rgb, 0.0, 1.0) };
            if self.curves && face.landmarks.len() == WFLW_POINTS {
                for curve in WFLW98_OUTLINES {
                    for (a, b) in segments(&curve) {
                        let (from, to) = (face.landmarks[a], face.landmarks[b]);
                        let alpha = strength * opacity(a).min(opacity(b));
                        stroke(canvas, &[(from.x, from.y), (to.x, to.y)], rgb, alpha, line + extra);
                    }
                }
            }
            if self.points {
                for (i, p) in face.landmarks.iter().enumerate().filter(|(_, p)| p.is_finite()) {
                    let rgb = if halo { rgb } else { [255, 255, 255] };
                    dot(canvas, *p, 0.75 * (line + extra), rgb, strength * opacity(i));
                }
            }
            if self.boxes {
                let margin = margin(face);
                let Rect { x, y, width, height, .. } = face.rect;
                let (left, top, right, bottom) = (x - margin, y - margin, x + width + margin, y + height + margin);
                let arm = 0.12 * side;
                for (x, y, dx, dy) in [
                    (left, top, arm, arm),
                    (right, top, -arm, arm),
                    (left, bottom, arm, -arm),
                    (right, bottom, -arm, -arm),
                ] {
                    stroke(canvas, &[(x + dx, y), (x, y), (x, y + dy)], rgb, 0.8 * strength, line + extra);
                }
            }
        }
    }

    /// Draws lines of text on a darkened panel in the upper left corner.
    pub fn hud(&self, frame: &mut Frame, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let size = (frame.height() as f32 / 34.0).clamp(12.0, 26.0);
        let width = lines.iter().map(|l| text::width(l, size)).fold(0.0, f32::max) + 1.2 * size;
        let height = lines.len() as f32 * 1.3 * size + 0.6 * size;
        let (frame_width, frame_height) = (frame.width(), frame.height());
        let (columns, rows) = ((width as usize).min(frame_width), (height as usize).min(frame_height));
        for row in frame.rgb_mut().chunks_exact_mut((frame_width * 3).max(1)).take(rows) {
            for value in &mut row[..columns * 3] {
                *value = (u16::from(*value) * 2 / 5) as u8;
            }
        }
        for (i, line) in lines.iter().enumerate() {
            text::draw(frame, 0.6 * size, 0.3 * size + i as f32 * 1.3 * size, size, [240, 240, 240], line);
        }
    }
}

/// Pixels between the landmarks' box and the corners drawn about it.
fn margin(face: &OverlayFace<'_>) -> f32 {
    0.06 * face.rect.side()
}

fn color(id: u64) -> [u8; 3] {
    PALETTE[(id.wrapping_sub(1) % PALETTE.len() as u64) as usize]
}

fn segments(curve: &Curve) -> impl Iterator<Item = (usize, usize)> {
    let points = curve.points;
    let count = if curve.closed { points.len() } else { points.len() - 1 };
    (0..count).map(move |i| (points[i], points[(i + 1) % points.len()]))
}

fn paint(rgb: [u8; 3], alpha: f32) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(rgb[0], rgb[1], rgb[2], (255.0 * alpha.clamp(0.0, 1.0)) as u8);
    paint
}

fn stroke(canvas: &mut Pixmap, points: &[(f32, f32)], rgb: [u8; 3], alpha: f32, width: f32) {
    // Far beyond any frame; the rasterizer wants numbers that it can handle.
    const FAR: f32 = 1e5;
    if points.iter().any(|(x, y)| !(x.abs() < FAR && y.abs() < FAR)) {
        return;
    }
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        // Pixel centres are at whole numbers here, at halves in the canvas.
        if i == 0 { path.move_to(x + 0.5, y + 0.5) } else { path.line_to(x + 0.5, y + 0.5) }
    }
    let Some(path) = path.finish() else { return };
    let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
    canvas.stroke_path(&path, &paint(rgb, alpha), &stroke, Transform::identity(), None);
}

fn dot(canvas: &mut Pixmap, at: Point<FrameSpace>, radius: f32, rgb: [u8; 3], alpha: f32) {
    stroke(canvas, &[(at.x, at.y), (at.x + 0.01, at.y)], rgb, alpha, 2.0 * radius);
}

fn blend(frame: &mut Frame, canvas: &Pixmap) {
    for (pixel, over) in frame.rgb_mut().chunks_exact_mut(3).zip(canvas.pixels()) {
        let over: &PremultipliedColorU8 = over;
        if over.alpha() == 0 {
            continue;
        }
        let rest = 255 - u16::from(over.alpha());
        for (value, new) in pixel.iter_mut().zip([over.red(), over.green(), over.blue()]) {
            *value = (u16::from(*value) * rest / 255 + u16::from(new)).min(255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_lies_on_its_landmark_and_an_unsure_one_is_faint() {
        let mut overlay = Overlay { curves: false, boxes: false, ..Overlay::new() };
        let landmarks = [Point::new(30.0, 40.0), Point::new(70.0, 40.0)];
        let confidence = [1.0, 0.0];
        let rect = Rect::new(0.0, 0.0, 100.0, 100.0);
        let mut frame = Frame::filled(100, 80, [0, 0, 0]);
        overlay.draw(
            &mut frame,
            &[OverlayFace { id: 1, score: 1.0, rect, landmarks: &landmarks, confidence: &confidence }],
        );
        let at = |x: usize, y: usize| frame.rgb()[(y * 100 + x) * 3];
        assert!(at(30, 40) > 220, "{}", at(30, 40));
        assert!((1..80).contains(&at(70, 40)), "{}", at(70, 40));
        assert_eq!(at(50, 40), 0);
    }

    #[test]
    fn faces_beyond_the_frame_and_numbers_that_are_none_do_no_harm() {
        let mut overlay = Overlay::new();
        let mut frame = Frame::filled(64, 48, [9, 9, 9]);
        let mut landmarks = vec![Point::new(f32::NAN, 3.0); 98];
        landmarks[5] = Point::new(1e9, -1e9);
        landmarks[6] = Point::new(-300.0, 20.0);
        for rect in [Rect::new(-500.0, -500.0, 900.0, 900.0), Rect::new(f32::NAN, 0.0, 1.0, 1.0)] {
            overlay
                .draw(&mut frame, &[OverlayFace { id: 0, score: 0.5, rect, landmarks: &landmarks, confidence: &[] }]);
        }
        overlay.hud(&mut frame, &["a line that is much longer than the frame is wide".into()]);
    }
}
