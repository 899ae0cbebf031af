//! The window's canvas: picture, faces, text, bar and menus, from back to front.
//!
//! In: the window's state. Out: pixels, and the position of the picture among them. Fails with the display.

use super::SessionWindow;
use super::words::{self, Sight};
use crate::program::live::painter::Scene;
use crate::program::view::panel::{self, Place, TextLine};
use crate::program::view::{Bar, NetworkLayers, Room, ShownFace, help, palette, veil};
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::track::Face;
use anyhow::Result;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The height of the figures' text over that of other text.
const FIGURES_TEXT: f32 = 0.85;
/// How much an old picture is darkened.
const DIMMED: f32 = 0.6;
/// The margin around a face's landmarks in which the mouse hits it, over its longer side.
const FACE_MARGIN: f32 = 0.08;

impl SessionWindow {
    /// Paints everything and puts it on the screen.
    pub(super) fn show(&mut self, is_new: bool) -> Result<()> {
        let start = Instant::now();
        if self.painter.network.any()
            && let Err(error) = self.inspector.look(&self.tracked, self.status.precision)
        {
            self.painter.network = NetworkLayers::default();
            self.say(format!("{error:#}"));
        }
        self.paint();
        self.painted = start;
        let painting_s = start.elapsed().as_secs_f32();
        self.window.show(self.painter.canvas())?;
        if is_new {
            self.figures.count(&self.tracked, painting_s, self.status.is_live);
            self.session.observer.after_display(&self.tracked, true);
        }
        Ok(())
    }

    fn paint(&mut self) {
        self.size = self.window.size();
        let (size, scale) = (self.size, self.window.scale());
        let text = panel::text_size_of(size, scale);
        self.painter.is_mirrored = self.is_mirrored.unwrap_or(self.status.is_live);
        let whole = Room { left: 0, top: 0, width: size.0, height: size.1 - Bar::height(size, scale) };
        let help = self.help_page.map(|page| {
            let groups = self.help();
            let layout = help::layout(&groups, whole, text);
            // A window that grew has fewer pages.
            (page.min(layout.pages.saturating_sub(1)), groups, layout)
        });
        self.room = help.as_ref().map_or(whole, |(.., layout)| layout.picture);
        let pointed = self.mouse.points_at(Instant::now()).and_then(|at| self.face_at(at)).map(|face| face.id);
        let faces: Vec<ShownFace<'_>> = self.fading.shown().collect();
        let scene = Scene { frame: &self.tracked.frame, faces: &faces, views: self.inspector.views() };
        self.painter.paint(&scene, size, self.room);
        if let Some((page, groups, layout)) = help {
            (self.help_page, self.help_pages) = (Some(page), layout.pages);
            help::draw(self.painter.canvas(), &groups, &layout, page);
        }
        self.paint_words(text);
        if let (Some(id), None) = (pointed, &self.menu) {
            self.paint_about(id, text);
        }
        let [left, right] = self.bar_items();
        let pointer = self.mouse.at();
        self.bar.draw(self.painter.canvas(), scale, left, right, pointer);
        if let Some(menu) = &mut self.menu {
            menu.draw(self.painter.canvas(), whole.height, scale);
        }
    }

    /// Figures, the state of the picture and news.
    fn paint_words(&mut self, text: f32) {
        let (room, alone) = (self.room, self.session.controls.alone.load(Ordering::Relaxed));
        let picture = self.painter.placement(&self.tracked.frame, room).picture();
        let sight = Sight {
            is_empty: self.tracked.frame.width() == 0,
            is_paused: self.is_paused(),
            faces: self.tracked.faces.len(),
            without_face: self.face_seen.elapsed(),
            missed: (alone != 0 && self.tracked.faces.is_empty()).then_some(alone),
            looks_into_network: self.painter.network.any(),
        };
        let state = words::state(&self.status, &sight);
        let news = words::news(self.collecting, self.tuning, self.message.as_ref().map(|(text, _)| text));
        let canvas = self.painter.canvas();
        if state.as_ref().is_some_and(|state| state.is_dimmed) {
            veil(canvas, picture, palette::BACKGROUND, DIMMED);
        }
        if self.shows_figures {
            let frame = &self.tracked.frame;
            let source = format!("{}, {}x{}", self.status.source, frame.width(), frame.height());
            let figures = self.figures.text.iter().filter(|_| self.status.trouble.is_none());
            let mut lines: Vec<_> = figures.map(|text| TextLine::new(panel::PLAIN, text)).collect();
            lines.extend([&source, &self.status.computing].map(|text| TextLine::new(panel::QUIET, text)));
            panel::lines_in(canvas, room, Place::UpperLeft, FIGURES_TEXT * text, &lines);
        }
        if let Some(state) = state {
            let place = if state.is_dimmed { Place::Middle } else { Place::Top };
            panel::lines_in(canvas, room, place, text, &state.lines);
        }
        panel::lines_in(canvas, room, Place::LowerLeft, text, &news);
    }

    /// The values of a face, beside it.
    fn paint_about(&mut self, id: u64, text: f32) {
        let Some(face) = self.tracked.faces.iter().find(|face| face.id == id) else { return };
        let signals = self.tracked.signals.iter().find(|signals| signals.id == id);
        let is_alone = self.session.controls.alone.load(Ordering::Relaxed) == id;
        let lines = words::about(face, signals, is_alone);
        let placement = self.painter.placement(&self.tracked.frame, self.room);
        let (rect, margin) = (&face.rect, FACE_MARGIN * face.rect.side());
        let corners = [(rect.x - margin, rect.y), (rect.x + rect.width + margin, rect.y + rect.height + margin)];
        let [a, b] = corners.map(|(x, y)| placement.canvas_from_frame(Point::new(x, y)));
        let size = FIGURES_TEXT * text;
        let (width, height) = panel::lines_extent(size, &lines);
        let room = self.room;
        let (room_right, room_bottom) = ((room.left + room.width) as f32, (room.top + room.height) as f32);
        let (left, right) = (a.x.min(b.x), a.x.max(b.x));
        let (x, y) = if right + width < room_right {
            (right, a.y)
        } else if left - width > room.left as f32 {
            (left - width, a.y)
        } else if b.y + height < room_bottom {
            (left, b.y)
        } else {
            (left, a.y - height)
        };
        panel::lines_in(self.painter.canvas(), room, Place::At(x as i32, y as i32), size, &lines);
    }

    pub(super) fn face_at(&self, at: Point<CanvasSpace>) -> Option<&Face> {
        if !self.room.contains(at) {
            return None;
        }
        let at = self.painter.placement(&self.tracked.frame, self.room).frame_from_canvas(at);
        let is_there = |face: &&Face| {
            let (rect, margin) = (&face.rect, FACE_MARGIN * face.rect.side());
            (rect.x - margin..rect.x + rect.width + margin).contains(&at.x)
                && (rect.y - margin..rect.y + rect.height + margin).contains(&at.y)
        };
        let faces = self.tracked.faces.iter().filter(is_there);
        faces.min_by(|a, b| a.rect.side().total_cmp(&b.rect.side()))
    }
}
