//! Landmarks, curves, boxes and numbers of faces over the picture.
//!
//! In: a canvas with a frame drawn on it, and faces in pixels of that frame. Everything is drawn at the canvas's
//! resolution. Lines, dots and labels scale with the face on the canvas, a dark rim keeps them readable on any
//! background, and landmarks with low confidence are faint. Points that are not finite or far outside the canvas are
//! left out; nothing fails.

use super::canvas::Placement;
use super::ink::{Ink, StrokeEnd};
use super::{gauges, palette, panel};
use crate::runtime::geometry::{CanvasSpace, FrameSpace, Point, Rect};
use crate::runtime::image::Frame;
use crate::runtime::landmarks::{Curve, Scheme};
use crate::runtime::named::named;
use crate::runtime::signals::Signals;
use crate::runtime::track::Face;

/// How landmarks are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Curves,
    Dots,
    Full,
    Minimal,
    Confidence,
}

named!(Style {
    Curves = "curves": "Smooth outlines",
    Dots = "dots": "A dot on each landmark",
    Full = "full": "Outlines, dots, box, number and score",
    Minimal = "minimal": "Thin lines along brows, eyes and lips",
    Confidence = "confidence": "Dots in the colour of their confidence, from red to green",
});

/// The layers of a face.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub style: Style,
    /// Corners of the box, the number and the score, in every style.
    pub boxes: bool,
    /// Head axes, gaze, and meters of eyes and mouth, in every style.
    pub gauges: bool,
}

/// A face to be drawn.
#[derive(Clone, Copy)]
pub struct ShownFace<'a> {
    pub face: &'a Face,
    /// For the gauges.
    pub signals: Option<&'a Signals>,
    /// Opacity, 0..=1: faces that fade in or out are faint.
    pub opacity: f32,
}

/// Draws faces. It keeps its memory from frame to frame.
pub struct Overlay {
    pub look: Look,
    /// 2 for a screen with twice the pixel density.
    pub scale: f32,
    ink: Ink,
    places: Vec<StrokeEnd>,
}

/// Line width over the face's longer side, ...
const LINE_OF_SIDE: f32 = 0.0075;
/// ... its thinnest in pixels, and its thickest over the height of the text.
const THINNEST: f32 = 0.6;
const THICKEST_OF_TEXT: f32 = 0.24;
/// In the style of thin lines.
const MINIMAL_LINE: f32 = 0.7;
/// A dot's diameter in line widths.
const DOT: f32 = 1.8;
const CONFIDENCE_DOT: f32 = 2.3;
/// Colours in which confidences are drawn.
const CONFIDENCE_STEPS: usize = 6;
/// Width of the dark rim over that of the line, and at most over the height of the text.
const RIM_OF_LINE: f32 = 0.9;
const RIM_OF_TEXT: f32 = 0.16;
/// The opacity of a landmark of confidence 0.
const FAINTEST: f32 = 0.12;
/// Share of white in the colour of dots.
const DOT_WHITE: f32 = 0.55;
/// Pixels between two corners of a smooth curve.
const STEP: f32 = 5.0;
/// Where a curve turns by more than this it has a corner, as at the ends of the lids and lips.
const CORNER_COSINE: f32 = 0.55;
/// The corners of the box: length of an arm and distance from the landmarks, over the face's longer side.
const BOX_ARM: f32 = 0.11;
const BOX_MARGIN: f32 = 0.06;
const BOX_OPACITY: f32 = 0.85;
/// The height of a label over the face's longer side, and at least over that of other text.
const LABEL_OF_SIDE: f32 = 0.12;
const LEAST_LABEL: f32 = 0.7;

impl Default for Overlay {
    fn default() -> Self {
        Self { look: Look::default(), scale: 1.0, ink: Ink::default(), places: Vec::new() }
    }
}

/// Widths on the canvas, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub line: f32,
    pub rim: f32,
}

impl Pen {
    /// For a face of this side on the canvas.
    fn of(side: f32, text: f32) -> Self {
        let line = (LINE_OF_SIDE * side).clamp(THINNEST, (THICKEST_OF_TEXT * text).max(THINNEST));
        Self { line, rim: (RIM_OF_LINE * line).min(RIM_OF_TEXT * text) }
    }

    fn scaled(self, factor: f32) -> Self {
        Self { line: self.line * factor, ..self }
    }
}

impl Overlay {
    /// Draws the faces over the frame, which lies at `placement` on the canvas.
    pub fn draw(&mut self, canvas: &mut Frame, placement: &Placement, faces: &[ShownFace<'_>]) {
        if canvas.width() == 0 || canvas.height() == 0 {
            return;
        }
        self.ink.begin(canvas.width(), canvas.height());
        let text = panel::text_size(canvas, self.scale);
        for shown in faces {
            let side = shown.face.rect.side() * placement.scale();
            if side.is_finite() && side > 0.0 && shown.opacity > 0.0 {
                self.draw_face(canvas, placement, shown, side, text);
            }
        }
    }

    fn draw_face(&mut self, canvas: &mut Frame, placement: &Placement, shown: &ShownFace<'_>, side: f32, text: f32) {
        let &ShownFace { face, opacity, .. } = shown;
        let (pen, color) = (Pen::of(side, text), palette::of_face(face.id));
        self.places.clear();
        self.places.extend(face.landmarks.iter().map(|landmark| {
            let sure = FAINTEST + (1.0 - FAINTEST) * landmark.confidence.clamp(0.0, 1.0);
            StrokeEnd { at: placement.canvas_from_frame(landmark.point), opacity: opacity * sure }
        }));
        match self.look.style {
            Style::Curves => self.curves(canvas, color, pen, |_| true),
            Style::Dots => self.dots(canvas, color, pen),
            Style::Full => {
                self.curves(canvas, color, pen, |_| true);
                self.dots(canvas, palette::between(color, palette::PLAIN, DOT_WHITE), pen);
            }
            Style::Minimal => {
                let is_drawn = |curve: &Curve| !curve.name.starts_with("jaw") && !curve.name.starts_with("nose");
                self.curves(
                    canvas,
                    palette::between(color, palette::PLAIN, DOT_WHITE),
                    pen.scaled(MINIMAL_LINE),
                    is_drawn,
                );
            }
            Style::Confidence => self.confidences(canvas, face, opacity, pen),
        }
        if self.look.gauges {
            gauges::draw(&mut self.ink, canvas, placement, shown, side, pen);
        }
        if self.look.boxes || self.look.style == Style::Full {
            self.draw_box(canvas, placement, shown, pen, color);
            let [(left, top), _] = box_about(placement, &face.rect);
            let label = format!("{}  {:.0} %", face.id, 100.0 * face.score);
            let size = (LABEL_OF_SIDE * side).clamp(LEAST_LABEL * text, text);
            if opacity > 0.5 {
                panel::label(canvas, (left, top), size, color, &label);
            }
        }
    }

    fn curves(&mut self, canvas: &mut Frame, color: [u8; 3], pen: Pen, is_drawn: impl Fn(&Curve) -> bool) {
        let outlines = Scheme::of_points(self.places.len()).map_or(&[][..], Scheme::outlines);
        for curve in outlines.iter().filter(|curve| is_drawn(curve)) {
            smooth(curve, &self.places, |from, to| self.ink.stroke(from, to, pen.line, pen.rim));
        }
        self.ink.draw(canvas, color);
    }

    fn dots(&mut self, canvas: &mut Frame, color: [u8; 3], pen: Pen) {
        for &place in &self.places {
            self.ink.stroke(place, place, DOT * pen.line, pen.rim);
        }
        self.ink.draw(canvas, color);
    }

    /// Dots whose colour, not their opacity, shows the confidence.
    fn confidences(&mut self, canvas: &mut Frame, face: &Face, opacity: f32, pen: Pen) {
        let step_of = |confidence: f32| (confidence.clamp(0.0, 1.0) * (CONFIDENCE_STEPS - 1) as f32).round() as usize;
        for step in 0..CONFIDENCE_STEPS {
            let places = self.places.iter().zip(&face.landmarks);
            for (place, _) in places.filter(|(_, landmark)| step_of(landmark.confidence) == step) {
                let place = StrokeEnd { opacity, ..*place };
                self.ink.stroke(place, place, CONFIDENCE_DOT * pen.line, pen.rim);
            }
            self.ink.draw(canvas, palette::of_confidence(step as f32 / (CONFIDENCE_STEPS - 1) as f32));
        }
    }

    fn draw_box(&mut self, canvas: &mut Frame, placement: &Placement, shown: &ShownFace<'_>, pen: Pen, color: [u8; 3]) {
        let rect = &shown.face.rect;
        let arm = BOX_ARM * rect.side() * placement.scale();
        let [(left, top), (right, bottom)] = box_about(placement, rect);
        for (x, y, dx, dy) in
            [(left, top, arm, arm), (right, top, -arm, arm), (left, bottom, arm, -arm), (right, bottom, -arm, -arm)]
        {
            let end = |x: f32, y: f32| StrokeEnd { at: Point::new(x, y), opacity: BOX_OPACITY * shown.opacity };
            self.ink.stroke(end(x + dx, y), end(x, y), pen.line, pen.rim);
            self.ink.stroke(end(x, y), end(x, y + dy), pen.line, pen.rim);
        }
        self.ink.draw(canvas, color);
    }
}

/// The left upper and the right lower corner of the box that is drawn about a face.
fn box_about(placement: &Placement, rect: &Rect<FrameSpace>) -> [(f32, f32); 2] {
    let margin = BOX_MARGIN * rect.side();
    let a = placement.canvas_from_frame(Point::new(rect.x - margin, rect.y - margin));
    let b = placement.canvas_from_frame(Point::new(rect.x + rect.width + margin, rect.y + rect.height + margin));
    [(a.x.min(b.x), a.y.min(b.y)), (a.x.max(b.x), a.y.max(b.y))]
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
    use crate::runtime::named::Named as _;

    fn draw(look: Look, size: (usize, usize), face: &Face) -> Frame {
        let mut overlay = Overlay { look, ..Overlay::default() };
        let mut canvas = Frame::filled(size.0, size.1, [0; 3]);
        overlay.draw(
            &mut canvas,
            &Placement::fit((100, 80), size, false),
            &[ShownFace { face, signals: None, opacity: 1.0 }],
        );
        canvas
    }

    /// A procedural face in the middle of a frame of 100 x 80 pixels.
    fn face() -> Face {
        let points = crate::train::synth::Scene::demo(1, 1).draw(0.5, &mut Frame::filled(100, 80, [0; 3]))[0].to_vec();
        let rect = Rect::around(points.iter().copied()).unwrap();
        let landmarks = points.into_iter().map(|point| Landmark { point, confidence: 1.0 }).collect();
        Face { id: 1, score: 1.0, rect, landmarks }
    }

    #[test]
    fn a_dot_lies_on_its_landmark_at_any_size_and_an_unsure_one_is_faint() {
        let landmark = |x: f32, confidence: f32| Landmark { point: Point::new(x, 40.0), confidence };
        let landmarks = vec![landmark(30.0, 1.0), landmark(70.0, 0.0)];
        let face = Face { id: 4, score: 1.0, rect: Rect::new(0.0, 0.0, 100.0, 100.0), landmarks };
        let look = Look { style: Style::Dots, ..Look::default() };
        for scale in [1, 2, 5] {
            let canvas = draw(look, (100 * scale, 80 * scale), &face);
            let at = |x: usize, y: usize| {
                let centre = |v: usize| v * scale + scale / 2;
                canvas.rgb()[(centre(y) * canvas.width() + centre(x)) * 3]
            };
            assert!(at(30, 40) > 150, "{}", at(30, 40));
            assert!((1..80).contains(&at(70, 40)), "{}", at(70, 40));
            assert_eq!(at(50, 40), 0);
        }
    }

    #[test]
    fn strokes_shrink_with_the_face_on_the_screen_so_that_small_faces_stay_visible() {
        let face = face();
        for style in Style::VARIANTS.iter().map(|(style, ..)| *style) {
            let look = Look { style, ..Look::default() };
            let covered = |scale: usize| {
                let canvas = draw(look, (100 * scale, 80 * scale), &face);
                let drawn = canvas.rgb().chunks_exact(3).map(|p| f32::from(*p.iter().max().unwrap()) / 255.0);
                drawn.sum::<f32>() / (face.rect.width * face.rect.height * (scale * scale) as f32)
            };
            // The face is about 30, 60 and 240 pixels high.
            assert!(
                covered(1) < 0.42 && covered(2) < 0.3 && covered(8) < 0.12,
                "{style}: {} {} {}",
                covered(1),
                covered(2),
                covered(8)
            );
            assert!(covered(8) > 0.005, "{style}: something is drawn");
        }
    }

    #[test]
    fn a_face_that_comes_or_goes_is_fainter() {
        let face = face();
        let light = |opacity: f32| {
            let mut canvas = Frame::filled(400, 320, [0; 3]);
            let shown = [ShownFace { face: &face, signals: None, opacity }];
            Overlay::default().draw(&mut canvas, &Placement::fit((100, 80), (400, 320), false), &shown);
            canvas.rgb().iter().map(|v| u64::from(*v)).sum::<u64>()
        };
        assert_eq!(light(0.0), 0);
        assert!(light(0.3) > 0 && light(0.3) < light(0.7) && light(0.7) < light(1.0));
    }

    #[test]
    fn confidences_are_colours_from_red_to_green() {
        let sure = |confidence| {
            let mut face = face();
            face.landmarks.iter_mut().for_each(|landmark| landmark.confidence = confidence);
            let canvas = draw(Look { style: Style::Confidence, ..Look::default() }, (400, 320), &face);
            let sum = |i: usize| canvas.rgb().chunks_exact(3).map(|p| u64::from(p[i])).sum::<u64>();
            (sum(0), sum(1))
        };
        let ((red, green), (_, pale)) = (sure(0.0), sure(1.0));
        assert!(red > 2 * green && pale > sure(1.0).0, "{red} {green} {pale}");
    }

    #[test]
    fn styles_come_in_turn() {
        let turn: Vec<Style> =
            std::iter::successors(Some(Style::default()), |style| Some(style.next())).take(6).collect();
        assert_eq!(turn[..5], [Style::Curves, Style::Dots, Style::Full, Style::Minimal, Style::Confidence]);
        assert_eq!(turn[5], turn[0]);
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
                draw(Look { style: Style::Full, boxes: true, gauges: true }, size, &face);
            }
        }
    }
}
