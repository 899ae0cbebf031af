//! Eyes: how far they are open, blinks and winks, and where they look.
//!
//! In: landmarks in pixels, the pose of the head, and the face turned to the front (see `front`). Out: openness 0..=1,
//! blinks with start and duration in seconds, angles of the gaze relative to the head in degrees. Left and right are
//! the person's own.
//!
//! The distance of the lids is measured twice, over the width of the eye and in centimetres: on the far eye of a turned
//! head one grows by as much as the other shrinks, so their geometric mean stays within 4 % up to 40 degrees.

use super::Side;
use super::face_model::AVERAGE_FACE;
use super::front::Front;
use crate::runtime::landmarks::{Landmark, Part, Scheme};

/// A blink that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Blink {
    /// When the eye closed, in the tracker's time; interpolated between two frames.
    pub start_s: f64,
    /// Until it opened again, in seconds: 0.015 to 0.5.
    pub duration_s: f64,
}

/// The direction of the gaze relative to the head, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Gaze {
    /// Positive to the person's right.
    pub yaw_deg: f32,
    /// Positive up.
    pub pitch_deg: f32,
}

/// The opening (the geometric mean of the module's contract, in root cm) of an open eye, before the person's own is
/// known.
const OPEN: f32 = 0.55;
/// The range of a person's own.
const OPEN_LEVELS: std::ops::RangeInclusive<f32> = 0.5 * OPEN..=1.6 * OPEN;
/// The opening of a shut eye over that of an open one, before it has been seen.
const SHUT_OVER_OPEN: f32 = 0.35;
/// An eye counts as fully open from this share of its usual opening: it is seldom wider.
const FULLY_OPEN: f32 = 0.9;
/// Openness at which an eye counts as shut, and as open again.
const SHUTS_AT: f32 = 0.35;
const OPENS_AT: f32 = 0.55;
/// A blink takes this long, in seconds; what is longer is a shut eye. At 30 frames a second a quick one is shut in a
/// single frame.
const BLINK_S: std::ops::RangeInclusive<f64> = 0.015..=0.5;
/// When an eye opened or closed between two frames further apart is not known, in seconds: no blink begins or ends there.
const LONGEST_GAP_S: f64 = 0.25;
/// Nobody winks faster than this, in seconds: a shorter blink of one eye alone is a misplaced landmark.
const QUICKEST_WINK_S: f64 = 0.05;
/// Landmarks of less mean confidence carry no signal.
const LEAST_CONFIDENCE: f32 = 0.2;
/// From this yaw on the near eye speaks more and more for both, until it speaks alone; in degrees. Nobody's far lids
/// are seen well beyond it.
const ONE_EYE_YAW_DEG: [f32; 2] = [15.0, 30.0];
/// Up to this difference in openness the eyes are one; from the second on each is its own (a wink).
const WINK: [f32; 2] = [0.25, 0.5];
/// The radius of the eyeball, in cm.
pub(super) const EYEBALL_CM: f32 = 1.2;
/// How far the pupil of an eye that looks straight ahead lies in front of the eye's corners, in cm.
#[cfg(feature = "internals")]
pub(super) const PUPIL_LEAD_CM: f32 = 0.36;
/// Where the pupil of an eye lies that looks along the head's axis, relative to the middle of the eye corners and in
/// half eye widths: outwards and up.
const STRAIGHT: [f32; 2] = [0.005, 0.141];

/// What is known about a person's eyes.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct EyeLevels {
    /// The usual opening of the open eye, in root cm.
    open: f32,
    /// The smallest opening that was seen, in root cm.
    shut: f32,
    /// Where the pupil lies when looking straight ahead, as [`STRAIGHT`].
    straight: [f32; 2],
}

impl Default for EyeLevels {
    fn default() -> Self {
        Self { open: OPEN, shut: SHUT_OVER_OPEN * OPEN, straight: STRAIGHT }
    }
}

impl EyeLevels {
    #[cfg(test)]
    pub fn straight_ahead() -> [f32; 2] {
        STRAIGHT
    }

    /// Checks what was read from outside.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_possible = OPEN_LEVELS.contains(&self.open)
            && (0.0..FULLY_OPEN * self.open).contains(&self.shut)
            && self.straight.iter().all(|offset| offset.abs() <= 1.0);
        if is_possible { Ok(()) } else { Err("the levels of its eyes are not those of a face") }
    }

    /// 0 shut, 1 as open as usual; above 1 wider.
    fn openness(&self, opening: f32) -> f32 {
        (opening - self.shut) / (FULLY_OPEN * self.open - self.shut)
    }

    /// Learns from an opening that was seen for `elapsed_s`.
    fn learn(&mut self, opening: f32, elapsed_s: f32) {
        /// The open level is that below which the eye is three quarters of the time while it is open.
        const QUANTILE: f32 = 0.75;
        /// How fast the open level moves, and the shut one goes back to the usual: shares of the level per second.
        const RATE: f32 = 0.1;
        const FORGETTING: f32 = 0.005;
        if opening > 0.7 * self.open {
            let direction = if opening > self.open { QUANTILE } else { QUANTILE - 1.0 };
            let learned = self.open * (1.0 + RATE * elapsed_s * direction);
            self.open = learned.clamp(*OPEN_LEVELS.start(), *OPEN_LEVELS.end());
        }
        let usual = SHUT_OVER_OPEN * self.open;
        self.shut += FORGETTING * elapsed_s * (usual - self.shut);
        // Half of the way: one bad landmark is no shut eye.
        self.shut = (self.shut + 0.5 * (opening - self.shut).min(0.0)).clamp(0.3 * usual, 1.3 * usual);
    }
}

/// One eye of the frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EyeSignals {
    /// 0 shut, 1 open; above 1 wider than usual, up to 1.5.
    pub openness: Option<f32>,
    /// Whether it is shut for a blink.
    pub is_blinking: bool,
    /// The blink that has just ended.
    pub blink: Option<Blink>,
    /// Where it looks.
    pub gaze: Option<Gaze>,
}

/// Both eyes of a person over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Eyes {
    pub levels: [EyeLevels; 2],
    /// Minus infinity if it closed out of sight.
    shut_since_s: [Option<f64>; 2],
    /// Whether the other eye closed with it.
    closed_together: [bool; 2],
    /// Time and openness of the last frame.
    last: [Option<(f64, f32)>; 2],
    gaze: [Option<Gaze>; 2],
    /// Where the pupils lie, for the next neutral pose.
    pupils: [Option<[f32; 2]>; 2],
}

/// What the eyes are measured in.
pub(super) struct EyeView<'a> {
    /// Smoothed landmarks.
    pub landmarks: &'a [Landmark],
    /// Landmarks as the network placed them in this frame: smoothing could swallow a blink.
    pub predicted: &'a [Landmark],
    pub front: &'a Front,
    pub px_per_cm: f32,
    pub yaw_deg: f32,
    pub is_frontal: bool,
    pub time_s: f64,
    pub elapsed_s: f32,
}

impl Eyes {
    pub fn new(levels: [EyeLevels; 2]) -> Self {
        Self { levels, ..Self::default() }
    }

    /// The signals of both eyes: the right one, then the left one.
    pub fn measure(&mut self, view: &EyeView<'_>) -> [EyeSignals; 2] {
        let shares = shares(view.yaw_deg);
        let steady = self.openness(view.landmarks, view, shares);
        let prompt = self.openness(view.predicted, view, shares);
        let mut signals = [EyeSignals::default(); 2];
        for side in Side::BOTH {
            let i = side as usize;
            signals[i].openness = steady[i].map(|openness| openness.clamp(0.0, 1.5));
            self.find_blink(side, prompt, view.time_s, &mut signals[i]);
            if let (Some(opening), true) = (opening(view.predicted, side, view.px_per_cm), view.is_frontal) {
                self.levels[i].learn(opening, view.elapsed_s);
            }
            self.pupils[i] = pupil(view.front, view.landmarks, side);
            // A lid that closes hides the pupil or drags it along.
            if prompt[i].is_some_and(|openness| openness >= SHUTS_AT) {
                self.gaze[i] = self.pupils[i].map(|pupil| self.gaze_of(side, pupil, view.front));
            }
            signals[i].gaze = self.gaze[i];
        }
        signals
    }

    /// Takes the present direction of the pupils as straight ahead and the present opening as usual.
    pub fn set_neutral(&mut self, landmarks: &[Landmark], px_per_cm: f32) {
        for side in Side::BOTH {
            let levels = &mut self.levels[side as usize];
            if let Some(pupil) = self.pupils[side as usize] {
                levels.straight = pupil.map(|offset| offset.clamp(-1.0, 1.0));
            }
            if let Some(opening) = opening(landmarks, side, px_per_cm) {
                levels.open = opening.clamp(*OPEN_LEVELS.start(), *OPEN_LEVELS.end());
                levels.shut = levels.shut.min(SHUT_OVER_OPEN * levels.open);
            }
        }
    }

    /// The openness of both eyes, of which a face seen from the side has only one.
    fn openness(&self, landmarks: &[Landmark], view: &EyeView<'_>, shares: [f32; 2]) -> [Option<f32>; 2] {
        let own = Side::BOTH.map(|side| {
            let opening = opening(landmarks, side, view.px_per_cm)?;
            Some(self.levels[side as usize].openness(opening))
        });
        match own {
            [Some(right), Some(left)] => {
                let together = shares[0] * right + shares[1] * left;
                // Both eyes of a frontal face have their share: only there a difference is a wink.
                let is_seen = (2.0 * shares[0].min(shares[1])).min(1.0);
                let [from, to] = WINK;
                let apart = is_seen * (((right - left).abs() - from) / (to - from)).clamp(0.0, 1.0);
                [right, left].map(|own| Some(together + apart * (own - together)))
            }
            [right, left] => [right.or(left), left.or(right)],
        }
    }

    fn find_blink(&mut self, side: Side, openness: [Option<f32>; 2], time_s: f64, signals: &mut EyeSignals) {
        let i = side as usize;
        let now = openness[i].map(|openness| (time_s, openness));
        let last = std::mem::replace(&mut self.last[i], now);
        let last = last.filter(|(last_s, _)| time_s - last_s <= LONGEST_GAP_S);
        let since = &mut self.shut_since_s[i];
        match (now, *since) {
            (Some(now), None) if now.1 < SHUTS_AT => {
                *since = Some(last.map_or(f64::NEG_INFINITY, |last| crossing_s(last, now, SHUTS_AT)));
                self.closed_together[i] = false;
            }
            (Some(now), Some(start_s)) if now.1 > OPENS_AT => {
                let is_possible = |duration_s: &f64| {
                    BLINK_S.contains(duration_s) && (self.closed_together[i] || *duration_s >= QUICKEST_WINK_S)
                };
                let duration_s = last.map(|last| crossing_s(last, now, OPENS_AT) - start_s).filter(is_possible);
                signals.blink = duration_s.map(|duration_s| Blink { start_s, duration_s });
                *since = None;
            }
            (None, _) => *since = None,
            _ => {}
        }
        self.closed_together[i] |= since.is_some() && openness[1 - i].is_some_and(|other| other < OPENS_AT);
        signals.is_blinking = since.is_some_and(|start_s| time_s - start_s <= *BLINK_S.end());
    }

    /// The line of sight to the pupil meets the eyeball where the eye looks out: the pupil comes back as the eye turns,
    /// which from the side looks like another turn.
    fn gaze_of(&self, side: Side, [outwards, up]: [f32; 2], front: &Front) -> Gaze {
        let [straight_outwards, straight_up] = self.levels[side as usize].straight;
        let half_width_cm = 0.5 * front.distance(corners(side));
        let (x, y) = ((outwards - straight_outwards) * half_width_cm, (up - straight_up) * half_width_cm);
        let [slope_x, slope_y] = front.slope(pupil_index(side), AVERAGE_FACE[pupil_index(side)][2]);
        let slope_x = if side == Side::Right { -slope_x } else { slope_x };
        let along = x * slope_x + y * slope_y + EYEBALL_CM;
        let squared = 1.0 + slope_x * slope_x + slope_y * slope_y;
        let depth = ((along * along - squared * (x * x + y * y)).max(0.0).sqrt() - along) / squared;
        let (x, y, z) = (x + depth * slope_x, y + depth * slope_y, EYEBALL_CM + depth);
        let outwards_deg = x.atan2(z).to_degrees();
        let yaw_deg = if side == Side::Right { outwards_deg } else { -outwards_deg };
        Gaze { yaw_deg, pitch_deg: y.atan2(x.hypot(z)).to_degrees() }
    }
}

/// One direction for both eyes, from those that are open and seen well: eyes don't squint by noise.
pub(super) fn common_gaze(signals: &[EyeSignals; 2], yaw_deg: f32) -> Option<Gaze> {
    let mut sum = [0.0; 3];
    for (eye, share) in signals.iter().zip(shares(yaw_deg)) {
        if let (Some(gaze), Some(openness)) = (eye.gaze, eye.openness) {
            let weight = share * openness.clamp(0.05, 1.0).powi(2);
            sum = [sum[0] + weight, sum[1] + weight * gaze.yaw_deg, sum[2] + weight * gaze.pitch_deg];
        }
    }
    (sum[0] > 0.0).then(|| Gaze { yaw_deg: sum[1] / sum[0], pitch_deg: sum[2] / sum[0] })
}

/// How much the right and the left eye count, in all 1.
fn shares(yaw_deg: f32) -> [f32; 2] {
    let [from, to] = ONE_EYE_YAW_DEG;
    let far = 0.5 * (1.0 - ((yaw_deg.abs() - from) / (to - from)).clamp(0.0, 1.0));
    // A head turned to its right shows the left side.
    if yaw_deg > 0.0 { [far, 1.0 - far] } else { [1.0 - far, far] }
}

/// The eye's points: the lids clockwise in the picture from its left corner.
fn lids(side: Side) -> &'static [usize] {
    Scheme::Wflw98.part(if side == Side::Right { Part::LeftEye } else { Part::RightEye })
}

pub(super) fn corners(side: Side) -> (usize, usize) {
    (lids(side)[0], lids(side)[4])
}

/// The distance of the lids, see the module's contract; `None` if the points aren't sure enough.
fn opening(landmarks: &[Landmark], side: Side, px_per_cm: f32) -> Option<f32> {
    let lids = lids(side);
    let confidence = lids.iter().map(|&i| landmarks[i].confidence).sum::<f32>() / lids.len() as f32;
    let between = |a: usize, b: usize| landmarks[lids[a]].point.distance(landmarks[lids[b]].point);
    let gap_px = (between(1, 7) + between(2, 6) + between(3, 5)) / 3.0;
    let width_px = between(0, 4);
    (confidence >= LEAST_CONFIDENCE && width_px > 0.0).then(|| gap_px / (width_px * px_per_cm).sqrt())
}

fn pupil_index(side: Side) -> usize {
    Scheme::Wflw98.part(if side == Side::Right { Part::LeftPupil } else { Part::RightPupil })[0]
}

/// The pupil from the middle of the eye corners, outwards and up, in half eye widths.
pub(super) fn pupil(front: &Front, landmarks: &[Landmark], side: Side) -> Option<[f32; 2]> {
    let index = pupil_index(side);
    let (a, b) = corners(side);
    let half_width = 0.5 * front.distance((a, b));
    if landmarks[index].confidence < LEAST_CONFIDENCE || half_width <= 0.0 {
        return None;
    }
    let [x, y] = front.offset(index, (a, b)).map(|v| v / half_width);
    Some([if side == Side::Right { -x } else { x }, y])
}

/// When the openness passed `level` between the last frame and this one; this frame's time if it was beyond it already.
fn crossing_s((last_s, last): (f64, f32), (time_s, openness): (f64, f32), level: f32) -> f64 {
    if (last > level) == (openness > level) {
        return time_s;
    }
    last_s + (time_s - last_s) * f64::from((level - last) / (openness - last))
}
