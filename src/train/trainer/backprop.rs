//! Forward and backward pass of a network on the CPU, on plain numbers.
//!
//! In: the values of the parameters (in the order of [`Graph::parameters`]) and a batch of pictures. Out: the maps of
//! every stack, then, from the gradients with respect to these, the gradient of every parameter. candle's own
//! `backward` computes the same (a test compares the gradients with `gpu::candle`), but here buffers are reused from
//! step to step, kernels add to a gradient instead of using a separate pass, and only threads of the current pool work.
//! Activations are (image, row, column, channel). Nothing fails; a graph that
//! [`crate::runtime::model::ModelConfig::graph`] would not make may panic.

use crate::runtime::model::graph::{Graph, NodeId, Operation};
use crate::runtime::simd::Isa;
use crate::train::network::{Folded, Forward, ForwardPass, NORM_MOMENTUM, Norms, norm_of};
use crate::train::ops::norm::{self, Statistics};
use crate::train::ops::{bias_gradient, dense, depthwise, pointwise};
use std::sync::Arc;

/// A network that is differentiated.
pub(super) struct Backprop {
    pass: ForwardPass,
    /// Number of parameters.
    parameters: usize,
    /// Flags of the nodes whose gradients are needed: those that depend on a parameter.
    learns: Vec<bool>,
}

/// Gradient of a node's value while it is summed up.
type Slot = Option<Arc<Vec<f32>>>;

impl Backprop {
    /// The network of `graph`. Parameters of which `is_frozen` holds need no gradient; running statistics that the
    /// norms use don't change.
    pub fn new(graph: Graph, norms: Norms, is_frozen: impl Fn(&str) -> bool) -> Self {
        let parameters = graph.parameters();
        let pass = ForwardPass::new(graph, norms);
        let mut learns: Vec<bool> = Vec::new();
        for (node, own) in pass.graph.nodes.iter().zip(&pass.of_node) {
            let has_free = own.iter().any(|&i| parameters[i].role.is_trained() && !is_frozen(&parameters[i].name));
            learns.push(has_free || node.inputs.iter().any(|&i| learns[i]));
        }
        Self { pass, parameters: parameters.len(), learns }
    }

    /// The nodes whose values are the maps, one a stack.
    pub fn outputs(&self) -> &[NodeId] {
        &self.pass.graph.outputs
    }

    /// The forward pass. `pictures` of `size` rows and columns, RGB in 0..=1, both
    /// sides multiples of the coarsest stride.
    pub fn forward(&mut self, parameters: &[Vec<f32>], pictures: Vec<f32>, size: (usize, usize)) -> Forward {
        self.pass.train(parameters, pictures, size)
    }

    /// Numbers and new values of the running statistics, which follow the batch's as in PyTorch.
    pub fn running_statistics(&self, forward: &Forward, parameters: &[Vec<f32>]) -> Vec<(usize, Vec<f32>)> {
        let mut all = Vec::new();
        if self.pass.norms == Norms::Running {
            return all;
        }
        for (id, statistics) in forward.statistics.iter().enumerate() {
            let (Some(Statistics { mean, variance }), &[_, _, mean_at, variance_at]) =
                (statistics, self.pass.of_node[id].as_slice())
            else {
                continue;
            };
            let count = (self.pass.length(forward, id) / mean.len()) as f32;
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
        self.pass.buffers.take(length)
    }

    /// The backward pass: the gradient of every parameter that has one, from the gradients `maps` of the maps of every
    /// stack. Takes the values out of `forward`.
    pub fn backward(
        &mut self,
        parameters: &[Vec<f32>],
        forward: &mut Forward,
        maps: Vec<Vec<f32>>,
    ) -> Vec<Option<Vec<f32>>> {
        let mut gradients = vec![None; self.parameters];
        let mut slots: Vec<Slot> = vec![None; self.pass.graph.nodes.len()];
        for (&node, gradient) in self.pass.graph.outputs.iter().zip(maps) {
            slots[node] = Some(Arc::new(gradient));
        }
        // Node 0, the pictures, came from outside and has no gradient.
        for id in (1..self.pass.graph.nodes.len()).rev() {
            if let Some(dy) = slots[id].take() {
                if forward.folded[id].is_some() {
                    self.backward_layer(forward, parameters, id, dy, &mut slots, &mut gradients);
                } else {
                    self.backward_node(forward, parameters, id, &dy, &mut slots, &mut gradients);
                    self.pass.buffers.give_shared(dy);
                }
            }
            self.pass.buffers.give(std::mem::take(&mut forward.values[id]));
        }
        gradients
    }

    /// Hands the gradient `dy` of the layer that ends at node `id` to its inputs and its parameters.
    fn backward_layer(
        &mut self,
        forward: &mut Forward,
        parameters: &[Vec<f32>],
        id: NodeId,
        mut dy: Arc<Vec<f32>>,
        slots: &mut [Slot],
        gradients: &mut [Option<Vec<f32>>],
    ) {
        let layer = self.pass.layers.ending_at(id).cloned();
        let (Some(layer), Some(Folded { weight, .. })) = (layer, forward.folded[id].take()) else { return };
        if layer.relu {
            let mut gated = self.pass.buffers.take(dy.len());
            pointwise::relu_gradient(forward.value(id), &dy, &mut gated);
            self.pass.buffers.give_shared(std::mem::replace(&mut dy, Arc::new(gated)));
        }
        let weight = self.backward_convolution(forward, layer.convolution, &weight, &dy, slots);
        let bias = bias_gradient(Isa::active(), self.pass.graph.nodes[id].channels, &dy);
        layer.unfold(parameters, &self.pass.of_node, Folded { weight, bias }, gradients);
        match layer.residual {
            Some(residual) => self.add(residual, dy, slots),
            None => self.pass.buffers.give_shared(dy),
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
        let node = self.pass.graph.nodes[id].clone();
        let Some(&input) = node.inputs.first() else { return };
        let x = forward.value(input);
        match node.operation {
            Operation::Input => {}
            Operation::Convolution { bias, .. } => {
                let own = self.pass.of_node[id].clone();
                gradients[own[0]] = Some(self.backward_convolution(forward, id, &parameters[own[0]], dy, slots));
                if bias {
                    gradients[own[1]] = Some(bias_gradient(isa, node.channels, dy));
                }
            }
            Operation::BatchNorm { relu, .. } => {
                let Some(statistics) = &forward.statistics[id] else { return };
                let own = self.pass.of_node[id].clone();
                let norm = norm_of(&parameters[own[0]], statistics, self.pass.norms, relu);
                let mut dx = self.pass.buffers.take(x.len());
                let (gain, bias) = norm::gradients(isa, &norm, x, forward.value(id), dy, &mut dx);
                gradients[own[0]] = Some(gain);
                gradients[own[1]] = Some(bias);
                self.add(input, Arc::new(dx), slots);
            }
            Operation::Add { relu } => {
                let gradient = if relu {
                    let mut gated = self.pass.buffers.take(dy.len());
                    pointwise::relu_gradient(forward.value(id), dy, &mut gated);
                    Arc::new(gated)
                } else {
                    dy.clone()
                };
                self.add(node.inputs[1], gradient.clone(), slots);
                self.add(input, gradient, slots);
            }
            Operation::Upsample => {
                let (height, width) = self.pass.side(forward, input);
                let mut dx = self.pass.buffers.take(x.len());
                pointwise::halve(width, node.channels, dy, images * height, 1.0, &mut dx);
                self.add(input, Arc::new(dx), slots);
            }
            Operation::AveragePool => {
                let (height, width) = self.pass.side(forward, id);
                let mut dx = self.pass.buffers.take(x.len());
                pointwise::double(width, node.channels, dy, images * height, 0.25, &mut dx);
                self.add(input, Arc::new(dx), slots);
            }
            // Of the coordinates, only what they were appended to has a gradient.
            Operation::Concat | Operation::Coordinates => {
                let is_concat = node.operation == Operation::Concat;
                let mut first = 0;
                for &input in if is_concat { node.inputs.as_slice() } else { &node.inputs[..1] } {
                    let channels = self.pass.graph.nodes[input].channels;
                    let mut dx = self.pass.buffers.take(forward.value(input).len());
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

    /// Hands the gradient `dy` of the convolution `id` by `weight` to its input and returns the weight's. The kernels
    /// add to the gradient that the input already has.
    fn backward_convolution(
        &mut self,
        forward: &Forward,
        id: NodeId,
        weight: &[f32],
        dy: &[f32],
        slots: &mut [Slot],
    ) -> Vec<f32> {
        let (isa, images) = (Isa::active(), forward.images);
        let node = &self.pass.graph.nodes[id];
        let Operation::Convolution { kernel, stride, depthwise, .. } = node.operation else { return Vec::new() };
        let input = node.inputs[0];
        let x = forward.value(input);
        let learns = self.learns[input];
        let before = if learns { slots[input].take() } else { None };
        let residual = before.as_ref().map(|v| v.as_slice());
        let mut dx = if learns { self.pass.buffers.take(x.len()) } else { Vec::new() };
        let of_weight;
        if depthwise {
            let shape = self.pass.depthwise_shape(forward, id, kernel, stride);
            of_weight = depthwise::weight_gradient(isa, &shape, images, x, dy);
            if learns {
                depthwise::input_gradient(isa, &shape, images, dy, weight, residual, &mut dx);
            }
        } else {
            let shape = self.pass.dense_shape(forward, id, kernel, stride);
            of_weight = dense::weight_gradient(isa, &shape, images, x, dy);
            if learns {
                dense::input_gradient(isa, &shape, images, dy, weight, residual, &mut dx);
            }
        }
        if let Some(before) = before {
            self.pass.buffers.give_shared(before);
        }
        if learns {
            slots[input] = Some(Arc::new(dx));
        }
        of_weight
    }

    /// Adds a part of the gradient of node `id`.
    fn add(&mut self, id: NodeId, part: Arc<Vec<f32>>, slots: &mut [Slot]) {
        if !self.learns[id] {
            self.pass.buffers.give_shared(part);
            return;
        }
        slots[id] = Some(match slots[id].take() {
            None => part,
            Some(before) => {
                let mut sum = self.pass.buffers.take(part.len());
                pointwise::sum(&before, &part, false, &mut sum);
                self.pass.buffers.give_shared(before);
                self.pass.buffers.give_shared(part);
                Arc::new(sum)
            }
        });
    }
}
