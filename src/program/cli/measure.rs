//! Statistics of measurements: spreads of durations, memory of the process, landmark errors.

use crate::runtime::engine::Landmarker;
use crate::train::data::Sample;
use crate::train::eval::metrics::Norm;
use crate::train::eval::{BoxSource, EvalOptions, evaluate};
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use serde::Serialize;

/// The spread of durations, in milliseconds.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Spread {
    pub median: f32,
    /// The 95th percentile.
    pub p95: f32,
}

impl Spread {
    /// Of these durations; `None` if there are none.
    pub(super) fn of(mut values: Vec<f32>) -> Option<Self> {
        values.sort_by(f32::total_cmp);
        let at = |share: f32| values.get((share * values.len().saturating_sub(1) as f32).round() as usize).copied();
        Some(Self { median: at(0.5)?, p95: at(0.95)? })
    }
}

/// The process's memory in megabytes under the system's `key` (`VmHWM`: the peak so far, `VmRSS`: now); `None` where
/// the system does not report it.
pub(super) fn memory_mb(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

/// Mean error over all known points of `faces`, in percent of the distance between the outer eye corners.
pub(super) fn error_percent(landmarker: &mut Landmarker, faces: &[Sample]) -> Result<f64> {
    let options = EvalOptions {
        norm: Norm::InterOcular,
        thresholds: vec![0.1],
        box_source: BoxSource::Truth,
        second_look: false,
    };
    let bar = ProgressBar::new(faces.len() as u64);
    let evaluation = evaluate(landmarker, &mut |_| Ok(Vec::new()), faces, &options, || bar.inc(1))?;
    bar.finish_and_clear();
    let all = evaluation.summaries.last().and_then(|summary| summary.nme_percent);
    all.context("none of the faces can be measured")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_median_and_95th_percentile() {
        let spread = Spread::of((0..=100).rev().map(|v| v as f32).collect()).unwrap();
        assert_eq!((spread.median, spread.p95), (50.0, 95.0));
        assert!(Spread::of(Vec::new()).is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_the_memory() {
        let (now, most) = (memory_mb("VmRSS").unwrap(), memory_mb("VmHWM").unwrap());
        assert!(1.0 < now && now <= most);
    }
}
