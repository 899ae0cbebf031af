//! `awing bench --live` and `--soak`: a camera's frames on their way to the screen.
//!
//! In: a camera and the tracker's options. Out: the latency from the capture of a frame until it is on the screen with
//! its landmarks, the share of a core that every thread needs, lost frames, the time to the first landmarks; for
//! `--soak` also the memory growth. A frame is on the screen once it is passed to the window system, or painted if
//! there is none.
//!
//! This measures the session of `awing track` itself, without its panel of times, as its [`Observer`].

use super::cpu_time::{CpuTimes, waiting_ms};
use super::live_report::{CameraFrames, Memory, Report, SlowestFrame};
use crate::program::capture::{CaptureOptions, Input, Source, Tally};
use crate::program::cli::interrupt;
use crate::program::cli::measure::{Spread, memory_mb};
use crate::program::live::{
    self, DisplayOptions, Lifecycle, Observer, OutputOptions, SessionOptions, SessionSource, SignalOptions,
    TrackedFrame, TrackerSetup,
};
use crate::program::view::Look;
use anyhow::{Result, bail};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often memory is measured.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// Memory growth counts after this share of a soak, when everything was used once ...
const WARM_UP_SHARE: f64 = 0.1;
/// ... or after this long.
const LONGEST_WARM_UP: Duration = Duration::from_secs(60);

/// How long to measure.
pub(super) enum Length {
    /// Until this many frames were shown.
    Frames(u64),
    Time(Duration),
}

/// Counts of durations in steps of equal length, so that a long run needs no more memory than a short one.
struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    const STEPS_PER_MS: f32 = 20.0;
    const LONGEST_MS: f32 = 2000.0;

    fn new() -> Self {
        Self { counts: vec![0; (Self::LONGEST_MS * Self::STEPS_PER_MS) as usize] }
    }

    fn add(&mut self, ms: f32) {
        let last = self.counts.len() - 1;
        self.counts[((ms * Self::STEPS_PER_MS) as usize).min(last)] += 1;
    }

    /// The quantile: the smallest duration that this share of all does not exceed.
    fn percentile(&self, share: f64) -> f32 {
        let wanted = share * self.counts.iter().sum::<u64>() as f64;
        let mut below = 0;
        let step = self.counts.iter().position(|count| {
            below += count;
            below as f64 >= wanted
        });
        step.map_or(0.0, |step| (step + 1) as f32 / Self::STEPS_PER_MS)
    }

    fn spread(&self) -> Spread {
        Spread { median: self.percentile(0.5), p95: self.percentile(0.95) }
    }
}

/// Measures a session while it runs.
struct Measurement {
    length: Length,
    tracking: Mutex<TrackingFigures>,
    display: Mutex<DisplayFigures>,
}

/// Measurements on the tracking thread.
struct TrackingFigures {
    frames: u64,
    times: Histogram,
    slowest: SlowestFrame,
    /// How long the thread had waited for a core before the current frame.
    waited_before_ms: Option<f64>,
    /// At the end.
    source: String,
    tally: Tally,
}

/// Measurements on the main thread.
struct DisplayFigures {
    /// Of the last frame, in pixels.
    size: (usize, usize),
    is_in_window: bool,
    shown: u64,
    with_faces: u64,
    delays: Histogram,
    first_landmarks: Option<Instant>,
    /// When the first frame was shown, with the CPU times then.
    began: Option<(Instant, Option<CpuTimes>)>,
    /// The same when enough frames were shown.
    ended: Option<(Instant, Option<CpuTimes>)>,
    memory_measured: Instant,
    memory: Option<Memory>,
}

impl Measurement {
    fn new(length: Length) -> Self {
        let tracking = TrackingFigures {
            frames: 0,
            times: Histogram::new(),
            slowest: SlowestFrame::default(),
            waited_before_ms: None,
            source: String::new(),
            tally: Tally::default(),
        };
        let display = DisplayFigures {
            size: (0, 0),
            is_in_window: false,
            shown: 0,
            with_faces: 0,
            delays: Histogram::new(),
            first_landmarks: None,
            began: None,
            ended: None,
            memory_measured: Instant::now(),
            memory: None,
        };
        Self { length, tracking: Mutex::new(tracking), display: Mutex::new(display) }
    }

    /// The measurements so far; `start` is when the program began.
    fn report(&self, start: Instant) -> Report {
        let (tracking, display) = (lock(&self.tracking), lock(&self.display));
        let Tally { delivered, replaced, damaged, lost, first } = tracking.tally;
        let (ended, cpu_at_end) = display.ended.unwrap_or_else(|| (Instant::now(), CpuTimes::now()));
        let (began, cpu_at_start) = display.began.unwrap_or((ended, cpu_at_end));
        let seconds = (ended - began).as_secs_f64();
        let since = |t: Instant| display.first_landmarks.map(|at| at.saturating_duration_since(t).as_secs_f64());
        Report {
            input: tracking.source.clone(),
            width: display.size.0,
            height: display.size.1,
            seconds,
            is_in_window: display.is_in_window,
            shown: display.shown,
            shown_with_faces: display.with_faces,
            not_shown: tracking.frames.saturating_sub(display.shown),
            camera: CameraFrames { delivered, replaced, lost, damaged },
            capture_to_display_ms: display.delays.spread(),
            tracker_ms: tracking.times.spread(),
            slowest_tracker_frame: tracking.slowest,
            core_share: cpu_at_start.zip(cpu_at_end).map(|(start, end)| end.share_since(&start, seconds)),
            first_landmarks_after_first_frame_s: first.and_then(since),
            first_landmarks_s: since(start),
            memory_mb: display.memory,
        }
    }
}

fn lock<T>(figures: &Mutex<T>) -> MutexGuard<'_, T> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer for Measurement {
    fn before_tracking(&self) {
        lock(&self.tracking).waited_before_ms = waiting_ms();
    }

    fn after_tracking(&self, frame: &TrackedFrame, _: bool) {
        let mut figures = lock(&self.tracking);
        let ms = frame.times.total_ms;
        figures.frames += 1;
        figures.times.add(ms);
        if ms > figures.slowest.ms {
            let waited = figures.waited_before_ms.zip(waiting_ms()).map(|(before, after)| after - before);
            figures.slowest = SlowestFrame { ms, waited_for_core_ms: waited };
        }
    }

    fn tracking_ended(&self, source: &dyn Source) {
        let mut figures = lock(&self.tracking);
        figures.source = source.describe();
        figures.tally = source.tally().unwrap_or_default();
    }

    fn after_display(&self, frame: &TrackedFrame, is_in_window: bool) {
        let mut figures = lock(&self.display);
        let now = Instant::now();
        let (began, _) = *figures.began.get_or_insert_with(|| (now, CpuTimes::now()));
        if let Some(captured) = frame.captured {
            figures.delays.add(now.saturating_duration_since(captured).as_secs_f32() * 1000.0);
        }
        figures.size = (frame.frame.width(), frame.frame.height());
        figures.is_in_window = is_in_window;
        figures.shown += 1;
        if !frame.faces.is_empty() {
            figures.with_faces += 1;
            figures.first_landmarks.get_or_insert(now);
        }
        if let Length::Time(whole) = self.length
            && figures.memory_measured.elapsed() >= MEMORY_INTERVAL
        {
            figures.memory_measured = now;
            figures.measure_memory(began.elapsed(), whole.mul_f64(WARM_UP_SHARE).min(LONGEST_WARM_UP));
        }
        if figures.is_enough(&self.length) {
            figures.ended.get_or_insert_with(|| (now, CpuTimes::now()));
        }
    }

    fn is_satisfied(&self) -> bool {
        lock(&self.display).is_enough(&self.length)
    }
}

impl DisplayFigures {
    fn is_enough(&self, length: &Length) -> bool {
        match *length {
            Length::Frames(frames) => self.shown >= frames,
            Length::Time(whole) => self.began.is_some_and(|(began, _)| began.elapsed() >= whole),
        }
    }

    fn measure_memory(&mut self, elapsed: Duration, warm_up: Duration) {
        let Some(now) = memory_mb("VmRSS").filter(|_| elapsed >= warm_up) else { return };
        match &mut self.memory {
            None => self.memory = Some(Memory { after_warm_up: now, most_later: now }),
            Some(memory) => memory.most_later = memory.most_later.max(now),
        }
    }
}

/// Measures a session with a camera; `start` is when the program began.
///
/// # Errors
/// If the input is not a camera, delivers no frame, or the session fails.
pub(super) fn run(
    input: Input,
    capture: CaptureOptions,
    tracker: TrackerSetup,
    length: Length,
    start: Instant,
) -> Result<Report> {
    let lifecycle = Arc::new(Lifecycle::new(true));
    let interrupted = lifecycle.clone();
    interrupt::on_interrupt(move || interrupted.request_end())?;
    let source = SessionSource::open(input, capture, &|| lifecycle.is_running())?;
    if !source.get().is_live() {
        bail!(
            "{} is no camera, and this measures a camera's frames on their way to the screen",
            source.get().describe()
        );
    }
    let display = DisplayOptions {
        title: "awing bench",
        scale: Some(1.0),
        is_mirrored: Some(false),
        look: Look::default(),
        stays: false,
        paints_without_display: true,
    };
    let options = SessionOptions {
        source,
        tracker,
        signals: SignalOptions::default(),
        outputs: OutputOptions::default(),
        display: Some(display),
        frames: None,
    };
    let measurement = Arc::new(Measurement::new(length));
    live::run(options, &lifecycle, measurement.clone())?;
    let report = measurement.report(start);
    if report.shown == 0 {
        bail!("{} delivered no frame", report.input);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_the_histogram_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        for ms in 1..=100 {
            histogram.add(ms as f32);
        }
        histogram.add(1e9);
        let Spread { median, p95 } = histogram.spread();
        assert!((median - 51.0).abs() < 0.1 && (p95 - 96.0).abs() < 0.1, "{median} {p95}");
    }
}
