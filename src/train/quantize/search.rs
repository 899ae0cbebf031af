//! Ranges of maps for which landmarks stay where they are in f32, and stay at rest when the picture does.
//!
//! In: a model with ranges, and crops. Out: better ranges. The smaller a range, the finer its steps and the more values lie
//! beyond it; what is best differs from map to map, so the engine itself is asked, range by range. Rounding changes
//! with every bit of a camera's noise, and so landmarks move on a face at rest: each crop is seen twice, with different
//! noise.

use super::QuantizeError;
use crate::runtime::engine::{Engine, EngineError, EngineOptions, Outputs, Precision};
use crate::runtime::heatmap::{Peak, decode};
use crate::runtime::model::{Model, Quantization};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Crops that every trial is measured on.
const CROPS: usize = 96;
/// The largest noise of a crop, as a share of white. In videos of faces at rest, values of crops change by 0.2 to 0.4 % from
/// frame to frame.
const NOISE: f32 = 0.004;
/// The factor by which a range grows or shrinks in a step.
const STEP: f32 = 1.25;
/// The most steps up or down.
const MOST_STEPS: usize = 6;
/// The weight of movement between two noisy copies of a crop, relative to a constant distance from the landmarks in f32, which
/// nobody sees and which lies far below the error of the network.
const MOVEMENT: f32 = 5.0;
const SEED: u64 = 1;

/// Entries of a [`Quantization`] that are changed together, since they are ranges of one map.
pub(super) struct Site {
    /// Keys of [`Quantization::input_ranges`].
    pub inputs: Vec<String>,
    /// Keys of [`Quantization::output_ranges`].
    pub outputs: Vec<String>,
}

impl Site {
    fn scale(&self, quantization: &mut Quantization, factor: f32) {
        let Quantization { input_ranges, output_ranges, .. } = quantization;
        for (ranges, keys) in [(input_ranges, &self.inputs), (output_ranges, &self.outputs)] {
            for key in keys {
                // A map that is always 0 has no range.
                ranges.entry(key.clone()).and_modify(|range| *range *= factor);
            }
        }
    }
}

/// `model` with better ranges, map by map.
///
/// # Errors
/// [`QuantizeError`] if the model can't be compiled.
pub(super) fn search(model: &Model, sites: &[Site], crops: &[f32]) -> Result<Model, QuantizeError> {
    let with = |quantization: &Quantization| model.clone().with_quantization(Some(quantization.clone()));
    let faces = NoisyFaces::new(model, crops)?;
    let mut best = model.config().quantization.clone().unwrap_or_default();
    let mut cost = faces.cost(model)?;
    for site in sites {
        for step in [1.0 / STEP, STEP] {
            let before = cost;
            for _ in 0..MOST_STEPS {
                let mut tried = best.clone();
                site.scale(&mut tried, step);
                let now = faces.cost(&with(&tried)?)?;
                if now >= cost {
                    break;
                }
                (best, cost) = (tried, now);
            }
            if cost < before {
                break;
            }
        }
    }
    Ok(with(&best)?)
}

/// Crops with noise, and where the landmarks lie in f32.
struct NoisyFaces {
    /// Each twice, with different noise.
    crops: Vec<Vec<f32>>,
    expected: Vec<Vec<Peak>>,
}

impl NoisyFaces {
    fn new(model: &Model, crops: &[f32]) -> Result<Self, EngineError> {
        let values = model.config().input_size.pow(2) * 3;
        let count = crops.len() / values;
        let used = CROPS.min(count);
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut noisy = Vec::new();
        for i in 0..used {
            let crop = &crops[i * count / used * values..][..values];
            for _ in 0..2 {
                noisy.push(crop.iter().map(|v| (v + rng.random_range(-NOISE..NOISE)).clamp(0.0, 1.0)).collect());
            }
        }
        let mut faces = Self { crops: noisy, expected: Vec::new() };
        faces.expected = faces.landmarks(model, Precision::F32)?;
        Ok(faces)
    }

    fn landmarks(&self, model: &Model, precision: Precision) -> Result<Vec<Vec<Peak>>, EngineError> {
        let config = model.config();
        let size = config.input_size;
        let options = EngineOptions { precision, outputs: Outputs::Decoded, ..EngineOptions::new(size, size) };
        let mut engine = Engine::compile(model, &options)?;
        let landmarks = self.crops.iter().map(|crop| {
            engine.input_mut().copy_from_slice(crop);
            engine.run();
            let mut peaks = Vec::new();
            decode(&engine.output(), config.points, config.decoding, &config.calibration, &mut peaks);
            peaks
        });
        Ok(landmarks.collect())
    }

    /// How far landmarks lie from those in f32, and [`MOVEMENT`] times how far they move with the noise beside them; in
    /// cells.
    fn cost(&self, model: &Model) -> Result<f32, EngineError> {
        let landmarks = self.landmarks(model, Precision::Int8)?;
        let off = |face: usize, point: usize| {
            let (here, there) = (landmarks[face][point].cell, self.expected[face][point].cell);
            (here.x - there.x, here.y - there.y)
        };
        let mut cost = 0.0;
        for face in (0..landmarks.len()).step_by(2) {
            for point in 0..landmarks[face].len() {
                let ((x, y), (other_x, other_y)) = (off(face, point), off(face + 1, point));
                cost += x.hypot(y) + MOVEMENT * (x - other_x).hypot(y - other_y);
            }
        }
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::default_landmarks;
    use crate::train::quantize::quantize;

    #[test]
    fn a_range_that_is_far_too_large_is_made_smaller() {
        let model = default_landmarks().unwrap();
        let size = model.config().input_size;
        let crops: Vec<f32> = (0..4 * size * size * 3).map(|i| ((i / 40) * 37 % 101) as f32 / 101.0).collect();
        let model = quantize(&model, &crops).unwrap();
        let layer = "stack.0.features.conv".to_owned();
        let site = Site { inputs: vec![layer.clone()], outputs: Vec::new() };
        let range = |model: &Model| model.config().quantization.as_ref().unwrap().input_ranges[&layer];
        let mut large = model.config().quantization.clone().unwrap();
        site.scale(&mut large, 20.0);
        let large = model.clone().with_quantization(Some(large)).unwrap();
        let found = search(&large, &[site], &crops).unwrap();
        assert!(range(&found) < 0.6 * range(&large), "{} of {}", range(&found), range(&large));
    }
}
