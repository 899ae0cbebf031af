//! The columns beside the picture: the keys, and the list of samples with their reviews.
//!
//! In: the editor, and the height of the text in pixels. Out: a canvas as large as the column. Text that would not fit
//! is drawn smaller. Nothing fails.

use super::command::HELP;
use super::layout::Layout;
use super::list::List;
use super::order::{confidence, is_missed};
use super::state::{Editor, Layers};
use crate::program::view::panel::{self, Place, TextLine};
use crate::runtime::image::Frame;
use crate::train::collection::{CollectedFace, Review};
use crate::train::text;

const PAPER: [u8; 3] = [17, 19, 24];
const CURRENT: [u8; 3] = [46, 56, 70];
const ACCEPTED: [u8; 3] = [122, 220, 130];
const REJECTED: [u8; 3] = [255, 122, 108];
const BAR: [u8; 3] = [44, 48, 56];
/// Points with low confidence, and those that don't count.
pub(super) const UNSURE: [u8; 3] = [255, 96, 72];
pub(super) const IGNORED: [u8; 3] = [160, 166, 176];
/// The height of the help's text over that of other text.
const HELP_TEXT: f32 = 0.82;
/// Heights relative to the text: above the rows of the list, and of a row.
const LIST_TOP: f32 = 5.0;
const ROW: f32 = 1.5;
/// Left borders of the columns of the list.
const MARK: f32 = 0.7;
const NUMBER: f32 = 2.1;
const NOTE: f32 = 5.4;

/// The number of rows that fit into a list of this height.
pub(super) fn list_of(layout: Layout, text: f32) -> List {
    let (top, row) = (LIST_TOP * text, ROW * text);
    let rows = if layout.list > 0 { ((layout.height as f32 - top - 0.3 * row) / row).max(0.0) as usize } else { 0 };
    List { top, row, rows, first: 0 }
}

/// The rows of the help: a key, what it does, and the current setting.
fn help_rows(editor: &Editor) -> Vec<[TextLine; 3]> {
    let settings = editor.settings();
    let on = |is_on: bool| if is_on { "on" } else { "off" };
    let setting = |key: &str| match key {
        "S" => on(settings.is_soft),
        "G" => on(settings.magnifier),
        "L" => on(settings.list),
        "C" => match settings.layers {
            Layers::CurvesAndPoints => "both",
            Layers::Points => "points",
            Layers::Nothing => "none",
        },
        _ => "",
    };
    let line = |color, key, action, setting| {
        [TextLine::new(color, key), TextLine::new(panel::PLAIN, action), TextLine::new(panel::QUIET, setting)]
    };
    let keys = HELP.into_iter().map(|(key, action)| line(panel::ALARM, key, action, setting(key)));
    let colors =
        [line(UNSURE, "red", "points with low confidence", ""), line(IGNORED, "grey", "points that don't count", "")];
    keys.chain(colors).collect()
}

/// The width that the help needs beside the picture.
pub(super) fn help_width(editor: &Editor, text: f32) -> f32 {
    let rows: Vec<_> = help_rows(editor);
    panel::table_width(HELP_TEXT * text, &rows.iter().map(|row| row.each_ref()).collect::<Vec<_>>())
}

/// Draws the help in the upper left corner of its column, or in the middle of the picture.
pub(super) fn draw_help(editor: &Editor, canvas: &mut Frame, place: Place, text: f32) {
    let rows = help_rows(editor);
    panel::table(canvas, place, HELP_TEXT * text, &rows.iter().map(|row| row.each_ref()).collect::<Vec<_>>());
}

/// Clears a column.
pub(super) fn clear(canvas: &mut Frame) {
    fill(canvas, [0.0, 0.0, canvas.width() as f32, canvas.height() as f32], PAPER);
}

/// Draws the list of samples.
pub(super) fn draw_list(editor: &Editor, canvas: &mut Frame, size: f32) {
    clear(canvas);
    let (deck, list, width) = (editor.deck(), editor.list(), canvas.width() as f32);
    let counts = deck.counts();
    let (left, right) = (MARK * size, width - MARK * size);
    text::draw(canvas, left, 0.6 * size, size, panel::PLAIN, &format!("{} of {} done", counts.done(), counts.all));
    let details = format!("{} accepted, {} rejected", counts.accepted, counts.rejected);
    let fitting = size * HELP_TEXT * ((right - left) / text::width(&details, size * HELP_TEXT)).min(1.0);
    text::draw(canvas, left, 2.0 * size, fitting, panel::QUIET, &details);
    let share = |count: usize| (right - left) * count as f32 / counts.all.max(1) as f32;
    let (bar_top, bar_bottom) = (3.5 * size, 3.9 * size);
    let accepted = left + share(counts.accepted);
    fill(canvas, [left, bar_top, right, bar_bottom], BAR);
    fill(canvas, [left, bar_top, accepted, bar_bottom], ACCEPTED);
    fill(canvas, [accepted, bar_top, accepted + share(counts.rejected), bar_bottom], REJECTED);
    for (row, sample) in (list.first..deck.len()).take(list.rows).enumerate() {
        let top = list.top + row as f32 * list.row;
        if sample == editor.current() {
            fill(canvas, [0.0, top, width, top + list.row], CURRENT);
        }
        let y = top + 0.5 * (list.row - 1.15 * size);
        let face = deck.face(sample);
        let (mark, color) = mark_of(face.review);
        text::draw(canvas, left, y, size, color, mark);
        text::draw(canvas, NUMBER * size, y, size, panel::PLAIN, &(sample + 1).to_string());
        text::draw(canvas, NOTE * size, y, size, panel::QUIET, &note_on(face));
    }
}

fn mark_of(review: Review) -> (&'static str, [u8; 3]) {
    match review {
        Review::Accepted => ("\u{2713}", ACCEPTED),
        Review::Rejected => ("\u{2717}", REJECTED),
        Review::Pending => ("\u{25cb}", panel::QUIET),
    }
}

/// The word for a face in its row.
fn note_on(face: &CollectedFace) -> String {
    match confidence(face) {
        _ if is_missed(face) => "missed".into(),
        Some(confidence) => format!("{:.0} %", 100.0 * confidence),
        None => "imported".into(),
    }
}

/// Fills a rectangle (left, top, right, bottom).
fn fill(canvas: &mut Frame, [left, top, right, bottom]: [f32; 4], color: [u8; 3]) {
    let (width, height) = (canvas.width(), canvas.height());
    let pixels = |from: f32, to: f32, count: usize| {
        let to = (to.round().max(0.0) as usize).min(count);
        (from.round().max(0.0) as usize).min(to)..to
    };
    let columns = pixels(left, right, width);
    for y in pixels(top, bottom, height) {
        canvas.rgb_mut().as_chunks_mut::<3>().0[y * width..][columns.clone()].fill(color);
    }
}
