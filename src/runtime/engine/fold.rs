//! Convolutions with their batch norms folded in.
//!
//! In: the parameters of a complete [`Model`]. Out: f32 values for packing.

use crate::runtime::model::Model;
use crate::runtime::model::graph::NORM_EPSILON;

/// A batch norm in evaluation: `x * scale + shift`, one value of each per channel.
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

/// A convolution with its batch norm folded in.
pub(super) struct Folded {
    /// `[out, in, kernel, kernel]`.
    pub weights: Vec<f32>,
    /// One per output channel.
    pub bias: Vec<f32>,
}

impl Folded {
    /// The convolution `layer` with `outputs` channels, followed by the batch norm `norm_name`, if any.
    pub fn new(model: &Model, layer: &str, outputs: usize, norm_name: Option<&str>) -> Self {
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
        Self { weights, bias }
    }

    /// Adds the contribution of the constant `inputs`, one per input channel, to the bias of a 1x1 convolution.
    pub fn add_constant_inputs(&mut self, inputs: &[f32]) {
        for (bias, weights) in self.bias.iter_mut().zip(self.weights.chunks_exact(inputs.len())) {
            *bias += weights.iter().zip(inputs).map(|(w, s)| w * s).sum::<f32>();
        }
    }
}

fn tensor<'a>(model: &'a Model, layer: &str, suffix: &str) -> &'a [f32] {
    model.tensor(&format!("{layer}.{suffix}")).expect("a model has every parameter of its network")
}
