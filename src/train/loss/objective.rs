//! The interface of a loss, and the candle tensor that derives from any of them.

use candle_core::{Result, Tensor, bail};

/// What the maps of a batch should be. Both slices are as long as the predicted maps and laid out like them.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The target maps.
    pub maps: &'a [f32],
    /// The weight of every cell of every map; 0 where nothing is known.
    pub weight: &'a [f32],
    /// What a summed loss is divided by for a mean: the weights of the maps times their cells.
    pub normalizer: f64,
}

/// What is minimised: a loss of predicted maps.
pub trait Objective: Send + Sync {
    /// The loss of `prediction`, the maps of one stack. Its gradient with respect to `prediction` replaces what `gradient`
    /// holds. Work is split over the current thread pool; the result does not depend on the number of threads.
    ///
    /// # Panics
    /// If the lengths of prediction and targets differ.
    fn loss_and_gradient(&self, prediction: &[f32], targets: Targets<'_>, gradient: &mut Vec<f32>) -> f64;
}

/// The loss of `prediction` as a scalar tensor with the objective's gradient, on the device of `prediction`.
///
/// It is `sum((prediction - value of prediction) * gradient) + loss`: the sum is 0 and backpropagates the gradient. Of each
/// stack, the maps travel to the host and their gradient to the device; a loss computed on the device would need targets and
/// weights there, as much for the first stack. A prediction that is not finite makes the value NaN, even where the weight is
/// 0.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Loss and gradient in new memory.
    pub fn evaluate(objective: &dyn Objective, prediction: &[f32], targets: Targets<'_>) -> (f64, Vec<f32>) {
        // What was there before must not matter.
        let mut gradient = vec![f32::NAN; 3];
        let loss = objective.loss_and_gradient(prediction, targets, &mut gradient);
        (loss, gradient)
    }

    /// Compares the gradient with central differences, but for the numbers of which `is_bent` says that the loss has a kink
    /// within [`STEP`].
    pub fn check_gradient(
        objective: &dyn Objective,
        prediction: &[f32],
        targets: Targets<'_>,
        is_bent: impl Fn(usize) -> bool,
    ) {
        let (_, gradient) = evaluate(objective, prediction, targets);
        assert_eq!(gradient.len(), prediction.len());
        let typical = gradient.iter().map(|g| f64::from(g.abs())).sum::<f64>() / gradient.len() as f64;
        for i in (0..prediction.len()).filter(|&i| !is_bent(i)) {
            let moved = |by: f32| {
                let mut prediction = prediction.to_vec();
                prediction[i] += by;
                evaluate(objective, &prediction, targets).0
            };
            let expected = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let actual = f64::from(gradient[i]);
            let tolerance = 1e-2 * expected.abs().max(typical);
            assert!((actual - expected).abs() < tolerance, "number {i}: {actual} instead of {expected}");
        }
    }

    pub const STEP: f32 = 4e-3;

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
}
