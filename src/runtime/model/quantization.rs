//! What a model's file says about int8: which layers are done in it, and the ranges of their maps.
//!
//! The weights of the file are those of f32. Int8 weights are made of them when a network is compiled: `scale` times an
//! integer in -127..=127, with one scale per output channel. Older files hold int8 weights for 1x1 convolutions, with
//! their scales in a tensor `LAYER.weight_unit`.

use super::balance::Group;
use super::config_error::ConfigError;
use super::graph::{Graph, Node, Operation};
use crate::runtime::simd::MOST_OF_TWO_WEIGHTS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Quantized values lie between this and its negative; -128 is not used.
pub(crate) const INT8_LIMIT: f32 = 127.0;

/// The int8 layers of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// For each convolution that is done in int8, by name: how far its input reaches from zero. For a 1x1 convolution
    /// behind a depthwise one, that is without the constant that the batch norm between them adds, and about `centres`.
    #[serde(rename = "ranges")]
    pub input_ranges: BTreeMap<String, f32>,
    /// For each convolution whose result no convolution reads, by name: how far its result reaches from zero, with its
    /// batch norm.
    #[serde(default, rename = "results", skip_serializing_if = "BTreeMap::is_empty")]
    pub output_ranges: BTreeMap<String, f32>,
    /// For each 1x1 convolution behind a depthwise one, by name: what is subtracted from each channel of its input, so
    /// that the range reaches equally far to both sides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub centres: BTreeMap<String, Vec<f32>>,
    /// By what the channels of maps are divided, for each [`Group`] by its name. Ranges and centres are those after
    /// that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub factors: BTreeMap<String, Vec<f32>>,
    /// How much larger the error is in int8, relative to that before, as measured on faces; `None` if nobody measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

impl Quantization {
    /// Checks that every entry fits the network.
    ///
    /// # Errors
    /// [`ConfigError::Quantization`] for the first range that names neither a depthwise nor a 1x1 convolution, or is no
    /// positive number; [`ConfigError::Channels`] for centres and factors that are not one number a channel.
    pub(super) fn check(&self, graph: &Graph) -> Result<(), ConfigError> {
        let is_known = |layer: &String| {
            graph.nodes.iter().any(|node| match &node.operation {
                Operation::Convolution { name, kernel, depthwise, .. } => name == layer && (*depthwise || *kernel == 1),
                _ => false,
            })
        };
        let mut ranges = self.input_ranges.iter().chain(&self.output_ranges);
        if let Some((layer, &range)) = ranges.find(|(layer, range)| !(is_known(layer) && is_factor(range))) {
            return Err(ConfigError::Quantization { layer: layer.clone(), range });
        }
        let inputs_of = |layer: &String| {
            let reads = |node: &&Node| matches!(&node.operation, Operation::Convolution { name, .. } if name == layer);
            graph.nodes.iter().find(reads).map(|node| graph.nodes[node.inputs[0]].channels)
        };
        let groups = Group::all(graph);
        let channels_of = |name: &String| groups.iter().find(|group| group.name == *name).map(|group| group.channels);
        let centres = self.centres.iter().filter(|(layer, centres)| {
            inputs_of(layer) != Some(centres.len()) || !centres.iter().all(|centre| centre.is_finite())
        });
        let factors = self
            .factors
            .iter()
            .filter(|(name, factors)| channels_of(name) != Some(factors.len()) || !factors.iter().all(is_factor));
        match centres.chain(factors).next() {
            Some((layer, _)) => Err(ConfigError::Channels { layer: layer.clone() }),
            None => Ok(()),
        }
    }

    /// The 1x1 convolutions whose weights an older file stores in int8.
    pub(super) fn dense_layers<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a str> {
        graph.nodes.iter().filter_map(|node| match &node.operation {
            Operation::Convolution { name, depthwise: false, .. } if self.input_ranges.contains_key(name) => {
                Some(name.as_str())
            }
            _ => None,
        })
    }
}

fn is_factor(value: &f32) -> bool {
    value.is_finite() && *value > 0.0
}

/// Quantizes the weights of one output channel to integers in -127..=127 and returns their scale. The absolute values
/// of each of `pairs` have a sum of at most [`MOST_OF_TWO_WEIGHTS`].
pub(crate) fn quantize_row(row: &mut [f32], pairs: &[(usize, usize)]) -> f32 {
    let largest = row.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    if largest == 0.0 {
        return 1.0;
    }
    // At half of the most of a pair, any two weights fit.
    let least = MOST_OF_TWO_WEIGHTS / 2.0;
    let of_pairs = pairs.iter().map(|&(a, b)| row[a].abs() + row[b].abs()).fold(largest, f32::max);
    // The integer of the largest weight. Rounding adds at most one to a pair.
    let most = ((MOST_OF_TWO_WEIGHTS + 1.0) * largest / of_pairs).floor().clamp(least, INT8_LIMIT);
    let level = |i: usize, levels: f32| to_integer(row[i] / largest * levels).abs();
    let fits = |levels: f32| pairs.iter().all(|&(a, b)| level(a, levels) + level(b, levels) <= MOST_OF_TWO_WEIGHTS);
    let mut levels = most;
    while levels > least && !fits(levels) {
        levels -= 1.0;
    }
    row.iter_mut().for_each(|weight| *weight = to_integer(*weight / largest * levels));
    largest / levels
}

/// `value`, less than 2^22, rounded to the nearest integer, ties to even. `f32::round_ties_even` is a call of a library
/// on cores that the compiler takes for old ones: it was a fifth of the time from start to landmarks.
fn to_integer(value: f32) -> f32 {
    // From 2^23 on, numbers have no fraction.
    const WITHOUT_FRACTION: f32 = 1.5 * (1 << 23) as f32;
    value + WITHOUT_FRACTION - WITHOUT_FRACTION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_integers_ties_to_even() {
        for value in (-600..600).map(|i| i as f32 / 4.0).chain([0.5 - f32::EPSILON, 126.499_99, -1e-9]) {
            assert_eq!(to_integer(value), value.round_ties_even(), "{value}");
        }
    }

    #[test]
    fn quantized_weights_are_near_and_no_pair_is_too_large() {
        let weights: Vec<f32> = (0..60).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let pairs: Vec<(usize, usize)> = (0..6).map(|i| (2 * i, 2 * i + 1)).collect();
        for row in weights.chunks_exact(12) {
            let mut integers = row.to_vec();
            let scale = quantize_row(&mut integers, &pairs);
            assert!(pairs.iter().all(|&(a, b)| integers[a].abs() + integers[b].abs() <= MOST_OF_TWO_WEIGHTS));
            assert!(
                row.iter()
                    .zip(&integers)
                    .all(|(w, q)| q.abs() <= INT8_LIMIT && (w - q * scale).abs() <= 0.5001 * scale)
            );
            // One more for the largest weight would be too much for a pair, or for the largest.
            let largest = row.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
            let finer = (largest / scale).round() + 1.0;
            let level = |i: usize| (row[i] / largest * finer).round_ties_even().abs();
            assert!(finer > INT8_LIMIT || pairs.iter().any(|&(a, b)| level(a) + level(b) > MOST_OF_TWO_WEIGHTS));
        }
        assert_eq!(quantize_row(&mut [0.0; 4], &[(0, 1)]), 1.0);
        assert_eq!(quantize_row(&mut [1.0, -1.0], &[(0, 1)]), 1.0 / 64.0);
    }
}
