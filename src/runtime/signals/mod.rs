//! Signals of tracked faces: the pose of the head, the eyes, the gaze, the mouth, blend shapes.
//!
//! In: the faces of a frame as the tracker gives them, smoothed and as the network placed them, the frame's size and
//! time. Out: a [`Signals`] for each face. A value is `None` where the landmarks don't carry it. Left and right are the
//! *person's* own here, unlike in [`Part`](super::landmarks::Part), which speaks of the picture. Nothing fails; after a
//! face's first frame nothing allocates.

mod eyes;
mod face_model;
#[cfg(feature = "internals")]
pub mod fit;
mod front;
mod pose;
mod profile;
mod rotation;
mod shapes;
#[cfg(test)]
mod tests;

pub use eyes::Blink;
#[cfg(feature = "program")]
pub(crate) use face_model::AVERAGE_FACE;
pub use profile::Profile;
#[cfg(feature = "program")]
pub(crate) use rotation::Rotation;

use super::landmarks::{Scheme, WFLW_POINTS};
use super::track::{Face, Tracker};
use eyes::{EyeView, Eyes, common_gaze};
use front::Front;
use pose::{Camera, Pose};
use profile::Neutral;
use shapes::{Measures, SHAPE_NAMES, Shapes};

/// A side of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Right,
    Left,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Right, Self::Left];
}

/// What a face does in a frame. Sides are the person's own.
///
/// Beyond about 65 degrees between the head's axis and the line of sight, only the pose is known. With the feature
/// `serde`, the blend shapes are serialized as `shapes`, a map from the names of those that are known.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Signals {
    /// The [`Face::id`].
    pub id: u64,
    /// Where the head is and how it is turned.
    pub head: Option<HeadPose>,
    /// The eyes: 0 shut, 1 open as usual, up to 1.5 for eyes opened wide.
    pub eye_open_left: Option<f32>,
    pub eye_open_right: Option<f32>,
    /// Whether the eye is shut in a blink, that is for at most half a second so far.
    pub blink_left: Option<bool>,
    pub blink_right: Option<bool>,
    /// Blinks that ended in this frame.
    pub blink_ended_left: Option<Blink>,
    pub blink_ended_right: Option<Blink>,
    /// Where the eyes look, relative to the head, in degrees: positive to the person's right, and up. Held while the
    /// eyes are shut.
    pub gaze_yaw_deg: Option<f32>,
    pub gaze_pitch_deg: Option<f32>,
    /// 0 shut, 1 wide open.
    pub mouth_open: Option<f32>,
    /// -1 pursed, 0 at rest, 1 as wide as it gets.
    pub mouth_wide: Option<f32>,
    /// How much of the vowels A, I, U, E, O the mouth forms, in all at most 1.
    pub visemes: Option<[f32; 5]>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "shapes::by_name"))]
    shapes: Shapes,
    #[cfg_attr(feature = "serde", serde(skip))]
    detail: Option<Detail>,
}

/// What the wire formats of other trackers ask for beside the signals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Detail {
    /// Landmarks in head space (x right in the picture, y up, z towards the viewer), in cm, without the pose.
    pub head_points_cm: [[f32; 3]; WFLW_POINTS],
    /// Mean distance of the projected average face from the landmarks, in pixels.
    pub residual_px: f32,
    /// Gaze of the right and the left eye: yaw and pitch in degrees.
    pub eye_gaze_deg: [Option<[f32; 2]>; 2],
}

/// The pose of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HeadPose {
    /// Positive to the person's right.
    pub yaw_deg: f32,
    /// Positive with the nose up.
    pub pitch_deg: f32,
    /// Positive clockwise in the picture, towards the person's left shoulder.
    pub roll_deg: f32,
    /// The same rotation as a unit quaternion (x, y, z, w) in a frame with x to the right in the picture, y up and z
    /// towards the viewer.
    pub rotation: [f32; 4],
    /// The head from the camera, in cm: to the right in the picture, up, and away from the camera. Lengths assume an
    /// average face, and scale with the field of view.
    pub translation_cm: [f32; 3],
    /// Standard deviation of the rotation about its least certain axis, in degrees.
    pub deviation_deg: f32,
}

impl Signals {
    /// The blend shapes that 98 landmarks carry, by ARKit's names, 0..=1; `None` where a landmark is not sure enough.
    pub fn shapes(&self) -> impl ExactSizeIterator<Item = (&'static str, Option<f32>)> {
        SHAPE_NAMES.iter().copied().zip(self.shapes)
    }

    #[cfg(any(test, feature = "program"))]
    pub(crate) fn detail(&self) -> Option<&Detail> {
        self.detail.as_ref()
    }

    pub(crate) fn unknown(id: u64) -> Self {
        Self {
            id,
            head: None,
            eye_open_left: None,
            eye_open_right: None,
            blink_left: None,
            blink_right: None,
            blink_ended_left: None,
            blink_ended_right: None,
            gaze_yaw_deg: None,
            gaze_pitch_deg: None,
            mouth_open: None,
            mouth_wide: None,
            visemes: None,
            shapes: [None; SHAPE_NAMES.len()],
            detail: None,
        }
    }
}

/// The field of view of a common webcam, in degrees along the longer side.
pub(crate) const DEFAULT_FOV_DEG: f32 = 64.0;

/// Measures the signals of followed faces, and learns how each person looks at rest.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use awing::{Frame, SignalMeter, Tracker, TrackerOptions};
///
/// let mut tracker = Tracker::new(TrackerOptions::default())?;
/// let mut meter = SignalMeter::new();
/// let frame = Frame::filled(640, 480, [90, 90, 90]);
/// for i in 0..30 {
///     let time_s = f64::from(i) / 30.0;
///     tracker.track_at(&frame, time_s)?;
///     for signals in meter.measure(&tracker, frame.width(), frame.height(), time_s) {
///         println!("face {}: {:?}", signals.id, signals.head);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SignalMeter {
    fov_deg: f32,
    people: Vec<Person>,
    signals: Vec<Signals>,
    /// For the first face that comes.
    profile: Option<Profile>,
    /// The face that has it.
    owner: Option<u64>,
}

impl Default for SignalMeter {
    fn default() -> Self {
        Self::new()
    }
}

/// Someone who is not seen for longer has left, in seconds.
const LEAVES_AFTER_S: f64 = 3.0;
/// By how much the time of a frame may be before that of the last one, in seconds: frames of cameras come slightly out
/// of order. A longer step back is another video.
const OUT_OF_ORDER_S: f64 = 0.5;
/// A head is frontal, and says how the person looks at rest, up to these angles in degrees.
const FRONTAL_YAW_DEG: f32 = 20.0;
const FRONTAL_PITCH_DEG: f32 = 15.0;

impl SignalMeter {
    /// For a camera with the field of view of a common webcam.
    pub fn new() -> Self {
        Self { fov_deg: DEFAULT_FOV_DEG, people: Vec::new(), signals: Vec::new(), profile: None, owner: None }
    }

    /// Sets the field of view along the longer side of the frame, in degrees; clamped to 10..=150. It decides over the
    /// distance and, for faces off the centre, over the angles.
    pub fn set_fov(&mut self, fov_deg: f32) {
        self.fov_deg = if fov_deg.is_finite() { fov_deg.clamp(10.0, 150.0) } else { DEFAULT_FOV_DEG };
    }

    /// The next person who comes into sight has this profile. If that person leaves, the one who comes next has it as
    /// it is by then: a tracker does not know persons.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = Some(profile);
        self.owner = None;
    }

    /// The profile of [`Self::set_profile`], with what was learned since; `None` if none was set.
    pub fn profile_so_far(&self) -> Option<Profile> {
        self.owner.and_then(|id| self.profile(id)).or_else(|| self.profile.clone())
    }

    /// What was learned about a face so far; `None` for an unknown id.
    pub fn profile(&self, id: u64) -> Option<Profile> {
        self.people.iter().find(|person| person.id == id).map(Person::profile)
    }

    /// Takes the present pose, gaze and expression of a face as its neutral ones. Returns whether there was such a
    /// face, seen well enough.
    pub fn set_neutral(&mut self, id: u64) -> bool {
        let is_seen = self.signals.iter().any(|signals| signals.id == id);
        is_seen && self.people.iter_mut().find(|person| person.id == id).is_some_and(Person::set_neutral)
    }

    /// Forgets everybody, but not the profile.
    pub fn reset(&mut self) {
        self.profile = self.profile_so_far();
        self.owner = None;
        self.people.clear();
        self.signals.clear();
    }

    /// The signals of the faces that `tracker` found in its last frame, in their order. `width` and `height` are the
    /// frame's, in pixels; `time_s` is the frame's time, and that of the frame before is used if it is not finite.
    pub fn measure(&mut self, tracker: &Tracker, width: usize, height: usize, time_s: f64) -> &[Signals] {
        self.measure_faces(tracker.faces(), tracker.unsmoothed(), width, height, time_s)
    }

    /// As [`Self::measure`], for faces that the tracker gave; `unsmoothed` are the same faces without smoothing, in
    /// which short blinks are not smoothed away.
    pub(crate) fn measure_faces(
        &mut self,
        faces: &[Face],
        unsmoothed: &[Face],
        width: usize,
        height: usize,
        time_s: f64,
    ) -> &[Signals] {
        let last_s = || self.people.iter().map(|person| person.seen_s).fold(0.0, f64::max);
        let time_s = if time_s.is_finite() { time_s } else { last_s() };
        let camera = Camera::of_frame(width, height, self.fov_deg);
        let has_left = |person: &Person| !(-OUT_OF_ORDER_S..=LEAVES_AFTER_S).contains(&(time_s - person.seen_s));
        if self.people.iter().any(|person| has_left(person) && Some(person.id) == self.owner) {
            self.profile = self.profile_so_far();
            self.owner = None;
        }
        self.people.retain(|person| !has_left(person));
        self.signals.clear();
        for face in faces {
            let raw = unsmoothed.iter().find(|other| other.id == face.id).unwrap_or(face);
            let index = self.people.iter().position(|person| person.id == face.id).unwrap_or_else(|| {
                let profile = self.profile.take();
                if profile.is_some() {
                    self.owner = Some(face.id);
                }
                self.people.push(Person::new(face.id, time_s, profile));
                self.people.len() - 1
            });
            let person = &mut self.people[index];
            self.signals.push(person.measure(face, raw, &camera, time_s));
        }
        &self.signals
    }
}

/// A person over time.
#[derive(Clone, Debug)]
struct Person {
    id: u64,
    seen_s: f64,
    pose: Option<Pose>,
    neutral: Neutral,
    eyes: Eyes,
    /// What the last frame showed, for a neutral pose.
    last: Option<LastFrame>,
}

#[derive(Clone, Debug)]
struct LastFrame {
    time_s: f64,
    face: Face,
    front: Front,
    px_per_cm: f32,
}

impl Person {
    fn new(id: u64, time_s: f64, profile: Option<Profile>) -> Self {
        let profile = profile.unwrap_or_default();
        let eyes = Eyes::new(profile.eyes);
        Self { id, seen_s: time_s, pose: None, neutral: profile.neutral, eyes, last: None }
    }

    fn profile(&self) -> Profile {
        Profile { neutral: self.neutral.clone(), eyes: self.eyes.levels }
    }

    fn measure(&mut self, face: &Face, raw: &Face, camera: &Camera, time_s: f64) -> Signals {
        /// Learning takes a gap for no longer, in seconds.
        const LONGEST_STEP_S: f64 = 0.1;
        let elapsed_s = (time_s - self.seen_s).clamp(0.0, LONGEST_STEP_S) as f32;
        let time_s = time_s.max(self.seen_s);
        self.seen_s = time_s;
        let mut signals = Signals::unknown(face.id);
        if face.scheme() != Some(Scheme::Wflw98) || raw.landmarks.len() != face.landmarks.len() {
            return signals;
        }
        self.pose = Pose::find(&face.landmarks, &self.neutral.face, camera, self.pose.as_ref());
        let Some(pose) = self.pose else { return signals };
        let head = self.neutral.head_pose(&pose);
        let absolute = pose.rotation.angles().map(|angle| angle.to_degrees() as f32);
        signals.head = Some(head);
        let Some(front) = Front::new(&face.landmarks, &self.neutral.face, &pose, camera) else { return signals };
        let is_frontal = absolute[0].abs() < FRONTAL_PITCH_DEG && absolute[1].abs() < FRONTAL_YAW_DEG;
        let px_per_cm = pose.px_per_cm(camera) as f32;
        let view = EyeView {
            landmarks: &face.landmarks,
            predicted: &raw.landmarks,
            front: &front,
            px_per_cm,
            yaw_deg: absolute[1],
            is_frontal,
            time_s,
            elapsed_s,
        };
        let eyes = self.eyes.measure(&view);
        let gaze = common_gaze(&eyes, absolute[1]);
        let measures = Measures::of(&front);
        signals.shapes = shapes::shapes(&measures, &self.neutral.measures, &face.landmarks, &eyes);
        signals.put_eyes(&eyes);
        signals.gaze_yaw_deg = gaze.map(|gaze| gaze.yaw_deg);
        signals.gaze_pitch_deg = gaze.map(|gaze| gaze.pitch_deg);
        if shapes::value(&signals.shapes, "jawOpen").is_some() {
            let (open, wide) =
                (measures.mouth_open(&self.neutral.measures), measures.mouth_wide(&self.neutral.measures));
            signals.mouth_open = Some(open);
            signals.mouth_wide = Some(wide);
            signals.visemes = Some(shapes::visemes(&signals.shapes, open, wide));
        }
        signals.detail = Some(Detail {
            head_points_cm: std::array::from_fn(|i| [front.x(i), front.y(i), self.neutral.face[i][2]]),
            residual_px: pose.residual as f32 * face_model::EYE_DISTANCE_CM * px_per_cm,
            eye_gaze_deg: eyes.map(|eye| eye.gaze.map(|gaze| [gaze.yaw_deg, gaze.pitch_deg])),
        });
        if is_frontal {
            self.neutral.learn(&front, &measures, elapsed_s);
        }
        self.remember(time_s, face, front, px_per_cm);
        signals
    }

    /// Keeps the frame, in the memory of the last one.
    fn remember(&mut self, time_s: f64, face: &Face, front: Front, px_per_cm: f32) {
        match &mut self.last {
            Some(last) => {
                last.face.landmarks.clone_from(&face.landmarks);
                (last.time_s, last.front, last.px_per_cm) = (time_s, front, px_per_cm);
            }
            last => *last = Some(LastFrame { time_s, face: face.clone(), front, px_per_cm }),
        }
    }

    fn set_neutral(&mut self) -> bool {
        // In frames from the side only the pose was measured.
        let last = self.last.as_ref().filter(|last| last.time_s == self.seen_s);
        let (Some(pose), Some(last)) = (&self.pose, last) else { return false };
        self.neutral.set(pose, &Measures::of(&last.front));
        self.eyes.set_neutral(&last.face.landmarks, last.px_per_cm);
        true
    }
}

impl Signals {
    fn put_eyes(&mut self, [right, left]: &[eyes::EyeSignals; 2]) {
        self.eye_open_right = right.openness;
        self.eye_open_left = left.openness;
        self.blink_right = right.openness.map(|_| right.is_blinking);
        self.blink_left = left.openness.map(|_| left.is_blinking);
        self.blink_ended_right = right.blink;
        self.blink_ended_left = left.blink;
    }
}
