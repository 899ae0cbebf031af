//! Fakes of the detector and the landmark network: they need no model, since they know where the faces of a scene are.

use super::head_box::HeadBox;
use super::{Detection, FindFaces, FindLandmarks, Landmark, LandmarkTimes, Search, TrackError};
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Rect, Similarity};
use crate::runtime::image::FrameView;
use crate::runtime::landmarks::WFLW_POINTS;
use crate::runtime::model::BoxSide;
use std::f32::consts::{PI, TAU};
use std::sync::{Arc, Mutex, MutexGuard};

/// A face as the fakes see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FakeFace {
    pub center: Point<FrameSpace>,
    /// Longer side of the box around the landmarks, in pixels.
    pub side: f32,
    pub roll_rad: f32,
    /// Width over height.
    pub width: f32,
    /// The confidence of each point.
    pub confidence: f32,
    /// Whether the detector finds it.
    pub is_detectable: bool,
    /// Whether it does so at half of the size only.
    pub only_at_half_size: bool,
    /// The detector's score.
    pub detection_score: f32,
}

impl FakeFace {
    pub(crate) fn at(x: f32, y: f32, side: f32) -> Self {
        let center = Point::new(x, y);
        Self {
            center,
            side,
            roll_rad: 0.0,
            width: 1.0,
            confidence: 1.0,
            is_detectable: true,
            only_at_half_size: false,
            detection_score: 0.9,
        }
    }

    pub(crate) fn head_box(&self) -> HeadBox {
        HeadBox { center: self.center, side: self.side, roll_rad: self.roll_rad }
    }

    fn rect(&self) -> Rect<FrameSpace> {
        let (w, h) = (self.side * self.width.min(1.0), self.side / self.width.max(1.0));
        Rect::new(self.center.x - 0.5 * w, self.center.y - 0.5 * h, w, h)
    }
}

/// The 98 landmarks of an upright schematic face that fills -0.5..=0.5 in x and y.
fn layout(i: usize) -> (f32, f32) {
    let ring = |first: usize, count: usize, x: f32, y: f32, rx: f32, ry: f32| {
        let turn = PI + TAU * (i - first) as f32 / count as f32;
        (x + rx * turn.cos(), y + ry * turn.sin())
    };
    match i {
        0..=32 => {
            let turn = PI * i as f32 / 32.0;
            (-0.5 * turn.cos(), -0.2 + 0.7 * turn.sin())
        }
        33..=41 => ring(33, 9, -0.22, -0.45, 0.15, 0.05),
        42..=50 => ring(42, 9, 0.22, -0.45, 0.15, 0.05),
        51..=54 => (0.0, -0.25 + 0.1 * (i - 51) as f32),
        55..=59 => (0.05 * (i as f32 - 57.0), 0.1),
        60..=67 => ring(60, 8, -0.22, -0.25, 0.1, 0.04),
        68..=75 => ring(68, 8, 0.22, -0.25, 0.1, 0.04),
        76..=87 => ring(76, 12, 0.0, 0.25, 0.18, 0.07),
        88..=95 => ring(88, 8, 0.0, 0.25, 0.15, 0.03),
        96 => (-0.22, -0.25),
        _ => (0.22, -0.25),
    }
}

/// The landmarks of a face.
pub(crate) fn landmarks_of(face: &FakeFace) -> Vec<Landmark> {
    let (sin, cos) = face.roll_rad.sin_cos();
    (0..WFLW_POINTS)
        .map(|i| {
            let (x, y) = layout(i);
            let (x, y) = (x * face.side * face.width.min(1.0), y * face.side / face.width.max(1.0));
            let point = Point::new(face.center.x + cos * x - sin * y, face.center.y + sin * x + cos * y);
            Landmark { point, confidence: face.confidence }
        })
        .collect()
}

/// The faces in view, shared by the test, the detector and the landmark network.
#[derive(Clone, Default)]
pub(crate) struct FakeScene(Arc<Mutex<SceneState>>);

#[derive(Default)]
struct SceneState {
    faces: Vec<FakeFace>,
    detector_calls: usize,
    further_searches: usize,
    landmark_calls: usize,
}

impl FakeScene {
    fn state(&self) -> MutexGuard<'_, SceneState> {
        self.0.lock().expect("no test panics while it holds the scene")
    }

    pub(crate) fn show(&self, faces: &[FakeFace]) {
        self.state().faces = faces.to_vec();
    }

    /// How often the detector has searched a rotated or smaller frame.
    pub(crate) fn further_searches(&self) -> usize {
        self.state().further_searches
    }

    /// How often the detector has searched a frame as it is.
    pub(crate) fn detector_calls(&self) -> usize {
        self.state().detector_calls
    }

    /// How often the landmark network has run.
    pub(crate) fn landmark_calls(&self) -> usize {
        self.state().landmark_calls
    }
}

pub(crate) struct FakeDetector {
    pub scene: FakeScene,
    found: Vec<Detection>,
}

impl FakeDetector {
    pub(crate) fn new(scene: &FakeScene) -> Self {
        Self { scene: scene.clone(), found: Vec::new() }
    }
}

impl FindFaces for FakeDetector {
    /// Heads that are turned by less than an eighth from the `search`'s roll.
    fn find_faces(&mut self, _: &FrameView<'_>, search: Search) -> Result<&[Detection], TrackError> {
        let mut state = self.scene.state();
        if search == Search::UPRIGHT {
            state.detector_calls += 1;
        } else {
            state.further_searches += 1;
        }
        self.found.clear();
        let is_seen = |f: &&FakeFace| {
            let is_of_roll = (f.roll_rad - search.roll.angle_rad()).cos() > 0.7;
            f.is_detectable && is_of_roll && (search.at_half_size || !f.only_at_half_size)
        };
        let seen = state.faces.iter().filter(is_seen);
        self.found.extend(seen.map(|f| Detection { rect: f.rect(), score: f.detection_score }));
        Ok(&self.found)
    }
}

pub(crate) struct FakeNetwork {
    scene: FakeScene,
    landmarks: Vec<Landmark>,
}

impl FakeNetwork {
    pub(crate) const CROP_SCALE: f32 = 1.35;

    pub(crate) fn new(scene: &FakeScene) -> Self {
        Self { scene: scene.clone(), landmarks: Vec::new() }
    }
}

impl FindLandmarks for FakeNetwork {
    fn box_side(&self) -> BoxSide {
        BoxSide::Longer
    }

    fn crop_scale(&self) -> f32 {
        Self::CROP_SCALE
    }

    fn input_size(&self) -> usize {
        128
    }

    fn reserve(&mut self, _: &FrameView<'_>) {}

    /// The face nearest to the centre of the crop; on a wall, arbitrary points with low confidence.
    fn find_landmarks(
        &mut self,
        _: &FrameView<'_>,
        crop_from_frame: &Similarity<CropSpace, FrameSpace>,
    ) -> Result<&[Landmark], TrackError> {
        let mut state = self.scene.state();
        state.landmark_calls += 1;
        let size = self.input_size() as f32;
        let middle = Point::new(0.5 * size, 0.5 * size);
        let distance = |f: &FakeFace| crop_from_frame.apply(f.center).distance(middle);
        let in_crop = state.faces.iter().filter(|f| distance(f) < 0.4 * size);
        let nearest = in_crop.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let frame_from_crop = crop_from_frame.inverse();
        self.landmarks = nearest.map_or_else(
            || {
                let wall = FakeFace {
                    center: frame_from_crop.apply(middle),
                    side: 0.74 * size * frame_from_crop.scale(),
                    confidence: 0.1,
                    ..FakeFace::at(0.0, 0.0, 1.0)
                };
                landmarks_of(&wall)
            },
            landmarks_of,
        );
        Ok(&self.landmarks)
    }

    fn times(&self) -> LandmarkTimes {
        LandmarkTimes::default()
    }
}
