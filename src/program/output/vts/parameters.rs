//! The values for VTube Studio: its own parameters, and one for each blend shape, which awing creates.
//!
//! In: the signals of a face. Out: names and values; unknown values are left out, so that VTube Studio releases them.

use crate::runtime::signals::Signals;

/// The eyes look this far to the side, and up, where a parameter of the gaze is 1.
const FULL_GAZE_DEG: [f32; 2] = [30.0, 25.0];

/// Computes the values of a stream of frames.
#[derive(Default)]
pub(super) struct Parameters {
    /// The face, and how far it was from the camera when it came, in cm: there, its distance counts as 0.
    first: Option<(u64, f32)>,
}

/// The name of the parameter that awing creates for a blend shape.
pub(super) fn name_of(shape: &str) -> String {
    let mut letters = shape.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    "Awing".chars().chain(first).chain(letters).collect()
}

/// The blend shapes that awing creates parameters for.
pub(super) fn shapes() -> Vec<&'static str> {
    Signals::unknown(0).shapes().map(|(name, _)| name).collect()
}

impl Parameters {
    /// Calls `send` with the name and the value of each parameter that is known.
    pub(super) fn values(&mut self, signals: &Signals, mut send: impl FnMut(&str, f32)) {
        let mut known = |name: &str, value: Option<f32>, low: f32, high: f32| {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                send(name, value.clamp(low, high));
            }
        };
        if let Some(head) = &signals.head {
            let [right, up, away] = head.translation_cm;
            let first = self.first.filter(|(id, _)| *id == signals.id).unwrap_or((signals.id, away));
            self.first = Some(first);
            known("FaceAngleX", Some(-head.yaw_deg), -90.0, 90.0);
            known("FaceAngleY", Some(head.pitch_deg), -90.0, 90.0);
            known("FaceAngleZ", Some(head.roll_deg), -90.0, 90.0);
            known("FacePositionX", Some(right), -50.0, 50.0);
            known("FacePositionY", Some(up), -50.0, 50.0);
            known("FacePositionZ", Some(first.1 - away), -50.0, 50.0);
        }
        known("EyeOpenLeft", signals.eye_open_left, 0.0, 1.0);
        known("EyeOpenRight", signals.eye_open_right, 0.0, 1.0);
        for eye in ["Left", "Right"] {
            for (axis, gaze, full) in
                [("X", signals.gaze_yaw_deg, FULL_GAZE_DEG[0]), ("Y", signals.gaze_pitch_deg, FULL_GAZE_DEG[1])]
            {
                known(&format!("Eye{eye}{axis}"), gaze.map(|degrees| degrees / full), -1.0, 1.0);
            }
        }
        let shape = |name: &str| signals.shapes().find(|(other, _)| *other == name).and_then(|(_, value)| value);
        let sum =
            |names: &[(&str, f32)]| names.iter().try_fold(0.5, |sum, (name, weight)| Some(sum + weight * shape(name)?));
        known("MouthOpen", signals.mouth_open, 0.0, 1.0);
        let smile = sum(&[
            ("mouthSmileLeft", 0.25),
            ("mouthSmileRight", 0.25),
            ("mouthFrownLeft", -0.25),
            ("mouthFrownRight", -0.25),
        ]);
        known("MouthSmile", smile, 0.0, 1.0);
        let left = sum(&[("browInnerUp", 0.25), ("browOuterUpLeft", 0.25), ("browDownLeft", -0.5)]);
        let right = sum(&[("browInnerUp", 0.25), ("browOuterUpRight", 0.25), ("browDownRight", -0.5)]);
        known("BrowLeftY", left, 0.0, 1.0);
        known("BrowRightY", right, 0.0, 1.0);
        known("Brows", left.zip(right).map(|(left, right)| f32::midpoint(left, right)), 0.0, 1.0);
        for (name, value) in signals.shapes() {
            known(&name_of(name), value, 0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_that_vtube_studio_takes_them() {
        let shapes = shapes();
        assert!(shapes.len() > 30 && shapes.len() <= 100, "{}", shapes.len());
        for shape in shapes {
            let name = name_of(shape);
            assert!((4..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
        }
        assert_eq!(name_of("jawOpen"), "AwingJawOpen");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        Parameters::default().values(&Signals::unknown(1), |name, value| panic!("{name} is {value}"));
    }
}
