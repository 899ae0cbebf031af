//! Starting values of a network from a trained one that is as large or smaller.
//!
//! In: the network, its random values, and a model of the same levels, kernels and maps that has no channel and no
//! block more. Out: values with which the network computes what the model does (Chen, Goodfellow, Shlens: Net2Net, ICLR
//! 2016). New channels see old ones through random weights, old channels see new ones through weights of zero, and new
//! residual blocks add nothing yet. Fails with a [`ModelError`] that names the first tensor that does not fit.

use crate::runtime::model::graph::{Graph, NodeId, Operation, Parameter, Role};
use crate::runtime::model::{Model, ModelError};
use std::collections::{HashMap, HashSet};

/// The values of every parameter of `graph`, in the order of [`Graph::parameters`]; `random` are its values for a
/// training without a start.
///
/// # Errors
/// [`ModelError::Superfluous`], [`ModelError::Misshapen`] or [`ModelError::Missing`] if the model is larger or of
/// another kind.
pub(crate) fn grown(graph: &Graph, random: Vec<Vec<f32>>, start: &Model) -> Result<Vec<Vec<f32>>, ModelError> {
    let parameters = graph.parameters();
    let start_parameters = start.config().graph().parameters();
    let names: HashSet<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
    if let Some(p) = start_parameters.iter().find(|p| !names.contains(p.name.as_str())) {
        return Err(ModelError::Superfluous { name: p.name.clone() });
    }
    let shapes: HashMap<&str, &[usize]> = start_parameters.iter().map(|p| (p.name.as_str(), &*p.shape)).collect();
    let residual = residual_blocks(graph);
    let heads: Vec<String> = graph.outputs.iter().filter_map(|&node| layer(graph, node)).map(str::to_owned).collect();
    let mut values = random;
    for (p, values) in parameters.iter().zip(&mut values) {
        let layer = p.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        match (shapes.get(p.name.as_str()), start.tensor(&p.name)) {
            (Some(shape), Some(old)) => {
                let may_grow = !heads.iter().any(|head| head == layer) || shape.first() == p.shape.first();
                if !may_grow || !fits(shape, &p.shape) {
                    let (actual, expected) = (shape.to_vec(), p.shape.clone());
                    return Err(ModelError::Misshapen { name: p.name.clone(), actual, expected });
                }
                embed(old, shape, p, values);
            }
            _ => match residual.get(layer) {
                Some(Place::Last) if p.role == Role::NormGain => values.fill(0.0),
                Some(_) => {}
                None => return Err(ModelError::Missing { name: p.name.clone() }),
            },
        }
    }
    Ok(values)
}

/// Whether a tensor of shape `small` is a corner of one of shape `large`: fewer or as many channels, the same filters.
fn fits(small: &[usize], large: &[usize]) -> bool {
    small.len() == large.len()
        && small.iter().zip(large).all(|(small, large)| small <= large)
        && small.iter().skip(2).eq(large.iter().skip(2))
}

/// Writes a tensor of shape `shape` into the corner of `p`'s values, so that its channels see none of the added ones.
fn embed(old: &[f32], shape: &[usize], p: &Parameter, values: &mut [f32]) {
    let of_one_channel = |shape: &[usize]| shape.iter().skip(1).product::<usize>();
    let channels = values.chunks_exact_mut(of_one_channel(&p.shape));
    for (old, new) in old.chunks_exact(of_one_channel(shape)).zip(channels) {
        let (kept, added) = new.split_at_mut(old.len());
        kept.copy_from_slice(old);
        added.fill(0.0);
    }
}

/// A layer's place in its residual block.
#[derive(Clone, Copy)]
enum Place {
    /// Its output is added to the block's input.
    Last,
    Before,
}

/// The layers of every block whose last norm is added to the block's input.
fn residual_blocks(graph: &Graph) -> HashMap<&str, Place> {
    let mut layers = HashMap::new();
    for node in &graph.nodes {
        let (Operation::Add { .. }, &[last, input]) = (&node.operation, node.inputs.as_slice()) else { continue };
        if !matches!(graph.nodes[last].operation, Operation::BatchNorm { .. }) {
            continue;
        }
        let back = std::iter::successors(Some(last), |&node| graph.nodes[node].inputs.first().copied());
        let inside: Vec<NodeId> = back.take_while(|&node| node > input).collect();
        let reaches_input = inside.last().is_some_and(|&first| graph.nodes[first].inputs == [input]);
        if reaches_input {
            for &node in &inside {
                let place = if node == last { Place::Last } else { Place::Before };
                layers.extend(layer(graph, node).map(|name| (name, place)));
            }
        }
    }
    layers
}

/// The name of a node with parameters.
fn layer(graph: &Graph, node: NodeId) -> Option<&str> {
    match &graph.nodes[node].operation {
        Operation::Convolution { name, .. } | Operation::BatchNorm { name, .. } => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::ModelConfig;
    use crate::train::network::{CpuNetwork, Network, initial_values, untrained};
    use crate::train::ops::tests::random_numbers;
    use serde_json::{Value, json};

    fn config(changes: &Value) -> ModelConfig {
        let mut edge = json!({
            "stem_channels": 8, "stem_blocks": 0, "widths": [8, 12, 16], "kernel": 5, "middle_blocks": 1,
            "up_blocks": [1, 1], "stacks": 2, "coordinates": true
        });
        edge.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "kind": "landmarks", "architecture": {"edge": edge}, "input_size": 32, "points": 4, "outputs": 5,
            "crop": {"scale": 1.35}, "decoding": "centroid"
        }))
        .unwrap()
    }

    fn grow(start: &Value, changes: &Value) -> Result<(Model, Model), ModelError> {
        let start = untrained(&config(start), 3).unwrap();
        let config = config(changes);
        let graph = config.graph();
        let values = grown(&graph, initial_values(&graph, 4), &start)?;
        let names = graph.parameters().into_iter().map(|p| p.name);
        Ok((start, Model::new(config, names.zip(values).collect()).unwrap()))
    }

    #[test]
    fn a_larger_network_starts_with_the_maps_of_the_smaller_one() {
        for changes in [
            json!({}),
            json!({"widths": [8, 20, 16]}),
            json!({"stem_channels": 11, "widths": [10, 20, 40]}),
            json!({"stem_blocks": 2, "middle_blocks": 3, "up_blocks": [2, 3]}),
            json!({"widths": [10, 20, 40], "stem_blocks": 1, "middle_blocks": 2, "up_blocks": [3, 2]}),
        ] {
            let (start, grown) = grow(&json!({}), &changes).unwrap();
            let pictures = random_numbers(2 * 32 * 32 * 3, 5);
            let maps = |model: &Model| CpuNetwork::new(model).stacks(pictures.clone(), (32, 32)).unwrap();
            for (start, grown) in maps(&start).iter().zip(maps(&grown)) {
                let off = start.values.iter().zip(&grown.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-5, "{changes}: {off}");
            }
        }
    }

    #[test]
    fn what_does_not_contain_the_start_is_refused_by_name() {
        let refused = |start: Value, changes: Value| grow(&start, &changes).map(|_| ()).unwrap_err();
        let missing = refused(json!({}), json!({"widths": [8, 12, 16, 16], "up_blocks": [1, 1, 1]}));
        assert!(matches!(&missing, ModelError::Missing { name } if name.contains("down.2")), "{missing}");
        let narrower = refused(json!({}), json!({"widths": [8, 10, 16]}));
        assert!(matches!(narrower, ModelError::Misshapen { .. }), "{narrower}");
        let fewer = refused(json!({"middle_blocks": 2}), json!({}));
        assert!(matches!(&fewer, ModelError::Superfluous { name } if name.contains("middle.1")), "{fewer}");
        let filters = refused(json!({"kernel": 3}), json!({}));
        assert!(matches!(filters, ModelError::Misshapen { .. }), "{filters}");
        let more_maps = ModelConfig { points: 5, outputs: 6, ..config(&json!({})) }.graph();
        let start = untrained(&config(&json!({})), 3).unwrap();
        let more_maps = grown(&more_maps, initial_values(&more_maps, 4), &start).unwrap_err();
        assert!(matches!(&more_maps, ModelError::Misshapen { name, .. } if name.contains("stack.0")), "{more_maps}");
    }
}
