//! How a person looks at rest: proportions, pose, measures of the face. Learned slowly, set at a key, kept in a
//! profile.

use super::HeadPose;
use super::eyes::EyeLevels;
use super::face_model::{AVERAGE_FACE, EYE_DISTANCE_CM};
use super::front::Front;
use super::pose::Pose;
use super::rotation::Rotation;
use super::shapes::Measures;
use crate::runtime::landmarks::{WFLW_POINTS, WFLW98_MIRROR};
use serde::{Deserialize, Serialize};

/// What was learned about a person, to be stored and given to
/// [`SignalMeter::set_profile`](super::SignalMeter::set_profile). Reading one fails if it holds what no face has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Profile {
    pub(super) neutral: Neutral,
    /// Of the right and the left eye.
    pub(super) eyes: [EyeLevels; 2],
}

/// A profile as it was stored.
#[derive(Deserialize)]
struct Stored {
    neutral: Neutral,
    eyes: [EyeLevels; 2],
}

impl TryFrom<Stored> for Profile {
    type Error = &'static str;

    fn try_from(Stored { neutral, eyes }: Stored) -> Result<Self, Self::Error> {
        neutral.check()?;
        eyes.iter().try_for_each(EyeLevels::check)?;
        Ok(Self { neutral, eyes })
    }
}

impl Default for Profile {
    /// An average person.
    fn default() -> Self {
        Self { neutral: Neutral::average(), eyes: [EyeLevels::default(); 2] }
    }
}

/// A point moves by at most this much from the average face, in cm.
const LARGEST_CM: f32 = 0.12 * EYE_DISTANCE_CM;

/// The person's face at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Neutral {
    /// The points of the face in head space, in cm.
    #[serde(with = "points")]
    pub face: [[f32; 3]; WFLW_POINTS],
    pub measures: Measures,
    /// The rotation (x, y, z, w) that counts as straight ahead; `None` while nobody has said so.
    rotation: Option<[f64; 4]>,
}

impl Neutral {
    fn average() -> Self {
        Self { face: AVERAGE_FACE, measures: Measures::average(), rotation: None }
    }

    /// Checks what was read from outside.
    fn check(&self) -> Result<(), &'static str> {
        // A profile of another version has another average face.
        let is_near = |(point, average): (&[f32; 3], &[f32; 3])| {
            point.iter().zip(average).all(|(value, average)| (value - average).abs() <= 2.0 * LARGEST_CM)
        };
        if !self.face.iter().zip(&AVERAGE_FACE).all(is_near) {
            return Err("its points are not those of a face");
        }
        if !self.measures.are_finite() {
            return Err("its measures are not numbers");
        }
        // Of a unit quaternion, give or take its rounding.
        let length = |rotation: [f64; 4]| rotation.iter().map(|v| v * v).sum::<f64>().sqrt();
        if self.rotation.is_some_and(|rotation| !(0.99..=1.01).contains(&length(rotation))) {
            return Err("its neutral pose is not a unit quaternion");
        }
        Ok(())
    }

    /// The pose relative to the neutral one.
    pub fn head_pose(&self, pose: &Pose) -> HeadPose {
        let neutral = self.rotation.map_or(Rotation::IDENTITY, Rotation::from_quaternion);
        let rotation = pose.rotation.after(&neutral.inverse());
        let [pitch_deg, yaw_deg, roll_deg] = rotation.angles().map(|angle| angle.to_degrees() as f32);
        let [x, y, z] = pose.translation_cm.map(|v| v as f32);
        HeadPose {
            yaw_deg,
            pitch_deg,
            roll_deg,
            rotation: rotation.quaternion().map(|v| v as f32),
            translation_cm: [x, -y, z],
            deviation_deg: pose.deviation_rad.to_degrees() as f32,
        }
    }

    pub fn set(&mut self, pose: &Pose, measures: &Measures) {
        self.rotation = Some(pose.rotation.quaternion());
        self.measures = *measures;
    }

    /// Learns from a frontal face that was seen for `elapsed_s`.
    pub fn learn(&mut self, front: &Front, measures: &Measures, elapsed_s: f32) {
        /// Time constants, in seconds: expressions come and go within a few.
        const PROPORTIONS_S: f32 = 15.0;
        const MEASURES_S: f32 = 40.0;
        /// A measure moves by at most this much per second, in eye distances: a long smile is not the face at rest.
        const FASTEST: f32 = 0.002;
        self.measures.approach(measures, elapsed_s / MEASURES_S, FASTEST * elapsed_s);
        let share = elapsed_s / PROPORTIONS_S;
        // Sideways and upwards only, and alike on both sides: the rest is pose.
        for (i, &mirror) in WFLW98_MIRROR.iter().enumerate().filter(|(i, mirror)| *i <= **mirror) {
            let seen = [0.5 * (front.x(i) - front.x(mirror)), 0.5 * (front.y(i) + front.y(mirror))];
            for axis in 0..2 {
                let average = AVERAGE_FACE[i][axis];
                let learned = self.face[i][axis] + share * (seen[axis] - self.face[i][axis]);
                let learned = learned.clamp(average - LARGEST_CM, average + LARGEST_CM);
                self.face[i][axis] = learned;
                self.face[mirror][axis] = if axis == 0 { -learned } else { learned };
            }
        }
        for middle in (0..WFLW_POINTS).filter(|&i| WFLW98_MIRROR[i] == i) {
            self.face[middle][0] = 0.0;
        }
    }
}

/// An array longer than those that serde knows.
mod points {
    use super::WFLW_POINTS;
    use crate::runtime::counted::counted;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(points: &[[f32; 3]; WFLW_POINTS], to: S) -> Result<S::Ok, S::Error> {
        points[..].serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[[f32; 3]; WFLW_POINTS], D::Error> {
        let points: Vec<[f32; 3]> = Vec::deserialize(from)?;
        let count = counted(points.len(), "point");
        let points = points.try_into().map_err(|_| D::Error::custom(format!("{count}, not {WFLW_POINTS}")))?;
        Ok(points)
    }
}
