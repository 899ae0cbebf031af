//! The current sample: its labels and picture, the selection and the view, which `keys` and `mouse` change.
//!
//! In: a [`Deck`], commands, and the mouse in pixels of the window. Out: labels, on disk as soon as a change is
//! finished (within [`SAVE_INTERVAL`] for held keys, [`DRAG_SAVE_INTERVAL`] while the mouse is held), and everything a
//! painter needs. A failed read or write becomes a message, and the change is kept until it can be saved.

mod keys;
mod mouse;
#[cfg(test)]
mod tests;

use super::deck::Deck;
use super::gesture::Grip;
use super::handles::{Handles, PartBox};
use super::history::{Change, History};
use super::labels::Labels;
use super::layout::Layout;
use super::list::List;
use super::order::is_missed;
use super::parts::FacePart;
use super::picking::Target;
use super::viewport::Viewport;
use crate::program::console::with_causes;
use crate::program::view::Pointer;
use crate::runtime::geometry::{CanvasSpace, Point, Rect};
use crate::runtime::image::Frame;
use crate::train::collection::{CollectedFace, Review};
use mouse::Press;
use std::time::{Duration, Instant};

/// Between two writes of one sample, unless another one is opened.
const SAVE_INTERVAL: Duration = Duration::from_millis(150);
const DRAG_SAVE_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait after a failed write.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How long a message is shown.
const MESSAGE_DURATION: Duration = Duration::from_secs(5);

/// The layers drawn over the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Layers {
    #[default]
    CurvesAndPoints,
    Points,
    Nothing,
}

/// The selection. If a point and a part are selected, the point belongs to the part.
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
    deck: Deck,
    current: usize,
    labels: Labels,
    frame: Frame,
    /// Why the picture can't be shown.
    trouble: Option<String>,
    history: History,
    selection: Selection,
    viewport: Viewport,
    layout: Layout,
    list: List,
    settings: Settings,
    /// Pixels per pixel of a usual screen.
    screen: f32,
    pointer: Option<Pointer>,
    hover: Target,
    press: Option<Press>,
    is_unsaved: bool,
    /// When to write next at the earliest.
    next_save: Instant,
    message: Option<(String, Instant)>,
    has_refused_to_quit: bool,
    is_over: bool,
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
            editor.say("every face here is done; changes are still saved".into());
        }
        editor
    }

    pub(super) fn deck(&self) -> &Deck {
        &self.deck
    }

    /// The sample's position in the order.
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

    /// The dragged object.
    pub(super) fn grip(&self) -> Option<Grip> {
        Some(self.press.as_ref()?.drag.as_ref()?.0.grip)
    }

    /// Whether the picture is being moved.
    pub(super) fn is_panning(&self) -> bool {
        self.press.as_ref().is_some_and(|press| press.is_panning) || self.pointer.is_some_and(|p| p.other)
    }

    /// The position of the mouse, if it is over the picture.
    pub(super) fn pointer_in_view(&self) -> Option<Point<CanvasSpace>> {
        self.pointer.map(|pointer| pointer.at).filter(|at| self.is_in_view(*at))
    }

    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|(text, _)| text.as_str())
    }

    /// Drops an expired message; returns whether there was one.
    pub(super) fn fade(&mut self) -> bool {
        self.message.take_if(|(_, since)| since.elapsed() > MESSAGE_DURATION).is_some()
    }

    /// Whether to quit: the user asked for it, and everything is saved or can't be.
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

    /// Sets the layout of the window.
    pub(super) fn set_layout(&mut self, layout: Layout, list: List) {
        let is_first = self.layout == Layout::default();
        if layout != self.layout {
            self.layout = layout;
            self.viewport.resize((layout.view, layout.height));
        }
        let has_changed = self.list.rows != list.rows;
        self.list = List { first: self.list.first, ..list };
        if has_changed {
            self.list.show(self.current, self.deck.len());
        }
        if is_first && self.selection.part.is_none() {
            self.show_face();
        }
    }

    /// The handles of the selected part.
    pub(super) fn handles(&self) -> Option<(FacePart, Handles)> {
        let part = self.selection.part?;
        let part_box = PartBox::of(&self.labels.points, part);
        Some((part, Handles::of(&part_box, &self.viewport.view_from_frame(), self.screen)))
    }

    /// The positions of the points in the view.
    pub(super) fn points_in_view(&self) -> Vec<Point<CanvasSpace>> {
        let view_from_frame = self.viewport.view_from_frame();
        self.labels.points.iter().map(|&p| view_from_frame.apply(p)).collect()
    }

    /// Shows a sample after saving the current one. If that fails, the current one stays.
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
        // A face that the detector missed has to be moved as a whole first.
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

    /// Changes the current labels with `edit`, which returns whether it did. `continues`: as part of the last change.
    fn change(&mut self, continues: bool, edit: impl FnOnce(&mut Labels) -> bool) -> bool {
        let before = self.labels.clone();
        let has_changed = edit(&mut self.labels);
        if has_changed {
            self.note(before, continues);
        }
        has_changed
    }

    fn note(&mut self, before: Labels, continues: bool) {
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

    /// Writes a change that is due. Returns whether there is a new message.
    pub(super) fn save_if_due(&mut self) -> bool {
        if !self.is_unsaved || Instant::now() < self.next_save {
            return false;
        }
        !self.save()
    }

    /// Writes all changes; returns whether everything is on disk.
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
