//! The state shared by the threads of a session, and the end of the session.
//!
//! One thread ([`Session::bring_to_an_end`]) waits until the session is over, for any reason, and finishes its files.
//! No other thread does, so neither a stuck source, nor a stopped reader, nor a display that does not answer can leave
//! them unfinished, and nothing is finished twice.

use super::collecting::Collecting;
use super::controls::{Controls, Request};
use super::frame::TrackedFrame;
use super::lifecycle::Lifecycle;
use super::model_choice::ModelChoice;
use super::notices::Notices;
use super::observer::Observer;
use super::outputs::Outputs;
use super::tracker_setup::TrackerSetup;
use super::tuning::Tuning;
#[cfg(feature = "window")]
use crate::program::capture::end_decoders;
use crate::program::latest::Latest;
use crate::program::output::serve::Action;
use anyhow::{Result, anyhow, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the frame that is being tracked, or an output that is being written, may delay a requested end. A camera
/// may be silent for ever, and a pipe may have no reader.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(300);
/// How often to check whether the outputs are free.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// How long drawing and showing a frame may take, with what a large network sees in it, until the display counts as
/// dead.
#[cfg(feature = "window")]
const DISPLAY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the verdict of a fine-tuning is shown: after a minute of waiting nobody watches all the time.
const VERDICT_SHOWN: Duration = Duration::from_secs(20);

/// The state shared by the threads of a session.
pub(super) struct Session {
    pub lifecycle: Arc<Lifecycle>,
    pub controls: Controls,
    pub latest: Latest<TrackedFrame>,
    pub observer: Arc<dyn Observer>,
    pub notices: Notices,
    pub models: ModelChoice,
    pub collecting: Collecting,
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
            notices: Notices::default(),
            models: ModelChoice::new(&setup.model),
            collecting: Collecting::new(),
            tuning: Tuning::default(),
            outputs: Mutex::new(outputs),
        }
    }

    /// The outputs; a thread that panicked while it wrote leaves what it has written so far.
    pub(super) fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a request from the window or a page, and shows its result as a message.
    pub(super) fn perform(&self, action: Action) {
        match action {
            Action::SetNeutral => self.controls.request(Request::SetNeutral),
            Action::KeepFace => self.controls.request(Request::KeepFace),
            Action::ToggleCollecting => self.notices.say(self.collecting.toggle()),
            Action::ToggleTuning => self.notices.say(self.tuning.toggle()),
            Action::OtherModel => match self.models.change() {
                Some((model, name)) => {
                    self.controls.request(Request::UseModel(model));
                    self.notices.say(name.into());
                }
                None => self.notices.say("There is no tuned model yet. U fine-tunes one on the accepted faces".into()),
            },
        }
    }

    /// Shows messages about kept faces and fine-tuning, and switches to a tuned model.
    pub(super) fn gather_news(&self) {
        if let Some(model) = self.tuning.accepted() {
            self.models.accept(model.clone());
            self.controls.request(Request::UseModel(model));
        }
        if let Some(message) = self.collecting.news() {
            self.notices.say_news(message);
        }
        if let Some(message) = self.tuning.news() {
            self.notices.say_news_for(message, VERDICT_SHOWN);
        }
    }

    /// Waits until the session is over and finishes its files. If the main thread then does not come back from the
    /// display, as in front of a broken connection, the process ends here.
    pub(super) fn bring_to_an_end(&self) {
        self.lifecycle.wait_for_last_frame(SHUTDOWN_PATIENCE);
        let finished = catch_unwind(AssertUnwindSafe(|| {
            let finished = self.finish_outputs();
            self.collecting.finish();
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

    /// Finishes all outputs, unless a stopped reader blocks them.
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

    /// Ends the session after the display was lost, and says so; returns the exit status.
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
