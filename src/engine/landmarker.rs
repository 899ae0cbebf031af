//! One face: a picture and where its face is in, landmarks out. Evaluation and tracking share it.

use super::{Engine, EngineError, EngineOptions, Outputs, Precision};
use crate::geometry::{CropSpace, FrameSpace, Point, Rect, Similarity, crop_from_frame, heatmap_from_crop};
use crate::heatmap::{Calibration, Decoding, Peak, decode};
use crate::image::{Border, Frame, crop_into};
use crate::landmarks::Scheme;
use crate::model::{BoxSide, CropConvention, Model};
use std::time::Instant;

/// A landmark in the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Landmark {
    pub position: Point<FrameSpace>,
    /// Share of such points that are about right, 0..=1 (see [`Peak::confidence`]).
    pub confidence: f32,
}

/// What a prediction did with its time, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LandmarkTimes {
    pub crop_ms: f32,
    pub network_ms: f32,
    pub decode_ms: f32,
}

/// A landmark model ready to run.
pub struct Landmarker {
    engine: Engine,
    decoding: Decoding,
    calibration: Calibration,
    points: usize,
    input_size: usize,
    crop: CropConvention,
    peaks: Vec<Peak>,
    landmarks: Vec<Landmark>,
    times: LandmarkTimes,
}

impl Landmarker {
    /// Compiles a landmark model. With [`Outputs::All`], [`Self::engine`] has all maps after a prediction.
    ///
    /// # Errors
    /// As [`Engine::compile`]; [`EngineError::Kind`] for a detector.
    pub fn new(model: &Model, outputs: Outputs, precision: Precision) -> Result<Self, EngineError> {
        Self::with_threads(model, outputs, precision, 1)
    }

    /// As [`Self::new`], with steps that are long enough shared by so many threads.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_threads(
        model: &Model,
        outputs: Outputs,
        precision: Precision,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let config = model.config();
        if config.kind != crate::model::Kind::Landmarks {
            return Err(EngineError::Kind { wanted: crate::model::Kind::Landmarks });
        }
        let (height, width) = (config.input_size, config.input_size);
        let engine = Engine::compile(model, &EngineOptions { height, width, outputs, precision, threads })?;
        Ok(Self {
            engine,
            decoding: config.decoding,
            calibration: config.calibration.clone(),
            points: config.points,
            input_size: config.input_size,
            crop: config.crop,
            peaks: Vec::new(),
            landmarks: Vec::new(),
            times: LandmarkTimes::default(),
        })
    }

    /// The crop about a box around the landmarks: the model's own margin, turned by `angle_rad`, the roll of the head.
    pub fn crop_about(&self, landmark_box: &Rect<FrameSpace>, angle_rad: f32) -> Similarity<CropSpace, FrameSpace> {
        crop_from_frame(landmark_box.center(), self.crop.side(landmark_box), angle_rad, self.input_size)
    }

    /// Which points it finds, if that is a known scheme.
    pub fn scheme(&self) -> Option<Scheme> {
        Scheme::of_points(self.points)
    }

    /// Side of the crop over that of the box around the landmarks.
    pub fn crop_scale(&self) -> f32 {
        self.crop.scale
    }

    /// What the side of the box around the landmarks is.
    pub fn box_side(&self) -> BoxSide {
        self.crop.box_side
    }

    /// Pixels a side of the crop.
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// The network and the maps of the last [`Self::predict`].
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Of the last [`Self::predict`].
    pub fn times(&self) -> LandmarkTimes {
        self.times
    }

    /// The landmarks of the face in the crop.
    pub fn predict(&mut self, frame: &Frame, crop_from_frame: &Similarity<CropSpace, FrameSpace>) -> &[Landmark] {
        let start = Instant::now();
        crop_into(frame, crop_from_frame, self.input_size, Border::Replicate, self.engine.input_mut());
        let cropped = Instant::now();
        self.engine.run();
        let inferred = Instant::now();
        let maps = self.engine.output();
        decode(&maps, self.points, self.decoding, &self.calibration, &mut self.peaks);
        let crop_from_heatmap = heatmap_from_crop(maps.width, self.input_size).inverse();
        let frame_from_heatmap = crop_from_heatmap.then(&crop_from_frame.inverse());
        self.landmarks.clear();
        self.landmarks.extend(
            self.peaks
                .iter()
                .map(|peak| Landmark { position: frame_from_heatmap.apply(peak.cell), confidence: peak.confidence }),
        );
        let milliseconds = |from: Instant, to: Instant| (to - from).as_secs_f32() * 1000.0;
        self.times = LandmarkTimes {
            crop_ms: milliseconds(start, cropped),
            network_ms: milliseconds(cropped, inferred),
            decode_ms: milliseconds(inferred, Instant::now()),
        };
        &self.landmarks
    }
}
