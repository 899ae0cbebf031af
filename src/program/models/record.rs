//! The record of a tuned model.

use crate::train::finetune::Verdict;
use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of the model that is part of the program.
pub(crate) const BUNDLED: &str = "bundled";
/// The longest name, in characters.
const LONGEST_NAME: usize = 60;

/// The fine-tuning of a model and its errors: NME in percent of the distance between the outer eye corners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TuningRecord {
    pub name: String,
    /// When it was tuned, in seconds since 1970.
    pub created: u64,
    /// The model that it was tuned from: its name, or the checksum of its file.
    pub base: String,
    /// Faces that it was tuned on.
    pub samples: usize,
    pub clips: usize,
    /// Whether it is better than its base beyond chance, and hardly worse elsewhere.
    pub accepted: bool,
    /// The verdict in one line.
    pub verdict: String,
    pub held_out_before: Option<f64>,
    pub held_out_after: Option<f64>,
    pub guard_before: Option<f64>,
    pub guard_after: Option<f64>,
}

impl TuningRecord {
    /// The record of a model that was tuned just now.
    pub(crate) fn of(verdict: &Verdict, name: &str, base: &str) -> Self {
        let guard = verdict.guards.first();
        Self {
            name: name.into(),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            base: base.into(),
            samples: verdict.trained_faces,
            clips: verdict.clips,
            accepted: verdict.accepted,
            verdict: verdict.reason.clone(),
            held_out_before: Some(verdict.held_out.before),
            held_out_after: Some(verdict.held_out.after),
            guard_before: guard.map(|guard| guard.before),
            guard_after: guard.map(|guard| guard.after),
        }
    }

    /// The local date on which it was tuned.
    pub(crate) fn date(&self) -> String {
        let created = i64::try_from(self.created).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        created.map_or_else(String::new, |time| time.with_timezone(&Local).format("%Y-%m-%d").to_string())
    }
}

/// The name in a form that is a valid file name on every system and easy to type.
pub(super) fn plain_name(wish: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = wish.chars().map(|c| if is_plain(c) { c } else { '-' }).take(LONGEST_NAME).collect();
    let name = name.trim_matches(['.', '-']).to_owned();
    if name.is_empty() { "tuned".into() } else { name }
}
