//! What the threads of a session share, and how it is ended.
//!
//! One thread ([`Session::bring_to_an_end`]) waits until the session is over, for whatever reason, and finishes its files.
//! No other thread does, so neither a stuck source, nor a reader that has stopped, nor a display that does not answer can
//! leave them unfinished, and nothing is finished twice.

#[cfg(feature = "window")]
use super::collecting::Collecting;
use super::controls::Controls;
use super::frame::TrackedFrame;
use super::lifecycle::Lifecycle;
use super::observer::Observer;
use super::outputs::Outputs;
#[cfg(feature = "window")]
use super::tracker_setup::LandmarkModel;
use super::tracker_setup::TrackerSetup;
#[cfg(feature = "window")]
use super::tuning::Tuning;
#[cfg(feature = "window")]
use crate::program::capture::end_decoders;
use crate::program::latest::Latest;
use anyhow::{Result, anyhow, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// What the threads of a session share.
pub(super) struct Session {
    pub lifecycle: Arc<Lifecycle>,
    pub controls: Controls,
    pub latest: Latest<TrackedFrame>,
    pub observer: Arc<dyn Observer>,
    #[cfg(feature = "window")]
    pub model: LandmarkModel,
    #[cfg(feature = "window")]
    pub collecting: Collecting,
    #[cfg(feature = "window")]
    pub tuning: Tuning,
    outputs: Mutex<Outputs>,
}

impl Session {
    pub(super) fn new(
        lifecycle: Arc<Lifecycle>,
        observer: Arc<dyn Observer>,
        setup: &TrackerSetup,
        outputs: Outputs,
    ) -> Self {
        Self {
            lifecycle,
            controls: Controls::new(&setup.options),
            latest: Latest::default(),
            observer,
            #[cfg(feature = "window")]
            model: setup.model.clone(),
            #[cfg(feature = "window")]
            collecting: Collecting::new(),
            #[cfg(feature = "window")]
            tuning: Tuning::default(),
            outputs: Mutex::new(outputs),
        }
    }

    /// The outputs; a thread that panicked while it wrote leaves what it has written so far.
    pub(super) fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the session is over and finishes its files. If the main thread then does not come back from the
    /// display, as in front of a broken connection, the process ends here.
    pub(super) fn bring_to_an_end(&self) {
        self.lifecycle.wait_for_last_frame(SHUTDOWN_PATIENCE);
        let finished = catch_unwind(AssertUnwindSafe(|| {
            let finished = self.finish_outputs();
            #[cfg(feature = "window")]
            self.collecting.finish();
            #[cfg(feature = "window")]
            self.tuning.finish();
            finished
        }));
        let failed = |_| Err(anyhow!("writing failed unexpectedly: please report this"));
        self.lifecycle.ended(finished.unwrap_or_else(failed));
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
        end_decoders();
        crate::program::console::say(&format!("awing: {reason}; {files}"));
        1
    }
}
