//! Ranges of maps for which the results are near to those in f32.
//!
//! In: a model with ranges, and inputs of its network. Out: better ranges. The smaller a range, the finer its steps and
//! the more values lie beyond it; what is best differs from map to map, so the engine itself is asked, range by range.
//!
//! Landmarks are also to stay at rest when the picture does. Rounding changes with every bit of a camera's noise, so
//! each crop is seen twice, with different noise. Of a detector, scores and boxes are compared.

use super::QuantizeError;
use crate::runtime::detect::maps;
use crate::runtime::engine::{Engine, EngineError, EngineOptions, Outputs, Precision};
use crate::runtime::heatmap::{HeatmapView, Peak, decode};
use crate::runtime::model::{Kind, Model, Quantization};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Crops that every trial of a landmark model is measured on.
const CROPS: usize = 96;
/// Frames that every trial of a detector is measured on.
const FRAMES: usize = 64;
/// The largest noise of a crop, as a share of white. In videos of faces at rest, values of crops change by 0.2 to 0.4 %
/// from frame to frame.
const NOISE: f32 = 0.004;
/// The factor by which a range grows or shrinks in a step.
const STEP: f32 = 1.25;
/// The most steps up or down.
const MOST_STEPS: usize = 6;
/// The weight of movement between two noisy copies of a crop, relative to a constant distance from the landmarks in
/// f32, which nobody sees and which lies far below the error of the network.
const MOVEMENT: f32 = 5.0;
/// The lowest probability in f32 of a detector's cells whose boxes are compared.
const FACE_PROBABILITY: f32 = 0.1;
/// The weight of a squared difference between boxes, in the units of their maps, relative to one between scores.
const BOX: f32 = 0.5;
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
pub(super) fn search(model: &Model, sites: &[Site], inputs: &[f32]) -> Result<Model, QuantizeError> {
    let with = |quantization: &Quantization| model.clone().with_quantization(Some(quantization.clone()));
    let reference: Box<dyn Reference> = match model.config().kind {
        Kind::Landmarks => Box::new(NoisyFaces::new(model, inputs)?),
        Kind::Detector => Box::new(Frames::new(model, inputs)?),
    };
    let mut best = model.config().quantization.clone().unwrap_or_default();
    let mut cost = reference.cost(model)?;
    for site in sites {
        for step in [1.0 / STEP, STEP] {
            let before = cost;
            for _ in 0..MOST_STEPS {
                let mut tried = best.clone();
                site.scale(&mut tried, step);
                let now = reference.cost(&with(&tried)?)?;
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

/// The results in f32 of some inputs.
trait Reference {
    /// How far the results of `model` in int8 are from them.
    fn cost(&self, model: &Model) -> Result<f32, EngineError>;
}

/// Runs the network on each input; `read` sees its maps.
fn run<T>(
    model: &Model,
    precision: Precision,
    inputs: &[Vec<f32>],
    mut read: impl FnMut(&HeatmapView<'_>) -> T,
) -> Result<Vec<T>, EngineError> {
    let size = model.config().input_size;
    let options = EngineOptions { precision, outputs: Outputs::Decoded, ..EngineOptions::new(size, size) };
    let mut engine = Engine::compile(model, &options)?;
    let results = inputs.iter().map(|input| {
        engine.input_mut().copy_from_slice(input);
        engine.run();
        read(&engine.output())
    });
    Ok(results.collect())
}

/// `count` of the inputs at most, evenly spread.
fn some<'a>(model: &Model, inputs: &'a [f32], count: usize) -> impl Iterator<Item = &'a [f32]> {
    let values = model.config().input_size.pow(2) * 3;
    let all = inputs.len() / values;
    let count = count.min(all);
    (0..count).map(move |i| &inputs[i * all / count * values..][..values])
}

/// Crops with noise, and where the landmarks lie in f32.
struct NoisyFaces {
    /// Each twice, with different noise.
    crops: Vec<Vec<f32>>,
    expected: Vec<Vec<Peak>>,
}

impl NoisyFaces {
    fn new(model: &Model, crops: &[f32]) -> Result<Self, EngineError> {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut noisy = Vec::new();
        for crop in some(model, crops, CROPS) {
            for _ in 0..2 {
                noisy.push(crop.iter().map(|v| (v + rng.random_range(-NOISE..NOISE)).clamp(0.0, 1.0)).collect());
            }
        }
        let expected = Self::landmarks(model, Precision::F32, &noisy)?;
        Ok(Self { crops: noisy, expected })
    }

    fn landmarks(model: &Model, precision: Precision, crops: &[Vec<f32>]) -> Result<Vec<Vec<Peak>>, EngineError> {
        let config = model.config();
        run(model, precision, crops, |maps| {
            let mut peaks = Vec::new();
            decode(maps, config.points, config.decoding, &config.calibration, &mut peaks);
            peaks
        })
    }
}

impl Reference for NoisyFaces {
    /// How far landmarks lie from those in f32, plus [`MOVEMENT`] times how far they move with the noise beside them;
    /// in cells.
    fn cost(&self, model: &Model) -> Result<f32, EngineError> {
        let landmarks = Self::landmarks(model, Precision::Int8, &self.crops)?;
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

/// What a detector sees, and its maps in f32.
struct Frames {
    inputs: Vec<Vec<f32>>,
    expected: Vec<Vec<f32>>,
}

impl Frames {
    fn new(model: &Model, inputs: &[f32]) -> Result<Self, EngineError> {
        let inputs: Vec<Vec<f32>> = some(model, inputs, FRAMES).map(<[f32]>::to_vec).collect();
        let expected = run(model, Precision::F32, &inputs, |maps| maps.values.to_vec())?;
        Ok(Self { inputs, expected })
    }
}

impl Reference for Frames {
    /// The squared differences between probabilities, and, where there may be a face, between boxes. Squares, because a
    /// large error at one face matters more than small ones everywhere.
    fn cost(&self, model: &Model) -> Result<f32, EngineError> {
        let found = run(model, Precision::Int8, &self.inputs, |maps| maps.values.to_vec())?;
        let mut cost = 0.0;
        for (found, expected) in found.iter().zip(&self.expected) {
            for (f, e) in found.chunks_exact(maps::CHANNELS).zip(expected.chunks_exact(maps::CHANNELS)) {
                let probability = maps::probability(e[maps::CENTER]);
                cost += (maps::probability(f[maps::CENTER]) - probability).powi(2);
                if probability > FACE_PROBABILITY {
                    let boxes = f[maps::SIZE..].iter().zip(&e[maps::SIZE..]);
                    cost += BOX * boxes.map(|(f, e)| (f - e).powi(2)).sum::<f32>();
                }
            }
        }
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::default_landmarks;
    use crate::train::data::{Sample, crop_for_eval};
    use crate::train::quantize::quantize;
    use crate::train::synth::portraits;

    #[test]
    fn a_range_that_is_far_too_large_is_made_smaller() {
        let model = default_landmarks().unwrap();
        let size = model.config().input_size;
        let crop = |face: &Sample| crop_for_eval(face, &face.open().unwrap(), &model.config().crop, size).unwrap().0;
        let crops: Vec<f32> = portraits(4, 21).unwrap().iter().flat_map(crop).collect();
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
