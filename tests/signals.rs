//! Signals of tracked procedural faces, whose truth is known exactly.

use awing::internals::{Portrait, Scene};
use awing::{Frame, SignalMeter, Signals, Tracker, TrackerOptions};
use std::time::Instant;

/// What a meter says of a portrait that is shown for some frames, and the pose.
fn measure(portrait: &Portrait, tracker: &mut Tracker, meter: &mut SignalMeter) -> Option<(Signals, [f32; 3])> {
    let mut frame = Frame::filled(640, 480, [0; 3]);
    let (_, truth_deg) = portrait.draw(&mut frame).unwrap();
    tracker.reset();
    // The distance of the procedural camera: eight face widths.
    meter.set_fov(45.0);
    let mut last = None;
    for i in 0..3 {
        let time_s = f64::from(i) / 30.0;
        tracker.track_at(&frame, time_s).unwrap();
        last = meter.measure(tracker, frame.width(), frame.height(), time_s).first().cloned();
    }
    last.map(|signals| (signals, truth_deg))
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

/// Prints the figures of docs/signals.md with `--nocapture`.
#[test]
fn heads_are_where_they_turn_up_to_45_degrees() {
    let mut tracker = Tracker::new(TrackerOptions::default()).unwrap();
    let mut errors = [const { Vec::new() }; 3];
    let mut missed = 0;
    for seed in 0..4 {
        for yaw in [-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0] {
            for (pitch, roll) in [(0.0, 0.0), (12.0, 0.0), (-12.0, 15.0)] {
                let portrait = Portrait { seed, turns_deg: [yaw, pitch, roll], eyes: 1.0, gaze: 0.0 };
                let Some((signals, truth_deg)) = measure(&portrait, &mut tracker, &mut SignalMeter::new()) else {
                    missed += 1;
                    continue;
                };
                let head = signals.head.unwrap();
                let seen = [head.pitch_deg, head.yaw_deg, head.roll_deg];
                for ((errors, seen), truth) in errors.iter_mut().zip(seen).zip(truth_deg) {
                    errors.push((seen - truth).abs());
                }
            }
        }
    }
    let [pitch, yaw, roll] = errors.each_ref().map(|errors| mean(errors));
    println!("head pose, mean absolute error: pitch {pitch:.2}, yaw {yaw:.2}, roll {roll:.2} degrees; {missed} missed");
    assert!(missed == 0 && yaw < 2.0 && pitch < 4.0 && roll < 1.5, "{pitch}, {yaw}, {roll}; {missed} missed");
}

#[test]
fn the_gaze_moves_with_the_pupils_of_procedural_faces() {
    let mut tracker = Tracker::new(TrackerOptions::default()).unwrap();
    let mut errors = Vec::new();
    for seed in 0..4 {
        for yaw in [-15.0, 0.0, 15.0] {
            let mut last_deg = f32::INFINITY;
            for gaze in [-1.0, 0.0, 1.0] {
                let portrait = Portrait { seed, turns_deg: [yaw, 0.0, 0.0], eyes: 1.0, gaze };
                let (signals, _) = measure(&portrait, &mut tracker, &mut SignalMeter::new()).unwrap();
                let seen_deg = signals.gaze_yaw_deg.unwrap();
                assert!(
                    seen_deg < last_deg - 1.0,
                    "person {seed}, yaw {yaw}, gaze {gaze}: {seen_deg} after {last_deg}"
                );
                last_deg = seen_deg;
                errors.push((seen_deg + gaze * Portrait::PUPIL_TURN_DEG).abs());
            }
        }
    }
    let error = mean(&errors);
    println!("gaze, mean absolute error of yaw: {error:.2} degrees");
    assert!(error < 4.0, "{error}");
}

#[test]
fn the_blinks_of_the_demo_are_found_and_none_is_invented() {
    let scene = Scene::demo(1, 1);
    let mut frame = Frame::filled(640, 480, [0; 3]);
    let mut tracker = Tracker::new(TrackerOptions::default()).unwrap();
    let mut meter = SignalMeter::new();
    let (mut right, mut left) = (0, 0);
    for i in 0..1050 {
        let time_s = f64::from(i) / 30.0;
        scene.draw(time_s, &mut frame);
        tracker.track_at(&frame, time_s).unwrap();
        for signals in meter.measure(&tracker, 640, 480, time_s) {
            right += u32::from(signals.blink_ended_right.is_some());
            left += u32::from(signals.blink_ended_left.is_some());
        }
    }
    // One every 3.5 s.
    println!("blinks: {right} right, {left} left of 10");
    assert!((9..=11).contains(&right) && (9..=11).contains(&left), "{right} right, {left} left");
}

/// Prints what signals cost with `--nocapture`.
#[test]
fn signals_of_a_moving_face_are_measured_in_every_frame() {
    let scene = Scene::demo(1, 1);
    let mut frame = Frame::filled(640, 480, [0; 3]);
    let mut tracker = Tracker::new(TrackerOptions::default()).unwrap();
    let mut meter = SignalMeter::new();
    let mut times_ms = Vec::new();
    for i in 0..300 {
        let time_s = f64::from(i) / 30.0;
        scene.draw(time_s, &mut frame);
        tracker.track_at(&frame, time_s).unwrap();
        let start = Instant::now();
        let signals = meter.measure(&tracker, 640, 480, time_s);
        times_ms.push(start.elapsed().as_secs_f32() * 1000.0);
        assert!(signals.len() == 1 && signals[0].head.is_some() && signals[0].mouth_open.is_some(), "frame {i}");
    }
    times_ms.sort_by(f32::total_cmp);
    println!("signals of a face: {:.3} ms, median of 300 frames", times_ms[150]);
}
