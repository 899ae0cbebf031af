//! The window's picture: the face with its curves, points and handles, the magnifier, the text and the columns.
//!
//! In: the editor. Out: a canvas as large as the window. Nothing fails: anything beyond the canvas is not drawn.

use super::columns::{IGNORED, UNSURE, clear, draw_help, draw_list, help_width, list_of};
use super::gesture::Grip;
use super::handles::Handle;
use super::layout::{Columns, Layout};
use super::order::{confidence, is_missed};
use super::parts::FacePart;
use super::picking::Target;
use super::picture::SectionScaler;
use super::state::{Editor, Layers};
use crate::program::view::panel::{self, Place, TextLine};
use crate::program::view::{Ink, StrokeEnd, smooth};
use crate::runtime::geometry::{CanvasSpace, Point, Similarity};
use crate::runtime::image::Frame;
use crate::runtime::landmarks::WFLW98_OUTLINES;
use crate::train::collection::Review;

const CURVE: [u8; 3] = [90, 220, 255];
const HOVERED: [u8; 3] = [205, 245, 255];
const ACTIVE: [u8; 3] = [255, 196, 84];
const POINT: [u8; 3] = [255; 3];
/// Landmarks below this confidence are drawn as uncertain.
const UNSURE_BELOW: f32 = 0.5;

/// Widths in pixels of a usual screen: curves, those of the active part, the lines of the handles, and the dark rim.
const CURVE_WIDTH: f32 = 1.2;
const ACTIVE_WIDTH: f32 = 1.8;
const HANDLE_LINE: f32 = 1.1;
const RIM: f32 = 1.6;
/// Diameters: a point at scale 1 and its growth with the scale, its largest, a handle, a corner of the whole face.
const POINT_SIZE: (f32, f32) = (3.0, 0.3);
const LARGEST_POINT: f32 = 5.5;
/// Size of an uncertain point over another.
const UNSURE_SIZE: f32 = 1.4;
const SELECTED_POINT: f32 = 4.0;
const HANDLE_SIZE: f32 = 9.0;
/// The height of the text about the face over that of other text.
const STATUS_TEXT: f32 = 0.85;
/// Side of the magnifier, its distance from the mouse, and its zoom factor.
const MAGNIFIER: f32 = 190.0;
const MAGNIFIER_DISTANCE: f32 = 28.0;
const MAGNIFICATION: f32 = 4.0;
/// The most pixels of the view that it makes of one of the picture.
const LARGEST_MAGNIFIED: f32 = 48.0;

/// Paints the editor. It keeps its buffers.
#[derive(Default)]
pub(super) struct Painter {
    canvas: Frame,
    view: Frame,
    column: Frame,
    lens: Frame,
    ink: Ink,
    lens_ink: Ink,
    scaler: SectionScaler,
    lens_scaler: SectionScaler,
    /// The sample whose picture the scalers know.
    sample: Option<usize>,
}

impl Painter {
    /// Divides a window of `size` pixels and paints it. `screen`: pixels per pixel of a usual screen.
    pub(super) fn paint(&mut self, editor: &mut Editor, size: (usize, usize), screen: f32) -> &Frame {
        self.canvas.resize(size.0, size.1);
        let text = panel::text_size(&self.canvas, screen);
        let settings = editor.settings();
        let help = settings.help.then(|| help_width(editor, text));
        let layout = Layout::new(size, text, Columns { list: settings.list, help });
        editor.set_layout(layout, list_of(layout, text));
        if self.sample != Some(editor.current()) {
            self.sample = Some(editor.current());
            self.scaler.forget();
            self.lens_scaler.forget();
        }
        self.paint_view(editor, layout, text, screen);
        copy(&self.view, &mut self.canvas, (0, 0));
        if layout.help > 0 {
            self.column.resize(layout.help, layout.height);
            clear(&mut self.column);
            draw_help(editor, &mut self.column, Place::UpperLeft, text);
            copy(&self.column, &mut self.canvas, (layout.view, 0));
        }
        if layout.list > 0 {
            self.column.resize(layout.list, layout.height);
            draw_list(editor, &mut self.column, text);
            copy(&self.column, &mut self.canvas, (layout.view + layout.help, 0));
        }
        if layout.is_help_over {
            draw_help(editor, &mut self.canvas, Place::Middle, text);
        }
        &self.canvas
    }

    fn paint_view(&mut self, editor: &Editor, layout: Layout, text: f32, screen: f32) {
        self.view.resize(layout.view, layout.height);
        let view_from_frame = editor.viewport().view_from_frame();
        self.scaler.draw(editor.frame(), &view_from_frame, &mut self.view);
        let places = editor.points_in_view();
        self.ink.begin(layout.view, layout.height);
        let style = Style { screen, scale: editor.viewport().scale() };
        draw_face(editor, &mut self.ink, &mut self.view, &places, style);
        draw_handles(editor, &mut self.ink, &mut self.view, screen);
        if layout.is_help_over {
            return;
        }
        panel::lines(&mut self.view, Place::UpperLeft, STATUS_TEXT * text, &status(editor));
        if editor.settings().magnifier
            && let Some(at) = editor.pointer_in_view()
        {
            let at = match editor.grip() {
                Some(Grip::Point(i)) => places[i],
                _ => at,
            };
            self.magnify(editor, at, screen);
        }
        let trouble = editor.trouble().map(|text| TextLine::new(panel::ALARM, text));
        let message = editor.message().map(|text| TextLine::new(panel::PLAIN, text));
        let news: Vec<_> = trouble.into_iter().chain(message).collect();
        panel::lines(&mut self.view, Place::LowerLeft, text, &news);
    }

    /// Draws the magnified surroundings of `at` beside it.
    fn magnify(&mut self, editor: &Editor, at: Point<CanvasSpace>, screen: f32) {
        let (width, height) = (self.view.width() as f32, self.view.height() as f32);
        let side = (MAGNIFIER * screen).min(0.4 * width.min(height)).floor();
        let scale = (MAGNIFICATION * editor.viewport().scale()).min(LARGEST_MAGNIFIED.max(editor.viewport().scale()));
        let middle = Point::new(0.5 * (side - 1.0), 0.5 * (side - 1.0));
        let lens_from_frame: Similarity<CanvasSpace, _> =
            Similarity::about(editor.viewport().frame_from_view().apply(at), middle, scale, 0.0);
        self.lens.resize(side as usize, side as usize);
        self.lens_scaler.draw(editor.frame(), &lens_from_frame, &mut self.lens);
        let places: Vec<_> = editor.labels().points.iter().map(|&p| lens_from_frame.apply(p)).collect();
        self.lens_ink.begin(side as usize, side as usize);
        draw_face(editor, &mut self.lens_ink, &mut self.lens, &places, Style { screen, scale: 1.0 });
        let end = |x: f32, y: f32| StrokeEnd { at: Point::new(x, y), opacity: 0.8 };
        // A cross with an open middle, and the border.
        let (arm, gap, last) = (0.12 * side, 0.05 * side, side - 1.0);
        for (dx, dy) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
            let along = |r: f32| end(middle.x + dx * r, middle.y + dy * r);
            self.lens_ink.stroke(along(gap), along(arm), screen, screen);
        }
        for (a, b) in [
            ((0.0, 0.0), (last, 0.0)),
            ((last, 0.0), (last, last)),
            ((last, last), (0.0, last)),
            ((0.0, last), (0.0, 0.0)),
        ] {
            self.lens_ink.stroke(end(a.0, a.1), end(b.0, b.1), 2.0 * screen, screen);
        }
        self.lens_ink.draw(&mut self.lens, POINT);
        let distance = MAGNIFIER_DISTANCE * screen;
        let beside = |at: f32, room: f32| {
            let after = at + distance;
            let before = at - distance - side;
            if after + side <= room { after } else { before.max(0.0) }
        };
        let above = at.y - distance - side;
        let top = if above >= 0.0 { above } else { (at.y + distance).min(height - side).max(0.0) };
        copy(&self.lens, &mut self.view, (beside(at.x, width) as usize, top as usize));
    }
}

#[derive(Clone, Copy)]
struct Style {
    screen: f32,
    /// Pixels of the view per pixel of the picture.
    scale: f32,
}

/// The curves and points of the face.
fn draw_face(editor: &Editor, ink: &mut Ink, canvas: &mut Frame, places: &[Point<CanvasSpace>], style: Style) {
    let layers = editor.settings().layers;
    if layers == Layers::Nothing {
        return;
    }
    let (screen, rim) = (style.screen, RIM * style.screen);
    let labels = editor.labels();
    let ends: Vec<StrokeEnd> = (places.iter().enumerate())
        .map(|(i, &at)| StrokeEnd { at, opacity: if labels.weight_of(i) > 0.0 { 0.95 } else { 0.35 } })
        .collect();
    let selected = editor.selection();
    let active = selected.part.or_else(|| selected.point.map(FacePart::of));
    let is_in = |part: Option<FacePart>, i: usize| part.is_some_and(|part| part.points().any(|p| p == i));
    let hovered = match editor.hover() {
        Target::Curve(part) | Target::Grip(Grip::Part(part, Handle::Move)) => Some(part),
        Target::Grip(Grip::Point(i)) => Some(FacePart::of(i)),
        _ => None,
    };
    if layers == Layers::CurvesAndPoints {
        let kind = |i: usize| match (is_in(active, i), is_in(hovered, i)) {
            (true, _) => ACTIVE,
            (_, true) => HOVERED,
            _ => CURVE,
        };
        for color in [CURVE, HOVERED, ACTIVE] {
            let width = if color == ACTIVE { ACTIVE_WIDTH } else { CURVE_WIDTH };
            for curve in WFLW98_OUTLINES.iter().filter(|curve| kind(curve.points[0]) == color) {
                smooth(curve, &ends, |from, to| ink.stroke(from, to, width * screen, rim));
            }
            ink.draw(canvas, color);
        }
    }
    let size = (POINT_SIZE.0 + POINT_SIZE.1 * style.scale).min(LARGEST_POINT) * screen;
    let face = editor.face();
    let is_unsure = |i: usize| {
        let is_low = face.confidence.as_ref().is_some_and(|all| all[i] < UNSURE_BELOW);
        let as_predicted = |all: &Vec<[f32; 2]>| all[i] == [labels.points[i].x, labels.points[i].y];
        is_low && face.predicted.as_ref().is_some_and(as_predicted)
    };
    let color_of = |i: usize| match labels.weight_of(i) > 0.0 {
        false => IGNORED,
        true if is_unsure(i) && labels.review != Review::Accepted => UNSURE,
        true => POINT,
    };
    for color in [IGNORED, POINT, UNSURE] {
        for (_, end) in ends.iter().enumerate().filter(|(i, _)| color_of(*i) == color) {
            let end = StrokeEnd { opacity: end.opacity.max(0.7), ..*end };
            let size = if color == UNSURE { UNSURE_SIZE * size } else { size };
            ink.stroke(end, end, size, rim);
        }
        ink.draw(canvas, color);
    }
    if let Some(i) = selected.point {
        let end = StrokeEnd { opacity: 1.0, ..ends[i] };
        ink.stroke(end, end, size + SELECTED_POINT * screen, 2.0 * rim);
        ink.draw(canvas, ACTIVE);
    }
}

/// The box about the selected part with its handles.
fn draw_handles(editor: &Editor, ink: &mut Ink, canvas: &mut Frame, screen: f32) {
    let Some((_, handles)) = editor.handles().filter(|_| editor.settings().layers != Layers::Nothing) else { return };
    let (line, rim, size) = (HANDLE_LINE * screen, RIM * screen, HANDLE_SIZE * screen);
    let faint = |at| StrokeEnd { at, opacity: 0.7 };
    let dot = |at| StrokeEnd { at, opacity: 1.0 };
    let corners = handles.corners();
    for i in 0..4 {
        ink.stroke(faint(corners[i]), faint(corners[(i + 1) % 4]), line, rim);
    }
    let [foot, knob] = handles.knob();
    ink.stroke(faint(foot), faint(knob), line, rim);
    ink.stroke(dot(knob), dot(knob), size, rim);
    for (_, place) in handles.scales() {
        ink.stroke(dot(place), dot(place), size, rim);
    }
    ink.draw(canvas, ACTIVE);
    // The one that the mouse is at.
    let held = editor.grip().map_or(editor.hover(), Target::Grip);
    if let Target::Grip(Grip::Part(_, handle)) = held {
        let all = handles.scales().chain([(Handle::Turn, knob)]);
        for (_, place) in all.filter(|(other, _)| *other == handle) {
            ink.stroke(dot(place), dot(place), size + SELECTED_POINT * screen, rim);
        }
        ink.draw(canvas, POINT);
    }
}

/// The text about the current sample.
fn status(editor: &Editor) -> Vec<TextLine> {
    let (face, labels) = (editor.face(), editor.labels());
    let has_moved = face
        .predicted
        .as_ref()
        .is_some_and(|predicted| predicted.iter().zip(&labels.points).any(|(from, to)| *from != [to.x, to.y]));
    let state = match labels.review {
        Review::Accepted => "accepted",
        Review::Rejected => "rejected",
        Review::Pending if has_moved => "changed, not yet accepted",
        Review::Pending => "not yet accepted",
    };
    let mut lines =
        vec![TextLine::new(panel::PLAIN, format!("{} of {}: {state}", editor.current() + 1, editor.deck().len()))];
    let model = match confidence(face) {
        _ if is_missed(face) => Some("the detector missed this face".to_owned()),
        Some(confidence) => Some(format!("confidence {:.0} %", 100.0 * confidence)),
        None => None,
    };
    lines.extend(model.map(|text| TextLine::new(panel::QUIET, text)));
    let selected = match (editor.selection().point, editor.selection().part) {
        (Some(point), _) => {
            let soft = if editor.settings().is_soft { ", neighbours follow" } else { "" };
            Some(format!("point {point}, {}{soft}", FacePart::of(point).name()))
        }
        (None, part) => part.map(|part| part.name().to_owned()),
    };
    lines.extend(selected.map(|text| TextLine::new(ACTIVE, text)));
    lines
}

/// Copies a picture to this place (left, top) of another, which has room for it.
fn copy(from: &Frame, to: &mut Frame, (left, top): (usize, usize)) {
    let (width, row_bytes) = (to.width(), from.width() * 3);
    if row_bytes == 0 {
        return;
    }
    for (y, row) in from.rgb().chunks_exact(row_bytes).enumerate() {
        to.rgb_mut()[((top + y) * width + left) * 3..][..row_bytes].copy_from_slice(row);
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Command;
    use super::super::deck::Deck;
    use super::super::sample::collect;
    use super::*;
    use crate::program::view::Pointer;

    fn at(canvas: &Frame, p: Point<CanvasSpace>) -> [u8; 3] {
        let pixel = p.y.round() as usize * canvas.width() + p.x.round() as usize;
        canvas.rgb().as_chunks::<3>().0[pixel]
    }

    #[test]
    fn points_are_drawn_where_they_lie_and_hidden_with_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        collect(folder.path(), "a", 2);
        let mut editor = Editor::new(Deck::open(folder.path()).unwrap(), 1.0);
        editor.go_to(1);
        let mut painter = Painter::default();
        painter.paint(&mut editor, (900, 600), 1.0);
        let places = editor.points_in_view();
        let canvas = painter.paint(&mut editor, (900, 600), 1.0).clone();
        assert!((0..98).all(|i| at(&canvas, places[i]).iter().all(|v| *v > 200)), "a white dot on each point");
        editor.obey(Command::Layers);
        editor.obey(Command::Layers);
        let bare = painter.paint(&mut editor, (900, 600), 1.0).clone();
        assert!((0..98).filter(|&i| at(&bare, places[i]) == at(&canvas, places[i])).count() < 10);
        editor.obey(Command::Layers);
        editor.obey(Command::NextPart);
        let (_, handles) = editor.handles().unwrap();
        let selected = painter.paint(&mut editor, (900, 600), 1.0);
        assert!(handles.scales().all(|(_, place)| at(selected, place) == ACTIVE));
    }

    #[test]
    fn a_window_of_any_size_is_painted() {
        let folder = tempfile::tempdir().unwrap();
        collect(folder.path(), "a", 3);
        let mut editor = Editor::new(Deck::open(folder.path()).unwrap(), 1.0);
        let mut painter = Painter::default();
        editor.obey(Command::Magnifier);
        for (width, height) in [(1, 1), (40, 30), (320, 240), (2000, 80), (90, 900), (1280, 720)] {
            for screen in [1.0, 3.0] {
                let middle = Point::new(0.4 * width as f32, 0.4 * height as f32);
                editor.point(Pointer { at: middle, left: false, other: false, wheel: 3.0 });
                editor.obey(Command::Help);
                editor.obey(Command::NextPart);
                let canvas = painter.paint(&mut editor, (width, height), screen);
                assert_eq!((canvas.width(), canvas.height()), (width, height));
            }
        }
    }
}
