//! Forward and backward pass of a network on the CPU, on plain numbers.
//!
//! In: the values of the parameters (in the order of [`Graph::parameters`]) and a batch of pictures. Out: the maps of every
//! stack, then, for the gradients with respect to these, the gradient of every parameter. That is what candle's own
//! `backward` computes ([`crate::train::network::Network`] is held to the same gradients in a test), but buffers are used again
//! from step to step, kernels add to a gradient where they can instead of a pass of its own, and no thread works but those
//! of the current pool. Activations are (image, row, column, channel). Nothing fails; a graph that
//! [`crate::runtime::model::ModelConfig::graph`] would not make may panic.

use super::buffers::BufferPool;
use crate::runtime::model::graph::{BOUNDARY_GATE, Graph, NodeId, Operation};
use crate::runtime::model::graph::{NORM_EPSILON, coordinate_planes};
use crate::runtime::simd::Isa;
use crate::train::network::NORM_MOMENTUM;
use crate::train::ops::dense::{self, ConvShape, Epilogue, PackedWeights};
use crate::train::ops::depthwise::{self, DepthwiseShape, Packed};
use crate::train::ops::norm::{self, NormOf, Statistics};
use crate::train::ops::pointwise;
use std::collections::HashMap;
use std::sync::Arc;

/// A network that is differentiated.
pub(super) struct Backprop {
    graph: Graph,
    /// Number of parameters.
    parameters: usize,
    /// Which nodes' gradients are needed: those that depend on a parameter.
    learns: Vec<bool>,
    /// Numbers of the parameters of each node: weight and bias, then mean and variance for a norm.
    of_node: Vec<Vec<usize>>,
    /// Whether the norms use their running statistics instead of the batch's.
    frozen_statistics: bool,
    buffers: BufferPool,
}

/// What the forward pass leaves for the backward pass.
pub(super) struct Forward {
    images: usize,
    /// Rows and columns of the pictures.
    size: (usize, usize),
    /// The value of every node.
    values: Vec<Vec<f32>>,
    /// The batch's statistics of every norm.
    statistics: Vec<Option<Statistics>>,
}

impl Forward {
    /// The value of a node.
    pub fn value(&self, node: NodeId) -> &[f32] {
        &self.values[node]
    }
}

/// Gradient of a node's value while it is summed up.
type Slot = Option<Arc<Vec<f32>>>;

impl Backprop {
    /// The network of `graph`. Parameters of which `is_frozen` holds need no gradient; with `frozen_statistics` the norms use
    /// the running statistics, which don't change.
    pub fn new(graph: Graph, frozen_statistics: bool, is_frozen: impl Fn(&str) -> bool) -> Self {
        let parameters = graph.parameters();
        let index: HashMap<String, usize> = parameters.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        let mut learns: Vec<bool> = Vec::new();
        let mut of_node: Vec<Vec<usize>> = Vec::new();
        for node in &graph.nodes {
            let (name, parts): (&str, &[&str]) = match &node.operation {
                Operation::Convolution { name, bias: true, .. } => (name, &["weight", "bias"]),
                Operation::Convolution { name, .. } => (name, &["weight"]),
                Operation::BatchNorm { name, .. } => (name, &["weight", "bias", "running_mean", "running_var"]),
                _ => ("", &[]),
            };
            of_node.push(parts.iter().map(|part| index[&format!("{name}.{part}")]).collect());
            learns.push((!parts.is_empty() && !is_frozen(name)) || node.inputs.iter().any(|&i| learns[i]));
        }
        Self { graph, parameters: parameters.len(), learns, of_node, frozen_statistics, buffers: BufferPool::default() }
    }

    /// The nodes whose values are the maps, one a stack.
    pub fn outputs(&self) -> &[NodeId] {
        &self.graph.outputs
    }

    /// The forward pass, with the batch's statistics in the norms. `pictures`: `images` pictures of `size` rows and columns,
    /// RGB in 0..=1, both sides multiples of the coarsest stride.
    pub fn forward(
        &mut self,
        parameters: &[Vec<f32>],
        pictures: Vec<f32>,
        images: usize,
        size: (usize, usize),
    ) -> Forward {
        let count = self.graph.nodes.len();
        let mut forward = Forward { images, size, values: Vec::with_capacity(count), statistics: Vec::new() };
        forward.values.push(pictures);
        forward.statistics.push(None);
        for id in 1..count {
            let mut out = self.buffers.take(self.length(&forward, id));
            forward.statistics.push(self.forward_node(&forward, parameters, id, &mut out));
            forward.values.push(out);
        }
        forward
    }

    /// Numbers and new values of the running statistics, which follow the batch's as in PyTorch.
    pub fn running_statistics(&self, forward: &Forward, parameters: &[Vec<f32>]) -> Vec<(usize, Vec<f32>)> {
        let mut all = Vec::new();
        if self.frozen_statistics {
            return all;
        }
        for (id, statistics) in forward.statistics.iter().enumerate() {
            let (Some(Statistics { mean, variance }), &[_, _, mean_at, variance_at]) =
                (statistics, self.of_node[id].as_slice())
            else {
                continue;
            };
            let count = (self.length(forward, id) / mean.len()) as f32;
            let unbiased = count / (count - 1.0).max(1.0);
            for (at, batch, factor) in [(mean_at, mean, 1.0), (variance_at, variance, unbiased)] {
                let followed = |(old, new): (&f32, &f32)| old + NORM_MOMENTUM as f32 * (new * factor - old);
                all.push((at, parameters[at].iter().zip(batch).map(followed).collect()));
            }
        }
        all
    }

    /// A buffer of arbitrary contents with room for the gradient of a stack's maps, `length` numbers.
    pub fn buffer(&mut self, length: usize) -> Vec<f32> {
        self.buffers.take(length)
    }

    /// The backward pass: the gradient of every parameter that has one, from the gradients `maps` of the maps of every stack.
    /// Takes the values out of `forward`.
    pub fn backward(
        &mut self,
        parameters: &[Vec<f32>],
        forward: &mut Forward,
        maps: Vec<Vec<f32>>,
    ) -> Vec<Option<Vec<f32>>> {
        let mut gradients = vec![None; self.parameters];
        let mut slots: Vec<Slot> = vec![None; self.graph.nodes.len()];
        for (&node, gradient) in self.graph.outputs.iter().zip(maps) {
            slots[node] = Some(Arc::new(gradient));
        }
        // Node 0, the pictures, came from outside and has no gradient.
        for id in (1..self.graph.nodes.len()).rev() {
            if let Some(dy) = slots[id].take() {
                self.backward_node(forward, parameters, id, &dy, &mut slots, &mut gradients);
                self.buffers.give_shared(dy);
            }
            self.buffers.give(std::mem::take(&mut forward.values[id]));
        }
        gradients
    }

    fn side(&self, forward: &Forward, id: NodeId) -> (usize, usize) {
        let stride = self.graph.nodes[id].stride;
        (forward.size.0 / stride, forward.size.1 / stride)
    }

    fn length(&self, forward: &Forward, id: NodeId) -> usize {
        let (height, width) = self.side(forward, id);
        forward.images * height * width * self.graph.nodes[id].channels
    }

    fn dense_shape(&self, forward: &Forward, id: NodeId, kernel: usize, stride: usize) -> ConvShape {
        let input = self.graph.nodes[id].inputs[0];
        let (height, width) = self.side(forward, input);
        let (inputs, outputs) = (self.graph.nodes[input].channels, self.graph.nodes[id].channels);
        ConvShape { height, width, inputs, outputs, kernel, stride, padding: kernel / 2 }
    }

    fn depthwise_shape(&self, forward: &Forward, id: NodeId, kernel: usize, stride: usize) -> DepthwiseShape {
        let (height, width) = self.side(forward, self.graph.nodes[id].inputs[0]);
        DepthwiseShape { height, width, channels: self.graph.nodes[id].channels, kernel, stride, padding: kernel / 2 }
    }

    /// The value of node `id`, from those of its inputs.
    fn forward_node(
        &self,
        forward: &Forward,
        parameters: &[Vec<f32>],
        id: NodeId,
        out: &mut Vec<f32>,
    ) -> Option<Statistics> {
        let (isa, images) = (Isa::active(), forward.images);
        let node = &self.graph.nodes[id];
        let own = |i: usize| parameters[self.of_node[id][i]].as_slice();
        let x = forward.value(node.inputs[0]);
        match &node.operation {
            Operation::Input => unreachable!("the input is node 0 and the only one"),
            &Operation::Convolution { kernel, stride, depthwise: true, bias, .. } => {
                assert!(!bias, "no depthwise convolution of a network has a bias");
                let shape = self.depthwise_shape(forward, id, kernel, stride);
                depthwise::run_parallel(
                    isa,
                    &shape,
                    images,
                    x,
                    &Packed::new(own(0), shape.channels, kernel),
                    None,
                    out,
                );
            }
            &Operation::Convolution { kernel, stride, bias, .. } => {
                let shape = self.dense_shape(forward, id, kernel, stride);
                let packed = PackedWeights::new(isa, own(0), shape.outputs, shape.inputs, kernel);
                let epilogue = Epilogue { bias: bias.then(|| own(1)), ..Epilogue::default() };
                dense::run_parallel(&shape, images, x, &packed, epilogue, out);
            }
            &Operation::BatchNorm { relu, .. } => {
                let statistics = if self.frozen_statistics {
                    Statistics { mean: own(2).to_vec(), variance: own(3).to_vec() }
                } else {
                    norm::statistics(isa, x, node.channels)
                };
                norm::normalize(isa, &self.norm_of(own(0), &statistics, relu), own(1), x, out);
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

    /// The value of node `id`, which has coordinate channels behind those of its first input; two more of them are gated by
    /// the boundary map of its second input, if it has one.
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

    /// Hands the gradient `dy` of node `id` to its inputs and its parameters.
    fn backward_node(
        &mut self,
        forward: &Forward,
        parameters: &[Vec<f32>],
        id: NodeId,
        dy: &Arc<Vec<f32>>,
        slots: &mut [Slot],
        gradients: &mut [Option<Vec<f32>>],
    ) {
        let (isa, images) = (Isa::active(), forward.images);
        let node = self.graph.nodes[id].clone();
        let Some(&input) = node.inputs.first() else { return };
        let x = forward.value(input);
        match node.operation {
            Operation::Input => {}
            Operation::Convolution { .. } => self.backward_convolution(forward, parameters, id, dy, slots, gradients),
            Operation::BatchNorm { relu, .. } => {
                let Some(statistics) = &forward.statistics[id] else { return };
                let own = self.of_node[id].clone();
                let norm = self.norm_of(&parameters[own[0]], statistics, relu);
                let mut dx = self.buffers.take(x.len());
                let (gain, bias) = norm::gradients(isa, &norm, x, forward.value(id), dy, &mut dx);
                gradients[own[0]] = Some(gain);
                gradients[own[1]] = Some(bias);
                self.add(input, Arc::new(dx), slots);
            }
            Operation::Add { relu } => {
                let gradient = if relu {
                    let mut gated = self.buffers.take(dy.len());
                    pointwise::relu_gradient(forward.value(id), dy, &mut gated);
                    Arc::new(gated)
                } else {
                    dy.clone()
                };
                self.add(node.inputs[1], gradient.clone(), slots);
                self.add(input, gradient, slots);
            }
            Operation::Upsample => {
                let (height, width) = self.side(forward, input);
                let mut dx = self.buffers.take(x.len());
                pointwise::halve(width, node.channels, dy, images * height, 1.0, &mut dx);
                self.add(input, Arc::new(dx), slots);
            }
            Operation::AveragePool => {
                let (height, width) = self.side(forward, id);
                let mut dx = self.buffers.take(x.len());
                pointwise::double(width, node.channels, dy, images * height, 0.25, &mut dx);
                self.add(input, Arc::new(dx), slots);
            }
            // Of the coordinates, only what they were appended to has a gradient.
            Operation::Concat | Operation::Coordinates => {
                let is_concat = node.operation == Operation::Concat;
                let mut first = 0;
                for &input in if is_concat { node.inputs.as_slice() } else { &node.inputs[..1] } {
                    let channels = self.graph.nodes[input].channels;
                    let mut dx = self.buffers.take(forward.value(input).len());
                    dx.clear();
                    for cell in dy.chunks_exact(node.channels) {
                        dx.extend_from_slice(&cell[first..first + channels]);
                    }
                    first += channels;
                    self.add(input, Arc::new(dx), slots);
                }
            }
        }
    }

    /// As [`Self::backward_node`] for a convolution, whose kernels add to the gradient that its input already has.
    fn backward_convolution(
        &mut self,
        forward: &Forward,
        parameters: &[Vec<f32>],
        id: NodeId,
        dy: &[f32],
        slots: &mut [Slot],
        gradients: &mut [Option<Vec<f32>>],
    ) {
        let (isa, images) = (Isa::active(), forward.images);
        let node = &self.graph.nodes[id];
        let Operation::Convolution { kernel, stride, depthwise, bias, .. } = node.operation else { return };
        let (input, own) = (node.inputs[0], &self.of_node[id]);
        let (x, weight) = (forward.value(input), &parameters[own[0]]);
        let learns = self.learns[input];
        let before = if learns { slots[input].take() } else { None };
        let residual = before.as_ref().map(|v| v.as_slice());
        let mut dx = if learns { self.buffers.take(x.len()) } else { Vec::new() };
        if depthwise {
            let shape = self.depthwise_shape(forward, id, kernel, stride);
            gradients[own[0]] = Some(depthwise::weight_gradient(isa, &shape, images, x, dy));
            if learns {
                depthwise::input_gradient(isa, &shape, images, dy, weight, residual, &mut dx);
            }
        } else {
            let shape = self.dense_shape(forward, id, kernel, stride);
            gradients[own[0]] = Some(dense::weight_gradient(isa, &shape, images, x, dy));
            if bias {
                gradients[own[1]] = Some(dense::bias_gradient(shape.outputs, dy));
            }
            if learns {
                dense::input_gradient(isa, &shape, images, dy, weight, residual, &mut dx);
            }
        }
        if let Some(before) = before {
            self.buffers.give_shared(before);
        }
        if learns {
            slots[input] = Some(Arc::new(dx));
        }
    }

    fn norm_of<'a>(&self, gamma: &'a [f32], statistics: &'a Statistics, relu: bool) -> NormOf<'a> {
        NormOf { gamma, statistics, fixed: self.frozen_statistics, epsilon: NORM_EPSILON as f32, relu }
    }

    /// Adds a part of the gradient of node `id`.
    fn add(&mut self, id: NodeId, part: Arc<Vec<f32>>, slots: &mut [Slot]) {
        if !self.learns[id] {
            self.buffers.give_shared(part);
            return;
        }
        slots[id] = Some(match slots[id].take() {
            None => part,
            Some(before) => {
                let mut sum = self.buffers.take(part.len());
                pointwise::sum(&before, &part, false, &mut sum);
                self.buffers.give_shared(before);
                self.buffers.give_shared(part);
                Arc::new(sum)
            }
        });
    }
}
