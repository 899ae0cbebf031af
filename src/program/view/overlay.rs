//! Landmarks, curves, boxes and numbers of faces over the picture.
//!
//! In: a canvas with a frame drawn on it, and faces in pixels of that frame. The drawing is made in pixels of the
//! canvas, so it is as sharp as the canvas is. Lines grow with the face, a dark rim keeps them readable on any background,
//! and landmarks of low confidence are faint. Points that are not finite or far outside the canvas are left out; nothing
//! fails.

use super::canvas::Placement;
use super::ink::{Ink, StrokeEnd};
use super::panel;
use crate::runtime::geometry::{CanvasSpace, FrameSpace, Point, Rect};
use crate::runtime::image::Frame;
use crate::runtime::landmarks::{Curve, Scheme};
use crate::runtime::track::Face;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Smooth outlines.
    pub curves: bool,
    /// A dot on each landmark.
    pub points: bool,
    /// Corners of the box, the number and the score.
    pub boxes: bool,
}

impl Default for Layers {
    /// Everything.
    fn default() -> Self {
        Self { curves: true, points: true, boxes: true }
    }
}

/// Draws faces. It keeps its memory from frame to frame.
pub struct Overlay {
    pub layers: Layers,
    /// 2 for a screen with twice as many pixels for the same size.
    pub scale: f32,
    ink: Ink,
    places: Vec<StrokeEnd>,
}

/// Line width over the face's longer side ...
const LINE_OF_SIDE: f32 = 0.008;
/// ... and its thinnest and thickest, over the height of the text.
const LINE_OF_TEXT: (f32, f32) = (0.085, 0.22);
/// A dot's diameter in line widths.
const DOT: f32 = 1.7;
/// Width of the dark rim over the height of the text.
const RIM_OF_TEXT: f32 = 0.16;
/// The opacity of a landmark of confidence 0.
const FAINTEST: f32 = 0.12;
const PALETTE: [[u8; 3]; 6] =
    [[90, 220, 255], [255, 196, 84], [150, 255, 140], [255, 140, 205], [196, 168, 255], [255, 150, 120]];
const DOT_COLOR: [u8; 3] = [255; 3];
/// Pixels between two corners of a smooth curve.
const STEP: f32 = 5.0;
/// Where a curve turns by more than this it has a corner, as at the ends of the lids and lips.
const CORNER_COSINE: f32 = 0.55;
/// The corners of the box: length of an arm and distance from the landmarks, over the face's longer side.
const BOX_ARM: f32 = 0.11;
const BOX_MARGIN: f32 = 0.06;
const BOX_OPACITY: f32 = 0.85;

impl Default for Overlay {
    fn default() -> Self {
        Self { layers: Layers::default(), scale: 1.0, ink: Ink::default(), places: Vec::new() }
    }
}

impl Overlay {
    /// Draws the faces over the frame, which lies at `placement` on the canvas.
    pub fn draw(&mut self, canvas: &mut Frame, placement: &Placement, faces: &[Face]) {
        if canvas.width() == 0 || canvas.height() == 0 {
            return;
        }
        self.ink.begin(canvas.width(), canvas.height());
        let text = panel::text_size(canvas, self.scale);
        for face in faces {
            let side = face.rect.side() * placement.scale();
            if side.is_finite() && side > 0.0 {
                let line = (LINE_OF_SIDE * side).clamp(LINE_OF_TEXT.0 * text, LINE_OF_TEXT.1 * text);
                self.draw_face(canvas, placement, face, line, text);
            }
        }
    }

    fn draw_face(&mut self, canvas: &mut Frame, placement: &Placement, face: &Face, line: f32, text: f32) {
        let rim = RIM_OF_TEXT * text;
        let color = color_of(face.id);
        self.places.clear();
        self.places.extend(face.landmarks.iter().map(|landmark| {
            let opacity = FAINTEST + (1.0 - FAINTEST) * landmark.confidence.clamp(0.0, 1.0);
            StrokeEnd { at: placement.canvas_from_frame(landmark.point), opacity }
        }));
        if self.layers.curves {
            for curve in Scheme::of_points(self.places.len()).map_or(&[][..], Scheme::outlines) {
                smooth(curve, &self.places, |from, to| self.ink.stroke(from, to, line, rim));
            }
            self.ink.draw(canvas, color);
        }
        if self.layers.points {
            for &place in &self.places {
                self.ink.stroke(place, place, DOT * line, rim);
            }
            self.ink.draw(canvas, DOT_COLOR);
        }
        if self.layers.boxes {
            let corners = box_about(placement, &face.rect);
            let arm = BOX_ARM * face.rect.side() * placement.scale();
            let [(left, top), (right, bottom)] = corners;
            for (x, y, dx, dy) in
                [(left, top, arm, arm), (right, top, -arm, arm), (left, bottom, arm, -arm), (right, bottom, -arm, -arm)]
            {
                let end = |x: f32, y: f32| StrokeEnd { at: Point::new(x, y), opacity: BOX_OPACITY };
                self.ink.stroke(end(x + dx, y), end(x, y), line, rim);
                self.ink.stroke(end(x, y), end(x, y + dy), line, rim);
            }
            self.ink.draw(canvas, color);
            let label = format!("{}  {:.0} %", face.id, 100.0 * face.score);
            panel::label(canvas, (left, top), text, color, &label);
        }
    }
}

/// The left upper and the right lower corner of the box that is drawn about a face.
fn box_about(placement: &Placement, rect: &Rect<FrameSpace>) -> [(f32, f32); 2] {
    let margin = BOX_MARGIN * rect.side();
    let a = placement.canvas_from_frame(Point::new(rect.x - margin, rect.y - margin));
    let b = placement.canvas_from_frame(Point::new(rect.x + rect.width + margin, rect.y + rect.height + margin));
    [(a.x.min(b.x), a.y.min(b.y)), (a.x.max(b.x), a.y.max(b.y))]
}

/// The colour of the face with this number.
fn color_of(id: u64) -> [u8; 3] {
    PALETTE[(id.wrapping_sub(1) % PALETTE.len() as u64) as usize]
}

/// A cubic through the points of the curve (Catmull-Rom), in short pieces; corners stay corners.
pub fn smooth(curve: &Curve, places: &[StrokeEnd], mut piece: impl FnMut(StrokeEnd, StrokeEnd)) {
    let count = curve.points.len();
    let at = |i: isize| -> Option<StrokeEnd> {
        let index = if curve.closed {
            i.rem_euclid(count as isize) as usize
        } else {
            usize::try_from(i).ok().filter(|i| *i < count)?
        };
        places.get(curve.points[index]).copied()
    };
    let tangent = |i: isize| -> (f32, f32) {
        let (Some(before), Some(here), Some(after)) = (at(i - 1), at(i), at(i + 1)) else { return (0.0, 0.0) };
        let (a, b) = (difference(here.at, before.at), difference(after.at, here.at));
        let cosine = (a.0 * b.0 + a.1 * b.1) / (a.0.hypot(a.1) * b.0.hypot(b.1));
        if cosine > CORNER_COSINE { (0.5 * (a.0 + b.0), 0.5 * (a.1 + b.1)) } else { (0.0, 0.0) }
    };
    let sections = if curve.closed { count } else { count.saturating_sub(1) };
    for i in 0..sections as isize {
        let (Some(from), Some(to)) = (at(i), at(i + 1)) else { continue };
        let (start, end) = (tangent(i), tangent(i + 1));
        let pieces = (from.at.distance(to.at) / STEP).clamp(1.0, 64.0).ceil() as usize;
        let mut last = from;
        for k in 1..=pieces {
            let t = k as f32 / pieces as f32;
            let next = StrokeEnd {
                at: Point::new(
                    hermite(t, from.at.x, to.at.x, start.0, end.0),
                    hermite(t, from.at.y, to.at.y, start.1, end.1),
                ),
                opacity: from.opacity + (to.opacity - from.opacity) * t,
            };
            piece(last, next);
            last = next;
        }
    }
}

fn difference(to: Point<CanvasSpace>, from: Point<CanvasSpace>) -> (f32, f32) {
    (to.x - from.x, to.y - from.y)
}

/// The cubic from `a` to `b` with these slopes at its ends, at `t` in 0..=1.
fn hermite(t: f32, a: f32, b: f32, start: f32, end: f32) -> f32 {
    let (square, cube) = (t * t, t * t * t);
    a * (2.0 * cube - 3.0 * square + 1.0)
        + start * (cube - 2.0 * square + t)
        + b * (3.0 * square - 2.0 * cube)
        + end * (cube - square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::landmarks::Landmark;

    fn draw(layers: Layers, size: (usize, usize), face: &Face) -> Frame {
        let mut overlay = Overlay { layers, ..Overlay::default() };
        let mut canvas = Frame::filled(size.0, size.1, [0; 3]);
        overlay.draw(&mut canvas, &Placement::fit((100, 80), size, false), std::slice::from_ref(face));
        canvas
    }

    #[test]
    fn a_dot_lies_on_its_landmark_at_any_size_and_an_unsure_one_is_faint() {
        let landmark = |x: f32, confidence: f32| Landmark { point: Point::new(x, 40.0), confidence };
        let landmarks = vec![landmark(30.0, 1.0), landmark(70.0, 0.0)];
        let face = Face { id: 1, score: 1.0, rect: Rect::new(0.0, 0.0, 100.0, 100.0), landmarks };
        let layers = Layers { points: true, curves: false, boxes: false };
        for scale in [1, 2, 5] {
            let canvas = draw(layers, (100 * scale, 80 * scale), &face);
            let at = |x: usize, y: usize| {
                let centre = |v: usize| v * scale + scale / 2;
                canvas.rgb()[(centre(y) * canvas.width() + centre(x)) * 3]
            };
            assert!(at(30, 40) > 200, "{}", at(30, 40));
            assert!((1..80).contains(&at(70, 40)), "{}", at(70, 40));
            assert_eq!(at(50, 40), 0);
        }
    }

    #[test]
    fn a_curve_goes_through_its_points_and_keeps_its_corners() {
        let place = |x: f32, y: f32| StrokeEnd { at: Point::new(x, y), opacity: 1.0 };
        let places = [place(0.0, 0.0), place(30.0, 20.0), place(60.0, 0.0), place(30.0, -20.0)];
        let curve = Curve { name: "an eye", points: &[0, 1, 2, 3], closed: true };
        let mut pieces = Vec::new();
        smooth(&curve, &places, |from, to| pieces.push((from.at, to.at)));
        for p in places {
            assert!(pieces.iter().any(|(_, to)| to.distance(p.at) < 1e-3), "{p:?}");
        }
        // Corners: nothing lies left or right of them.
        assert!(pieces.iter().all(|(_, to)| to.x > -1e-3 && to.x < 60.001));
        assert!(pieces.windows(2).all(|w| w[0].1.distance(w[1].0) < 1e-3), "it is in one piece");
    }

    #[test]
    fn faces_beyond_the_frame_and_numbers_that_are_none_do_no_harm() {
        let landmark = |x: f32, y: f32| Landmark { point: Point::new(x, y), confidence: 1.0 };
        let mut landmarks = vec![landmark(f32::NAN, 3.0); 98];
        landmarks[5] = landmark(1e9, -1e9);
        landmarks[6] = landmark(-300.0, 20.0);
        for rect in [Rect::new(-500.0, -500.0, 900.0, 900.0), Rect::new(f32::NAN, 0.0, 1.0, 1.0)] {
            for size in [(64, 48), (1, 1), (0, 0)] {
                let face = Face { id: 0, score: 0.5, rect, landmarks: landmarks.clone() };
                draw(Layers::default(), size, &face);
            }
        }
    }
}
