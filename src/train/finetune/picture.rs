//! The verdict as a picture: errors of the parts before and after, and held-out faces with both predictions.
//!
//! In: a verdict, the held-out faces and their errors. Out: a picture. Nothing fails.

use super::measure::{Faces, Measured};
use super::verdict::Verdict;
use crate::runtime::geometry::{FrameSpace, Point, crop_from_frame};
use crate::runtime::image::{Border, Frame, crop_into};
use crate::train::text;

const WIDTH: usize = 960;
const MARGIN: usize = 20;
const TITLE_SIZE: f32 = 20.0;
const TEXT_SIZE: f32 = 14.0;
const ROW: usize = 22;
/// The left edge of the bars.
const BARS: usize = 130;
const FACES: usize = 6;
const COLUMNS: usize = 3;
const BACKGROUND: [u8; 3] = [250, 250, 248];
const INK: [u8; 3] = [40, 40, 40];
/// Colours that colour-blind people can tell apart (Okabe, Ito).
const BEFORE: [u8; 3] = [213, 94, 0];
const AFTER: [u8; 3] = [0, 158, 115];

/// The picture of a verdict.
pub(super) fn draw(verdict: &Verdict, faces: &Faces, before: &[Measured], after: &[Measured]) -> Frame {
    let side = (WIDTH - (COLUMNS + 1) * MARGIN) / COLUMNS;
    let shown = chosen(before);
    let top = 3 * MARGIN + 2 * ROW + verdict.parts.len() * ROW;
    let height = top + shown.len().div_ceil(COLUMNS) * (side + MARGIN);
    let mut frame = Frame::filled(WIDTH, height, BACKGROUND);
    let title = if verdict.accepted { "accepted" } else { "refused" };
    let x = MARGIN as f32;
    text::draw(&mut frame, x, 12.0, TITLE_SIZE, INK, &format!("{title}: {}", verdict.reason));
    let legend = (12 + ROW + 8) as f32;
    text::draw(&mut frame, x, legend, TEXT_SIZE, INK, "Error on the held-out faces, % of the eye distance:");
    text::draw(&mut frame, x + 380.0, legend, TEXT_SIZE, BEFORE, "before");
    text::draw(&mut frame, x + 440.0, legend, TEXT_SIZE, AFTER, "after");
    let most = verdict.parts.iter().map(|p| p.before.max(p.after)).fold(1e-9, f64::max);
    for (i, part) in verdict.parts.iter().enumerate() {
        let y = 2 * MARGIN + 2 * ROW + i * ROW;
        text::draw(&mut frame, x, y as f32 + 1.0, TEXT_SIZE, INK, &part.part);
        let length = |error: f64| ((WIDTH - BARS - 130) as f64 * error / most) as usize;
        fill(&mut frame, BARS, y, length(part.before), 8, BEFORE);
        fill(&mut frame, BARS, y + 9, length(part.after), 8, AFTER);
        let figures = format!("{:.1}, {:.1}", part.before, part.after);
        let end = BARS + length(part.before.max(part.after)) + 8;
        text::draw(&mut frame, end as f32, y as f32 + 1.0, TEXT_SIZE, INK, &figures);
    }
    for (cell, &index) in shown.iter().enumerate() {
        let left = MARGIN + cell % COLUMNS * (side + MARGIN);
        let down = top + cell / COLUMNS * (side + MARGIN);
        paste(&mut frame, faces.crop(index), left, down, side);
        let scale = side as f32 / faces.crop(index).width() as f32;
        for (points, color) in [(&before[index].points, BEFORE), (&after[index].points, AFTER)] {
            for &point in points {
                let at = |v: f32| ((v + 0.5) * scale).round();
                dot(&mut frame, left as f32 + at(point.x), down as f32 + at(point.y), color);
            }
        }
    }
    frame
}

/// Six faces from the best to the worst before.
fn chosen(before: &[Measured]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_by(|&a, &b| before[a].error.total_cmp(&before[b].error));
    let count = order.len().min(FACES);
    (0..count).map(|i| order[i * (order.len() - 1) / (count - 1).max(1)]).collect()
}

fn fill(frame: &mut Frame, x: usize, y: usize, width: usize, height: usize, color: [u8; 3]) {
    let frame_width = frame.width();
    for row in y..y + height {
        for column in x..(x + width).min(frame_width) {
            frame.rgb_mut()[(row * frame_width + column) * 3..][..3].copy_from_slice(&color);
        }
    }
}

/// Two pixels each way.
fn dot(frame: &mut Frame, x: f32, y: f32, color: [u8; 3]) {
    let (width, height) = (frame.width(), frame.height());
    if x >= 1.0 && y >= 1.0 && x + 1.0 < width as f32 && y + 1.0 < height as f32 {
        fill(frame, x as usize - 1, y as usize - 1, 3, 3, color);
    }
}

/// Draws `picture` scaled to a square of `side` pixels.
fn paste(frame: &mut Frame, picture: &Frame, x: usize, y: usize, side: usize) {
    let mut pixels = vec![0.0; side * side * 3];
    let size = picture.width() as f32;
    let middle = Point::<FrameSpace>::new((size - 1.0) / 2.0, (size - 1.0) / 2.0);
    crop_into(picture, &crop_from_frame(middle, size, 0.0, side), side, Border::Replicate, &mut pixels);
    let width = frame.width();
    for (row, line) in pixels.chunks_exact(side * 3).enumerate() {
        let start = ((y + row) * width + x) * 3;
        for (to, from) in frame.rgb_mut()[start..start + side * 3].iter_mut().zip(line) {
            *to = (from * 255.0).round() as u8;
        }
    }
}
