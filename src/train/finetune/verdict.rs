//! The acceptance test of a fine-tuning.
//!
//! In: errors on the held-out faces and on the guards, before and after. Out: a [`Verdict`], which can be written as
//! JSON. Nothing fails.

use super::measure::Measured;
use crate::train::eval::paired_bootstrap;
use serde::{Deserialize, Serialize};

/// The error on a guard may rise by this, in percent of the base's error.
pub const MOST_RISE_PERCENT: f64 = 2.0;

/// The error on procedural faces may rise by this many percent of the eye distance, if that is more. A base that was
/// trained on such faces makes small errors on them, which rise long before those on photographs do
/// (docs/engineering/fine-tuning.md).
pub const MOST_PROCEDURAL_RISE: f64 = 0.15;

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
    /// The highest error afterwards with which the tuned model is accepted; none for the held-out faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
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
            most: None,
        }
    }

    /// The change of the error, in percent of the error before; negative if it fell.
    pub fn percent(&self) -> f64 {
        if self.before > 0.0 { 100.0 * (self.after / self.before - 1.0) } else { 0.0 }
    }

    /// As a guard, whose error may rise by [`MOST_RISE_PERCENT`], or by `points` percent of the eye distance if that is
    /// more.
    pub(super) fn of_guard(self, points: f64) -> Self {
        let most = self.before + (MOST_RISE_PERCENT / 100.0 * self.before).max(points);
        Self { most: Some(most), ..self }
    }

    /// Whether the error on a guard is higher than it may be.
    pub(super) fn is_harmful(&self) -> bool {
        self.most.is_some_and(|most| self.after > most)
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
    if let Some(Change { name, before, after, most: Some(most), .. }) = guards.iter().find(|guard| guard.is_harmful()) {
        let reason =
            format!("the error on the {name} rises from {before:.2} to {after:.2} %; it may rise to {most:.2} %");
        return (false, reason);
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
        Change { name: "faces".into(), faces: 9, before, after, interval, most: None }
    }

    #[test]
    fn only_a_gain_beyond_chance_that_hurts_no_guard_is_accepted() {
        let better = change(8.0, 6.0, (-2.5, -1.5));
        let chance = change(8.0, 7.0, (-2.5, 0.5));
        let safe = change(4.0, 4.07, (0.0, 0.1)).of_guard(0.0);
        let hurt = change(4.0, 4.1, (0.0, 0.2)).of_guard(0.0);
        let judged = |held_out: &Change, guards: &[Change]| judge(held_out, guards).0;
        assert!(judged(&better, std::slice::from_ref(&safe)));
        assert!(!judged(&chance, std::slice::from_ref(&safe)));
        assert!(!judged(&better, &[safe.clone(), hurt.clone()]));
        assert!(judge(&better, &[safe, hurt]).1.contains("rises from 4.00 to 4.10 %; it may rise to 4.08 %"));
        let small = |after: f64| change(2.0, after, (0.0, 0.2)).of_guard(0.15);
        assert!(judged(&better, &[small(2.14)]) && !judged(&better, &[small(2.16)]));
        assert!(judge(&chance, &[]).1.contains("may be chance"));
    }
}
