//! The choice of frames that are worth correcting.
//!
//! In: the frames of a video in order, with the faces that the tracker found. Out: the best frame of each time slot, if
//! one is good enough. The value of a face in a frame is the product of three:
//!
//! - sharpness, relative to the sharpest quarter of the last ten seconds: a camera that is never sharp has its best
//!   frames, too, and nobody can correct landmarks in a blurred frame;
//! - difficulty, estimated without labels: landmarks with low confidence, landmarks that jump from frame to frame, a
//!   head turned or tilted far;
//! - difference from all kept frames: pose and expression, light and appearance, size.
//!
//! A tracked face that is suddenly lost has the highest value: only a person can tell the model where it is. It is kept
//! with its last position, unless it left the frame or the scene changed. Nothing fails.

use super::appearance::{Appearance, Meter, mean_distance, shape};
use super::difficulty::Hints;
use crate::runtime::image::Frame;
use crate::runtime::track::{Face, HeadBox};
use std::collections::VecDeque;
use std::fmt;

/// The time span over which sharpness is compared, in seconds, and the share of it that is sharper than usual.
const SHARPNESS_MEMORY_S: f64 = 10.0;
const SHARPER_SHARE: f32 = 0.25;
/// The least sharpness of a frame that is kept, over the usual one.
const LEAST_SHARPNESS: f32 = 0.5;
/// The least difference from every frame that was kept. A face as hard as can be needs half of it.
const LEAST_DIFFERENCE: f32 = 1.0;
/// Differences above this make a frame no better.
const MOST_DIFFERENCE: f32 = 3.0;
/// The value, relative to the best, of an easy face, and of one that is as similar to another as allowed.
const EASY_VALUE: f32 = 0.3;
const ALIKE_VALUE: f32 = 0.4;
/// The value of a face that was lost.
const LOST_VALUE: f32 = 4.0;
/// A face counts as lost if it was followed for at least this many frames ...
const FOLLOWED_FRAMES: u32 = 8;
/// ... and at least this share of its side lies within the frame on every side. Faces that are lost again within this
/// time, in seconds, are lost for the same reason.
const WITHIN_SHARE: f32 = 0.45;
const LOST_INTERVAL_S: f64 = 5.0;
/// Between two frames that are kept, as a share of the slot.
const LEAST_GAP: f64 = 1.0 / 3.0;
/// How much better another candidate of a slot has to be, to avoid needless copies of frames.
const BETTER_BY: f32 = 1.05;
/// Frames further apart, in seconds, say nothing about jumps.
const LONGEST_STEP_S: f64 = 0.1;
/// Samples of the frame, along its width and its height, that tell whether the scene has changed, and the mean
/// difference of 255 above which it has.
const SCENE_GRID: (usize, usize) = (24, 18);
const SCENE_CHANGE: f32 = 40.0;

/// The settings of the choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SelectionOptions {
    /// The length of a time slot, of which at most one frame is kept, in seconds.
    pub slot_s: f64,
}

impl Default for SelectionOptions {
    fn default() -> Self {
        Self { slot_s: 2.0 }
    }
}

/// Why a frame was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Asked,
    /// It was given as a picture.
    Picture,
    First,
    Unsure,
    Jumping,
    Turned,
    Tilted,
    Different,
    Lost,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "you asked for it",
            Self::Picture => "a separate picture",
            Self::First => "the first face",
            Self::Unsure => "landmarks have low confidence",
            Self::Jumping => "landmarks jump",
            Self::Turned => "the head is turned",
            Self::Tilted => "the head is tilted",
            Self::Different => "different from the others",
            Self::Lost => "the face was lost",
        })
    }
}

/// A face of a frame that is kept.
#[derive(Clone, Debug)]
pub(super) enum KeptFace {
    Found(Face),
    /// It was not found; it has to be about here.
    Unfound(HeadBox),
}

/// A frame that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub frame: Frame,
    pub faces: Vec<KeptFace>,
    pub time_s: f64,
    pub reason: Reason,
}

/// Chooses frames.
pub(super) struct Selector {
    options: SelectionOptions,
    meter: Meter,
    /// The faces that were found in the last frame.
    followed: Vec<Followed>,
    /// When faces had which sharpness.
    sharpness: VecDeque<(f64, f32)>,
    scene: Vec<u8>,
    kept: Vec<Appearance>,
    slot_began_s: Option<f64>,
    best: Option<Candidate>,
    last_kept_s: f64,
    last_lost_s: f64,
}

/// A face as it was in the last frame.
struct Followed {
    id: u64,
    seen_s: f64,
    frames: u32,
    head: HeadBox,
    /// The shapes of the last two frames without their roll, the last one first.
    shapes: [Option<Vec<[f32; 2]>>; 2],
}

/// The best frame of a slot so far.
struct Candidate {
    frame: Frame,
    face: KeptFace,
    /// `None` for a face that was lost.
    appearance: Option<Appearance>,
    time_s: f64,
    reason: Reason,
    /// Without the sharpness.
    value: f32,
}

impl Selector {
    pub(super) fn new(options: SelectionOptions) -> Self {
        Self {
            options,
            meter: Meter::new(),
            followed: Vec::new(),
            sharpness: VecDeque::new(),
            scene: Vec::new(),
            kept: Vec::new(),
            slot_began_s: None,
            best: None,
            last_kept_s: f64::NEG_INFINITY,
            last_lost_s: f64::NEG_INFINITY,
        }
    }

    /// Looks at the next frame. What is returned is the best frame of a slot that is over.
    pub(super) fn look(&mut self, frame: &Frame, faces: &[Face], time_s: f64) -> Option<Kept> {
        let began_s = *self.slot_began_s.get_or_insert(time_s);
        // A clock that is set back begins a slot, too.
        let is_over = !(0.0..self.options.slot_s).contains(&(time_s - began_s));
        let done = if is_over { self.take_best() } else { None };
        if is_over {
            self.slot_began_s = Some(time_s);
        }
        if self.scene_has_changed(frame) {
            self.followed.clear();
        }
        let is_due = time_s - self.last_kept_s >= LEAST_GAP * self.options.slot_s || time_s < self.last_kept_s;
        self.look_for_lost(frame, faces, time_s, is_due);
        let mut followed = Vec::with_capacity(faces.len());
        for face in faces {
            let Some(appearance) = self.meter.measure(frame, &face.landmarks) else { continue };
            let before = self.followed.iter().position(|f| f.id == face.id).map(|i| self.followed.swap_remove(i));
            let (now, jump) = Followed::after(before, face, &appearance, time_s);
            followed.push(now);
            self.note_sharpness(appearance.sharpness, time_s);
            if is_due {
                let hints = Hints::of(face, &appearance.head, jump);
                self.consider(frame, face, appearance, hints, time_s);
            }
        }
        self.followed = followed;
        done
    }

    /// The best frame of the slot that has not ended yet.
    pub(super) fn take_best(&mut self) -> Option<Kept> {
        let best = self.best.take()?;
        let Candidate { frame, face, appearance, time_s, reason, .. } = best;
        match appearance {
            Some(appearance) if self.relative(appearance.sharpness) < LEAST_SHARPNESS => return None,
            Some(appearance) => self.kept.push(appearance),
            None => self.last_lost_s = time_s,
        }
        self.last_kept_s = time_s;
        Some(Kept { frame, faces: vec![face], time_s, reason })
    }

    /// A frame was kept for another reason: frames like it are not needed any more.
    pub(super) fn note_kept(&mut self, frame: &Frame, faces: &[Face]) {
        for face in faces {
            self.kept.extend(self.meter.measure(frame, &face.landmarks));
        }
    }

    fn look_for_lost(&mut self, frame: &Frame, faces: &[Face], time_s: f64, is_due: bool) {
        let is_new = (time_s - self.last_lost_s).abs() >= LOST_INTERVAL_S;
        let lost = self.followed.iter().find(|followed| {
            followed.frames >= FOLLOWED_FRAMES
                && (time_s - followed.seen_s).abs() <= LONGEST_STEP_S
                && is_within(&followed.head, frame)
                && faces.iter().all(|face| face.id != followed.id)
        });
        if let Some(head) = lost.filter(|_| is_new && is_due).map(|followed| followed.head) {
            self.offer(frame, KeptFace::Unfound(head), None, time_s, Reason::Lost, LOST_VALUE);
        }
    }

    fn consider(&mut self, frame: &Frame, face: &Face, appearance: Appearance, hints: Hints, time_s: f64) {
        let difficulty = hints.difficulty();
        let differences = self.kept.iter().map(|kept| kept.difference(&appearance));
        let difference = differences.fold(MOST_DIFFERENCE, f32::min);
        if difference < LEAST_DIFFERENCE * (1.0 - 0.5 * difficulty) {
            return;
        }
        let newness = difference / MOST_DIFFERENCE;
        let value = (EASY_VALUE + difficulty) * (ALIKE_VALUE + newness);
        let reason = match hints.reason() {
            Reason::Different if self.kept.is_empty() => Reason::First,
            reason => reason,
        };
        tracing::trace!(
            time_s,
            ?hints,
            difference,
            value,
            sharpness = self.relative(appearance.sharpness),
            "candidate"
        );
        self.offer(frame, KeptFace::Found(face.clone()), Some(appearance), time_s, reason, value);
    }

    /// Makes this the best of the slot if it is better than the one before it.
    fn offer(
        &mut self,
        frame: &Frame,
        face: KeptFace,
        appearance: Option<Appearance>,
        time_s: f64,
        reason: Reason,
        value: f32,
    ) {
        let sharp = |appearance: &Option<Appearance>| {
            appearance.as_ref().map_or(1.0, |appearance| self.relative(appearance.sharpness).min(1.0))
        };
        if appearance.is_some() && sharp(&appearance) < LEAST_SHARPNESS {
            return;
        }
        let standard = self.best.as_ref().map_or(0.0, |best| best.value * sharp(&best.appearance));
        if value * sharp(&appearance) <= BETTER_BY * standard {
            return;
        }
        let mut copy = self.best.take().map_or_else(Frame::default, |best| best.frame);
        copy.clone_from(frame);
        self.best = Some(Candidate { frame: copy, face, appearance, time_s, reason, value });
    }

    fn note_sharpness(&mut self, sharpness: f32, time_s: f64) {
        self.sharpness.push_back((time_s, sharpness));
        let is_old = |noted_s: f64| !(0.0..=SHARPNESS_MEMORY_S).contains(&(time_s - noted_s));
        while self.sharpness.front().is_some_and(|(noted_s, _)| is_old(*noted_s)) {
            self.sharpness.pop_front();
        }
    }

    /// A sharpness over the usual one.
    fn relative(&self, sharpness: f32) -> f32 {
        let mut recent: Vec<f32> = self.sharpness.iter().map(|(_, sharpness)| *sharpness).collect();
        if recent.is_empty() {
            return 1.0;
        }
        let sharper = (recent.len() as f32 * (1.0 - SHARPER_SHARE)) as usize;
        let (_, usual, _) = recent.select_nth_unstable_by(sharper, f32::total_cmp);
        sharpness / usual.max(f32::MIN_POSITIVE)
    }

    fn scene_has_changed(&mut self, frame: &Frame) -> bool {
        let (columns, rows) = SCENE_GRID;
        let (width, height) = (frame.width(), frame.height());
        let at = |i: usize, count: usize, length: usize| (2 * i + 1) * length / (2 * count);
        let samples = (0..columns * rows).map(|i| {
            let (x, y) = (at(i % columns, columns, width), at(i / columns, rows, height));
            frame.rgb().get((y * width + x) * 3 + 1).copied().unwrap_or_default()
        });
        let scene: Vec<u8> = samples.collect();
        let before = std::mem::replace(&mut self.scene, scene);
        let differences = before.iter().zip(&self.scene).map(|(a, b)| f32::from(a.abs_diff(*b)));
        differences.sum::<f32>() > SCENE_CHANGE * before.len().max(1) as f32
    }
}

impl Followed {
    /// The face in this frame, and how far its landmarks have jumped.
    fn after(before: Option<Self>, face: &Face, appearance: &Appearance, time_s: f64) -> (Self, f32) {
        let head = appearance.head;
        let shape_now = shape(&face.landmarks, head.roll_rad);
        let before = before.filter(|before| (time_s - before.seen_s).abs() <= LONGEST_STEP_S);
        let (frames, shapes) = before.map_or((0, [None, None]), |before| (before.frames, before.shapes));
        let [last, earlier] = shapes;
        let jump = match (&shape_now, &last, &earlier) {
            (Some(now), Some(last), Some(earlier)) => {
                let expected = last.iter().zip(earlier).map(|(a, b)| [2.0 * a[0] - b[0], 2.0 * a[1] - b[1]]);
                mean_distance(now, &expected.collect::<Vec<_>>())
            }
            _ => 0.0,
        };
        (Self { id: face.id, seen_s: time_s, frames: frames + 1, head, shapes: [shape_now, last] }, jump)
    }
}

/// Whether a head is in the frame, and not on its way out.
fn is_within(head: &HeadBox, frame: &Frame) -> bool {
    let margin = WITHIN_SHARE * head.side;
    let holds = |v: f32, length: usize| v >= margin && v <= length as f32 - margin;
    holds(head.center.x, frame.width()) && holds(head.center.y, frame.height())
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
