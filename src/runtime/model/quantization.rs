//! Int8 layers: which they are, the ranges of their inputs, and how their weights are quantized.
//!
//! A weight is `scale` times an integer in -127..=127, with one scale per output channel. In a model file, the scales of a
//! 1x1 convolution are the tensor `LAYER.weight_unit`; depthwise filters are stored as in other files.

use super::config_error::ConfigError;
use super::graph::{Graph, Operation};
use crate::runtime::simd::MOST_OF_TWO_WEIGHTS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Quantized values lie between this and its negative; -128 is not used.
pub(crate) const INT8_LIMIT: f32 = 127.0;

/// The int8 layers of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// For each convolution that is done in int8, by name: the largest absolute value of its input. For a 1x1 convolution
    /// behind a depthwise one, that is without the constant that the batch norm between them adds.
    #[serde(rename = "ranges")]
    pub input_ranges: BTreeMap<String, f32>,
    /// For each convolution whose result no convolution reads, by name: the largest absolute value of its result, with its
    /// batch norm.
    #[serde(default, rename = "results", skip_serializing_if = "BTreeMap::is_empty")]
    pub output_ranges: BTreeMap<String, f32>,
    /// How much larger the error is in int8, relative to that before, as measured on faces; `None` if nobody measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

impl Quantization {
    /// Checks that every entry fits the network.
    ///
    /// # Errors
    /// [`ConfigError::Quantization`] for the first that names neither a depthwise nor a 1x1 convolution, or is no positive
    /// number.
    pub(super) fn check(&self, graph: &Graph) -> Result<(), ConfigError> {
        let is_known = |layer: &String| {
            graph.nodes.iter().any(|node| match &node.operation {
                Operation::Convolution { name, kernel, depthwise, .. } => name == layer && (*depthwise || *kernel == 1),
                _ => false,
            })
        };
        let mut ranges = self.input_ranges.iter().chain(&self.output_ranges);
        match ranges.find(|(layer, range)| !(is_known(layer) && range.is_finite() && **range > 0.0)) {
            Some((layer, &range)) => Err(ConfigError::Quantization { layer: layer.clone(), range }),
            None => Ok(()),
        }
    }

    /// The 1x1 convolutions whose weights are stored in int8.
    pub(super) fn dense_layers<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a str> {
        graph.nodes.iter().filter_map(|node| match &node.operation {
            Operation::Convolution { name, depthwise: false, .. } if self.input_ranges.contains_key(name) => {
                Some(name.as_str())
            }
            _ => None,
        })
    }
}

/// Quantizes the weights of each output channel of a 1x1 convolution ([`quantize_row`]) and returns the scales.
pub(crate) fn quantize_weights(weights: &mut [f32], outputs: usize) -> Vec<f32> {
    let each = weights.len() / outputs;
    let pairs: Vec<(usize, usize)> = (0..each / 2).map(|i| (2 * i, 2 * i + 1)).collect();
    weights.chunks_exact_mut(each).map(|row| quantize_row(row, &pairs)).collect()
}

/// Quantizes the weights of one output channel to integers in -127..=127 and returns their scale. The absolute values of
/// each of `pairs` have a sum of at most [`MOST_OF_TWO_WEIGHTS`]. Dequantized weights give the same integers again, also if
/// they were multiplied by a number.
pub(crate) fn quantize_row(row: &mut [f32], pairs: &[(usize, usize)]) -> f32 {
    let largest = row.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    if largest == 0.0 {
        return 1.0;
    }
    let level = |i: usize, levels: f32| (row[i] / largest * levels).round_ties_even().abs();
    let fits = |levels: &f32| pairs.iter().all(|&(a, b)| level(a, *levels) + level(b, *levels) <= MOST_OF_TWO_WEIGHTS);
    let is_exact = |levels: &f32| {
        row.iter().map(|weight| weight / largest * levels).all(|level| (level - level.round()).abs() < 1e-3)
    };
    // The integer of the largest weight. At half of the most of a pair, any two weights fit.
    let least = MOST_OF_TWO_WEIGHTS as u8 / 2;
    let levels = || (least..=INT8_LIMIT as u8).rev().map(f32::from).filter(fits);
    let levels = levels().find(is_exact).or_else(|| levels().next()).unwrap_or(f32::from(least));
    row.iter_mut().for_each(|weight| *weight = (*weight / largest * levels).round_ties_even());
    largest / levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantized_weights_keep_their_integers_when_quantized_again() {
        let weights: Vec<f32> = (0..60).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let mut integers = weights.clone();
        let scales = quantize_weights(&mut integers, 5);
        for pair in integers.chunks_exact(12).flat_map(|row| row.chunks_exact(2)) {
            assert!(pair[0].abs() + pair[1].abs() <= MOST_OF_TWO_WEIGHTS, "{pair:?}");
        }
        for ((w, q), scale) in weights.iter().zip(&integers).zip(scales.iter().flat_map(|scale| [scale; 12])) {
            assert!(q.abs() <= INT8_LIMIT && (w - q * scale).abs() <= 0.5001 * scale);
        }
        let mut again: Vec<f32> = integers.iter().enumerate().map(|(i, q)| q * scales[i / 12] * -1.7).collect();
        quantize_weights(&mut again, 5);
        assert!(
            again.iter().zip(&integers).all(|(a, q)| *a == -*q),
            "multiplied by a negative number, the signs change"
        );
    }
}
