//! The order of samples: those whose correction helps most come first.
//!
//! A face with low confidence teaches more than one with high confidence, and a face that the detector missed teaches
//! most. Neighbouring frames of a clip teach nearly the same, so each face of a clip lowers the priority of the others.
//! Reviewed faces come last. Nothing fails.

use crate::program::annotate::IMPORTED;
use crate::train::collection::{CollectedFace, Review};
use std::collections::HashMap;

/// The factor on a face's priority for each face of its clip before it.
const OF_THE_SAME_CLIP: f32 = 0.6;
/// The confidence of faces without a prediction: those labelled by other programs.
const UNKNOWN_CONFIDENCE: f32 = 0.5;

/// The model's confidence in the face, 0..=1; `None` if unknown.
pub(super) fn confidence(face: &CollectedFace) -> Option<f32> {
    if !face.is_detected() && face.confidence.is_none() && face.score.is_none() {
        return None;
    }
    let mean = |values: &Vec<f32>| values.iter().sum::<f32>() / values.len().max(1) as f32;
    face.confidence.as_ref().map(mean).or(face.score)
}

/// Whether the detector missed the face; false if it was never run.
pub(super) fn is_missed(face: &CollectedFace) -> bool {
    !face.is_detected() && !face.other.contains_key(IMPORTED)
}

/// The positions of all faces in the order of correction, each with the number of its recording.
pub(super) fn most_helpful_first(faces: &[(usize, &CollectedFace)]) -> Vec<usize> {
    let urgency = |face: &CollectedFace| match confidence(face) {
        _ if is_missed(face) => 1.0,
        Some(confidence) => 1.0 - confidence,
        None => 1.0 - UNKNOWN_CONFIDENCE,
    };
    let mut waiting: Vec<(usize, f32)> =
        (0..faces.len()).filter(|&i| faces[i].1.review == Review::Pending).map(|i| (i, urgency(faces[i].1))).collect();
    let clip = |i: usize| (faces[i].0, faces[i].1.clip.as_str());
    let mut share: HashMap<(usize, &str), f32> = HashMap::new();
    let mut order = Vec::with_capacity(faces.len());
    while !waiting.is_empty() {
        let now = |&(i, urgency): &(usize, f32)| urgency * share.get(&clip(i)).copied().unwrap_or(1.0);
        // The first of equals, so that the order is that of the recording.
        let mut next = 0;
        for candidate in 1..waiting.len() {
            if now(&waiting[candidate]) > now(&waiting[next]) {
                next = candidate;
            }
        }
        let (i, _) = waiting.remove(next);
        *share.entry(clip(i)).or_insert(1.0) *= OF_THE_SAME_CLIP;
        order.push(i);
    }
    for review in [Review::Accepted, Review::Rejected] {
        order.extend((0..faces.len()).filter(|&i| faces[i].1.review == review));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(clip: &str, score: Option<f32>, review: Review) -> CollectedFace {
        CollectedFace {
            image: "0.png".into(),
            width: 1,
            height: 1,
            points: vec![[0.0; 2]; 98],
            weight: None,
            review,
            clip: clip.into(),
            predicted: score.map(|_| vec![[0.0; 2]; 98]),
            confidence: None,
            score,
            source: None,
            time_s: None,
            other: serde_json::Map::new(),
        }
    }

    fn order(faces: &[CollectedFace]) -> Vec<usize> {
        most_helpful_first(&faces.iter().map(|face| (0, face)).collect::<Vec<_>>())
    }

    #[test]
    fn missed_faces_come_first_then_unsure_ones_and_reviewed_ones_last() {
        let faces = [
            face("a", Some(0.9), Review::Accepted),
            face("b", Some(0.8), Review::Pending),
            face("c", Some(0.3), Review::Rejected),
            face("d", Some(0.4), Review::Pending),
            face("e", None, Review::Pending),
        ];
        assert_eq!(order(&faces), [4, 3, 1, 0, 2]);
    }

    #[test]
    fn the_first_faces_are_spread_over_the_clips() {
        let mut faces: Vec<_> = (0..6).map(|_| face("hard", Some(0.3), Review::Pending)).collect();
        faces.push(face("fair", Some(0.5), Review::Pending));
        faces.push(face("good", Some(0.7), Review::Pending));
        let order = order(&faces);
        assert_eq!(order[0], 0);
        assert!(order[..4].contains(&6) && order[..5].contains(&7), "{order:?}");
    }

    #[test]
    fn imported_faces_were_not_missed() {
        let mut imported = face("a", None, Review::Pending);
        assert!(is_missed(&imported));
        imported.other.insert(IMPORTED.into(), "a.pts".into());
        assert!(!is_missed(&imported) && confidence(&imported).is_none());
    }
}
