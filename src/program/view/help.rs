//! Help: groups of keys beside the picture.
//!
//! In: groups of rows, and the area of picture and help together. Out: a layout, which gives a part of the area to the
//! help and the rest to the picture, so that help never covers a face; and its drawing. Text that would become too
//! small to read is spread over pages. Nothing fails.

use super::canvas::{Room, veil};
use super::elided;
use super::palette::{ACCENT, ALARM, BACKGROUND, PLAIN, QUIET};
use crate::runtime::image::Frame;
use crate::train::text;

/// Lengths over the height of the text: from row to row, from a title to its first row, between groups and columns,
/// around everything, and between the parts of a row.
const ROW: f32 = 1.38;
const TITLE: f32 = 1.6;
const GROUP_GAP: f32 = 0.7;
const COLUMN_GAP: f32 = 1.6;
const PADDING: f32 = 0.9;
const PART_GAP: f32 = 0.8;
/// The most of the width, or of the height, that help takes from the picture.
const MOST: f32 = 0.64;
const MOST_COLUMNS: usize = 3;
/// Text is readable from this height in pixels, and from this share of the usual one.
const READABLE_PIXELS: f32 = 10.0;
const READABLE_SHARE: f32 = 0.72;
/// Longer settings are cut, in letters.
const LONGEST_SETTING: usize = 15;

/// A key, its effect, and the current setting.
#[derive(Clone, Debug, PartialEq)]
pub struct HelpRow {
    pub name: &'static str,
    pub action: &'static str,
    pub setting: String,
}

/// Rows under a title.
#[derive(Clone, Debug, PartialEq)]
pub struct HelpGroup {
    pub title: &'static str,
    pub rows: Vec<HelpRow>,
}

impl HelpGroup {
    /// Over the height of the text.
    fn height(&self) -> f32 {
        TITLE + ROW * self.rows.len() as f32
    }
}

/// The areas of help and of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct HelpLayout {
    pub picture: Room,
    pub pages: usize,
    room: Room,
    /// The height of the text.
    size: f32,
    /// The groups of each column, column after column and page after page.
    columns: Vec<Vec<usize>>,
    columns_a_page: usize,
    /// Whether there is room for the settings.
    has_settings: bool,
}

/// The widths of the parts of a row, and of the whole, over the height of the text.
fn widths(groups: &[HelpGroup], has_settings: bool) -> ([f32; 2], f32) {
    let widest = |part: fn(&HelpRow) -> String| {
        let rows = groups.iter().flat_map(|group| &group.rows);
        rows.map(|row| text::width(&part(row), 100.0) / 100.0).fold(0.0, f32::max)
    };
    let (name, action) = (widest(|row| row.name.into()), widest(|row| row.action.into()));
    let setting = if has_settings { PART_GAP + widest(|row| elided(&row.setting, LONGEST_SETTING)) } else { 0.0 };
    ([name, action], name + PART_GAP + action + setting)
}

/// Fills columns with groups in their order, none of them higher than `most`; `None` if they are too few.
fn fill(heights: &[f32], columns: usize, most: f32) -> Option<Vec<Vec<usize>>> {
    let mut filled: Vec<Vec<usize>> = vec![Vec::new()];
    let mut height = 0.0;
    for (i, own) in heights.iter().enumerate() {
        let is_first = filled.last().is_some_and(Vec::is_empty);
        let together = if is_first { *own } else { height + GROUP_GAP + own };
        if together > most && !is_first {
            filled.push(vec![i]);
            height = *own;
        } else {
            filled.last_mut()?.push(i);
            height = together;
        }
    }
    (filled.len() <= columns).then_some(filled)
}

/// The groups in the given number of columns, as low as possible, and their height.
fn balanced(heights: &[f32], columns: usize) -> (Vec<Vec<usize>>, f32) {
    let mut most = heights.iter().copied().fold(0.0, f32::max);
    loop {
        match fill(heights, columns, most) {
            Some(filled) => return (filled, most),
            None => most += 0.5 * ROW,
        }
    }
}

/// Lays help out in `room`; `text` is the usual height of text.
pub fn layout(groups: &[HelpGroup], room: Room, text: f32) -> HelpLayout {
    let heights: Vec<f32> = groups.iter().map(HelpGroup::height).collect();
    let (width, height) = (room.width as f32, room.height as f32);
    let readable = READABLE_PIXELS.max(READABLE_SHARE * text).min(text);
    let mut best: Option<(HelpLayout, f32)> = None;
    // Fewer pages are better than showing the settings.
    for (pages, has_settings) in (1..=groups.len()).flat_map(|pages| [(pages, true), (pages, false)]) {
        let (_, column) = widths(groups, has_settings);
        for columns_a_page in 1..=MOST_COLUMNS.min(groups.len().div_ceil(pages)) {
            let (columns, most) = balanced(&heights, columns_a_page * pages);
            let footer = if pages > 1 { ROW } else { 0.0 };
            let wide = columns_a_page as f32 * (column + COLUMN_GAP) - COLUMN_GAP + 2.0 * PADDING;
            let high = most + footer + 2.0 * PADDING;
            for is_beside in [true, false] {
                let (most_wide, most_high) = if is_beside { (MOST * width, height) } else { (width, MOST * height) };
                let size = (most_wide / wide).min(most_high / high).min(text);
                let taken = if is_beside { size * wide / width } else { size * high / height };
                // Large text, and a large area left for the picture.
                let score = size - 0.1 * text * taken;
                if best.as_ref().is_none_or(|(_, before)| score > *before) {
                    let (picture, own) = split(room, if is_beside { wide } else { high } * size, is_beside);
                    let columns = columns.clone();
                    let layout = HelpLayout { picture, pages, room: own, size, columns, columns_a_page, has_settings };
                    best = Some((layout, score));
                }
            }
        }
        if best.as_ref().is_some_and(|(layout, _)| layout.size >= readable) {
            break;
        }
    }
    let nothing = || HelpLayout {
        picture: room,
        pages: 1,
        room,
        size: text,
        columns: Vec::new(),
        columns_a_page: 1,
        has_settings: false,
    };
    best.map_or_else(nothing, |(layout, _)| layout)
}

/// The picture's part of the room, and that of help: `taken` pixels at the right, or at the foot.
fn split(room: Room, taken: f32, is_beside: bool) -> (Room, Room) {
    let taken = taken.ceil() as usize;
    if is_beside {
        let width = room.width.saturating_sub(taken);
        (Room { width, ..room }, Room { left: room.left + width, width: room.width - width, ..room })
    } else {
        let height = room.height.saturating_sub(taken);
        (Room { height, ..room }, Room { top: room.top + height, height: room.height - height, ..room })
    }
}

/// Draws a page of help.
pub fn draw(canvas: &mut Frame, groups: &[HelpGroup], layout: &HelpLayout, page: usize) {
    let &HelpLayout { room, size, columns_a_page, pages, has_settings, .. } = layout;
    veil(canvas, room, BACKGROUND, 1.0);
    let ([name, action], column) = widths(groups, has_settings);
    let shown = layout.columns.iter().skip(page * columns_a_page).take(columns_a_page);
    for (i, groups_in_column) in shown.enumerate() {
        let left = room.left as f32 + (PADDING + i as f32 * (column + COLUMN_GAP)) * size;
        let mut top = room.top as f32 + PADDING * size;
        for group in groups_in_column.iter().map(|&group| &groups[group]) {
            text::draw(canvas, left, top, size, ACCENT, group.title);
            top += TITLE * size;
            for row in &group.rows {
                text::draw(canvas, left, top, size, ALARM, row.name);
                text::draw(canvas, left + (name + PART_GAP) * size, top, size, PLAIN, row.action);
                if has_settings {
                    let at = left + (name + action + 2.0 * PART_GAP) * size;
                    text::draw(canvas, at, top, size, QUIET, &elided(&row.setting, LONGEST_SETTING));
                }
                top += ROW * size;
            }
            top += GROUP_GAP * size;
        }
    }
    if pages > 1 {
        let more = if page + 1 < pages { "H: more" } else { "H: close" };
        let footer = format!("{more} ({} of {pages})", page + 1);
        let top = (room.top + room.height) as f32 - (PADDING + 1.0) * size;
        text::draw(canvas, room.left as f32 + PADDING * size, top, size, QUIET, &footer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::view::panel::text_size_of;

    fn groups() -> Vec<HelpGroup> {
        let groups = super::super::keys::KEY_GROUPS.iter();
        let row = |key: &super::super::keys::KeyBinding| HelpRow {
            name: key.name,
            action: key.action,
            setting: "camera 0 (Integrated)".into(),
        };
        groups.map(|group| HelpGroup { title: group.title, rows: group.keys.iter().map(row).collect() }).collect()
    }

    /// The part of the room's edge pixels that help has written on.
    fn is_cut_off(groups: &[HelpGroup], layout: &HelpLayout) -> bool {
        (0..layout.pages).any(|page| {
            let room = layout.room;
            let (width, height) = (room.left + room.width + 40, room.top + room.height + 40);
            let mut canvas = Frame::filled(width, height, BACKGROUND);
            draw(&mut canvas, groups, layout, page);
            let is_inside = |x: usize, y: usize| {
                let is_in = |v: usize, from: usize, length: usize| (from + 1..from + length - 1).contains(&v);
                is_in(x, room.left, room.width) && is_in(y, room.top, room.height)
            };
            let written = |x: usize, y: usize| canvas.rgb()[(y * width + x) * 3..][..3] != BACKGROUND;
            (0..width).flat_map(|x| (0..height).map(move |y| (x, y))).any(|(x, y)| !is_inside(x, y) && written(x, y))
        })
    }

    #[test]
    fn help_lies_beside_the_picture_readable_and_whole_at_every_size_and_scale() {
        let groups = groups();
        for (width, height) in [(320, 240), (480, 360), (640, 480), (360, 640), (960, 720), (1280, 720), (1920, 1080)] {
            for scale in [1.0, 1.5, 2.0] {
                let room = Room { left: 0, top: 0, width, height };
                let text = text_size_of((width, height), scale);
                let layout = layout(&groups, room, text);
                let HelpLayout { picture, room: own, size, pages, .. } = layout.clone();
                assert!(size >= 9.5, "{width}x{height}, {scale}: text of {size} pixels");
                assert!(pages <= 4 && (pages == 1 || width < 960), "{width}x{height}, {scale}: {pages} pages");
                let is_beside = picture.left + picture.width <= own.left || picture.top + picture.height <= own.top;
                assert!(is_beside && picture.width * picture.height > width * height / 4, "{layout:?}");
                assert!(!is_cut_off(&groups, &layout), "{width}x{height}, {scale}");
                let shown: usize = layout.columns.iter().map(Vec::len).sum();
                assert_eq!(shown, groups.len());
            }
        }
        for (width, height) in [(30, 20), (1, 1), (0, 0)] {
            let room = Room { left: 0, top: 0, width, height };
            let layout = layout(&groups, room, 10.0);
            draw(&mut Frame::filled(width, height, [0; 3]), &groups, &layout, 0);
        }
    }
}
