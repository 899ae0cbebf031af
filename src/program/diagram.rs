//! Documents the landmarks: a face with the number of every point, and tables of the parts and of the maps between
//! schemes.
//!
//! Out: a picture, or Markdown. docs/landmarks.md holds both; a test compares. Nothing fails.

use crate::program::view::{Ink, StrokeEnd};
use crate::runtime::geometry::Point;
use crate::runtime::image::Frame;
use crate::runtime::landmarks::{Part, Scheme, WFLW98_OUTLINES};
use crate::train::synth::front_view;
use crate::train::text;
use std::fmt::Write as _;

/// The face, in pixels.
const FACE: (usize, usize) = (1000, 1000);
/// The list of parts beside it.
const LIST_WIDTH: usize = 270;
const MARGIN: f32 = 16.0;
const NUMBER_SIZE: f32 = 14.0;
const TEXT_SIZE: f32 = 18.0;
const ROW: f32 = 34.0;
/// From a point to the middle of its number, in pixels.
const NUMBER_AWAY: f32 = 15.0;
const DOT: f32 = 6.0;
const LINE: f32 = 1.5;
const RIM: f32 = 1.0;
const PAPER: [u8; 3] = [250, 250, 250];
const INK: [u8; 3] = [30, 30, 30];
const NUMBER: [u8; 3] = [255, 255, 255];

/// A colour that stands out from skin and from its neighbours.
const fn color(part: Part) -> [u8; 3] {
    match part {
        Part::Outline => [86, 180, 233],
        Part::LeftBrow | Part::RightBrow => [240, 228, 66],
        Part::NoseRidge => [230, 120, 240],
        Part::NoseBase => [0, 220, 160],
        Part::LeftEye | Part::RightEye => [120, 220, 255],
        Part::LeftPupil | Part::RightPupil => [255, 80, 80],
        Part::OuterLips => [255, 170, 60],
        Part::InnerLips => [190, 255, 120],
    }
}

/// A face with its 98 points, their numbers and the names of the parts.
pub(super) fn draw() -> Frame {
    let mut face = Frame::filled(FACE.0, FACE.1, PAPER);
    let points = front_view(&mut face).unwrap_or_else(|| [Point::new(0.0, 0.0); 98]);
    let mut canvas = Frame::filled(FACE.0 + LIST_WIDTH, FACE.1, PAPER);
    let rows = canvas.rgb_mut().chunks_exact_mut(3 * (FACE.0 + LIST_WIDTH));
    rows.zip(face.rgb().chunks_exact(3 * FACE.0)).for_each(|(to, from)| to[..from.len()].copy_from_slice(from));

    let end = |i: usize| StrokeEnd { at: Point::new(points[i].x, points[i].y), opacity: 1.0 };
    let mut ink = Ink::default();
    ink.begin(canvas.width(), canvas.height());
    for part in Part::ALL {
        let of_part = Scheme::Wflw98.part(part);
        let curves = WFLW98_OUTLINES.iter().filter(|curve| of_part.contains(&curve.points[0]));
        for curve in curves {
            curve.points.windows(2).for_each(|pair| ink.stroke(end(pair[0]), end(pair[1]), LINE, RIM));
            if let (true, [first, .., last]) = (curve.closed, curve.points) {
                ink.stroke(end(*last), end(*first), LINE, RIM);
            }
        }
        of_part.iter().for_each(|&i| ink.stroke(end(i), end(i), DOT, RIM));
        ink.draw(&mut canvas, color(part));
    }
    for part in Part::ALL {
        let of_part = Scheme::Wflw98.part(part);
        for &i in of_part {
            number(&mut canvas, (points[i].x, points[i].y), direction(part, of_part, i, &points), i);
        }
    }
    list(&mut canvas, &mut ink);
    canvas
}

/// The direction from a point to its number: away from the middle of its part, and inwards from the inner edge of the
/// lips.
fn direction<S>(part: Part, of_part: &[usize], i: usize, points: &[Point<S>]) -> (f32, f32) {
    let mean = |v: fn(&Point<S>) -> f32| of_part.iter().map(|&i| v(&points[i])).sum::<f32>() / of_part.len() as f32;
    let (x, y) = (points[i].x - mean(|p| p.x), points[i].y - mean(|p| p.y));
    let (x, y) = match part {
        Part::NoseRidge => (1.0, 0.0),
        Part::NoseBase => (0.0, 1.0),
        Part::LeftPupil | Part::RightPupil => (0.0, 1.0),
        // Flat parts: above and below, so that neighbours keep apart.
        Part::LeftEye | Part::RightEye | Part::OuterLips => (0.25 * x, y),
        // The upper edge comes first.
        Part::LeftBrow | Part::RightBrow => (0.0, if i < of_part[of_part.len() / 2 + 1] { -1.0 } else { 1.0 }),
        Part::InnerLips => (-0.25 * x, -y),
        Part::Outline => (x, y),
    };
    let length = x.hypot(y).max(1e-3);
    (x / length, y / length)
}

fn number(canvas: &mut Frame, (x, y): (f32, f32), (dx, dy): (f32, f32), number: usize) {
    let label = number.to_string();
    let left = x + NUMBER_AWAY * dx - 0.5 * text::width(&label, NUMBER_SIZE);
    let top = y + NUMBER_AWAY * dy - 0.5 * NUMBER_SIZE;
    for (dx, dy) in [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)] {
        text::draw(canvas, left + dx, top + dy, NUMBER_SIZE, INK, &label);
    }
    text::draw(canvas, left, top, NUMBER_SIZE, NUMBER, &label);
}

fn list(canvas: &mut Frame, ink: &mut Ink) {
    let x = FACE.0 as f32 + MARGIN;
    let mut y = MARGIN;
    for part in Part::ALL {
        let dot = StrokeEnd { at: Point::new(x + DOT, y + 0.5 * TEXT_SIZE), opacity: 1.0 };
        ink.stroke(dot, dot, 2.0 * DOT, RIM);
        ink.draw(canvas, color(part));
        let line = format!("{}  {}", part.name(), ranges(Scheme::Wflw98.part(part)));
        text::draw(canvas, x + 3.0 * DOT, y, TEXT_SIZE, INK, &line);
        y += ROW;
    }
    for line in ["Left and right are those", "of the picture."] {
        y += 0.5 * ROW;
        text::draw(canvas, x, y + 0.5 * ROW, 0.9 * TEXT_SIZE, INK, line);
    }
}

/// The parts of each scheme, and its points as those of WFLW-98, in Markdown.
pub(super) fn tables() -> String {
    let mut tables =
        String::from("| part | 98 (WFLW) | 68 (iBUG, 300-W) | 29 (COFW) | 19 (AFLW) |\n|---|---|---|---|---|\n");
    for part in Part::ALL {
        let of = |scheme: Scheme| ranges(scheme.part(part));
        let [a, b, c, d] = Scheme::ALL.map(of);
        let _ = writeln!(tables, "| {} | {a} | {b} | {c} | {d} |", part.name());
    }
    for scheme in [Scheme::Ibug68, Scheme::Cofw29, Scheme::Aflw19] {
        let _ = writeln!(tables, "\n| {} points | of the 98 |\n|---|---|", scheme.points());
        for part in Part::ALL {
            let of_part = scheme.part(part);
            if of_part.is_empty() {
                continue;
            }
            let mean = |&i: &usize| scheme.of_wflw98(i).iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
            let (own, of98): (Vec<_>, Vec<_>) = of_part.iter().map(|i| (i.to_string(), mean(i))).unzip();
            let _ = writeln!(tables, "| {}: {} | {} |", part.name(), own.join(", "), of98.join(", "));
        }
    }
    tables
}

/// Numbers in words, where they follow each other as "3-7".
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let range = |(first, last): (usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    match ranges.is_empty() {
        true => "-".into(),
        false => ranges.into_iter().map(range).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_page_holds_the_tables_and_the_diagram_that_the_program_makes() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        let page = fs::read_to_string(docs.join("landmarks.md")).unwrap();
        assert!(page.contains(&tables()), "bring docs/landmarks.md in step: awing landmarks\n{}", tables());
        let (drawn, there) = (draw(), Frame::open(&docs.join("landmarks.png")).unwrap());
        assert_eq!((drawn.width(), drawn.height()), (there.width(), there.height()));
        // Rounding may differ between processors.
        let differs = drawn.rgb().iter().zip(there.rgb()).filter(|(a, b)| a.abs_diff(**b) > 24).count();
        assert!(differs < drawn.rgb().len() / 1000, "awing landmarks --diagram docs/landmarks.png ({differs})");
    }

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!((ranges(&[3, 4, 5, 9]).as_str(), ranges(&[7]).as_str(), ranges(&[]).as_str()), ("3-5, 9", "7", "-"));
    }
}
