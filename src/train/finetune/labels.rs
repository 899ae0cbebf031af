//! Splits labelled faces into training and held-out faces, and checks the labels.
//!
//! In: accepted faces. Out: two sets without a common clip and without nearly identical pictures. Fails with
//! [`FineTuneError`], naming the faulty faces.

use super::error::FineTuneError;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::Part;
use crate::runtime::model::CropConvention;
use crate::train::data::{Sample, crop_for_eval};
use crate::train::eval::metrics::{Counted, Norm, normalized_mean_error};
use crate::train::fnv::Fnv1a;
use crate::train::thumbnail::Thumbnail;
use std::collections::{BTreeMap, HashMap};

/// Faces for training and faces for measurement.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub training: Vec<Sample>,
    pub held_out: Vec<Sample>,
    /// Clips of both; those that show the same moments count as one.
    pub clips: usize,
}

/// Share of the faces that is held out, about.
const HELD_OUT: f64 = 0.2;
/// More are not needed to measure on.
const MOST_HELD_OUT: usize = 500;
/// Fewest faces to hold out: the bootstrap needs some to draw from.
const FEWEST_HELD_OUT: usize = 4;
/// Fewest faces to train on.
const FEWEST_TRAINED: usize = 6;
/// Fewest clips.
const FEWEST_CLIPS: usize = 2;
/// Two labels of the same face that differ by more than this share of the eye distance contradict each other.
const SAME_LABEL: f64 = 0.05;
/// Two boxes that overlap by this much hold the same face.
const SAME_FACE: f32 = 0.5;
/// The pictures of more faces are not compared with each other: that takes long, and among so many a few similar ones
/// make no difference.
const MOST_COMPARED: usize = 1000;
/// The side of the crops that are compared, in pixels.
const LOOK_SIDE: usize = 48;
/// Faces whose looks differ by less show the same moment (see [`Thumbnail::standardized`]). In videos of four
/// people faces a tenth of a second apart differ by 0 to 0.1, those of different moments by 0.12 and more, unrelated
/// faces by 0.15 and more; a chin that is moved by 2 % of the face makes 0.08.
const SAME_MOMENT: f32 = 0.1;
/// The sine of the angle from the line between the eyes to the line down to the mouth, below which a face is mirrored.
/// A right angle in front, it falls towards 0 in profile.
const MIRRORED: f32 = -0.3;

/// Splits faces by clip, or where no clip is known by person, or else by picture. Clips that show the same moments, as
/// two recordings of one video do, are one. The same faces and seed give the same split. `crop` is what the model sees
/// of a face.
///
/// # Errors
/// [`FineTuneError::Data`] for a picture that can't be read,
/// [`FineTuneError::TooFew`], [`FineTuneError::TooFewClips`], [`FineTuneError::Mirrored`],
/// [`FineTuneError::Contradiction`].
pub(super) fn split(samples: Vec<Sample>, crop: &CropConvention, seed: u64) -> Result<Split, FineTuneError> {
    let needed = FEWEST_TRAINED + FEWEST_HELD_OUT;
    if samples.len() < needed {
        return Err(FineTuneError::TooFew { found: samples.len(), needed });
    }
    check(&samples)?;
    let mut groups: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        let name = match (&sample.clip, &sample.subject) {
            (Some(clip), _) => format!("clip {clip}"),
            (None, Some(subject)) => format!("subject {subject}"),
            (None, None) => format!("picture {}", sample.image.display()),
        };
        groups.entry(name).or_default().push(sample);
    }
    let count = groups.values().map(Vec::len).sum::<usize>();
    let groups = if count <= MOST_COMPARED { joined(groups, crop)? } else { groups.into_iter().collect() };
    let clips = groups.len();
    if clips < FEWEST_CLIPS {
        return Err(FineTuneError::TooFewClips { clips, needed: FEWEST_CLIPS });
    }
    let mut groups = groups;
    groups.sort_by_key(|(name, _)| place(name, seed));
    let wanted = ((HELD_OUT * count as f64).round() as usize).clamp(FEWEST_HELD_OUT, MOST_HELD_OUT);
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
    // A clip with far more faces than needed is held out only if the others are not enough.
    large.sort_by_key(Vec::len);
    for group in large {
        let fits = count - held_out.len() - group.len() >= FEWEST_TRAINED;
        if held_out.len() < FEWEST_HELD_OUT && fits { held_out.extend(group) } else { training.extend(group) }
    }
    if held_out.len() < FEWEST_HELD_OUT {
        // Every clip is so large that one more would leave too few to train on.
        return Err(FineTuneError::TooFewClips { clips, needed: clips + 1 });
    }
    Ok(Split { training, held_out, clips })
}

/// Checks that no face has its sides exchanged, and none two different labels.
///
/// # Errors
/// [`FineTuneError::Mirrored`], [`FineTuneError::Contradiction`].
pub(super) fn check(samples: &[Sample]) -> Result<(), FineTuneError> {
    let mirrored: Vec<String> = samples.iter().filter(|s| is_mirrored(s)).map(|s| s.origin.to_string()).collect();
    if mirrored.is_empty() { check_contradictions(samples) } else { Err(FineTuneError::Mirrored { faces: mirrored }) }
}

/// Joins groups that show the same moment: a face of one looks nearly as one of the other does.
fn joined(
    groups: BTreeMap<String, Vec<Sample>>,
    crop: &CropConvention,
) -> Result<Vec<(String, Vec<Sample>)>, FineTuneError> {
    let mut joined: Vec<(String, Vec<Sample>, Vec<Thumbnail>)> = Vec::new();
    for (name, samples) in groups {
        let mut looks = Vec::with_capacity(samples.len());
        for sample in &samples {
            let (picture, _) = crop_for_eval(sample, &sample.open()?, crop, LOOK_SIDE)?;
            looks.push(Thumbnail::of_rgb(&picture, LOOK_SIDE).standardized());
        }
        let is_alike = |others: &[Thumbnail]| {
            looks.iter().any(|look| others.iter().any(|other| look.difference(other) < SAME_MOMENT))
        };
        let (alike, others): (Vec<_>, Vec<_>) = joined.into_iter().partition(|(.., others)| is_alike(others));
        joined = others;
        // The first name, as the order of the groups depends on it.
        let mut whole = (name, samples, looks);
        for (name, samples, looks) in alike.into_iter().rev() {
            whole.0 = name;
            whole.1.splice(0..0, samples);
            whole.2.extend(looks);
        }
        joined.push(whole);
    }
    Ok(joined.into_iter().map(|(name, samples, _)| (name, samples)).collect())
}

/// The position of a group in the order of a seed.
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
    use crate::runtime::model::BoxSide;
    use crate::train::synth::portraits;
    use std::sync::Arc;

    const CROP: CropConvention = CropConvention { scale: 1.25, box_side: BoxSide::Longer };

    /// Faces of a few clips, three of each.
    fn faces(count: usize) -> Vec<Sample> {
        let mut samples = portraits(count, 3).unwrap();
        for (i, sample) in samples.iter_mut().enumerate() {
            sample.clip = Some(format!("clip {}", i / 3));
        }
        samples
    }

    #[test]
    fn no_clip_is_on_both_sides_and_every_face_is_on_one() {
        for seed in 0..20 {
            let Split { training, held_out, clips } = split(faces(30), &CROP, seed).unwrap();
            assert_eq!((training.len() + held_out.len(), clips), (30, 10));
            assert!((6..=9).contains(&held_out.len()), "{}", held_out.len());
            assert!(held_out.iter().all(|h| training.iter().all(|t| t.clip != h.clip)));
        }
    }

    #[test]
    fn two_recordings_of_the_same_moments_are_on_one_side() {
        let first = portraits(30, 3).unwrap();
        let again = first.iter().cloned().map(|mut sample| {
            // As another program would read the video, and another day's correction.
            let frame = Arc::make_mut(sample.frame.as_mut().unwrap());
            frame.rgb_mut().iter_mut().enumerate().for_each(|(i, v)| *v = v.saturating_add((i * 7 % 5) as u8));
            sample.points.iter_mut().for_each(|p| *p = Point::new(p.x + 0.8, p.y - 0.8));
            sample.image = format!("again {}", sample.image.display()).into();
            sample
        });
        let mut samples: Vec<Sample> = first.iter().cloned().chain(again).collect();
        samples.iter_mut().enumerate().for_each(|(i, s)| s.clip = Some(format!("{} of {}", i % 30 / 3, i / 30)));
        for seed in 0..10 {
            let Split { training, held_out, clips } = split(samples.clone(), &CROP, seed).unwrap();
            assert_eq!((training.len() + held_out.len(), clips), (60, 10));
            assert!(held_out.iter().all(|h| training.iter().all(|t| t.name != h.name)));
        }
    }

    #[test]
    fn no_clip_of_thousands_of_faces_is_on_both_sides_and_no_more_than_needed_is_held_out() {
        let one = faces(1).remove(0);
        let samples: Vec<Sample> = (0..3000)
            .map(|i| Sample { clip: Some(format!("clip {}", i / 3)), image: format!("{i}.jpg").into(), ..one.clone() })
            .collect();
        let Split { training, held_out, clips } = split(samples.clone(), &CROP, 5).unwrap();
        assert_eq!((training.len() + held_out.len(), clips), (3000, 1000));
        assert!((500..=502).contains(&held_out.len()), "{}", held_out.len());
        let trained: std::collections::HashSet<_> = training.iter().map(|t| &t.clip).collect();
        assert!(held_out.iter().all(|h| !trained.contains(&h.clip)));
        let mut mirrored = samples;
        mirrored[2000].points = mirrored[2000].scheme.mirror().iter().map(|&i| one.points[i]).collect();
        assert!(matches!(split(mirrored, &CROP, 5), Err(FineTuneError::Mirrored { .. })));
    }

    #[test]
    fn a_large_clip_is_held_out_only_where_small_ones_are_not_enough() {
        let mut samples = faces(26);
        samples.iter_mut().enumerate().for_each(|(i, s)| s.clip = Some(i.saturating_sub(12).to_string()));
        for seed in 0..10 {
            let Split { held_out, .. } = split(samples.clone(), &CROP, seed).unwrap();
            assert_eq!(held_out.len(), 5, "none of the thirteen faces of one clip");
        }
    }

    #[test]
    fn too_few_faces_or_clips_are_refused_and_the_message_says_how_many_are_missing() {
        let message = split(faces(7), &CROP, 1).unwrap_err().to_string();
        assert!(message.contains("7 accepted faces") && message.contains("at least 3 more"), "{message}");
        let mut one_clip = faces(20);
        one_clip.iter_mut().for_each(|sample| sample.clip = Some("all".into()));
        assert!(matches!(split(one_clip, &CROP, 1), Err(FineTuneError::TooFewClips { clips: 1, needed: 2 })));
        let mut two_large = faces(20);
        two_large.iter_mut().enumerate().for_each(|(i, sample)| sample.clip = Some((i / 17).to_string()));
        assert!(split(two_large, &CROP, 1).is_err(), "one clip of three faces is too small to measure on");
    }

    #[test]
    fn exchanged_sides_are_refused_by_name_at_any_rotation() {
        for turn in [0.0_f32, 0.7, 2.5, 4.0] {
            let mut samples = faces(12);
            for sample in &mut samples {
                // About the middle of the picture.
                for p in &mut sample.points {
                    let (x, y) = (p.x - 144.0, p.y - 144.0);
                    let (sin, cos) = turn.sin_cos();
                    *p = Point::new(144.0 + x * cos - y * sin, 144.0 + x * sin + y * cos);
                }
            }
            split(samples.clone(), &CROP, 1).unwrap();
            let mirror = samples[5].scheme.mirror();
            let before = samples[5].points.clone();
            samples[5].points = mirror.iter().map(|&i| before[i]).collect();
            let message = split(samples, &CROP, 1).unwrap_err().to_string();
            assert!(message.contains("procedural face 5") && message.contains("exchanged"), "{message}");
        }
    }

    #[test]
    fn two_labels_of_one_face_must_agree() {
        let mut samples = faces(12);
        let mut again = samples[3].clone();
        samples.push(again.clone());
        split(samples.clone(), &CROP, 1).unwrap();
        again.points.iter_mut().for_each(|p| *p = Point::new(p.x + 20.0, p.y));
        samples.push(again);
        let message = split(samples, &CROP, 1).unwrap_err().to_string();
        assert!(message.contains("procedural face 3") && message.contains("differently"), "{message}");
    }
}
