//! Training losses of maps, with gradients.
//!
//! In: the maps of one stack, their targets and the weight of each cell, laid out (item, row, column, channel). Out:
//! the loss, and its gradient with respect to the maps. An [`Objective`] is a single function on plain numbers on the
//! host, so value and gradient cannot drift apart; `gpu::candle` turns any of them into a differentiable tensor.
//! Nothing fails.

mod adaptive_wing;
mod objective;

pub use adaptive_wing::AdaptiveWing;
pub use objective::{Objective, Targets};

#[cfg(test)]
pub(crate) mod tests {
    pub use super::adaptive_wing::tests::three;
    pub use super::objective::tests::{STEP, check_gradient, evaluate};
}
