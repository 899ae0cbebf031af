//! What the tracking thread and the main thread say to each other.
//!
//! The tracking thread puts what it sees where the main thread finds it, in exchange for the frame that was there
//! before: the newest wins, nothing queues and nothing is copied. The main thread asks for changes by setting flags and
//! by [`Wish`]es; the tracking thread says in [`Told`] what the person should know, also while no frame comes.

use super::args::PrecisionChoice;
use crate::program::view::Layers;
use crate::runtime::image::Frame;
use crate::runtime::track::{Face, StageTimes};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A frame and what is seen in it.
#[derive(Default)]
pub(super) struct Seen {
    /// How many frames were seen before.
    pub number: u64,
    pub frame: Frame,
    pub time_s: f64,
    /// The rate of its source, if it has one.
    pub frames_per_second: Option<f64>,
    /// When the camera took it, or it was read.
    pub captured: Option<Instant>,
    pub faces: Vec<Face>,
    pub times: StageTimes,
}

impl Seen {
    /// Takes over faces without new memory for those that were there before.
    pub(super) fn set_faces(&mut self, faces: &[Face]) {
        self.faces.truncate(faces.len());
        for (i, face) in faces.iter().enumerate() {
            match self.faces.get_mut(i) {
                Some(old) => {
                    (old.id, old.score, old.rect) = (face.id, face.score, face.rect);
                    old.landmarks.clone_from(&face.landmarks);
                }
                None => self.faces.push(face.clone()),
            }
        }
    }
}

/// The newest that was seen.
#[derive(Default)]
pub(super) struct Newest {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot {
    seen: Seen,
    is_fresh: bool,
}

impl Newest {
    /// Puts `seen` there and takes what was there before, taken or not.
    pub(super) fn put(&self, seen: &mut Seen) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut slot.seen, seen);
        slot.is_fresh = true;
        self.changed.notify_one();
    }

    /// Exchanges `seen` for something newer, if there is or soon will be; false if not.
    pub(super) fn take(&self, seen: &mut Seen, patience: Duration) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(slot, patience, |slot| !slot.is_fresh);
        let (mut slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if slot.is_fresh {
            std::mem::swap(&mut slot.seen, seen);
        }
        std::mem::take(&mut slot.is_fresh)
    }
}

/// What the tracking thread is asked to do, and what it tells.
pub(super) struct Controls {
    /// Set by Ctrl-C, or when the window is closed.
    pub stop: Arc<AtomicBool>,
    /// Whether a window shows what is seen: recordings are then played at their own pace, and the demo has no end.
    pub is_shown: AtomicBool,
    /// The most faces to follow.
    pub faces: AtomicUsize,
    pub is_smooth: AtomicBool,
    pub wishes: Mutex<Vec<Wish>>,
    pub told: Mutex<Told>,
}

/// What the tracking thread is asked to do once.
#[cfg_attr(not(feature = "window"), expect(dead_code, reason = "wishes come from the window"))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    NextCamera,
    NextPrecision,
    /// Begins a recording with these drawn in, or ends the one that is going on.
    Record(Layers),
}

/// What the tracking thread tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// Where frames come from.
    pub source: String,
    pub is_live: bool,
    /// The network's arithmetic.
    pub precision: PrecisionChoice,
    /// That in words, with device and threads.
    pub computing: String,
    /// Why no frame comes.
    pub trouble: Option<String>,
    pub recording_since: Option<Instant>,
    /// News, to be shown for a while.
    pub message: Option<String>,
}

impl Controls {
    pub(super) fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Relaxed)
    }

    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wishes(&self) -> MutexGuard<'_, Vec<Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wins_and_is_taken_once() {
        let newest = Newest::default();
        let mut own = Seen::default();
        assert!(!newest.take(&mut own, Duration::ZERO));
        for time_s in [1.0, 2.0, 3.0] {
            own.time_s = time_s;
            newest.put(&mut own);
        }
        assert_eq!(own.time_s, 2.0, "what nobody took comes back to be filled again");
        let mut taken = Seen::default();
        assert!(newest.take(&mut taken, Duration::ZERO));
        assert_eq!(taken.time_s, 3.0);
        assert!(!newest.take(&mut taken, Duration::from_millis(1)));
        assert_eq!(taken.time_s, 3.0, "what was taken stays");
    }
}
