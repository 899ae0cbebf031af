//! The interface of a loss.

/// The targets of a batch. Both slices are as long as the predicted maps and laid out like them.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The target maps.
    pub maps: &'a [f32],
    /// The weight of every cell of every map; 0 where nothing is known.
    pub weight: &'a [f32],
    /// The divisor from a summed to a mean loss: the weights of the maps times their cells.
    pub normalizer: f64,
}

/// A loss of predicted maps to minimise.
pub trait Objective: Send + Sync {
    /// The loss of `prediction`, the maps of one stack. Its gradient with respect to `prediction` replaces what
    /// `gradient` holds. Work is split over the current thread pool; the result does not depend on the number of
    /// threads.
    ///
    /// # Panics
    /// If the lengths of prediction and targets differ.
    fn loss_and_gradient(&self, prediction: &[f32], targets: Targets<'_>, gradient: &mut Vec<f32>) -> f64;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Loss and gradient in new memory.
    pub fn evaluate(objective: &dyn Objective, prediction: &[f32], targets: Targets<'_>) -> (f64, Vec<f32>) {
        // The previous contents must not matter.
        let mut gradient = vec![f32::NAN; 3];
        let loss = objective.loss_and_gradient(prediction, targets, &mut gradient);
        (loss, gradient)
    }

    /// Compares the gradient with central differences, but for the numbers of which `is_bent` says that the loss has a
    /// kink within [`STEP`].
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
}
