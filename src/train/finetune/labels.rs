//! Which of the labelled faces are learned from, which are measured on, and which can't be right.
//!
//! In: accepted faces. Out: two sets without a clip in common. Fails with [`FineTuneError`], naming the faces at fault.

use super::error::FineTuneError;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::Part;
use crate::train::data::Sample;
use crate::train::eval::metrics::{Counted, Norm, normalized_mean_error};
use crate::train::fnv::Fnv1a;
use std::collections::{BTreeMap, HashMap};

/// Faces for training and faces for measurement.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub training: Vec<Sample>,
    pub held_out: Vec<Sample>,
    /// Clips of both.
    pub clips: usize,
}

/// Share of the faces that is held out, at least.
const HELD_OUT: f64 = 0.2;
/// Fewest faces to hold out: the bootstrap needs some to draw from.
const FEWEST_HELD_OUT: usize = 4;
/// Fewest faces to learn from.
const FEWEST_TRAINED: usize = 6;
/// Fewest clips.
const FEWEST_CLIPS: usize = 2;
/// Two labels of the same face that differ by more than this share of the eye distance contradict each other.
const SAME_LABEL: f64 = 0.05;
/// Two boxes that overlap by this much hold the same face.
const SAME_FACE: f32 = 0.5;
/// The sine of the angle from the line between the eyes to the line down to the mouth, below which a face is mirrored. A
/// right angle in front, it falls towards 0 in profile.
const MIRRORED: f32 = -0.3;

/// Splits faces by clip, or where no clip is known by person, or else by picture. The same faces and seed give the same
/// split.
///
/// # Errors
/// [`FineTuneError::TooFew`], [`FineTuneError::TooFewClips`], [`FineTuneError::Mirrored`],
/// [`FineTuneError::Contradiction`].
pub(super) fn split(samples: Vec<Sample>, seed: u64) -> Result<Split, FineTuneError> {
    let needed = FEWEST_TRAINED + FEWEST_HELD_OUT;
    if samples.len() < needed {
        return Err(FineTuneError::TooFew { found: samples.len(), needed });
    }
    let mirrored: Vec<String> = samples.iter().filter(|s| is_mirrored(s)).map(|s| s.origin.to_string()).collect();
    if !mirrored.is_empty() {
        return Err(FineTuneError::Mirrored { faces: mirrored });
    }
    check_contradictions(&samples)?;
    let mut groups: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        let name = match (&sample.clip, &sample.subject) {
            (Some(clip), _) => format!("clip {clip}"),
            (None, Some(subject)) => format!("subject {subject}"),
            (None, None) => format!("picture {}", sample.image.display()),
        };
        groups.entry(name).or_default().push(sample);
    }
    let (clips, count) = (groups.len(), groups.values().map(Vec::len).sum::<usize>());
    if clips < FEWEST_CLIPS {
        return Err(FineTuneError::TooFewClips { clips, needed: FEWEST_CLIPS });
    }
    let mut groups: Vec<(String, Vec<Sample>)> = groups.into_iter().collect();
    groups.sort_by_key(|(name, _)| place(name, seed));
    let wanted = ((HELD_OUT * count as f64).round() as usize).max(FEWEST_HELD_OUT);
    let most = wanted + wanted / 2;
    let (mut training, mut held_out, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for (_, group) in groups {
        let after = held_out.len() + group.len();
        let is_wanted = held_out.len() < wanted && count - after >= FEWEST_TRAINED;
        if is_wanted && after <= most {
            held_out.extend(group);
        } else if is_wanted {
            large.push(group);
        } else {
            training.extend(group);
        }
    }
    // A clip with far more faces than are wanted is held out only where the others are not enough.
    large.sort_by_key(Vec::len);
    for group in large {
        let fits = count - held_out.len() - group.len() >= FEWEST_TRAINED;
        if held_out.len() < FEWEST_HELD_OUT && fits { held_out.extend(group) } else { training.extend(group) }
    }
    if held_out.len() < FEWEST_HELD_OUT {
        // Every clip is so large that one more would leave too few to learn from.
        return Err(FineTuneError::TooFewClips { clips, needed: clips + 1 });
    }
    Ok(Split { training, held_out, clips })
}

/// Where a group stands in the order that a seed gives.
fn place(name: &str, seed: u64) -> u64 {
    let mut hash = Fnv1a::new();
    hash.add(&seed.to_le_bytes());
    hash.add(name.as_bytes());
    let hash = hash.value();
    // The last bytes of the names, where they differ, reach the upper bits only through a second mixing.
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The mean of the known points of some parts.
fn middle(sample: &Sample, parts: &[Part]) -> Option<Point<FrameSpace>> {
    let indices = parts.iter().flat_map(|&part| sample.scheme.part(part));
    let known: Vec<_> = indices.filter(|&&i| sample.weight[i] > 0.0).map(|&i| sample.points[i]).collect();
    let count = known.len() as f32;
    let sum = known.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
    (!known.is_empty()).then(|| Point::new(sum.0 / count, sum.1 / count))
}

/// Whether the left eye lies to the right of the right one, as seen from the mouth.
fn is_mirrored(sample: &Sample) -> bool {
    let eyes = middle(sample, &[Part::LeftEye]).zip(middle(sample, &[Part::RightEye]));
    let Some(((left, right), mouth)) = eyes.zip(middle(sample, &[Part::OuterLips, Part::InnerLips])) else {
        return false;
    };
    let across = (right.x - left.x, right.y - left.y);
    let between = left.midpoint(right);
    let down = (mouth.x - between.x, mouth.y - between.y);
    let lengths = across.0.hypot(across.1) * down.0.hypot(down.1);
    across.0 * down.1 - across.1 * down.0 < MIRRORED * lengths
}

fn check_contradictions(samples: &[Sample]) -> Result<(), FineTuneError> {
    let mut of_picture: HashMap<_, Vec<&Sample>> = HashMap::new();
    for sample in samples {
        let others = of_picture.entry(&sample.image).or_default();
        for other in others.iter().filter(|other| other.scheme == sample.scheme) {
            let overlap = sample.landmark_box().zip(other.landmark_box()).map_or(0.0, |(a, b)| a.iou(&b));
            let length = Norm::InterOcular.length(sample.scheme, &sample.points, &sample.weight, None);
            let Some(length) = length.filter(|_| overlap > SAME_FACE) else { continue };
            let both: Vec<f32> = sample.weight.iter().zip(&other.weight).map(|(a, b)| a.min(*b)).collect();
            let distance = normalized_mean_error(&sample.points, &other.points, &both, length, Counted::Known);
            if let Some(distance) = distance.filter(|d| *d > SAME_LABEL) {
                let (first, second) = (other.origin.to_string(), sample.origin.to_string());
                return Err(FineTuneError::Contradiction { first, second, percent: 100.0 * distance as f32 });
            }
        }
        others.push(sample);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::finetune::procedural;

    /// Faces of a few clips, three of each.
    fn faces(count: usize) -> Vec<Sample> {
        let mut samples = procedural::faces(count, 3).unwrap();
        for (i, sample) in samples.iter_mut().enumerate() {
            sample.clip = Some(format!("clip {}", i / 3));
        }
        samples
    }

    #[test]
    fn no_clip_is_on_both_sides_and_every_face_is_on_one() {
        for seed in 0..20 {
            let Split { training, held_out, clips } = split(faces(30), seed).unwrap();
            assert_eq!((training.len() + held_out.len(), clips), (30, 10));
            assert!((6..=9).contains(&held_out.len()), "{}", held_out.len());
            assert!(held_out.iter().all(|h| training.iter().all(|t| t.clip != h.clip)));
        }
    }

    #[test]
    fn a_large_clip_is_held_out_only_where_small_ones_are_not_enough() {
        let mut samples = faces(26);
        samples.iter_mut().enumerate().for_each(|(i, s)| s.clip = Some(i.saturating_sub(12).to_string()));
        for seed in 0..10 {
            let Split { held_out, .. } = split(samples.clone(), seed).unwrap();
            assert_eq!(held_out.len(), 5, "none of the thirteen faces of one clip");
        }
    }

    #[test]
    fn too_few_faces_or_clips_are_refused_and_the_message_says_how_many_are_missing() {
        let message = split(faces(7), 1).unwrap_err().to_string();
        assert!(message.contains("7 accepted faces") && message.contains("at least 3 more"), "{message}");
        let mut one_clip = faces(20);
        one_clip.iter_mut().for_each(|sample| sample.clip = Some("all".into()));
        assert!(matches!(split(one_clip, 1), Err(FineTuneError::TooFewClips { clips: 1, needed: 2 })));
        let mut two_large = faces(20);
        two_large.iter_mut().enumerate().for_each(|(i, sample)| sample.clip = Some((i / 17).to_string()));
        assert!(split(two_large, 1).is_err(), "one clip of three faces is too small to measure on");
    }

    #[test]
    fn exchanged_sides_are_refused_by_name_at_any_rotation() {
        for turn in [0.0_f32, 0.7, 2.5, 4.0] {
            let mut samples = faces(12);
            for sample in &mut samples {
                for p in &mut sample.points {
                    *p = Point::new(p.x * turn.cos() - p.y * turn.sin(), p.x * turn.sin() + p.y * turn.cos());
                }
            }
            split(samples.clone(), 1).unwrap();
            let mirror = samples[5].scheme.mirror();
            let before = samples[5].points.clone();
            samples[5].points = mirror.iter().map(|&i| before[i]).collect();
            let message = split(samples, 1).unwrap_err().to_string();
            assert!(message.contains("procedural face 5") && message.contains("exchanged"), "{message}");
        }
    }

    #[test]
    fn two_labels_of_one_face_must_agree() {
        let mut samples = faces(12);
        let mut again = samples[3].clone();
        samples.push(again.clone());
        split(samples.clone(), 1).unwrap();
        again.points.iter_mut().for_each(|p| *p = Point::new(p.x + 20.0, p.y));
        samples.push(again);
        let message = split(samples, 1).unwrap_err().to_string();
        assert!(message.contains("procedural face 3") && message.contains("differently"), "{message}");
    }
}
