//! `awing bench`: the time of every stage, on the frames of a source.
//!
//! Out: median and 95th percentile of every stage in milliseconds, frames per second, the time from the program's start
//! to the first landmarks, and its peak memory. Reading frames is not counted.

use crate::program::capture::{self, CaptureOptions, Input, Waited};
use crate::program::cli::interrupt;
use crate::program::cli::measure::{Spread, memory_mb};
use crate::program::live::TrackerSetup;
use crate::runtime::counted::counted;
use crate::runtime::image::Frame;
use crate::runtime::named::Named;
use crate::runtime::track::StageTimes;
use anyhow::{Result, bail};
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The detector is also timed by itself, once in this many frames; a tracker that has all its faces hardly runs it.
const DETECTOR_INTERVAL: u64 = 10;
/// How often Ctrl-C is checked while no frame arrives.
const SOURCE_TIMEOUT: Duration = Duration::from_millis(50);

/// The measurements.
#[derive(Serialize)]
struct Report {
    input: String,
    width: usize,
    height: usize,
    /// The precision in use.
    precision: &'static str,
    /// Why, if awing chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    precision_reason: Option<String>,
    threads: usize,
    frames: u64,
    frames_with_faces: u64,
    /// Faces in a frame, on average.
    faces: f64,
    /// Stages of a frame without detection, and the detector by itself.
    ms: Vec<(&'static str, Spread)>,
    /// Of all frames, with the detector where the tracker ran it.
    frames_per_second: f64,
    /// From the start of the program.
    first_landmarks_s: Option<f64>,
    peak_memory_mb: Option<f64>,
}

/// Measures; `start` is when the program began. The text is the report.
///
/// # Errors
/// If the source or a model can't be opened, or there is no frame.
pub(super) fn run(
    input: &Input,
    capture: &CaptureOptions,
    setup: &TrackerSetup,
    limit: u64,
    as_json: bool,
    start: Instant,
) -> Result<String> {
    let stop = interrupt::flag()?;
    let mut source = capture::open(input, capture, &|| !stop.load(Ordering::Relaxed))?;
    let mut tracker = setup.tracker()?;
    let mut frame = Frame::default();
    let (mut frames, mut frames_with_faces, mut faces) = (0, 0, 0);
    let mut total_ms = 0.0;
    let mut first_landmarks_s = None;
    let mut followed: Vec<StageTimes> = Vec::new();
    let mut detector = Vec::new();
    while frames < limit && !stop.load(Ordering::Relaxed) {
        let time_s = match source.wait(&mut frame, SOURCE_TIMEOUT)? {
            Waited::Frame(time_s) => time_s,
            Waited::Nothing => continue,
            Waited::End => break,
        };
        let found = tracker.track_at(&frame, time_s)?.len();
        let times = tracker.timings();
        faces += found;
        if found > 0 {
            first_landmarks_s.get_or_insert_with(|| start.elapsed().as_secs_f64());
            frames_with_faces += 1;
            if times.detect_ms == 0.0 {
                followed.push(times);
            }
        }
        total_ms += f64::from(times.total_ms);
        if frames % DETECTOR_INTERVAL == 0 {
            let start = Instant::now();
            tracker.detect(&frame)?;
            detector.push(start.elapsed().as_secs_f32() * 1000.0);
        }
        frames += 1;
    }
    if frames == 0 {
        bail!("{} has no frame", source.describe());
    }
    let stage = |of: fn(&StageTimes) -> f32| Spread::of(followed.iter().map(of).collect());
    let ms = [
        ("crop", stage(|t| t.crop_ms)),
        ("network", stage(|t| t.network_ms)),
        ("decode", stage(|t| t.decode_ms)),
        ("smoothing", stage(|t| t.smooth_ms)),
        ("tracked frame", stage(|t| t.total_ms)),
        ("detector", Spread::of(detector)),
    ];
    let report = Report {
        input: source.describe(),
        width: frame.width(),
        height: frame.height(),
        precision: tracker.precision().unwrap_or(setup.options.precision).name(),
        precision_reason: tracker.choice().and_then(|choice| choice.reason.clone()),
        threads: setup.options.threads,
        frames,
        frames_with_faces,
        faces: faces as f64 / frames as f64,
        ms: ms.into_iter().filter_map(|(name, spread)| Some((name, spread?))).collect(),
        frames_per_second: frames as f64 * 1000.0 / total_ms,
        first_landmarks_s,
        peak_memory_mb: memory_mb("VmHWM"),
    };
    if as_json { json(&report) } else { Ok(table(&report)) }
}

fn json(report: &Report) -> Result<String> {
    let mut value = serde_json::to_value(report)?;
    // An object is easier to read for programs than pairs.
    let ms = report.ms.iter().map(|(name, spread)| Ok((name.replace(' ', "_"), serde_json::to_value(spread)?)));
    value["ms"] = serde_json::Value::Object(ms.collect::<Result<_>>()?);
    Ok(format!("{value}\n"))
}

fn table(report: &Report) -> String {
    let Report { input, width, height, precision, threads, frames, frames_with_faces, faces, .. } = report;
    let (frames, threads) = (counted(*frames, "frame"), counted(*threads, "thread"));
    let mut text = format!(
        "{input}: {frames} of {width}x{height}, a face in {frames_with_faces}, {faces:.1} on average; {precision}, \
         {threads}\n\n\
         stage            median     95 %\n"
    );
    for (name, Spread { median, p95 }) in &report.ms {
        text += &format!("{name:<14} {median:>8.3} {p95:>8.3} ms\n");
    }
    text += &format!("\n{:.0} frames a second\n", report.frames_per_second);
    if let Some(seconds) = report.first_landmarks_s {
        text += &format!("{seconds:.3} s from the start to the first landmarks\n");
    }
    if let Some(reason) = &report.precision_reason {
        text += &format!("{precision} was chosen: {reason}\n");
    }
    match report.peak_memory_mb {
        Some(megabytes) => text += &format!("{megabytes:.1} MB of peak memory\n"),
        None => text += "memory: this system does not report it\n",
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            input: "demo".into(),
            width: 640,
            height: 480,
            precision: "f16",
            precision_reason: Some("bf16 at 510 G/s".into()),
            threads: 1,
            frames: 3,
            frames_with_faces: 2,
            faces: 0.7,
            ms: vec![("tracked frame", Spread { median: 0.5, p95: 0.75 })],
            frames_per_second: 1500.0,
            first_landmarks_s: Some(0.08),
            peak_memory_mb: None,
        }
    }

    #[test]
    fn the_json_object_names_stages_and_units() {
        let value: serde_json::Value = serde_json::from_str(&json(&report()).unwrap()).unwrap();
        assert_eq!(value["ms"]["tracked_frame"]["p95"], 0.75);
        assert_eq!(value["frames_per_second"], 1500.0);
        assert!(value["peak_memory_mb"].is_null());
    }

    #[test]
    fn the_table_shows_every_figure() {
        let text = table(&report());
        for part in [
            "640x480",
            "a face in 2, 0.7",
            "f16, 1 thread",
            "tracked frame     0.500    0.750 ms",
            "1500 frames",
            "0.080 s",
            "f16 was chosen: bf16 at 510 G/s",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
