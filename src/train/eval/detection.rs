//! Evaluation of a detector: recall by face size, and false positives, by threshold.
//!
//! In: photographs as for the training of a detector. Faces with landmarks are pasted into pictures without faces, once
//! at every size of [`STAGED_SIDES`], in frames of 640x480 and 480x640 in turn, at random but seeded positions. Boxes
//! of scenes count by their size in a frame whose longer side is [`FRAME_SIDE`] pixels. False positives are counted in
//! pictures without faces and on single faces covered by a plain ellipse. Scenes and pictures without faces together
//! give the two metrics to choose a training by: average precision, and recall at one false positive in a hundred
//! pictures. All sizes are the longer side of the box around the landmarks.

use super::report::EvalError;
use crate::runtime::detect::{Detection, Detector};
use crate::runtime::geometry::{FrameSpace, Point, Rect};
use crate::runtime::image::Frame;
use crate::train::detector::{Photograph, stage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The longer side of the frames that sizes are given for, in pixels.
pub const FRAME_SIDE: f32 = 640.0;
/// Sides of the staged faces' boxes, in pixels: the last fills a frame of 480 pixels nearly.
pub const STAGED_SIDES: [f32; 8] = [40.0, 56.0, 80.0, 112.0, 160.0, 224.0, 320.0, 432.0];
/// Width and height of the frames that faces are pasted into, in turn.
const STAGED_FRAMES: [(usize, usize); 2] = [(640, 480), (480, 640)];
/// Bounds of the size classes of faces in scenes, in pixels of a frame of `FRAME_SIDE`; smaller ones are not counted.
const SCENE_SIDES: [f32; 5] = [40.0, 60.0, 90.0, 150.0, FRAME_SIDE];
/// Score thresholds.
pub const THRESHOLDS: [f32; 5] = [0.25, 0.3, 0.4, 0.5, 0.6];
/// The smallest intersection over union with the true box at which a face is found.
const FOUND_OVERLAP: f32 = 0.5;
/// A detection that overlaps a marked face of any size by more than this is not a false positive.
const TOUCHED_OVERLAP: f32 = 0.1;
const SEED: u64 = 1;

/// Faces of one kind and size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// "set in, 640x480", "set in, 480x640" or "scenes".
    pub kind: String,
    /// Smallest and largest side, in pixels of a frame of `FRAME_SIDE`.
    pub side_px: (f32, f32),
    pub faces: usize,
    /// Found faces in percent, at each threshold.
    pub found_percent: Vec<f64>,
}

/// False positives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invented {
    /// "without faces", "covered faces" or "scenes".
    pub kind: String,
    pub pictures: usize,
    /// Per 100 pictures, at each threshold.
    pub per_100_pictures: Vec<f64>,
}

/// The whole evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionEvaluation {
    pub thresholds: Vec<f32>,
    pub recall: Vec<Recall>,
    pub invented: Vec<Invented>,
    /// Mean intersection over union of the found boxes with those of pasted faces and of scenes, at the lowest
    /// threshold; none if none was found.
    pub mean_overlap: Option<f64>,
    /// Of the faces of scenes that are counted; none without scenes.
    #[serde(default)]
    pub scenes: Option<SceneFigures>,
}

/// A detector on scenes, whatever the threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneFigures {
    pub faces: usize,
    /// Area under the precision-recall curve, in percent, over all detections. Boxes on faces that are too small to
    /// count are ignored.
    pub average_precision: f64,
    /// The lowest score with at most one false positive in a hundred pictures, with or without faces, and the recall on
    /// scenes at that score, in percent.
    pub score_at_one_invented: f32,
    pub recall_at_one_invented: f64,
}

impl SceneFigures {
    /// From the scores of found faces and of false positives.
    fn of(faces: usize, mut right: Vec<f32>, mut wrong: Vec<f32>, pictures: usize) -> Self {
        let falling = |scores: &mut Vec<f32>| scores.sort_unstable_by(|a, b| b.total_cmp(a));
        falling(&mut right);
        falling(&mut wrong);
        let mut area = 0.0;
        for (found, score) in right.iter().enumerate() {
            let invented = wrong.partition_point(|w| w >= score);
            area += (found + 1) as f64 / (found + 1 + invented) as f64;
        }
        let allowed = pictures / 100;
        let score = wrong.get(allowed).map_or(0.0, |&first_too_many| first_too_many.next_up());
        let found = right.partition_point(|s| *s >= score);
        let percent = |count: f64| 100.0 * count / faces.max(1) as f64;
        Self {
            faces,
            average_precision: percent(area),
            score_at_one_invented: score,
            recall_at_one_invented: percent(found as f64),
        }
    }
}

#[derive(Clone, Default)]
struct Counts {
    of: usize,
    hits: [usize; THRESHOLDS.len()],
}

impl Counts {
    /// `scores`: those of the detections; every threshold that a score reaches counts it once.
    fn add(&mut self, of: usize, scores: impl IntoIterator<Item = f32>) {
        self.of += of;
        for score in scores {
            for (hits, threshold) in self.hits.iter_mut().zip(THRESHOLDS) {
                *hits += usize::from(score >= threshold);
            }
        }
    }

    fn percent(&self) -> Vec<f64> {
        self.hits.iter().map(|hits| 100.0 * *hits as f64 / self.of.max(1) as f64).collect()
    }
}

/// Runs the detector over the photographs. `on_picture` is called after every photograph; for scenes and pictures
/// without faces it gets the picture and what was found in it, for single faces, which are pasted elsewhere, nothing.
///
/// # Errors
/// Pictures that can't be read, by name; a detector that fails; faces to set in but no picture without faces.
pub fn evaluate_detector(
    detector: &mut Detector,
    photographs: &[Photograph],
    mut on_picture: impl FnMut(Option<(&Path, &[Detection])>),
) -> Result<DetectionEvaluation, EvalError> {
    let mut tally = Tally::new();
    let mut backgrounds = Vec::new();
    for photograph in photographs {
        let Photograph::Background { image } = photograph else { continue };
        let frame = open(image)?;
        let found = detector.detect(&frame)?;
        tally.add_background(found);
        on_picture(Some((image, found)));
        backgrounds.push(frame);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for (number, photograph) in photographs.iter().enumerate() {
        match photograph {
            Photograph::Background { .. } => continue,
            Photograph::Scene { image, faces } => {
                let frame = open(image)?;
                let unit = FRAME_SIDE / frame.width().max(frame.height()) as f32;
                let found = detector.detect(&frame)?;
                tally.add_scene(found, faces, unit);
                on_picture(Some((image, found)));
            }
            Photograph::Face { image, face, .. } => {
                let mut picture = open(image)?;
                if backgrounds.is_empty() {
                    return Err(EvalError::NoBackgrounds);
                }
                for (class, side) in STAGED_SIDES.into_iter().enumerate() {
                    let turn = (number + class) % 2;
                    let background = &backgrounds[rng.random_range(0..backgrounds.len())];
                    let (frame, rect) = set_in(&mut rng, background, (&picture, face), STAGED_FRAMES[turn], side);
                    tally.add_staged(detector.detect(&frame)?, &rect, turn, class);
                }
                cover(&mut picture, face);
                let found = detector.detect(&picture)?;
                tally.covered.add(1, found.iter().filter(|d| d.rect.iou(face) > TOUCHED_OVERLAP).map(|d| d.score));
                on_picture(None);
            }
        }
    }
    Ok(tally.evaluation())
}

/// The counts so far.
struct Tally {
    /// Pasted faces, by the sizes of frame and face.
    staged: [[Counts; STAGED_SIDES.len()]; 2],
    scenes: [Counts; SCENE_SIDES.len() - 1],
    /// False positives.
    empty: Counts,
    covered: Counts,
    in_scenes: Counts,
    overlaps: Vec<f64>,
    faces_in_scenes: usize,
    /// Scores of found faces of scenes, and of false positives.
    right: Vec<f32>,
    wrong: Vec<f32>,
}

impl Tally {
    fn new() -> Self {
        Self {
            staged: Default::default(),
            scenes: Default::default(),
            empty: Counts::default(),
            covered: Counts::default(),
            in_scenes: Counts::default(),
            overlaps: Vec::new(),
            faces_in_scenes: 0,
            right: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Counts the detections in a picture without faces.
    fn add_background(&mut self, found: &[Detection]) {
        self.empty.add(1, found.iter().map(|d| d.score));
        self.wrong.extend(found.iter().map(|d| d.score));
    }

    /// Counts the detections in a scene; `unit` is pixels of a frame of [`FRAME_SIDE`] per pixel of the scene.
    fn add_scene(&mut self, found: &[Detection], faces: &[Rect<FrameSpace>], unit: f32) {
        for face in faces {
            let class = SCENE_SIDES.partition_point(|side| *side <= face.side() * unit);
            let Some(counts) = class.checked_sub(1).and_then(|class| self.scenes.get_mut(class)) else { continue };
            counts.add(1, found_score(found, face));
            self.faces_in_scenes += 1;
            if let Some(best) = found.iter().max_by(|a, b| a.rect.iou(face).total_cmp(&b.rect.iou(face)))
                && best.rect.iou(face) >= FOUND_OVERLAP
            {
                self.overlaps.push(f64::from(best.rect.iou(face)));
                self.right.push(best.score);
            }
        }
        let invented = found.iter().filter(|d| faces.iter().all(|f| f.iou(&d.rect) <= TOUCHED_OVERLAP));
        let invented: Vec<f32> = invented.map(|d| d.score).collect();
        self.in_scenes.add(1, invented.iter().copied());
        self.wrong.extend(invented);
    }

    /// Counts the detections in a frame with a face pasted at `rect`.
    fn add_staged(&mut self, found: &[Detection], rect: &Rect<FrameSpace>, turn: usize, class: usize) {
        self.staged[turn][class].add(1, found_score(found, rect));
        if let Some(best) = found.iter().map(|d| d.rect.iou(rect)).max_by(f32::total_cmp)
            && best >= FOUND_OVERLAP
        {
            self.overlaps.push(f64::from(best));
        }
    }

    fn evaluation(self) -> DetectionEvaluation {
        let mut recall = Vec::new();
        for (kind, counts) in ["set in, 640x480", "set in, 480x640"].iter().zip(&self.staged) {
            for (side, counts) in STAGED_SIDES.into_iter().zip(counts) {
                recall.push((*kind, (side, side), counts));
            }
        }
        for (bounds, counts) in SCENE_SIDES.windows(2).zip(&self.scenes) {
            recall.push(("scenes", (bounds[0], bounds[1]), counts));
        }
        let recall = recall.into_iter().filter(|(_, _, counts)| counts.of > 0).map(|(kind, side_px, counts)| Recall {
            kind: kind.into(),
            side_px,
            faces: counts.of,
            found_percent: counts.percent(),
        });
        let invented = [("without faces", &self.empty), ("covered faces", &self.covered), ("scenes", &self.in_scenes)];
        let invented = invented.into_iter().filter(|(_, counts)| counts.of > 0).map(|(kind, counts)| Invented {
            kind: kind.into(),
            pictures: counts.of,
            per_100_pictures: counts.percent(),
        });
        let (faces, pictures) = (self.faces_in_scenes, self.in_scenes.of + self.empty.of);
        let overlaps = &self.overlaps;
        DetectionEvaluation {
            thresholds: THRESHOLDS.to_vec(),
            recall: recall.collect(),
            invented: invented.collect(),
            mean_overlap: (!overlaps.is_empty()).then(|| overlaps.iter().sum::<f64>() / overlaps.len() as f64),
            scenes: (faces > 0).then(|| SceneFigures::of(faces, self.right, self.wrong, pictures)),
        }
    }
}

/// Pastes a face into a background at a random position: the frame of `size` pixels (width, height), and the face's box
/// in it.
fn set_in(
    rng: &mut ChaCha8Rng,
    background: &Frame,
    (picture, face): (&Frame, &Rect<FrameSpace>),
    size: (usize, usize),
    side: f32,
) -> (Frame, Rect<FrameSpace>) {
    let scale = side / face.side();
    let mut along = |length: usize, side: f32| {
        let free = (length as f32 - side).max(0.0);
        0.5 * (length as f32 - free) + free * rng.random::<f32>()
    };
    let center = Point::new(along(size.0, face.width * scale), along(size.1, face.height * scale));
    stage(background, (picture, face), size, center, side)
}

fn open(image: &Path) -> Result<Frame, EvalError> {
    Ok(Frame::open(image)?)
}

/// The highest score of a detection of this face.
fn found_score(found: &[Detection], face: &Rect<FrameSpace>) -> Option<f32> {
    found.iter().filter(|d| d.rect.iou(face) >= FOUND_OVERLAP).map(|d| d.score).max_by(f32::total_cmp)
}

/// Fills the ellipse in the box, grown by a tenth, with the mean colour of the picture.
fn cover(frame: &mut Frame, face: &Rect<FrameSpace>) {
    let pixels = (frame.width() * frame.height()) as u64;
    let mut sums = [0_u64; 3];
    for pixel in frame.rgb().chunks_exact(3) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += u64::from(*value);
        }
    }
    let color = sums.map(|sum| (sum / pixels) as u8);
    let (center, width) = (face.center(), frame.width());
    for (i, pixel) in frame.rgb_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = ((i % width) as f32 - center.x, (i / width) as f32 - center.y);
        if (x / (0.55 * face.width)).hypot(y / (0.55 * face.height)) <= 1.0 {
            pixel.copy_from_slice(&color);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_and_recall_follow_from_the_order_of_scores() {
        // Right, wrong, right, and one face that is never found.
        let figures = SceneFigures::of(3, vec![0.5, 0.9], vec![0.7], 50);
        assert!((figures.average_precision - 100.0 * (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-9);
        assert!((figures.recall_at_one_invented - 100.0 / 3.0).abs() < 1e-9);
        assert!(figures.score_at_one_invented > 0.7 && figures.score_at_one_invented < 0.71);
        // In a hundred pictures one is allowed.
        assert!(
            (SceneFigures::of(3, vec![0.5, 0.9], vec![0.7], 100).recall_at_one_invented - 200.0 / 3.0).abs() < 1e-9
        );
    }
}
