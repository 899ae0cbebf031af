//! Estimates how hard a face is for the model, without labels.
//!
//! In: a tracked face and its motion. Out: hints in 0..=1, 0 for an easy face. Nothing fails.

use super::appearance::turn;
use super::selection::Reason;
use crate::runtime::landmarks::Scheme;
use crate::runtime::track::{Face, HeadBox};

// For each measure: where it starts to count, and where it counts in full.

/// The score. It is above 0.92 for half of all faces.
const SCORE_RANGE: (f32, f32) = (0.97, 0.65);
/// The mean of the lowest quarter of the inner landmarks' confidences.
const CONFIDENCE_RANGE: (f32, f32) = (0.9, 0.4);
/// The mean second difference of the landmarks from frame to frame, in radii of the face. In videos of quick
/// expressions it stays below 0.045 in nine of ten frames.
const JUMP_RANGE: (f32, f32) = (0.04, 0.12);
/// [`turn`].
const TURN_RANGE: (f32, f32) = (0.35, 0.7);
/// The roll, in radians.
const ROLL_RANGE: (f32, f32) = (0.35, 0.9);
/// A hint below this is not named as the reason.
const NAMED: f32 = 0.3;

/// The hints that a face is hard for the model, each in 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hints {
    unsure: f32,
    jumping: f32,
    turned: f32,
    tilted: f32,
}

impl Hints {
    /// The hints for a face whose landmarks are `jump` radii of the face away from their expected positions.
    pub(super) fn of(face: &Face, head: &HeadBox, jump: f32) -> Self {
        let inner = Scheme::of_points(face.landmarks.len()).map_or(0, Scheme::outline_points);
        let mut confidences: Vec<f32> = face.landmarks[inner..].iter().map(|l| l.confidence).collect();
        confidences.sort_by(f32::total_cmp);
        let lowest = &confidences[..confidences.len().div_ceil(4)];
        let lowest = lowest.iter().sum::<f32>() / lowest.len().max(1) as f32;
        Self {
            unsure: within(face.score, SCORE_RANGE).max(within(lowest, CONFIDENCE_RANGE)),
            jumping: within(jump, JUMP_RANGE),
            turned: within(turn(&face.landmarks), TURN_RANGE),
            tilted: within(head.roll_rad.abs(), ROLL_RANGE),
        }
    }

    /// All together, in 0..=1.
    pub(super) fn difficulty(self) -> f32 {
        let Self { unsure, jumping, turned, tilted } = self;
        1.0 - (1.0 - unsure) * (1.0 - jumping) * (1.0 - turned) * (1.0 - tilted)
    }

    /// The strongest as a reason, if it is worth naming.
    pub(super) fn reason(self) -> Reason {
        let all = [
            (self.unsure, Reason::Unsure),
            (self.jumping, Reason::Jumping),
            (self.turned, Reason::Turned),
            (self.tilted, Reason::Tilted),
        ];
        let strongest = all.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        strongest.filter(|(hint, _)| *hint >= NAMED).map_or(Reason::Different, |(_, reason)| reason)
    }
}

/// The position of a value between the first (0) and the second (1).
fn within(value: f32, (from, to): (f32, f32)) -> f32 {
    ((value - from) / (to - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::{FrameSpace, Point, Rect, Similarity};
    use crate::runtime::landmarks::Landmark;
    use crate::runtime::model::BoxSide;
    use crate::train::synth::frontal_face;

    /// The hints of an average face whose points were moved.
    fn hints(confidence: f32, jump: f32, moved: impl Fn(Point<FrameSpace>) -> Point<FrameSpace>) -> Hints {
        let landmarks: Vec<_> =
            frontal_face().iter().map(|p| Point::new(100.0 * p.x, 100.0 * p.y)).map(moved).collect();
        let rect = Rect::around(landmarks.iter().copied()).unwrap();
        let landmarks: Vec<_> = landmarks.into_iter().map(|point| Landmark { point, confidence }).collect();
        let head = HeadBox::around(&landmarks, Some(Scheme::Wflw98), BoxSide::Longer).unwrap();
        Hints::of(&Face { id: 1, score: confidence, rect, landmarks }, &head, jump)
    }

    #[test]
    fn an_upright_sure_and_steady_face_is_easy() {
        let easy = hints(0.98, 0.01, |p| p);
        assert_eq!((easy.difficulty(), easy.reason()), (0.0, Reason::Different));
    }

    #[test]
    fn whatever_makes_a_face_hard_is_named() {
        let origin = Point::new(0.0, 0.0);
        let rolled = Similarity::<FrameSpace, FrameSpace>::about(origin, origin, 1.0, 0.8);
        // The left half of a face that is turned aside is seen at a slant.
        let aside = |p: Point<FrameSpace>| Point::new(if p.x < 0.0 { 0.3 * p.x } else { 1.2 * p.x }, p.y);
        for (hard, reason) in [
            (hints(0.5, 0.01, |p| p), Reason::Unsure),
            (hints(0.98, 0.1, |p| p), Reason::Jumping),
            (hints(0.98, 0.01, aside), Reason::Turned),
            (hints(0.98, 0.01, |p| rolled.apply(p)), Reason::Tilted),
        ] {
            assert_eq!(hard.reason(), reason, "{hard:?}");
            assert!(hard.difficulty() >= NAMED, "{hard:?}");
        }
    }
}
