//! The score of a face, in 0..=1: the confidence that the landmarks are on a face.
//!
//! In: landmarks in the frame with their confidences, and the box that was searched. Out: the mean confidence of the
//! inner landmarks; 0 if no face can have this shape. The outline is left out: hair and turned heads hide it, and on
//! 486 validation faces and 1,200 crops without faces the mean without it separates the two better. Landmarks beyond
//! the border of the frame count as not seen.

use super::{Landmark, head_box::HeadBox};
use crate::runtime::geometry::Similarity;
use crate::runtime::landmarks::Scheme;
use std::ops::RangeInclusive;

/// Plausible ratios of the side of the box around the landmarks to the side that the crop was made for. Between two
/// frames a head approaches by less than this; the crop ends at 1.35.
const PLAUSIBLE_SIDE: RangeInclusive<f32> = 0.55..=1.45;
/// Plausible ratios of width to height of the upright box around the landmarks: from a profile with an open mouth to a
/// head bent down.
const PLAUSIBLE_ASPECT: RangeInclusive<f32> = 0.4..=2.0;
/// Minimum distance from the eyes down to the mouth, as a share of the box's side.
const SMALLEST_EYES_TO_MOUTH: f32 = 0.12;

/// Sets the confidence of landmarks beyond the frame to 0.
pub(crate) fn blind_beyond_frame(landmarks: &mut [Landmark], width: usize, height: usize) {
    let (right, bottom) = (width as f32 - 0.5, height as f32 - 0.5);
    for landmark in landmarks {
        let p = landmark.point;
        // Written so that NaN counts as outside.
        if !(p.x >= -0.5 && p.y >= -0.5 && p.x <= right && p.y <= bottom) {
            landmark.confidence = 0.0;
        }
    }
}

/// The score of landmarks that were searched for in the crop around `searched` and span `found`.
pub(crate) fn score(landmarks: &[Landmark], scheme: Option<Scheme>, searched: &HeadBox, found: &HeadBox) -> f32 {
    if landmarks.is_empty() || !is_plausible(landmarks, scheme, searched, found) {
        return 0.0;
    }
    let inner = &landmarks[scheme.map_or(0, Scheme::outline_points)..];
    inner.iter().map(|l| l.confidence).sum::<f32>() / inner.len() as f32
}

fn is_plausible(landmarks: &[Landmark], scheme: Option<Scheme>, searched: &HeadBox, found: &HeadBox) -> bool {
    if !PLAUSIBLE_SIDE.contains(&(found.side / searched.side)) {
        return false;
    }
    let Some(scheme) = scheme else { return true };
    // The landmarks in a square of side 1, rotated to where the search expected upright.
    let upright = Similarity::<_, _>::about(searched.center, searched.center, 1.0 / found.side, -searched.roll_rad);
    let at = |i: usize| upright.apply(landmarks[i].point);
    let [mut left, mut top] = [f32::INFINITY; 2];
    let [mut right, mut bottom] = [f32::NEG_INFINITY; 2];
    for i in 0..landmarks.len() {
        let p = at(i);
        (left, right) = (left.min(p.x), right.max(p.x));
        (top, bottom) = (top.min(p.y), bottom.max(p.y));
    }
    let (left_eye, right_eye) = scheme.outer_eye_corners();
    let (left_mouth, right_mouth) = scheme.mouth_corners();
    let eyes = at(left_eye).midpoint(at(right_eye));
    let mouth = at(left_mouth).midpoint(at(right_mouth));
    PLAUSIBLE_ASPECT.contains(&((right - left) / (bottom - top))) && mouth.y - eyes.y >= SMALLEST_EYES_TO_MOUTH
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{FakeFace, landmarks_of};
    use super::*;
    use crate::runtime::model::BoxSide;

    fn score_of(landmarks: &[Landmark], searched: &HeadBox) -> f32 {
        let scheme = Some(Scheme::Wflw98);
        HeadBox::around(landmarks, scheme, BoxSide::Longer)
            .map_or(0.0, |found| score(landmarks, scheme, searched, &found))
    }

    #[test]
    fn a_face_scores_the_mean_of_its_inner_confidences() {
        let face = FakeFace { confidence: 0.8, ..FakeFace::at(100.0, 100.0, 60.0) };
        let mut landmarks = landmarks_of(&face);
        landmarks[..33].iter_mut().for_each(|l| l.confidence = 0.1);
        assert!((score_of(&landmarks, &face.head_box()) - 0.8).abs() < 1e-5);
    }

    #[test]
    fn collapsed_exploded_flat_and_upside_down_shapes_are_no_face() {
        let face = FakeFace::at(100.0, 100.0, 60.0);
        let of = |face: FakeFace, searched: FakeFace| score_of(&landmarks_of(&face), &searched.head_box());
        assert!(of(face, face) > 0.9);
        assert_eq!(of(FakeFace { side: 20.0, ..face }, face), 0.0);
        assert_eq!(of(FakeFace { side: 120.0, ..face }, face), 0.0);
        assert_eq!(of(FakeFace { width: 0.1, ..face }, face), 0.0);
        assert_eq!(of(FakeFace { roll_rad: 3.0, ..face }, face), 0.0);
    }

    #[test]
    fn landmarks_beyond_the_frame_count_as_not_seen() {
        let face = FakeFace::at(0.0, 100.0, 60.0);
        let mut landmarks = landmarks_of(&face);
        blind_beyond_frame(&mut landmarks, 200, 200);
        let score = score_of(&landmarks, &face.head_box());
        assert!((0.3..0.7).contains(&score), "{score}");
    }
}
