//! The sample in hand: what is selected, and what the keys do to it.
//!
//! In: a [`Deck`] and [`Command`]s. Out: labels, on disk as soon as a change is finished
//! (within [`SAVE_INTERVAL`] for keys that are held, [`DRAG_SAVE_INTERVAL`] while the mouse is), and all that a painter
//! needs. What can't be read or written becomes a message to the person, and the change is kept until it can be saved.

use super::command::Command;
use super::deck::Deck;
use super::gesture::{Grip, move_part, move_point};
use super::handles::{Handles, PartBox};
use super::history::{Change, History};
use super::labels::{Labels, points_of};
use super::layout::Layout;
use super::list::List;
use super::mirror::{Side, copy_side};
use super::mouse::Press;
use super::order::is_missed;
use super::parts::FacePart;
use super::picking::Target;
use super::viewport::Viewport;
use crate::program::console::with_causes;
use crate::program::view::Pointer;
use crate::runtime::geometry::{CanvasSpace, Point, Rect};
use crate::runtime::image::Frame;
use crate::train::collection::{CollectedFace, Review};
use std::time::{Duration, Instant};

/// Between two writes of one sample, unless it is left.
const SAVE_INTERVAL: Duration = Duration::from_millis(150);
const DRAG_SAVE_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait after a failed write.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How long a message stays.
const MESSAGE_DURATION: Duration = Duration::from_secs(5);
/// What is drawn over the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Layers {
    #[default]
    CurvesAndPoints,
    Points,
    Nothing,
}

/// What is selected. A selected point is one of the selected part, if both are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub part: Option<FacePart>,
    pub point: Option<usize>,
}

/// Settings that keys change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub layers: Layers,
    pub is_soft: bool,
    pub magnifier: bool,
    pub list: bool,
    pub help: bool,
}

pub(super) struct Editor {
    pub(super) deck: Deck,
    pub(super) current: usize,
    pub(super) labels: Labels,
    pub(super) frame: Frame,
    /// Why the picture can't be shown.
    pub(super) trouble: Option<String>,
    pub(super) history: History,
    pub(super) selection: Selection,
    pub(super) viewport: Viewport,
    pub(super) layout: Layout,
    pub(super) list: List,
    pub(super) settings: Settings,
    /// Pixels per pixel of a usual screen.
    pub(super) screen: f32,
    pub(super) pointer: Option<Pointer>,
    pub(super) hover: Target,
    pub(super) press: Option<Press>,
    pub(super) is_unsaved: bool,
    /// When to write next at the earliest.
    pub(super) next_save: Instant,
    pub(super) message: Option<(String, Instant)>,
    pub(super) has_refused_to_quit: bool,
    pub(super) is_over: bool,
}

impl Editor {
    /// The first sample of a deck that has one.
    pub(super) fn new(deck: Deck, screen: f32) -> Self {
        let labels = Labels::of(deck.face(0));
        let mut editor = Self {
            deck,
            current: 0,
            labels,
            frame: Frame::default(),
            trouble: None,
            history: History::default(),
            selection: Selection::default(),
            viewport: Viewport::new((1, 1), (1, 1)),
            layout: Layout::default(),
            list: List::default(),
            settings: Settings { layers: Layers::default(), is_soft: false, magnifier: false, list: true, help: false },
            screen,
            pointer: None,
            hover: Target::Nothing,
            press: None,
            is_unsaved: false,
            next_save: Instant::now(),
            message: None,
            has_refused_to_quit: false,
            is_over: false,
        };
        editor.load(0);
        if editor.deck.counts().done() < editor.deck.len() {
            editor.say("H shows the keys; Enter accepts a face".into());
        } else {
            editor.say("every face here is done; what you change is saved all the same".into());
        }
        editor
    }

    pub(super) fn deck(&self) -> &Deck {
        &self.deck
    }

    /// The sample's place in the order.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    pub(super) fn face(&self) -> &CollectedFace {
        self.deck.face(self.current)
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The picture; empty if it can't be shown.
    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(super) fn selection(&self) -> Selection {
        self.selection
    }

    pub(super) fn viewport(&self) -> &Viewport {
        &self.viewport
    }

    pub(super) fn list(&self) -> &List {
        &self.list
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    pub(super) fn hover(&self) -> Target {
        self.hover
    }

    /// What is being dragged.
    pub(super) fn grip(&self) -> Option<Grip> {
        Some(self.press.as_ref()?.drag.as_ref()?.0.grip)
    }

    /// Whether the picture is being moved.
    pub(super) fn is_panning(&self) -> bool {
        self.press.as_ref().is_some_and(|press| press.is_panning) || self.pointer.is_some_and(|p| p.other)
    }

    /// Where the mouse is, if it is over the picture.
    pub(super) fn pointer_in_view(&self) -> Option<Point<CanvasSpace>> {
        self.pointer.map(|pointer| pointer.at).filter(|at| self.is_in_view(*at))
    }

    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|(text, _)| text.as_str())
    }

    /// Forgets a message that has been seen for long enough; returns whether there was one.
    pub(super) fn fade(&mut self) -> bool {
        self.message.take_if(|(_, since)| since.elapsed() > MESSAGE_DURATION).is_some()
    }

    /// Whether the person wants to quit and everything is saved, or can't be.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether a change could not be saved.
    pub(super) fn is_unsaved(&self) -> bool {
        self.is_unsaved
    }

    pub(super) fn say(&mut self, message: String) {
        self.message = Some((message, Instant::now()));
    }

    /// Takes over how the window is divided.
    pub(super) fn set_layout(&mut self, layout: Layout, list: List) {
        let is_first = self.layout == Layout::default();
        if layout != self.layout {
            self.layout = layout;
            self.viewport.resize((layout.view, layout.height));
        }
        self.list = List { first: self.list.first, ..list };
        if is_first && self.selection.part.is_none() {
            self.show_face();
        }
        self.list.show(self.current, self.deck.len());
    }

    /// The handles of the selected part.
    pub(super) fn handles(&self) -> Option<(FacePart, Handles)> {
        let part = self.selection.part?;
        let part_box = PartBox::of(&self.labels.points, part);
        Some((part, Handles::of(&part_box, &self.viewport.view_from_frame(), self.screen)))
    }

    /// Where the points lie in the view.
    pub(super) fn points_in_view(&self) -> Vec<Point<CanvasSpace>> {
        let view_from_frame = self.viewport.view_from_frame();
        self.labels.points.iter().map(|&p| view_from_frame.apply(p)).collect()
    }

    /// Shows a sample; the one in hand is saved first. Where that fails, it stays.
    pub(super) fn go_to(&mut self, sample: usize) {
        if sample != self.current && sample < self.deck.len() && self.save() {
            self.load(sample);
        }
    }

    fn load(&mut self, sample: usize) {
        self.current = sample;
        self.labels = Labels::of(self.deck.face(sample));
        self.press = None;
        self.hover = Target::Nothing;
        let path = self.deck.picture(sample);
        let face = self.deck.face(sample);
        (self.frame, self.trouble) = match Frame::open(&path) {
            Ok(frame) if (frame.width(), frame.height()) == (face.width, face.height) => (frame, None),
            Ok(frame) => {
                let (width, height) = (frame.width(), frame.height());
                let expected = format!("{}x{}", face.width, face.height);
                let text = format!("{} has {width}x{height} pixels instead of {expected}", path.display());
                (frame, Some(text))
            }
            Err(error) => (Frame::default(), Some(with_causes(&error))),
        };
        // A face that was not found has to be put in its place as a whole first.
        let is_template = is_missed(face) && self.labels.review == Review::Pending;
        self.selection = Selection { part: is_template.then_some(FacePart::WholeFace), point: None };
        self.viewport = Viewport::new((self.layout.view, self.layout.height), (face.width, face.height));
        if !is_template {
            self.show_face();
        }
        self.list.show(sample, self.deck.len());
    }

    fn show_face(&mut self) {
        let known = (0..self.labels.points.len()).filter(|&i| self.labels.weight_of(i) > 0.0);
        if let Some(rect) = Rect::around(known.map(|i| self.labels.points[i])).filter(|rect| rect.side() > 0.0) {
            self.viewport.show(&rect);
        }
    }

    /// Does what a key stands for.
    pub(super) fn obey(&mut self, command: Command) {
        if self.press.is_some() {
            self.release();
        }
        match command {
            Command::Accept if self.trouble.is_some() => {
                self.say("this picture can't be used: X rejects the face".into());
            }
            Command::Accept => self.review(Review::Accepted),
            Command::Reject => self.review(Review::Rejected),
            Command::Next => self.go_to((self.current + 1) % self.deck.len()),
            Command::Previous => self.go_to((self.current + self.deck.len() - 1) % self.deck.len()),
            Command::Undo => match self.history.undo().cloned() {
                Some(change) => self.restore(change.sample, change.before),
                None => self.say("there is nothing to undo".into()),
            },
            Command::Redo => match self.history.redo().cloned() {
                Some(change) => self.restore(change.sample, change.after),
                None => self.say("there is nothing to redo".into()),
            },
            Command::NextPart => self.select_part(false),
            Command::PreviousPart => self.select_part(true),
            Command::Deselect => self.selection = Selection::default(),
            Command::Nudge { by, is_repeat } => self.nudge(by, is_repeat),
            Command::Mirror(side) => self.mirror(side),
            Command::Reset => self.reset(),
            Command::Trust => self.toggle_trust(),
            Command::Soft => {
                self.settings.is_soft ^= true;
                let setting = if self.settings.is_soft { "neighbours follow a point" } else { "points move alone" };
                self.say(setting.into());
            }
            Command::Layers => {
                self.settings.layers = match self.settings.layers {
                    Layers::CurvesAndPoints => Layers::Points,
                    Layers::Points => Layers::Nothing,
                    Layers::Nothing => Layers::CurvesAndPoints,
                };
            }
            Command::Magnifier => self.settings.magnifier ^= true,
            Command::List => self.settings.list ^= true,
            Command::Help => self.settings.help ^= true,
            Command::Overview => {
                let before = self.viewport.scale();
                self.show_face();
                if (self.viewport.scale() / before - 1.0).abs() < 1e-3 {
                    self.viewport.show_all();
                }
            }
            Command::Zoom(factor) => {
                let middle = Point::new(0.5 * self.layout.view as f32, 0.5 * self.layout.height as f32);
                self.viewport.zoom(self.pointer_in_view().unwrap_or(middle), factor);
            }
            Command::Quit => self.quit(),
        }
    }

    fn review(&mut self, review: Review) {
        self.change(false, |labels| std::mem::replace(&mut labels.review, review) != review);
        if !self.save() {
            return;
        }
        match self.deck.next_pending(self.current) {
            Some(next) => self.load(next),
            None => self.say(format!("all {} faces are done", self.deck.len())),
        }
    }

    /// Changes the labels in hand with `edit`, which says whether it did. `continues`: as part of the last change.
    fn change(&mut self, continues: bool, edit: impl FnOnce(&mut Labels) -> bool) -> bool {
        let before = self.labels.clone();
        let has_changed = edit(&mut self.labels);
        if has_changed {
            self.note(before, continues);
        }
        has_changed
    }

    pub(super) fn note(&mut self, before: Labels, continues: bool) {
        self.history.note(Change { sample: self.current, before, after: self.labels.clone() }, continues);
        self.is_unsaved = true;
    }

    fn restore(&mut self, sample: usize, labels: Labels) {
        self.go_to(sample);
        if self.current == sample {
            self.labels = labels;
            self.is_unsaved = true;
        }
    }

    fn select_part(&mut self, is_backward: bool) {
        let Selection { part, point } = self.selection;
        let part = match (part, point) {
            (Some(part), _) => part.next(is_backward),
            (None, Some(point)) => FacePart::of(point),
            (None, None) if is_backward => FacePart::WholeFace,
            (None, None) => FacePart::LeftEye,
        };
        self.selection = Selection { part: Some(part), point: None };
    }

    fn nudge(&mut self, by: (f32, f32), continues: bool) {
        let scale = self.viewport.scale();
        let (by, is_soft) = ((by.0 / scale, by.1 / scale), self.settings.is_soft);
        let points = match self.selection {
            Selection { point: Some(point), .. } => move_point(&self.labels.points, point, by, is_soft),
            Selection { part: Some(part), .. } => move_part(&self.labels.points, part, by),
            _ => return self.say("select a point or a part first: click, or Tab".into()),
        };
        self.change(continues, |labels| labels.place(points));
    }

    /// The selected points, or all.
    fn selected(&self) -> Vec<usize> {
        match self.selection {
            Selection { point: Some(point), .. } => vec![point],
            Selection { part, .. } => part.unwrap_or(FacePart::WholeFace).points().collect(),
        }
    }

    fn mirror(&mut self, from: Side) {
        let part = self.selection.part.or_else(|| self.selection.point.map(FacePart::of));
        let part = part.unwrap_or(FacePart::WholeFace);
        let labels = &self.labels;
        match copy_side(&labels.points, |i| labels.weight_of(i) > 0.0, part, from) {
            None => self.say("this face has no axis to mirror about".into()),
            Some(points) => {
                self.change(false, |labels| labels.place(points));
                self.say(match (part.twin() == part, from) {
                    (false, _) => format!("{} copied to the {}", part.name(), part.twin().name()),
                    (true, Side::Left) => format!("{}: left half copied to the right", part.name()),
                    (true, Side::Right) => format!("{}: right half copied to the left", part.name()),
                });
            }
        }
    }

    fn reset(&mut self) {
        let Some(predicted) = self.face().predicted.clone() else {
            return self.say("there is no prediction to go back to (Z undoes)".into());
        };
        let predicted = points_of(&predicted);
        let mut points = self.labels.points.clone();
        for i in self.selected() {
            points[i] = predicted[i];
        }
        if !self.change(false, |labels| labels.place(points)) {
            self.say("this is the prediction".into());
        }
    }

    fn toggle_trust(&mut self) {
        if self.selection == Selection::default() {
            return self.say("select a point or a part first: click, or Tab".into());
        }
        let selected = self.selected();
        let counts = !selected.iter().any(|&i| self.labels.weight_of(i) > 0.0);
        self.change(false, |labels| {
            selected.iter().for_each(|&i| labels.set_weight(i, f32::from(u8::from(counts))));
            labels.review = Review::Pending;
            true
        });
        self.say(if counts { "these points count again" } else { "these points don't count" }.into());
    }

    fn quit(&mut self) {
        self.is_over = self.save() || self.has_refused_to_quit;
        if !self.is_over {
            self.has_refused_to_quit = true;
            let why = self.message().unwrap_or_default();
            self.say(format!("{why}; Q once more quits without the last change"));
        }
    }

    /// Writes a change that is due. Returns whether there is something new to say.
    pub(super) fn save_if_due(&mut self) -> bool {
        if !self.is_unsaved || Instant::now() < self.next_save {
            return false;
        }
        !self.save()
    }

    /// Writes what has changed; returns whether all is on disk.
    pub(super) fn save(&mut self) -> bool {
        if !self.is_unsaved {
            return true;
        }
        let face = self.labels.applied_to(self.face());
        let result = self.deck.replace(self.current, face);
        let is_dragging = self.press.as_ref().is_some_and(|press| press.drag.is_some());
        let wait = match (&result, is_dragging) {
            (Err(_), _) => RETRY_INTERVAL,
            (Ok(()), true) => DRAG_SAVE_INTERVAL,
            (Ok(()), false) => SAVE_INTERVAL,
        };
        self.next_save = Instant::now() + wait;
        self.is_unsaved = result.is_err();
        if let Err(error) = &result {
            self.say(format!("not saved: {}", with_causes(error)));
        }
        result.is_ok()
    }
}
