//! Training items for a landmark network: a face in a random view, and its heatmaps.

use super::{Augmentation, BatchShape, DataError, Donor, ItemMut, PictureCache, Sample, Task};
use crate::geometry::{HeatmapSpace, Point, heatmap_from_crop};
use crate::heatmap::{MapSize, is_on_map, render_boundary, render_point, weight_map};
use crate::landmarks::{WFLW_POINTS, WFLW98_BOUNDARIES};
use rand::Rng;
use rand::distr::{Distribution, weighted::WeightedIndex};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Sizes of crop and maps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LandmarkTaskOptions {
    /// Pixels a side of the crop.
    pub input_size: usize,
    /// Cells a side of the maps.
    pub heatmap_size: usize,
    /// Side of the crop over the longer side of the landmark box.
    pub crop_scale: f32,
    /// Standard deviation of the target Gaussians.
    pub sigma_cells: f32,
}

/// Standard deviation of the boundary map in cells (paper section 4.3).
const BOUNDARY_SIGMA_CELLS: f32 = 1.0;
/// Memory for decoded pictures; what does not fit is decoded again each time.
const CACHE_BYTES: usize = 4 << 30;

/// Annotated faces as training items: 98 landmark maps, then the boundary map.
///
/// A landmark that is not known, or that leaves the maps, counts nothing; the boundary map counts only where all points
/// of its curves are known.
pub struct LandmarkTask {
    samples: Vec<Sample>,
    draw: WeightedIndex<f64>,
    pictures: PictureCache,
    augmentation: Augmentation,
    options: LandmarkTaskOptions,
}

impl LandmarkTask {
    /// Items from `samples`; a data set's samples are drawn with the weight that `datasets` gives it (0: never), all
    /// alike if `datasets` is empty.
    ///
    /// # Errors
    /// [`DataError::Options`] if a data set has no weight, nothing is left, or the augmentation is impossible.
    pub fn new(
        samples: Vec<Sample>,
        datasets: &BTreeMap<String, f64>,
        augmentation: Augmentation,
        options: LandmarkTaskOptions,
    ) -> Result<Self, DataError> {
        augmentation.check()?;
        let mut weights = Vec::with_capacity(samples.len());
        for sample in &samples {
            let weight = if datasets.is_empty() { Some(&1.0) } else { datasets.get(&sample.dataset) };
            weights.push(*weight.ok_or_else(|| {
                let known: Vec<_> = datasets.keys().map(String::as_str).collect();
                DataError::Options(format!(
                    "{}: the recipe gives the data set {:?} no weight (it knows {}); add it under [datasets], 0 leaves \
                     it out",
                    sample.origin,
                    sample.dataset,
                    known.join(", ")
                ))
            })?);
        }
        let draw = WeightedIndex::new(&weights)
            .map_err(|e| DataError::Options(format!("no sample can be drawn with these weights: {e}")))?;
        let pictures = PictureCache::new(samples.len(), CACHE_BYTES);
        Ok(Self { samples, draw, pictures, augmentation, options })
    }

    /// Samples, those of weight 0 included.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Task for LandmarkTask {
    fn shape(&self) -> BatchShape {
        let LandmarkTaskOptions { input_size, heatmap_size, .. } = self.options;
        BatchShape { input: (input_size, input_size), heatmap: (heatmap_size, heatmap_size), channels: WFLW_POINTS + 1 }
    }

    fn fill(&self, rng: &mut ChaCha8Rng, item: ItemMut<'_>) -> Result<(), DataError> {
        let LandmarkTaskOptions { input_size, heatmap_size, crop_scale, sigma_cells } = self.options;
        let index = self.draw.sample(rng);
        let sample = &self.samples[index];
        let picture = self.pictures.get(index, sample)?;
        let Some(around) = sample.landmark_box() else {
            return Err(sample.origin.error("no point has a weight above 0"));
        };
        let view = self.augmentation.view(rng, &around, crop_scale, input_size);
        view.render(&picture, item.input);
        self.augmentation.paint(rng, input_size, input_size, item.input, |rng| {
            let other = rng.random_range(0..self.samples.len());
            let sample = &self.samples[other];
            let Some(around) = sample.landmark_box() else { return Ok(None) };
            let frame = self.pictures.get(other, sample)?;
            Ok(Some(Donor { frame, center: around.center(), side: around.side() * rng.random_range(0.3..1.0) }))
        })?;
        let (points, weights) = view.landmarks(sample.scheme, &sample.points, &sample.weight);
        let heatmap_from_crop = heatmap_from_crop(heatmap_size, input_size);
        let cells: Vec<Point<HeatmapSpace>> = points.iter().map(|&p| heatmap_from_crop.apply(p)).collect();
        let size = MapSize { height: heatmap_size, width: heatmap_size, channels: WFLW_POINTS + 1 };
        let mut map_weights = vec![0.0; size.channels];
        for (i, (&cell, &weight)) in cells.iter().zip(&weights).enumerate() {
            if weight > 0.0 && is_on_map(cell, &size) {
                map_weights[i] = weight;
                render_point(cell, sigma_cells, i, &size, item.target);
            }
        }
        let known = |curve: &&crate::landmarks::Curve| curve.points.iter().all(|&i| weights[i] > 0.0);
        if WFLW98_BOUNDARIES.iter().filter(known).count() == WFLW98_BOUNDARIES.len() {
            map_weights[WFLW_POINTS] = 1.0;
            let curves = WFLW98_BOUNDARIES.iter().map(|c| c.points.iter().map(|&i| cells[i]).collect());
            render_boundary(curves, BOUNDARY_SIGMA_CELLS, WFLW_POINTS, &size, item.target);
        }
        weight_map(item.target, &map_weights, &size, item.weight);
        *item.normalizer = f64::from(map_weights.iter().sum::<f32>()) * size.cells() as f64;
        Ok(())
    }
}
