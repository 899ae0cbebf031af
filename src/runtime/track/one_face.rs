//! The state of one face: the network's result in a frame, and the track across frames.
//!
//! Positions are in pixels of the frame, times in seconds of the caller's clock. Only the network can fail.

use super::head_box::HeadBox;
use super::motion::Motion;
use super::score::{blind_beyond_frame, score};
use super::smoothing::Smoother;
use super::thresholds::{DOUBT_EVERY_S, FRAMES_LOOKED_FOR, KEEP_SCORE, START_SCORE, SURE_SCORE};
use super::{Face, FindLandmarks, Landmark, LandmarkTimes, Roll, Search, TrackError};
use crate::runtime::geometry::{FrameSpace, Point, Rect};
use crate::runtime::image::FrameView;
use crate::runtime::landmarks::Scheme;

/// Whether a face is in sight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TrackState {
    Followed,
    /// Since when, in seconds, and for how many frames.
    Lost {
        since_s: f64,
        frames: u32,
    },
}

/// A face that is followed or was just lost.
pub(super) struct Track {
    pub id: u64,
    pub state: TrackState,
    pub head: HeadBox,
    pub motion: Motion,
    /// Distance of the face from its expected position in the last frame, in face sizes.
    pub surprise: f32,
    /// When the face was last seen, in seconds.
    pub seen_s: f64,
    /// When the detector last saw it, in seconds.
    pub detected_s: f64,
    /// Whether it saw it at half size.
    pub seen_at_half_size: bool,
    pub landmarks: Vec<Landmark>,
    pub score: f32,
    pub smoother: Smoother,
}

impl Track {
    pub fn is_followed(&self) -> bool {
        self.state == TrackState::Followed
    }

    /// Whether the detector should check this face now.
    pub fn is_in_doubt(&self, time_s: f64) -> bool {
        self.is_followed() && self.score < SURE_SCORE && time_s - self.detected_s >= DOUBT_EVERY_S
    }

    /// The search that is most likely to find the face again.
    pub fn own_search(&self) -> Search {
        Search { roll: Roll::nearest(self.head.roll_rad), at_half_size: self.seen_at_half_size }
    }

    /// Notes that a search has found the face.
    pub fn be_detected(&mut self, search: Search, time_s: f64) {
        self.detected_s = time_s;
        self.seen_at_half_size = search.at_half_size;
    }

    /// The box around the landmarks.
    pub fn rect(&self) -> Rect<FrameSpace> {
        around(&self.landmarks)
    }

    /// The score that the face needs to be followed in this frame.
    pub fn required_score(&self) -> f32 {
        if self.is_followed() { KEEP_SCORE } else { START_SCORE }
    }

    /// (Re)starts the track where the detector found the face.
    pub fn take_up(&mut self, found: &Look, search: Search, time_s: f64) {
        self.state = TrackState::Followed;
        self.head = found.head;
        self.motion = Motion::at_rest(found.head.center);
        self.surprise = 0.0;
        self.seen_s = time_s;
        self.be_detected(search, time_s);
        self.score = found.score;
        self.landmarks.clone_from(&found.landmarks);
        self.smoother.reset();
    }

    /// Continues the track with what the network saw in the crop around the last position.
    pub fn go_on(&mut self, look: &mut Look, time_s: f64) {
        self.state = TrackState::Followed;
        self.head = self.head.approached(&look.head);
        let step_s = (time_s - self.seen_s) as f32;
        self.surprise = self.motion.see(look.head.center, step_s) / look.head.side;
        self.seen_s = time_s;
        self.score = look.score;
        std::mem::swap(&mut self.landmarks, &mut look.landmarks);
    }

    /// Writes the face unsmoothed.
    pub fn write(&self, face: &mut Face) {
        (face.id, face.score, face.rect) = (self.id, self.score, self.rect());
        face.landmarks.clone_from(&self.landmarks);
    }

    /// Loses the face without searching at its last position: there is another face there, or none.
    pub fn give_up(&mut self, time_s: f64) {
        self.state = TrackState::Lost { since_s: time_s, frames: FRAMES_LOOKED_FOR };
    }

    pub fn lose(&mut self, time_s: f64) {
        self.state = match self.state {
            TrackState::Followed => TrackState::Lost { since_s: time_s, frames: 1 },
            TrackState::Lost { since_s, frames } => TrackState::Lost { since_s, frames: frames + 1 },
        };
    }
}

pub(super) fn around(landmarks: &[Landmark]) -> Rect<FrameSpace> {
    Rect::around(landmarks.iter().map(|l| l.point)).unwrap_or(Rect::new(0.0, 0.0, 0.0, 0.0))
}

/// The landmark network's result on a crop.
pub(super) struct Look {
    pub head: HeadBox,
    pub landmarks: Vec<Landmark>,
    /// 0 if the crop shows no face.
    pub score: f32,
    pub times: LandmarkTimes,
}

impl Look {
    pub fn new() -> Self {
        Self {
            head: HeadBox { center: Point::new(0.0, 0.0), side: 1.0, roll_rad: 0.0 },
            landmarks: Vec::new(),
            score: 0.0,
            times: LandmarkTimes::default(),
        }
    }

    /// Runs the network on the crop around `searched`. `head` is left unchanged if no box fits the landmarks.
    pub fn at(
        &mut self,
        frame: &FrameView<'_>,
        searched: &HeadBox,
        network: &mut impl FindLandmarks,
        scheme: Option<Scheme>,
    ) -> Result<(), TrackError> {
        let crop_from_frame = searched.crop_from_frame(network.crop_scale(), network.input_size());
        let landmarks = network.find_landmarks(frame, &crop_from_frame)?;
        self.landmarks.clear();
        self.landmarks.extend_from_slice(landmarks);
        self.times = network.times();
        blind_beyond_frame(&mut self.landmarks, frame.width(), frame.height());
        self.score = 0.0;
        if let Some(head) = HeadBox::around(&self.landmarks, scheme, network.box_side()) {
            self.score = score(&self.landmarks, scheme, searched, &head);
            self.head = head;
        }
        Ok(())
    }
}
