//! The orderly end of a session.
//!
//! All threads of a session share one [`Lifecycle`]: a [`Phase`] and the threads still at work, under one mutex and one
//! condition variable. Anything may request the end (Ctrl-C, the window, a failure); one thread ends the session, the
//! others wait for it, with a timeout where a driver, an encoder or a display could block them.

use anyhow::Result;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The phase of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Frames are tracked and shown. A session whose source has ended is still running until its files are complete.
    Running,
    /// The end was requested: no further frame is tracked, and nothing waits for a stuck encoder.
    Ending,
    /// Every file is complete or was abandoned.
    Ended,
}

/// The phase of a session, and what its end waits for.
pub(crate) struct Lifecycle {
    situation: Mutex<Situation>,
    changed: Condvar,
}

struct Situation {
    phase: Phase,
    /// Whether the tracking thread is at work.
    is_tracking: bool,
    /// Whether the main thread shows frames in a window, or is about to.
    is_displaying: bool,
    /// The first failure.
    outcome: Result<()>,
}

impl Lifecycle {
    /// Of a session that is about to start; `is_displaying`: with a window.
    pub(crate) fn new(is_displaying: bool) -> Self {
        let situation = Situation { phase: Phase::Running, is_tracking: true, is_displaying, outcome: Ok(()) };
        Self { situation: Mutex::new(situation), changed: Condvar::new() }
    }

    /// Asks the session to end.
    pub(crate) fn request_end(&self) {
        self.change(Situation::request_end);
    }

    /// Whether the end was not requested yet.
    pub(crate) fn is_running(&self) -> bool {
        self.lock().phase == Phase::Running
    }

    pub(super) fn is_tracking(&self) -> bool {
        self.lock().is_tracking
    }

    /// Whether a window shows the frames: videos then play at their own frame rate, and the demo does not end.
    pub(super) fn is_displaying(&self) -> bool {
        self.lock().is_displaying
    }

    /// The tracking thread has ended; a failure ends the session.
    pub(super) fn tracking_ended(&self, result: Result<()>) {
        self.change(|situation| {
            situation.is_tracking = false;
            if result.is_err() {
                situation.request_end();
            }
            situation.add(result);
        });
    }

    /// A failure that does not end the session: it is reported at its end.
    pub(super) fn failed_in_part(&self, error: anyhow::Error) {
        self.change(|situation| situation.add(Err(error)));
    }

    /// The main thread shows no frames, or no more frames.
    pub(super) fn display_closed(&self) {
        self.change(|situation| situation.is_displaying = false);
    }

    /// All files are finished, with this result.
    pub(super) fn ended(&self, finished: Result<()>) {
        self.change(|situation| {
            situation.phase = Phase::Ended;
            situation.add(finished);
        });
    }

    /// Sleeps until then, or until the end is requested.
    pub(super) fn sleep_until(&self, due: Instant) {
        drop(self.wait_while(Some(due), |s| s.phase == Phase::Running));
    }

    /// Waits until the files are to be finished: after a request, or when nothing is tracked or shown any more. A
    /// tracking thread that the request finds at work may take `patience` to end; its source may be silent for ever.
    pub(super) fn wait_for_last_frame(&self, patience: Duration) {
        drop(self.wait_while(None, |s| s.phase == Phase::Running && (s.is_tracking || s.is_displaying)));
        drop(self.wait_while(Some(Instant::now() + patience), |s| s.is_tracking));
    }

    /// Waits until the main thread shows nothing any more; false if that takes longer than `patience`.
    #[cfg(feature = "window")]
    pub(super) fn wait_for_display(&self, patience: Duration) -> bool {
        !self.wait_while(Some(Instant::now() + patience), |s| s.is_displaying).is_displaying
    }

    /// Waits until the session has ended.
    ///
    /// # Errors
    /// The first failure of tracking or of an output; only the first caller is told.
    pub(super) fn wait_for_end(&self) -> Result<()> {
        let mut situation = self.wait_while(None, |s| s.phase != Phase::Ended);
        std::mem::replace(&mut situation.outcome, Ok(()))
    }

    fn lock(&self) -> MutexGuard<'_, Situation> {
        self.situation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Situation)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_while(&self, due: Option<Instant>, holds: impl Fn(&Situation) -> bool) -> MutexGuard<'_, Situation> {
        let mut situation = self.lock();
        while holds(&situation) {
            situation = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(situation).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => self.changed.wait_timeout(situation, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        situation
    }
}

impl Situation {
    fn request_end(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Ending;
        }
    }

    fn add(&mut self, result: Result<()>) {
        if self.outcome.is_ok() {
            self.outcome = result;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use std::thread;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_session_ends_of_itself_once_nothing_is_tracked_or_shown() {
        let lifecycle = Lifecycle::new(true);
        thread::scope(|scope| {
            let ending = scope.spawn(|| {
                lifecycle.wait_for_last_frame(LONG);
                lifecycle.ended(Ok(()));
            });
            lifecycle.tracking_ended(Ok(()));
            thread::sleep(SHORT);
            assert!(lifecycle.is_running() && !ending.is_finished(), "the window is still open");
            lifecycle.display_closed();
            lifecycle.wait_for_end().unwrap();
        });
    }

    #[test]
    fn a_request_ends_it_without_a_tracking_thread_that_is_stuck() {
        let lifecycle = Lifecycle::new(true);
        lifecycle.request_end();
        lifecycle.wait_for_last_frame(SHORT);
        lifecycle.sleep_until(Instant::now() + LONG);
        assert!(lifecycle.is_tracking() && !lifecycle.is_running());
        lifecycle.ended(Ok(()));
        lifecycle.request_end();
        lifecycle.wait_for_end().unwrap();
    }

    #[test]
    fn a_failure_of_tracking_ends_it_and_is_told_once_before_later_ones() {
        let lifecycle = Lifecycle::new(false);
        lifecycle.tracking_ended(Err(anyhow!("first")));
        assert!(!lifecycle.is_running());
        lifecycle.ended(Err(anyhow!("second")));
        assert_eq!(lifecycle.wait_for_end().unwrap_err().to_string(), "first");
        lifecycle.wait_for_end().unwrap();
    }

    #[test]
    #[cfg(feature = "window")]
    fn a_display_that_does_not_answer_is_noticed() {
        let lifecycle = Lifecycle::new(true);
        assert!(!lifecycle.wait_for_display(SHORT));
        lifecycle.display_closed();
        assert!(lifecycle.wait_for_display(LONG));
    }
}
