//! A tracked frame, and the handing over of the latest from the tracking thread to the one that shows.
//!
//! The latest replaces the one before it, taken or not: nothing queues, and nothing is copied. The two threads exchange
//! their frames, so that no memory is allocated for new ones.

use crate::runtime::image::Frame;
use crate::runtime::signals::Signals;
use crate::runtime::track::{Face, StageTimes};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A frame and the faces in it.
#[derive(Default)]
pub(crate) struct TrackedFrame {
    /// Frames tracked before this one.
    pub number: u64,
    pub frame: Frame,
    /// Presentation time in seconds.
    pub time_s: f64,
    /// The rate of its source, where there is one.
    pub frames_per_second: Option<f64>,
    /// The name of the source.
    pub input: String,
    /// The name of its file, where frames are pictures of their own.
    pub picture: Option<String>,
    /// When the camera took it, or it was read.
    pub captured: Option<Instant>,
    pub faces: Vec<Face>,
    /// The same faces as the network placed them, without smoothing.
    pub predicted: Vec<Face>,
    /// What each of the faces does, in the same order.
    pub signals: Vec<Signals>,
    pub times: StageTimes,
}

impl TrackedFrame {
    /// Takes over faces, in the memory of those that were there before.
    pub(super) fn set_faces(&mut self, faces: &[Face]) {
        take_over(&mut self.faces, faces);
    }

    /// Takes over the same faces as the network placed them.
    pub(super) fn set_predicted(&mut self, faces: &[Face]) {
        take_over(&mut self.predicted, faces);
    }
}

fn take_over(to: &mut Vec<Face>, faces: &[Face]) {
    to.truncate(faces.len());
    for (i, face) in faces.iter().enumerate() {
        match to.get_mut(i) {
            Some(old) => {
                (old.id, old.score, old.rect) = (face.id, face.score, face.rect);
                old.landmarks.clone_from(&face.landmarks);
            }
            None => to.push(face.clone()),
        }
    }
}

/// The frame that was tracked last.
#[derive(Default)]
pub(super) struct LatestFrame {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot {
    frame: TrackedFrame,
    is_fresh: bool,
}

impl LatestFrame {
    /// Puts `frame` there in exchange for the one before it, taken or not.
    pub(super) fn put(&self, frame: &mut TrackedFrame) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut slot.frame, frame);
        slot.is_fresh = true;
        self.changed.notify_one();
    }

    /// Exchanges `frame` for a newer one, if there is one or comes within `timeout`; false if not.
    pub(super) fn take(&self, frame: &mut TrackedFrame, timeout: Duration) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(slot, timeout, |slot| !slot.is_fresh);
        let (mut slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if slot.is_fresh {
            std::mem::swap(&mut slot.frame, frame);
        }
        std::mem::take(&mut slot.is_fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_wins_and_is_taken_once() {
        let latest = LatestFrame::default();
        let mut own = TrackedFrame::default();
        assert!(!latest.take(&mut own, Duration::ZERO));
        for time_s in [1.0, 2.0, 3.0] {
            own.time_s = time_s;
            latest.put(&mut own);
        }
        assert_eq!(own.time_s, 2.0, "a frame that nobody took comes back to be filled again");
        let mut taken = TrackedFrame::default();
        assert!(latest.take(&mut taken, Duration::ZERO));
        assert_eq!(taken.time_s, 3.0);
        assert!(!latest.take(&mut taken, Duration::from_millis(1)));
        assert_eq!(taken.time_s, 3.0, "a frame that was taken stays");
    }
}
