//! `awing track`, and `awing` without a command: faces followed live.
//!
//! In: frames of a source. Out: a window, lines of JSON, an annotated video or picture, and about once a second a line on
//! standard error that says what is seen and how fast.
//!
//! One thread reads and tracks, the main one shows and listens for Ctrl-C, so that neither a camera that falls silent nor
//! a slow display holds anything up; a camera has a third thread of its own. Between them the newest frame wins.

use super::args::TrackArguments;
use super::interrupt;
use super::live::{Controls, Newest, Seen};
use super::outputs::Outputs;
use super::status::Status;
use crate::capture::{self, CaptureError, CaptureOptions, Source, Waited};
use crate::track::{OneEuro, Tracker};
use anyhow::{Context, Result, bail};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Without a window, a source that never ends of itself and is no camera ends after so many frames: ten seconds of the
/// demo.
const FRAMES_OF_AN_ENDLESS_SOURCE: u64 = 300;
/// How often a thread that waits looks whether it was asked to stop; the end of tracking wakes the main one at once.
const GLANCE: Duration = Duration::from_millis(50);
/// How long it then waits for the frame that is being worked on. A camera may be silent for ever.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a picture of a folder is shown in a window.
const PICTURE_SHOWN: Duration = Duration::from_secs(2);
/// Longer gaps between the times of a recording are not waited for, in seconds.
const LONGEST_GAP_S: f64 = 1.0;

/// Runs the command.
pub(super) fn run(arguments: &TrackArguments) -> Result<()> {
    let stop = interrupt::listen()?;
    let source = open(arguments)?;
    let options = arguments.tracker.options()?;
    let controls = Arc::new(Controls {
        stop,
        is_shown: AtomicBool::new(!arguments.headless),
        faces: AtomicUsize::new(options.faces),
        is_smooth: AtomicBool::new(options.smooth.is_some()),
    });
    let is_slide_show = source.is_slide_show();
    let mut work = Work {
        outputs: Arc::new(Mutex::new(Outputs::create(arguments, source.frames_per_second())?)),
        newest: Arc::new(Newest::default()),
        tracker: Tracker::new(options)?,
        source,
        controls: controls.clone(),
        limit: arguments.frames,
    };
    let (outputs, newest) = (work.outputs.clone(), work.newest.clone());
    let main = thread::current();
    let tracking = thread::Builder::new()
        .name("tracking".into())
        .spawn(move || {
            let result = work.track_all();
            if result.is_err() {
                work.controls.stop.store(true, Ordering::Relaxed);
            }
            main.unpark();
            result
        })
        .context("cannot start a thread")?;

    let shown = if arguments.headless {
        Ok(())
    } else {
        show(arguments.mirror, is_slide_show, &controls, &newest, &outputs, &tracking)
    };
    let tracked = wait(tracking, &controls);
    let finished = lock(&outputs).finish();
    tracked.and(shown).and(finished)
}

/// Waits for the end of tracking, or for a short while after a request to stop.
fn wait(tracking: JoinHandle<Result<()>>, controls: &Controls) -> Result<()> {
    let mut asked = None;
    while !tracking.is_finished() {
        if controls.should_stop() && asked.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Ok(());
        }
        thread::park_timeout(GLANCE);
    }
    match tracking.join() {
        Ok(result) => result,
        Err(_) => bail!("tracking broke off: please report this"),
    }
}

/// What the tracking thread works with.
struct Work {
    source: Box<dyn Source>,
    tracker: Tracker,
    outputs: Arc<Mutex<Outputs>>,
    newest: Arc<Newest>,
    controls: Arc<Controls>,
    limit: Option<u64>,
}

impl Work {
    /// Tracks all frames of the source.
    fn track_all(&mut self) -> Result<()> {
        let mut seen = Seen::default();
        let mut status = Status::new(self.source.describe());
        let mut pace = Pace::default();
        let mut done = 0;
        while !self.is_enough(done) && !self.controls.should_stop() {
            let time_s = match self.source.wait(&mut seen.frame, GLANCE)? {
                Waited::Frame(time_s) => time_s,
                Waited::Nothing => {
                    self.newest.tell(self.source.trouble());
                    continue;
                }
                Waited::End => break,
            };
            if self.controls.is_shown() && !self.source.is_live() {
                pace.wait_for(time_s, self.source.is_slide_show(), &self.controls);
            }
            if self.controls.should_stop() {
                break;
            }
            done += 1;
            (seen.time_s, seen.captured) = (time_s, self.source.arrived());
            self.track(&mut seen)?;
            status.count(&seen.faces, &seen.times, self.controls.is_shown());
            lock(&self.outputs).add(&seen)?;
            self.newest.put(&mut seen);
        }
        status.finish();
        Ok(())
    }

    fn is_enough(&self, done: u64) -> bool {
        let is_endless = self.source.is_endless() && !self.source.is_live() && !self.controls.is_shown();
        let limit = self.limit.or(is_endless.then_some(FRAMES_OF_AN_ENDLESS_SOURCE));
        limit.is_some_and(|limit| done >= limit)
    }

    fn track(&mut self, seen: &mut Seen) -> Result<()> {
        let Self { source, tracker, controls, .. } = self;
        if source.is_slide_show() {
            tracker.reset();
        }
        tracker.set_faces(controls.faces.load(Ordering::Relaxed));
        tracker.set_smooth(controls.is_smooth.load(Ordering::Relaxed).then(OneEuro::default));
        let faces = tracker.track_at(&seen.frame, seen.time_s)?;
        seen.set_faces(faces);
        seen.times = tracker.timings();
        Ok(())
    }
}

/// Plays a recording at its own pace.
#[derive(Default)]
struct Pace {
    /// When the last frame was due, and its time.
    last: Option<(Instant, f64)>,
}

impl Pace {
    /// Waits until a frame is due; pictures that have nothing to do with each other are shown for a while.
    fn wait_for(&mut self, time_s: f64, is_picture: bool, controls: &Controls) {
        let now = Instant::now();
        let due = match self.last {
            None => now,
            Some((last, _)) if is_picture => last + PICTURE_SHOWN,
            Some((last, last_s)) => last + Duration::from_secs_f64((time_s - last_s).clamp(0.0, LONGEST_GAP_S)),
        };
        while !controls.should_stop() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(GLANCE));
        }
        // What comes too late does not hurry those that come after it.
        self.last = Some((due.max(now), time_s));
    }
}

/// Shows what is seen until the window is closed or tracking ends. Where there is no display, it says so and leaves the
/// rest to [`wait`].
#[cfg(feature = "window")]
fn show(
    is_mirrored: bool,
    is_slide_show: bool,
    controls: &Controls,
    newest: &Newest,
    outputs: &Mutex<Outputs>,
    tracking: &JoinHandle<Result<()>>,
) -> Result<()> {
    use super::show::Show;
    let mut first = Seen::default();
    while !newest.take(&mut first, GLANCE) {
        if tracking.is_finished() || controls.should_stop() {
            return Ok(());
        }
    }
    match Show::open(first, is_mirrored) {
        Ok(mut show) => {
            lock(outputs).keep_no_picture();
            show.run(controls, newest, || tracking.is_finished(), is_slide_show)
        }
        Err(reason) => {
            go_on_without_window(&reason.to_string(), controls);
            Ok(())
        }
    }
}

#[cfg(not(feature = "window"))]
fn show(
    _: bool,
    _: bool,
    controls: &Controls,
    _: &Newest,
    _: &Mutex<Outputs>,
    _: &JoinHandle<Result<()>>,
) -> Result<()> {
    go_on_without_window("this awing was built without the feature \"window\"", controls);
    Ok(())
}

fn go_on_without_window(reason: &str, controls: &Controls) {
    eprintln!("awing: {reason}; going on without a window, as with --headless");
    controls.is_shown.store(false, Ordering::Relaxed);
}

/// Opens what was asked for; without a wish the first camera, and where there is none the demo.
fn open(arguments: &TrackArguments) -> Result<Box<dyn Source>> {
    let options = CaptureOptions { faces: arguments.tracker.faces, ..CaptureOptions::default() };
    if let Some(input) = &arguments.input {
        return Ok(capture::open(input, &options)?);
    }
    match capture::open("camera", &options) {
        Ok(camera) => Ok(camera),
        Err(reason) => {
            eprintln!("awing: {}; playing the built-in demo instead", short(&reason));
            Ok(capture::open("demo", &options)?)
        }
    }
}

/// Why there is no camera, in a line.
fn short(reason: &CaptureError) -> String {
    reason.to_string().lines().next().unwrap_or("no camera").to_owned()
}

/// A thread that panicked while it wrote leaves what it wrote so far.
fn lock(outputs: &Mutex<Outputs>) -> MutexGuard<'_, Outputs> {
    outputs.lock().unwrap_or_else(PoisonError::into_inner)
}
