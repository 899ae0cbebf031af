//! Decoding of positions from heatmaps.

use crate::runtime::geometry::{HeatmapSpace, Point};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use serde::{Deserialize, Serialize};

/// The maps of one picture, in the order (row, column, map).
#[derive(Clone, Copy, Debug)]
pub struct HeatmapView<'a> {
    /// `height * width * channels` values.
    pub values: &'a [f32],
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

/// How a position is decoded from a heatmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decoding {
    /// Centroid of the cubed map in the 7x7 cells around its maximum. Cubing keeps the flat background from pulling the
    /// centroid to the middle of the window, and needs neither a logarithm nor a fallback.
    Centroid,
    /// The position of the maximum, moved in each direction by a quarter of a cell towards the larger neighbour (not at
    /// the border), then by half a cell: the official code's `(index + 0.5 +- 0.25) * 4` in crop pixels, in the
    /// convention of this project, where the centre of cell 0 lies at pixel 1.5.
    Quarter,
}

/// A landmark in heatmap space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    pub cell: Point<HeatmapSpace>,
    /// The map's maximum.
    pub value: f32,
    /// The calibrated confidence (see [`Calibration`]), 0..=1.
    pub confidence: f32,
}

/// The calibration from a map's maximum to a confidence: the share of points within a tenth of the eye distance of the
/// ground truth, as measured by `awing eval --calibrate`. Linear interpolation between `(maximum, share)` pairs with
/// increasing maxima. Without pairs, the maximum itself, clamped to 0..=1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Calibration(pub Vec<(f32, f32)>);

impl Calibration {
    /// Whether the maxima are finite and increase, and the shares are in 0..=1.
    pub fn is_valid(&self) -> bool {
        self.0.iter().all(|(maximum, share)| maximum.is_finite() && (0.0..=1.0).contains(share))
            && self.0.is_sorted_by(|a, b| a.0 <= b.0)
    }

    /// The confidence for a maximum.
    pub fn confidence(&self, value: f32) -> f32 {
        let pairs = &self.0;
        let next = pairs.partition_point(|(v, _)| *v <= value);
        let confidence = match (next.checked_sub(1).map(|i| pairs[i]), pairs.get(next)) {
            (None, None) => value,
            (Some((_, share)), None) | (None, Some(&(_, share))) => share,
            (Some((v0, s0)), Some(&(v1, s1))) => s0 + (s1 - s0) * (value - v0) / (v1 - v0),
        };
        confidence.clamp(0.0, 1.0)
    }
}

/// Cells on each side of the maximum that the centroid covers.
const RADIUS: usize = 3;

/// Decodes the first `points` maps into `out`, replacing its contents.
///
/// # Panics
/// If the view has fewer maps or the wrong length.
pub fn decode(
    view: &HeatmapView<'_>,
    points: usize,
    decoding: Decoding,
    calibration: &Calibration,
    out: &mut Vec<Peak>,
) {
    let length = view.height.checked_mul(view.width).and_then(|cells| cells.checked_mul(view.channels));
    assert!(points <= view.channels && length == Some(view.values.len()));
    out.clear();
    out.resize(points, Peak { cell: Point::new(0.0, 0.0), value: f32::NEG_INFINITY, confidence: 0.0 });
    dispatch(Isa::active(), Maxima { view, out });
    for (channel, peak) in out.iter_mut().enumerate() {
        let (row, column) = (peak.cell.y as usize, peak.cell.x as usize);
        peak.cell = match decoding {
            Decoding::Centroid => centroid(view, channel, row, column),
            Decoding::Quarter => quarter(view, channel, row, column),
        };
        peak.confidence = calibration.confidence(peak.value);
    }
}

/// Finds the maximum of each map and its cell (the first of equal ones), and puts them into `out`.
struct Maxima<'a> {
    view: &'a HeatmapView<'a>,
    out: &'a mut [Peak],
}

/// Vectors of maps that are searched together: enough to hide the latency of the comparisons, few enough to stay in
/// registers.
const TOGETHER: usize = 4;
/// Lanes of the widest vector.
const MOST_LANES: usize = 16;

impl Kernel for Maxima<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let Self { view, out } = self;
        let points = out.len();
        let lanes = TOGETHER * S::LANES;
        // SAFETY (all): the maps searched are among the `points <= channels` maps of each cell.
        unsafe {
            if points < lanes {
                for first in (0..points).step_by(S::LANES) {
                    let count = S::LANES.min(points - first);
                    search::<S, 1>(s, view, first, &mut out[first..first + count], |from| s.load_partial(from, count));
                }
            } else {
                for first in (0..points).step_by(lanes) {
                    // The last vectors overlap maps that have been searched before.
                    let first = first.min(points - lanes);
                    search::<S, TOGETHER>(s, view, first, &mut out[first..first + lanes], |from| s.load(from));
                }
            }
        }
    }
}

/// Searches the maps from `first` on, one for each entry of `out`, `N` vectors at a time.
///
/// # Safety
/// The core must have the instruction set of `S`, and `load` must be able to read the maps of every cell.
#[inline(always)]
unsafe fn search<S: Simd, const N: usize>(
    s: S,
    view: &HeatmapView<'_>,
    first: usize,
    out: &mut [Peak],
    load: impl Fn(*const f32) -> S::Vector,
) {
    let mut values = [f32::NEG_INFINITY; TOGETHER * MOST_LANES];
    let mut cells = [0.0_f32; TOGETHER * MOST_LANES];
    // SAFETY: as the function's; the arrays have room for `N <= TOGETHER` vectors.
    unsafe {
        let mut best = [s.splat(f32::NEG_INFINITY); N];
        let mut best_cell = [s.splat(0.0); N];
        let mut from = view.values.as_ptr().add(first);
        for cell in 0..view.height * view.width {
            let cell = s.splat(cell as f32);
            for i in 0..N {
                let value = load(from.add(i * S::LANES));
                best_cell[i] = s.where_greater(value, best[i], cell, best_cell[i]);
                best[i] = s.max(value, best[i]);
            }
            from = from.wrapping_add(view.channels);
        }
        for i in 0..N {
            s.store(values.as_mut_ptr().add(i * S::LANES), best[i]);
            s.store(cells.as_mut_ptr().add(i * S::LANES), best_cell[i]);
        }
    }
    for ((peak, value), cell) in out.iter_mut().zip(values).zip(cells) {
        peak.value = value;
        peak.cell = Point::new((cell as usize % view.width) as f32, (cell as usize / view.width) as f32);
    }
}

fn centroid(view: &HeatmapView<'_>, channel: usize, row: usize, column: usize) -> Point<HeatmapSpace> {
    let rows = row.saturating_sub(RADIUS)..(row + RADIUS + 1).min(view.height);
    let columns = column.saturating_sub(RADIUS)..(column + RADIUS + 1).min(view.width);
    let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
    for r in rows {
        let (mut row_sum, mut row_x) = (0.0, 0.0);
        for c in columns.clone() {
            let v = view.values[(r * view.width + c) * view.channels + channel].max(0.0);
            let v = v * v * v;
            row_sum += v;
            row_x += v * c as f32;
        }
        sum += row_sum;
        x += row_x;
        y += row_sum * r as f32;
    }
    // Cubes of very small values underflow in f32: then only the maximum is known.
    if sum > f32::MIN_POSITIVE { Point::new(x / sum, y / sum) } else { Point::new(column as f32, row as f32) }
}

fn quarter(view: &HeatmapView<'_>, channel: usize, row: usize, column: usize) -> Point<HeatmapSpace> {
    let at = |r: usize, c: usize| view.values[(r * view.width + c) * view.channels + channel];
    let inside = row > 0 && row + 1 < view.height && column > 0 && column + 1 < view.width;
    let step = |before: f32, after: f32| {
        if after > before {
            0.25
        } else if after < before {
            -0.25
        } else {
            0.0
        }
    };
    let (dx, dy) = if inside {
        (step(at(row, column - 1), at(row, column + 1)), step(at(row - 1, column), at(row + 1, column)))
    } else {
        (0.0, 0.0)
    };
    // (index + 0.5 + d) * 4 pixels is cell ((index + 0.5 + d) * 4 + 0.5) / 4 - 0.5.
    const SHIFT: f32 = 0.125;
    Point::new(column as f32 + dx + SHIFT, row as f32 + dy + SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_maxima_counts_on_every_instruction_set() {
        let (height, width) = (5, 7);
        for channels in [1, 7, 16, 21, 64, 98, 131] {
            let values: Vec<f32> = (0..height * width * channels).map(|i| (i * 31 % 11) as f32 - 20.0).collect();
            let view = HeatmapView { values: &values, height, width, channels };
            for isa in Isa::available() {
                let nowhere = Peak { cell: Point::new(-1.0, -1.0), value: 0.0, confidence: 0.0 };
                let mut out = vec![nowhere; channels];
                dispatch(isa, Maxima { view: &view, out: &mut out });
                for (channel, peak) in out.iter().enumerate() {
                    let map: Vec<f32> = (0..height * width).map(|c| values[c * channels + channel]).collect();
                    let highest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    assert_eq!(peak.value, highest);
                    let cell = peak.cell.y as usize * width + peak.cell.x as usize;
                    assert_eq!(map.iter().position(|v| *v == highest), Some(cell), "{}", isa.name());
                }
            }
        }
    }

    #[test]
    fn the_official_quarter_offset_in_crop_pixels() {
        let mut values = vec![0.0; 64 * 64];
        values[20 * 64 + 10] = 1.0;
        values[20 * 64 + 11] = 0.5;
        values[19 * 64 + 10] = 0.5;
        let view = HeatmapView { values: &values, height: 64, width: 64, channels: 1 };
        let mut out = Vec::new();
        decode(&view, 1, Decoding::Quarter, &Calibration::default(), &mut out);
        let pixel = crate::runtime::geometry::heatmap_from_crop(64, 256).inverse().apply(out[0].cell);
        assert!((pixel.x - (10.0 + 0.5 + 0.25) * 4.0).abs() < 1e-4);
        assert!((pixel.y - (20.0 + 0.5 - 0.25) * 4.0).abs() < 1e-4);
    }

    #[test]
    fn confidence_follows_the_calibration() {
        let c = Calibration(vec![(0.2, 0.1), (0.6, 0.9)]);
        assert_eq!([c.confidence(0.0), c.confidence(0.9)], [0.1, 0.9]);
        assert!((c.confidence(0.4) - 0.5).abs() < 1e-6);
        assert_eq!(Calibration::default().confidence(1.2), 1.0);
    }
}
