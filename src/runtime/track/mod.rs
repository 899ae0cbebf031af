//! Face tracking in a video: frames and their times in, faces with stable ids out.
//!
//! In: RGB frames of any size and the time each was taken, in seconds of any clock that runs forwards. Out: for every
//! visible face its landmarks, their confidences and its box, in pixels of the frame ([`FrameSpace`]).
//!
//! The detector searches the whole frame only while a face is missing or in doubt: when none is followed, when one was
//! just lost, and once a second for newcomers while fewer than the maximum are followed. While none is followed, it
//! also searches the frame at half size and rotated by 90, 180 and 270 degrees: in all ways in the first frame, later
//! in each about once a second. A followed face costs one run of the landmark network, since the landmarks of one frame
//! give the crop of the next. The network's own confidence decides whether tracking continues: if the heatmaps stay
//! flat, or no face can have that shape, nothing is reported and the face is searched for again.
//!
//! Errors: an empty frame, a model that does not fit its task, a failure of inference. A frame without faces is not an
//! error.

mod follower;
mod head_box;
mod motion;
mod one_face;
mod score;
mod smoothing;
mod thresholds;
mod tracker;

#[cfg(test)]
mod fakes;

pub(crate) use head_box::HeadBox;
pub use smoothing::Smoothing;
pub use tracker::{Models, Tracker, TrackerOptions};

use crate::runtime::detect::{Detection, Roll, Search};
use crate::runtime::engine::{EngineError, LandmarkTimes};
use crate::runtime::geometry::{CropSpace, FrameSpace, Rect, Similarity};
use crate::runtime::image::FrameView;
use crate::runtime::landmarks::{Landmark, Part, Scheme};
use crate::runtime::model::{BoxSide, ModelError};
use crate::runtime::workers::MOST_THREADS;

/// Errors of tracking.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    #[error("the frame is empty: it has {width}x{height} pixels")]
    EmptyFrame { width: usize, height: usize },
    #[error("{time_s} s is not a valid frame time")]
    Time { time_s: f64 },
    #[error("at least one face and one to {MOST_THREADS} threads are needed, not {faces} and {threads}")]
    Options { faces: usize, threads: usize },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A face in a frame.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Face {
    /// A face keeps its id while it stays in sight or comes back within a second.
    pub id: u64,
    /// The confidence that this is a face, 0..=1: the mean confidence of the landmarks without the outline.
    pub score: f32,
    /// The box around the landmarks.
    pub rect: Rect<FrameSpace>,
    /// In the order of the model's scheme, smoothed if [`TrackerOptions::smoothing`] is set.
    pub landmarks: Vec<Landmark>,
}

impl Face {
    /// The scheme of the landmarks, inferred from their number; `None` for a model with another scheme.
    pub fn scheme(&self) -> Option<Scheme> {
        Scheme::of_points(self.landmarks.len())
    }

    /// The landmarks of `part`, in the order that [`Scheme::part`] states; none if the scheme has none there.
    pub fn part(&self, part: Part) -> impl ExactSizeIterator<Item = &Landmark> {
        self.scheme().map_or(&[][..], |scheme| scheme.part(part)).iter().map(|&i| &self.landmarks[i])
    }
}

/// The time of each stage of one frame, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StageTimes {
    /// The detector; 0 if it did not run.
    pub detect_ms: f32,
    /// Crops for all faces. With several threads, this, `network_ms` and `decode_ms` are sums over the threads.
    pub crop_ms: f32,
    /// The landmark network.
    pub network_ms: f32,
    /// Landmarks from heatmaps.
    pub decode_ms: f32,
    /// From the first crop to the last landmark, in wall-clock time.
    pub landmarks_ms: f32,
    /// Smoothing.
    pub smooth_ms: f32,
    /// The whole frame.
    pub total_ms: f32,
}

/// Finds faces in a whole frame. A trait, so that the tracking loop can be tested without a model.
pub(crate) trait FindFaces {
    /// All faces that this `search` finds in the frame.
    fn find_faces(&mut self, frame: &FrameView<'_>, search: Search) -> Result<&[Detection], TrackError>;
}

/// Finds the landmarks of one face.
pub(crate) trait FindLandmarks: Send {
    /// How the side of a box that is not square is measured.
    fn box_side(&self) -> BoxSide;
    /// Side of the crop relative to that of the box.
    fn crop_scale(&self) -> f32;
    /// Side of the crop in pixels.
    fn input_size(&self) -> usize;
    /// Allocates the memory for frames of this size in advance, so that no thread has to allocate later.
    fn reserve(&mut self, frame: &FrameView<'_>);
    /// The landmarks of the face in the crop, in pixels of the frame.
    fn find_landmarks(
        &mut self,
        frame: &FrameView<'_>,
        crop_from_frame: &Similarity<CropSpace, FrameSpace>,
    ) -> Result<&[Landmark], TrackError>;
    /// The times of the last [`Self::find_landmarks`].
    fn times(&self) -> LandmarkTimes;
}
