//! Mouth and brows: blend shapes under ARKit's names, and visemes.
//!
//! In: the face turned to the front (see `front`), the signals of the eyes. Out: values 0..=1, `None` where the
//! landmarks are not sure enough. Each shape is the change of a length or height of the face from the person's neutral
//! face, over the change that a full expression brings (`docs/signals.md` lists them). Left and right are the person's
//! own. Shapes that points in a picture don't carry (a puffed cheek, the tongue) have no value and no name here.

use super::eyes::EyeSignals;
use super::face_model::{AVERAGE_FACE, EYE_DISTANCE_CM};
use super::front::Front;
use crate::runtime::landmarks::Landmark;

/// The blend shapes that 98 landmarks carry, by ARKit's names. The last five are weak.
pub(super) const SHAPE_NAMES: [&str; SHAPES] = [
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawOpen",
    "mouthClose",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPucker",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "jawLeft",
    "jawRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "eyeSquintLeft",
    "eyeSquintRight",
];
const SHAPES: usize = 37;

/// Values of the blend shapes, in the order of [`SHAPE_NAMES`].
pub(super) type Shapes = [Option<f32>; SHAPES];

/// The vowels of VRM avatars: A, I, U, E, O.
pub(super) type Visemes = [f32; 5];

/// Landmarks of less mean confidence carry no signal.
const LEAST_CONFIDENCE: f32 = 0.2;
/// An eye turned by this much has a blend shape of 1, in degrees.
const FULL_GAZE_DEG: f32 = 30.0;

/// Lengths and heights of the face, in distances of the eye corners. Those with two values are of the right and the
/// left side.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Measures {
    /// The upper edge of the brow over the eye corners.
    brow: [f32; 2],
    /// Its inner and outer end over the corner next to it.
    inner_brow: [f32; 2],
    outer_brow: [f32; 2],
    /// Between the inner ends.
    brow_gap: f32,
    /// The lower lid over the eye corners.
    lower_lid: [f32; 2],
    /// From the nose to the chin.
    chin: f32,
    lip_gap: f32,
    mouth_width: f32,
    /// The corner of the mouth over the middle of the lips.
    corner: [f32; 2],
    /// The corner of the mouth from the nose, sideways.
    corner_out: [f32; 2],
    /// The upper lip below the nose.
    upper_lip: [f32; 2],
    /// The lower lip below the nose.
    lower_lip: [f32; 2],
    /// Lips and chin from the nose, to the person's left.
    mouth_shift: f32,
    jaw_shift: f32,
}

impl Measures {
    /// An average face at rest: studio faces with a neutral expression where they were measured, else the average face.
    pub fn average() -> Self {
        let front = Front { points: AVERAGE_FACE.map(|[x, y, _]| [x, y]), camera_cm: [0.0, 0.0, f32::INFINITY] };
        Self { mouth_width: 0.544, lip_gap: 0.015, chin: 0.753, brow: [0.236; 2], brow_gap: 0.339, ..Self::of(&front) }
    }

    pub fn of(front: &Front) -> Self {
        let y = |i: usize| front.y(i);
        let x = |i: usize| front.x(i);
        let unit = 1.0 / EYE_DISTANCE_CM;
        let pair = |right: f32, left: f32| [right * unit, left * unit];
        let mid_lips = front.mean_y(&[79, 85]);
        let lips = (76..96).map(x).sum::<f32>() / 20.0;
        Self {
            brow: pair(
                front.mean_y(&[33, 34, 35, 36, 37]) - front.mean_y(&[60, 64]),
                front.mean_y(&[42, 43, 44, 45, 46]) - front.mean_y(&[68, 72]),
            ),
            inner_brow: pair(y(37) - y(64), y(42) - y(68)),
            outer_brow: pair(front.mean_y(&[33, 34]) - y(60), front.mean_y(&[45, 46]) - y(72)),
            brow_gap: front.distance((37, 42)) * unit,
            lower_lid: pair(
                front.mean_y(&[65, 66, 67]) - front.mean_y(&[60, 64]),
                front.mean_y(&[73, 74, 75]) - front.mean_y(&[68, 72]),
            ),
            chin: front.distance((57, 16)) * unit,
            lip_gap: [(89, 95), (90, 94), (91, 93)].iter().map(|&pair| front.distance(pair)).sum::<f32>() / 3.0 * unit,
            mouth_width: front.distance((76, 82)) * unit,
            corner: pair(y(76) - mid_lips, y(82) - mid_lips),
            corner_out: pair(x(57) - x(76), x(82) - x(57)),
            upper_lip: pair(y(57) - front.mean_y(&[77, 78]), y(57) - front.mean_y(&[80, 81])),
            lower_lip: pair(y(57) - y(95), y(57) - y(93)),
            mouth_shift: (lips - x(57)) * unit,
            jaw_shift: (x(16) - x(57)) * unit,
        }
    }

    pub fn are_finite(&self) -> bool {
        let Self { brow, inner_brow, outer_brow, brow_gap, lower_lid, chin, lip_gap, mouth_width, .. } = *self;
        let Self { corner, corner_out, upper_lip, lower_lip, mouth_shift, jaw_shift, .. } = *self;
        let pairs = [brow, inner_brow, outer_brow, lower_lid, corner, corner_out, upper_lip, lower_lip];
        let single = [brow_gap, chin, lip_gap, mouth_width, mouth_shift, jaw_shift];
        pairs.into_iter().flatten().chain(single).all(f32::is_finite)
    }

    /// Moves every measure by a fraction of the way to `other`, at most by `limit`.
    pub fn approach(&mut self, other: &Self, share: f32, limit: f32) {
        let step = |to: &mut f32, from: f32| *to += (share * (from - *to)).clamp(-limit, limit);
        let pairs = |to: &mut [f32; 2], from: [f32; 2]| to.iter_mut().zip(from).for_each(|(to, from)| step(to, from));
        pairs(&mut self.brow, other.brow);
        pairs(&mut self.inner_brow, other.inner_brow);
        pairs(&mut self.outer_brow, other.outer_brow);
        step(&mut self.brow_gap, other.brow_gap);
        pairs(&mut self.lower_lid, other.lower_lid);
        step(&mut self.chin, other.chin);
        step(&mut self.lip_gap, other.lip_gap);
        step(&mut self.mouth_width, other.mouth_width);
        pairs(&mut self.corner, other.corner);
        pairs(&mut self.corner_out, other.corner_out);
        pairs(&mut self.upper_lip, other.upper_lip);
        pairs(&mut self.lower_lip, other.lower_lip);
        step(&mut self.mouth_shift, other.mouth_shift);
        step(&mut self.jaw_shift, other.jaw_shift);
    }

    /// How far the mouth is open: the gap of the lips over that of a mouth wide open, 0..=1.
    pub fn mouth_open(&self, neutral: &Self) -> f32 {
        full(self.lip_gap - neutral.lip_gap, 0.30)
    }

    /// How much wider the mouth is than at rest, -1..=1; below 0 narrower.
    pub fn mouth_wide(&self, neutral: &Self) -> f32 {
        ((self.mouth_width - neutral.mouth_width) / 0.14).clamp(-1.0, 1.0)
    }
}

/// Serializes the known shapes as a map from their names.
#[cfg(feature = "serde")]
pub(super) fn by_name<S: serde::Serializer>(shapes: &Shapes, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(SHAPE_NAMES.iter().zip(shapes).filter_map(|(name, value)| Some((name, (*value)?))))
}

/// A change over that of the full expression, 0..=1.
fn full(change: f32, range: f32) -> f32 {
    (change / range).clamp(0.0, 1.0)
}

/// The blend shapes of a face.
pub(super) fn shapes(
    now: &Measures,
    neutral: &Measures,
    landmarks: &[Landmark],
    [right_eye, left_eye]: &[EyeSignals; 2],
) -> Shapes {
    let mut named = NamedShapes([None; SHAPES]);
    for (eye, side) in [(right_eye, "Right"), (left_eye, "Left")] {
        named.put_eye(eye, side);
    }
    let is_sure = |points: std::ops::Range<usize>| {
        let count = points.len() as f32;
        points.map(|i| landmarks[i].confidence).sum::<f32>() / count >= LEAST_CONFIDENCE
    };
    if is_sure(33..51) {
        named.put_brows(now, neutral);
    }
    if is_sure(60..76) {
        for (i, eye, name) in [(0, right_eye, "eyeSquintRight"), (1, left_eye, "eyeSquintLeft")] {
            let narrowed = eye.openness.map_or(0.0, |openness| full(0.9 - openness, 0.4) * openness.min(1.0));
            named.put(name, narrowed * full(now.lower_lid[i] - neutral.lower_lid[i], 0.02));
        }
    }
    if is_sure(76..96) {
        named.put_mouth(now, neutral);
    }
    named.0
}

struct NamedShapes(Shapes);

impl NamedShapes {
    fn put(&mut self, name: &str, value: f32) {
        let index = SHAPE_NAMES.iter().position(|&other| other == name);
        debug_assert!(index.is_some(), "{name}");
        if let Some(index) = index {
            self.0[index] = Some(value);
        }
    }

    fn put_eye(&mut self, eye: &EyeSignals, side: &str) {
        let is_left = side == "Left";
        let mut put = |right: &str, left: &str, value: f32| self.put(if is_left { left } else { right }, value);
        if let Some(openness) = eye.openness {
            put("eyeBlinkRight", "eyeBlinkLeft", (1.0 - openness).clamp(0.0, 1.0));
            put("eyeWideRight", "eyeWideLeft", full(openness - 1.2, 0.3));
        }
        if let Some(gaze) = eye.gaze {
            let outwards = if is_left { -gaze.yaw_deg } else { gaze.yaw_deg };
            put("eyeLookOutRight", "eyeLookOutLeft", full(outwards, FULL_GAZE_DEG));
            put("eyeLookInRight", "eyeLookInLeft", full(-outwards, FULL_GAZE_DEG));
            put("eyeLookUpRight", "eyeLookUpLeft", full(gaze.pitch_deg, FULL_GAZE_DEG));
            put("eyeLookDownRight", "eyeLookDownLeft", full(-gaze.pitch_deg, FULL_GAZE_DEG));
        }
    }

    fn put_brows(&mut self, now: &Measures, neutral: &Measures) {
        let drawn_together = full(neutral.brow_gap - now.brow_gap, 0.1);
        let inner: f32 = (0..2).map(|i| now.inner_brow[i] - neutral.inner_brow[i]).sum();
        self.put("browInnerUp", full(0.5 * inner, 0.07));
        for (i, down, up) in [(0, "browDownRight", "browOuterUpRight"), (1, "browDownLeft", "browOuterUpLeft")] {
            self.put(down, 0.7 * full(neutral.brow[i] - now.brow[i], 0.06) + 0.3 * drawn_together);
            self.put(up, full(now.outer_brow[i] - neutral.outer_brow[i], 0.06));
        }
    }

    fn put_mouth(&mut self, now: &Measures, neutral: &Measures) {
        let gap = now.lip_gap - neutral.lip_gap;
        let chin = full(now.chin - neutral.chin, 0.22);
        let open = now.mouth_open(neutral);
        let jaw_open = open.max(chin);
        self.put("jawOpen", jaw_open);
        self.put("mouthClose", (chin - open).clamp(0.0, jaw_open));
        let narrower = neutral.mouth_width - now.mouth_width;
        self.put("mouthPucker", full(narrower, 0.14) * (1.0 - full(gap, 0.08)));
        self.put("mouthFunnel", full(narrower, 0.12) * full(gap, 0.08));
        let shift = now.mouth_shift - neutral.mouth_shift;
        self.put("mouthLeft", full(shift, 0.06));
        self.put("mouthRight", full(-shift, 0.06));
        let shift = now.jaw_shift - neutral.jaw_shift;
        self.put("jawLeft", full(shift - 0.02, 0.08));
        self.put("jawRight", full(-shift - 0.02, 0.08));
        let names = [
            ["mouthSmileRight", "mouthFrownRight", "mouthStretchRight", "mouthUpperUpRight", "mouthLowerDownRight"],
            ["mouthSmileLeft", "mouthFrownLeft", "mouthStretchLeft", "mouthUpperUpLeft", "mouthLowerDownLeft"],
        ];
        for (i, [smile, frown, stretch, upper, lower]) in names.into_iter().enumerate() {
            let rise = now.corner[i] - neutral.corner[i];
            let outwards = now.corner_out[i] - neutral.corner_out[i];
            self.put(smile, 0.6 * full(rise, 0.06) + 0.4 * full(outwards, 0.09) * full(rise + 0.03, 0.03));
            self.put(frown, full(-rise, 0.05) * (1.0 - full(gap, 0.15)));
            self.put(stretch, full(outwards, 0.09) * full(-rise, 0.03));
            self.put(upper, full(neutral.upper_lip[i] - now.upper_lip[i], 0.05));
            // Half of the chin's drop takes the lip along.
            let own = now.lower_lip[i] - neutral.lower_lip[i] - 0.5 * (now.chin - neutral.chin).max(0.0);
            self.put(lower, full(own, 0.06));
        }
    }
}

/// The value of a shape.
pub(super) fn value(shapes: &Shapes, name: &str) -> Option<f32> {
    SHAPE_NAMES.iter().position(|&other| other == name).and_then(|index| shapes[index])
}

/// How much of each vowel the mouth forms; in all at most 1, and 0 for a silent mouth.
pub(super) fn visemes(shapes: &Shapes, open: f32, wide: f32) -> Visemes {
    let value = |name: &str| value(shapes, name).unwrap_or(0.0);
    let (pucker, funnel) = (value("mouthPucker"), value("mouthFunnel"));
    let lowered = 0.5 * (value("mouthLowerDownLeft") + value("mouthLowerDownRight"));
    let wide = wide.max(0.0);
    // Vowels need sound: an open mouth, or rounded lips.
    let voice = full(open, 0.4).max(pucker);
    let i = wide * (1.0 - full(open, 0.4));
    let e = wide.max(0.5 * lowered) * full(open, 0.25) * (1.0 - full(open - 0.4, 0.4));
    let a = open * (1.0 - funnel) * (1.0 - 0.5 * wide);
    let vowels = [a, i, pucker, e, funnel];
    let sum = vowels.iter().sum::<f32>().max(1.0);
    vowels.map(|vowel| voice * vowel / sum)
}
