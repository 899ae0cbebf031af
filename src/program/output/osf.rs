//! OpenSeeFace's packets.
//!
//! In: all faces of a frame. Out: one datagram with a record of 1785 bytes for each, little-endian; none for a frame
//! without a face. Receivers of OpenSeeFace check the size and read fields by their offset. Unknown values are sent as
//! neutral: eyes open, looking straight ahead, features 0; a face without a pose is marked as such.

use super::senders::Encoder;
use super::snapshot::{FaceSnapshot, Snapshot};
use crate::runtime::signals::{AVERAGE_FACE, Rotation, Signals};
use std::io;

/// Bytes of a face.
const RECORD: usize = 1785;
/// Faces that a datagram has room for.
const MOST_FACES: usize = 65507 / RECORD;
/// The unit of OpenSeeFace's face model, in cm.
const UNIT_CM: f32 = 14.07;
/// The distance of an eyeball's centre behind the middle of the eye corners, in distances between these.
const EYEBALL_DEPTH: f32 = 0.385;
/// From an eyeball's centre to its pupil, in units of the face model.
const EYEBALL_RADIUS: f32 = 0.1;
/// The tip of the nose, where the face model has its origin.
const NOSE_TIP: usize = 54;
/// Corners of the right and the left eye.
const EYE_CORNERS: [[usize; 2]; 2] = [[60, 64], [68, 72]];

/// The landmarks in the order of OpenSeeFace: jaw, brows, nose, eyes, lips, and the two pupils. Of the lids and the
/// mouth's corners some have no place there.
#[rustfmt::skip]
const POINTS: [usize; 68] = [
    0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32,
    33, 34, 35, 36, 37, 42, 43, 44, 45, 46,
    51, 52, 53, 54, 55, 56, 57, 58, 59,
    60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75,
    77, 78, 79, 80, 81, 83, 84, 85, 86, 87,
    76, 89, 90, 91, 82, 93, 94, 95,
    96, 97,
];
/// The pupils are the last of them.
const PUPILS: usize = 66;

/// The packets of a stream of frames.
#[derive(Default)]
pub(super) struct Packets {
    packet: Vec<u8>,
    /// The faces by their number in the packets; `None` for a number that is free.
    numbers: Vec<Option<u64>>,
}

impl Encoder for Packets {
    fn send(&mut self, snapshot: &Snapshot, send: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.number(snapshot);
        for faces in snapshot.faces.chunks(MOST_FACES) {
            self.packet.clear();
            for face in faces {
                let number = self.numbers.iter().position(|&id| id == Some(face.signals.id)).unwrap_or_default();
                self.write(snapshot, face, number as i32);
            }
            send(&self.packet)?;
        }
        Ok(())
    }
}

impl Packets {
    /// Gives each face the lowest free number, which it keeps: receivers ask for a face by its number, most for 0.
    fn number(&mut self, snapshot: &Snapshot) {
        let ids = || snapshot.faces.iter().map(|face| face.signals.id);
        for number in &mut self.numbers {
            *number = number.filter(|&id| ids().any(|seen| seen == id));
        }
        for id in ids() {
            if !self.numbers.contains(&Some(id)) {
                match self.numbers.iter_mut().find(|number| number.is_none()) {
                    Some(number) => *number = Some(id),
                    None => self.numbers.push(Some(id)),
                }
            }
        }
    }

    fn write(&mut self, snapshot: &Snapshot, face: &FaceSnapshot, number: i32) {
        let signals = &face.signals;
        self.packet.extend(snapshot.unix_s.to_le_bytes());
        self.packet.extend(number.to_le_bytes());
        self.floats([snapshot.width as f32, snapshot.height as f32]);
        self.floats([signals.eye_open_right, signals.eye_open_left].map(|open| open.unwrap_or(1.0).clamp(0.0, 1.0)));
        self.packet.push(signals.head.is_some().into());
        self.floats([signals.detail().map_or(0.0, |detail| detail.residual_px)]);
        let head = signals.head.as_ref();
        let rotation = head.map_or(Rotation::IDENTITY, |head| Rotation::from_quaternion(head.rotation.map(f64::from)));
        let (quaternion, euler_deg) = turn(&rotation);
        self.floats(quaternion);
        self.floats(euler_deg);
        let [right, up, away] = head.map_or([0.0; 3], |head| head.translation_cm);
        self.floats([up, -right, -away].map(|length_cm| length_cm / UNIT_CM));
        self.floats(POINTS.map(|i| face.landmarks[i].confidence));
        self.floats(POINTS.iter().flat_map(|&i| face.point(i)));
        self.floats(points_3d(signals).into_iter().flatten());
        self.floats(features(signals));
    }

    fn floats(&mut self, values: impl IntoIterator<Item = f32>) {
        self.packet.extend(values.into_iter().flat_map(f32::to_le_bytes));
    }
}

/// A rotation of the head as quaternion (x, y, z, w) and angles in degrees.
///
/// OpenSeeFace swaps rows and columns of the picture and lets x of its face model run to the left.
fn turn(rotation: &Rotation) -> ([f32; 4], [f32; 3]) {
    let [[a, b, c], [d, e, f], [g, h, i]] = rotation.rows();
    let m = [[-d, e, f], [a, -b, -c], [g, -h, -i]];
    let [x, y, z, w] = Rotation::from_rows(m).quaternion();
    let euler = [m[2][1].atan2(m[2][2]), (-m[2][0]).clamp(-1.0, 1.0).asin(), m[1][0].atan2(m[0][0])];
    ([x, y, z, -w].map(|v| v as f32), euler.map(|angle| angle.to_degrees() as f32))
}

/// The points in the face model (x to the left in the picture, y down, z away from the viewer), without the pose; then
/// the centres of the right and the left eyeball. The pupils lie where the eyes look.
fn points_3d(signals: &Signals) -> [[f32; 3]; 70] {
    let head = signals.detail().map_or(&AVERAGE_FACE, |detail| &detail.head_points_cm);
    let tip = head[NOSE_TIP];
    let model = |i: usize| -> [f32; 3] { std::array::from_fn(|axis| (tip[axis] - head[i][axis]) / UNIT_CM) };
    let mut points = [[0.0; 3]; 70];
    points.iter_mut().zip(POINTS).for_each(|(point, i)| *point = model(i));
    for (side, corners) in EYE_CORNERS.into_iter().enumerate() {
        let [outer, inner] = corners.map(model);
        let width = (0..3).map(|axis| (outer[axis] - inner[axis]).powi(2)).sum::<f32>().sqrt();
        let mut centre: [f32; 3] = std::array::from_fn(|axis| 0.5 * (outer[axis] + inner[axis]));
        centre[2] += EYEBALL_DEPTH * width;
        let gaze_deg = signals.detail().and_then(|detail| detail.eye_gaze_deg[side]).unwrap_or_default();
        let [yaw, pitch] = gaze_deg.map(f32::to_radians);
        let direction = [yaw.sin() * pitch.cos(), -pitch.sin(), -yaw.cos() * pitch.cos()];
        points[PUPILS + side] = std::array::from_fn(|axis| centre[axis] + EYEBALL_RADIUS * direction[axis]);
        points[PUPILS + 2 + side] = centre;
    }
    points
}

/// The difference of each of OpenSeeFace's features from its neutral value, -1..=1; steepness and quirk of the brows
/// stay 0.
fn features(signals: &Signals) -> [f32; 14] {
    let shape = |name: &str| signals.shapes().find(|(other, _)| *other == name).and_then(|(_, v)| v).unwrap_or(0.0);
    let eye = |open: Option<f32>| open.map_or(0.0, |open| if open < 1.0 { open - 1.0 } else { 2.0 * (open - 1.0) });
    let brow = |outer: &str, down: &str| 0.5 * (shape("browInnerUp") + shape(outer)) - shape(down);
    // Up is negative there, for the corners of the mouth alone.
    let corner = |smile: &str, frown: &str| shape(frown) - shape(smile);
    let wide = signals.mouth_wide.unwrap_or(0.0);
    [
        eye(signals.eye_open_left),
        eye(signals.eye_open_right),
        0.0,
        brow("browOuterUpLeft", "browDownLeft"),
        0.0,
        0.0,
        brow("browOuterUpRight", "browDownRight"),
        0.0,
        corner("mouthSmileLeft", "mouthFrownLeft"),
        wide,
        corner("mouthSmileRight", "mouthFrownRight"),
        wide,
        signals.mouth_open.unwrap_or(0.0),
        wide,
    ]
    .map(|feature| feature.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Point;
    use crate::runtime::landmarks::Landmark;
    use std::f32::consts::FRAC_1_SQRT_2;

    /// Quaternions of the head, and what OpenSeeFace sends for such a head.
    const TURNS: [([f64; 4], [f32; 4], [f32; 3]); 5] = [
        ([0.0, 0.0, 0.0, 1.0], [FRAC_1_SQRT_2, FRAC_1_SQRT_2, 0.0, 0.0], [180.0, 0.0, 90.0]),
        ([-0.17365, 0.0, 0.0, 0.98481], [0.6964, 0.6964, 0.1228, -0.1228], [160.0, 0.0, 90.0]),
        ([0.0, -0.17365, 0.0, 0.98481], [0.6964, 0.6964, 0.1228, 0.1228], [180.0, -20.0, 90.0]),
        ([0.0, 0.0, -0.17365, 0.98481], [0.8192, 0.5736, 0.0, 0.0], [180.0, 0.0, 70.0]),
        ([0.11707, -0.24463, -0.14802, 0.95106], [0.7771, 0.5679, 0.0902, 0.2558], [-160.91, -25.51, 67.95]),
    ];

    #[test]
    fn heads_turn_as_in_openseeface() {
        for (head, quaternion, euler_deg) in TURNS {
            let (seen, seen_deg) = turn(&Rotation::from_quaternion(head));
            let sign = if seen[0] < 0.0 { -1.0 } else { 1.0 };
            for (a, b) in seen.into_iter().zip(quaternion) {
                assert!((sign * a - b).abs() < 1e-4, "{seen:?} for {quaternion:?}");
            }
            for (a, b) in seen_deg.into_iter().zip(euler_deg) {
                assert!(((a - b + 540.0).rem_euclid(360.0) - 180.0).abs() < 0.01, "{seen_deg:?} for {euler_deg:?}");
            }
        }
    }

    fn snapshot(ids: &[u64]) -> Snapshot {
        let landmark = Landmark { point: Point::new(1.0, 2.0), confidence: 0.5 };
        let face = |&id| FaceSnapshot { landmarks: [landmark; 98], signals: Signals::unknown(id) };
        Snapshot { faces: ids.iter().map(face).collect(), ..Snapshot::default() }
    }

    fn sent(packets: &mut Packets, ids: &[u64]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut send = |packet: &[u8]| {
            sent.push(packet.to_vec());
            Ok(())
        };
        packets.send(&snapshot(ids), &mut send).unwrap();
        sent
    }

    #[test]
    fn faces_keep_their_number_and_free_numbers_are_given_again() {
        let mut packets = Packets::default();
        for (ids, numbers) in [(&[7, 9][..], &[0, 1][..]), (&[9], &[1]), (&[9, 12], &[1, 0]), (&[], &[])] {
            let records = sent(&mut packets, ids).concat();
            let seen: Vec<u8> = records.chunks(RECORD).map(|record| record[8]).collect();
            assert_eq!(seen, numbers, "{ids:?}");
        }
    }

    #[test]
    fn crowds_take_several_packets_and_no_face_none() {
        let ids: Vec<u64> = (0..80).collect();
        let sizes: Vec<usize> = sent(&mut Packets::default(), &ids).iter().map(Vec::len).collect();
        assert_eq!(sizes, [36 * RECORD, 36 * RECORD, 8 * RECORD]);
        assert!(sent(&mut Packets::default(), &[]).is_empty());
    }

    #[test]
    fn a_face_without_signals_is_sent_as_neutral_and_without_a_pose() {
        let record = sent(&mut Packets::default(), &[0]).concat();
        let float = |at: usize| f32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        assert_eq!((float(20), float(24), record[28]), (1.0, 1.0, 0));
        assert!((0..14).all(|i| float(1729 + 4 * i) == 0.0));
        assert!((0..(RECORD - 29) / 4).all(|i| float(29 + 4 * i).is_finite()));
    }
}
