//! What a network is trained for: the loss of its maps, with the gradient.
//!
//! In: the maps of one stack, what they should be and how much each cell counts, laid out (item, row, column, channel).
//! Out: the loss, and its gradient with respect to the maps. An [`Objective`] is a single function on plain numbers on the
//! host, so value and gradient cannot drift apart; [`loss_tensor`] turns any of them into a differentiable candle tensor,
//! on every device. Only a device can fail.

mod adaptive_wing;
mod objective;

pub use adaptive_wing::{AdaptiveWing, adaptive_wing};
#[cfg(test)]
pub(crate) use objective::tests;
pub use objective::{Objective, Targets, loss_tensor};
