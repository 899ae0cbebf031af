//! Signals of projected faces, whose truth is known.

use super::face_model::AVERAGE_FACE;
use super::rotation::Rotation;
use super::*;
use crate::runtime::geometry::{Point, Rect};
use crate::runtime::landmarks::{Landmark, WFLW98_MIRROR};

const SIZE: (usize, usize) = (640, 480);
const STEP_S: f64 = 1.0 / 30.0;

/// A face to be projected.
#[derive(Clone)]
struct Truth {
    /// Pitch, yaw, roll.
    angles_deg: [f64; 3],
    /// Right in the picture, up, away from the camera.
    translation_cm: [f64; 3],
    solid: [[f32; 3]; WFLW_POINTS],
}

impl Truth {
    fn new(angles_deg: [f64; 3]) -> Self {
        Self { angles_deg, translation_cm: [0.0, 0.0, 55.0], solid: AVERAGE_FACE }
    }

    /// With the lids of the right and of the left eye at these shares of their distance.
    fn lids(mut self, right: f32, left: f32) -> Self {
        for (share, pairs) in [(right, [(61, 67), (62, 66), (63, 65)]), (left, [(69, 75), (70, 74), (71, 73)])] {
            for (upper, lower) in pairs {
                for axis in 0..3 {
                    let (u, l) = (self.solid[upper][axis], self.solid[lower][axis]);
                    self.solid[upper][axis] = l + share * (u - l);
                }
            }
        }
        self
    }

    fn moved(mut self, points: &[usize], by: [f32; 3]) -> Self {
        for &point in points {
            for (value, by) in self.solid[point].iter_mut().zip(by) {
                *value += by;
            }
        }
        self
    }

    fn face(&self) -> Face {
        let rotation = Rotation::from_angles(self.angles_deg.map(f64::to_radians));
        let camera = Camera::of_frame(SIZE.0, SIZE.1, DEFAULT_FOV_DEG);
        let landmarks: Vec<_> = self
            .solid
            .iter()
            .map(|solid| {
                let [x, y, z] = rotation.apply(solid.map(f64::from));
                let [tx, ty, tz] = self.translation_cm;
                let scale = camera.focal_px / (tz - z);
                let (u, v) = (camera.center_px[0] + scale * (x + tx), camera.center_px[1] - scale * (y + ty));
                Landmark { point: Point::new(u as f32, v as f32), confidence: 0.9 }
            })
            .collect();
        let rect = Rect::around(landmarks.iter().map(|l| l.point)).unwrap();
        Face { id: 1, score: 0.9, rect, landmarks }
    }
}

fn signals(face: &Face) -> Signals {
    let mut meter = SignalMeter::new();
    meter.measure_faces(std::slice::from_ref(face), &[], SIZE.0, SIZE.1, 0.0)[0].clone()
}

/// The signals of faces at 30 frames a second.
fn over_time(meter: &mut SignalMeter, start_s: f64, faces: impl IntoIterator<Item = Face>) -> Vec<Signals> {
    let faces = faces.into_iter().enumerate();
    faces
        .map(|(i, face)| meter.measure_faces(&[face], &[], SIZE.0, SIZE.1, start_s + i as f64 * STEP_S)[0].clone())
        .collect()
}

#[test]
fn the_pose_of_a_projected_face_is_found_again() {
    for angles_deg in [
        [0.0, 0.0, 0.0],
        [15.0, 0.0, 0.0],
        [-10.0, 30.0, 15.0],
        [5.0, -45.0, -20.0],
        [0.0, 60.0, 90.0],
        [-20.0, 10.0, 170.0],
    ] {
        for translation_cm in [[0.0, 0.0, 55.0], [12.0, -8.0, 45.0], [-20.0, 5.0, 90.0]] {
            let truth = Truth { translation_cm, ..Truth::new(angles_deg) };
            let head = signals(&truth.face()).head.unwrap();
            for (seen, truth) in [head.pitch_deg, head.yaw_deg, head.roll_deg].into_iter().zip(angles_deg) {
                assert!((f64::from(seen) - truth).abs() < 0.05, "{head:?} instead of {angles_deg:?}");
            }
            for (seen, truth) in head.translation_cm.into_iter().zip(translation_cm) {
                assert!((f64::from(seen) - truth).abs() < 0.1, "{head:?} instead of {translation_cm:?}");
            }
            assert!(head.deviation_deg < 0.1);
        }
    }
}

#[test]
fn a_mirrored_picture_swaps_the_sides() {
    let truth =
        Truth::new([4.0, 18.0, 7.0]).lids(0.2, 1.0).moved(&[82], [0.3, 0.5, 0.0]).moved(&[96, 97], [0.25, 0.1, 0.0]);
    let face = truth.face();
    let mut mirrored = face.clone();
    for (i, landmark) in face.landmarks.iter().enumerate() {
        let point = Point::new(SIZE.0 as f32 - 1.0 - landmark.point.x, landmark.point.y);
        mirrored.landmarks[WFLW98_MIRROR[i]].point = point;
    }
    let (a, b) = (signals(&face), signals(&mirrored));
    let (head, other) = (a.head.unwrap(), b.head.unwrap());
    assert!((head.yaw_deg + other.yaw_deg).abs() < 0.01 && (head.roll_deg + other.roll_deg).abs() < 0.01);
    assert!((head.pitch_deg - other.pitch_deg).abs() < 0.01);
    let close = |a: Option<f32>, b: Option<f32>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-3,
        // The gaze of the shut eye.
        (a, b) => a == b,
    };
    assert!(close(a.eye_open_left, b.eye_open_right) && close(a.eye_open_right, b.eye_open_left));
    assert!(close(a.gaze_yaw_deg, b.gaze_yaw_deg.map(|v| -v)) && close(a.gaze_pitch_deg, b.gaze_pitch_deg));
    let swapped = |name: &str| match name {
        name if name.contains("Left") => name.replace("Left", "Right"),
        name => name.replace("Right", "Left"),
    };
    for (name, value) in a.shapes() {
        let (_, other) = b.shapes().find(|(other, _)| *other == swapped(name)).unwrap();
        assert!(close(value, other), "{name}: {value:?}, {other:?}");
    }
}

#[test]
fn misplaced_points_of_low_confidence_hardly_turn_the_head() {
    let mut face = Truth::new([0.0, 25.0, 0.0]).face();
    for i in 42..51 {
        face.landmarks[i].confidence = 0.05;
        face.landmarks[i].point = Point::new(face.landmarks[i].point.x + 12.0, face.landmarks[i].point.y - 15.0);
    }
    let head = signals(&face).head.unwrap();
    assert!((head.yaw_deg - 25.0).abs() < 1.0 && head.pitch_deg.abs() < 1.0, "{head:?}");
}

#[test]
fn landmarks_that_form_no_face_and_other_schemes_have_no_signals() {
    let mut face = Truth::new([0.0; 3]).face();
    for (i, landmark) in face.landmarks.iter_mut().enumerate() {
        landmark.point = Point::new((i * 37 % 100) as f32, (i * 59 % 83) as f32);
    }
    assert_eq!(signals(&face), Signals::unknown(1));
    face.landmarks.truncate(68);
    assert_eq!(signals(&face), Signals::unknown(1));
    face.landmarks.clear();
    assert_eq!(signals(&face), Signals::unknown(1));
    let mut face = Truth::new([0.0; 3]).face();
    face.landmarks.iter_mut().for_each(|l| l.point = Point::new(5.0, 5.0));
    assert_eq!(signals(&face), Signals::unknown(1));
    face.landmarks[3].point = Point::new(f32::NAN, 0.0);
    assert_eq!(signals(&face), Signals::unknown(1));
}

#[test]
fn openness_is_the_same_from_every_side() {
    for yaw in [-40.0, -25.0, -10.0, 0.0, 10.0, 25.0, 40.0] {
        let shut = signals(&Truth::new([0.0, yaw, 0.0]).lids(0.15, 0.15).face());
        let half = signals(&Truth::new([0.0, yaw, 0.0]).lids(0.6, 0.6).face());
        let open = signals(&Truth::new([0.0, yaw, 0.0]).face());
        for eye in [|s: &Signals| s.eye_open_left, |s: &Signals| s.eye_open_right] {
            let [shut, half, open] = [&shut, &half, &open].map(|s| eye(s).unwrap());
            assert!(shut < 0.1 && (0.3..0.75).contains(&half) && open > 0.9, "at {yaw}: {shut}, {half}, {open}");
        }
    }
}

#[test]
fn blinks_are_found_and_winks_stay_winks() {
    let mut meter = SignalMeter::new();
    let open = || Truth::new([0.0; 3]).face();
    over_time(&mut meter, 0.0, (0..30).map(|_| open()));
    // Half shut, shut for three frames, half open.
    let lids = [0.6, 0.15, 0.1, 0.15, 0.7, 1.0];
    let blink = over_time(&mut meter, 1.0, lids.map(|share| Truth::new([0.0; 3]).lids(share, share).face()));
    assert!(blink[2].blink_left == Some(true) && blink[2].blink_right == Some(true));
    let ended: Vec<_> = blink.iter().filter_map(|s| s.blink_ended_left).collect();
    assert!(
        ended.len() == 1 && (1.0..1.034).contains(&ended[0].start_s) && (0.06..0.15).contains(&ended[0].duration_s)
    );
    // A quick blink is shut in one frame only.
    let lids = [1.0, 0.12, 0.9, 1.0];
    let quick = over_time(&mut meter, 1.21, lids.map(|share| Truth::new([0.0; 3]).lids(share, share).face()));
    let ended: Vec<_> = quick.iter().filter_map(|s| s.blink_ended_right).collect();
    assert!(ended.len() == 1 && (1.21..1.245).contains(&ended[0].start_s), "{ended:?}");
    // Nobody winks so quickly.
    let jump = over_time(&mut meter, 1.35, lids.map(|share| Truth::new([0.0; 3]).lids(1.0, share).face()));
    assert!(jump.iter().all(|s| s.blink_ended_left.is_none() && s.blink_ended_right.is_none()), "{jump:?}");
    let wink = over_time(&mut meter, 1.5, (0..10).map(|_| Truth::new([0.0; 3]).lids(1.0, 0.12).face()));
    let last = wink.last().unwrap();
    assert!(last.eye_open_left.unwrap() < 0.15 && last.eye_open_right.unwrap() > 0.8, "{last:?}");
    // An eye that stays shut is no blink.
    let shut = over_time(&mut meter, 1.9, (0..40).map(|_| Truth::new([0.0; 3]).lids(0.1, 0.1).face()));
    assert_eq!(shut.last().unwrap().blink_left, Some(false));
    let again = over_time(&mut meter, 3.25, (0..5).map(|_| open()));
    assert!(shut.iter().chain(&again).all(|s| s.blink_ended_left.is_none()));
}

#[test]
fn an_eye_that_opened_or_closed_out_of_sight_has_not_blinked() {
    let seen = |lids: f32| Truth::new([0.0; 3]).lids(lids, lids).face();
    let ended = |signals: &[Signals]| signals.iter().filter_map(|s| s.blink_ended_left).count();
    let mut meter = SignalMeter::new();
    over_time(&mut meter, 0.0, (0..30).map(|_| seen(1.0)));
    // Shut in the last frame before the face is lost, open when it is found again.
    over_time(&mut meter, 1.0, [seen(0.1)]);
    assert_eq!(ended(&over_time(&mut meter, 1.4, (0..5).map(|_| seen(1.0)))), 0);
    // Found again with shut eyes.
    let back = over_time(&mut meter, 3.0, [0.1, 0.1, 0.1, 1.0].map(seen));
    assert!(back[0].blink_left == Some(false) && ended(&back) == 0, "{back:?}");
    // A camera of five frames a second sees blinks.
    let slow = [1.0, 0.1, 1.0].into_iter().enumerate();
    let slow = slow.flat_map(|(i, lids)| over_time(&mut meter, 4.0 + 0.2 * i as f64, [seen(lids)])).collect::<Vec<_>>();
    assert_eq!(ended(&slow), 1);
}

#[cfg(feature = "train")]
#[test]
fn a_profile_with_what_is_no_number_is_refused() {
    let stored = toml::Table::try_from(Profile::default()).unwrap();
    assert_eq!(stored.clone().try_into::<Profile>().unwrap(), Profile::default());
    for place in [["neutral", "measures", "chin"], ["neutral", "measures", "mouth_width"]] {
        let mut damaged = toml::Value::Table(stored.clone());
        let value = place.iter().fold(&mut damaged, |value, &key| &mut value[key]);
        *value = f64::NAN.into();
        let error = damaged.try_into::<Profile>().unwrap_err().to_string();
        assert!(error.contains("measures"), "{error}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn serialized_signals_name_the_blend_shapes() {
    let signals = signals(&Truth::new([0.0; 3]).moved(&[16], [0.0, -1.0, 0.0]).face());
    let value = serde_json::to_value(&signals).unwrap();
    for (name, known) in signals.shapes() {
        assert_eq!(value["shapes"][name].as_f64().map(|v| v as f32), known, "{name}");
    }
    assert!(value["shapes"]["jawOpen"].as_f64().unwrap() > 0.1 && value["head"]["yaw_deg"].is_number());
    let unknown = serde_json::to_value(Signals::unknown(3)).unwrap();
    assert!(unknown["shapes"].as_object().unwrap().is_empty());
}

#[test]
fn the_gaze_follows_the_pupils_and_is_held_while_the_eyes_are_shut() {
    // An eyeball that turns; to the person's right is to the left in the picture.
    let looking_from = |head: f64, yaw: f32, pitch: f32| {
        let ((sy, cy), (sp, cp)) = (yaw.to_radians().sin_cos(), pitch.to_radians().sin_cos());
        let ahead = eyes::EyeLevels::straight_ahead();
        let mut truth = Truth::new([0.0, head, 0.0]);
        for (pupil, outer, inner, outwards) in [(96, 60, 64, -1.0), (97, 72, 68, 1.0)] {
            let half_width = 0.5 * (AVERAGE_FACE[outer][0] - AVERAGE_FACE[inner][0]).abs();
            let middle: [f32; 2] = [0, 1].map(|axis| 0.5 * (AVERAGE_FACE[outer][axis] + AVERAGE_FACE[inner][axis]));
            truth.solid[pupil][0] = middle[0] + outwards * half_width * ahead[0] - 1.2 * sy * cp;
            truth.solid[pupil][1] = middle[1] + half_width * ahead[1] + 1.2 * sp;
            truth.solid[pupil][2] -= 1.2 * (1.0 - cy * cp);
        }
        truth
    };
    let looking = |yaw: f32, pitch: f32| looking_from(10.0, yaw, pitch);
    for head in [-30.0, -10.0, 0.0, 10.0, 30.0] {
        for (yaw, pitch) in [(0.0, 0.0), (15.0, 0.0), (-20.0, 10.0), (0.0, -12.0)] {
            let signals = signals(&looking_from(head, yaw, pitch).face());
            let (seen_yaw, seen_pitch) = (signals.gaze_yaw_deg.unwrap(), signals.gaze_pitch_deg.unwrap());
            let seen = format!("{seen_yaw}, {seen_pitch} instead of {yaw}, {pitch} at {head}");
            assert!((seen_yaw - yaw).abs() < 1.5 && (seen_pitch - pitch).abs() < 1.5, "{seen}");
        }
    }
    let mut meter = SignalMeter::new();
    over_time(&mut meter, 0.0, [looking(15.0, 0.0).face()]);
    let shut = over_time(&mut meter, STEP_S, [looking(15.0, -30.0).lids(0.1, 0.1).face()]);
    assert!((shut[0].gaze_yaw_deg.unwrap() - 15.0).abs() < 2.0 && shut[0].gaze_pitch_deg.unwrap().abs() < 2.0);
}

#[test]
fn expressions_move_their_shapes_and_no_others() {
    let rest = || Truth::new([0.0; 3]);
    let unit = face_model::EYE_DISTANCE_CM;
    let mouth: Vec<usize> = (76..96).collect();
    let lower: Vec<usize> = (83..88).chain(93..96).chain(10..23).collect();
    let cases: [(&str, Truth); 6] = [
        ("jawOpen", rest().moved(&lower, [0.0, -0.25 * unit, 0.0])),
        ("mouthSmileLeft", rest().moved(&[82, 92], [0.08 * unit, 0.06 * unit, 0.0])),
        ("mouthFrownRight", rest().moved(&[76, 88], [0.0, -0.05 * unit, 0.0])),
        ("browInnerUp", rest().moved(&[36, 37, 38, 42, 43, 50], [0.0, 0.07 * unit, 0.0])),
        ("browOuterUpRight", rest().moved(&[33, 34, 41], [0.0, 0.06 * unit, 0.0])),
        ("mouthLeft", rest().moved(&mouth, [0.06 * unit, 0.0, 0.0])),
    ];
    for (name, truth) in cases {
        let mut meter = SignalMeter::new();
        over_time(&mut meter, 0.0, [rest().face()]);
        assert!(meter.set_neutral(1));
        let calm = &over_time(&mut meter, STEP_S, [rest().face()])[0];
        let seen = &over_time(&mut meter, 2.0 * STEP_S, [truth.face()])[0];
        let value = |s: &Signals, name: &str| s.shapes().find(|(other, _)| *other == name).unwrap().1.unwrap();
        assert!(calm.shapes().all(|(_, value)| value.unwrap() < 0.1), "{:?}", calm.shapes().collect::<Vec<_>>());
        assert!(value(seen, name) > 0.5, "{name} is {}", value(seen, name));
        for opposite in ["mouthRight", "mouthPucker", "browDownLeft", "eyeBlinkLeft"] {
            assert!(value(seen, opposite) < 0.35, "{name}: {opposite} is {}", value(seen, opposite));
        }
        let vowels: f32 = calm.visemes.unwrap().iter().sum();
        assert!(vowels < 0.1 && seen.visemes.unwrap().iter().sum::<f32>() <= 1.0 + 1e-6);
    }
}

#[test]
fn a_neutral_pose_becomes_straight_ahead_and_lives_on_in_the_profile() {
    let mut meter = SignalMeter::new();
    let turned = || Truth::new([8.0, -12.0, 3.0]).face();
    assert!(!meter.set_neutral(1));
    over_time(&mut meter, 0.0, [turned()]);
    assert!(meter.set_neutral(1) && !meter.set_neutral(2));
    let profile = meter.profile(1).unwrap();
    let text = serde_json::to_string(&profile).unwrap();
    let mut other = SignalMeter::new();
    other.set_profile(serde_json::from_str(&text).unwrap());
    for meter in [&mut meter, &mut other] {
        let head = over_time(meter, STEP_S, [turned()])[0].head.unwrap();
        assert!(head.yaw_deg.abs() < 0.2 && head.pitch_deg.abs() < 0.2 && head.roll_deg.abs() < 0.2, "{head:?}");
    }
}

#[test]
fn frames_slightly_out_of_order_do_not_make_a_stranger_of_anybody_and_another_video_does() {
    let turned = || Truth::new([8.0, -12.0, 3.0]).face();
    let yaw_deg = |meter: &mut SignalMeter, time_s| over_time(meter, time_s, [turned()])[0].head.unwrap().yaw_deg;
    let mut meter = SignalMeter::new();
    yaw_deg(&mut meter, 10.0);
    assert!(meter.set_neutral(1));
    for time_s in [10.03, 10.01, 10.02, 10.04] {
        assert!(yaw_deg(&mut meter, time_s).abs() < 0.2, "at {time_s} s");
    }
    assert!(yaw_deg(&mut meter, 5.0).abs() > 5.0);
}

#[test]
fn a_time_that_is_not_finite_is_that_of_the_frame_before() {
    let mut meter = SignalMeter::default();
    let face = Truth::new([0.0; 3]).face();
    for time_s in [f64::NAN, 0.0, STEP_S, f64::INFINITY, f64::NAN, f64::NEG_INFINITY, 2.0 * STEP_S] {
        let faces = [face.clone()];
        let measured = meter.measure_faces(&faces, &faces, SIZE.0, SIZE.1, time_s);
        assert!(measured[0].head.is_some_and(|head| head.yaw_deg.is_finite()), "{time_s}");
    }
}

#[test]
fn a_face_in_profile_does_not_become_neutral_with_its_expression_from_before() {
    let mut meter = SignalMeter::default();
    let profile = Truth::new([0.0, 89.0, 0.0]).face();
    let seen = over_time(&mut meter, 0.0, [Truth::new([0.0; 3]).face(), profile]);
    assert!(seen[1].head.is_some() && seen[1].mouth_open.is_none());
    assert!(!meter.set_neutral(seen[1].id));
}

#[test]
fn nobody_in_sight_has_no_neutral_pose() {
    let mut meter = SignalMeter::default();
    let face = Truth::new([0.0; 3]).face();
    over_time(&mut meter, 0.0, vec![face.clone(); 10]);
    assert!(meter.set_neutral(face.id));
    meter.measure_faces(&[], &[], SIZE.0, SIZE.1, 11.0 * STEP_S);
    assert!(!meter.set_neutral(face.id));
}

#[test]
fn the_proportions_of_a_person_are_learned_without_turning_the_head() {
    // A long chin and wide-set brows.
    let person = |yaw: f64| {
        let chin: Vec<usize> = (10..23).collect();
        let mut truth = Truth::new([0.0, yaw, 0.0]).moved(&chin, [0.0, -0.6, 0.0]);
        (33..51).for_each(|i| truth.solid[i][0] *= 1.06);
        truth.face()
    };
    let mut meter = SignalMeter::new();
    let before = over_time(&mut meter, 0.0, [person(0.0)])[0].clone();
    over_time(&mut meter, STEP_S, (0..1800).map(|i| person(10.0 * (f64::from(i) * 0.05).sin())));
    let after = over_time(&mut meter, 1801.0 * STEP_S, [person(0.0)])[0].clone();
    let residual = |s: &Signals| s.detail().unwrap().residual_px;
    assert!(residual(&after) < 0.3 * residual(&before), "{} to {}", residual(&before), residual(&after));
    let turn = after.head.unwrap().pitch_deg - before.head.unwrap().pitch_deg;
    assert!(turn.abs() < 1.0 && after.head.unwrap().yaw_deg.abs() < 0.1, "{turn}");
}

#[test]
fn a_profile_stays_with_its_person_and_passes_on_when_they_leave() {
    let mut known = SignalMeter::new();
    over_time(&mut known, 0.0, [Truth::new([10.0, 0.0, 0.0]).face()]);
    assert!(known.set_neutral(1));
    let profile = known.profile(1).unwrap();
    let mut meter = SignalMeter::new();
    assert_eq!(meter.profile_so_far(), None);
    meter.set_profile(profile.clone());
    assert_eq!(meter.profile_so_far(), Some(profile));
    let with_id = |id| Face { id, ..Truth::new([10.0, 0.0, 0.0]).face() };
    let pitch = |meter: &mut SignalMeter, faces: &[Face], time_s| {
        let signals = meter.measure_faces(faces, &[], SIZE.0, SIZE.1, time_s);
        signals.iter().map(|signals| signals.head.unwrap().pitch_deg.round()).collect::<Vec<_>>()
    };
    assert_eq!(pitch(&mut meter, &[with_id(7), with_id(8)], 0.0), [0.0, 10.0], "only the first has it");
    assert_eq!(pitch(&mut meter, &[with_id(8), with_id(9)], 1.0), [10.0, 10.0], "7 may come back");
    assert_eq!(pitch(&mut meter, &[with_id(8), with_id(10)], 3.5), [10.0, 0.0], "7 has left");
    meter.reset();
    assert_eq!(pitch(&mut meter, &[with_id(11)], 0.0), [0.0], "another place of the same video");
}
