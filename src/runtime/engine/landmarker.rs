//! The landmarks of one face: crop, network, decoding. Evaluation and tracking share it.
//!
//! In: a frame and the similarity between the crop and the frame. Out: the landmarks in the frame, in pixels, with
//! confidences in 0..=1.

use super::{Backend, Choice, Engine, EngineError, EngineOptions, Executor, Outputs, Precision};
use crate::runtime::geometry::{
    CropSpace, FrameSpace, Point, Rect, Similarity, Space, crop_from_frame, heatmap_from_crop,
};
use crate::runtime::heatmap::{Calibration, Decoding, HeatmapView, Peak, decode};
use crate::runtime::image::{Border, Cropper, FrameView};
use crate::runtime::landmarks::{Landmark, Scheme, Style, StyleFits};
use crate::runtime::model::{BoxSide, CropConvention, Kind, Model};
use std::time::Instant;

/// The time of each stage of a prediction, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LandmarkTimes {
    pub crop_ms: f32,
    pub network_ms: f32,
    pub decode_ms: f32,
}

/// A landmark model, ready to run.
pub struct Landmarker {
    executor: Box<dyn Executor>,
    /// The compiled engine's choice of precision; `None` on a [`Backend`].
    choice: Option<Choice>,
    cropper: Cropper,
    decoding: Decoding,
    calibration: Calibration,
    points: usize,
    style: Option<Style>,
    style_fits: StyleFits,
    input_size: usize,
    crop: CropConvention,
    peaks: Vec<Peak>,
    landmarks: Vec<Landmark>,
    times: LandmarkTimes,
}

impl Landmarker {
    /// Compiles a landmark model. With [`Outputs::All`], [`Self::all_maps`] gives all maps of a prediction.
    ///
    /// # Errors
    /// As [`Engine::compile`]; [`EngineError::Kind`] for a detector.
    pub fn new(model: &Model, outputs: Outputs, precision: Precision) -> Result<Self, EngineError> {
        Self::with_threads(model, outputs, precision, 1)
    }

    /// As [`Self::new`], with long steps shared by `threads` threads.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_threads(
        model: &Model,
        outputs: Outputs,
        precision: Precision,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let size = model.config().input_size;
        Self::compiled(model, &EngineOptions { outputs, precision, threads, ..EngineOptions::new(size, size) })
    }

    /// Compiles a landmark model; `options` have to state the model's own input size.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn compiled(model: &Model, options: &EngineOptions) -> Result<Self, EngineError> {
        debug_assert_eq!((options.width, options.height), (model.config().input_size, model.config().input_size));
        Self::with_executor(model, || {
            let engine = Engine::compile(model, options)?;
            let choice = engine.choice().clone();
            Ok((Box::new(engine), Some(choice)))
        })
    }

    /// Runs a landmark model on `backend`.
    ///
    /// # Errors
    /// [`EngineError::Kind`] for a detector; [`EngineError::Executor`].
    pub fn on_backend(model: &Model, backend: &dyn Backend) -> Result<Self, EngineError> {
        Self::with_executor(model, || Ok((backend.executor(model)?, None)))
    }

    fn with_executor(
        model: &Model,
        executor: impl FnOnce() -> Result<(Box<dyn Executor>, Option<Choice>), EngineError>,
    ) -> Result<Self, EngineError> {
        let config = model.config();
        if config.kind != Kind::Landmarks {
            return Err(EngineError::Kind { wanted: Kind::Landmarks.described() });
        }
        let (executor, choice) = executor()?;
        Ok(Self {
            executor,
            choice,
            cropper: Cropper::new(),
            decoding: config.decoding,
            calibration: config.calibration.clone(),
            points: config.points,
            style: config.style,
            style_fits: config.style_fits.clone(),
            input_size: config.input_size,
            crop: config.crop,
            peaks: Vec::with_capacity(config.points),
            landmarks: Vec::with_capacity(config.points),
            times: LandmarkTimes::default(),
        })
    }

    /// The crop for a box around the landmarks, with the model's margin, rotated by `angle_rad`, the roll of the head.
    pub fn crop_about(&self, landmark_box: &Rect<FrameSpace>, angle_rad: f32) -> Similarity<CropSpace, FrameSpace> {
        crop_from_frame(landmark_box.center(), self.crop.side(landmark_box), angle_rad, self.input_size)
    }

    /// The scheme of the landmarks, if it is a known one.
    pub fn scheme(&self) -> Option<Scheme> {
        Scheme::of_points(self.points)
    }

    /// The points converted to the annotation style `style`; `None` if no conversion is needed or known.
    pub fn in_style<S: Space>(&self, style: Style, points: &[Point<S>]) -> Option<Vec<Point<S>>> {
        style.expressed(self.style, &self.style_fits, points)
    }

    /// The precision of the network, and the reason; `None` on a [`Backend`].
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// The number of landmarks.
    pub fn points(&self) -> usize {
        self.points
    }

    /// The ratio of the crop's side to that of the box around the landmarks.
    pub fn crop_scale(&self) -> f32 {
        self.crop.scale
    }

    /// How the side of the box around the landmarks is measured.
    pub fn box_side(&self) -> BoxSide {
        self.crop.box_side
    }

    /// The side of the crop in pixels.
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// All maps of the last stack from the last [`Self::predict`], the boundary map last if there is one; `None` if the
    /// model was not compiled with [`Outputs::All`].
    pub fn all_maps(&self) -> Option<HeatmapView<'_>> {
        self.executor.all_maps()
    }

    /// The times of the last [`Self::predict`].
    pub fn times(&self) -> LandmarkTimes {
        self.times
    }

    /// Allocates the memory for crops of such a frame in advance, so that [`Self::predict`] does not have to.
    pub fn reserve(&mut self, frame: &FrameView<'_>) {
        self.cropper.reserve(frame);
    }

    /// The landmarks of the face in the crop.
    ///
    /// # Errors
    /// [`EngineError::EmptyFrame`]; on a backend also [`EngineError::Executor`].
    pub fn predict<'f>(
        &mut self,
        frame: impl Into<FrameView<'f>>,
        crop_from_frame: &Similarity<CropSpace, FrameSpace>,
    ) -> Result<&[Landmark], EngineError> {
        let frame = frame.into();
        let (width, height) = (frame.width(), frame.height());
        if width == 0 || height == 0 {
            return Err(EngineError::EmptyFrame { width, height });
        }
        let start = Instant::now();
        let input = self.executor.input_mut();
        self.cropper.crop_into(&frame, crop_from_frame, self.input_size, Border::Replicate, input);
        let cropped = Instant::now();
        self.executor.run()?;
        let maps = self.executor.output();
        let inferred = Instant::now();
        decode(&maps, self.points, self.decoding, &self.calibration, &mut self.peaks);
        let crop_from_heatmap = heatmap_from_crop(maps.width, self.input_size).inverse();
        let frame_from_heatmap = crop_from_heatmap.then(&crop_from_frame.inverse());
        self.landmarks.clear();
        self.landmarks.extend(
            self.peaks
                .iter()
                .map(|peak| Landmark { point: frame_from_heatmap.apply(peak.cell), confidence: peak.confidence }),
        );
        let milliseconds = |from: Instant, to: Instant| (to - from).as_secs_f32() * 1000.0;
        self.times = LandmarkTimes {
            crop_ms: milliseconds(start, cropped),
            network_ms: milliseconds(cropped, inferred),
            decode_ms: milliseconds(inferred, Instant::now()),
        };
        Ok(&self.landmarks)
    }
}
