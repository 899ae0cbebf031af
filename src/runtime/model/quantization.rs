//! Int8 layers: which they are, the range of their inputs, and how their weights are quantized.
//!
//! Quantization is symmetric: an f32 value is `scale` times an integer in -127..=127. Weights have one scale per output
//! channel, inputs one per layer. In a model file, an int8 layer's scales are the tensor `LAYER.weight_unit`.

use super::config_error::ConfigError;
use super::graph::{Graph, Operation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Quantized values lie between this and its negative; -128 is not used.
pub(crate) const INT8_LIMIT: f32 = 127.0;

/// The int8 layers of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// For each 1x1 convolution whose products are done in int8, by name: the largest absolute value of its input. That
    /// is the output of the depthwise convolution in front, without the constant that the batch norm between them adds.
    #[serde(rename = "ranges")]
    pub input_ranges: BTreeMap<String, f32>,
    /// How much larger the error is in int8, relative to that before, as measured on faces; `None` if nobody measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

impl Quantization {
    /// Checks that every entry fits the network.
    ///
    /// # Errors
    /// [`ConfigError::Quantization`] for the first that names no 1x1 convolution or is no positive number.
    pub(super) fn check(&self, graph: &Graph) -> Result<(), ConfigError> {
        let is_dense_1x1 = |layer: &String| {
            graph.nodes.iter().any(|node| {
                matches!(&node.operation, Operation::Convolution { name, kernel: 1, depthwise: false, .. } if name == layer)
            })
        };
        match self
            .input_ranges
            .iter()
            .find(|(layer, range)| !(is_dense_1x1(layer) && range.is_finite() && **range > 0.0))
        {
            Some((layer, &range)) => Err(ConfigError::Quantization { layer: layer.clone(), range }),
            None => Ok(()),
        }
    }
}

/// Quantizes the weights of each output channel to integers in -127..=127 and returns the scales, one per channel.
/// Dequantized weights give the same integers again, also if a channel was multiplied by a positive number.
pub(crate) fn quantize_weights(weights: &mut [f32], outputs: usize) -> Vec<f32> {
    let each = weights.len() / outputs;
    let quantize = |weights: &mut [f32]| {
        let largest = weights.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        let scale = if largest > 0.0 { largest / INT8_LIMIT } else { 1.0 };
        weights.iter_mut().for_each(|w| *w = (*w / scale).round_ties_even());
        scale
    };
    weights.chunks_exact_mut(each).map(quantize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantized_weights_keep_their_integers_when_quantized_again() {
        let weights: Vec<f32> = (0..60).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let mut integers = weights.clone();
        let scales = quantize_weights(&mut integers, 5);
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
