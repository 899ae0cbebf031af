//! The bar at the bottom of the window, and its menus.
//!
//! In: items with their commands, and the pointer. Out: the bar on the canvas, and the command at a pixel. If there is
//! not enough room, the least important items are left out. The bar is redrawn only when something in it changes.
//! Nothing fails.

use super::canvas::{Room, veil};
use super::keys::WindowCommand;
use super::palette::{ACCENT, BACKGROUND, PLAIN, RAISED};
use super::panel::{self, background};
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::image::Frame;
use crate::train::text;

/// The height of the bar over that of the text.
const HEIGHT: f32 = 1.9;
/// The text of the bar and its menus over other text.
const TEXT: f32 = 0.92;
/// Space beside the text of an item, and between a menu and the bar, over the height of the text.
const PADDING: f32 = 0.55;
const GAP: f32 = 0.3;
/// From line to line of a menu, over the height of the text.
const LINE: f32 = 1.55;

/// Something in the bar.
#[derive(Clone, Debug, PartialEq)]
pub struct BarItem {
    pub text: String,
    pub color: [u8; 3],
    /// The command of a click.
    pub command: Option<WindowCommand>,
    /// The importance: with little room, items with small values are left out first.
    pub importance: u8,
}

/// An item in its place.
#[derive(Clone, Debug, PartialEq)]
struct Placed {
    item: BarItem,
    left: f32,
    right: f32,
}

/// The bar as it was drawn last.
#[derive(Default)]
pub struct Bar {
    room: Room,
    size: f32,
    placed: Vec<Placed>,
    under_pointer: Option<usize>,
    strip: Frame,
}

impl Bar {
    /// The height of the bar at the bottom of a canvas of this width and height, in pixels.
    pub fn height(canvas: (usize, usize), scale: f32) -> usize {
        let height = (HEIGHT * panel::text_size_of(canvas, scale)).round() as usize;
        height.min(canvas.1 / 3)
    }

    /// Draws the items into the lowest rows of the canvas, `left` ones from the left and `right` ones from the right.
    pub fn draw(
        &mut self,
        canvas: &mut Frame,
        scale: f32,
        left: Vec<BarItem>,
        right: Vec<BarItem>,
        pointer: Option<Point<CanvasSpace>>,
    ) {
        let (width, height) = (canvas.width(), canvas.height());
        let bar = Self::height((width, height), scale);
        let room = Room { left: 0, top: height - bar, width, height: bar };
        let size = TEXT * panel::text_size(canvas, scale).min(bar as f32 / HEIGHT);
        let placed = place(left, right, width as f32, size);
        let is_same = (self.room, self.size) == (room, size) && self.placed == placed;
        (self.room, self.size, self.placed) = (room, size, placed);
        let under_pointer = pointer.and_then(|p| self.index_at(p));
        let is_same = std::mem::replace(&mut self.under_pointer, under_pointer) == under_pointer && is_same;
        if !is_same {
            self.draw_strip();
        }
        let first = room.top * width * 3;
        canvas.rgb_mut()[first..][..self.strip.rgb().len()].copy_from_slice(self.strip.rgb());
    }

    fn draw_strip(&mut self) {
        let Self { room, size, placed, under_pointer, strip } = self;
        if (strip.width(), strip.height()) != (room.width, room.height) {
            strip.resize(room.width, room.height);
        }
        veil(strip, Room { top: 0, ..*room }, BACKGROUND, 1.0);
        let top = 0.5 * (room.height as f32 - *size) - 0.05 * *size;
        for (i, Placed { item, left, right }) in placed.iter().enumerate() {
            if *under_pointer == Some(i) {
                let inset = 0.1 * room.height as f32;
                background(strip, [*left, inset, *right, room.height as f32 - inset], 0.3 * *size, RAISED, 1.0);
            }
            text::draw(strip, left + PADDING * *size, top, *size, item.color, &item.text);
        }
    }

    fn index_at(&self, p: Point<CanvasSpace>) -> Option<usize> {
        let is_there = |placed: &Placed| placed.item.command.is_some() && (placed.left..placed.right).contains(&p.x);
        self.contains(p).then(|| self.placed.iter().position(is_there)).flatten()
    }

    pub fn contains(&self, p: Point<CanvasSpace>) -> bool {
        self.room.contains(p)
    }

    /// The command of a click there, and the position of its menu.
    pub fn command_at(&self, p: Point<CanvasSpace>) -> Option<(WindowCommand, f32)> {
        let placed = &self.placed[self.index_at(p)?];
        Some((placed.item.command?, placed.left))
    }

    /// The left edge of the item with this command.
    pub fn left_of(&self, command: WindowCommand) -> f32 {
        self.placed.iter().find(|placed| placed.item.command == Some(command)).map_or(0.0, |placed| placed.left)
    }
}

/// Places the items, without those for which there is no room.
fn place(mut left: Vec<BarItem>, mut right: Vec<BarItem>, room: f32, size: f32) -> Vec<Placed> {
    let width_of = |item: &BarItem| text::width(&item.text, size) + 2.0 * PADDING * size;
    let width = |items: &[BarItem]| items.iter().map(width_of).sum::<f32>();
    while width(&left) + width(&right) > room {
        let least = left.iter().chain(&right).map(|item| item.importance).min();
        let Some(least) = least else { break };
        if left.len() + right.len() == 1 {
            break;
        }
        match right.iter().rposition(|item| item.importance == least) {
            Some(i) => right.remove(i),
            None => left.remove(left.iter().rposition(|item| item.importance == least).unwrap_or(0)),
        };
    }
    let mut x = 0.0;
    let mut start = room - width(&right);
    let put = |at: &mut f32, item: BarItem| {
        let from = *at;
        *at += width_of(&item);
        Placed { item, left: from, right: *at }
    };
    let mut placed: Vec<Placed> = left.into_iter().map(|item| put(&mut x, item)).collect();
    placed.extend(right.into_iter().map(|item| put(&mut start, item)));
    placed
}

/// An entry of a menu.
#[derive(Clone, Debug, PartialEq)]
pub struct MenuItem {
    pub text: String,
    pub command: WindowCommand,
    /// Whether it is in use.
    pub is_current: bool,
}

/// A list that opens above the bar.
pub struct Menu {
    items: Vec<MenuItem>,
    selected: usize,
    /// Its left edge, in pixels.
    left: f32,
    /// The drawn area: left, top, right, bottom, and the height of a line.
    drawn: [f32; 4],
    line: f32,
}

impl Menu {
    pub fn new(items: Vec<MenuItem>, left: f32) -> Self {
        let selected = items.iter().position(|item| item.is_current).unwrap_or(0);
        Self { items, selected, left, drawn: [0.0; 4], line: 1.0 }
    }

    /// Draws it above the bar, which begins at row `bar`.
    pub fn draw(&mut self, canvas: &mut Frame, bar: usize, scale: f32) {
        let size = TEXT * panel::text_size(canvas, scale);
        let size = size.min((bar as f32 - GAP * size) / (LINE * self.items.len() as f32 + 2.0 * PADDING)).max(1.0);
        let widest = self.items.iter().map(|item| text::width(&item.text, size)).fold(0.0, f32::max);
        let (width, height) = (widest + 3.6 * PADDING * size, (LINE * self.items.len() as f32 + 2.0 * PADDING) * size);
        let left = self.left.min(canvas.width() as f32 - width - GAP * size).max(0.0);
        let bottom = bar as f32 - GAP * size;
        self.drawn = [left, bottom - height, left + width, bottom];
        self.line = LINE * size;
        background(canvas, self.drawn, 0.5 * size, BACKGROUND, 0.94);
        for (i, item) in self.items.iter().enumerate() {
            let top = bottom - height + (PADDING + i as f32 * LINE) * size;
            if i == self.selected {
                let inset = 0.3 * size;
                background(canvas, [left + inset, top, left + width - inset, top + self.line], 0.3 * size, RAISED, 1.0);
            }
            let color = if item.is_current { ACCENT } else { PLAIN };
            text::draw(canvas, left + 1.8 * PADDING * size, top + 0.2 * size, size, color, &item.text);
        }
    }

    fn index_at(&self, p: Point<CanvasSpace>) -> Option<usize> {
        let [left, top, right, _] = self.drawn;
        let line = (p.y - top) / self.line - PADDING / LINE;
        let is_on = (left..right).contains(&p.x) && line >= 0.0 && line < self.items.len() as f32;
        is_on.then_some(line as usize)
    }

    /// Moves the pointer there; true if that changes the picture.
    pub fn point_at(&mut self, p: Point<CanvasSpace>) -> bool {
        self.index_at(p).is_some_and(|i| std::mem::replace(&mut self.selected, i) != i)
    }

    /// The command of a click there.
    pub fn command_at(&self, p: Point<CanvasSpace>) -> Option<WindowCommand> {
        self.index_at(p).map(|i| self.items[i].command)
    }

    /// Selects the entry above or below.
    pub fn step(&mut self, is_down: bool) {
        let count = self.items.len();
        self.selected = (self.selected + if is_down { 1 } else { count - 1 }) % count;
    }

    pub fn selected(&self) -> WindowCommand {
        self.items[self.selected].command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str, command: Option<WindowCommand>, importance: u8) -> BarItem {
        BarItem { text: text.into(), color: PLAIN, command, importance }
    }

    #[test]
    fn a_click_on_an_item_is_its_command_and_beside_the_bar_it_is_none() {
        let mut bar = Bar::default();
        let mut canvas = Frame::filled(640, 500, [90; 3]);
        let left = vec![item("30 frames/s", None, 9)];
        let right = vec![item("Record", Some(WindowCommand::Record), 5), item("Help", Some(WindowCommand::Help), 9)];
        bar.draw(&mut canvas, 1.0, left, right, None);
        let height = Bar::height((640, 500), 1.0);
        let at = |x: f32| bar.command_at(Point::new(x, 500.0 - 0.5 * height as f32)).map(|(command, _)| command);
        assert_eq!((at(5.0), at(634.0)), (None, Some(WindowCommand::Help)));
        assert_eq!(at(bar.left_of(WindowCommand::Record) + 2.0), Some(WindowCommand::Record));
        assert_eq!(bar.command_at(Point::new(634.0, 400.0)), None);
        assert_eq!(&canvas.rgb()[..3], [90; 3], "the picture is untouched");
        assert_eq!(&canvas.rgb()[(499 * 640 + 320) * 3..][..3], BACKGROUND);
    }

    #[test]
    fn what_matters_least_gives_way_in_a_narrow_window() {
        let items = || vec![item("Tune", None, 1), item("Record", None, 5), item("Help", None, 9)];
        let texts = |room| {
            let placed = place(vec![item("30 frames/s", None, 8)], items(), room, 14.0);
            assert!(placed.len() == 1 || placed.iter().all(|placed| placed.right <= room + 0.01));
            placed.into_iter().map(|placed| placed.item.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(400.0).len(), 4);
        assert_eq!(texts(200.0), ["30 frames/s", "Record", "Help"]);
        assert_eq!(texts(150.0), ["30 frames/s", "Help"]);
        assert_eq!(texts(1.0), ["Help"]);
    }

    #[test]
    fn a_menu_is_worked_with_mouse_and_arrows_on_any_canvas() {
        let items = (1..=9).map(|n| MenuItem {
            text: format!("{n} faces"),
            command: WindowCommand::Faces(n),
            is_current: n == 4,
        });
        let mut menu = Menu::new(items.collect(), 600.0);
        assert_eq!(menu.selected(), WindowCommand::Faces(4));
        menu.step(true);
        assert_eq!(menu.selected(), WindowCommand::Faces(5));
        for size in [(640, 480), (200, 60), (3, 3)] {
            let mut canvas = Frame::filled(size.0, size.1, [90; 3]);
            menu.draw(&mut canvas, size.1 - 1, 1.0);
            let [left, top, _, bottom] = menu.drawn;
            assert!(left >= 0.0 && (size.0 < 10 || top >= 0.0), "{:?}", menu.drawn);
            let first = Point::new(left + 1.0, top + PADDING / LINE * menu.line + 0.1);
            assert_eq!(menu.command_at(first), Some(WindowCommand::Faces(1)));
            assert_eq!(menu.command_at(Point::new(left + 1.0, bottom + 1.0)), None);
            assert!(menu.point_at(first) && !menu.point_at(first));
            menu.step(false);
        }
    }
}
