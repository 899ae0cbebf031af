//! The face detector: frame in, boxes out.
//!
//! In: a [`FrameView`] of any size. Out: boxes around faces, each with a score in 0..=1, in descending order of score.
//! A box fits tightly around where the 98 landmarks would be: from the brows to the chin, from ear to ear.
//!
//! The detector is an hourglass of the same family as the landmark network. It runs on the frame, scaled so that its
//! longer side is the model's input size; a dull picture is stretched first, see [`stretch_dull`]. It has five maps at
//! a quarter of that resolution: the centres of faces; logarithms of width and height; the offset of the exact centre
//! from that of the cell, in x and y (see [`maps`]). Where that finds nothing, a tracker has [further](Search::FURTHER)
//! searches.

pub mod maps;
mod roll;
mod scale;

pub(crate) use roll::Roll;

use crate::runtime::engine::{Engine, EngineError, EngineOptions, Precision};
use crate::runtime::geometry::{FrameSpace, Point, Rect};
use crate::runtime::heatmap::HeatmapView;
#[cfg(feature = "train")]
use crate::runtime::image::Frame;
use crate::runtime::image::{FrameView, stretch_dull};
use crate::runtime::model::{Kind, Model};

/// A face that the detector found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Detection {
    pub rect: Rect<FrameSpace>,
    /// The detector's confidence, 0..=1.
    pub score: f32,
}

/// The lowest score that is reported. A tracker can require more of [`Detection::score`].
const LOWEST_SCORE: f32 = 0.25;
/// A box that overlaps a more confident one by more than this (intersection over union) is the same face.
const SAME_FACE_OVERLAP: f32 = 0.3;
/// Maximum number of faces reported, those with the highest scores.
const MOST_FACES: usize = 64;

/// A way to search a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// Of the heads.
    pub roll: Roll,
    /// The frame's longer side is half of the input size instead of all of it. Large faces that are blurred, covered or
    /// turned are found more often at half of their size (docs/engineering/training.md).
    pub at_half_size: bool,
}

impl Search {
    /// Finds nearly all faces.
    pub const UPRIGHT: Self = Self { roll: Roll::Upright, at_half_size: false };
    /// The most successful of the others.
    pub const AT_HALF_SIZE: Self = Self { roll: Roll::Upright, at_half_size: true };
    /// For frames in which [`Self::UPRIGHT`] finds no face.
    pub const FURTHER: [Self; 4] = [
        Self::AT_HALF_SIZE,
        Self { roll: Roll::Clockwise, at_half_size: false },
        Self { roll: Roll::Counterclockwise, at_half_size: false },
        Self { roll: Roll::UpsideDown, at_half_size: false },
    ];
}

/// A detector model ready to run on frames of any size.
pub struct Detector {
    model: Model,
    precision: Precision,
    /// For frames of the last size: at the input size, and at half of it.
    scalers: Option<[scale::Scaler; 2]>,
    /// Compiled for the canvas of upright heads, and of heads on their side; each with its height and width.
    engines: [Option<((usize, usize), Engine)>; 2],
    /// The canvas before rotation.
    upright: Vec<f32>,
    detections: Vec<Detection>,
}

impl Detector {
    /// Prepares a detector model for use in `precision`.
    ///
    /// # Errors
    /// [`EngineError::Kind`] if it is a landmark model.
    pub fn new(model: &Model, precision: Precision) -> Result<Self, EngineError> {
        if model.config().kind != Kind::Detector {
            return Err(EngineError::Kind { wanted: Kind::Detector.described() });
        }
        let (engines, upright, detections) = ([None, None], Vec::new(), Vec::new());
        Ok(Self { model: model.clone(), precision, scalers: None, engines, upright, detections })
    }

    /// Finds the faces in a frame. The first call, and the first after the frame's size has changed, takes longer: the
    /// network is compiled for each shape.
    ///
    /// # Errors
    /// As [`Engine::compile`]. An empty frame has no faces; it is not an error.
    pub fn detect<'f>(&mut self, frame: impl Into<FrameView<'f>>) -> Result<&[Detection], EngineError> {
        self.search(&frame.into(), Search::UPRIGHT)
    }

    /// As [`Self::detect`], by another `search`. The boxes' sides are parallel to the frame's.
    pub(crate) fn search(&mut self, frame: &FrameView<'_>, search: Search) -> Result<&[Detection], EngineError> {
        let Search { roll, at_half_size } = search;
        self.detections.clear();
        let size = (frame.width(), frame.height());
        if size.0 == 0 || size.1 == 0 {
            return Ok(&self.detections);
        }
        let config = self.model.config();
        let scalers = match &mut self.scalers {
            Some(scalers) if scalers[0].is_for(size.0, size.1) => scalers,
            scalers => {
                let multiple = config.graph().coarsest_stride();
                let whole = scale::Scaler::new(size.0, size.1, config.input_size, multiple);
                let half = whole.with_longer_side(config.input_size / 2);
                scalers.insert([whole, half])
            }
        };
        let scaler = &mut scalers[usize::from(at_half_size)];
        let (height, width) = scaler.canvas();
        let (height, width) = if roll.swaps_sides() { (width, height) } else { (height, width) };
        let (_, engine) = match &mut self.engines[usize::from(roll.swaps_sides())] {
            Some(compiled) if compiled.0 == (height, width) => compiled,
            other => {
                let options = EngineOptions { precision: self.precision, ..EngineOptions::new(height, width) };
                let engine = Engine::compile(&self.model, &options)?;
                other.insert(((height, width), engine))
            }
        };
        if roll == Roll::Upright {
            draw(scaler, frame, engine.input_mut());
        } else {
            self.upright.resize(height * width * 3, 0.0);
            draw(scaler, frame, &mut self.upright);
            let input = engine.input_mut();
            input.fill(0.0);
            roll.turn(scaler.inner(), &self.upright, scaler.canvas().1, input, width);
        }
        engine.run();
        decode(&engine.output(), scaler.scale_factor(), &mut self.detections);
        for detection in &mut self.detections {
            detection.rect = roll.turn_back(&detection.rect, size);
        }
        Ok(&self.detections)
    }
}

/// What a detector of `input_size` pixels sees of a frame, on a square: `input_size * input_size * 3` values, black
/// beyond the frame.
#[cfg(feature = "train")]
pub(crate) fn square_input(frame: &Frame, input_size: usize) -> Vec<f32> {
    let mut scaler = scale::Scaler::new(frame.width(), frame.height(), input_size, input_size);
    let mut input = vec![0.0; input_size * input_size * 3];
    draw(&mut scaler, &frame.into(), &mut input);
    input
}

/// Scales the frame onto the canvas, and stretches the contrast of a dull one.
fn draw(scaler: &mut scale::Scaler, frame: &FrameView<'_>, canvas: &mut [f32]) {
    scaler.scale(frame, canvas);
    let ((width, height), row) = (scaler.inner(), scaler.canvas().1 * 3);
    stretch_dull(&mut canvas[..height * row], row, width * 3);
}

/// Decodes boxes from the maps; `scale` is input pixels per frame pixel.
pub(crate) fn decode(view: &HeatmapView<'_>, scale: f32, out: &mut Vec<Detection>) {
    let at =
        |row: usize, column: usize, channel: usize| view.values[(row * view.width + column) * view.channels + channel];
    let around = |row: usize, column: usize| {
        let rows = row.saturating_sub(1)..(row + 2).min(view.height);
        let columns = column.saturating_sub(1)..(column + 2).min(view.width);
        rows.flat_map(move |r| columns.clone().map(move |c| (r, c)))
    };
    let score_at = |row, column| maps::score(around(row, column).map(|(r, c)| at(r, c, maps::CENTER)));
    let lowest = maps::lowest_peak(LOWEST_SCORE);
    for row in 0..view.height {
        for column in 0..view.width {
            if at(row, column, maps::CENTER) < lowest {
                continue;
            }
            let score = score_at(row, column);
            if score < LOWEST_SCORE {
                continue;
            }
            let is_higher = |(r, c): (usize, usize)| {
                // A cell that is skipped above does not stand in the way of this one.
                let other = if at(r, c, maps::CENTER) < lowest { 0.0 } else { score_at(r, c) };
                // If neighbours are equal, only the first is a peak.
                other > score || (other == score && (r, c) < (row, column))
            };
            if around(row, column).any(is_higher) {
                continue;
            }
            let values = std::array::from_fn(|i| at(row, column, maps::SIZE + i));
            let rect = maps::rect_from_cell(row, column, values);
            // Pixel areas correspond: input + 0.5 = (frame + 0.5) * scale.
            let rect = Rect::new(
                (rect.x + 0.5) / scale - 0.5,
                (rect.y + 0.5) / scale - 0.5,
                rect.width / scale,
                rect.height / scale,
            );
            if rect.area() > 0.0 && rect.center().is_finite() {
                out.push(Detection { rect, score });
            }
        }
    }
    out.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept = 0;
    for i in 0..out.len() {
        let candidate = out[i];
        if kept < MOST_FACES && out[..kept].iter().all(|d| !same_face(&d.rect, &candidate.rect)) {
            out[kept] = candidate;
            kept += 1;
        }
    }
    out.truncate(kept);
}

fn same_face(a: &Rect<FrameSpace>, b: &Rect<FrameSpace>) -> bool {
    let inside = |outer: &Rect<FrameSpace>, p: Point<FrameSpace>| {
        let reach = 0.25 * outer.side();
        (p.x - outer.center().x).abs() < reach && (p.y - outer.center().y).abs() < reach
    };
    a.iou(b) > SAME_FACE_OVERLAP || (inside(a, b.center()) && inside(b, a.center()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a centre map with these probabilities at (row, column); boxes are of 32 pixels.
    fn found_at(probabilities: &[(usize, usize, f32)]) -> Vec<Detection> {
        let (height, width) = (24, 24);
        let mut values = vec![0.0; height * width * maps::CHANNELS];
        for &(row, column, probability) in probabilities {
            values[(row * width + column) * maps::CHANNELS] = maps::value_of_probability(probability);
        }
        let view = HeatmapView { values: &values, height, width, channels: maps::CHANNELS };
        let mut found = Vec::new();
        decode(&view, 1.0, &mut found);
        found
    }

    #[test]
    fn of_overlapping_boxes_the_surest_is_kept() {
        let found = found_at(&[(10, 10, 0.99), (10, 12, 0.98), (3, 20, 0.9), (20, 3, 0.1)]);
        let at: Vec<(f32, f32)> = found.iter().map(|d| (d.rect.center().y, d.rect.center().x)).collect();
        let input = |cell: f32| (cell + 0.5) * maps::STRIDE as f32 - 0.5;
        assert_eq!(at, [(input(10.0), input(10.0)), (input(3.0), input(20.0))]);
        let score_of_one_cell = |peak| maps::score([maps::value_of_probability(peak)].into_iter().chain([0.0; 8]));
        let scores: Vec<f32> = found.iter().map(|d| (100.0 * d.score).round()).collect();
        assert_eq!(scores, [0.99, 0.9].map(|peak| (100.0 * score_of_one_cell(peak)).round()));
    }

    #[test]
    fn a_face_whose_centre_is_uncertain_by_a_cell_is_found() {
        assert_eq!(found_at(&[(10, 10, 0.5)]), []);
        let shared = found_at(&[(10, 10, 0.5), (10, 11, 0.48), (11, 10, 0.48), (11, 11, 0.46)]);
        assert!(shared.len() == 1 && shared[0].score > 0.4, "{shared:?}");
    }
}
