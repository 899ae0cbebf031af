//! VMC: OSC messages.
//!
//! In: the faces of a frame; the one with the lowest id is sent. Out: bundles for Unity's humanoid avatars, of at most
//! 1472 bytes: the rotations of neck, head and eyes, and values of blend shapes. Unknown values are left out, so the
//! avatar keeps the last ones; a frame without a face only says that awing is there.

use super::senders::Encoder;
use super::snapshot::{FaceSnapshot, Snapshot};
use crate::runtime::named::named;
use rosc::encoder::encode_into;
use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType};
use std::io;

/// The payload of an Ethernet frame.
const MOST_BYTES: usize = 1472;
/// The neck's share of the head's turn.
const NECK_SHARE: f32 = 0.4;
/// Rest positions of an adult avatar's bones, relative to the bone above, in metres; x runs to the avatar's right.
/// Receivers move bones there.
const NECK_M: [f32; 3] = [0.0, 0.11, 0.0];
const HEAD_M: [f32; 3] = [0.0, 0.08, 0.0];
const EYES_M: [(&str, [f32; 3]); 2] = [("RightEye", [0.02, 0.06, 0.02]), ("LeftEye", [-0.02, 0.06, 0.02])];

/// The set of blend shapes to send. An avatar that has both sets would add them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VmcShapes {
    Vrm,
    PerfectSync,
}

named!(VmcShapes {
    Vrm = "vrm": "Blink_L, Blink_R, A, I, U, E and O, which VRM avatars have",
    PerfectSync = "perfect-sync": "ARKit's, such as JawOpen, for avatars that have those",
});

/// The bundles of a stream of frames.
pub(super) struct Bundles {
    shapes: VmcShapes,
    bundle: Vec<u8>,
    message: Vec<u8>,
}

impl Bundles {
    pub(super) fn new(shapes: VmcShapes) -> Self {
        Self { shapes, bundle: Vec::new(), message: Vec::new() }
    }

    /// Adds a message to the bundle, which is sent before if there is no room left in it.
    fn add(
        &mut self,
        address: &str,
        args: Vec<OscType>,
        send: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.message.clear();
        encode(OscPacket::Message(OscMessage { addr: address.into(), args }), &mut self.message);
        let length = (self.message.len() as u32).to_be_bytes();
        if self.bundle.len() + length.len() + self.message.len() > MOST_BYTES {
            send(&self.bundle)?;
            self.begin();
        }
        self.bundle.extend(length);
        self.bundle.extend(&self.message);
        Ok(())
    }

    /// Begins a bundle that takes effect at once.
    fn begin(&mut self) {
        let timetag = OscTime { seconds: 0, fractional: 1 };
        self.bundle.clear();
        encode(OscPacket::Bundle(OscBundle { timetag, content: Vec::new() }), &mut self.bundle);
    }
}

fn encode(packet: OscPacket, out: &mut Vec<u8>) {
    encode_into(&packet, out).expect("memory takes every packet");
}

impl Encoder for Bundles {
    fn send(&mut self, snapshot: &Snapshot, send: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.begin();
        // Loaded, calibrated, in the usual mode.
        self.add("/VMC/Ext/OK", [1, 3, 0].map(OscType::Int).into(), send)?;
        self.add("/VMC/Ext/T", vec![OscType::Float(snapshot.time_s as f32)], send)?;
        if let Some(face) = snapshot.first_face() {
            for (bone, position, rotation) in bones(face) {
                let numbers = position.into_iter().chain(rotation).map(OscType::Float);
                let args = std::iter::once(OscType::String(bone.into())).chain(numbers).collect();
                self.add("/VMC/Ext/Bone/Pos", args, send)?;
            }
            for (name, value) in values(face, self.shapes) {
                let args = vec![OscType::String(name), OscType::Float(value)];
                self.add("/VMC/Ext/Blend/Val", args, send)?;
            }
            self.add("/VMC/Ext/Blend/Apply", Vec::new(), send)?;
        }
        send(&self.bundle)
    }
}

/// Bones with the position in metres and the rotation that they have in the bone above them, in Unity's axes: x to the
/// avatar's right, y up, z forward.
fn bones(face: &FaceSnapshot) -> impl Iterator<Item = (&'static str, [f32; 3], [f32; 4])> {
    let signals = &face.signals;
    let head = signals.head.as_ref().map(|head| head.rotation);
    let neck_and_head = head.map(|rotation| {
        [
            ("Neck", NECK_M, in_unity(share_of(rotation, NECK_SHARE))),
            ("Head", HEAD_M, in_unity(share_of(rotation, 1.0 - NECK_SHARE))),
        ]
    });
    let gaze = signals.gaze_yaw_deg.zip(signals.gaze_pitch_deg);
    let eyes = gaze.map(|(yaw_deg, pitch_deg)| {
        let rotation = in_unity(look(yaw_deg, pitch_deg));
        EYES_M.map(|(bone, position)| (bone, position, rotation))
    });
    neck_and_head.into_iter().chain(eyes).flatten()
}

/// A quaternion (x, y, z, w) from the axes of signals.
fn in_unity([x, y, z, w]: [f32; 4]) -> [f32; 4] {
    [x, -y, -z, w]
}

/// The turn about the same axis by a share of the angle.
fn share_of([x, y, z, w]: [f32; 4], share: f32) -> [f32; 4] {
    let sine = (x * x + y * y + z * z).sqrt();
    let angle = share * sine.atan2(w);
    let factor = if sine > 1e-6 { angle.sin() / sine } else { share };
    [factor * x, factor * y, factor * z, angle.cos()]
}

/// Eyes that look by these angles to the person's right and up, in the axes of signals.
fn look(yaw_deg: f32, pitch_deg: f32) -> [f32; 4] {
    let [(sy, cy), (sp, cp)] = [yaw_deg, pitch_deg].map(|angle| (0.5 * angle.to_radians()).sin_cos());
    // First up, then aside.
    [-sp * cy, -cp * sy, -sp * sy, cp * cy]
}

/// The blend shapes that are known.
fn values(face: &FaceSnapshot, shapes: VmcShapes) -> Vec<(String, f32)> {
    let signals = &face.signals;
    let known = |(name, value): (&str, Option<f32>)| Some((name.to_owned(), value?));
    match shapes {
        VmcShapes::Vrm => {
            let blink = |open: Option<f32>| open.map(|open| (1.0 - open).clamp(0.0, 1.0));
            let blinks = [("Blink_L", blink(signals.eye_open_left)), ("Blink_R", blink(signals.eye_open_right))];
            let vowels = ["A", "I", "U", "E", "O"].into_iter().enumerate();
            let vowels = vowels.map(|(i, name)| (name, signals.visemes.map(|vowels| vowels[i])));
            blinks.into_iter().chain(vowels).filter_map(known).collect()
        }
        VmcShapes::PerfectSync => {
            signals.shapes().filter_map(known).map(|(name, value)| (pascal(&name), value)).collect()
        }
    }
}

/// As avatars spell the names: with a capital letter in front.
fn pascal(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_turn_as_in_unity_and_neck_and_head_share_the_turn() {
        let head = [0.11707, -0.24463, -0.14802, 0.95106];
        assert_eq!(in_unity(head), [0.11707, 0.24463, 0.14802, 0.95106]);
        let rows = |q: [f32; 4]| crate::runtime::signals::Rotation::from_quaternion(q.map(f64::from));
        let both = rows(share_of(head, 0.4)).after(&rows(share_of(head, 0.6))).quaternion();
        for (a, b) in both.into_iter().zip(head) {
            assert!((a - f64::from(b)).abs() < 1e-4, "{both:?}");
        }
        assert_eq!(share_of([0.0, 0.0, 0.0, 1.0], 0.4), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn eyes_look_where_the_person_looks() {
        for (yaw, pitch) in [(20.0_f32, 0.0_f32), (0.0, 10.0), (-15.0, 25.0)] {
            let turned = crate::runtime::signals::Rotation::from_quaternion(look(yaw, pitch).map(f64::from));
            let [x, y, z] = turned.apply([0.0, 0.0, 1.0]);
            let wanted = [yaw, pitch].map(|angle| f64::from(angle.to_radians()));
            assert!(((-x).atan2(z) - wanted[0]).abs() < 1e-6 && (y.asin() - wanted[1]).abs() < 1e-6, "{x} {y} {z}");
        }
    }
}
