//! Post-training quantization to int8: the ranges of maps, measured on pictures, and factors between their channels.
//!
//! In: a trained model, and crops of faces or, for a detector, frames. Out: the same weights with a [`Quantization`]:
//! every block of a depthwise and a 1x1 convolution, and every other 1x1 convolution, can be done in int8, with one
//! scale per output channel for its weights and one scale for its input. The convolution of the picture needs no range,
//! the block behind it stays as it is, and heatmaps are f32.
//!
//! The channels of every map are brought to similar ranges, because they share one scale ([`Group`]). What a depthwise
//! convolution passes on to a 1x1 one is divided, for each channel, by the square root of its range over that of the
//! weights that read it, so that neither small channels nor small weights vanish under a scale that all share. Ranges
//! leave out rare values (`extents`), and are then improved one by one (`search`). A model without such layers is
//! refused.

mod extents;
mod search;

use crate::runtime::engine::EngineError;
use crate::runtime::model::graph::{Graph, NORM_EPSILON, Node, NodeId, Operation};
use crate::runtime::model::{Group, Kind, Model, ModelError, Quantization};
use crate::train::network::CpuNetwork;
use extents::Extents;
use search::{Site, search};
use std::collections::BTreeMap;

/// Why a model cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    #[error("none of the model's layers can be done in int8: it has no 1x1 convolution behind a depthwise one")]
    NoLayers,
    #[error("no pictures to calibrate with")]
    NoPictures,
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Inputs in a forward pass.
const BATCH: usize = 16;
/// The share of a channel's values that may lie beyond each end of its interval, in a landmark model. On faces at rest,
/// landmarks move half as much as with intervals that hold all values. A detector's scores are made of rare values, so
/// its intervals hold all.
const BEYOND: f64 = 3e-3;
/// The least reach of an interval, as a share of that of all values: a channel that is zero almost everywhere counts
/// where it is not.
const LEAST_REACH: f32 = 0.12;

/// A 1x1 convolution behind a depthwise one.
struct Layer {
    depthwise: String,
    /// What the depthwise convolution reads.
    source: NodeId,
    pointwise: String,
    norm: String,
    /// The batch norm's node.
    node: NodeId,
}

/// Finds out what `model` needs to be run in int8, on `inputs` of its network: `input_size * input_size * 3` values in
/// 0..=1 each, one after the other.
///
/// # Errors
/// [`QuantizeError`] if the model has no layers for int8 or if `inputs` is empty.
pub fn quantize(model: &Model, inputs: &[f32]) -> Result<Model, QuantizeError> {
    let graph = model.config().graph();
    let mut layers = layers(&graph);
    if layers.is_empty() {
        return Err(QuantizeError::NoLayers);
    }
    // Rounding of the first map moves landmarks most, and the block that reads it has few channels.
    layers.retain(|layer| !is_computed_from_the_picture(&graph, layer.source));
    let intervals = intervals(model, &graph, inputs)?;
    let (factors, maps) = factors(model, &graph, &layers, &intervals);
    let centres = centres(model, &layers, &intervals, &factors);
    let ranges = Ranges::new(&graph, &layers, &maps);
    let quantization = Quantization {
        input_ranges: ranges.inputs,
        output_ranges: ranges.outputs,
        centres,
        factors,
        ..Quantization::default()
    };
    search(&model.clone().with_quantization(Some(quantization))?, &ranges.sites, inputs)
}

/// The factors of every [`Group`] by its name, and how far the channels of every map reach once they are divided by
/// them.
fn factors(
    model: &Model,
    graph: &Graph,
    layers: &[Layer],
    intervals: &[Vec<(f32, f32)>],
) -> (BTreeMap<String, Vec<f32>>, Vec<Vec<f32>>) {
    let half = |interval: &(f32, f32)| 0.5 * (interval.1 - interval.0);
    let reach = |interval: &(f32, f32)| interval.1.max(-interval.0);
    let mut maps: Vec<Vec<f32>> = intervals.iter().map(|map| map.iter().map(reach).collect()).collect();
    let mut factors = BTreeMap::new();
    for group in Group::all(graph) {
        let of_group = match layers.iter().find(|layer| group.nodes.contains(&layer.node)) {
            Some(layer) => {
                maps[layer.node] = intervals[layer.node].iter().map(half).collect();
                balance(&maps[layer.node], tensor(model, &layer.pointwise, "weight"))
            }
            None => common_factors(&group, &maps),
        };
        for &node in &group.nodes {
            maps[node].iter_mut().zip(&of_group).for_each(|(range, factor)| *range /= factor);
        }
        factors.insert(group.name, of_group);
    }
    (factors, maps)
}

/// The middles of what depthwise convolutions pass on, without the constants of their batch norms, divided by the
/// factors; by the name of the 1x1 convolution that reads it.
fn centres(
    model: &Model,
    layers: &[Layer],
    intervals: &[Vec<(f32, f32)>],
    factors: &BTreeMap<String, Vec<f32>>,
) -> BTreeMap<String, Vec<f32>> {
    let of_layer = |Layer { pointwise, norm, node, .. }: &Layer| {
        let middle = |((low, high), shift): (&(f32, f32), f32)| 0.5 * (low + high) - shift;
        let middles = intervals[*node].iter().zip(shift(model, norm)).map(middle);
        let centres = middles.zip(&factors[norm]).map(|(middle, factor)| rounded(middle / factor));
        (pointwise.clone(), centres.collect())
    };
    layers.iter().map(of_layer).collect()
}

/// The ranges of all maps that int8 layers read or write, and which of them belong to one map.
struct Ranges {
    inputs: BTreeMap<String, f32>,
    outputs: BTreeMap<String, f32>,
    sites: Vec<Site>,
}

impl Ranges {
    /// `maps` has the reach of every node's channels.
    fn new(graph: &Graph, layers: &[Layer], maps: &[Vec<f32>]) -> Self {
        let largest = |node: NodeId| maps[node].iter().fold(0.0_f32, |m, v| m.max(*v));
        let (mut inputs, mut outputs, mut sites) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut readers: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        for Layer { depthwise, source, pointwise, node, .. } in layers {
            inputs.insert(pointwise.clone(), largest(*node));
            inputs.insert(depthwise.clone(), largest(*source));
            sites.push(Site { inputs: vec![pointwise.clone()], outputs: Vec::new() });
            readers.entry(*source).or_default().push(depthwise.clone());
        }
        for node in &graph.nodes {
            let input = node.inputs.first().map(|&input| &graph.nodes[input]);
            match (&node.operation, input) {
                (Operation::Convolution { name, kernel: 1, stride: 1, depthwise: false, .. }, Some(_))
                    if !is_behind_depthwise(graph, node) =>
                {
                    inputs.insert(name.clone(), largest(node.inputs[0]));
                    readers.entry(node.inputs[0]).or_default().push(name.clone());
                }
                // What is up-sampled is then added to other maps.
                (Operation::Upsample, Some(norm)) => {
                    if let Some(Operation::Convolution { name, .. }) =
                        norm.inputs.first().map(|&convolution| &graph.nodes[convolution].operation)
                    {
                        outputs.insert(name.clone(), largest(node.inputs[0]));
                        sites.push(Site { inputs: Vec::new(), outputs: vec![name.clone()] });
                    }
                }
                _ => (),
            }
        }
        sites.extend(readers.into_values().map(|inputs| Site { inputs, outputs: Vec::new() }));
        // A layer whose input is always 0 has no scale.
        inputs.retain(|_, range: &mut f32| *range > 0.0);
        outputs.retain(|_, range: &mut f32| *range > 0.0);
        Self { inputs, outputs, sites }
    }
}

fn layers(graph: &Graph) -> Vec<Layer> {
    let layer = |node: &Node| {
        let Operation::Convolution { name, kernel: 1, depthwise: false, .. } = &node.operation else { return None };
        let input = node.inputs[0];
        let Operation::BatchNorm { name: norm, relu: false } = &graph.nodes[input].operation else { return None };
        let before = &graph.nodes[graph.nodes[input].inputs[0]];
        let Operation::Convolution { name: depthwise, depthwise: true, .. } = &before.operation else { return None };
        let (depthwise, pointwise, norm) = (depthwise.clone(), name.clone(), norm.clone());
        Some(Layer { depthwise, source: before.inputs[0], pointwise, norm, node: input })
    };
    graph.nodes.iter().filter_map(layer).collect()
}

fn is_behind_depthwise(graph: &Graph, convolution: &Node) -> bool {
    let norm = &graph.nodes[convolution.inputs[0]];
    let is_depthwise =
        |&node: &NodeId| matches!(graph.nodes[node].operation, Operation::Convolution { depthwise: true, .. });
    matches!(norm.operation, Operation::BatchNorm { .. }) && norm.inputs.iter().any(is_depthwise)
}

/// Whether a convolution of the picture and its batch norm compute the node's value.
fn is_computed_from_the_picture(graph: &Graph, node: NodeId) -> bool {
    let mut node = &graph.nodes[node];
    while let Operation::BatchNorm { .. } | Operation::Convolution { .. } | Operation::Coordinates = node.operation {
        let is_convolution = matches!(node.operation, Operation::Convolution { .. });
        node = &graph.nodes[node.inputs[0]];
        if is_convolution {
            return matches!(node.operation, Operation::Input | Operation::Coordinates);
        }
    }
    false
}

/// Factors that make the channels of maps alike which are added to each other. `maps` are the ranges of every node's
/// channels.
fn common_factors(group: &Group, maps: &[Vec<f32>]) -> Vec<f32> {
    let mut logarithms = vec![0.0_f32; group.channels];
    for &node in &group.nodes {
        let largest = maps[node].iter().fold(0.0_f32, |m, v| m.max(*v));
        for (logarithm, range) in logarithms.iter_mut().zip(&maps[node]).filter(|(_, range)| **range > 0.0) {
            *logarithm += (range / largest).ln() / group.nodes.len() as f32;
        }
    }
    logarithms.into_iter().map(|logarithm| rounded(logarithm.exp())).collect()
}

/// For each input channel of the 1x1 convolution with this weight, the square root of its range over that of the
/// weights that read it.
fn balance(ranges: &[f32], weight: &[f32]) -> Vec<f32> {
    let mut reach = vec![0.0_f32; ranges.len()];
    for row in weight.chunks_exact(ranges.len()) {
        let largest = row.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        if largest > 0.0 {
            reach.iter_mut().zip(row).for_each(|(reach, w)| *reach = reach.max(w.abs() / largest));
        }
    }
    let factor = |(range, reach): (&f32, &f32)| match *range > 0.0 && *reach > 0.0 {
        true => rounded((range / reach).sqrt()),
        false => 1.0,
    };
    ranges.iter().zip(&reach).map(factor).collect()
}

/// To four digits, which is enough for a factor or a centre, and short in a file.
fn rounded(value: f32) -> f32 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The intervals of every node's channels ([`Extents`]).
fn intervals(model: &Model, graph: &Graph, inputs: &[f32]) -> Result<Vec<Vec<(f32, f32)>>, QuantizeError> {
    let size = model.config().input_size;
    let values = size * size * 3;
    if inputs.len() < values {
        return Err(QuantizeError::NoPictures);
    }
    let mut network = CpuNetwork::new(model);
    let mut extents: Vec<Extents> = graph.nodes.iter().map(|node| Extents::new(node.channels)).collect();
    for inputs in inputs.chunks(BATCH * values) {
        network.stacks_seen(inputs.to_vec(), (size, size), |node, value| extents[node].add(value));
    }
    let beyond = match model.config().kind {
        Kind::Landmarks => BEYOND,
        Kind::Detector => 0.0,
    };
    Ok(extents.iter().map(|extents| extents.intervals(beyond, LEAST_REACH)).collect())
}

fn tensor<'a>(model: &'a Model, layer: &str, part: &str) -> &'a [f32] {
    model.tensor(&format!("{layer}.{part}")).expect("a model has every parameter of its network")
}

/// The constant that a batch norm adds to each channel.
fn shift(model: &Model, norm: &str) -> Vec<f32> {
    let part = |part: &str| tensor(model, norm, part);
    let scaled = part("weight").iter().zip(part("running_var"));
    let scaled = scaled.map(|(gain, variance)| f64::from(*gain) / (f64::from(*variance) + NORM_EPSILON).sqrt());
    let shifts = scaled.zip(part("running_mean")).zip(part("bias"));
    shifts.map(|((scale, mean), bias)| (f64::from(*bias) - scale * f64::from(*mean)) as f32).collect()
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
    fn single_precision_stays_as_it_was_and_int8_is_near() {
        let model = default_landmarks().unwrap().with_quantization(None).unwrap();
        let crops = crops(&model, 6);
        let quantized = quantize(&model, &crops).unwrap();
        let quantization = quantized.config().quantization.as_ref().unwrap();
        assert!(quantization.input_ranges.len() > 15, "{:?}", quantization.input_ranges);
        assert!(!quantization.input_ranges.keys().any(|layer| layer.starts_with("stem.1.")));
        let crop = &crops[crops.len() / 2..][..128 * 128 * 3];
        let expected = maps(&model, Precision::F32, crop);
        assert_eq!(maps(&quantized, Precision::F32, crop), expected);
        let peak = expected.iter().fold(0.0_f32, |m, v| m.max(*v));
        let difference = |other: Vec<f32>| other.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let balanced = difference(maps(&quantized.balanced(), Precision::F32, crop));
        assert!(balanced > 0.0 && balanced < 1e-3 * peak, "{balanced} of {peak}");
        let int8 = difference(maps(&quantized, Precision::Int8, crop));
        assert!(int8 < 0.2 * peak, "{int8} of {peak}");
        let written = Model::from_bytes(&quantized.to_bytes(WeightFormat::F32).unwrap()).unwrap();
        assert_eq!(maps(&written, Precision::Int8, crop), maps(&quantized, Precision::Int8, crop));
    }

    #[test]
    fn factors_and_centres_are_short_in_a_file() {
        assert_eq!([1234.56, -0.00123456, 0.0, 1.0].map(rounded), [1235.0, -0.001235, 0.0, 1.0]);
    }

    #[test]
    fn a_model_without_such_layers_and_an_empty_calibration_are_refused() {
        let model = default_landmarks().unwrap();
        assert!(matches!(quantize(&model, &[]), Err(QuantizeError::NoPictures)));
        let paper = serde_json::json!({
            "kind": "landmarks", "architecture": {"paper": {"stacks": 1}}, "input_size": 64,
            "points": 4, "outputs": 5, "crop": {"scale": 1.35}, "decoding": "centroid"
        });
        let paper = untrained(&serde_json::from_value(paper).unwrap(), 1).unwrap();
        assert!(matches!(quantize(&paper, &[0.0; 64 * 64 * 3]), Err(QuantizeError::NoLayers)));
    }
}
