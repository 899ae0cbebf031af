use super::*;
use crate::runtime::geometry::{Point, Rect};
use crate::runtime::landmarks::Landmark;
use crate::train::synth::Scene;

const RATE: f64 = 25.0;
const CONFIDENT: f32 = 0.98;

/// A face of the demo at `scene_s`, as a tracker would find it.
fn seen(scene_s: f64) -> (Frame, Face) {
    let mut frame = Frame::filled(320, 240, [0; 3]);
    let points = Scene::demo(1, 1).draw(scene_s, &mut frame)[0];
    let landmarks = points.map(|point| Landmark { point, confidence: CONFIDENT }).to_vec();
    (frame, Face { id: 1, score: CONFIDENT, rect: Rect::around(points).unwrap(), landmarks })
}

/// The same frame with every pixel the mean of those around it.
fn blurred(frame: &Frame) -> Frame {
    const REACH: usize = 4;
    let (width, height) = (frame.width(), frame.height());
    let mut result = frame.clone();
    for (at, value) in result.rgb_mut().iter_mut().enumerate() {
        let (x, y) = (at / 3 % width, at / 3 / width);
        let columns = x.saturating_sub(REACH)..(x + REACH + 1).min(width);
        let rows = y.saturating_sub(REACH)..(y + REACH + 1).min(height);
        let count = columns.len() * rows.len();
        let near = rows.flat_map(|y| columns.clone().map(move |x| (y * width + x) * 3 + at % 3));
        *value = (near.map(|at| usize::from(frame.rgb()[at])).sum::<usize>() / count) as u8;
    }
    result
}

fn unsure(face: &Face) -> Face {
    let landmarks = face.landmarks.iter().map(|l| Landmark { confidence: 0.5, ..*l }).collect();
    Face { score: 0.5, landmarks, ..face.clone() }
}

/// What is kept of `seconds` of video, in slots of two seconds.
fn kept_of(seconds: f64, mut video: impl FnMut(f64) -> (Frame, Vec<Face>)) -> Vec<Kept> {
    let mut selector = Selector::new(SelectionOptions { slot_s: 2.0 });
    let mut kept = Vec::new();
    for i in 0..(seconds * RATE) as u32 {
        let time_s = f64::from(i) / RATE;
        let (frame, faces) = video(time_s);
        kept.extend(selector.look(&frame, &faces, time_s));
    }
    kept.extend(selector.take_best());
    kept
}

#[test]
fn a_face_that_does_not_change_is_kept_once() {
    // Looks straight ahead.
    let (frame, face) = seen(0.0);
    let kept = kept_of(12.0, |_| (frame.clone(), vec![face.clone()]));
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].reason, Reason::First);
    assert_eq!(kept[0].frame, frame);
}

#[test]
fn a_face_that_moves_is_kept_often_spread_over_time_and_never_twice_alike() {
    let kept = kept_of(20.0, |time_s| {
        let (frame, face) = seen(time_s);
        (frame, vec![face])
    });
    assert!((5..=10).contains(&kept.len()), "{}", kept.len());
    let mut meter = Meter::new();
    let faces: Vec<_> = kept.iter().map(|kept| (kept.time_s, seen(kept.time_s))).collect();
    for (i, (time_s, (frame, face))) in faces.iter().enumerate() {
        let appearance = meter.measure(frame, &face.landmarks).unwrap();
        for (earlier_s, (frame, face)) in &faces[..i] {
            assert!(time_s - earlier_s >= 2.0 / 3.0 - 1e-6, "{time_s} {earlier_s}");
            let difference = appearance.difference(&meter.measure(frame, &face.landmarks).unwrap());
            assert!(difference >= 0.5 * LEAST_DIFFERENCE, "{difference} between {earlier_s} and {time_s}");
        }
    }
}

#[test]
fn a_blurred_frame_is_not_kept_among_sharp_ones() {
    let (sharp, face) = seen(1.0);
    let (blurred, raised) = (blurred(&sharp), seen(3.0).1);
    // Most of the time there is nothing new; what is new is blurred.
    let kept = kept_of(10.0, |time_s| match time_s as u32 % 4 {
        3 => (blurred.clone(), vec![Face { id: 1, ..raised.clone() }]),
        _ => (sharp.clone(), vec![face.clone()]),
    });
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].frame, sharp);
}

#[test]
fn the_hardest_frame_of_a_slot_is_the_one_that_is_kept() {
    let (frame, face) = seen(1.0);
    let kept = kept_of(2.0, |time_s| {
        let face = if (time_s - 1.0).abs() < 0.01 { unsure(&face) } else { face.clone() };
        (frame.clone(), vec![face])
    });
    assert_eq!(kept.len(), 1);
    assert!((kept[0].time_s - 1.0).abs() < 0.01, "{}", kept[0].time_s);
    assert_eq!(kept[0].reason, Reason::Unsure);
}

#[test]
fn a_face_that_was_lost_is_kept_where_it_was() {
    let (frame, face) = seen(1.0);
    let kept = kept_of(6.0, |time_s| {
        let is_found = !(3.0..3.5).contains(&time_s);
        (frame.clone(), if is_found { vec![face.clone()] } else { Vec::new() })
    });
    let lost: Vec<_> = kept.iter().filter(|kept| kept.reason == Reason::Lost).collect();
    assert_eq!(lost.len(), 1);
    assert!((lost[0].time_s - 3.0).abs() < 0.05, "{}", lost[0].time_s);
    let [KeptFace::Unfound(head)] = lost[0].faces.as_slice() else { panic!("it was not found") };
    assert!(head.center.distance(face.rect.center()) < 0.2 * face.rect.side());
}

#[test]
fn a_face_that_leaves_the_frame_or_goes_with_the_scene_was_not_lost() {
    let (frame, face) = seen(1.0);
    let mut leaving = face.clone();
    for landmark in &mut leaving.landmarks {
        landmark.point = Point::new(landmark.point.x - face.rect.x - 0.3 * face.rect.width, landmark.point.y);
    }
    let another = Frame::filled(320, 240, [250, 250, 250]);
    for (last, next) in [(&leaving, &frame), (&face, &another)] {
        let kept = kept_of(4.0, |time_s| match time_s < 1.0 {
            true => (frame.clone(), vec![last.clone()]),
            false => (next.clone(), Vec::new()),
        });
        assert!(kept.iter().all(|kept| kept.reason != Reason::Lost));
    }
}
