//! The real program with emulated cameras, working and faulty.
//!
//! `camera/emulator.c` replaces the V4L2 driver below the program and lists the faults that it can emulate. No test is
//! skipped: they need a C compiler, as Rust itself does, and no privileges.
#![cfg(all(target_os = "linux", feature = "camera"))]

mod counting;
#[cfg(feature = "window")]
mod display;
#[path = "camera/rig.rs"]
mod rig;

use awing::Frame;
use awing::internals::capture::{self, CaptureOptions, Input};
use counting::allocations;
use rig::{Awing, MODES, Rig};
use serde_json::Value;
use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

const TRACK: &str = "--headless --json - --input camera:0";

fn mean_distance(a: &[(f32, f32)], b: &[(f32, f32)]) -> f32 {
    let distances = a.iter().zip(b).map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1));
    distances.sum::<f32>() / a.len() as f32
}

fn landmarks(face: &Value) -> Vec<(f32, f32)> {
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    face["landmarks"].as_array().unwrap().iter().map(|p| (number(&p[0]), number(&p[1]))).collect()
}

#[test]
fn frames_of_every_format_are_tracked_and_written() {
    let truth: Vec<_> = rig::demo().map(|(_, landmarks)| landmarks).collect();
    for format in ["YUYV", "NV12", "MJPG"] {
        let rig = Rig::new();
        rig.add(0, &format!("mode {format} 640 480 1 30"));
        let mut awing = rig.awing(&format!("{TRACK} --frames 20 --no-smooth"));
        assert!(awing.end().success(), "{format}: {}", awing.said());
        let frames = awing.frames();
        assert_eq!(frames.len(), 20, "{format}");
        let mut last_s = -1.0;
        for (number, frame) in frames.iter().enumerate() {
            assert_eq!(frame["frame"], number, "{format}");
            let time_s = frame["time_s"].as_f64().unwrap();
            assert!(time_s > last_s, "{format}: {time_s} after {last_s}");
            last_s = time_s;
            let faces = frame["faces"].as_array().unwrap();
            assert_eq!(faces.len(), 1, "{format}, frame {number}");
            let found = landmarks(&faces[0]);
            assert_eq!(found.len(), 98);
            let off = truth.iter().map(|truth| mean_distance(truth, &found)).fold(f32::MAX, f32::min);
            assert!(off < 8.0, "{format}, frame {number}: {off} pixels away from every frame that was sent");
        }
    }
}

#[test]
fn a_face_is_found_in_the_video_that_was_named_or_else_in_the_demo() {
    let rig = Rig::of_real_video();
    rig.add(0, MODES);
    let mut awing = rig.awing(&format!("{TRACK} --frames 20"));
    assert!(awing.end().success(), "{}", awing.said());
    let with_face = awing.frames().iter().filter(|frame| frame["faces"] != Value::Array(Vec::new())).count();
    assert!(with_face >= 18, "{with_face} of 20");
}

#[test]
fn faces_are_captured_with_their_camera_and_time_and_an_unplugged_camera_does_not_end_it() {
    let rig = Rig::new();
    rig.add(0, &named("Front camera"));
    let mut awing = rig.awing("capture --input camera:0 --seconds 6 --count 12 --out samples");
    awing.wait_until_said("1 of 12");
    rig.unplug(0);
    awing.wait_until_said("it was unplugged");
    rig.plug_in(0);
    awing.wait_until_said("is back");
    assert!(awing.end().success(), "{}", awing.said());
    let recording = std::fs::read_dir(rig.path("samples")).unwrap().next().unwrap().unwrap().path();
    let lines = std::fs::read_to_string(recording.join("faces.jsonl")).unwrap();
    let faces: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!faces.is_empty(), "{}", awing.said());
    for face in &faces {
        assert_eq!(face["source"], "camera 0 (Front camera)");
        assert!(face["time_s"].as_f64().unwrap() > 1.7e9);
    }
}

#[test]
fn the_times_of_frames_are_the_cameras_own() {
    let rig = Rig::new();
    rig.add(0, "mode YUYV 640 480 1001 30000");
    let mut awing = rig.awing(&format!("{TRACK} --frames 20"));
    assert!(awing.end().success(), "{}", awing.said());
    let times: Vec<f64> = awing.frames().iter().map(|frame| frame["time_s"].as_f64().unwrap()).collect();
    for pair in times.windows(2) {
        // Frames may be lost, but the time between those that arrive is a whole number of intervals, however late they
        // are read.
        let steps = (pair[1] - pair[0]) * 30000.0 / 1001.0;
        assert!(steps > 0.5 && (steps - steps.round()).abs() < 0.05, "{steps} steps in {times:?}");
    }
}

#[test]
fn only_cameras_that_capture_are_listed() {
    let rig = Rig::new();
    rig.add(0, "metadata\nname Data about pictures");
    rig.add(1, "name Front camera\nmode YUYV 640 480 1001 30000\nmode YUYV 640 480 1 15\nmode MJPG 1280 720 1 30");
    rig.add(2, "name A scanner\nmode GREY 640 480 1 30");
    rig.add(3, &format!("denied\n{MODES}"));
    rig.add(10, &format!("name \u{e9}t\u{e9}\n{MODES}"));
    let list = |arguments: &str| {
        let mut awing = rig.awing(arguments);
        assert!(awing.end().success(), "{}", awing.said());
        assert!(awing.said().contains("skipped camera 3: no permission to open /dev/video3"), "{}", awing.said());
        awing.written().join("\n")
    };
    let table = list("cameras");
    assert!(table.contains("camera:1  Front camera"), "{table}");
    assert!(table.contains("640x480  29.97, 15 frames/s") && table.contains("1280x720  30 frames/s"), "{table}");
    assert!(!table.contains("Data about") && !table.contains("scanner"), "{table}");
    let cameras: Value = serde_json::from_str(&list("cameras --json")).unwrap();
    let indices: Vec<u64> =
        cameras.as_array().unwrap().iter().map(|camera| camera["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [1, 10]);
    assert_eq!(cameras[1]["name"], "\u{e9}t\u{e9}");
    assert_eq!(cameras[1]["modes"].as_array().unwrap().len(), 3);
}

#[test]
fn an_unresponsive_driver_is_skipped_and_the_next_camera_used() {
    let rig = Rig::with_camera("hang list");
    rig.add(1, &named("Front camera"));
    let mut awing = rig.awing("cameras");
    assert!(awing.end().success());
    assert!(awing.said().contains("skipped camera 0: its driver does not answer"), "{}", awing.said());
    assert!(awing.written()[0].contains("Front camera"), "{:?}", awing.written());
    let mut awing = rig.awing("--headless --json - --frames 2");
    assert!(awing.end().success());
    assert!(awing.said().contains("camera 1 (Front camera): 2 frames"), "{}", awing.said());
}

#[test]
fn the_mode_is_the_requested_or_the_best_one() {
    let rig = Rig::new();
    rig.add(0, &format!("{MODES}mode MJPG 640 480 1 60\nmode YUYV 640 480 1 15\n"));
    for (wish, mode) in [
        ("", "MJPEG 640x480 at 60 frames"),
        ("--fps 30", "YUYV 640x480 at 30 frames"),
        ("--size 640x480 --fps 15", "YUYV 640x480 at 15 frames"),
    ] {
        let mut awing = rig.awing_logging("info", &format!("{TRACK} --frames 2 {wish}"));
        assert!(awing.end().success(), "{}", awing.said());
        assert!(awing.said().contains(mode), "{wish}: {}", awing.said());
    }
}

#[test]
fn drivers_with_a_range_of_rates_or_without_a_list_are_used() {
    let range = "mode YUYV 640 480 1 5\nmode YUYV 640 480 1 120\nrates range";
    for (settings, wish, mode) in [
        (range, "", "YUYV 640x480 at 60 frames"),
        (range, "--fps 25", "YUYV 640x480 at 25 frames"),
        (range, "--fps 29.97", "YUYV 640x480 at 29.97 frames"),
        (range, "--fps 500", "YUYV 640x480 at 120 frames"),
        ("mode MJPG 640 480 1 15\nrates unlisted", "", "MJPEG 640x480 at 15 frames"),
    ] {
        let rig = Rig::new();
        rig.add(0, settings);
        let mut awing = rig.awing_logging("info", &format!("{TRACK} --frames 2 {wish}"));
        assert!(awing.end().success(), "{}", awing.said());
        assert!(awing.said().contains(mode), "{wish}: {}", awing.said());
    }
}

#[test]
fn the_default_is_the_first_camera_that_captures_or_else_the_demo() {
    let rig = Rig::new();
    let mut awing = rig.awing("--headless --json - --frames 2");
    assert!(awing.end().success());
    assert!(awing.said().contains("there is no camera; playing the built-in demo"), "{}", awing.said());
    rig.add(0, "metadata");
    rig.add(1, &format!("name Front camera\n{MODES}"));
    let mut awing = rig.awing("--headless --json - --frames 2");
    assert!(awing.end().success());
    assert!(awing.said().contains("camera 1 (Front camera): 2 frames"), "{}", awing.said());
}

#[test]
fn damaged_frames_are_dropped_and_the_others_tracked() {
    for (format, damage) in [
        ("MJPG", "truncated"),
        ("MJPG", "garbage"),
        ("MJPG", "scrambled"),
        ("MJPG", "size"),
        ("YUYV", "short"),
        ("NV12", "short"),
        ("YUYV", "flagged"),
    ] {
        let rig = Rig::new();
        rig.add(0, &format!("mode {format} 640 480 1 60\ndamage {damage} 3"));
        let mut awing = rig.awing_logging("debug", &format!("{TRACK} --frames 20"));
        assert!(awing.end().success(), "{format}, {damage}: {}", awing.said());
        assert!(awing.said().contains("dropped a damaged frame, 3 so far"), "{format}, {damage}: {}", awing.said());
        let frames = awing.frames();
        assert_eq!(frames.len(), 20, "{format}, {damage}");
        let whole = frames.iter().filter(|frame| frame["faces"].as_array().unwrap().len() == 1).count();
        // Codes that were exchanged for others can happen to be those of a picture.
        assert!(whole >= if damage == "scrambled" { 19 } else { 20 }, "{format}, {damage}: {whole}");
    }
}

#[test]
fn a_camera_that_sends_only_damaged_pictures_is_not_called_silent() {
    let rig = Rig::with_camera("");
    rig.set(0, "mode MJPG 640 480 1 30\ndamage garbage 1");
    let mut awing = rig.awing(TRACK);
    awing.wait_until_said("sends only damaged JPEG pictures");
    rig.set(0, "mode MJPG 640 480 1 30");
    awing.wait_for_frames(3);
    awing.wait_until_said("is back");
    awing.interrupt();
}

#[test]
fn a_silent_camera_is_reported_and_retried_until_it_delivers() {
    let rig = Rig::with_camera("");
    let mut awing = rig.awing(TRACK);
    const TOLD: &str = "camera 0 (Emulated camera): no picture for ";
    // Reported within two seconds; a busy machine gets several attempts.
    for round in 1..=5 {
        awing.wait_for_frames(5);
        rig.set(0, &format!("{MODES}stall"));
        awing.wait_until(TOLD, |awing| awing.said().matches(TOLD).count() == round);
        rig.set(0, MODES);
        awing.wait_until("frames again", |awing| awing.said().matches("is back").count() == round);
        if awing.said().contains(&format!("{TOLD}1 s")) {
            awing.interrupt();
            return;
        }
    }
    panic!("the report came too late: {}", awing.said());
}

#[test]
fn a_stuck_stream_is_reopened() {
    let rig = Rig::with_camera("");
    let mut awing = rig.awing(TRACK);
    awing.wait_for_frames(5);
    // From now on only a new stream delivers frames.
    rig.set(0, &format!("{MODES}stall old"));
    awing.wait_until_said("no picture for");
    awing.wait_for_frames(5);
    awing.interrupt();
}

#[test]
fn a_camera_that_was_unplugged_is_used_again_when_it_is_back() {
    let rig = Rig::with_camera("");
    let mut awing = rig.awing(TRACK);
    awing.wait_for_frames(5);
    rig.unplug(0);
    awing.wait_until_said("it was unplugged. No picture for");
    rig.plug_in(0);
    awing.wait_for_frames(5);
    awing.wait_until_said("is back");
    awing.interrupt();
}

fn named(name: &str) -> String {
    format!("name {name}\n{MODES}")
}

#[test]
fn a_camera_that_comes_back_under_another_number_is_recognized_by_its_name() {
    let rig = Rig::new();
    rig.add(0, &named("Mine"));
    rig.add(1, &named("Mine"));
    let mut awing = rig.awing(TRACK);
    awing.wait_for_frames(5);
    rig.unplug(0);
    awing.wait_until_said("it was unplugged");
    rig.add(0, &named("Another"));
    awing.wait_until_said("camera 0 (Mine): it was unplugged, and Another has its number");
    // Not the camera of the same name that was connected all along.
    rig.set(2, &named("Mine"));
    rig.plug_in_as(0, 2);
    awing.wait_for_frames(5);
    assert!(awing.said().contains("camera 2 (Mine) is back"), "{}", awing.said());
    awing.interrupt();
}

#[test]
fn cameras_that_come_back_with_swapped_numbers_are_recognized() {
    let rig = Rig::new();
    rig.add(0, &named("Mine"));
    rig.add(1, &named("Another"));
    let mut awing = rig.awing(TRACK);
    awing.wait_for_frames(5);
    rig.unplug(0);
    awing.wait_until_said("it was unplugged");
    rig.unplug(1);
    // It looks for its camera every tenth of a second.
    std::thread::sleep(Duration::from_millis(500));
    rig.set(0, &named("Another"));
    rig.set(1, &named("Mine"));
    rig.plug_in_as(1, 0);
    rig.plug_in_as(0, 1);
    awing.wait_for_frames(5);
    assert!(awing.said().contains("camera 1 (Mine) is back"), "{}", awing.said());
    awing.interrupt();
}

#[test]
fn a_camera_in_use_is_refused_with_the_name_of_the_program_that_has_it() {
    let rig = Rig::with_camera("busy");
    let holder = File::open(rig.node(0)).unwrap();
    let mut awing = rig.awing(TRACK);
    assert!(!awing.end().success());
    let process = format!("(process {}) uses it; close that program", std::process::id());
    assert!(awing.said().contains(&process), "{}", awing.said());
    drop(holder);
    let mut awing = rig.awing(TRACK);
    assert!(!awing.end().success());
    assert!(awing.said().contains("`sudo fuser -v /dev/video0` names it"), "{}", awing.said());
    // This camera was not requested, so the reason is reported and the demo is shown.
    let mut awing = rig.awing("--headless --json - --frames 2");
    assert!(awing.end().success());
    assert!(awing.said().contains("close that program; playing the built-in demo instead"), "{}", awing.said());
}

#[test]
fn a_camera_that_cannot_be_used_is_refused_with_what_to_do() {
    let rig = Rig::with_camera("denied");
    rig.add(1, "metadata");
    rig.add(2, "mode GREY 640 480 1 30");
    for (camera, remedy) in [
        (0, "usermod -aG video"),
        (1, "it does not capture pictures"),
        (2, "it offers neither YUYV nor NV12 nor MJPEG"),
        (3, "not found. Is it plugged in? `awing cameras` lists"),
    ] {
        let mut awing = rig.awing(&format!("--headless --input camera:{camera}"));
        assert!(!awing.end().success());
        let said = awing.said();
        assert!(said.contains(&format!("awing: camera {camera}: ")) && said.contains(remedy), "{said}");
    }
}

#[test]
fn a_driver_that_cannot_end_a_stream_does_not_end_the_program() {
    const EIO: u32 = 5;
    let rig = Rig::with_camera(&format!("stop-error {EIO}"));
    let mut awing = rig.awing(TRACK);
    awing.wait_for_frames(3);
    rig.unplug(0);
    awing.wait_until_said("No picture for");
    rig.plug_in(0);
    awing.wait_for_frames(3);
    // A stalled stream is ended as well.
    rig.set(0, &format!("{MODES}stall old\nstop-error {EIO}"));
    awing.wait_until("another start", |awing| awing.said().matches("is back").count() == 2);
    awing.interrupt();
}

#[test]
fn a_recording_ends_whole_while_the_camera_is_unplugged() {
    use image::AnimationDecoder;
    let rig = Rig::with_camera("");
    let mut awing = rig.awing(&format!("{TRACK} --save seen.gif"));
    awing.wait_for_frames(10);
    rig.unplug(0);
    awing.wait_until_said("it was unplugged");
    awing.interrupt();
    let file = BufReader::new(File::open(rig.path("seen.gif")).unwrap());
    let frames = image::codecs::gif::GifDecoder::new(file).unwrap().into_frames();
    assert!(frames.map(Result::unwrap).count() >= 5);
}

#[test]
fn a_virtual_camera_shows_the_frames_with_their_faces() {
    let rig = Rig::new();
    rig.add(10, "output");
    std::fs::create_dir(rig.path("pictures")).unwrap();
    let saved = "--headless --input demo --faces 1 --frames 40 --save pictures";
    let mut awing = rig.awing(&format!("{saved} --virtual-camera /dev/video10"));
    assert!(awing.end().success(), "{}", awing.said());
    assert!(!awing.said().contains("--virtual-camera"), "{}", awing.said());
    let pictures: Vec<Vec<u8>> = (0..40)
        .map(|number| {
            let picture = image::open(rig.path(&format!("pictures/frame_{number:06}.png"))).unwrap().to_rgb8();
            assert_eq!((picture.width(), picture.height()), (640, 480));
            rig::yuyv(&Frame::from_rgb(640, 480, picture.into_raw()).unwrap())
        })
        .collect();
    let written = std::fs::read(rig.node(10)).unwrap();
    let shown = written.chunks(640 * 480 * 2);
    println!("{} of 40 frames were shown", shown.len());
    for frame in shown {
        let is_of = |picture: &Vec<u8>| frame.iter().zip(picture).step_by(2).all(|(a, b)| a.abs_diff(*b) <= 2);
        let picture =
            pictures.iter().find(|picture| is_of(picture)).expect("every frame is one of the annotated ones, whole");
        // Colours differ where the two pixels of a pair do.
        let off: u64 = frame.iter().zip(picture).skip(1).step_by(2).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(off < 640 * 480, "colours are {off} off in all");
    }
    assert!(!written.is_empty());
}

#[test]
fn a_virtual_camera_that_keeps_to_its_size_gets_that() {
    let rig = Rig::new();
    rig.add(10, "output\nmode YUYV 320 180 1 30");
    let mut awing = rig.awing("--headless --input demo --frames 10 --virtual-camera /dev/video10");
    assert!(awing.end().success(), "{}", awing.said());
    let written = std::fs::read(rig.node(10)).unwrap();
    assert!(!written.is_empty() && written.len().is_multiple_of(320 * 180 * 2), "{}", written.len());
    assert_eq!(written[..4], [16, 128, 16, 128], "bars beside a picture of another shape");
}

#[test]
fn what_is_no_virtual_camera_is_refused_and_one_that_goes_away_is_reported_once() {
    let rig = Rig::with_camera("");
    for (number, reason) in [(0, "real camera"), (7, "no such device")] {
        let mut awing = rig.awing(&format!("{TRACK} --virtual-camera /dev/video{number}"));
        assert_eq!(awing.end().code(), Some(1));
        let said = awing.said();
        assert!(said.contains(&format!("--virtual-camera: /dev/video{number}: ")), "{said}");
        assert!(said.contains(reason) && said.contains("modprobe v4l2loopback"), "{said}");
        assert!(said.lines().count() == 1 && awing.written().is_empty(), "{said}");
    }
    rig.add(10, "output");
    let mut awing = rig.awing(&format!("{TRACK} --virtual-camera /dev/video10"));
    awing.wait_until("pictures", |_| rig.node(10).metadata().unwrap().len() > 5 * 640 * 480 * 2);
    rig.unplug(10);
    awing.wait_until_said("--virtual-camera: /dev/video10: the device is gone; tracking goes on");
    awing.wait_for_frames(10);
    awing.interrupt();
    assert_eq!(awing.said().matches("--virtual-camera").count(), 1, "{}", awing.said());
    rig.add(11, "output\nbusy");
    let mut awing = rig.awing(&format!("{TRACK} --virtual-camera /dev/video11"));
    awing.wait_until_said("another program writes to it");
    awing.wait_for_frames(10);
    awing.interrupt();
}

/// A replacement for ffmpeg that reads nothing until it is allowed to, and reports which files it was given.
const SLOW_FFMPEG: &str = "#!/bin/sh
    ls -l /proc/$$/fd > descriptors
    while [ -e programs ] && [ ! -e may-read ]; do sleep 0.05; done
    for last; do :; done
    cat > \"${last#file:}\"";

#[test]
fn a_blocked_recording_delays_nothing() {
    let rig = Rig::with_camera("");
    rig.add_program("ffmpeg", SLOW_FFMPEG);
    let mut awing = rig.awing(&format!("{TRACK} --save seen.mp4"));
    awing.wait_for_frames(60);
    let descriptors = std::fs::read_to_string(rig.path("descriptors")).unwrap();
    assert!(descriptors.contains("pipe:") && !descriptors.contains("video0"), "{descriptors}");
    File::create(rig.path("may-read")).unwrap();
    awing.wait_for_frames(10);
    awing.interrupt();
    assert!(awing.said().contains("saved seen.mp4 (without "), "{}", awing.said());
    let written = rig.path("seen.mp4").metadata().unwrap().len();
    let frame = 3 * (rig::SIZE.0 * rig::SIZE.1) as u64;
    // The queue, and what came once ffmpeg had begun to read, each frame with a short header.
    assert!(written / frame >= 16 && written % frame < 10_000, "{written} bytes");
}

#[test]
fn a_stuck_encoder_can_be_abandoned() {
    let rig = Rig::with_camera("");
    rig.add_program("ffmpeg", SLOW_FFMPEG);
    let mut awing = rig.awing(&format!("{TRACK} --save seen.mp4"));
    awing.wait_for_frames(20);
    awing.signal("INT");
    awing.wait_until_said("seen.part.mp4 is being ended; Ctrl-C again leaves it as it is");
    assert!(!awing.end().success());
    assert!(awing.said().contains("seen.part.mp4 is left as it is: its encoder has stopped"), "{}", awing.said());
}

/// The program has to end within half a second; a busy machine gets several attempts.
fn assert_comes_soon(end: impl Fn() -> Duration) {
    const SOON: Duration = Duration::from_millis(500);
    let mut took = Vec::new();
    for _ in 0..5 {
        took.push(end());
        if took.last().is_some_and(|took| *took < SOON) {
            return;
        }
    }
    panic!("ending took {took:?}");
}

/// A moment at which the user may end the program.
struct Moment {
    settings: &'static str,
    wait: fn(&Rig, &Awing),
}

const MOMENTS: [Moment; 5] = [
    Moment { settings: "", wait: |_, awing| awing.wait_for_frames(3) },
    Moment {
        settings: "",
        wait: |rig, awing| {
            awing.wait_for_frames(3);
            rig.set(0, &format!("{MODES}stall"));
            awing.wait_until_said("no picture for");
        },
    },
    Moment {
        settings: "",
        wait: |rig, awing| {
            awing.wait_for_frames(3);
            rig.unplug(0);
            awing.wait_until_said("No picture for");
        },
    },
    Moment { settings: "hang format", wait: |_, awing| awing.wait_until_said("no picture for") },
    Moment { settings: "hang dequeue", wait: |_, awing| awing.wait_until_said("no picture for") },
];

#[test]
fn ctrl_c_ends_it_at_once_whatever_the_camera_does() {
    for Moment { settings, wait } in MOMENTS {
        assert_comes_soon(|| {
            let rig = Rig::with_camera(settings);
            let mut awing = rig.awing(TRACK);
            wait(&rig, &awing);
            awing.interrupt()
        });
    }
}

#[cfg(feature = "window")]
mod in_a_window {
    use super::display::Display;
    use super::*;

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_key_switches_to_the_next_camera_and_back() {
        let display = Display::start();
        let rig = Rig::new();
        rig.add(0, &named("Left"));
        rig.add(1, &format!("{}stall", named("Right")));
        let mut awing = rig.awing_in_window(&display.name, "--json - --input camera:0");
        awing.wait_for_frames(3);
        display.press('n');
        awing.wait_until_said("camera 1 (Right): no picture for");
        display.press('n');
        awing.wait_for_frames(3);
        // A camera that can't be opened at all.
        rig.set(1, &format!("{}busy", named("Right")));
        display.press('n');
        let opened = |awing: &Awing| awing.said().matches("camera 0 (Left): YUYV").count();
        awing.wait_until("the first camera again", |awing| opened(awing) == 3);
        awing.wait_for_frames(3);
        rig.set(1, &named("Right"));
        display.press('n');
        awing.wait_until_said("camera 1 (Right): YUYV");
        awing.wait_for_frames(3);
        awing.end_by(|| display.close_window());
        let times: Vec<f64> = awing.frames().iter().map(|frame| frame["time_s"].as_f64().unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        assert!(awing.said().contains("camera 1 (Right): "), "{}", awing.said());
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn the_picture_of_a_camera_that_was_unplugged_is_dimmed_until_it_is_back() {
        let display = Display::start();
        let rig = Rig::with_camera("");
        let mut awing = rig.awing_in_window(&display.name, "--json - --input camera:0 --scale 1");
        awing.wait_for_frames(10);
        let corner = || display.brightness([0, 0, 40, 40]);
        let bright = corner();
        rig.unplug(0);
        awing.wait_until("a dimmed picture", |_| corner() < 0.6 * bright);
        rig.plug_in(0);
        awing.wait_until("the picture again", |_| corner() > 0.8 * bright);
        awing.end_by(|| display.close_window());
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn closing_the_window_ends_it_at_once_whatever_the_camera_does() {
        let display = Display::start();
        for Moment { settings, wait } in MOMENTS {
            assert_comes_soon(|| {
                let rig = Rig::with_camera(settings);
                let mut awing = rig.awing_in_window(&display.name, "--json - --input camera:0");
                wait(&rig, &awing);
                awing.end_by(|| display.close_window())
            });
        }
    }
}

/// Runs a test again in a process that sees emulated cameras; returns false in that process.
fn runs_before_a_camera(test: &str, mode: &str) -> bool {
    if std::env::var_os("EMULATED_CAMERAS").is_some() {
        return false;
    }
    let rig = Rig::new();
    rig.add(0, mode);
    let itself = std::env::current_exe().unwrap();
    let output = rig.command(&itself).args([test, "--exact", "--nocapture"]).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{mode}: {said}{complained}");
    true
}

#[test]
fn a_late_consumer_gets_the_newest_frame() {
    if runs_before_a_camera("a_late_consumer_gets_the_newest_frame", "mode YUYV 640 480 1 30") {
        return;
    }
    let mut camera = capture::open(&Input::Camera(Some(0)), &CaptureOptions::default(), &|| true).unwrap();
    let mut frame = Frame::default();
    let before_s = camera.next(&mut frame).unwrap().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let after_s = camera.next(&mut frame).unwrap().unwrap();
    assert!(after_s - before_s > 0.5, "a frame of {after_s} s after one of {before_s} s");
    let tally = camera.tally().unwrap();
    assert!(tally.replaced + tally.lost > 10, "{tally:?}");
}

#[test]
fn a_frame_that_is_no_jpeg_is_read_without_allocation() {
    let test = "a_frame_that_is_no_jpeg_is_read_without_allocation";
    if runs_before_a_camera(test, "mode YUYV 640 480 1 60") {
        assert!(runs_before_a_camera(test, "mode NV12 640 480 1 60"));
        return;
    }
    let mut camera = capture::open(&Input::Camera(Some(0)), &CaptureOptions::default(), &|| true).unwrap();
    let mut frame = Frame::default();
    let mut read = |count: usize| (0..count).for_each(|_| assert!(camera.next(&mut frame).unwrap().is_some()));
    read(20);
    let before = allocations();
    read(60);
    assert_eq!(allocations() - before, 0);
}

#[test]
fn the_rate_is_the_one_that_the_driver_reports() {
    if runs_before_a_camera("the_rate_is_the_one_that_the_driver_reports", "mode YUYV 640 480 1001 30000") {
        return;
    }
    let mut camera = capture::open(&Input::Camera(Some(0)), &CaptureOptions::default(), &|| true).unwrap();
    assert!(camera.next(&mut Frame::default()).unwrap().is_some());
    assert_eq!(camera.frames_per_second(), Some(30000.0 / 1001.0));
}

#[test]
fn fifty_rounds_of_unplugging_leak_nothing() {
    const ROUNDS: usize = 50;
    /// Allocators keep some memory for later.
    const MEMORY_KB: u64 = 5000;
    let rig = Rig::with_camera("");
    let mut awing = rig.awing(TRACK);
    let round = |awing: &Awing| {
        rig.unplug(0);
        awing.wait_until("the camera to be closed", |awing| !has_open(awing, &rig));
        rig.plug_in(0);
        awing.wait_for_frames(2);
    };
    awing.wait_for_frames(10);
    round(&awing);
    let (threads, files, memory_kb) = awing.resources();
    for _ in 0..ROUNDS {
        round(&awing);
    }
    let after = awing.resources();
    assert_eq!((after.0, after.1), (threads, files), "threads and open files");
    assert!(after.2 <= memory_kb + MEMORY_KB, "{memory_kb} kB before, {} kB after", after.2);
    awing.interrupt();
}

/// Whether the program has a camera of the rig open, plugged in or not.
fn has_open(awing: &Awing, rig: &Rig) -> bool {
    let folder = rig.path("");
    let files = std::fs::read_dir(format!("/proc/{}/fd", awing.id())).unwrap();
    files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|path| path.starts_with(&folder)))
}

const MINUTE: Duration = Duration::from_secs(60);

fn measure(rig: &Rig, arguments: &str, time: Duration) -> Value {
    let mut awing = rig.awing(arguments);
    assert!(awing.end_within(time).success(), "{}", awing.said());
    serde_json::from_str(&awing.written().join("\n")).unwrap()
}

#[test]
fn the_live_bench_accounts_for_every_frame() {
    let rig = Rig::with_camera("");
    let report = measure(&rig, "bench --live --json --frames 60", MINUTE);
    let count = |of: &Value| of.as_u64().unwrap();
    assert_eq!(count(&report["shown"]), 60);
    assert!(count(&report["shown_with_faces"]) >= 55, "{report}");
    let tracked = count(&report["shown"]) + count(&report["not_shown"]);
    let (delivered, replaced) = (count(&report["camera"]["delivered"]), count(&report["camera"]["replaced"]));
    // A frame may be in flight when the bench ends.
    assert!((tracked + replaced..=tracked + replaced + 1).contains(&delivered), "{report}");
    assert!(report["capture_to_display_ms"]["median"].as_f64() >= report["tracker_ms"]["median"].as_f64(), "{report}");
    assert!(report["first_landmarks_after_first_frame_s"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn a_short_soak_keeps_its_memory() {
    let rig = Rig::with_camera("");
    let report = measure(&rig, "bench --soak --minutes 0.2 --json", MINUTE);
    let memory = &report["memory_mb"];
    let (before, after) = (memory["after_warm_up"].as_f64().unwrap(), memory["most_later"].as_f64().unwrap());
    assert!(before > 1.0 && after - before < 5.0, "{report}");
    assert!(report["shown"].as_u64().unwrap() > 100, "{report}");
}

#[test]
fn the_live_bench_refuses_what_is_no_camera() {
    let mut awing = Rig::new().awing("bench --live --input demo");
    assert!(!awing.end().success());
    assert!(awing.said().contains("is no camera"), "{}", awing.said());
}

/// The modes of the figures in docs/engineering/live.md, and the number of frames measured.
const MEASURED: [(&str, u32); 3] =
    [("YUYV 640 480 1 30", 600), ("MJPG 640 480 1 30", 600), ("YUYV 640 480 1 60", 1200)];

/// Prints the figures of each mode, measured with the program that `run` starts.
fn print_figures(rig: &Rig, run: impl Fn(&str) -> Awing) {
    for (mode, frames) in MEASURED {
        rig.add(0, &format!("name {mode}\nmode {mode}"));
        let mut awing = run(&format!("bench --live --frames {frames}"));
        assert!(awing.end().success(), "{}", awing.said());
        println!("{}\n", awing.written().join("\n"));
    }
}

// The figures of docs/engineering/live.md. Run them with nothing else on the machine:
// `cargo test --release --test camera -- --ignored --nocapture --test-threads 1 figures`.

#[test]
#[ignore = "takes a minute"]
fn figures_from_camera_to_painting() {
    let rig = Rig::of_real_video();
    print_figures(&rig, |arguments| rig.awing(arguments));
}

/// `AWING_SOAK_MINUTES` sets its duration (default 60).
#[test]
#[ignore = "takes an hour"]
fn figures_of_a_soak() {
    let rig = Rig::of_real_video();
    rig.add(0, MODES);
    let minutes = std::env::var("AWING_SOAK_MINUTES").map_or(60, |text| text.parse().unwrap());
    let report = measure(&rig, &format!("bench --soak --minutes {minutes} --json"), (minutes + 1) * MINUTE);
    println!("{report}");
    let memory = &report["memory_mb"];
    assert!(memory["most_later"].as_f64().unwrap() - memory["after_warm_up"].as_f64().unwrap() < 5.0, "{report}");
}

#[cfg(feature = "window")]
#[test]
#[ignore = "takes a minute and needs Xvfb"]
fn figures_from_camera_to_screen() {
    let (display, rig) = (display::Display::start(), Rig::of_real_video());
    print_figures(&rig, |arguments| rig.awing_in_window(&display.name, arguments));
}
