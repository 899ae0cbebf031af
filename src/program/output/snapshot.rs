//! The copy of a frame for senders: everything but the picture.

use crate::runtime::geometry::Point;
use crate::runtime::landmarks::{Landmark, WFLW_POINTS};
use crate::runtime::signals::Signals;
use crate::runtime::track::Face;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The faces of a frame.
#[derive(Default)]
pub(super) struct Snapshot {
    /// Presentation time in seconds.
    pub time_s: f64,
    /// The capture time, or the time of reading: seconds since 1970.
    pub unix_s: f64,
    pub width: usize,
    pub height: usize,
    pub faces: Vec<FaceSnapshot>,
}

/// A face with 98 landmarks.
pub(super) struct FaceSnapshot {
    pub landmarks: [Landmark; WFLW_POINTS],
    pub signals: Signals,
}

impl Snapshot {
    /// Copies a frame, reusing memory. Faces of other schemes have no signals and are left out.
    pub(super) fn fill(
        &mut self,
        time_s: f64,
        captured: Option<Instant>,
        [width, height]: [usize; 2],
        faces: &[Face],
        signals: &[Signals],
    ) {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.unix_s = now_s - captured.map_or(0.0, |captured| captured.elapsed().as_secs_f64());
        (self.time_s, self.width, self.height) = (time_s, width, height);
        self.faces.clear();
        for face in faces {
            let signals = signals.iter().find(|signals| signals.id == face.id);
            if let (Ok(landmarks), Some(signals)) = (face.landmarks.as_slice().try_into(), signals) {
                self.faces.push(FaceSnapshot { landmarks, signals: signals.clone() });
            }
        }
    }

    /// The face that formats for one face send: the one with the lowest id, which came first of those in sight.
    pub(super) fn first_face(&self) -> Option<&FaceSnapshot> {
        self.faces.iter().min_by_key(|face| face.signals.id)
    }
}

impl FaceSnapshot {
    pub(super) fn point(&self, landmark: usize) -> [f32; 2] {
        let Point { x, y, .. } = self.landmarks[landmark].point;
        [x, y]
    }
}
