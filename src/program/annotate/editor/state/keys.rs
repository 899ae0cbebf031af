//! The effects of keys on the current sample.
//!
//! In: [`Command`]s. Out: changed labels, another selection, another sample, other settings. If something can't be
//! done, a message says so.

use super::super::command::Command;
use super::super::gesture::{move_part, move_point};
use super::super::labels::points_of;
use super::super::mirror::{Side, copy_side};
use super::super::parts::FacePart;
use super::{Editor, Layers, Selection};
use crate::runtime::geometry::Point;
use crate::train::collection::Review;

impl Editor {
    /// Runs the command of a key.
    pub(in super::super) fn obey(&mut self, command: Command) {
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
            // Another sample may follow, so this one has to be on disk.
            Command::Undo | Command::Redo if !self.save() => {}
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
                let setting =
                    if self.settings.is_soft { "neighbours follow a point" } else { "neighbours stay in place" };
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
            None => self.say(match self.deck.len() {
                1 => "the only face is done".into(),
                n => format!("all {n} faces are done; N and B go through them again"),
            }),
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
            return self.say("there is no prediction to reset to (Z undoes)".into());
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
}
