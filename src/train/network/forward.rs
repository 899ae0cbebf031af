//! Forward pass of a network on the CPU, on plain numbers.
//!
//! In: the values of the parameters (in the order of [`Graph::parameters`]) and a batch of pictures. Out: for training
//! the values that the backward pass needs; for evaluation the maps of every stack. Buffers are reused from batch to
//! batch, and only threads of the current pool work. Activations are (image, row, column, channel). Nothing fails; a
//! graph that [`crate::runtime::model::ModelConfig::graph`] would not make may panic.

use super::fold::{Folded, Layers};
use super::{BufferPool, Maps};
use crate::runtime::model::graph::{BOUNDARY_GATE, Graph, NORM_EPSILON, NodeId, Operation, coordinate_planes};
use crate::runtime::simd::Isa;
use crate::train::ops::Epilogue;
use crate::train::ops::dense::{self, ConvShape, PackedWeights};
use crate::train::ops::depthwise::{self, DepthwiseShape, Packed};
use crate::train::ops::norm::{self, NormOf, Statistics};
use crate::train::ops::pointwise;
use std::collections::HashMap;

/// A network that runs forward.
pub(crate) struct ForwardPass {
    pub graph: Graph,
    /// Numbers of the parameters of each node: weight and bias, then mean and variance for a norm.
    pub of_node: Vec<Vec<usize>>,
    /// The statistics of the norms in [`Self::train`].
    pub norms: Norms,
    /// What [`Self::train`] computes as one.
    pub layers: Layers,
    pub buffers: BufferPool,
}

/// The results of the forward pass that the backward pass needs.
pub(crate) struct Forward {
    pub images: usize,
    /// Rows and columns of the pictures.
    size: (usize, usize),
    /// The value of every node; empty for nodes inside a layer.
    pub values: Vec<Vec<f32>>,
    /// The statistics that every norm used; none for norms inside a layer.
    pub statistics: Vec<Option<Statistics>>,
    /// The weights of every layer, by its last node.
    pub folded: Vec<Option<Folded>>,
}

impl Forward {
    /// The value of a node.
    pub fn value(&self, node: NodeId) -> &[f32] {
        &self.values[node]
    }
}

/// The statistics of the norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norms {
    /// The batch's; the running ones follow.
    OfTheBatch,
    /// The running ones, which stay as they are.
    Running,
}

impl ForwardPass {
    pub fn new(graph: Graph, norms: Norms) -> Self {
        let layers = if norms == Norms::Running { Layers::of(&graph) } else { Layers::default() };
        let parameters = graph.parameters();
        let index: HashMap<&str, usize> = parameters.iter().enumerate().map(|(i, p)| (p.name.as_str(), i)).collect();
        let parts_of = |operation: &Operation| -> (String, &[&str]) {
            match operation {
                Operation::Convolution { name, bias: true, .. } => (name.clone(), &["weight", "bias"]),
                Operation::Convolution { name, .. } => (name.clone(), &["weight"]),
                Operation::BatchNorm { name, .. } => (name.clone(), &["weight", "bias", "running_mean", "running_var"]),
                _ => (String::new(), &[]),
            }
        };
        let of_node = graph.nodes.iter().map(|node| {
            let (name, parts) = parts_of(&node.operation);
            parts.iter().map(|part| index[format!("{name}.{part}").as_str()]).collect()
        });
        Self { of_node: of_node.collect(), layers, graph, norms, buffers: BufferPool::default() }
    }

    /// The values that the backward pass needs. `pictures` of `size` rows and columns, RGB in 0..=1, both sides
    /// multiples of the coarsest stride.
    pub fn train(&mut self, parameters: &[Vec<f32>], pictures: Vec<f32>, size: (usize, usize)) -> Forward {
        let mut forward = self.begin(pictures, size);
        for id in 1..self.graph.nodes.len() {
            let (mut statistics, mut folded, mut out) = (None, None, Vec::new());
            if !self.layers.hides(id) {
                out = self.buffers.take(self.length(&forward, id));
                if let Some(layer) = self.layers.ending_at(id) {
                    let Folded { weight, bias } = folded.insert(layer.fold(parameters, &self.of_node));
                    let residual = layer.residual.map(|node| forward.value(node));
                    let epilogue = Epilogue { bias: Some(bias), residual, relu: layer.relu };
                    self.convolve(&forward, layer.convolution, weight, epilogue, &mut out);
                } else {
                    statistics = self.forward_node(&forward, parameters, id, self.norms, &mut out);
                }
            }
            forward.values.push(out);
            forward.statistics.push(statistics);
            forward.folded.push(folded);
        }
        forward
    }

    /// The maps of every stack, with the running statistics in the norms; calls `see` with every node and its value.
    /// `pictures` as for [`Self::train`].
    pub fn evaluate(
        &mut self,
        parameters: &[Vec<f32>],
        pictures: Vec<f32>,
        size: (usize, usize),
        mut see: impl FnMut(NodeId, &[f32]),
    ) -> Vec<Maps> {
        let count = self.graph.nodes.len();
        let mut last_use = vec![0; count];
        for (id, node) in self.graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| last_use[input] = id);
        }
        self.graph.outputs.iter().for_each(|&output| last_use[output] = count);
        let mut forward = self.begin(pictures, size);
        for id in 1..count {
            let mut out = self.buffers.take(self.length(&forward, id));
            self.forward_node(&forward, parameters, id, Norms::Running, &mut out);
            see(id, &out);
            forward.values.push(out);
            // Node 0, the pictures, came from outside.
            for &input in self.graph.nodes[id].inputs.iter().filter(|&&input| input > 0 && last_use[input] == id) {
                self.buffers.give(std::mem::take(&mut forward.values[input]));
            }
        }
        let maps = |&node: &NodeId| {
            let (height, width) = self.side(&forward, node);
            let values = std::mem::take(&mut forward.values[node]);
            Maps { values, height, width, channels: self.graph.nodes[node].channels }
        };
        self.graph.outputs.iter().map(maps).collect()
    }

    fn begin(&self, pictures: Vec<f32>, size: (usize, usize)) -> Forward {
        let images = pictures.len() / (size.0 * size.1 * self.graph.nodes[0].channels);
        let mut values = Vec::with_capacity(self.graph.nodes.len());
        values.push(pictures);
        Forward { images, size, values, statistics: vec![None], folded: vec![None] }
    }

    pub fn side(&self, forward: &Forward, id: NodeId) -> (usize, usize) {
        let stride = self.graph.nodes[id].stride;
        (forward.size.0 / stride, forward.size.1 / stride)
    }

    pub fn length(&self, forward: &Forward, id: NodeId) -> usize {
        let (height, width) = self.side(forward, id);
        forward.images * height * width * self.graph.nodes[id].channels
    }

    pub fn dense_shape(&self, forward: &Forward, id: NodeId, kernel: usize, stride: usize) -> ConvShape {
        let input = self.graph.nodes[id].inputs[0];
        let (height, width) = self.side(forward, input);
        let (inputs, outputs) = (self.graph.nodes[input].channels, self.graph.nodes[id].channels);
        ConvShape { height, width, inputs, outputs, kernel, stride, padding: kernel / 2 }
    }

    pub fn depthwise_shape(&self, forward: &Forward, id: NodeId, kernel: usize, stride: usize) -> DepthwiseShape {
        let (height, width) = self.side(forward, self.graph.nodes[id].inputs[0]);
        DepthwiseShape { height, width, channels: self.graph.nodes[id].channels, kernel, stride, padding: kernel / 2 }
    }

    /// The value of node `id`, from those of its inputs; for a norm the statistics as well.
    fn forward_node(
        &self,
        forward: &Forward,
        parameters: &[Vec<f32>],
        id: NodeId,
        norms: Norms,
        out: &mut Vec<f32>,
    ) -> Option<Statistics> {
        let (isa, images) = (Isa::active(), forward.images);
        let node = &self.graph.nodes[id];
        let own = |i: usize| parameters[self.of_node[id][i]].as_slice();
        let x = forward.value(node.inputs[0]);
        match &node.operation {
            Operation::Input => unreachable!("the input is node 0 and the only one"),
            &Operation::Convolution { bias, .. } => {
                let epilogue = Epilogue { bias: bias.then(|| own(1)), ..Epilogue::default() };
                self.convolve(forward, id, own(0), epilogue, out);
            }
            &Operation::BatchNorm { relu, .. } => {
                let statistics = match norms {
                    Norms::OfTheBatch => norm::statistics(isa, x, node.channels),
                    Norms::Running => Statistics { mean: own(2).to_vec(), variance: own(3).to_vec() },
                };
                norm::normalize(isa, &norm_of(own(0), &statistics, norms, relu), own(1), x, out);
                return Some(statistics);
            }
            &Operation::Add { relu } => pointwise::sum(x, forward.value(node.inputs[1]), relu, out),
            Operation::Upsample => {
                let (height, width) = self.side(forward, node.inputs[0]);
                pointwise::double(width, node.channels, x, images * height, 1.0, out);
            }
            Operation::AveragePool => {
                let (height, width) = self.side(forward, id);
                pointwise::halve(width, node.channels, x, images * height, 0.25, out);
            }
            Operation::Concat => {
                out.resize(self.length(forward, id), 0.0);
                let mut first = 0;
                for &input in &node.inputs {
                    let channels = self.graph.nodes[input].channels;
                    let cells = forward.value(input).chunks_exact(channels);
                    for (to, from) in out.chunks_exact_mut(node.channels).zip(cells) {
                        to[first..first + channels].copy_from_slice(from);
                    }
                    first += channels;
                }
            }
            Operation::Coordinates => self.append_coordinates(forward, id, out),
        }
        None
    }

    /// The convolution `id` of its input's value with this weight.
    fn convolve(&self, forward: &Forward, id: NodeId, weight: &[f32], epilogue: Epilogue<'_>, out: &mut Vec<f32>) {
        let (isa, images, node) = (Isa::active(), forward.images, &self.graph.nodes[id]);
        let Operation::Convolution { kernel, stride, depthwise, .. } = node.operation else { return };
        let x = forward.value(node.inputs[0]);
        if depthwise {
            let shape = self.depthwise_shape(forward, id, kernel, stride);
            let packed = Packed::new(weight, shape.channels, kernel);
            depthwise::run_parallel(isa, &shape, images, x, &packed, epilogue, out);
        } else {
            let shape = self.dense_shape(forward, id, kernel, stride);
            let packed = PackedWeights::new(isa, weight, shape.outputs, shape.inputs, kernel);
            dense::run_parallel(&shape, images, x, &packed, epilogue, out);
        }
    }

    /// The value of node `id`, which has coordinate channels behind those of its first input; two more of them are
    /// gated by the boundary map of its second input, if it has one.
    fn append_coordinates(&self, forward: &Forward, id: NodeId, out: &mut Vec<f32>) {
        let node = &self.graph.nodes[id];
        out.resize(self.length(forward, id), 0.0);
        let (height, width) = self.side(forward, id);
        let planes = coordinate_planes(height, width);
        let channels = self.graph.nodes[node.inputs[0]].channels;
        let x = forward.value(node.inputs[0]).chunks_exact(channels);
        for ((to, from), plane) in out.chunks_exact_mut(node.channels).zip(x).zip(planes.chunks_exact(3).cycle()) {
            to[..channels].copy_from_slice(from);
            to[channels..channels + 3].copy_from_slice(plane);
        }
        let Some(&heatmaps) = node.inputs.get(1) else { return };
        let maps = forward.value(heatmaps).chunks_exact(self.graph.nodes[heatmaps].channels);
        for (to, maps) in out.chunks_exact_mut(node.channels).zip(maps) {
            let is_open = maps[maps.len() - 1] > BOUNDARY_GATE;
            for i in 0..2 {
                to[channels + 3 + i] = if is_open { to[channels + i] } else { 0.0 };
            }
        }
    }
}

/// A norm of the network, by these statistics.
pub(crate) fn norm_of<'a>(gamma: &'a [f32], statistics: &'a Statistics, norms: Norms, relu: bool) -> NormOf<'a> {
    NormOf { gamma, statistics, fixed: norms == Norms::Running, epsilon: NORM_EPSILON as f32, relu }
}
