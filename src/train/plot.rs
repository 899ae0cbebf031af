//! Line plots as pictures: learning curves and error curves.
//!
//! In: named lines of points. Out: a PNG or JPEG file of 900x560 pixels, with the names above the plotting area, clear
//! of all lines. Fails with [`ImageError`], naming the file.

use crate::runtime::image::{Frame, ImageError};
use crate::train::text;
use std::path::Path;
use tiny_skia::{Color, LineCap, Paint, PathBuilder, Pixmap, Stroke, Transform};

/// A line of a plot.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A plot. The default range is that of the points.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Chart {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub series: Vec<Series>,
    pub x_range: Option<(f64, f64)>,
    pub y_range: Option<(f64, f64)>,
}

const WIDTH: usize = 900;
const HEIGHT: usize = 560;
/// Margins of the plotting area, in pixels.
const LEFT: f32 = 70.0;
const RIGHT: f32 = 30.0;
const TOP: f32 = 50.0;
const BOTTOM: f32 = 60.0;
const TEXT_SIZE: f32 = 15.0;
/// The legend: the height of a row, the length of a sample of a line, and the gaps after it and after its name.
const LEGEND_ROW: f32 = 22.0;
const LEGEND_SAMPLE: f32 = 26.0;
const LEGEND_GAPS: (f32, f32) = (8.0, 26.0);
const BLACK: [u8; 3] = [40, 40, 40];
/// Colours that colour-blind people can tell apart (Okabe, Ito).
const COLORS: [[u8; 3]; 7] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [60, 60, 60]];

impl Chart {
    /// Draws the plot into a PNG or JPEG file.
    ///
    /// # Errors
    /// [`ImageError`] naming the file.
    pub fn save(&self, path: &Path) -> Result<(), ImageError> {
        self.draw().save(path)
    }

    fn draw(&self) -> Frame {
        let points = || self.series.iter().flat_map(|s| &s.points).filter(|p| p.0.is_finite() && p.1.is_finite());
        let x_range = self.x_range.unwrap_or_else(|| span(points().map(|p| p.0)));
        let y_range = self.y_range.unwrap_or_else(|| span(points().map(|p| p.1)));
        let legend = self.legend();
        let top = TOP + legend.last().map_or(0.0, |entry| entry.1 + LEGEND_ROW);
        let place = |(x, y): (f64, f64)| {
            let along = |v: f64, (from, to): (f64, f64)| ((v - from) / (to - from)).clamp(0.0, 1.0) as f32;
            let (w, h) = (WIDTH as f32 - LEFT - RIGHT, HEIGHT as f32 - top - BOTTOM);
            (LEFT + w * along(x, x_range), top + h * (1.0 - along(y, y_range)))
        };
        let mut frame = Frame::filled(WIDTH, HEIGHT, [255, 255, 255]);
        let (x_ticks, y_ticks) = (ticks(x_range), ticks(y_range));
        if let Some(mut canvas) = Pixmap::new(WIDTH as u32, HEIGHT as u32) {
            canvas.fill(Color::WHITE);
            for &x in &x_ticks {
                line(&mut canvas, &[place((x, y_range.0)), place((x, y_range.1))], [225, 225, 225], 1.0);
            }
            for &y in &y_ticks {
                line(&mut canvas, &[place((x_range.0, y)), place((x_range.1, y))], [225, 225, 225], 1.0);
            }
            let corners = [(x_range.0, y_range.1), (x_range.0, y_range.0), (x_range.1, y_range.0)];
            line(&mut canvas, &corners.map(place), BLACK, 1.5);
            for (i, series) in self.series.iter().enumerate() {
                let finite = series.points.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
                let path: Vec<_> = finite.map(|&p| place(p)).collect();
                line(&mut canvas, &path, COLORS[i % COLORS.len()], 2.2);
            }
            for (i, &(x, y)) in legend.iter().enumerate() {
                let y = TOP + y;
                line(&mut canvas, &[(x, y), (x + LEGEND_SAMPLE, y)], COLORS[i % COLORS.len()], 3.0);
            }
            for (to, from) in frame.rgb_mut().chunks_exact_mut(3).zip(canvas.data().chunks_exact(4)) {
                to.copy_from_slice(&from[..3]);
            }
        }
        for &x in &x_ticks {
            let label = number(x);
            let at = place((x, y_range.0));
            text::draw(&mut frame, at.0 - text::width(&label, TEXT_SIZE) / 2.0, at.1 + 8.0, TEXT_SIZE, BLACK, &label);
        }
        for &y in &y_ticks {
            let label = number(y);
            let at = place((x_range.0, y));
            let x = at.0 - text::width(&label, TEXT_SIZE) - 8.0;
            text::draw(&mut frame, x, at.1 - TEXT_SIZE / 2.0, TEXT_SIZE, BLACK, &label);
        }
        for (series, &(x, y)) in self.series.iter().zip(&legend) {
            let (x, y) = (x + LEGEND_SAMPLE + LEGEND_GAPS.0, TOP + y - TEXT_SIZE / 2.0);
            text::draw(&mut frame, x, y, TEXT_SIZE, BLACK, &series.name);
        }
        let middle = |label: &str, size: f32| (WIDTH as f32 - text::width(label, size)) / 2.0;
        text::draw(&mut frame, middle(&self.title, 19.0), 8.0, 19.0, BLACK, &self.title);
        let x = middle(&self.x_label, TEXT_SIZE);
        text::draw(&mut frame, x, HEIGHT as f32 - 26.0, TEXT_SIZE, BLACK, &self.x_label);
        text::draw(&mut frame, 8.0, TOP - 24.0, TEXT_SIZE, BLACK, &self.y_label);
        frame
    }

    /// The positions of the legend's entries, from the left and below the title, in rows. A single line needs none: the
    /// axis names it.
    fn legend(&self) -> Vec<(f32, f32)> {
        let (mut x, mut y) = (LEFT, 12.0);
        let series = self.series.iter().filter(|_| self.series.len() > 1);
        let mut entries = Vec::new();
        for series in series {
            let width = LEGEND_SAMPLE + LEGEND_GAPS.0 + text::width(&series.name, TEXT_SIZE);
            if x > LEFT && x + width > WIDTH as f32 - RIGHT {
                (x, y) = (LEFT, y + LEGEND_ROW);
            }
            entries.push((x, y));
            x += width + LEGEND_GAPS.1;
        }
        entries
    }
}

fn line(canvas: &mut Pixmap, points: &[(f32, f32)], color: [u8; 3], width: f32) {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    let Some(path) = path.finish() else { return };
    let mut paint = Paint::default();
    paint.set_color_rgba8(color[0], color[1], color[2], 255);
    paint.anti_alias = true;
    let stroke = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
    canvas.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
}

/// From the smallest to the largest value; an interval about it if there is only one, 0..1 if there is none.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if !low.is_finite() {
        (0.0, 1.0)
    } else if high > low {
        (low, high)
    } else {
        (low - 0.5, high + 0.5)
    }
}

/// About six round numbers within the range.
fn ticks((from, to): (f64, f64)) -> Vec<f64> {
    let rough = (to - from) / 6.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let first = (from / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|v| *v <= to + step * 1e-6).take(20).collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 10.0)), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((3.9, 5.1)).first(), Some(&4.0));
    }

    #[test]
    fn a_plot_is_a_picture_with_its_line_in_colour() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        let series = vec![Series { name: "a".into(), points: vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)] }];
        Chart { title: "T".into(), series, ..Chart::default() }.save(&path).unwrap();
        let frame = Frame::open(&path).unwrap();
        assert!(frame.rgb().chunks_exact(3).filter(|p| *p == COLORS[0]).count() > 300);
        Chart::default().save(&path).unwrap();
    }

    #[test]
    fn the_legend_lies_above_every_line() {
        let line = |name: &str| Series { name: name.into(), points: vec![(0.0, 1.0), (1.0, 1.0)] };
        let series = vec![line("a data set with a name that is rather long"); 3];
        let chart = Chart { series, y_range: Some((0.0, 1.0)), ..Chart::default() };
        let rows = chart.legend();
        assert!(rows[0].1 == rows[1].1 && rows[2].1 > rows[1].1, "{rows:?}");
        // The lines are the upper edge of the plotting area; the last covers the others.
        let picture = chart.draw();
        let has = |y: &usize, color: [u8; 3]| {
            picture.rgb()[y * 3 * WIDTH..(y + 1) * 3 * WIDTH].chunks_exact(3).filter(|p| *p == color).count()
        };
        let edge = (0..HEIGHT).find(|y| has(y, COLORS[2]) > 500).unwrap();
        assert!(rows.iter().all(|row| TOP + row.1 + TEXT_SIZE / 2.0 < edge as f32), "{rows:?}, {edge}");
    }
}
