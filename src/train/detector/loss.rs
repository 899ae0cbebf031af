//! The loss of the detector's maps (see [`crate::runtime::detect::maps`] for their contents).

use crate::runtime::detect::maps::{CENTER, CHANNELS, LOGIT_AT_ZERO, SIZE, probability};
use crate::train::loss::{Objective, Targets};

/// Weight of size and offset relative to the centre map.
const BOX_WEIGHT: f64 = 1.0;
/// The smallest target of a cell that is a face's centre; the highest cell of each has 1.
const FACE_TARGET: f32 = 0.999;

/// The focal loss of CenterNet on the centre map (Zhou, Wang, Krahenbuhl: Objects as Points, 2019, equation 1: alpha 2,
/// beta 4), per face; and the mean absolute error of size and offset where they are known. Adaptive Wing and any other
/// distance to the Gaussian keep the peaks of small and doubtful faces low, since their exact cell is uncertain; here
/// the cells beside the right one cost little.
///
/// With a `neighbourhood_focus` a face counts as found as far as any of the nine cells about its centre says so, which
/// is what [`score`](crate::runtime::detect::maps::score) measures: the focal loss of that probability takes the place
/// of the one of the exact cell, and the nine cells themselves cost nothing.
///
/// Both parts are means over what they count, so the normalizer of the targets is not needed.
#[derive(Clone, Copy, Debug)]
pub struct CenterLoss {
    /// Rows and columns of the maps of an item; they are square.
    pub side: usize,
    /// The exponent of the focal loss of a face that any of nine cells may find, in place of alpha; `None` asks for the
    /// exact cell.
    pub neighbourhood_focus: Option<f32>,
}

impl CenterLoss {
    /// The cells about the centre in `cell`, itself included, within its item.
    fn around(&self, cell: usize) -> impl Iterator<Item = usize> + use<> {
        let side = self.side;
        let (row, column) = (cell / side % side, cell % side);
        let first = cell - row * side - column;
        let near = move |at: usize| at.saturating_sub(1)..(at + 2).min(side);
        near(row).flat_map(move |r| near(column).map(move |c| first + r * side + c))
    }
}

impl Objective for CenterLoss {
    fn loss_and_gradient(&self, prediction: &[f32], targets: Targets<'_>, gradient: &mut Vec<f32>) -> f64 {
        let Targets { maps, weight, .. } = targets;
        assert_eq!([maps.len(), weight.len()], [prediction.len(); 2]);
        let cells = |maps| <[f32]>::chunks_exact(maps, CHANNELS);
        let is_center = |y: &[f32]| y[CENTER] >= FACE_TARGET;
        let (mut faces, mut boxes) = (0.0, 0.0);
        for (y, w) in cells(maps).zip(cells(weight)) {
            faces += if is_center(y) { f64::from(w[CENTER]) } else { 0.0 };
            boxes += f64::from(w[SIZE..].iter().sum::<f32>());
        }
        let (per_face, per_box) = (1.0 / faces.max(1.0), BOX_WEIGHT / boxes.max(1.0));
        // Cells whose own probability costs something.
        let mut is_counted = vec![true; prediction.len() / CHANNELS];
        let centers = || cells(maps).enumerate().filter(|(_, y)| is_center(y)).map(|(cell, _)| cell);
        if self.neighbourhood_focus.is_some() {
            centers().flat_map(|cell| self.around(cell)).for_each(|near| is_counted[near] = false);
        }
        let (mut center, mut difference) = (0.0, 0.0);
        gradient.resize(prediction.len(), 0.0);
        for ((((v, y), w), g), is_counted) in cells(prediction)
            .zip(cells(maps))
            .zip(cells(weight))
            .zip(gradient.chunks_exact_mut(CHANNELS))
            .zip(is_counted)
        {
            g[CENTER] = 0.0;
            if is_counted {
                let (value, slope) = focal(v[CENTER] + LOGIT_AT_ZERO, y[CENTER]);
                center += f64::from(value * w[CENTER]);
                g[CENTER] = slope * w[CENTER] * per_face as f32;
            }
            for c in SIZE..CHANNELS {
                let d = v[c] - y[c];
                difference += f64::from(d.abs() * w[c]);
                let sign = if d == 0.0 { 0.0 } else { d.signum() };
                g[c] = sign * w[c] * per_box as f32;
            }
        }
        if let Some(focus) = self.neighbourhood_focus {
            let value_of = |cell: usize| prediction[cell * CHANNELS + CENTER];
            for cell in centers() {
                let w = weight[cell * CHANNELS + CENTER];
                let (value, slope) = focal_of_any(self.around(cell).map(|near| value_of(near) + LOGIT_AT_ZERO), focus);
                center += f64::from(value * w);
                for near in self.around(cell) {
                    gradient[near * CHANNELS + CENTER] += slope * probability(value_of(near)) * w * per_face as f32;
                }
            }
        }
        center * per_face + difference * per_box
    }
}

/// The focal loss of the probability that any of the cells is a face's centre. Its derivative with respect to the logit
/// of a cell is the second number times the cell's own probability.
fn focal_of_any(logits: impl Iterator<Item = f32>, focus: f32) -> (f32, f32) {
    let alarm: f32 = logits.map(softplus).sum();
    // The probability that none of them is, and that one is.
    let (q, p) = ((-alarm).exp(), -(-alarm).exp_m1());
    let miss = -p.max(f32::MIN_POSITIVE).ln();
    let kept = q.powf(focus);
    (kept * miss, -kept * (focus * miss + q / p.max(f32::MIN_POSITIVE)))
}

/// The focal loss of one cell and its derivative with respect to the logit.
fn focal(logit: f32, target: f32) -> (f32, f32) {
    // -ln(p) and -ln(1 - p) of the score p.
    let (miss, alarm) = (softplus(-logit), softplus(logit));
    let (p, q) = ((-miss).exp(), (-alarm).exp());
    if target >= FACE_TARGET {
        (q * q * miss, -q * q * (2.0 * p * miss + q))
    } else {
        let free = (1.0 - target).powi(4);
        (p * p * alarm * free, p * p * (2.0 * q * alarm + p) * free)
    }
}

/// ln(1 + e^x), without overflow.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::detect::maps::value_of_probability;
    use crate::train::loss::tests::{STEP, check_gradient, evaluate};
    use crate::train::ops::tests::random_numbers;

    const EXACT: CenterLoss = CenterLoss { side: 1, neighbourhood_focus: None };

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let numbers = |seed| random_numbers(2 * 8 * 8 * CHANNELS, seed);
        let prediction: Vec<f32> = numbers(1).iter().map(|v| 3.0 * v + 2.0).collect();
        // Cut to 0..=1, so that some cells are centres.
        let maps: Vec<f32> = numbers(2).iter().map(|v| (2.0 * v).clamp(0.0, 1.0)).collect();
        assert!(maps.iter().step_by(CHANNELS).any(|y| *y == 1.0));
        let weight: Vec<f32> = numbers(3).iter().map(|v| v.max(0.0)).collect();
        let targets = Targets { maps: &maps, weight: &weight, normalizer: 1.0 };
        for neighbourhood_focus in [None, Some(2.0), Some(0.0)] {
            check_gradient(&CenterLoss { side: 8, neighbourhood_focus }, &prediction, targets, |i| {
                i % CHANNELS >= SIZE && (prediction[i] - maps[i]).abs() < 2.0 * STEP
            });
        }
    }

    /// The loss of one cell with this score and target; a cell that is a face's centre is added, since the loss is per
    /// face.
    fn loss_of(found_score: f32, cell_target: f32, cell_weight: f32) -> f32 {
        let cells =
            |center: f32, other: f32| [&[center, 0.0, 0.0, 0.0, 0.0][..], &[other, 0.0, 0.0, 0.0, 0.0]].concat();
        let prediction = cells(value_of_probability(0.999_999), value_of_probability(found_score));
        let (maps, weight) = (cells(1.0, cell_target), cells(1.0, cell_weight));
        evaluate(&EXACT, &prediction, Targets { maps: &maps, weight: &weight, normalizer: 1.0 }).0 as f32
    }

    #[test]
    fn the_loss_is_the_published_formula() {
        // (1 - y)^4 p^2 ln(1 - p) away from a face; half of (1 - p)^2 ln p at one of two faces.
        for (p, y, expected) in
            [(0.5_f32, 0.0_f32, 0.25 * std::f32::consts::LN_2), (0.2, 0.5, 0.0625 * 0.04 * -(0.8_f32.ln()))]
        {
            assert!((loss_of(p, y, 1.0) - expected).abs() < 1e-5, "{p} {y}");
        }
        assert!((loss_of(0.3, 1.0, 1.0) - 0.5 * 0.49 * -(0.3_f32.ln())).abs() < 1e-5);
        assert!(loss_of(0.9, 0.0, 0.0) < 1e-5, "ignored");
    }

    #[test]
    fn with_the_neighbourhood_any_of_nine_cells_may_be_sure() {
        let side = 5;
        let mut maps = vec![0.0; 2 * side * side * CHANNELS];
        // In a corner of the second item.
        let center = side * side;
        maps[center * CHANNELS] = 1.0;
        let weight: Vec<f32> = (0..maps.len()).map(|i| f32::from(u8::from(i % CHANNELS == CENTER))).collect();
        let loss = |sure: usize| {
            let mut prediction = vec![-100.0; maps.len()];
            prediction[sure * CHANNELS] = value_of_probability(0.9);
            evaluate(
                &CenterLoss { side, neighbourhood_focus: Some(2.0) },
                &prediction,
                Targets { maps: &maps, weight: &weight, normalizer: 1.0 },
            )
            .0
        };
        let found = f64::from(0.01 * -(0.9_f32.ln()));
        for near in [center, center + 1, center + side, center + side + 1] {
            assert!((loss(near) - found).abs() < 1e-5, "{near}");
        }
        for elsewhere in [center + 2, center - 1, center + 2 * side] {
            assert!(loss(elsewhere) > 10.0, "{elsewhere}");
        }
    }

    #[test]
    fn size_and_offset_cost_their_mean_absolute_error() {
        let maps = [0.0, 1.0, -1.0, 0.5, 0.0];
        // A score of 0 costs nothing.
        let prediction = [-100.0, 1.5, -1.0, 0.0, 9.0];
        let targets = Targets { maps: &maps, weight: &[1.0, 1.0, 1.0, 2.0, 0.0], normalizer: 1.0 };
        let (loss, gradient) = evaluate(&EXACT, &prediction, targets);
        assert!((loss - (0.5 + 2.0 * 0.5) / 4.0).abs() < 1e-6);
        assert_eq!(gradient[SIZE..], [0.25, 0.0, -0.5, 0.0]);
    }
}
