//! iFacialMocap's frames: text over UDP.
//!
//! In: the faces of a frame; the one with the lowest id is sent. Out: one datagram with ARKit's 52 blend shapes in
//! percent, as integers, then head and eyes: rotations in degrees and the position of the head in metres. Shapes that
//! are unknown or that landmarks can't show are 0, and so are unknown rotations. A frame without a face sends nothing.

use super::senders::Encoder;
use super::snapshot::Snapshot;
use crate::runtime::signals::Signals;
use std::fmt::{self, Write as _};
use std::io;

/// ARKit's blend shapes.
#[rustfmt::skip]
const SHAPES: [&str; 52] = [
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
];

/// The texts of a stream of frames.
#[derive(Default)]
pub(super) struct Texts {
    text: String,
}

impl Encoder for Texts {
    fn send(&mut self, snapshot: &Snapshot, send: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(face) = snapshot.first_face() else { return Ok(()) };
        self.text.clear();
        write(&mut self.text, &face.signals).expect("text can be written to memory");
        send(self.text.as_bytes())
    }
}

fn write(text: &mut String, signals: &Signals) -> fmt::Result {
    for name in SHAPES {
        let value = signals.shapes().find(|(other, _)| *other == name).and_then(|(_, value)| value).unwrap_or(0.0);
        let (stem, side) = spelled(name);
        write!(text, "{stem}{side}-{:.0}|", 100.0 * value.clamp(0.0, 1.0))?;
    }
    // Turns about x to the person's left, y up and z out of the face.
    let (turns, place) = match &signals.head {
        Some(head) => {
            let [right, up, away] = head.translation_cm;
            ([-head.pitch_deg, -head.yaw_deg, -head.roll_deg], [right, up, -away].map(|length_cm| length_cm / 100.0))
        }
        None => ([0.0; 3], [0.0; 3]),
    };
    let [x, y] = [signals.gaze_pitch_deg, signals.gaze_yaw_deg].map(|angle| angle.map_or(0.0, |angle| -angle));
    text.push_str("=head#");
    for (i, value) in turns.into_iter().chain(place).enumerate() {
        let comma = if i > 0 { "," } else { "" };
        write!(text, "{comma}{value:.4}")?;
    }
    for eye in ["rightEye", "leftEye"] {
        write!(text, "|{eye}#{x:.4},{y:.4},0.0000")?;
    }
    text.push('|');
    Ok(())
}

/// A shape's name as the format spells it: sides of the face become a letter, directions stay.
fn spelled(name: &str) -> (&str, &str) {
    match name {
        "jawLeft" | "jawRight" | "mouthLeft" | "mouthRight" => (name, ""),
        _ => match (name.strip_suffix("Left"), name.strip_suffix("Right")) {
            (Some(stem), _) => (stem, "_L"),
            (_, Some(stem)) => (stem, "_R"),
            _ => (name, ""),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_that_landmarks_carry_is_one_of_arkits() {
        let signals = Signals::unknown(0);
        assert_eq!(signals.shapes().filter(|(name, _)| SHAPES.contains(name)).count(), signals.shapes().len());
    }

    #[test]
    fn what_is_not_known_is_neutral() {
        let mut text = String::new();
        write(&mut text, &Signals::unknown(0)).unwrap();
        assert!(text.starts_with("browDown_L-0|browDown_R-0|browInnerUp-0|"), "{text}");
        let turns = "|tongueOut-0|=head#0.0000,0.0000,0.0000,0.0000,0.0000,0.0000\
                     |rightEye#0.0000,0.0000,0.0000|leftEye#0.0000,0.0000,0.0000|";
        assert!(text.ends_with(turns), "{text}");
    }
}
