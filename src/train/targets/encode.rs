//! Draws target maps: Gaussians around landmarks, the boundary map, and the weight map of the loss.
//!
//! In: positions in cells of the heatmap. Out: values in the caller's maps. Nothing fails; a buffer of the wrong length
//! panics.

use crate::runtime::geometry::{HeatmapSpace, Point};

/// The size of the maps of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSize {
    pub height: usize,
    pub width: usize,
    /// Maps.
    pub channels: usize,
}

impl MapSize {
    /// Cells of one map.
    pub fn cells(&self) -> usize {
        self.height * self.width
    }
}

/// Whether a position lies on some cell of the map.
pub(super) fn is_on_map(center: Point<HeatmapSpace>, size: &MapSize) -> bool {
    let inside = |v: f32, n: usize| v > -0.5 && v < n as f32 - 0.5;
    inside(center.x, size.width) && inside(center.y, size.height)
}

/// Standard deviations from which on a Gaussian is taken as 0 (it is below 0.0004 there).
const REACH: f32 = 4.0;

/// Draws a Gaussian of height 1 and standard deviation `sigma` cells about `center` into one map. Cells that are higher
/// already stay as they are.
pub fn render_point(center: Point<HeatmapSpace>, sigma: f32, channel: usize, size: &MapSize, maps: &mut [f32]) {
    draw_gaussian(center, sigma, REACH * sigma, channel, size, maps);
}

/// As [`render_point`], but 0 where row or column is more than `reach` cells away.
pub(super) fn draw_gaussian(
    center: Point<HeatmapSpace>,
    sigma: f32,
    reach: f32,
    channel: usize,
    size: &MapSize,
    maps: &mut [f32],
) {
    assert_eq!(maps.len(), size.cells() * size.channels);
    let range = |c: f32, n: usize| {
        let first = (c - reach).ceil().max(0.0) as usize;
        let end = ((c + reach).floor() + 1.0).clamp(0.0, n as f32) as usize;
        first.min(end)..end
    };
    let profile = |c: f32, i: usize| (-0.5 * ((i as f32 - c) / sigma).powi(2)).exp();
    let columns = range(center.x, size.width);
    let across: Vec<f32> = columns.clone().map(|x| profile(center.x, x)).collect();
    for y in range(center.y, size.height) {
        let height = profile(center.y, y);
        for (x, profile) in columns.clone().zip(&across) {
            let cell = &mut maps[(y * size.width + x) * size.channels + channel];
            *cell = cell.max(height * profile);
        }
    }
}

/// Points on a curve at which its distance is measured (as in the official code).
const CURVE_SAMPLES: usize = 100;
/// Deviations at which the boundary ends (as in the official code).
const BOUNDARY_REACH: f32 = 3.0;

/// Draws the boundary map: `exp(-d^2 / (2 sigma^2))` of the distance `d` to the nearest of `curves`, 0 from three
/// deviations on (paper section 4.3; the official code's curves and spline).
///
/// Each curve is the points that an interpolating spline goes through: cubic for four and more, quadratic for three,
/// straight for two. Repeated points count once; a curve of a single point is that point.
pub fn render_boundary<'a>(
    curves: impl IntoIterator<Item = Vec<Point<HeatmapSpace>>> + 'a,
    sigma: f32,
    channel: usize,
    size: &MapSize,
    maps: &mut [f32],
) {
    draw_boundary(curves, |sample| sample, sigma, channel, size, maps);
}

/// As [`render_boundary`], with the distance to where `place` moves each sample of a curve.
pub(super) fn draw_boundary<'a>(
    curves: impl IntoIterator<Item = Vec<Point<HeatmapSpace>>> + 'a,
    place: impl Fn(Point<HeatmapSpace>) -> Point<HeatmapSpace>,
    sigma: f32,
    channel: usize,
    size: &MapSize,
    maps: &mut [f32],
) {
    assert_eq!(maps.len(), size.cells() * size.channels);
    let reach = BOUNDARY_REACH * sigma;
    let far = reach * reach;
    let mut nearest = vec![far; size.cells()];
    for points in curves {
        for p in spline(&points).into_iter().map(&place) {
            let range = |c: f32, n: usize| {
                let first = (c - reach).ceil().max(0.0) as usize;
                first..((c + reach).floor() + 1.0).clamp(0.0, n as f32) as usize
            };
            for y in range(p.y, size.height) {
                for x in range(p.x, size.width) {
                    let distance = (x as f32 - p.x).powi(2) + (y as f32 - p.y).powi(2);
                    let cell = &mut nearest[y * size.width + x];
                    *cell = cell.min(distance);
                }
            }
        }
    }
    for (cell, distance) in maps.chunks_exact_mut(size.channels).zip(nearest) {
        if distance < far {
            cell[channel] = (-0.5 * distance / (sigma * sigma)).exp();
        }
    }
}

/// Samples of the interpolating spline through `points`, evenly in its parameter (the length of the chords).
fn spline(points: &[Point<HeatmapSpace>]) -> Vec<Point<HeatmapSpace>> {
    let mut knots: Vec<Point<HeatmapSpace>> = Vec::new();
    for &p in points {
        if knots.last() != Some(&p) {
            knots.push(p);
        }
    }
    let Some(&first) = knots.first() else { return Vec::new() };
    if knots.len() == 1 {
        return vec![first];
    }
    let mut at = vec![0.0_f32];
    for pair in knots.windows(2) {
        at.push(at[at.len() - 1] + pair[0].distance(pair[1]));
    }
    let total = at[at.len() - 1];
    let curve = |value: fn(&Point<HeatmapSpace>) -> f32| Cubic::through(&at, knots.iter().map(value).collect());
    let (x, y) = (curve(|p| p.x), curve(|p| p.y));
    let mut segment = 0;
    (0..CURVE_SAMPLES)
        .map(|i| {
            let u = total * i as f32 / CURVE_SAMPLES as f32;
            while segment + 2 < at.len() && at[segment + 1] <= u {
                segment += 1;
            }
            Point::new(x.at(&at, segment, u), y.at(&at, segment, u))
        })
        .collect()
}

/// A piecewise cubic given by its values and second derivatives at the knots.
struct Cubic {
    values: Vec<f32>,
    bends: Vec<f32>,
}

impl Cubic {
    /// The interpolant whose third derivative is continuous at the last but one knot on either side ("not a knot");
    /// with three knots that is the parabola, with two the straight line.
    fn through(at: &[f32], values: Vec<f32>) -> Self {
        let n = values.len();
        let step = |i: usize| at[i + 1] - at[i];
        let slope = |i: usize| (values[i + 1] - values[i]) / step(i);
        let mut bends = vec![0.0; n];
        if n == 3 {
            bends.fill(2.0 * (slope(1) - slope(0)) / (at[2] - at[0]));
        } else if n > 3 {
            // Rows 1 .. n - 1 say that the slope is continuous; the ends are eliminated by the end conditions
            // bends[0] = (1 + r) bends[1] - r bends[2] with r = step 0 / step 1, and so on at the other end.
            let (r, q) = (step(0) / step(1), step(n - 2) / step(n - 3));
            let count = n - 2;
            let mut lower = vec![0.0; count];
            let mut middle = vec![0.0; count];
            let mut upper = vec![0.0; count];
            let mut right = vec![0.0; count];
            for (k, i) in (1..n - 1).enumerate() {
                lower[k] = step(i - 1);
                middle[k] = 2.0 * (step(i - 1) + step(i));
                upper[k] = step(i);
                right[k] = 6.0 * (slope(i) - slope(i - 1));
            }
            middle[0] += (1.0 + r) * lower[0];
            upper[0] -= r * lower[0];
            middle[count - 1] += (1.0 + q) * upper[count - 1];
            lower[count - 1] -= q * upper[count - 1];
            for k in 1..count {
                let factor = lower[k] / middle[k - 1];
                middle[k] -= factor * upper[k - 1];
                right[k] -= factor * right[k - 1];
            }
            bends[count] = right[count - 1] / middle[count - 1];
            for k in (0..count - 1).rev() {
                bends[k + 1] = (right[k] - upper[k] * bends[k + 2]) / middle[k];
            }
            bends[0] = (1.0 + r) * bends[1] - r * bends[2];
            bends[n - 1] = (1.0 + q) * bends[n - 2] - q * bends[n - 3];
        }
        Self { values, bends }
    }

    fn at(&self, at: &[f32], i: usize, u: f32) -> f32 {
        let h = at[i + 1] - at[i];
        let (a, b) = ((at[i + 1] - u) / h, (u - at[i]) / h);
        let bend = (a.powi(3) - a) * self.bends[i] + (b.powi(3) - b) * self.bends[i + 1];
        a * self.values[i] + b * self.values[i + 1] + bend * h * h / 6.0
    }
}

/// Weight of foreground cells over that of others is `1 + FOREGROUND` (paper section 3.3: W).
const FOREGROUND: f32 = 10.0;
/// Foreground is where the dilated target reaches this (paper section 3.3).
const FOREGROUND_FROM: f32 = 0.2;

/// The weighted loss map (paper section 3.3): a map's own weight, times 11 where the 3x3 dilation of its target is at
/// least 0.2. A map of weight 0 is 0 everywhere: it contributes nothing.
pub fn weight_map(targets: &[f32], map_weights: &[f32], size: &MapSize, out: &mut [f32]) {
    let &MapSize { height, width, channels } = size;
    assert_eq!((targets.len(), out.len(), map_weights.len()), (height * width * channels, targets.len(), channels));
    let line = width * channels;
    // The highest of three neighbours in a row, then the highest of three rows of these.
    let mut across = targets.to_vec();
    for (wide, row) in across.chunks_exact_mut(line).zip(targets.chunks_exact(line)) {
        for (a, b) in wide[channels..].iter_mut().zip(row) {
            *a = a.max(*b);
        }
        for (a, b) in wide.iter_mut().zip(&row[channels..]) {
            *a = a.max(*b);
        }
    }
    for y in 0..height {
        let row = |y: usize| &across[y * line..(y + 1) * line];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        let out = &mut out[y * line..(y + 1) * line];
        for x in 0..width {
            let cell = x * channels..(x + 1) * channels;
            let (above, here, below) = (&above[cell.clone()], &here[cell.clone()], &below[cell.clone()]);
            for (((o, w), a), (h, b)) in out[cell].iter_mut().zip(map_weights).zip(above).zip(here.iter().zip(below)) {
                let highest = a.max(*h).max(*b);
                *o = if highest >= FOREGROUND_FROM { w * (1.0 + FOREGROUND) } else { *w };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: MapSize = MapSize { height: 9, width: 12, channels: 2 };

    #[test]
    fn the_weight_is_eleven_about_the_point_and_one_elsewhere() {
        let mut maps = vec![0.0; 9 * 12 * 2];
        render_point(Point::new(5.0, 4.0), 1.0, 0, &SIZE, &mut maps);
        let mut weight = vec![f32::NAN; maps.len()];
        weight_map(&maps, &[0.5, 0.0], &SIZE, &mut weight);
        let at = |x: usize, y: usize, c: usize| weight[(y * 12 + x) * 2 + c];
        // exp(-d^2 / 2) is at least 0.2 up to d = 1.79 cells; dilation adds one cell in each direction.
        assert_eq!([at(5, 4, 0), at(7, 4, 0), at(7, 5, 0), at(8, 4, 0)], [5.5, 5.5, 5.5, 0.5]);
        assert!((0..9).all(|y| (0..12).all(|x| at(x, y, 1) == 0.0)));
    }

    #[test]
    fn the_spline_goes_through_its_points_and_keeps_a_cubic() {
        let cubic = |t: f32| Point::<HeatmapSpace>::new(t, 0.0);
        let line = spline(&[cubic(0.0), cubic(1.0), cubic(1.0), cubic(4.0)]);
        assert!(line.iter().enumerate().all(|(i, p)| (p.x - 0.04 * i as f32).abs() < 1e-4 && p.y.abs() < 1e-5));
        let at: Vec<f32> = vec![0.0, 1.0, 2.5, 3.0, 4.5];
        let f = |t: f32| 0.3 * t.powi(3) - t * t + 0.5 * t - 2.0;
        let c = Cubic::through(&at, at.iter().map(|&t| f(t)).collect());
        for (i, u) in [(0, 0.4), (1, 1.7), (2, 2.9), (3, 4.1)] {
            assert!((c.at(&at, i, u) - f(u)).abs() < 1e-3, "{u}");
        }
    }

    #[test]
    fn the_boundary_is_one_on_the_curve_and_falls_off() {
        let mut maps = vec![0.0; 9 * 12 * 2];
        let curve = vec![Point::new(1.0, 4.0), Point::new(10.0, 4.0)];
        render_boundary([curve], 1.0, 1, &SIZE, &mut maps);
        let at = |x: usize, y: usize| maps[(y * 12 + x) * 2 + 1];
        assert!((at(5, 4) - 1.0).abs() < 0.01 && (at(5, 5) - 0.6065).abs() < 0.01 && at(5, 7) == 0.0);
        assert!(maps.iter().step_by(2).all(|v| *v == 0.0));
    }
}
