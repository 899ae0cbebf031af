//! `awing bench`: how long every stage takes, on the frames of a source.
//!
//! In: the source and the tracker's options. Out, on standard output: median and 95th percentile of every stage in
//! milliseconds, frames a second, the time from the program's start to the first landmarks, and the peak of its memory;
//! as a table or as one JSON object. Reading frames is not counted. With `--profile`, layers of the network instead
//! ([`super::bench_profile`]).

use super::args::BenchArguments;
use super::{bench_profile, interrupt};
use crate::program::capture;
use crate::runtime::image::Frame;
use crate::runtime::track::StageTimes;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The detector is also timed on every so-many-th frame; a tracker that has all its faces hardly runs it.
const DETECTOR_EVERY: u64 = 10;

/// What was measured.
#[derive(Serialize)]
struct Report {
    input: String,
    width: usize,
    height: usize,
    precision: &'static str,
    threads: usize,
    frames: u64,
    frames_with_faces: u64,
    /// Faces in a frame, on average.
    faces: f64,
    /// Stages of a frame that only follows its faces, and the detector by itself.
    ms: Vec<(&'static str, Spread)>,
    /// Of all frames, with the detector where the tracker ran it.
    frames_per_second: f64,
    /// From the start of the program.
    first_landmarks_s: Option<f64>,
    peak_memory_mb: Option<f64>,
}

/// In milliseconds.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Spread {
    pub median: f32,
    pub p95: f32,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f32>) -> Option<Self> {
        values.sort_by(f32::total_cmp);
        let at = |share: f32| values.get((share * values.len().saturating_sub(1) as f32).round() as usize).copied();
        Some(Self { median: at(0.5)?, p95: at(0.95)? })
    }
}

/// Runs the command; `start` is when the program began.
pub(super) fn run(arguments: &BenchArguments, start: Instant) -> Result<()> {
    if arguments.profile {
        return bench_profile::run(arguments);
    }
    let stop = interrupt::listen()?;
    let setup = arguments.tracker.setup();
    let threads = setup.options.threads;
    let wanted = Some(setup.options.faces).filter(|_| arguments.tracker.faces.is_some());
    let input = arguments.input.as_deref().unwrap_or("demo");
    let mut source = capture::open(input, &arguments.camera.options(wanted))?;
    let mut tracker = setup.tracker()?;

    let mut frame = Frame::default();
    let (mut frames, mut frames_with_faces, mut faces) = (0, 0, 0);
    let mut total_ms = 0.0;
    let mut first_landmarks_s = None;
    let mut followed: Vec<StageTimes> = Vec::new();
    let mut detector = Vec::new();
    while frames < arguments.frames && !stop.load(Ordering::Relaxed) {
        let Some(time_s) = source.next(&mut frame)? else { break };
        let seen = tracker.track_at(&frame, time_s)?.len();
        let times = tracker.timings();
        faces += seen;
        if seen > 0 {
            first_landmarks_s.get_or_insert_with(|| start.elapsed().as_secs_f64());
            frames_with_faces += 1;
            if times.detect_ms == 0.0 {
                followed.push(times);
            }
        }
        total_ms += f64::from(times.total_ms);
        if frames % DETECTOR_EVERY == 0 {
            let start = Instant::now();
            tracker.detect(&frame)?;
            detector.push(start.elapsed().as_secs_f32() * 1000.0);
        }
        frames += 1;
    }
    if frames == 0 {
        bail!("{} has no frame to measure with", source.describe());
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
        precision: arguments.tracker.precision.name(),
        threads,
        frames,
        frames_with_faces,
        faces: faces as f64 / frames as f64,
        ms: ms.into_iter().filter_map(|(name, spread)| Some((name, spread?))).collect(),
        frames_per_second: frames as f64 * 1000.0 / total_ms,
        first_landmarks_s,
        peak_memory_mb: memory_mb("VmHWM"),
    };
    let text = if arguments.json { json(&report)? } else { table(&report) };
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn json(report: &Report) -> Result<String> {
    let mut value = serde_json::to_value(report)?;
    // An object is easier to read by a program than pairs.
    let ms = report.ms.iter().map(|(name, spread)| Ok((name.replace(' ', "_"), serde_json::to_value(spread)?)));
    value["ms"] = serde_json::Value::Object(ms.collect::<Result<_>>()?);
    Ok(format!("{value}\n"))
}

fn table(report: &Report) -> String {
    let Report { input, width, height, precision, threads, frames, frames_with_faces, faces, .. } = report;
    let plural = if *threads == 1 { "" } else { "s" };
    let mut text = format!(
        "{input}: {frames} frames of {width}x{height}, a face in {frames_with_faces}, {faces:.1} on average; {precision}, \
         {threads} thread{plural}\n\n\
         stage            median     95 %\n"
    );
    for (name, Spread { median, p95 }) in &report.ms {
        text += &format!("{name:<14} {median:>8.3} {p95:>8.3} ms\n");
    }
    text += &format!("\n{:.0} frames a second\n", report.frames_per_second);
    if let Some(seconds) = report.first_landmarks_s {
        text += &format!("{seconds:.3} s from the start to the first landmarks\n");
    }
    match report.peak_memory_mb {
        Some(megabytes) => text += &format!("{megabytes:.1} MB of memory at most\n"),
        None => text += "memory: this system does not tell\n",
    }
    text
}

/// What the system says under `key` (`VmHWM`: the most memory that the process ever held, `VmRSS`: what it holds now), in
/// megabytes, where it tells.
pub(super) fn memory_mb(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
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
    fn the_spread_is_median_and_95th_percentile() {
        let spread = Spread::of((0..=100).rev().map(|v| v as f32).collect()).unwrap();
        assert_eq!((spread.median, spread.p95), (50.0, 95.0));
        assert!(Spread::of(Vec::new()).is_none());
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
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_the_memory() {
        let (now, most) = (memory_mb("VmRSS").unwrap(), memory_mb("VmHWM").unwrap());
        assert!(1.0 < now && now <= most);
    }
}
