//! The threads of a session, and the one that ends it.
//!
//! The thread "ending" waits until the session is over, for whatever reason, and finishes the files. Nobody else does, so
//! a stuck source, a reader that does not read and a display that does not answer need no arrangement among the others.

use super::controls::Controls;
use super::display::{self, DisplayOptions};
use super::frame::LatestFrame;
use super::lifecycle::Lifecycle;
use super::observer::Observer;
use super::outputs::{OutputOptions, Outputs};
use super::source::SessionSource;
use super::tracker_setup::TrackerSetup;
use super::tracking::TrackingLoop;
use anyhow::{Context, Result, anyhow, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "window")]
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the frame that is being tracked, or an output that is being written, may delay a requested end. A camera may
/// be silent for ever, and a pipe may have no reader.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(300);
/// How often it is tried whether the outputs are free.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// How long drawing and showing a frame may take, with what a large network sees in it, until the display counts as dead.
#[cfg(feature = "window")]
const DISPLAY_TIMEOUT: Duration = Duration::from_secs(3);

/// What a session is made from.
pub(crate) struct SessionOptions {
    pub source: SessionSource,
    pub tracker: TrackerSetup,
    pub outputs: OutputOptions,
    /// How frames are shown; `None`: not at all.
    pub display: Option<DisplayOptions>,
    /// The number of frames after which to end.
    pub frames: Option<u64>,
}

/// What the threads of a session share.
pub(super) struct Session {
    pub lifecycle: Arc<Lifecycle>,
    pub controls: Controls,
    pub latest: LatestFrame,
    pub observer: Arc<dyn Observer>,
    /// The file of the landmark model; `None`: the built-in one.
    #[cfg(feature = "window")]
    pub model: Option<PathBuf>,
    outputs: Mutex<Outputs>,
}

/// Runs a session on this thread, which has to be the main one if there is a window, and on others of its own. It ends
/// with its source, at [`Lifecycle::request_end`], or when the window is closed.
///
/// # Errors
/// The first failure: of a model, an output, the source, a network or the display.
pub(crate) fn run(options: SessionOptions, lifecycle: &Arc<Lifecycle>, observer: Arc<dyn Observer>) -> Result<()> {
    let SessionOptions { source, tracker: setup, outputs, display, frames } = options;
    let tracker = setup.tracker()?;
    let session = Arc::new(Session {
        lifecycle: lifecycle.clone(),
        controls: Controls::new(&setup.options),
        latest: LatestFrame::default(),
        observer,
        #[cfg(feature = "window")]
        model: setup.model.clone(),
        // Last: it empties files.
        outputs: Mutex::new(Outputs::create(&outputs)?),
    });
    let is_slide_show = source.get().is_slide_show();
    let mut tracking = TrackingLoop::new(session.clone(), source, setup, tracker, frames);
    let tracked = session.clone();
    spawn("tracking", move || {
        let result = catch_unwind(AssertUnwindSafe(|| tracking.run()));
        tracked.lifecycle.tracking_ended(
            result.unwrap_or_else(|_| Err(anyhow!("tracking failed unexpectedly: please report this"))),
        );
    })?;
    let ended = session.clone();
    spawn("ending", move || ended.bring_to_an_end())?;
    let shown = display.map_or(Ok(()), |display| {
        let shown = catch_unwind(AssertUnwindSafe(|| display::run(&display, is_slide_show, &session)));
        shown.unwrap_or_else(|_| Err(anyhow!("the window failed unexpectedly: please report this")))
    });
    if shown.is_err() {
        session.lifecycle.request_end();
    }
    session.lifecycle.display_closed();
    session.lifecycle.wait_for_end().and(shown)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).context("cannot start a thread")?;
    Ok(())
}

impl Session {
    /// The outputs; a thread that panicked while it wrote leaves what it has written so far.
    pub(super) fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the session is over and finishes its files. If the main thread then does not come back from the
    /// display, as in front of a broken connection, the process ends here.
    fn bring_to_an_end(&self) {
        self.lifecycle.wait_for_last_frame(SHUTDOWN_PATIENCE);
        self.lifecycle.ended(self.finish_outputs());
        #[cfg(feature = "window")]
        if !self.lifecycle.wait_for_display(DISPLAY_TIMEOUT) {
            std::process::exit(self.end_without_display("the display does not answer"));
        }
    }

    /// Finishes everything that is written, unless a reader that does not read holds it up.
    fn finish_outputs(&self) -> Result<()> {
        let is_urgent = || !self.lifecycle.is_running();
        let start = Instant::now();
        loop {
            match self.outputs.try_lock() {
                Ok(mut outputs) => return outputs.finish(&is_urgent),
                Err(TryLockError::Poisoned(outputs)) => return outputs.into_inner().finish(&is_urgent),
                Err(TryLockError::WouldBlock) if start.elapsed() > SHUTDOWN_PATIENCE => {
                    bail!("output is blocked: its reader has stopped")
                }
                Err(TryLockError::WouldBlock) => thread::sleep(RETRY_INTERVAL),
            }
        }
    }

    /// Ends the session although the display can't be used any more, and says so; returns the exit status.
    #[cfg(feature = "window")]
    pub(super) fn end_without_display(&self, reason: &str) -> i32 {
        self.lifecycle.request_end();
        self.lifecycle.display_closed();
        let files = match self.lifecycle.wait_for_end() {
            Ok(()) => "everything that was written is whole".into(),
            Err(error) => format!("{error:#}"),
        };
        crate::program::console::say(&format!("awing: {reason}; {files}"));
        1
    }
}
