//! Objectives as differentiable tensors.
//!
//! In: predicted maps as a tensor on any device, and targets. Out: the loss, a scalar tensor with the objective's
//! gradient. Fails for shapes that don't match, and with the device's error.

use crate::train::loss::{AdaptiveWing, Objective, Targets};
use candle_core::{Result, Tensor, bail};

/// The loss of `prediction` as a scalar tensor with the objective's gradient, on the device of `prediction`.
///
/// It is `sum((prediction - value of prediction) * gradient) + loss`: the sum is 0 and backpropagates the gradient. Of
/// each stack, the maps travel to the host and their gradient to the device; a loss computed on the device would need
/// targets and weights there, as much for the first stack. A prediction that is not finite makes the value NaN, even
/// where the weight is 0.
///
/// # Errors
/// Targets of another length than the prediction, and what the device reports.
pub fn loss_tensor(objective: &dyn Objective, prediction: &Tensor, targets: Targets<'_>) -> Result<Tensor> {
    let (cells, wanted, weighted) = (prediction.elem_count(), targets.maps.len(), targets.weight.len());
    if cells != wanted || cells != weighted {
        bail!("{cells} predicted cells, {wanted} targets and {weighted} weights should be as many");
    }
    let mut gradient = Vec::new();
    let loss = objective.loss_and_gradient(&prediction.flatten_all()?.to_vec1::<f32>()?, targets, &mut gradient);
    let gradient = Tensor::from_vec(gradient, prediction.shape(), prediction.device())?;
    ((prediction - prediction.detach())? * gradient)?.sum_all()? + loss
}

/// The Adaptive Wing loss of the paper (section 3.2, with the weighted loss map of section 3.3) as a candle operation.
///
/// `prediction`, `target` and `weight` are f32 tensors of one shape, maps of about 0..=1. Gives
/// `sum(weight * loss) / normalizer`, a scalar with a gradient with respect to `prediction` only. The normalizer is the
/// number of cells that count, for a mean.
///
/// # Errors
/// Shapes that differ, a normalizer that is not over 0, and what the device reports.
pub fn adaptive_wing(prediction: &Tensor, target: &Tensor, weight: &Tensor, normalizer: f64) -> Result<Tensor> {
    if prediction.dims() != target.dims() || prediction.dims() != weight.dims() {
        bail!("{:?}, {:?} and {:?} should be of one shape", prediction.dims(), target.dims(), weight.dims());
    }
    if normalizer.is_nan() || normalizer <= 0.0 {
        bail!("the loss can't be divided by {normalizer}");
    }
    let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
    let (maps, weight) = (numbers(target)?, numbers(weight)?);
    loss_tensor(&AdaptiveWing, prediction, Targets { maps: &maps, weight: &weight, normalizer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::loss::tests::{evaluate, three};
    use candle_core::{Device, Var};

    /// Half the squared distance.
    struct Square;

    impl Objective for Square {
        fn loss_and_gradient(&self, prediction: &[f32], targets: Targets<'_>, gradient: &mut Vec<f32>) -> f64 {
            gradient.clear();
            gradient.extend(prediction.iter().zip(targets.maps).map(|(p, t)| p - t));
            gradient.iter().map(|d| 0.5 * f64::from(*d) * f64::from(*d)).sum()
        }
    }

    #[test]
    fn a_loss_tensor_has_the_value_and_the_gradient_of_its_objective() {
        let (values, maps) = ([3.0_f32, -1.0, 0.5, 2.0], [1.0, 1.0, 1.0, 2.0]);
        let targets = Targets { maps: &maps, weight: &[1.0; 4], normalizer: 1.0 };
        let var = Var::from_slice(&values, (2, 2), &Device::Cpu).unwrap();
        // Neither contiguous nor the variable itself: what is in between has its share in the gradient.
        let prediction = (var.t().unwrap() * 2.0).unwrap();
        let loss = loss_tensor(&Square, &prediction, targets).unwrap();
        let differences = [6.0 - 1.0, 1.0 - 1.0, -2.0 - 1.0, 4.0 - 2.0];
        assert_eq!(loss.to_scalar::<f32>().unwrap(), differences.iter().map(|d| 0.5 * d * d).sum::<f32>());
        let gradients = (loss * 3.0).unwrap().backward().unwrap();
        let gradient = gradients.get(&var).unwrap().t().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient, differences.map(|d| 3.0 * 2.0 * d));
    }

    #[test]
    fn targets_of_another_length_are_refused() {
        let prediction = Tensor::zeros((2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let short = Targets { maps: &[0.0; 3], weight: &[1.0; 4], normalizer: 1.0 };
        assert!(loss_tensor(&Square, &prediction, short).unwrap_err().to_string().contains("3 targets"));
    }

    #[test]
    fn the_operation_has_the_value_and_gradient_of_the_objective() {
        let [prediction, maps, weight] = three(3 * 11 * 13);
        let tensor = |values: &[f32]| Tensor::from_slice(values, (3, 11, 13), &Device::Cpu).unwrap();
        let var = Var::from_tensor(&tensor(&prediction)).unwrap();
        let loss = adaptive_wing(&var, &tensor(&maps), &tensor(&weight), 77.0).unwrap();
        let targets = Targets { maps: &maps, weight: &weight, normalizer: 77.0 };
        let (value, expected) = evaluate(&AdaptiveWing, &prediction, targets);
        assert_eq!(loss.to_scalar::<f32>().unwrap(), value as f32);
        let gradient = loss.backward().unwrap().get(&var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient, expected);
        assert!(adaptive_wing(&var, &tensor(&maps), &tensor(&weight), f64::NAN).is_err());
        assert!(adaptive_wing(&var, &tensor(&maps).t().unwrap(), &tensor(&weight), 77.0).is_err());
    }
}
