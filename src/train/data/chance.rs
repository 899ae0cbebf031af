//! Random draws of the augmentation, from the caller's generator.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// True with the given probability.
pub(super) fn chance(rng: &mut ChaCha8Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// As [`chance`], but a probability of 0 draws nothing, so that a training keeps its random numbers when awing gets a
/// new augmentation.
pub(in crate::train) fn rarely(rng: &mut ChaCha8Rng, probability: f32) -> bool {
    probability > 0.0 && chance(rng, probability)
}

/// Uniformly from `-most..=most`.
pub(super) fn either_way(rng: &mut ChaCha8Rng, most: f32) -> f32 {
    most * (2.0 * rng.random::<f32>() - 1.0)
}

/// From the standard normal distribution (Box and Muller).
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}
