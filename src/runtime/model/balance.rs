//! Factors between the channels of maps, which make their ranges alike for int8.
//!
//! All channels of an 8-bit map share a scale, so that a channel with small values would have few steps. Therefore each
//! channel is divided by a factor where it is computed, and multiplied by it where it is read. Maps that are added to
//! each other have the same factors. The network computes the same as before (the idea of Nagel et al., "Data-Free
//! Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1). A model file holds the
//! weights as they were trained, and the factors beside them.

use super::graph::{Graph, Node, NodeId, Operation};
use std::collections::HashMap;

/// Maps whose channels can be divided by factors: convolutions or norms compute them, convolutions read them, and
/// nobody else sees them.
pub(crate) struct Group {
    /// The layer that computes the first of them.
    pub name: String,
    /// All that are added to each other.
    pub nodes: Vec<NodeId>,
    pub channels: usize,
}

impl Group {
    /// All of a network.
    pub fn all(graph: &Graph) -> Vec<Self> {
        let mut group_of: Vec<NodeId> = (0..graph.nodes.len()).collect();
        for (node, Node { operation, inputs, .. }) in graph.nodes.iter().enumerate() {
            if adds(operation) {
                for &input in inputs {
                    let (from, to) = (group_of[input], group_of[node]);
                    group_of.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
                }
            }
        }
        let mut members = vec![Vec::new(); graph.nodes.len()];
        group_of.into_iter().enumerate().for_each(|(node, group)| members[group].push(node));
        members.into_iter().filter_map(|nodes| Self::of(graph, nodes)).collect()
    }

    fn of(graph: &Graph, nodes: Vec<NodeId>) -> Option<Self> {
        let is_written = |&node: &NodeId| match &graph.nodes[node].operation {
            Operation::Convolution { depthwise, bias, .. } => *bias && !depthwise,
            Operation::BatchNorm { .. } => true,
            operation => adds(operation),
        };
        let is_hidden = |node: &NodeId| !graph.outputs.contains(node);
        let are_read = readers(graph, &nodes)
            .all(|reader| adds(&reader.operation) || matches!(reader.operation, Operation::Convolution { .. }));
        let name = nodes.iter().find_map(|&node| name(&graph.nodes[node].operation))?.to_owned();
        let channels = graph.nodes[nodes[0]].channels;
        (are_read && nodes.iter().all(|node| is_written(node) && is_hidden(node))).then_some(Self {
            name,
            nodes,
            channels,
        })
    }

    /// Divides the channels by `factors`.
    pub fn divide(&self, graph: &Graph, factors: &[f32], tensors: &mut HashMap<String, Vec<f32>>) {
        // Multiplies each run of values by the next factor, and after the last by the first again.
        let mut scale = |name: String, factors: &[f32], run: &dyn Fn(usize) -> usize| {
            let Some(values) = tensors.get_mut(&name) else { return };
            let run = run(values.len());
            for (values, factor) in values.chunks_exact_mut(run).zip(factors.iter().cycle()) {
                values.iter_mut().for_each(|value| *value *= factor);
            }
        };
        let inverse: Vec<f32> = factors.iter().map(|factor| 1.0 / factor).collect();
        for layer in self.nodes.iter().filter_map(|&node| name(&graph.nodes[node].operation)) {
            for part in ["weight", "bias"] {
                scale(format!("{layer}.{part}"), &inverse, &|count| count / self.channels);
            }
        }
        for reader in readers(graph, &self.nodes) {
            if let Operation::Convolution { name, kernel, .. } = &reader.operation {
                // `[out, in, kernel, kernel]`, or `[channel, 1, kernel, kernel]`.
                scale(format!("{name}.weight"), factors, &|_| kernel * kernel);
            }
        }
    }
}

fn readers<'a>(graph: &'a Graph, nodes: &[NodeId]) -> impl Iterator<Item = &'a Node> {
    graph.nodes.iter().filter(move |reader| reader.inputs.iter().any(|input| nodes.contains(input)))
}

fn adds(operation: &Operation) -> bool {
    matches!(operation, Operation::Add { .. } | Operation::Upsample)
}

fn name(operation: &Operation) -> Option<&str> {
    match operation {
        Operation::Convolution { name, .. } | Operation::BatchNorm { name, .. } => Some(name),
        _ => None,
    }
}
