//! Faces followed through a video: frames and their times in, faces with stable ids out.
//!
//! In: RGB frames of any size, and when each was taken, in seconds of any clock that runs forwards. Out: for every face
//! that is seen, its landmarks, their confidence and its box, in pixels of the frame ([`FrameSpace`]).
//!
//! The detector searches the whole frame only while a face is missing or in doubt: when none is followed, when one was
//! just lost, and once a second for newcomers while there are fewer than wanted. A followed face costs one run of the landmark
//! network: the landmarks of one frame say where to look in the next. What the network says of itself decides whether
//! that goes on: where the heatmaps stay flat or the shape can be no face's, nothing is reported and the face is
//! searched for again.
//!
//! What fails: an empty frame, a model that does not fit its task, inference itself. "No face" is no failure.

mod follower;
mod head_box;
mod motion;
mod score;
mod smoothing;
mod tracker;

#[cfg(test)]
mod fakes;

pub(crate) use head_box::HeadBox;
pub use smoothing::Smoothing;
pub use tracker::{Models, Tracker, TrackerOptions};

use crate::runtime::detect::Detection;
use crate::runtime::engine::{EngineError, LandmarkTimes};
use crate::runtime::geometry::{CropSpace, FrameSpace, Rect, Similarity};
use crate::runtime::image::FrameView;
use crate::runtime::landmarks::{Landmark, Part, Scheme};
use crate::runtime::model::{BoxSide, ModelError};

/// What can go wrong when faces are followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    #[error("the frame is empty: it has {width}x{height} pixels")]
    EmptyFrame { width: usize, height: usize },
    #[error("a frame can't have been taken at {time_s} s")]
    Time { time_s: f64 },
    #[error("at least one face and one thread are needed, not {faces} and {threads}")]
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
    /// The same number is the same face, as long as it stays in sight or comes back within a second.
    pub id: u64,
    /// How sure it is that a face is there and well met, 0..=1: the mean confidence of its landmarks but the outline's.
    pub score: f32,
    /// The box around the landmarks.
    pub rect: Rect<FrameSpace>,
    /// In the order of the model's scheme, smoothed if [`TrackerOptions::smoothing`] says so.
    pub landmarks: Vec<Landmark>,
}

impl Face {
    /// The scheme of the landmarks, told by their number; `None` for a model of another scheme.
    pub fn scheme(&self) -> Option<Scheme> {
        Scheme::of_points(self.landmarks.len())
    }

    /// The landmarks of `part`, in the order that [`Scheme::part`] states; none if the scheme has none there.
    pub fn part(&self, part: Part) -> impl ExactSizeIterator<Item = &Landmark> {
        self.scheme().map_or(&[][..], |scheme| scheme.part(part)).iter().map(|&i| &self.landmarks[i])
    }
}

/// How long the stages of one frame took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StageTimes {
    /// The detector; 0 where it did not run.
    pub detect_ms: f32,
    /// Crops for all faces; with several threads the sum of what each spent, as for `network_ms` and `decode_ms`.
    pub crop_ms: f32,
    /// The landmark network.
    pub network_ms: f32,
    /// Landmarks from heatmaps.
    pub decode_ms: f32,
    /// From the first crop to the last landmark, as it passed on the clock.
    pub landmarks_ms: f32,
    /// Smoothing.
    pub smooth_ms: f32,
    /// All of the frame.
    pub total_ms: f32,
}

/// Finds faces in a whole frame. The tracker is tested with one that needs no model.
pub(crate) trait FindFaces {
    /// All faces in the frame.
    fn find_faces(&mut self, frame: &FrameView<'_>) -> Result<&[Detection], TrackError>;
}

/// Finds the landmarks of one face.
pub(crate) trait FindLandmarks: Send {
    /// What the side of the box around the landmarks is.
    fn box_side(&self) -> BoxSide;
    /// Side of the crop over that of the box.
    fn crop_scale(&self) -> f32;
    /// Pixels a side of the crop.
    fn input_size(&self) -> usize;
    /// Takes the memory that such a frame needs, whichever thread comes to need it and when.
    fn reserve(&mut self, frame: &FrameView<'_>);
    /// The landmarks of the face that the crop shows, in pixels of the frame.
    fn find_landmarks(
        &mut self,
        frame: &FrameView<'_>,
        crop_from_frame: &Similarity<CropSpace, FrameSpace>,
    ) -> Result<&[Landmark], TrackError>;
    /// Of the last call of [`Self::find_landmarks`].
    fn times(&self) -> LandmarkTimes;
}
