//! `awing bench --live` and `--soak`: the way from a camera to the screen.
//!
//! In: a camera and the tracker's options. Out, on standard output, as a table or as one JSON object: the delay from the
//! moment at which the camera took a frame to the moment at which it is on the screen with its landmarks, the share of a
//! core that every thread needs, frames that were lost on the way, the time to the first landmarks; for `--soak` also how
//! much memory grew. On the screen means handed to the window system; where there is none, painted.
//!
//! The threads are those of `awing track`: capture, tracking, and the main one that shows. Between them the newest frame
//! wins.

use super::args::BenchArguments;
use super::bench::{Spread, memory_mb};
use super::interrupt;
use super::live::{Newest, Seen};
use super::painter::Painter;
use crate::program::capture::{self, Source, Tally, Waited};
#[cfg(feature = "window")]
use crate::program::view::{Command, Window};
use crate::runtime::track::Tracker;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a waiting thread looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(50);
/// How often memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_secs(1);
/// Memory counts as grown from what it was after this share of a soak, when everything was used once.
const WARM_UP_SHARE: f64 = 0.1;
/// The longest that this takes.
const LONGEST_WARM_UP: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Serialize)]
struct Report {
    input: String,
    width: usize,
    height: usize,
    seconds: f64,
    /// Whether there was a window.
    is_in_window: bool,
    /// Frames that were shown, and those of them that show a face.
    shown: u64,
    shown_with_faces: u64,
    /// Frames that were tracked but replaced by a newer one before they were shown.
    not_shown: u64,
    camera: CameraFrames,
    /// From the moment at which the camera took a frame to that at which it is shown.
    capture_to_display_ms: Spread,
    tracker_ms: Spread,
    slowest_tracker_frame: Slowest,
    /// Of one core, by thread, where the system tells.
    core_share: Option<CoreTimes>,
    /// To the first shown frame with landmarks, from the camera's first frame and from the start of the program.
    first_landmarks_after_first_frame_s: Option<f64>,
    first_landmarks_s: Option<f64>,
    memory_mb: Option<Memory>,
}

/// What became of the camera's frames.
#[derive(Serialize)]
struct CameraFrames {
    delivered: u64,
    /// By a newer one before they were tracked.
    replaced: u64,
    lost: u64,
    damaged: u64,
}

/// The memory that the process holds.
#[derive(Clone, Copy, Serialize)]
struct Memory {
    after_warm_up: f64,
    most_later: f64,
}

/// The frame that took longest.
#[derive(Clone, Copy, Default, Serialize)]
struct Slowest {
    ms: f32,
    /// How much of that the thread was ready and had no core, where the system tells.
    waited_for_core_ms: Option<f64>,
}

/// Durations, counted in steps, so that a long run needs no more memory than a short one.
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

    /// The smallest duration that this share of all do not exceed.
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

/// Seconds of a core that the threads have used, or shares of one.
#[derive(Clone, Copy, Serialize)]
struct CoreTimes {
    capture: f64,
    tracking: f64,
    display: f64,
}

impl CoreTimes {
    /// Until now, where the system tells.
    fn now() -> Option<Self> {
        let mut times = Self { capture: 0.0, tracking: 0.0, display: 0.0 };
        for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
            let of = |file: &str| fs::read_to_string(thread.path().join(file));
            let (Ok(name), Ok(schedule)) = (of("comm"), of("schedstat")) else { continue };
            let nanoseconds: f64 = schedule.split(' ').next()?.parse().ok()?;
            let is_main = thread.file_name().to_str() == Some(&std::process::id().to_string());
            match name.trim() {
                "capture" => times.capture += nanoseconds * 1e-9,
                "tracking" => times.tracking += nanoseconds * 1e-9,
                _ if is_main => times.display += nanoseconds * 1e-9,
                _ => {}
            }
        }
        Some(times)
    }

    fn share_since(&self, start: &Self, seconds: f64) -> Self {
        Self {
            capture: (self.capture - start.capture) / seconds,
            tracking: (self.tracking - start.tracking) / seconds,
            display: (self.display - start.display) / seconds,
        }
    }
}

/// How long this thread has been ready without a core, in milliseconds, where the system tells.
fn waited_for_core_ms() -> Option<f64> {
    let schedule = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = schedule.split_whitespace().nth(1)?.parse().ok()?;
    Some(nanoseconds * 1e-6)
}

/// When it is enough.
enum End {
    Frames(u64),
    After(Duration),
}

/// The tracking thread.
struct Tracking {
    source: Box<dyn Source>,
    tracker: Tracker,
    tracked: u64,
    times: Histogram,
    slowest: Slowest,
}

impl Tracking {
    fn run(&mut self, newest: &Newest, stop: &AtomicBool) -> Result<()> {
        let mut seen = Seen::default();
        while !stop.load(Ordering::Relaxed) {
            match self.source.wait(&mut seen.frame, GLANCE)? {
                Waited::Frame(time_s) => seen.time_s = time_s,
                Waited::Nothing => continue,
                Waited::End => break,
            }
            seen.captured = self.source.arrived();
            let waited_before = waited_for_core_ms();
            let faces = self.tracker.track_at(&seen.frame, seen.time_s)?;
            seen.set_faces(faces);
            seen.times = self.tracker.timings();
            let ms = seen.times.total_ms;
            self.times.add(ms);
            if ms > self.slowest.ms {
                let waited = waited_before.zip(waited_for_core_ms()).map(|(before, after)| after - before);
                self.slowest = Slowest { ms, waited_for_core_ms: waited };
            }
            self.tracked += 1;
            newest.put(&mut seen);
        }
        Ok(())
    }
}

/// Where frames are shown.
#[derive(Default)]
struct Screen {
    painter: Painter,
    /// `None` where there is no window.
    #[cfg(feature = "window")]
    window: Option<Window>,
}

impl Screen {
    /// Shows a frame with its faces; false if the window was closed.
    fn show(&mut self, seen: &Seen) -> Result<bool> {
        #[cfg(feature = "window")]
        if let Some(window) = &mut self.window {
            window.show(self.painter.paint(&seen.frame, &seen.faces, &[], window.size()))?;
            return Ok(!window.commands().contains(&Command::Quit));
        }
        self.painter.paint_frame(&seen.frame, &seen.faces);
        Ok(true)
    }

    #[cfg(feature = "window")]
    fn open_window(&mut self, seen: &Seen) {
        self.window = Window::open("awing bench", (seen.frame.width(), seen.frame.height()), None).ok();
    }

    fn is_window(&self) -> bool {
        #[cfg(feature = "window")]
        return self.window.is_some();
        #[cfg(not(feature = "window"))]
        false
    }
}

/// What the main thread saw.
struct Display {
    size: (usize, usize),
    is_in_window: bool,
    shown: u64,
    with_faces: u64,
    delays: Histogram,
    first_landmarks: Option<Instant>,
    /// When measuring began and ended, with the cores' times then.
    began: Option<(Instant, Option<CoreTimes>)>,
    seconds: f64,
    core_share: Option<CoreTimes>,
    memory: Option<Memory>,
}

impl Display {
    fn new() -> Self {
        Self {
            size: (0, 0),
            is_in_window: false,
            shown: 0,
            with_faces: 0,
            delays: Histogram::new(),
            first_landmarks: None,
            began: None,
            seconds: 0.0,
            core_share: None,
            memory: None,
        }
    }

    /// Shows what is seen until it is enough.
    fn run(&mut self, newest: &Newest, stop: &AtomicBool, end: &End) -> Result<()> {
        let mut screen = Screen::default();
        let mut seen = Seen::default();
        let mut looked = Instant::now();
        while !stop.load(Ordering::Relaxed) && !self.is_enough(end) {
            if !newest.take(&mut seen, GLANCE) {
                continue;
            }
            #[cfg(feature = "window")]
            if self.shown == 0 {
                screen.open_window(&seen);
            }
            if !screen.show(&seen)? {
                break;
            }
            let now = Instant::now();
            let (began, _) = *self.began.get_or_insert_with(|| (now, CoreTimes::now()));
            if let Some(captured) = seen.captured {
                self.delays.add(now.saturating_duration_since(captured).as_secs_f32() * 1000.0);
            }
            self.size = (seen.frame.width(), seen.frame.height());
            self.shown += 1;
            if !seen.faces.is_empty() {
                self.with_faces += 1;
                self.first_landmarks.get_or_insert(now);
            }
            if let End::After(whole) = end
                && looked.elapsed() >= MEMORY_EVERY
            {
                looked = now;
                self.look_at_memory(began.elapsed(), whole.mul_f64(WARM_UP_SHARE).min(LONGEST_WARM_UP));
            }
        }
        self.is_in_window = screen.is_window();
        if let Some((began, start)) = &self.began {
            self.seconds = began.elapsed().as_secs_f64();
            self.core_share =
                start.as_ref().zip(CoreTimes::now()).map(|(start, now)| now.share_since(start, self.seconds));
        }
        Ok(())
    }

    fn is_enough(&self, end: &End) -> bool {
        match end {
            End::Frames(frames) => self.shown >= *frames,
            End::After(duration) => self.began.is_some_and(|(began, _)| began.elapsed() >= *duration),
        }
    }

    fn look_at_memory(&mut self, elapsed: Duration, warm_up: Duration) {
        let Some(now) = memory_mb("VmRSS").filter(|_| elapsed >= warm_up) else { return };
        match &mut self.memory {
            None => self.memory = Some(Memory { after_warm_up: now, most_later: now }),
            Some(memory) => memory.most_later = memory.most_later.max(now),
        }
    }
}

/// Runs the command; `start` is when the program began.
pub(super) fn run(arguments: &BenchArguments, start: Instant) -> Result<()> {
    let stop = interrupt::listen()?;
    let setup = arguments.tracker.setup();
    let input = arguments.input.as_deref().unwrap_or("camera");
    let source = capture::open(input, &arguments.camera.options(None))?;
    if !source.is_live() {
        bail!("{} is no camera, and this measures the way from a camera to the screen", source.describe());
    }
    let end = if arguments.soak {
        End::After(Duration::from_secs_f64(arguments.minutes * 60.0))
    } else {
        End::Frames(arguments.frames)
    };
    let mut tracking = Tracking {
        source,
        tracker: setup.tracker()?,
        tracked: 0,
        times: Histogram::new(),
        slowest: Slowest::default(),
    };
    let (newest, mut display) = (Newest::default(), Display::new());
    let (tracked, shown) = thread::scope(|scope| {
        let thread = thread::Builder::new().name("tracking".into()).spawn_scoped(scope, || {
            let result = tracking.run(&newest, &stop);
            // There is nothing to wait for any more.
            stop.store(true, Ordering::Relaxed);
            result
        });
        let shown = if thread.is_ok() { display.run(&newest, &stop, &end) } else { Ok(()) };
        stop.store(true, Ordering::Relaxed);
        (thread.map(|thread| thread.join()), shown)
    });
    match tracked.context("cannot start a thread")? {
        Ok(result) => result?,
        Err(_) => bail!("tracking broke off: please report this"),
    }
    shown?;
    if display.shown == 0 {
        bail!("{} delivered no frame to measure with", tracking.source.describe());
    }
    let report = report(&tracking, &display, start);
    let text = if arguments.json { format!("{}\n", serde_json::to_string(&report)?) } else { table(&report) };
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn report(tracking: &Tracking, display: &Display, start: Instant) -> Report {
    let tally = tracking.source.tally().unwrap_or_default();
    let Tally { delivered, replaced, damaged, lost, first, .. } = tally;
    let since = |start: Instant| display.first_landmarks.map(|at| at.saturating_duration_since(start).as_secs_f64());
    Report {
        input: tracking.source.describe(),
        width: display.size.0,
        height: display.size.1,
        seconds: display.seconds,
        is_in_window: display.is_in_window,
        shown: display.shown,
        shown_with_faces: display.with_faces,
        not_shown: tracking.tracked.saturating_sub(display.shown),
        camera: CameraFrames { delivered, replaced, lost, damaged },
        capture_to_display_ms: display.delays.spread(),
        tracker_ms: tracking.times.spread(),
        slowest_tracker_frame: tracking.slowest,
        core_share: display.core_share,
        first_landmarks_after_first_frame_s: first.and_then(since),
        first_landmarks_s: since(start),
        memory_mb: display.memory,
    }
}

fn table(report: &Report) -> String {
    let Report { input, width, height, seconds, shown, shown_with_faces, not_shown, camera, .. } = report;
    let CameraFrames { delivered, replaced, lost, damaged } = camera;
    let rate = *shown as f64 / seconds.max(1e-9);
    let shown_how = if report.is_in_window { "shown in a window" } else { "painted, without a window," };
    let mut text = format!(
        "{input}: {shown} frames of {width}x{height} {shown_how} in {seconds:.1} s ({rate:.1} a second), a face in \
         {shown_with_faces}\n{delivered} delivered, {replaced} not tracked, {not_shown} not shown, {lost} lost, \
         {damaged} damaged\n\n                      median     95 %\n"
    );
    for (name, spread) in [("capture to display", &report.capture_to_display_ms), ("tracker", &report.tracker_ms)] {
        text += &format!("{name:<19} {:>8.2} {:>8.2} ms\n", spread.median, spread.p95);
    }
    let Slowest { ms, waited_for_core_ms } = report.slowest_tracker_frame;
    let waited = waited_for_core_ms.map_or_else(String::new, |ms| format!(", {ms:.2} ms of it without a core"));
    text += &format!("slowest frame of the tracker {ms:.2} ms{waited}\n\n");
    if let Some(CoreTimes { capture, tracking, display }) = report.core_share {
        let [capture, tracking, display] = [capture, tracking, display].map(|share| 100.0 * share);
        text += &format!("of one core: capture {capture:.1} %, tracking {tracking:.1} %, display {display:.1} %\n");
    }
    if let (Some(camera), Some(start)) = (report.first_landmarks_after_first_frame_s, report.first_landmarks_s) {
        text += &format!(
            "first landmarks shown {camera:.3} s after the camera's first frame, {start:.3} s after the start\n"
        );
    }
    if let Some(Memory { after_warm_up, most_later }) = report.memory_mb {
        let growth = most_later - after_warm_up;
        text += &format!("memory {after_warm_up:.1} MB after the warm-up, {growth:.1} MB more at most later\n");
    }
    text
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

    #[test]
    #[cfg(target_os = "linux")]
    fn the_work_of_a_thread_is_counted_under_its_name() {
        let work = || {
            let start = CoreTimes::now().unwrap();
            let mut sum = 0_u64;
            while CoreTimes::now().unwrap().tracking - start.tracking < 0.02 {
                sum = std::hint::black_box(sum + 1);
            }
        };
        thread::Builder::new().name("tracking".into()).spawn(work).unwrap().join().unwrap();
    }

    #[test]
    fn the_table_shows_every_figure() {
        let report = Report {
            input: "camera 0".into(),
            width: 640,
            height: 480,
            seconds: 20.0,
            is_in_window: false,
            shown: 600,
            shown_with_faces: 590,
            not_shown: 1,
            camera: CameraFrames { delivered: 605, replaced: 4, lost: 2, damaged: 3 },
            capture_to_display_ms: Spread { median: 3.5, p95: 5.25 },
            tracker_ms: Spread { median: 1.5, p95: 2.0 },
            slowest_tracker_frame: Slowest { ms: 9.0, waited_for_core_ms: Some(6.5) },
            core_share: Some(CoreTimes { capture: 0.01, tracking: 0.05, display: 0.1 }),
            first_landmarks_after_first_frame_s: Some(0.125),
            first_landmarks_s: Some(0.25),
            memory_mb: Some(Memory { after_warm_up: 50.0, most_later: 51.5 }),
        };
        let text = table(&report);
        for part in [
            "600 frames of 640x480 painted, without a window, in 20.0 s (30.0 a second), a face in 590",
            "605 delivered, 4 not tracked, 1 not shown, 2 lost, 3 damaged",
            "capture to display      3.50     5.25 ms",
            "slowest frame of the tracker 9.00 ms, 6.50 ms of it without a core",
            "capture 1.0 %, tracking 5.0 %, display 10.0 %",
            "0.125 s after the camera's first frame, 0.250 s",
            "1.5 MB more",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
