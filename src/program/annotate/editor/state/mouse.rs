//! The effects of the mouse on the current sample.
//!
//! In: the position and buttons of the mouse, in pixels of the window. Out: moved points, another selection, a panned
//! or zoomed picture, another sample. Nothing fails.

use super::super::gesture::{Gesture, Grip};
use super::super::handles::Handle;
use super::super::labels::Labels;
use super::super::picking::{Target, target};
use super::{Editor, Layers, Selection};
use crate::program::view::Pointer;
use crate::runtime::geometry::{CanvasSpace, Point};
use std::time::Instant;

/// The mouse has to move this far before a click is a drag, in pixels of a usual screen.
const CLICK_REACH: f32 = 2.5;
/// The zoom factor of a step of the wheel, and the most steps at once.
const WHEEL_ZOOM: f32 = 1.2;
const MOST_WHEEL_STEPS: f32 = 6.0;

/// The left button is held.
#[derive(Clone, Debug)]
pub(super) struct Press {
    at: Point<CanvasSpace>,
    target: Target,
    /// Once the mouse has moved: the drag, and the labels before it.
    pub drag: Option<(Gesture, Labels)>,
    pub is_panning: bool,
}

impl Editor {
    pub(super) fn is_in_view(&self, at: Point<CanvasSpace>) -> bool {
        let (width, height) = (self.layout.view as f32, self.layout.height as f32);
        at.x >= 0.0 && at.y >= 0.0 && at.x < width && at.y < height
    }

    fn is_in_list(&self, at: Point<CanvasSpace>) -> bool {
        let left = (self.layout.view + self.layout.help) as f32;
        self.layout.list > 0 && at.x >= left && at.x < left + self.layout.list as f32
    }

    /// Handles the new position and buttons of the mouse; returns whether anything changed.
    pub(in super::super) fn point(&mut self, pointer: Pointer) -> bool {
        let before = self.pointer.replace(pointer);
        let moved = before.map_or((0.0, 0.0), |b| (pointer.at.x - b.at.x, pointer.at.y - b.at.y));
        let was_left = before.is_some_and(|before| before.left);
        let mut has_changed = self.settings.magnifier && moved != (0.0, 0.0);
        if pointer.wheel != 0.0 {
            has_changed |= self.wheel(pointer.at, pointer.wheel.clamp(-MOST_WHEEL_STEPS, MOST_WHEEL_STEPS));
        }
        if pointer.other && before.is_some_and(|before| before.other) && moved != (0.0, 0.0) {
            self.viewport.pan(moved.0, moved.1);
            has_changed = true;
        }
        match (was_left, pointer.left) {
            (false, true) => {
                self.begin(pointer.at);
                has_changed = true;
            }
            (true, true) if moved != (0.0, 0.0) => has_changed |= self.drag(pointer.at, moved),
            (true, false) => {
                self.drag(pointer.at, moved);
                self.release();
                has_changed = true;
            }
            _ => {}
        }
        if self.press.is_none() {
            let hover = self.target_at(pointer.at);
            has_changed |= hover != self.hover;
            self.hover = hover;
        }
        has_changed
    }

    fn target_at(&self, at: Point<CanvasSpace>) -> Target {
        if !self.is_in_view(at) || self.settings.layers == Layers::Nothing {
            return Target::Nothing;
        }
        target(&self.points_in_view(), self.handles(), at, self.screen)
    }

    fn wheel(&mut self, at: Point<CanvasSpace>, steps: f32) -> bool {
        if self.is_in_view(at) {
            self.viewport.zoom(at, WHEEL_ZOOM.powf(steps));
        } else if self.is_in_list(at) {
            self.list.scroll(steps, self.deck.len());
        } else {
            return false;
        }
        true
    }

    fn begin(&mut self, at: Point<CanvasSpace>) {
        if self.is_in_list(at) {
            if let Some(sample) = self.list.sample_at(at.y).filter(|sample| *sample < self.deck.len()) {
                self.go_to(sample);
            }
        } else if self.is_in_view(at) {
            let target = self.target_at(at);
            if let Target::Grip(Grip::Point(point)) = target {
                let part = self.selection.part.filter(|part| part.points().any(|i| i == point));
                self.selection = Selection { part, point: Some(point) };
            }
            self.press = Some(Press { at, target, drag: None, is_panning: false });
        }
    }

    fn drag(&mut self, at: Point<CanvasSpace>, moved: (f32, f32)) -> bool {
        let Some(press) = &mut self.press else { return false };
        let frame_from_view = self.viewport.frame_from_view();
        if press.drag.is_none() && !press.is_panning {
            if press.at.distance(at) < CLICK_REACH * self.screen {
                return false;
            }
            match press.target {
                Target::Grip(grip) => {
                    let gesture = Gesture::begin(grip, frame_from_view.apply(press.at), &self.labels.points);
                    press.drag = Some((gesture, self.labels.clone()));
                    if let Grip::Part(..) = grip {
                        self.selection.point = None;
                    }
                }
                Target::Curve(_) | Target::Nothing => {
                    press.is_panning = true;
                    self.viewport.pan(at.x - press.at.x, at.y - press.at.y);
                    return true;
                }
            }
        }
        match &press.drag {
            Some((gesture, before)) => {
                let points = gesture.points(frame_from_view.apply(at), self.settings.is_soft);
                let last = std::mem::replace(&mut self.labels, before.clone());
                self.labels.place(points);
                self.is_unsaved |= self.labels != last;
            }
            None => self.viewport.pan(moved.0, moved.1),
        }
        true
    }

    /// The left button is released, or a key ends the drag.
    pub(super) fn release(&mut self) {
        let Some(press) = self.press.take() else { return };
        match press {
            Press { drag: Some((_, before)), .. } => {
                if before != self.labels {
                    self.note(before, false);
                    self.next_save = Instant::now();
                }
            }
            Press { is_panning: true, .. } => {}
            Press { target: Target::Curve(part), .. } => {
                self.selection = Selection { part: Some(part), point: None };
            }
            Press { target: Target::Nothing, .. } => self.selection = Selection::default(),
            // A click in the box of the selected part may be meant for another part's curve there.
            Press { target: Target::Grip(Grip::Part(_, Handle::Move)), at, .. } => {
                self.selection.point = None;
                if let Target::Curve(part) = target(&self.points_in_view(), None, at, self.screen) {
                    self.selection.part = Some(part);
                }
            }
            Press { target: Target::Grip(_), .. } => {}
        }
    }
}
