//! The acceptance test of a fine-tuning.
//!
//! In: errors on the held-out faces and on the guards, before and after. Out: a [`Verdict`], which can be written as JSON.
//! Nothing fails.

use super::measure::Measured;
use crate::train::eval::paired_bootstrap;
use serde::{Deserialize, Serialize};

/// A tuned model is refused if its error on a guard is higher than the base's by more than this, in percent.
pub const MOST_GUARD_LOSS_PERCENT: f64 = 2.0;

/// Where the base's error on a guard is below this, in percent of the eye distance, the loss is relative to this instead: on
/// procedural faces, which the base was trained on, a hundredth of a very small error says nothing about photographs.
pub const LEAST_GUARD_ERROR_PERCENT: f64 = 3.0;

/// The error on a set of faces before and after, in percent of the eye distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The kind of faces: "held-out faces", "procedural faces" ...
    pub name: String,
    pub faces: usize,
    pub before: f64,
    pub after: f64,
    /// The middle 95 % of the difference, after minus before, by a paired bootstrap over the faces.
    pub interval: (f64, f64),
}

impl Change {
    pub(super) fn of(name: impl Into<String>, before: &[Measured], after: &[Measured]) -> Self {
        let pairs: Vec<(f64, f64)> =
            before.iter().zip(after).map(|(b, a)| (100.0 * b.error, 100.0 * a.error)).collect();
        let name = name.into();
        let compared = paired_bootstrap(name.clone(), &pairs);
        Self {
            name,
            faces: compared.faces,
            before: compared.first,
            after: compared.second,
            interval: compared.interval,
        }
    }

    /// The change of the error, in percent of the error before; negative if it fell.
    pub fn percent(&self) -> f64 {
        if self.before > 0.0 { 100.0 * (self.after / self.before - 1.0) } else { 0.0 }
    }

    /// Whether the error on a guard rose by more than it may.
    pub(super) fn is_harmful(&self) -> bool {
        self.guard_loss_percent() > MOST_GUARD_LOSS_PERCENT
    }

    fn guard_loss_percent(&self) -> f64 {
        100.0 * (self.after - self.before) / self.before.max(LEAST_GUARD_ERROR_PERCENT)
    }

    /// Whether the error fell beyond chance.
    pub fn is_better(&self) -> bool {
        self.interval.1 < 0.0
    }
}

/// The mean error of one part of the held-out faces, in percent of the eye distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartChange {
    pub part: String,
    pub before: f64,
    pub after: f64,
}

/// An interpolation share between base and trained weights, and its errors, in percent of the eye distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tried {
    pub share: f64,
    pub held_out: f64,
    /// On each guard, in the order of [`Verdict::guards`].
    pub guards: Vec<f64>,
}

/// The outcome of a fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether the tuned model should replace the base.
    pub accepted: bool,
    /// Why, in one sentence.
    pub reason: String,
    /// The interpolation share between base and trained weights.
    pub share: f64,
    /// All shares that were tried.
    pub tried: Vec<Tried>,
    pub held_out: Change,
    pub guards: Vec<Change>,
    pub parts: Vec<PartChange>,
    /// Training faces.
    pub trained_faces: usize,
    /// Clips of all faces, or pictures where no clip is known.
    pub clips: usize,
    pub steps: u64,
    /// Time spent training.
    pub seconds: f64,
}

/// Whether a tuned model with these changes should be used, with the reason.
pub(super) fn judge(held_out: &Change, guards: &[Change]) -> (bool, String) {
    let worst = guards.iter().max_by(|a, b| a.guard_loss_percent().total_cmp(&b.guard_loss_percent()));
    if let Some(Change { name, before, after, .. }) = worst.filter(|guard| guard.is_harmful()) {
        let most = before + MOST_GUARD_LOSS_PERCENT / 100.0 * before.max(LEAST_GUARD_ERROR_PERCENT);
        return (
            false,
            format!("the error on the {name} rises from {before:.2} to {after:.2} %; it may rise to {most:.2} %"),
        );
    }
    let (percent, (low, high)) = (held_out.percent(), held_out.interval);
    if held_out.is_better() {
        (true, format!("the error on the held-out faces falls by {:.1} %, beyond chance", -percent))
    } else {
        let interval = format!("the 95 % interval of the difference is {low:+.2} to {high:+.2}");
        (false, format!("on the held-out faces the error changes by {percent:+.1} %, which may be chance: {interval}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: f64, after: f64, interval: (f64, f64)) -> Change {
        Change { name: "faces".into(), faces: 9, before, after, interval }
    }

    #[test]
    fn only_a_gain_beyond_chance_that_hurts_no_guard_is_accepted() {
        let better = change(8.0, 6.0, (-2.5, -1.5));
        let chance = change(8.0, 7.0, (-2.5, 0.5));
        let safe = change(4.0, 4.07, (0.0, 0.1));
        let hurt = change(4.0, 4.1, (0.0, 0.2));
        let judged = |held_out: &Change, guards: &[Change]| judge(held_out, guards).0;
        assert!(judged(&better, std::slice::from_ref(&safe)));
        assert!(!judged(&chance, std::slice::from_ref(&safe)));
        assert!(!judged(&better, &[safe.clone(), hurt.clone()]));
        assert!(judge(&better, &[safe, hurt]).1.contains("rises from 4.00 to 4.10 %; it may rise to 4.08 %"));
        // 2.5 % of a small error, which is less than 2 % of three.
        assert!(judged(&better, &[change(2.0, 2.05, (0.0, 0.1))]));
        assert!(!judged(&better, &[change(2.0, 2.07, (0.0, 0.1))]));
        assert!(judge(&chance, &[]).1.contains("may be chance"));
    }
}
