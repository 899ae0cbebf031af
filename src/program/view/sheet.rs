//! Draws heatmaps as a picture: a sheet of panels, each a map in colours.
//!
//! In: the network's input and the maps of every stack. Out: an RGB picture. Nothing fails.

use crate::runtime::heatmap::HeatmapView;
use crate::runtime::image::Frame;
use crate::train::text;

/// Width of a panel in pixels; its height follows from the picture's.
const PANEL: usize = 256;
/// The most large panels side by side.
const COLUMNS: usize = 5;
/// The maps of single landmarks are smaller than other panels by this factor.
const SMALL: usize = 2;
const GAP: usize = 8;
const LABEL: usize = 20;
const TEXT_SIZE: f32 = 14.0;
const PAPER: [u8; 3] = [250, 250, 250];
const INK: [u8; 3] = [40, 40, 40];
/// From low to high: dark blue, violet, orange, pale yellow; lightness rises evenly.
const COLORS: [[f32; 3]; 5] =
    [[8.0, 8.0, 40.0], [84.0, 22.0, 110.0], [186.0, 54.0, 84.0], [248.0, 140.0, 30.0], [252.0, 254.0, 180.0]];

/// A picture with a label.
struct Panel {
    label: String,
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// A sheet of the picture and, for every stack, its landmark maps in one (the highest value in each cell) and each of
/// its other maps (the boundary map); then every landmark's map of the last stack. The lowest value of a panel is dark,
/// the highest bright; the label says which these are, and the single maps share one range.
///
/// `picture` is the network's input, `height * width * 3` values in 0..=1; the first `points` maps are landmarks'.
///
/// # Panics
/// If a buffer has another length, or there is no stack.
pub fn sheet(picture: &[f32], height: usize, width: usize, stacks: &[HeatmapView<'_>], points: usize) -> Frame {
    assert_eq!(picture.len(), height * width * 3);
    let panel_height = (PANEL * height / width).max(1);
    let rgb = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let shown = scaled(height, width, panel_height, PANEL, |cell| {
        [picture[cell * 3], picture[cell * 3 + 1], picture[cell * 3 + 2]].map(rgb)
    });
    let mut large = vec![Panel { label: "input".into(), width: PANEL, height: panel_height, rgb: shown }];
    for (stack, maps) in stacks.iter().enumerate() {
        let mut add = |name: String, values: Vec<f32>| {
            let range = range(&values);
            let label = format!("stack {stack}: {name}, {:.2} to {:.2}", range.0, range.1);
            large.push(map_panel(label, &values, maps, panel_height, PANEL, range));
        };
        if points > 0 {
            let highest = |cell: &[f32]| cell[..points].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            add("landmarks".into(), maps.values.chunks_exact(maps.channels).map(highest).collect());
        }
        for channel in points..maps.channels {
            let name = if points > 0 { "boundary".into() } else { format!("map {channel}") };
            add(name, map_of(maps, channel));
        }
    }
    let last = stacks.last().expect("a network has a stack");
    let singles: Vec<Vec<f32>> = (0..points).map(|channel| map_of(last, channel)).collect();
    let all = singles.iter().map(|map| range(map));
    let shared = all.fold((f32::INFINITY, f32::NEG_INFINITY), |a, b| (a.0.min(b.0), a.1.max(b.1)));
    let small = singles.iter().enumerate().map(|(channel, values)| {
        map_panel(channel.to_string(), values, last, panel_height / SMALL, PANEL / SMALL, shared)
    });
    lay_out(&large, COLUMNS.min(large.len()), &small.collect::<Vec<_>>())
}

fn map_of(maps: &HeatmapView<'_>, channel: usize) -> Vec<f32> {
    maps.values.iter().skip(channel).step_by(maps.channels).copied().collect()
}

/// Lowest and highest value.
fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

fn color(along: f32) -> [u8; 3] {
    let at = along.clamp(0.0, 1.0) * (COLORS.len() - 1) as f32;
    let first = (at as usize).min(COLORS.len() - 2);
    let share = at - first as f32;
    std::array::from_fn(|i| (COLORS[first][i] + share * (COLORS[first + 1][i] - COLORS[first][i])).round() as u8)
}

fn map_panel(
    label: String,
    values: &[f32],
    maps: &HeatmapView<'_>,
    height: usize,
    width: usize,
    (low, high): (f32, f32),
) -> Panel {
    let span = if high > low { high - low } else { 1.0 };
    let rgb = scaled(maps.height, maps.width, height, width, |cell| color((values[cell] - low) / span));
    Panel { label, width, height, rgb }
}

/// The nearest of `from_height * from_width` cells for every pixel.
fn scaled(
    from_height: usize,
    from_width: usize,
    height: usize,
    width: usize,
    color_of: impl Fn(usize) -> [u8; 3],
) -> Vec<u8> {
    let nearest = |i: usize, n: usize, from: usize| i * from / n;
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (y, x)))
        .flat_map(|(y, x)| color_of(nearest(y, height, from_height) * from_width + nearest(x, width, from_width)))
        .collect()
}

/// Large panels in rows of `columns`, small ones below.
fn lay_out(large: &[Panel], columns: usize, small: &[Panel]) -> Frame {
    let rows = |panels: &[Panel], columns: usize| panels.len().div_ceil(columns) * step(panels).1;
    let columns = if small.is_empty() { columns } else { columns.max(3) };
    let width = GAP + columns * (PANEL + GAP);
    let small_columns = small.first().map_or(1, |panel| (width - GAP) / (panel.width + GAP));
    let height = GAP + rows(large, columns) + rows(small, small_columns);
    let mut frame = Frame::filled(width, height, PAPER);
    let top = GAP + rows(large, columns);
    for (panels, columns, top) in [(large, columns, GAP), (small, small_columns, top)] {
        let (across, down) = step(panels);
        for (i, panel) in panels.iter().enumerate() {
            let (x, y) = (GAP + i % columns * across, top + i / columns * down);
            text::draw(&mut frame, x as f32, y as f32, TEXT_SIZE, INK, &panel.label);
            for (row, pixels) in panel.rgb.chunks_exact(panel.width * 3).enumerate() {
                let at = ((y + LABEL + row) * width + x) * 3;
                frame.rgb_mut()[at..at + pixels.len()].copy_from_slice(pixels);
            }
        }
    }
    frame
}

/// From one panel to the next, to the right and down.
fn step(panels: &[Panel]) -> (usize, usize) {
    panels.first().map_or((0, 0), |panel| (panel.width + GAP, panel.height + LABEL + GAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_shows_the_picture_every_stack_and_every_landmark() {
        let (points, size) = (3, 16);
        let picture = vec![0.5; 64 * 64 * 3];
        let mut maps = vec![0.0; size * size * (points + 1)];
        maps[(4 * size + 9) * 4 + 2] = 1.0;
        let view = HeatmapView { values: &maps, height: size, width: size, channels: points + 1 };
        let frame = sheet(&picture, 64, 64, &[view, view], points);
        // Five large panels (the picture, two of each stack) in a row, three small ones below.
        assert_eq!(frame.width(), GAP + 5 * (PANEL + GAP));
        assert_eq!(frame.height(), GAP + (PANEL + LABEL + GAP) + (PANEL / SMALL + LABEL + GAP));
        let at = |x: usize, y: usize| &frame.rgb()[(y * frame.width() + x) * 3..][..3];
        assert_eq!(at(GAP + 10, GAP + LABEL + 10), [128; 3]);
        let (bright, dark) = (color(1.0), color(0.0));
        let cell = PANEL / size;
        let (x, y) = (GAP + PANEL + GAP, GAP + LABEL);
        assert_eq!(at(x + 9 * cell + 2, y + 4 * cell + 2), bright, "the landmarks of stack 0");
        assert_eq!(at(x + 8 * cell + 2, y + 4 * cell + 2), dark);
        let (x, y) = (GAP + 2 * (PANEL / SMALL + GAP), GAP + PANEL + LABEL + GAP + LABEL);
        assert_eq!(at(x + 9 * cell / SMALL + 2, y + 4 * cell / SMALL + 2), bright, "landmark 2 of the last stack");
    }
}
