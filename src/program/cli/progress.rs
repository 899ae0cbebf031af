//! The progress of a training: a bar on a terminal, otherwise a line at intervals.
//!
//! In: the step and a text, after every step. Out: on standard error. Only the bar's template, a constant, can fail.

use crate::program::console::say;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// A bar, or lines instead.
pub(super) struct TrainingProgress {
    bar: ProgressBar,
    line_interval: Duration,
    last_line: Option<Instant>,
}

impl TrainingProgress {
    /// Without a terminal for a bar, a line is printed at most once per `line_interval`.
    pub(super) fn new(line_interval: Duration) -> Result<Self> {
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:20} {wide_msg}")?);
        Ok(Self { bar, line_interval, last_line: None })
    }

    /// Reports that `step` of `steps` is done.
    pub(super) fn show(&mut self, step: u64, steps: u64, describe: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_length(steps);
            self.bar.set_position(step);
            self.bar.set_message(describe());
        } else if self.last_line.is_none_or(|last| last.elapsed() >= self.line_interval) {
            say(&describe());
            self.last_line = Some(Instant::now());
        }
    }

    /// Leaves the bar as it is.
    pub(super) fn finish(self) {
        self.bar.abandon();
    }
}
