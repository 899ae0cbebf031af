//! Collecting faces from the window or a page.
//!
//! In: every tracked frame, and the user's requests. Out: a recording in the default collection, created with the first
//! kept frame, and messages. A separate thread encodes and writes frames; while its queue is full, frames are dropped,
//! so nothing waits for the disk. Errors are messages.

use super::frame::TrackedFrame;
use crate::program::collect::{Collector, CollectorEvent, Origin, Reason, SelectionOptions};
use crate::program::console::say;
use crate::program::places;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of frames after which collecting ends.
const MOST_FRAMES: usize = 60;

/// The state of collecting, shared by the threads of a session.
pub(super) struct Collecting(Mutex<State>);

struct State {
    /// `None` without a home folder.
    collector: Option<Collector>,
    /// Whether collecting was on at the last check.
    was_choosing: bool,
}

/// The visible state of collecting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CollectingStatus {
    /// Whether collecting is on.
    pub is_choosing: bool,
    /// Faces that were kept.
    pub faces: usize,
}

impl Collecting {
    /// Nothing is collected yet.
    pub(super) fn new() -> Self {
        let collector = places::samples().map(|samples| Collector::new(samples, false));
        Self(Mutex::new(State { collector, was_choosing: false }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the source of the following frames.
    pub(super) fn set_origin(&self, origin: Origin) {
        if let Some(collector) = &mut self.state().collector {
            collector.set_origin(origin);
        }
    }

    /// Handles a tracked frame. On the tracking thread.
    pub(super) fn look(&self, tracked: &TrackedFrame) {
        if let Some(collector) = &mut self.state().collector {
            collector.look(&tracked.frame, &tracked.predicted, tracked.time_s);
        }
    }

    /// Keeps this frame; returns a message if it can't.
    pub(super) fn keep(&self, tracked: &TrackedFrame) -> Option<String> {
        match &mut self.state().collector {
            Some(collector) => collector.keep_now(&tracked.frame, &tracked.predicted, tracked.time_s),
            None => return Some(no_home()),
        }
        None
    }

    /// Starts or stops collecting; returns a message.
    pub(super) fn toggle(&self) -> String {
        let state = &mut *self.state();
        let Some(collector) = &mut state.collector else { return no_home() };
        state.was_choosing = !collector.is_choosing();
        if collector.is_choosing() {
            collector.stop();
            "collecting off".into()
        } else {
            collector.start(SelectionOptions::default(), MOST_FRAMES);
            "collecting: turn your head, change your expression, the light and the distance; G stops".into()
        }
    }

    pub(super) fn status(&self) -> CollectingStatus {
        let state = self.state();
        let collector = state.collector.as_ref();
        collector.map_or_else(CollectingStatus::default, |collector| CollectingStatus {
            is_choosing: collector.is_choosing(),
            faces: collector.faces(),
        })
    }

    /// A message about the events since the last call.
    pub(super) fn news(&self) -> Option<String> {
        let state = &mut *self.state();
        let collector = state.collector.as_mut()?;
        let last = collector.events().into_iter().map(|event| in_words(&event)).next_back();
        let has_ended = std::mem::replace(&mut state.was_choosing, collector.is_choosing()) && !state.was_choosing;
        match last {
            None if has_ended => Some(format!("collected {MOST_FRAMES} frames; G collects more")),
            last => last,
        }
    }

    /// Ends collecting: waits until everything is written, and says where it is.
    pub(super) fn finish(&self) {
        // A session that is over keeps nothing.
        let Some(mut collector) = self.state().collector.take() else { return };
        for event in collector.finish() {
            if !matches!(event, CollectorEvent::Kept { .. }) {
                say(&format!("awing: {}", in_words(&event)));
            }
        }
        if let Some(conclusion) = collector.conclusion() {
            say(&conclusion);
        }
    }
}

fn no_home() -> String {
    "there is no home folder to store faces in".into()
}

fn in_words(event: &CollectorEvent) -> String {
    match event {
        CollectorEvent::Kept { reason: Reason::Asked, number, .. } => format!("kept; {number} in this recording"),
        CollectorEvent::Kept { reason, number, .. } => format!("kept: {reason}; {number} in this recording"),
        CollectorEvent::Dropped => "not kept: the disk is too slow".into(),
        CollectorEvent::Failed(reason) => reason.clone(),
    }
}
