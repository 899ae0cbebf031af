//! `awing track`, and `awing` without a command: faces followed live.
//!
//! In: frames of a source. Out: a window, lines of JSON, an annotated video or picture, and about once a second a line
//! on standard error that says what is seen and how fast.
//!
//! One thread reads and tracks, the main one shows and listens for Ctrl-C, so that neither a camera that falls silent
//! nor a slow display holds anything up; a camera has a third thread of its own. Between them the newest frame wins.
//! Whatever ends it (the source, the window, Ctrl-C, a display that goes away), what is written ends whole.

use super::args::TrackArguments;
use super::interrupt;
use super::live::{Controls, Newest};
use super::outputs::Outputs;
use super::say;
use super::tracking::Tracking;
use crate::program::capture::{self, CaptureError, CaptureOptions, Source};
use anyhow::{Context, Result, anyhow, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the main thread looks whether it was asked to stop; the end of tracking wakes it at once.
const GLANCE: Duration = Duration::from_millis(50);
/// How long it then waits for the frame that is being worked on. A camera may be silent for ever.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long drawing and showing a frame may take, with what a large network sees in it, until the display counts as dead.
#[cfg(feature = "window")]
const LONGEST_FRAME: Duration = Duration::from_secs(3);

/// Runs the command.
pub(super) fn run(arguments: &TrackArguments) -> Result<()> {
    let stop = interrupt::listen()?;
    let capture = arguments.camera.options(arguments.tracker.faces);
    let (input, source) = open(arguments.input.as_deref(), &capture)?;
    let setup = arguments.tracker.setup();
    let controls = Arc::new(Controls {
        stop,
        is_shown: AtomicBool::new(!arguments.headless),
        faces: AtomicUsize::new(setup.options.faces),
        is_smooth: AtomicBool::new(setup.options.smoothing.is_some()),
        wishes: Mutex::default(),
        told: Mutex::default(),
    });
    let is_slide_show = source.is_slide_show();
    let mut tracking = Tracking {
        tracker: setup.tracker()?,
        outputs: Arc::new(Mutex::new(Outputs::create(arguments)?)),
        newest: Arc::new(Newest::default()),
        input,
        capture,
        source,
        setup,
        precision: arguments.tracker.precision,
        controls: controls.clone(),
        limit: arguments.frames,
    };
    tracking.tell_all();
    let outputs = tracking.outputs.clone();
    #[cfg(feature = "window")]
    let newest = tracking.newest.clone();
    let (main, is_done) = (thread::current(), Arc::new(AtomicBool::new(false)));
    let done = is_done.clone();
    let thread = thread::Builder::new()
        .name("tracking".into())
        .spawn(move || {
            let result = tracking.run();
            if result.is_err() {
                tracking.controls.stop.store(true, Ordering::Relaxed);
            }
            done.store(true, Ordering::Release);
            main.unpark();
            result
        })
        .context("cannot start a thread")?;
    let session = Arc::new(Session {
        thread: Mutex::new(Some(thread)),
        is_done,
        is_ending: AtomicBool::new(false),
        is_ended: Mutex::new(false),
        controls,
        outputs,
        #[cfg(feature = "window")]
        newest,
    });
    let show = || if arguments.headless { Ok(()) } else { show(arguments, is_slide_show, &session) };
    let shown = catch_unwind(AssertUnwindSafe(show))
        .unwrap_or_else(|_| Err(anyhow!("the window broke off: please report this")))
        .inspect_err(|_| session.controls.stop.store(true, Ordering::Relaxed));
    let ended = session.end();
    ended.and(shown)
}

/// What goes on beside the main thread.
struct Session {
    /// Until it is waited for.
    thread: Mutex<Option<JoinHandle<Result<()>>>>,
    /// Set just before the thread ends.
    is_done: Arc<AtomicBool>,
    /// Whether somebody ends it already.
    is_ending: AtomicBool,
    /// Held while it is ended; true once it is.
    is_ended: Mutex<bool>,
    controls: Arc<Controls>,
    outputs: Arc<Mutex<Outputs>>,
    #[cfg(feature = "window")]
    newest: Arc<Newest>,
}

impl Session {
    /// Waits for the end of tracking, or for a short while after a request to stop, and ends everything that is
    /// written. Whoever comes second waits for the first, who tells what went wrong.
    fn end(&self) -> Result<()> {
        self.is_ending.store(true, Ordering::Relaxed);
        let mut is_ended = self.is_ended.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *is_ended, true) {
            return Ok(());
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let tracked = thread.map_or(Ok(()), |thread| wait(thread, &self.is_done, &self.controls));
        let finished = self.finish_outputs();
        tracked.and(finished)
    }

    /// Ends everything that is written, unless a reader that does not read holds it up.
    fn finish_outputs(&self) -> Result<()> {
        let start = Instant::now();
        let is_urgent = || self.controls.should_stop();
        while start.elapsed() < PATIENCE {
            match self.outputs.try_lock() {
                Ok(mut outputs) => return outputs.finish(&is_urgent),
                Err(TryLockError::Poisoned(outputs)) => return outputs.into_inner().finish(&is_urgent),
                Err(TryLockError::WouldBlock) => thread::sleep(GLANCE),
            }
        }
        bail!("what is written is not taken: another program has stopped reading it")
    }
}

/// Waits for the end of tracking, or for a short while after a request to stop.
fn wait(tracking: JoinHandle<Result<()>>, is_done: &AtomicBool, controls: &Controls) -> Result<()> {
    let mut asked = None;
    // A thread that has panicked is finished, but not done.
    while !(is_done.load(Ordering::Acquire) || tracking.is_finished()) {
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

/// Shows what is seen until the window is closed or tracking ends. Where there is no display, it says so and leaves the
/// rest to [`Session::end`].
#[cfg(feature = "window")]
fn show(arguments: &TrackArguments, is_slide_show: bool, session: &Arc<Session>) -> Result<()> {
    use super::show::Show;
    use super::tracking::lock;
    let ending = session.clone();
    crate::program::view::on_display_lost(move || ending.end_without_display("the display is gone"));
    let Some(first) = session.first_frame() else { return Ok(()) };
    let guard = session.clone();
    thread::Builder::new().name("guard".into()).spawn(move || guard.end_if_the_display_hangs())?;
    match Show::open(first, arguments, &session.controls) {
        Ok(mut show) => {
            lock(&session.outputs).keep_no_picture();
            show.run(&session.newest, || session.is_over(), is_slide_show)
        }
        Err(reason) => {
            go_on_without_window(&reason.to_string(), &session.controls);
            Ok(())
        }
    }
}

#[cfg(not(feature = "window"))]
fn show(_: &TrackArguments, _: bool, session: &Arc<Session>) -> Result<()> {
    go_on_without_window("this awing was built without the feature \"window\"", &session.controls);
    Ok(())
}

#[cfg(feature = "window")]
impl Session {
    /// Whether tracking has ended.
    fn is_over(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends everything, while the main thread can't; returns the exit status.
    fn end_without_display(&self, reason: &str) -> i32 {
        self.controls.stop.store(true, Ordering::Relaxed);
        let files = match self.end() {
            Ok(()) => "everything that was written is whole".into(),
            Err(error) => format!("{error:#}"),
        };
        say(&format!("awing: {reason}; {files}"));
        1
    }

    /// Ends the program if it is asked to and the main thread does not do it: it may wait for a display that does not
    /// answer, as behind a broken connection.
    fn end_if_the_display_hangs(&self) {
        let is_ending = || self.is_ending.load(Ordering::Relaxed);
        while !self.controls.should_stop() && !is_ending() {
            thread::sleep(GLANCE);
        }
        let asked = Instant::now();
        while !is_ending() {
            if asked.elapsed() > LONGEST_FRAME {
                std::process::exit(self.end_without_display("the display does not answer"));
            }
            thread::sleep(GLANCE);
        }
    }

    /// The first frame, which says how large the window is to be; an empty one if it takes long. `None`: there is
    /// nothing to show.
    fn first_frame(&self) -> Option<super::live::Seen> {
        let mut first = super::live::Seen::default();
        let start = Instant::now();
        while !self.newest.take(&mut first, GLANCE) && start.elapsed() < PATIENCE {
            if self.is_over() || self.controls.should_stop() {
                // What came between the two looks.
                return self.newest.take(&mut first, Duration::ZERO).then_some(first);
            }
        }
        Some(first)
    }
}

fn go_on_without_window(reason: &str, controls: &Controls) {
    say(&format!("awing: {reason}; going on without a window, as with --headless"));
    controls.is_shown.store(false, Ordering::Relaxed);
}

/// Opens what was asked for, and says what that is; without a wish the first camera, and where there is none the demo.
fn open(input: Option<&str>, options: &CaptureOptions) -> Result<(String, Box<dyn Source>)> {
    if let Some(input) = input {
        return Ok((input.to_owned(), capture::open(input, options)?));
    }
    match capture::open("camera", options) {
        Ok(camera) => Ok(("camera".into(), camera)),
        Err(reason) => {
            say(&format!("awing: {}; playing the built-in demo instead", short(&reason)));
            Ok(("demo".into(), capture::open("demo", options)?))
        }
    }
}

/// Why there is no camera, in a line.
fn short(reason: &CaptureError) -> String {
    reason.to_string().lines().next().unwrap_or("no camera").to_owned()
}
