//! Faces that the person collects, at the window or on a page.
//!
//! In: every tracked frame, and what the person asks for. Out: a recording in the default collection, made when the first frame is
//! kept, and messages. Frames are encoded and written by a thread of their own; one that finds its queue full is dropped,
//! so nobody waits for the disk. Errors are messages.

use super::frame::TrackedFrame;
use crate::program::collect::{Collector, CollectorEvent, Origin, Reason, SelectionOptions};
use crate::program::console::say;
use crate::program::places;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// After this many frames collecting by itself ends.
const MOST_FRAMES: usize = 60;

/// What the threads of a session share about collecting.
pub(super) struct Collecting(Mutex<State>);

struct State {
    /// `None` without a home folder.
    collector: Option<Collector>,
    /// Whether frames were kept by themselves when that was asked last.
    was_choosing: bool,
}

/// What the person sees of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CollectingStatus {
    /// Whether frames are kept by themselves.
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

    /// The frames that follow come from here.
    pub(super) fn set_origin(&self, origin: Origin) {
        if let Some(collector) = &mut self.state().collector {
            collector.set_origin(origin);
        }
    }

    /// A frame was tracked. On the tracking thread.
    pub(super) fn look(&self, tracked: &TrackedFrame) {
        if let Some(collector) = &mut self.state().collector {
            collector.look(&tracked.frame, &tracked.predicted, tracked.time_s);
        }
    }

    /// Keeps this frame; the text is for the person, if nothing will come of it.
    pub(super) fn keep(&self, tracked: &TrackedFrame) -> Option<String> {
        match &mut self.state().collector {
            Some(collector) => collector.keep_now(&tracked.frame, &tracked.predicted, tracked.time_s),
            None => return Some(no_home()),
        }
        None
    }

    /// Starts or stops to keep frames by themselves; the text is for the person.
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

    /// What has happened since the last call, for the person.
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

    /// Waits until everything is written and says where it is; nothing is kept any more.
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
