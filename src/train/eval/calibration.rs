//! Calibration: from a heatmap's maximum to the probability that its point is about right.
//!
//! In: a landmark model, faces with known landmarks and pictures without faces. Every face is predicted in randomly
//! augmented crops as in training (shifted, rotated, covered, blurred, dark ...). For every [`FACES_FOR_ONE_EMPTY`] of
//! these there is one crop without a face, in which no point is right. Only exactly known points count (weight 1). A
//! point is right within [`RIGHT_WITHIN`] eye distances of the ground truth.
//! Out: a rising curve from maximum to confidence (isotonic regression over bins of equal counts), fitted to every
//! second face, and its reliability on the others.

use super::report::EvalError;
use crate::runtime::engine::EngineError;
use crate::runtime::geometry::{Point, crop_from_frame, heatmap_from_crop};
use crate::runtime::heatmap::{Calibration, Peak, decode};
use crate::runtime::image::{Border, Frame, crop_into};
use crate::runtime::landmarks::Scheme;
use crate::runtime::model::{Model, ModelConfig};
use crate::train::data::{Augmentation, Sample, square_anywhere};
use crate::train::network::{CpuNetwork, Network};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A point is about right within this share of the distance between the outer eye corners.
pub const RIGHT_WITHIN: f32 = 0.1;
/// Crops of each face.
const DRAWS: usize = 6;
/// Crops with a face for one crop without.
const FACES_FOR_ONE_EMPTY: usize = 4;
/// Bins of the fit; neighbours with falling values are merged.
const BINS: usize = 24;
/// Rows of the reliability table.
const ROWS: usize = 10;
/// Batch size, in crops.
const BATCH: usize = 24;
const SEED: u64 = 1;

/// Points of one range of confidences, on faces that the curve was not fitted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The range of confidences.
    pub from: f32,
    pub to: f32,
    pub points: usize,
    /// The mean confidence.
    pub confidence: f64,
    /// The share of right points.
    pub right: f64,
}

/// One point of one crop.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outcome {
    maximum: f32,
    is_right: bool,
}

/// Fits the curve and tests it.
///
/// # Errors
/// Pictures that can't be read, by name; faces of another scheme than the model's; a model that fails; no face or no
/// picture without one.
pub fn calibrate(
    model: &Model,
    samples: &[Sample],
    faceless: &[PathBuf],
    mut on_picture: impl FnMut(),
) -> Result<(Calibration, Vec<Reliability>), EvalError> {
    if faceless.is_empty() {
        return Err(EvalError::NoBackgrounds);
    }
    let config = model.config();
    let scheme = Scheme::of_points(config.points).ok_or(EvalError::Scheme { points: config.points })?;
    let mut crops = Crops::new(model, scheme);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let augmentation = Augmentation::default();
    let size = config.input_size;
    for (number, sample) in samples.iter().enumerate() {
        // In the model's own style: a point is not wrong because the data set would place it elsewhere.
        let sample = match config.style {
            Some(style) => sample.clone().in_style(style, &config.style_fits),
            None => sample.clone(),
        };
        let sample = &sample.in_scheme(scheme)?;
        let frame = sample.open()?;
        let Some(around) = sample.landmark_box() else { continue };
        for _ in 0..DRAWS {
            let view = augmentation.view(&mut rng, around.center(), config.crop.side(&around), size);
            let mut picture = vec![0.0; size * size * 3];
            view.render(&frame, &mut picture);
            augmentation.paint(&mut rng, size, size, &mut picture, |_| Ok(None))?;
            let (points, weight) = view.landmarks(scheme, &sample.points, &sample.weight);
            crops.add(number % 2, picture, Some((points, weight)))?;
        }
        on_picture();
    }
    for number in 0..samples.len() * DRAWS / FACES_FOR_ONE_EMPTY {
        let frame = Frame::open(&faceless[number % faceless.len()])?;
        let (center, side) = square_anywhere(&mut rng, &frame);
        let mut picture = vec![0.0; size * size * 3];
        let angle_rad = rng.random_range(-0.5..0.5);
        crop_into(&frame, &crop_from_frame(center, side, angle_rad, size), size, Border::Replicate, &mut picture);
        augmentation.paint(&mut rng, size, size, &mut picture, |_| Ok(None))?;
        // A picture is in one half only, if there are two.
        let half = if faceless.len() > 1 { number % faceless.len() % 2 } else { number % 2 };
        crops.add(half, picture, None)?;
    }
    crops.run()?;
    let [fitted, tested] = crops.outcomes;
    if fitted.is_empty() || tested.is_empty() {
        return Err(EvalError::NothingToMeasure);
    }
    let calibration = fit(fitted);
    let table = reliability(&calibration, &tested);
    Ok((calibration, table))
}

type KnownPoints = (Vec<Point<crate::runtime::geometry::CropSpace>>, Vec<f32>);

/// Crops on their way through the network.
struct Crops<'a> {
    config: &'a ModelConfig,
    network: CpuNetwork,
    scheme: Scheme,
    waiting: Vec<(usize, Vec<f32>, Option<KnownPoints>)>,
    /// Those of the fitted half, and of the other.
    outcomes: [Vec<Outcome>; 2],
    peaks: Vec<Peak>,
}

impl<'a> Crops<'a> {
    fn new(model: &'a Model, scheme: Scheme) -> Self {
        let (config, network) = (model.config(), CpuNetwork::new(model));
        Self { config, network, scheme, waiting: Vec::new(), outcomes: [Vec::new(), Vec::new()], peaks: Vec::new() }
    }

    /// Without `known` the crop shows no face.
    fn add(&mut self, half: usize, picture: Vec<f32>, known: Option<KnownPoints>) -> Result<(), EngineError> {
        self.waiting.push((half, picture, known));
        if self.waiting.len() == BATCH { self.run() } else { Ok(()) }
    }

    fn run(&mut self) -> Result<(), EngineError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let config = self.config;
        let size = config.input_size;
        let pictures = self.waiting.iter().flat_map(|(_, picture, _)| picture).copied().collect();
        let maps = self.network.maps(pictures, (size, size))?;
        let crop_from_heatmap = heatmap_from_crop(maps.width, size).inverse();
        let (left, right) = self.scheme.outer_eye_corners();
        for (view, (half, _, known)) in maps.views().zip(&self.waiting) {
            decode(&view, config.points, config.decoding, &Calibration::default(), &mut self.peaks);
            let outcomes = &mut self.outcomes[*half];
            match known {
                None => outcomes.extend(self.peaks.iter().map(|p| Outcome { maximum: p.value, is_right: false })),
                Some((points, weight)) if weight[left] > 0.0 && weight[right] > 0.0 => {
                    let reach = RIGHT_WITHIN * points[left].distance(points[right]);
                    let exact = (0..points.len()).filter(|&i| weight[i] == 1.0);
                    outcomes.extend(exact.map(|i| Outcome {
                        maximum: self.peaks[i].value,
                        is_right: crop_from_heatmap.apply(self.peaks[i].cell).distance(points[i]) <= reach,
                    }));
                }
                Some(_) => {}
            }
        }
        self.waiting.clear();
        Ok(())
    }
}

/// Isotonic regression over bins of equal counts.
fn fit(mut outcomes: Vec<Outcome>) -> Calibration {
    outcomes.sort_by(|a, b| a.maximum.total_cmp(&b.maximum));
    /// Sums over the outcomes of merged bins.
    struct Block {
        count: f64,
        maxima: f64,
        right: f64,
    }
    let mut blocks: Vec<Block> = Vec::new();
    for bin in outcomes.chunks(outcomes.len().div_ceil(BINS).max(1)) {
        let mut block = Block {
            count: bin.len() as f64,
            maxima: bin.iter().map(|o| f64::from(o.maximum)).sum(),
            right: bin.iter().filter(|o| o.is_right).count() as f64,
        };
        while let Some(last) = blocks.pop_if(|last| last.right / last.count >= block.right / block.count) {
            block = Block {
                count: last.count + block.count,
                maxima: last.maxima + block.maxima,
                right: last.right + block.right,
            };
        }
        blocks.push(block);
    }
    Calibration(blocks.iter().map(|b| ((b.maxima / b.count) as f32, (b.right / b.count) as f32)).collect())
}

fn reliability(calibration: &Calibration, outcomes: &[Outcome]) -> Vec<Reliability> {
    let mut rows: Vec<(usize, f64, usize)> = vec![(0, 0.0, 0); ROWS];
    for outcome in outcomes {
        let confidence = calibration.confidence(outcome.maximum);
        let row = &mut rows[((confidence * ROWS as f32) as usize).min(ROWS - 1)];
        *row = (row.0 + 1, row.1 + f64::from(confidence), row.2 + usize::from(outcome.is_right));
    }
    let filled = rows.into_iter().enumerate().filter(|(_, (points, ..))| *points > 0);
    filled
        .map(|(i, (points, confidence, right))| Reliability {
            from: i as f32 / ROWS as f32,
            to: (i + 1) as f32 / ROWS as f32,
            points,
            confidence: confidence / points as f64,
            right: right as f64 / points as f64,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points whose maxima are even in 0..1 and which are right with the probability `share(maximum)`.
    fn outcomes(seed: u64, share: impl Fn(f32) -> f32) -> Vec<Outcome> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..40_000)
            .map(|_| {
                let maximum = rng.random::<f32>();
                Outcome { maximum, is_right: rng.random::<f32>() < share(maximum) }
            })
            .collect()
    }

    #[test]
    fn the_curve_finds_the_shares_and_what_it_says_holds_on_other_points() {
        let share = |maximum: f32| (2.0 * maximum - 0.3).clamp(0.05, 0.95);
        let calibration = fit(outcomes(1, share));
        for maximum in [0.1, 0.3, 0.4, 0.5, 0.9] {
            assert!((calibration.confidence(maximum) - share(maximum)).abs() < 0.03, "{maximum}: {calibration:?}");
        }
        for row in reliability(&calibration, &outcomes(2, share)) {
            assert!(row.points < 300 || (row.confidence - row.right).abs() < 0.04, "{row:?}");
        }
    }

    #[test]
    fn the_curve_rises_whatever_the_points_do() {
        let calibration = fit(outcomes(3, |maximum| 0.5 + 0.4 * (20.0 * maximum).sin()));
        assert!(calibration.0.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1), "{calibration:?}");
    }
}
