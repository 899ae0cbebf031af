//! Text over the picture: panels of lines, the table of keys, labels.
//!
//! In: a canvas, the height of the text in its pixels ([`text_size`]), and lines. Out: the canvas with the lines on
//! dark panels with round corners, readable on any background. Text that would not fit is drawn smaller. Nothing fails.

use super::canvas::{Room, cover};
use crate::runtime::image::Frame;
use crate::train::text;

use super::palette::BACKGROUND;
pub use super::palette::{ALARM, PLAIN, QUIET};

/// Height of the text over the canvas' width and height, and its bounds in pixels.
const TEXT_OF_WIDTH: f32 = 1.0 / 44.0;
const TEXT_OF_HEIGHT: f32 = 1.0 / 30.0;
const TEXT_PIXELS: (f32, f32) = (10.0, 19.0);
/// From line to line, and the space around the lines, over the height of the text.
const LINE: f32 = 1.35;
const PADDING: f32 = 0.6;
/// Between a panel and the border of the canvas, over the height of the text.
const MARGIN: f32 = 0.5;
/// Between the columns of a table, over the height of the text.
const GUTTER: f32 = 1.2;
const OPACITY: f32 = 0.78;

/// A line of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct TextLine {
    pub text: String,
    pub color: [u8; 3],
}

impl TextLine {
    pub fn new(color: [u8; 3], text: impl Into<String>) -> Self {
        Self { text: text.into(), color }
    }
}

/// The position of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    UpperLeft,
    LowerLeft,
    Middle,
    /// In the middle of the upper border.
    Top,
    /// With its upper left corner at this pixel, or as near to it as possible.
    At(i32, i32),
}

/// The height of text, in pixels, for the canvas; `scale` is 2 for a screen with twice the pixel density.
pub fn text_size(canvas: &Frame, scale: f32) -> f32 {
    text_size_of((canvas.width(), canvas.height()), scale)
}

/// The same for a canvas of this width and height.
pub fn text_size_of((width, height): (usize, usize), scale: f32) -> f32 {
    let fitting = (width as f32 * TEXT_OF_WIDTH).min(height as f32 * TEXT_OF_HEIGHT);
    fitting.clamp(TEXT_PIXELS.0, TEXT_PIXELS.1.max(TEXT_PIXELS.1 * scale))
}

/// Draws lines of text, the first one at the top; lines that are too long for the canvas are wrapped.
pub fn lines(canvas: &mut Frame, place: Place, size: f32, lines: &[TextLine]) {
    lines_in(canvas, Room::of(canvas), place, size, lines);
}

/// The same in a part of the canvas.
pub fn lines_in(canvas: &mut Frame, room: Room, place: Place, size: f32, lines: &[TextLine]) {
    let width = room.width as f32 - 2.0 * (MARGIN + PADDING) * size;
    let wrapped: Vec<TextLine> = lines.iter().flat_map(|line| wrap(line, size, width)).collect();
    let rows: Vec<[&TextLine; 1]> = wrapped.iter().map(|line| [line]).collect();
    table_in(canvas, room, place, size, &rows);
}

/// A line wrapped at its spaces into pieces that are no wider than `room` pixels, as far as possible.
fn wrap(line: &TextLine, size: f32, room: f32) -> Vec<TextLine> {
    let mut pieces: Vec<String> = Vec::new();
    for word in line.text.split(' ') {
        match pieces.last_mut() {
            Some(piece) if text::width(&format!("{piece} {word}"), size) <= room => *piece += &format!(" {word}"),
            _ => pieces.push(word.to_owned()),
        }
    }
    pieces.into_iter().map(|piece| TextLine::new(line.color, piece)).collect()
}

/// Draws rows of text with aligned columns.
pub fn table<const COLUMNS: usize>(canvas: &mut Frame, place: Place, size: f32, rows: &[[&TextLine; COLUMNS]]) {
    table_in(canvas, Room::of(canvas), place, size, rows);
}

fn table_in<const COLUMNS: usize>(
    canvas: &mut Frame,
    room: Room,
    place: Place,
    size: f32,
    rows: &[[&TextLine; COLUMNS]],
) {
    if rows.is_empty() || room.width == 0 || room.height == 0 {
        return;
    }
    let (room_width, room_height) = (room.width as f32, room.height as f32);
    let extent = |size| extent(size, rows);
    let (_, width, height) = extent(size);
    let inside = |whole: f32| (whole - 2.0 * MARGIN * size).max(1.0);
    let size = size * (inside(room_width) / width).min(inside(room_height) / height).min(1.0);
    let (widths, width, height) = extent(size);
    let margin = MARGIN * size;
    let (right, bottom) = (room_width - margin - width, room_height - margin - height);
    let (left, top) = match place {
        Place::UpperLeft => (margin, margin),
        Place::LowerLeft => (margin, bottom),
        Place::Middle => (0.5 * (room_width - width), 0.5 * (room_height - height)),
        Place::Top => (0.5 * (room_width - width), margin),
        Place::At(x, y) => {
            let (x, y) = (x as f32 - room.left as f32, y as f32 - room.top as f32);
            (x.min(right).max(margin), y.min(bottom).max(margin))
        }
    };
    let (left, top) = (left + room.left as f32, top + room.top as f32);
    background(canvas, [left, top, left + width, top + height], 0.5 * size, BACKGROUND, OPACITY);
    for (i, row) in rows.iter().enumerate() {
        let y = top + (PADDING + i as f32 * LINE) * size;
        let mut x = left + PADDING * size;
        for (line, width) in row.iter().zip(widths) {
            text::draw(canvas, x, y, size, line.color, &line.text);
            x += width + GUTTER * size;
        }
    }
}

/// Width and height of a panel of lines that are not wrapped, with the space around it.
pub fn lines_extent(size: f32, lines: &[TextLine]) -> (f32, f32) {
    let rows: Vec<[&TextLine; 1]> = lines.iter().map(|line| [line]).collect();
    let (_, width, height) = extent(size, &rows);
    (width + 2.0 * MARGIN * size, height + 2.0 * MARGIN * size)
}

/// The width of a canvas on which [`table`] draws these rows in their full size.
pub fn table_width<const COLUMNS: usize>(size: f32, rows: &[[&TextLine; COLUMNS]]) -> f32 {
    extent(size, rows).1 + 2.0 * MARGIN * size
}

/// The widths of a table's columns, and the width and height of its panel.
fn extent<const COLUMNS: usize>(size: f32, rows: &[[&TextLine; COLUMNS]]) -> ([f32; COLUMNS], f32, f32) {
    let widths: [f32; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| text::width(&row[column].text, size)).fold(0.0, f32::max));
    let width = widths.iter().sum::<f32>() + (GUTTER * (COLUMNS - 1) as f32 + 2.0 * PADDING) * size;
    // Below the last line there is only what its letters need.
    (widths, width, (rows.len().saturating_sub(1) as f32 * LINE + 1.15 + 2.0 * PADDING) * size)
}

/// Draws a short text on a small panel that stands on (`left`, `bottom`), or as near to it as the canvas has room.
pub fn label(canvas: &mut Frame, (left, bottom): (f32, f32), size: f32, color: [u8; 3], label: &str) {
    if !(left.is_finite() && bottom.is_finite()) {
        return;
    }
    let (width, height) = (text::width(label, size) + PADDING * size, 1.25 * size);
    let x = left.min(canvas.width() as f32 - width).max(0.0);
    let y = (bottom - height - 0.3 * size).min(canvas.height() as f32 - height).max(0.0);
    background(canvas, [x, y, x + width, y + height], 0.3 * size, BACKGROUND, OPACITY);
    text::draw(canvas, x + 0.5 * PADDING * size, y + 0.1 * size, size, color, label);
}

/// Covers a rectangle (left, top, right, bottom) with round corners.
pub(super) fn background(
    canvas: &mut Frame,
    [left, top, right, bottom]: [f32; 4],
    radius: f32,
    color: [u8; 3],
    opacity: f32,
) {
    let canvas_width = canvas.width();
    let columns = (left.max(0.0) as usize).min(canvas_width)..(right.max(0.0).ceil() as usize).min(canvas_width);
    let rows = top.max(0.0) as usize..(bottom.max(0.0).ceil() as usize).min(canvas.height());
    for y in rows {
        let row = &mut canvas.rgb_mut().as_chunks_mut::<3>().0[y * canvas_width..][..canvas_width];
        for (x, pixel) in columns.clone().zip(&mut row[columns.clone()]) {
            // Distance to the rectangle without its round corners.
            let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
            let dx = (left + radius - px).max(px - (right - radius)).max(0.0);
            let dy = (top + radius - py).max(py - (bottom - radius)).max(0.0);
            cover(pixel, color, opacity * (radius + 0.5 - dx.hypot(dy)).clamp(0.0, 1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(background: u8) -> f32 {
        let mut canvas = Frame::filled(640, 480, [background; 3]);
        let size = text_size(&canvas, 1.0);
        lines(&mut canvas, Place::UpperLeft, size, &[TextLine::new(PLAIN, "IIIIII"), TextLine::new(PLAIN, "IIIIII")]);
        let inside: Vec<f32> = (0..60)
            .flat_map(|y| (12..40).map(move |x| (y, x)))
            .map(|(y, x)| f32::from(canvas.rgb()[(y * 640 + x) * 3]))
            .collect();
        let (low, high) = inside.iter().fold((255.0_f32, 0.0_f32), |(low, high), v| (low.min(*v), high.max(*v)));
        (high + 12.75) / (low + 12.75)
    }

    #[test]
    fn text_stands_out_from_white_grey_and_black() {
        for background in [0, 128, 255] {
            assert!(contrast(background) > 2.4, "{background}: {}", contrast(background));
        }
    }

    #[test]
    fn a_panel_fits_on_any_canvas() {
        let row = [TextLine::new(PLAIN, "a key"), TextLine::new(PLAIN, "what it does, at some length")];
        let rows = vec![[&row[0], &row[1]]; 18];
        for (width, height) in [(320, 240), (160, 1000), (1920, 100), (3, 3), (1, 1), (0, 0)] {
            for place in [Place::UpperLeft, Place::LowerLeft, Place::Middle] {
                let mut canvas = Frame::filled(width, height, [255; 3]);
                let size = text_size(&canvas, 1.0);
                table(&mut canvas, place, size, &rows);
                label(&mut canvas, (-50.0, 1e6), size, PLAIN, "7");
                if width > 100 && place == Place::Middle {
                    let corner = &canvas.rgb()[..3];
                    assert_eq!(corner, [255; 3], "there is a margin");
                }
            }
        }
    }

    #[test]
    fn a_long_line_goes_on_in_the_next() {
        let line = TextLine::new(ALARM, "you may not use /dev/video0; if your user is not in the group, say so");
        let pieces = wrap(&line, 16.0, 200.0);
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| text::width(&piece.text, 16.0) <= 200.0), "{pieces:?}");
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(texts.join(" "), line.text);
        assert_eq!(wrap(&line, 16.0, 1e4), [line]);
        assert_eq!(wrap(&TextLine::new(PLAIN, "unbreakable"), 16.0, 1.0).len(), 1);
    }

    #[test]
    fn text_grows_with_the_window_and_with_the_screens_scale() {
        let size = |width, height, scale| text_size(&Frame::filled(width, height, [0; 3]), scale);
        assert_eq!(size(320, 240, 1.0), TEXT_PIXELS.0);
        assert!(size(640, 480, 1.0) > size(320, 240, 1.0) && size(640, 480, 1.0) < size(1920, 1080, 1.0));
        assert!((size(1280, 960, 2.0) - 2.0 * size(640, 480, 1.0)).abs() < 1.0);
    }
}
