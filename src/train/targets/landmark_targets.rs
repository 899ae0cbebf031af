//! The targets of one face: one map per landmark, then the boundary map; and the weighted loss map of them all.
//!
//! In: landmarks in cells of the heatmap and the weight of each (0..=1). Out: target and weight of every cell, (row,
//! column, map). A map's weight is that of its point: 0 if the point is unknown or lies off the map. The boundary map
//! counts only if every point of its curves is known. Nothing here fails.

use super::encode::{MapSize, draw_boundary, draw_gaussian, is_on_map, weight_map};
use super::{render_boundary, render_point};
use crate::runtime::geometry::{HeatmapSpace, Point};
use crate::runtime::landmarks::Scheme;
use serde::{Deserialize, Serialize};

/// Standard deviation of the boundary map, in cells (as in the paper's official code).
const BOUNDARY_SIGMA_CELLS: f32 = 1.0;

/// How targets are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetStyle {
    /// About the exact position: decoding can read the fraction of a cell back.
    #[default]
    Continuous,
    /// As the paper's official code draws them. A landmark at crop pixel (x, y) stands in cell (floor(x / 4), floor(y /
    /// 4)), and its Gaussian ends 3 cells from there (7x7 cells). The boundary's splines go through these cells and are
    /// drawn in whole cells; its levels are multiples of 1/255, and all that are not 0 weigh as foreground.
    Official,
}

/// Cells from the centre of an official Gaussian to its edge.
const OFFICIAL_REACH: f32 = 3.0;
/// From a position in cells to crop pixels over 4: the centre of cell 0 lies at pixel 1.5.
const QUARTER_OF_PIXEL: f32 = 0.375;
/// Levels of the official boundary map above 0.
const OFFICIAL_LEVELS: f32 = 255.0;

/// How the targets of a face look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LandmarkTargets {
    pub scheme: Scheme,
    pub style: TargetStyle,
    /// Standard deviation of the Gaussians about landmarks, in cells.
    pub sigma_cells: f32,
    /// Cells a side of a map.
    pub map_side: usize,
}

impl LandmarkTargets {
    /// The size of the maps: one per landmark, and the boundary map last.
    pub fn size(&self) -> MapSize {
        MapSize { height: self.map_side, width: self.map_side, channels: self.scheme.points() + 1 }
    }

    /// Draws the targets of landmarks at `cells`, trusted by `trust`, into `target` (all zeros before), and their
    /// weights into `weight`. Returns the sum of the map weights times the cells of a map: the normalizer of the loss.
    ///
    /// # Panics
    /// If there are fewer landmarks than the scheme has, or a buffer has another size than the maps.
    pub fn draw(&self, cells: &[Point<HeatmapSpace>], trust: &[f32], target: &mut [f32], weight: &mut [f32]) -> f64 {
        let size = self.size();
        let cells: Vec<_> = match self.style {
            TargetStyle::Continuous => cells.to_vec(),
            TargetStyle::Official => cells.iter().map(official_cell).collect(),
        };
        let mut map_weight = vec![0.0; size.channels];
        for (channel, (&cell, &trust)) in cells.iter().zip(trust).enumerate() {
            if trust > 0.0 && is_on_map(cell, &size) {
                map_weight[channel] = trust;
                match self.style {
                    TargetStyle::Continuous => render_point(cell, self.sigma_cells, channel, &size, target),
                    TargetStyle::Official => {
                        draw_gaussian(cell, self.sigma_cells, OFFICIAL_REACH, channel, &size, target);
                    }
                }
            }
        }
        let boundary = self.scheme.points();
        let curves = self.scheme.boundaries();
        if curves.iter().flat_map(|curve| curve.points).all(|&i| trust[i] > 0.0) {
            map_weight[boundary] = 1.0;
            let curves = curves.iter().map(|curve| curve.points.iter().map(|&i| cells[i]).collect());
            match self.style {
                TargetStyle::Continuous => render_boundary(curves, BOUNDARY_SIGMA_CELLS, boundary, &size, target),
                TargetStyle::Official => {
                    draw_boundary(curves, whole_cell, BOUNDARY_SIGMA_CELLS, boundary, &size, target);
                    // The official code weighs the map before it divides its levels by 255.
                    of_boundary(target, &size).for_each(|v| *v = (OFFICIAL_LEVELS * *v).round());
                }
            }
        }
        weight_map(target, &map_weight, &size, weight);
        if self.style == TargetStyle::Official {
            of_boundary(target, &size).for_each(|v| *v /= OFFICIAL_LEVELS);
        }
        size.cells() as f64 * map_weight.iter().map(|&w| f64::from(w)).sum::<f64>()
    }

    /// As [`Self::draw`] for a picture without a face: the target stays empty, and all cells weigh `cell_weight`. The
    /// normalizer does not count this weight, so that it changes the loss.
    pub fn draw_empty(&self, cell_weight: f32, weight: &mut [f32]) -> f64 {
        weight.fill(cell_weight);
        weight.len() as f64
    }
}

fn official_cell(position: &Point<HeatmapSpace>) -> Point<HeatmapSpace> {
    Point::new((position.x + QUARTER_OF_PIXEL).floor(), (position.y + QUARTER_OF_PIXEL).floor())
}

fn whole_cell(position: Point<HeatmapSpace>) -> Point<HeatmapSpace> {
    Point::new(position.x.round(), position.y.round())
}

fn of_boundary<'a>(target: &'a mut [f32], size: &MapSize) -> impl Iterator<Item = &'a mut f32> {
    target.iter_mut().skip(size.channels - 1).step_by(size.channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::{CropSpace, heatmap_from_crop};

    const SIDE: usize = 64;
    const CELLS: usize = SIDE * SIDE;

    #[derive(serde::Deserialize)]
    struct Face {
        landmarks: Vec<[f32; 2]>,
        positions: Vec<usize>,
        values: Vec<f32>,
        foreground: Vec<u8>,
    }

    impl Face {
        fn all() -> Vec<Self> {
            serde_json::from_str(include_str!("../../../tests/reference/paper_targets.json")).unwrap()
        }

        fn targets(&self) -> LandmarkTargets {
            let scheme = Scheme::of_points(self.landmarks.len()).unwrap();
            LandmarkTargets { scheme, style: TargetStyle::Official, sigma_cells: 1.75, map_side: SIDE }
        }

        fn cells(&self) -> Vec<Point<HeatmapSpace>> {
            let in_crop = self.landmarks.iter().map(|&[x, y]| Point::<CropSpace>::new(x, y));
            in_crop.map(|p| heatmap_from_crop(SIDE, 256).apply(p)).collect()
        }
    }

    fn draw(targets: &LandmarkTargets, cells: &[Point<HeatmapSpace>], trust: &[f32]) -> (Vec<f32>, Vec<f32>, f64) {
        let length = CELLS * targets.size().channels;
        let (mut target, mut weight) = (vec![0.0; length], vec![f32::NAN; length]);
        let normalizer = targets.draw(cells, trust, &mut target, &mut weight);
        (target, weight, normalizer)
    }

    #[test]
    fn official_targets_and_weights_of_every_scheme_are_those_of_scipy() {
        // tests/reference/paper_targets.py makes them; one level of 255 is what rounding may cost.
        let faces = Face::all();
        assert_eq!(faces.len(), Scheme::ALL.len());
        for face in faces {
            let targets = face.targets();
            let channels = targets.size().channels;
            let (target, weight, normalizer) = draw(&targets, &face.cells(), &vec![1.0; face.landmarks.len()]);
            for ((&position, expected), foreground) in face.positions.iter().zip(&face.values).zip(&face.foreground) {
                let at = position % CELLS * channels + position / CELLS;
                let (actual, scheme) = (target[at], targets.scheme);
                assert!((actual - expected).abs() < 0.0041, "{scheme:?} at {position}: {actual}, not {expected}");
                assert_eq!(weight[at], 1.0 + 10.0 * f32::from(*foreground), "{scheme:?} at {position}");
            }
            assert_eq!(normalizer, (channels * CELLS) as f64);
        }
    }

    #[test]
    fn the_official_kernel_is_seven_cells_wide_about_the_cell_of_the_quartered_pixel() {
        let face = &Face::all()[0];
        let targets = face.targets();
        let cells = vec![heatmap_from_crop(SIDE, 256).apply(Point::<CropSpace>::new(43.9, 80.0)); 98];
        let (target, ..) = draw(&targets, &cells, &[1.0; 98]);
        let row = |y: usize| -> Vec<f32> { (0..SIDE).map(|x| target[(y * SIDE + x) * 99]).collect() };
        let expected = [0.0, 0.2301, 0.5205, 0.8494, 1.0, 0.8494, 0.5205, 0.2301, 0.0];
        assert!(row(20)[6..15].iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-4), "{:?}", &row(20)[6..15]);
        assert_eq!((0..SIDE).flat_map(row).filter(|v| *v > 0.0).count(), 49);
    }

    #[test]
    fn a_point_that_is_unknown_or_off_the_map_weighs_nothing_and_the_boundary_needs_all_of_its_own() {
        let face = &Face::all()[0];
        for style in [TargetStyle::Continuous, TargetStyle::Official] {
            let targets = LandmarkTargets { style, ..face.targets() };
            let (mut cells, mut trust) = (face.cells(), vec![1.0; 98]);
            cells[3] = Point::new(-1.0, 20.0);
            trust[96] = 0.0;
            trust[97] = 0.5;
            let weighs = |trust: &[f32]| -> (Vec<bool>, f64) {
                let (_, weight, normalizer) = draw(&targets, &cells, trust);
                let of = |channel: usize| weight.iter().skip(channel).step_by(99).any(|&w| w > 0.0);
                ((0..99).map(of).collect(), normalizer)
            };
            let (weighing, normalizer) = weighs(&trust);
            assert!((0..99).all(|channel| weighing[channel] != [3, 96].contains(&channel)), "{style:?}");
            assert_eq!(normalizer, 96.5 * CELLS as f64);
            trust[54] = 0.0;
            let (weighing, _) = weighs(&trust);
            assert!(!weighing[98], "{style:?}");
        }
    }
}
