//! The contents of the detector's maps.
//!
//! One cell is [`STRIDE`] input pixels. [`CENTER`]: the network's value gives the [`probability`] that a face is
//! centred in the cell. [`SIZE`] and the next map: natural logarithms of the box's width and height over
//! [`UNIT_PIXELS`]. The last two: the offset from the cell to the box's centre, in cells, x then y. Nothing here fails.

use crate::runtime::geometry::{CropSpace, Rect};

/// Number of maps.
pub const CHANNELS: usize = crate::runtime::model::DETECTOR_OUTPUTS;
/// The map of centres.
pub const CENTER: usize = 0;
/// The first of the two size maps; the two offset maps follow.
pub const SIZE: usize = 1;
/// Input pixels per cell, in each direction.
pub const STRIDE: usize = 4;
/// The side whose logarithm is 0, in input pixels.
pub const UNIT_PIXELS: f32 = 32.0;

/// Logit of the score at a network value of 0. An untrained network then reports almost no faces, and training is not
/// swamped by the many cells without one (the prior of RetinaNet: Lin et al., ICCV 2017, section 4.1).
pub const LOGIT_AT_ZERO: f32 = -3.0;

/// The odds against a face at which [`score`] is a half: at that score, one false face is left in a hundred
/// pictures without one (docs/engineering/training.md).
const ODDS_AT_HALF: f32 = 0.056;
/// The slope of the score's logit over that of the probability. With it, the lowest score that a tracker asks for
/// leaves half a false face a picture, which the landmark model refuses.
const SLOPE: f32 = 0.63;

/// Converts the network's value in the centre map to the probability that a face is centred in this very cell.
pub fn probability(value: f32) -> f32 {
    1.0 / (1.0 + (-(value + LOGIT_AT_ZERO)).exp())
}

/// The value of the centre map for a probability; the inverse of [`probability`].
pub fn value_of_probability(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln() - LOGIT_AT_ZERO
}

/// The score of a face in 0..=1, from the values of the centre map in its cell and the eight around it. The centre of a
/// face that is large, blurred or turned can't be told to the cell: each cell is uncertain where one of them certainly
/// is the centre.
pub fn score(values: impl Iterator<Item = f32>) -> f32 {
    let nowhere: f32 = values.map(|value| 1.0 - probability(value)).product();
    let odds_against = nowhere / (1.0 - nowhere);
    1.0 / (1.0 + (odds_against / ODDS_AT_HALF).powf(SLOPE))
}

/// The value of the centre map below which no peak reaches `score`, even if all the cells around it are as high.
pub fn lowest_peak(score: f32) -> f32 {
    let odds_against = ODDS_AT_HALF * (1.0 / score - 1.0).powf(1.0 / SLOPE);
    let nowhere = odds_against / (1.0 + odds_against);
    value_of_probability(1.0 - nowhere.powf(1.0 / 9.0))
}

/// The box at a cell, in input pixels; `values` are the two sizes and the two offsets.
pub fn rect_from_cell(row: usize, column: usize, values: [f32; 4]) -> Rect<CropSpace> {
    // No face is 50 times smaller or larger than the unit; clamping keeps extreme values finite.
    const LARGEST_LOG: f32 = 4.0;
    let side = |v: f32| UNIT_PIXELS * v.clamp(-LARGEST_LOG, LARGEST_LOG).exp();
    let along = |cell: f32| (cell + 0.5) * STRIDE as f32 - 0.5;
    let (width, height) = (side(values[0]), side(values[1]));
    let (x, y) = (along(column as f32 + values[2]), along(row as f32 + values[3]));
    Rect::new(x - width / 2.0, y - height / 2.0, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_and_values_are_each_others_inverse() {
        for wanted in [0.02, 0.3, 0.5, 0.97] {
            assert!((probability(value_of_probability(wanted)) - wanted).abs() < 1e-6);
        }
        assert!(probability(0.0) < 0.05);
    }

    #[test]
    fn the_lowest_peak_of_a_score_reaches_it_if_all_nine_cells_are_as_high() {
        for wanted in [0.1, 0.25, 0.9] {
            assert!((score([lowest_peak(wanted); 9].into_iter()) - wanted).abs() < 1e-4, "{wanted}");
        }
    }

    #[test]
    fn a_face_between_cells_scores_like_one_in_a_cell() {
        let score_of = |probabilities: &[f32]| score(probabilities.iter().map(|p| value_of_probability(*p)));
        assert!((score_of(&[0.96, 0.0, 0.0]) - score_of(&[0.8, 0.8, 0.0])).abs() < 1e-5);
        assert!(score_of(&[0.5, 0.5, 0.5]) > score_of(&[0.5, 0.5, 0.1]));
        assert_eq!((score_of(&[0.0; 9]), score_of(&[1.0; 9])), (0.0, 1.0));
    }
}
