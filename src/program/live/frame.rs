//! A tracked frame, which the tracking thread passes to display and outputs.

use crate::runtime::image::Frame;
use crate::runtime::signals::Signals;
use crate::runtime::track::{Face, StageTimes};
use std::time::Instant;

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
    /// The name of its file, if frames are separate pictures.
    pub picture: Option<String>,
    /// The capture time, or the time of reading.
    pub captured: Option<Instant>,
    pub faces: Vec<Face>,
    /// The same faces without smoothing.
    pub predicted: Vec<Face>,
    /// The signals of the faces, in the same order.
    pub signals: Vec<Signals>,
    pub times: StageTimes,
}

impl TrackedFrame {
    /// Copies faces, reusing the memory of earlier ones.
    pub(super) fn set_faces(&mut self, faces: &[Face]) {
        take_over(&mut self.faces, faces);
    }

    /// Forgets all faces but this one.
    pub(super) fn keep_only(&mut self, id: u64) {
        self.faces.retain(|face| face.id == id);
        self.predicted.retain(|face| face.id == id);
        self.signals.retain(|signals| signals.id == id);
    }

    /// Copies the same faces without smoothing.
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
