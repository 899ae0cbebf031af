//! The progress of a training: a bar on a terminal, a line now and then elsewhere.
//!
//! In: the step and a text, after every step. Out: on standard error. Nothing fails but the bar's template, a constant.

use crate::program::console::say;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// A bar, or lines in place of it.
pub(super) struct TrainingProgress {
    bar: ProgressBar,
    line_interval: Duration,
    last_line: Option<Instant>,
}

impl TrainingProgress {
    /// A line is printed at most once in `line_interval` where there is no terminal to draw a bar in.
    pub(super) fn new(line_interval: Duration) -> Result<Self> {
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:20} {wide_msg}")?);
        Ok(Self { bar, line_interval, last_line: None })
    }

    /// `step` of `steps` is done.
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

    /// The bar stays as it is.
    pub(super) fn finish(self) {
        self.bar.abandon();
    }
}
