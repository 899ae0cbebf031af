//! Gradients of the paper's whole network of one stack are PyTorch's.
//!
//! Reference: double precision in PyTorch, training mode, two pictures of 128 pixels; weights, pictures, targets and
//! loss weights from a formula (`tests/reference/paper_gradients.py`).

#[path = "../../../tests/formula/mod.rs"]
mod formula;

use super::compute::Compute;
use super::recipe::Adaptation;
use crate::train::data::{Batch, BatchShape, DataError, ItemMut, Task};
use crate::train::gpu::{Gpu, Gradients};
use crate::train::loss::{AdaptiveWing, Objective};
use crate::train::network::values_of;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

const SIDE: usize = 128;
const MAP_SIDE: usize = SIDE / 4;
const PICTURES: usize = 2;
const MAPS: usize = 99;

/// Largest difference, relative to the root mean square of the parameter's gradient. Where a value lies so close to 0
/// that rounding decides whether a ReLU lets it through, PyTorch's own single precision is off by up to 0.007.
const TOLERANCE: f32 = 1e-2;
/// Median of the differences.
const MEDIAN_TOLERANCE: f32 = 5e-5;
/// Gradients of a smaller root mean square are compared relative to this. The smallest here is that of a bias before a
/// norm, which is 0 but for rounding; all others are above 0.001.
const SMALLEST: f32 = 1e-3;

#[derive(serde::Deserialize)]
struct Reference {
    loss: f64,
    /// By parameter: root mean square, places, values there.
    gradients: BTreeMap<String, (f32, Vec<usize>, Vec<f32>)>,
}

struct AnyTask;

impl Task for AnyTask {
    fn shape(&self) -> BatchShape {
        BatchShape { input: (SIDE, SIDE), heatmap: (MAP_SIDE, MAP_SIDE), channels: MAPS }
    }

    fn fill(&self, _: &mut ChaCha8Rng, _: ItemMut<'_>) -> Result<(), DataError> {
        Ok(())
    }

    fn objective(&self) -> &dyn Objective {
        &AdaptiveWing
    }
}

/// The formula's values of pictures x channels x rows x columns, channels last.
fn channels_last(name: &str, channels: usize, side: usize) -> Vec<f32> {
    let values: Vec<f32> = formula::uniform(name).take(PICTURES * channels * side * side).collect();
    let pixels = (0..PICTURES).flat_map(|picture| (0..side * side).map(move |pixel| (picture, pixel)));
    let all = pixels.flat_map(|at| (0..channels).map(move |channel| (at, channel)));
    all.map(|((picture, pixel), channel)| values[(picture * channels + channel) * side * side + pixel]).collect()
}

fn batch() -> Batch {
    let weight = channels_last("weight", MAPS, MAP_SIDE);
    Batch {
        input: channels_last("input", 3, SIDE),
        target: channels_last("target", MAPS, MAP_SIDE),
        weight: weight.iter().map(|&u| if u > 0.75 { 11.0 } else { 1.0 }).collect(),
        normalizer: (PICTURES * MAPS * MAP_SIDE * MAP_SIDE) as f64,
        len: PICTURES,
    }
}

fn check(gpu: Option<&Gpu>) {
    let reference: Reference =
        serde_json::from_str(include_str!("../../../tests/reference/paper_gradients.json")).unwrap();
    let model = formula::paper(1);
    let values = values_of(&model);
    let mut compute = Compute::new(model.config(), &values, &Adaptation::default(), gpu).unwrap();
    let Gradients { loss, of_parameters, .. } = compute.gradients(&AnyTask, &values, batch()).unwrap();
    assert!((loss / reference.loss - 1.0).abs() < 1e-5, "{loss} instead of {}", reference.loss);
    let parameters = model.config().graph().parameters();
    let trained = parameters.iter().zip(of_parameters).filter(|(p, _)| p.role.is_trained());
    let mut off = Vec::new();
    for (p, gradient) in trained {
        let (size, places, expected) = &reference.gradients[&p.name];
        let gradient = gradient.expect("what is trained has a gradient");
        for (&place, expected) in places.iter().zip(expected) {
            off.push((gradient[place] - expected).abs() / size.max(SMALLEST));
            let off = off[off.len() - 1];
            assert!(off < TOLERANCE, "{} at {place}: {}, not {expected}; {off} of {size}", p.name, gradient[place]);
        }
    }
    let places: usize = reference.gradients.values().map(|(_, places, _)| places.len()).sum();
    assert_eq!(off.len(), places);
    off.sort_by(f32::total_cmp);
    assert!(off[places / 2] < MEDIAN_TOLERANCE, "half of the gradients are off by {} and more", off[places / 2]);
}

#[test]
fn gradients_of_the_papers_network_are_those_of_pytorch() {
    check(None);
}

#[test]
fn gradients_of_the_papers_network_are_those_of_pytorch_in_candle() {
    check(Some(&Gpu::on_cpu()));
}
