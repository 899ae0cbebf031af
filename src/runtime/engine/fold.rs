//! Convolutions with their batch norms folded in.

use crate::runtime::model::graph::NORM_EPSILON;
use crate::runtime::model::{Model, quantize_weights};

/// A batch norm in evaluation: `x * scale + shift`, one number a channel.
pub(super) fn norm(model: &Model, name: &str) -> (Vec<f32>, Vec<f32>) {
    let part = |suffix: &str| tensor(model, name, suffix);
    let statistics = part("running_mean").iter().zip(part("running_var"));
    let affine = part("weight").iter().zip(part("bias"));
    statistics
        .zip(affine)
        .map(|((&mean, &variance), (&gain, &bias))| {
            let scale = f64::from(gain) / (f64::from(variance) + NORM_EPSILON).sqrt();
            (scale as f32, (f64::from(bias) - f64::from(mean) * scale) as f32)
        })
        .unzip()
}

/// Weights `[out, in, kernel, kernel]` and biases of the convolution `layer` with `outputs` channels, followed by the
/// batch norm `norm_name`.
pub(super) fn convolution(model: &Model, layer: &str, outputs: usize, norm_name: Option<&str>) -> (Vec<f32>, Vec<f32>) {
    let mut weights = tensor(model, layer, "weight").to_vec();
    let mut bias = model.tensor(&format!("{layer}.bias")).map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
    if let Some(norm_name) = norm_name {
        let (scale, shift) = norm(model, norm_name);
        let each = weights.len() / outputs;
        for (filter, scale) in weights.chunks_exact_mut(each).zip(&scale) {
            filter.iter_mut().for_each(|w| *w *= scale);
        }
        for ((bias, scale), shift) in bias.iter_mut().zip(&scale).zip(&shift) {
            *bias = *bias * scale + shift;
        }
    }
    (weights, bias)
}

/// What the left factors, bytes without sign, have for 0.
const ZERO: f32 = 128.0;

/// Rounds weights to bytes and returns what one counts in each output's sum, where left factors are counted in `unit`s. The
/// bias makes up for their zero.
pub(super) fn bytes(weights: &mut [f32], bias: &mut [f32], unit: f32) -> Vec<f32> {
    let outputs = bias.len();
    let each = weights.len() / outputs;
    let mut units = quantize_weights(weights, outputs);
    for ((weights, bias), of_sum) in weights.chunks_exact(each).zip(bias).zip(&mut units) {
        *of_sum *= unit;
        *bias -= ZERO * weights.iter().sum::<f32>() * *of_sum;
    }
    units
}

fn tensor<'a>(model: &'a Model, layer: &str, suffix: &str) -> &'a [f32] {
    model.tensor(&format!("{layer}.{suffix}")).expect("a model has every parameter of its network")
}
