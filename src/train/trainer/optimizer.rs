//! AdamW and RMSProp on plain numbers on the host: the same on every device, and easily saved.
//!
//! In: the value, gradient and moments of one parameter. Out: value and moments after one step. Nothing here fails but
//! the check of the configuration.

use super::error::RecipeError;
use crate::runtime::model::graph::Role;
use serde::{Deserialize, Serialize};

/// Update rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov, Hutter, ICLR 2019).
    AdamW { beta1: f64, beta2: f64 },
    /// RMSProp as in PyTorch, without momentum: the paper's optimizer.
    RmsProp { alpha: f64 },
}

/// Update rule and its rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    pub kind: OptimizerKind,
    pub learning_rate: f64,
    /// On convolution weights only; decoupled for AdamW, added to the gradient for RMSProp.
    pub weight_decay: f64,
    /// Largest norm of the gradient of all parameters together; a larger one is scaled down to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

/// Keeps the division by the root of the second moment finite (PyTorch's default).
const EPSILON: f64 = 1e-8;

impl OptimizerConfig {
    pub(super) fn check(&self) -> Result<(), RecipeError> {
        let decays = match self.kind {
            OptimizerKind::AdamW { beta1, beta2 } => vec![("beta1", beta1), ("beta2", beta2)],
            OptimizerKind::RmsProp { alpha } => vec![("alpha", alpha)],
        };
        for (field, value) in decays {
            if !(0.0..1.0).contains(&value) {
                return Err(RecipeError::NotBelowOne { field, value });
            }
        }
        let rates = [("learning_rate", Some(self.learning_rate)), ("clip_norm", self.clip_norm)];
        for (field, value) in rates {
            if let Some(value) = value.filter(|value| value.is_nan() || *value <= 0.0) {
                return Err(RecipeError::NotPositive { field, value });
            }
        }
        if self.weight_decay.is_nan() || self.weight_decay < 0.0 {
            return Err(RecipeError::Negative { field: "weight_decay", value: self.weight_decay });
        }
        Ok(())
    }
}

/// First and second moments of one parameter. RMSProp does not use the first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Moments {
    pub fn zero(count: usize) -> Self {
        Self { first: vec![0.0; count], second: vec![0.0; count] }
    }
}

/// Norm of the gradients of all parameters together.
pub(super) fn global_norm<'a>(gradients: impl IntoIterator<Item = &'a [f32]>) -> f64 {
    let squares = gradients.into_iter().map(|g| g.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>());
    squares.sum::<f64>().sqrt()
}

/// One step of one parameter, in place.
///
/// `step` counts from 0, `rate` is the learning rate of this step, `scale` multiplies the gradient (clipping).
#[expect(clippy::too_many_arguments, reason = "one step is these numbers")]
pub(super) fn update(
    config: &OptimizerConfig,
    role: Role,
    step: u64,
    rate: f64,
    scale: f64,
    value: &mut [f32],
    gradient: &[f32],
    moments: &mut Moments,
) {
    let decay = if role == Role::ConvolutionWeight { config.weight_decay } else { 0.0 };
    let each = value.iter_mut().zip(gradient).zip(moments.first.iter_mut().zip(&mut moments.second));
    match config.kind {
        OptimizerKind::AdamW { beta1, beta2 } => {
            let t = (step + 1) as i32;
            let (correct1, correct2) = (1.0 - beta1.powi(t), 1.0 - beta2.powi(t));
            let (b1, b2) = (beta1 as f32, beta2 as f32);
            let (keep, step_size) = ((1.0 - rate * decay) as f32, (rate / correct1) as f32);
            let (root, scale, epsilon) = ((1.0 / correct2) as f32, scale as f32, EPSILON as f32);
            for ((v, g), (m1, m2)) in each {
                let g = g * scale;
                *m1 = b1 * *m1 + (1.0 - b1) * g;
                *m2 = b2 * *m2 + (1.0 - b2) * g * g;
                *v = *v * keep - step_size * *m1 / ((*m2 * root).sqrt() + epsilon);
            }
        }
        OptimizerKind::RmsProp { alpha } => {
            let (a, rate, decay, scale, epsilon) =
                (alpha as f32, rate as f32, decay as f32, scale as f32, EPSILON as f32);
            for ((v, g), (_, m2)) in each {
                let g = g * scale + decay * *v;
                *m2 = a * *m2 + (1.0 - a) * g * g;
                *v -= rate * g / (m2.sqrt() + epsilon);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: OptimizerKind) -> Vec<f32> {
        let config = OptimizerConfig { kind, learning_rate: 0.1, weight_decay: 0.01, clip_norm: None };
        let mut value = vec![1.0, -2.0];
        let mut moments = Moments::zero(2);
        for (step, gradient) in [[0.5, -1.0], [0.25, 3.0], [-1.0, 0.125]].iter().enumerate() {
            let role = Role::ConvolutionWeight;
            update(&config, role, step as u64, 0.1, 1.0, &mut value, gradient, &mut moments);
        }
        value
    }

    #[test]
    fn three_steps_are_those_of_pytorch() {
        // tests/reference/optimizer_vectors.py prints them.
        let close = |a: Vec<f32>, b: [f32; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let adamw = run(OptimizerKind::AdamW { beta1: 0.9, beta2: 0.99 });
        assert!(close(adamw.clone(), ADAMW), "{adamw:?}");
        let rmsprop = run(OptimizerKind::RmsProp { alpha: 0.99 });
        assert!(close(rmsprop.clone(), RMSPROP), "{rmsprop:?}");
    }

    const ADAMW: [f32; 2] = [0.8245339, -1.9842008];
    const RMSPROP: [f32; 2] = [0.4304253, -1.980509];

    #[test]
    fn the_norm_is_over_all_parameters() {
        assert_eq!(global_norm([&[3.0_f32][..], &[0.0, 4.0][..]]), 5.0);
    }
}
