//! Weights as bytes: which layers have them, and the rounding.

use super::config_error::ConfigError;
use super::graph::{Graph, Operation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest number that is used of those that a byte with a sign holds; its negative is the smallest.
pub(crate) const LARGEST_BYTE: f32 = 127.0;

/// How a model's products are done in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// For each 1x1 convolution whose weights are bytes, by its name: the largest absolute value of what the depthwise
    /// convolution before it gives, without the constant that its batch norm adds.
    pub ranges: BTreeMap<String, f32>,
}

impl Quantization {
    /// What does not fit the network, if anything.
    pub(super) fn check(&self, graph: &Graph) -> Result<(), ConfigError> {
        let is_dense_1x1 = |layer: &String| {
            graph.nodes.iter().any(|node| {
                matches!(&node.operation, Operation::Convolution { name, kernel: 1, depthwise: false, .. } if name == layer)
            })
        };
        match self.ranges.iter().find(|(layer, range)| !(is_dense_1x1(layer) && range.is_finite() && **range > 0.0)) {
            Some((layer, &range)) => Err(ConfigError::Quantization { layer: layer.clone(), range }),
            None => Ok(()),
        }
    }
}

/// Rounds the weights of every output channel to whole numbers in -127..=127 and returns what one counts, a channel. Weights
/// that were rounded before, and a channel's times any number, keep their bytes.
pub(crate) fn round_to_bytes(weights: &mut [f32], outputs: usize) -> Vec<f32> {
    let each = weights.len() / outputs;
    let round = |weights: &mut [f32]| {
        let largest = weights.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        let unit = if largest > 0.0 { largest / LARGEST_BYTE } else { 1.0 };
        weights.iter_mut().for_each(|w| *w = (*w / unit).round_ties_even());
        unit
    };
    weights.chunks_exact_mut(each).map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_weights_keep_their_bytes() {
        let weights: Vec<f32> = (0..60).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let mut bytes = weights.clone();
        let units = round_to_bytes(&mut bytes, 5);
        for ((w, b), unit) in weights.iter().zip(&bytes).zip(units.iter().flat_map(|u| [u; 12])) {
            assert!(b.abs() <= LARGEST_BYTE && (w - b * unit).abs() <= 0.5001 * unit);
        }
        let mut again: Vec<f32> = bytes.iter().enumerate().map(|(i, b)| b * units[i / 12] * -1.7).collect();
        round_to_bytes(&mut again, 5);
        assert!(again.iter().zip(&bytes).all(|(a, b)| *a == -*b));
    }
}
