//! Post-training quantization to int8: the ranges of maps, measured on faces, and weights balanced for it.
//!
//! In: a trained model and crops of faces. Out: the same model with [`Quantization`]: every block of a depthwise and a 1x1
//! convolution, and every other 1x1 convolution, is done in int8, with one scale per output channel for its weights and one
//! scale for its input. The convolution of the picture stays as it is, and heatmaps are f32.
//!
//! Before quantization, the channels of every map are brought to similar ranges, because they share one scale: each channel
//! is divided by a factor where it is computed, and multiplied by it where it is read. Maps that are added to each other
//! have the same factors. And a 1x1 convolution behind a depthwise one is balanced: each input channel is divided, in the batch
//! norm in front, by the square root of its range over that of its weights, and its weights are multiplied by the same
//! factor. In both cases the network computes the same, but channels and weights that are small no longer vanish under a
//! scale that all share (the idea of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019,
//! section 4.1). A model without such layers is refused.

use crate::runtime::model::graph::{Graph, NORM_EPSILON, Node, NodeId, Operation};
use crate::runtime::model::{Model, ModelError, Quantization};
use crate::train::network::CpuNetwork;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Why a model cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    #[error("none of the model's layers can be done in int8: it has no 1x1 convolution behind a depthwise one")]
    NoLayers,
    #[error("no faces to calibrate with")]
    NoFaces,
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Crops in a forward pass.
const BATCH: usize = 16;

/// A 1x1 convolution behind a depthwise one.
struct Layer {
    depthwise: String,
    /// What the depthwise convolution reads.
    source: NodeId,
    pointwise: String,
    norm: String,
    /// The batch norm's node.
    node: NodeId,
    channels: usize,
}

/// Quantizes `model` with the input ranges that it has on `crops`: `input_size * input_size * 3` values in 0..=1 each, one
/// after the other.
///
/// # Errors
/// [`QuantizeError`] if the model has no layers for int8, if `crops` is empty, or if the balanced weights are no model.
pub fn quantize(model: &Model, crops: &[f32]) -> Result<Model, QuantizeError> {
    let graph = model.config().graph();
    let layers = layers(&graph);
    if layers.is_empty() {
        return Err(QuantizeError::NoLayers);
    }
    let (ranges, mut maps) = ranges(model, &layers, crops)?;
    let names = graph.parameters().into_iter().map(|p| p.name);
    let mut tensors: HashMap<String, Vec<f32>> = names
        .map(|name| {
            let values = model.tensor(&name).expect("a model has every parameter of its network").to_vec();
            (name, values)
        })
        .collect();
    let strips: HashSet<NodeId> = layers.iter().map(|layer| layer.node).collect();
    for group in added_together(&graph) {
        if can_be_scaled(&graph, &group) && group.iter().all(|node| !strips.contains(node)) {
            equalize(&graph, &group, &mut maps, &mut tensors);
        }
    }
    let largest = |node: NodeId| maps[node].iter().fold(0.0_f32, |m, v| m.max(*v));
    let mut input_ranges = BTreeMap::new();
    for (layer, ranges) in layers.iter().zip(&ranges) {
        let weight = tensors.get_mut(&format!("{}.weight", layer.pointwise)).expect("it was copied");
        let factors = balance(ranges, weight);
        for row in weight.chunks_exact_mut(layer.channels) {
            row.iter_mut().zip(&factors).for_each(|(w, f)| *w *= f);
        }
        for part in ["weight", "bias"] {
            let values = tensors.get_mut(&format!("{}.{part}", layer.norm)).expect("it was copied");
            values.iter_mut().zip(&factors).for_each(|(v, f)| *v /= f);
        }
        let range = ranges.iter().zip(&factors).map(|(range, f)| range / f).fold(0.0, f32::max);
        input_ranges.insert(layer.pointwise.clone(), range);
        input_ranges.insert(layer.depthwise.clone(), largest(layer.source));
    }
    let mut output_ranges = BTreeMap::new();
    for node in &graph.nodes {
        match &node.operation {
            Operation::Convolution { name, kernel: 1, stride: 1, depthwise: false, .. } => {
                input_ranges.entry(name.clone()).or_insert(largest(node.inputs[0]));
            }
            // What is up-sampled is then added to other maps.
            Operation::Upsample => {
                let norm = &graph.nodes[node.inputs[0]];
                if let Some(Operation::Convolution { name, .. }) =
                    norm.inputs.first().map(|&n| &graph.nodes[n].operation)
                {
                    output_ranges.insert(name.clone(), largest(node.inputs[0]));
                }
            }
            _ => (),
        }
    }
    // A layer whose input is always 0 has no scale.
    input_ranges.retain(|_, range| *range > 0.0);
    output_ranges.retain(|_, range| *range > 0.0);
    let balanced = Model::new(model.config().clone(), tensors)?;
    Ok(balanced.with_quantization(Some(Quantization { input_ranges, output_ranges, loss: None }))?)
}

fn layers(graph: &Graph) -> Vec<Layer> {
    let layer = |node: &Node| {
        let Operation::Convolution { name, kernel: 1, depthwise: false, .. } = &node.operation else { return None };
        let input = node.inputs[0];
        let Operation::BatchNorm { name: norm, relu: false } = &graph.nodes[input].operation else { return None };
        let before = &graph.nodes[graph.nodes[input].inputs[0]];
        let Operation::Convolution { name: depthwise, depthwise: true, .. } = &before.operation else { return None };
        let (source, channels) = (before.inputs[0], graph.nodes[input].channels);
        let (depthwise, pointwise, norm) = (depthwise.clone(), name.clone(), norm.clone());
        Some(Layer { depthwise, source, pointwise, norm, node: input, channels })
    };
    graph.nodes.iter().filter_map(layer).collect()
}

/// The nodes of maps that are added to each other, and those of all others one by one.
fn added_together(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut group_of: Vec<NodeId> = (0..graph.nodes.len()).collect();
    for (node, Node { operation, inputs, .. }) in graph.nodes.iter().enumerate() {
        if matches!(operation, Operation::Add { .. } | Operation::Upsample) {
            for &input in inputs {
                let (from, to) = (group_of[input], group_of[node]);
                group_of.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
            }
        }
    }
    let members = |group: NodeId| (0..graph.nodes.len()).filter(|&node| group_of[node] == group).collect::<Vec<_>>();
    (0..graph.nodes.len()).map(members).filter(|group| !group.is_empty()).collect()
}

/// Whether the channels of these nodes, which are all that are added together, can be divided by factors: convolutions or
/// norms compute them, convolutions read them, and nobody else sees them.
fn can_be_scaled(graph: &Graph, group: &[NodeId]) -> bool {
    let is_written = |&node: &NodeId| match &graph.nodes[node].operation {
        Operation::Convolution { depthwise, bias, .. } => *bias && !depthwise,
        operation => matches!(operation, Operation::BatchNorm { .. } | Operation::Add { .. } | Operation::Upsample),
    };
    let is_read = |reader: &Node| {
        let sums = matches!(reader.operation, Operation::Add { .. } | Operation::Upsample);
        sums || matches!(reader.operation, Operation::Convolution { .. })
    };
    let mut readers = graph.nodes.iter().filter(|reader| reader.inputs.iter().any(|input| group.contains(input)));
    group.iter().all(|node| is_written(node) && !graph.outputs.contains(node)) && readers.all(is_read)
}

/// Divides the channels of the maps in `group` by factors that make their ranges alike. `maps` are the ranges of every
/// node's channels.
fn equalize(graph: &Graph, group: &[NodeId], maps: &mut [Vec<f32>], tensors: &mut HashMap<String, Vec<f32>>) {
    let channels = graph.nodes[group[0]].channels;
    let mut logarithms = vec![0.0_f32; channels];
    for &node in group {
        let largest = maps[node].iter().fold(0.0_f32, |m, v| m.max(*v));
        for (logarithm, range) in logarithms.iter_mut().zip(&maps[node]).filter(|(_, range)| **range > 0.0) {
            *logarithm += (range / largest).ln() / group.len() as f32;
        }
    }
    let factors: Vec<f32> = logarithms.into_iter().map(f32::exp).collect();
    let mut scale = |name: String, f: &dyn Fn(usize, usize) -> f32| {
        let Some(values) = tensors.get_mut(&name) else { return };
        let count = values.len();
        values.iter_mut().enumerate().for_each(|(i, value)| *value *= f(i, count));
    };
    for &node in group {
        maps[node].iter_mut().zip(&factors).for_each(|(range, factor)| *range /= factor);
        if let Operation::Convolution { name, .. } | Operation::BatchNorm { name, .. } = &graph.nodes[node].operation {
            for part in ["weight", "bias"] {
                scale(format!("{name}.{part}"), &|i, count| 1.0 / factors[i / (count / channels)]);
            }
        }
    }
    for reader in graph.nodes.iter().filter(|reader| reader.inputs.iter().any(|input| group.contains(input))) {
        if let Operation::Convolution { name, kernel, .. } = &reader.operation {
            // `[out, in, kernel, kernel]`, or `[channel, 1, kernel, kernel]`.
            scale(format!("{name}.weight"), &|i, _| factors[i / (kernel * kernel) % channels]);
        }
    }
}

/// The largest absolute value of each channel, of several maps.
type Ranges = Vec<Vec<f32>>;

/// The ranges of the inputs of `layers`, without the constant that the batch norm adds, and those of every node.
fn ranges(model: &Model, layers: &[Layer], crops: &[f32]) -> Result<(Ranges, Ranges), QuantizeError> {
    let size = model.config().input_size;
    let values = size * size * 3;
    if crops.len() < values {
        return Err(QuantizeError::NoFaces);
    }
    let mut network = CpuNetwork::new(model);
    let mut ranges: Ranges = layers.iter().map(|layer| vec![0.0; layer.channels]).collect();
    let graph = model.config().graph();
    let mut maps: Ranges = graph.nodes.iter().map(|node| vec![0.0; node.channels]).collect();
    let shifts: Vec<Vec<f32>> = layers.iter().map(|layer| shift(model, &layer.norm)).collect();
    for crops in crops.chunks(BATCH * values) {
        network.stacks_seen(crops.to_vec(), (size, size), |node, value| {
            for cell in value.chunks_exact(maps[node].len()) {
                maps[node].iter_mut().zip(cell).for_each(|(range, value)| *range = range.max(value.abs()));
            }
            let Some(index) = layers.iter().position(|layer| layer.node == node) else { return };
            let (ranges, shifts) = (&mut ranges[index], &shifts[index]);
            for cell in value.chunks_exact(shifts.len()) {
                for ((range, value), shift) in ranges.iter_mut().zip(cell).zip(shifts) {
                    *range = range.max((value - shift).abs());
                }
            }
        });
    }
    Ok((ranges, maps))
}

/// The constant that a batch norm adds to each channel.
fn shift(model: &Model, norm: &str) -> Vec<f32> {
    let part = |suffix: &str| model.tensor(&format!("{norm}.{suffix}")).expect("a model has every parameter");
    let scaled = part("weight").iter().zip(part("running_var"));
    let scaled = scaled.map(|(gain, variance)| f64::from(*gain) / (f64::from(*variance) + NORM_EPSILON).sqrt());
    let shifts = scaled.zip(part("running_mean")).zip(part("bias"));
    shifts.map(|((scale, mean), bias)| (f64::from(*bias) - scale * f64::from(*mean)) as f32).collect()
}

/// The factor by which each input channel is divided and its weights are multiplied; `weight` is `[output][channel]`.
fn balance(ranges: &[f32], weight: &[f32]) -> Vec<f32> {
    let mut reach = vec![0.0_f32; ranges.len()];
    for row in weight.chunks_exact(ranges.len()) {
        let largest = row.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        if largest > 0.0 {
            reach.iter_mut().zip(row).for_each(|(reach, w)| *reach = reach.max(w.abs() / largest));
        }
    }
    let factor = |(range, reach): (&f32, &f32)| if *range > 0.0 && *reach > 0.0 { (range / reach).sqrt() } else { 1.0 };
    ranges.iter().zip(&reach).map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::{Engine, EngineOptions, Outputs, Precision};
    use crate::runtime::model::{WeightFormat, default_landmarks};
    use crate::train::network::untrained;
    use crate::train::synth::Scene;

    /// Crops about the faces of the demo.
    fn crops(model: &Model, count: usize) -> Vec<f32> {
        use crate::runtime::geometry::{Rect, crop_from_frame};
        use crate::runtime::image::{Border, Frame, crop_into};
        let (scene, size) = (Scene::demo(3, 1), model.config().input_size);
        let mut frame = Frame::filled(640, 480, [0; 3]);
        let mut crops = vec![0.0; count * size * size * 3];
        for (i, crop) in crops.chunks_exact_mut(size * size * 3).enumerate() {
            let face = scene.draw(i as f64 * 0.7, &mut frame)[0];
            let around = Rect::around(face).unwrap();
            let transform = crop_from_frame(around.center(), model.config().crop.side(&around), 0.0, size);
            crop_into(&frame, &transform, size, Border::Replicate, crop);
        }
        crops
    }

    fn maps(model: &Model, precision: Precision, crop: &[f32]) -> Vec<f32> {
        let size = model.config().input_size;
        let options = EngineOptions { precision, outputs: Outputs::Decoded, ..EngineOptions::new(size, size) };
        let mut engine = Engine::compile(model, &options).unwrap();
        engine.input_mut().copy_from_slice(crop);
        engine.run();
        engine.output().values.to_vec()
    }

    #[test]
    fn balancing_changes_nothing_and_int8_little() {
        let model = default_landmarks().unwrap();
        let crops = crops(&model, 6);
        let quantized = quantize(&model, &crops).unwrap();
        let read = Model::from_bytes(&quantized.to_bytes(WeightFormat::F16).unwrap()).unwrap();
        let layers = read.config().quantization.as_ref().unwrap().input_ranges.len();
        assert!(layers > 15, "{layers} layers");
        let crop = &crops[crops.len() / 2..][..128 * 128 * 3];
        let expected = maps(&model, Precision::F32, crop);
        let peak = expected.iter().fold(0.0_f32, |m, v| m.max(*v));
        let difference = |other: Vec<f32>| other.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let balanced = difference(maps(&quantized, Precision::F32, crop));
        assert!(balanced < 1e-3 * peak, "{balanced} of {peak}");
        let int8 = difference(maps(&read, Precision::Int8, crop));
        assert!(int8 < 0.1 * peak, "{int8} of {peak}");
    }

    #[test]
    fn a_model_without_such_layers_and_an_empty_calibration_are_refused() {
        let model = default_landmarks().unwrap();
        assert!(matches!(quantize(&model, &[]), Err(QuantizeError::NoFaces)));
        let paper = serde_json::json!({
            "kind": "landmarks", "architecture": {"paper": {"stacks": 1}}, "input_size": 64,
            "points": 4, "outputs": 5, "crop": {"scale": 1.35}, "decoding": "centroid"
        });
        let paper = untrained(&serde_json::from_value(paper).unwrap(), 1).unwrap();
        assert!(matches!(quantize(&paper, &[0.0; 64 * 64 * 3]), Err(QuantizeError::NoLayers)));
    }
}
