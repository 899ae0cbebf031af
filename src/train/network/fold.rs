//! Batch norms with fixed statistics, folded into the convolutions before them for training.
//!
//! In: a graph and the values of its parameters (in the order of [`Graph::parameters`]). Out: which operations are
//! computed as one, their weights and bias, and from the gradients of these the gradients of the parameters. A norm
//! with fixed statistics is an affine map of each channel, so the network computes the same, without a pass for the
//! norm and without the values before it, which are half of what a training keeps of a batch. Nothing fails.

use crate::runtime::model::graph::{Graph, NORM_EPSILON, NodeId, Operation};
use crate::train::ops::norm;

/// A convolution, the norm after it and the sum with another value after that, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    pub convolution: NodeId,
    norm: NodeId,
    /// The value that is added.
    pub residual: Option<NodeId>,
    pub relu: bool,
}

/// A convolution with the norm in its weights.
#[derive(Debug)]
pub(crate) struct Folded {
    /// `[out, in, kernel, kernel]`
    pub weight: Vec<f32>,
    /// One number an output channel.
    pub bias: Vec<f32>,
}

/// The layers of a graph.
#[derive(Default)]
pub(crate) struct Layers {
    /// By the last node of the layer, whose value is that of the layer.
    layers: Vec<Option<Layer>>,
    /// Flags of the nodes inside a layer, which have no value of their own.
    hidden: Vec<bool>,
}

impl Layers {
    /// The layers of `graph`: every convolution that only a norm reads, with that norm, and with the sum behind it if
    /// nothing else reads the norm.
    pub fn of(graph: &Graph) -> Self {
        let mut readers: Vec<Vec<NodeId>> = vec![Vec::new(); graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| readers[input].push(id));
        }
        let only_reader = |id: NodeId| match readers[id].as_slice() {
            &[reader] if !graph.outputs.contains(&id) => Some((reader, &graph.nodes[reader])),
            _ => None,
        };
        let (mut layers, mut hidden) = (vec![None; graph.nodes.len()], vec![false; graph.nodes.len()]);
        for (convolution, node) in graph.nodes.iter().enumerate() {
            if !matches!(node.operation, Operation::Convolution { .. }) {
                continue;
            }
            let Some((norm, norm_node)) = only_reader(convolution) else { continue };
            let Operation::BatchNorm { relu, .. } = norm_node.operation else { continue };
            hidden[convolution] = true;
            let mut layer = Layer { convolution, norm, residual: None, relu };
            let mut last = norm;
            if let Some((sum, sum_node)) = only_reader(norm)
                && let Operation::Add { relu: sum_relu } = sum_node.operation
                && !relu
                && layers[sum].is_none()
            {
                hidden[norm] = true;
                layer.residual = sum_node.inputs.iter().copied().find(|&input| input != norm);
                layer.relu = sum_relu;
                last = sum;
            }
            layers[last] = Some(layer);
        }
        Self { layers, hidden }
    }

    /// The layer whose value is that of this node.
    pub fn ending_at(&self, node: NodeId) -> Option<&Layer> {
        self.layers.get(node)?.as_ref()
    }

    /// Whether this node lies inside a layer and has no value of its own.
    pub fn hides(&self, node: NodeId) -> bool {
        self.hidden.get(node).is_some_and(|hidden| *hidden)
    }
}

/// A norm with fixed statistics, `(x - mean) * scale + bias`, one number of each a channel.
struct FixedNorm<'a> {
    /// Gain times `inverse_deviation`.
    scale: Vec<f32>,
    inverse_deviation: Vec<f32>,
    mean: &'a [f32],
    bias: &'a [f32],
}

impl Layer {
    /// Weights and bias of the convolution with the norm in them. `of_node` are the numbers of each node's parameters.
    pub fn fold(&self, values: &[Vec<f32>], of_node: &[Vec<usize>]) -> Folded {
        let (weight, bias) = self.weight_and_bias(values, of_node);
        let norm = self.fixed_norm(values, of_node);
        let each = weight.len() / norm.scale.len();
        let mut folded = Folded { weight: weight.to_vec(), bias: norm.bias.to_vec() };
        for (channel, filter) in folded.weight.chunks_exact_mut(each).enumerate() {
            filter.iter_mut().for_each(|w| *w *= norm.scale[channel]);
            folded.bias[channel] += (bias.map_or(0.0, |bias| bias[channel]) - norm.mean[channel]) * norm.scale[channel];
        }
        folded
    }

    /// Sets the gradients of the parameters of convolution and norm, from those of [`Self::fold`]'s weights and bias.
    pub fn unfold(
        &self,
        values: &[Vec<f32>],
        of_node: &[Vec<usize>],
        of_folded: Folded,
        gradients: &mut [Option<Vec<f32>>],
    ) {
        let (weight, bias) = self.weight_and_bias(values, of_node);
        let norm = self.fixed_norm(values, of_node);
        let each = weight.len() / norm.scale.len();
        let Folded { weight: mut of_weight, bias: of_bias } = of_folded;
        let mut of_gain = vec![0.0; norm.scale.len()];
        let filters = of_weight.chunks_exact_mut(each).zip(weight.chunks_exact(each));
        for (channel, (gradient, filter)) in filters.enumerate() {
            let product: f64 = gradient.iter().zip(filter).map(|(g, w)| f64::from(*g) * f64::from(*w)).sum();
            let constant = bias.map_or(0.0, |bias| bias[channel]) - norm.mean[channel];
            let of_scale = product + f64::from(constant) * f64::from(of_bias[channel]);
            of_gain[channel] = (of_scale * f64::from(norm.inverse_deviation[channel])) as f32;
            gradient.iter_mut().for_each(|g| *g *= norm.scale[channel]);
        }
        if let Some(&number) = of_node[self.convolution].get(1) {
            gradients[number] = Some(of_bias.iter().zip(&norm.scale).map(|(g, scale)| g * scale).collect());
        }
        gradients[of_node[self.convolution][0]] = Some(of_weight);
        gradients[of_node[self.norm][0]] = Some(of_gain);
        gradients[of_node[self.norm][1]] = Some(of_bias);
    }

    fn weight_and_bias<'a>(&self, values: &'a [Vec<f32>], of_node: &[Vec<usize>]) -> (&'a [f32], Option<&'a [f32]>) {
        let numbers = &of_node[self.convolution];
        (&values[numbers[0]], numbers.get(1).map(|&bias| values[bias].as_slice()))
    }

    fn fixed_norm<'a>(&self, values: &'a [Vec<f32>], of_node: &[Vec<usize>]) -> FixedNorm<'a> {
        let part = |i: usize| values[of_node[self.norm][i]].as_slice();
        let (gain, bias, mean, variance) = (part(0), part(1), part(2), part(3));
        let inverse_deviation = norm::inverse_deviation(variance, NORM_EPSILON as f32);
        let scale = gain.iter().zip(&inverse_deviation).map(|(gain, inverse)| gain * inverse).collect();
        FixedNorm { scale, inverse_deviation, mean, bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::PaperConfig;
    use crate::train::network::tests::small_edge;

    /// The norms that are folded, and those that are not.
    fn norms(graph: &Graph) -> (usize, usize) {
        let layers = Layers::of(graph);
        let is_norm = |id: &NodeId| matches!(graph.nodes[*id].operation, Operation::BatchNorm { .. });
        let is_folded = |id: &NodeId| layers.ending_at(*id).is_some() || layers.hides(*id);
        let (folded, others): (Vec<NodeId>, Vec<NodeId>) = (0..graph.nodes.len()).filter(is_norm).partition(is_folded);
        (folded.len(), others.len())
    }

    #[test]
    fn norms_are_folded_unless_others_read_the_convolution_too() {
        assert_eq!(norms(&small_edge().graph(5)), (43, 0));
        // In the paper's blocks a concatenation reads the convolutions, too. Left are the norms of the stem and before
        // the maps.
        assert_eq!(norms(&PaperConfig { stacks: 2 }.graph(5)).0, 3);
    }
}
