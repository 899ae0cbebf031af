//! The public tracker: the tracking loop with the real detector and landmark network.

use super::follower::{Follower, FollowerOptions};
use super::{Face, FindFaces, FindLandmarks, Smoothing, StageTimes, TrackError};
use crate::runtime::detect::{Detection, Detector, Search};
use crate::runtime::engine::{Backend, Choice, EngineError, LandmarkTimes, Landmarker, Outputs, Precision};
use crate::runtime::geometry::{CropSpace, FrameSpace, Similarity};
use crate::runtime::image::FrameView;
use crate::runtime::landmarks::{Landmark, Scheme};
use crate::runtime::model::{BoxSide, Model, ModelError, default_detector, default_landmarks};
use crate::runtime::workers::MOST_THREADS;
use std::fmt;
use std::time::Instant;

/// The options of a [`Tracker`]. Start from [`Default`] and change what you need.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrackerOptions {
    /// Maximum number of faces to track; at least 1.
    pub faces: usize,
    /// Smoothing of landmarks over time; `None` for none.
    pub smoothing: Option<Smoothing>,
    /// Number of threads, at least 1. More than one helps with several faces or a large network.
    pub threads: usize,
    /// The precision of the networks on the CPU.
    pub precision: Precision,
}

impl Default for TrackerOptions {
    /// Four faces, smoothed, on one thread, in the default precision.
    fn default() -> Self {
        Self { faces: 4, smoothing: Some(Smoothing::default()), threads: 1, precision: Precision::default() }
    }
}

/// The two models that a tracker needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    /// Finds the landmarks of a face.
    pub landmarks: Model,
    /// Finds faces in a frame.
    pub detector: Model,
}

impl Models {
    /// The models that come with the library.
    ///
    /// # Errors
    /// Never in a build that passes its tests.
    pub fn bundled() -> Result<Self, ModelError> {
        Ok(Self { landmarks: default_landmarks()?, detector: default_detector()? })
    }
}

/// Finds faces, tracks them from frame to frame and reports their landmarks.
pub struct Tracker {
    follower: Follower<Detector, Landmarker>,
    /// Of the landmark networks; `None` on a backend.
    choice: Option<Choice>,
    start: Instant,
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").field("faces", &self.faces()).finish_non_exhaustive()
    }
}

impl Tracker {
    /// A tracker with the models that come with the library.
    ///
    /// # Errors
    /// As [`Self::with_models`].
    pub fn new(options: TrackerOptions) -> Result<Self, TrackError> {
        Self::with_models(options, &Models::bundled()?)
    }

    /// A tracker with your own models.
    ///
    /// # Errors
    /// [`TrackError::Options`] for zero or far too many faces or threads; [`TrackError::Engine`] if a model is of the
    /// wrong kind.
    pub fn with_models(options: TrackerOptions, models: &Models) -> Result<Self, TrackError> {
        let (threads, precision) = (options.threads, options.precision);
        // A single face is processed by the first network on all threads; several faces by one network each.
        Self::with_networks(options, models, |number| {
            let threads = if number == 0 { threads } else { 1 };
            Landmarker::with_threads(&models.landmarks, Outputs::Decoded, precision, threads)
        })
    }

    /// A tracker whose landmark network runs on `backend` instead of the CPU; the detector stays on the CPU, and
    /// [`TrackerOptions::precision`] applies to the detector only.
    ///
    /// # Errors
    /// As [`Self::with_models`].
    pub fn on_backend(options: TrackerOptions, models: &Models, backend: &dyn Backend) -> Result<Self, TrackError> {
        Self::with_networks(options, models, |_| Landmarker::on_backend(&models.landmarks, backend))
    }

    fn with_networks(
        options: TrackerOptions,
        models: &Models,
        network: impl Fn(usize) -> Result<Landmarker, EngineError>,
    ) -> Result<Self, TrackError> {
        let TrackerOptions { faces, smoothing, threads, precision } = options;
        if faces == 0 || !(1..=MOST_THREADS).contains(&threads) {
            return Err(TrackError::Options { faces, threads });
        }
        let detector = Detector::new(&models.detector, precision)?;
        let networks = (0..threads.min(faces)).map(network).collect::<Result<Vec<_>, _>>()?;
        let scheme = Scheme::of_points(models.landmarks.config().points);
        let choice = networks.first().and_then(Landmarker::choice).cloned();
        let follower = Follower::new(detector, networks, FollowerOptions { faces, smoothing, scheme });
        Ok(Self { follower, choice, start: Instant::now() })
    }

    /// The precision of the landmark network, never [`Precision::Auto`]; `None` on a backend.
    pub fn precision(&self) -> Option<Precision> {
        self.choice.as_ref().map(|choice| choice.precision)
    }

    /// As [`Self::precision`], with the reason.
    pub(crate) fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// The faces in a frame that was taken just now.
    ///
    /// # Errors
    /// As [`Self::track_at`].
    pub fn track<'f>(&mut self, frame: impl Into<FrameView<'f>>) -> Result<&[Face], TrackError> {
        let time_s = self.start.elapsed().as_secs_f64();
        self.track_at(frame, time_s)
    }

    /// The faces in a frame that was taken at `time_s`, in seconds of any clock: the position in a recording, or a
    /// camera's time stamp. Times determine speeds and detector runs. Frames slightly out of order, or a
    /// clock that is set back, do no harm. Call [`Self::reset`] between unrelated pictures.
    ///
    /// # Errors
    /// [`TrackError::EmptyFrame`]; [`TrackError::Time`] if `time_s` is not finite; [`TrackError::Engine`] if a network
    /// fails.
    pub fn track_at<'f>(&mut self, frame: impl Into<FrameView<'f>>, time_s: f64) -> Result<&[Face], TrackError> {
        self.follower.track(&frame.into(), time_s)
    }

    /// The faces of the last frame without smoothing, in the order of [`Self::track_at`]. Smoothed landmarks lag a
    /// little behind a moving face.
    pub fn unsmoothed(&self) -> &[Face] {
        self.follower.unsmoothed()
    }

    /// The faces of the last frame, as [`Self::track_at`] returned them.
    pub fn faces(&self) -> &[Face] {
        self.follower.faces()
    }

    /// The detector's results in a frame, in descending order of score; tracked faces are not affected.
    ///
    /// # Errors
    /// As [`Self::track_at`].
    pub fn detect<'f>(&mut self, frame: impl Into<FrameView<'f>>) -> Result<&[Detection], TrackError> {
        let frame = frame.into();
        let (width, height) = (frame.width(), frame.height());
        if width == 0 || height == 0 {
            return Err(TrackError::EmptyFrame { width, height });
        }
        self.follower.detector_mut().find_faces(&frame, Search::UPRIGHT)
    }

    /// Forgets all faces. Call it between unrelated pictures.
    pub fn reset(&mut self) {
        self.follower.reset();
    }

    /// Continues from another tracker, for example to change the model or precision in the middle of a video: its faces
    /// keep their ids and are searched for at their last positions. If the two models have different schemes, this
    /// tracker starts from scratch.
    pub fn take_over(&mut self, before: Self) {
        self.start = before.start;
        self.follower.take_over(before.follower);
    }

    /// Changes the maximum number of faces, at least 1. The largest and most confident are kept.
    pub fn set_faces(&mut self, faces: usize) {
        self.follower.options_mut().faces = faces.max(1);
    }

    /// Changes the smoothing; `None` for none.
    pub fn set_smoothing(&mut self, smoothing: Option<Smoothing>) {
        self.follower.set_smoothing(smoothing);
    }

    /// The time of each stage of the last frame.
    pub fn timings(&self) -> StageTimes {
        self.follower.times()
    }
}

impl FindFaces for Detector {
    fn find_faces(&mut self, frame: &FrameView<'_>, search: Search) -> Result<&[Detection], TrackError> {
        Ok(self.search(frame, search)?)
    }
}

impl FindLandmarks for Landmarker {
    fn box_side(&self) -> BoxSide {
        self.box_side()
    }

    fn crop_scale(&self) -> f32 {
        self.crop_scale()
    }

    fn input_size(&self) -> usize {
        self.input_size()
    }

    fn reserve(&mut self, frame: &FrameView<'_>) {
        self.reserve(frame);
    }

    fn find_landmarks(
        &mut self,
        frame: &FrameView<'_>,
        crop_from_frame: &Similarity<CropSpace, FrameSpace>,
    ) -> Result<&[Landmark], TrackError> {
        Ok(self.predict(*frame, crop_from_frame)?)
    }

    fn times(&self) -> LandmarkTimes {
        self.times()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_types_can_move_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Tracker>();
        is_send::<Models>();
        is_send::<Face>();
        is_send::<TrackError>();
        is_send::<crate::Frame>();
        is_send::<FrameView<'_>>();
    }

    #[test]
    fn options_without_faces_or_threads_are_refused() {
        for (faces, threads) in [(0, 1), (1, 0), (1, 100_000), (usize::MAX, usize::MAX)] {
            let options = TrackerOptions { faces, threads, ..TrackerOptions::default() };
            assert!(matches!(Tracker::new(options), Err(TrackError::Options { .. })));
        }
    }
}
