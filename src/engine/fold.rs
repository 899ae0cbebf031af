//! Convolutions with their batch norms folded in.

use crate::model::{Model, NORM_EPSILON};

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

fn tensor<'a>(model: &'a Model, layer: &str, suffix: &str) -> &'a [f32] {
    model.tensor(&format!("{layer}.{suffix}")).expect("a model has every parameter of its network")
}
