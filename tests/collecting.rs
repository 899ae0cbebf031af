//! The contract of `awing capture` and of the window's keys for collecting: what is stored, where, who can read it, and
//! its deletion.
//!
//! Nothing here needs a display, a camera or data. The ignored tests start their own X server (`Xvfb`).

#[cfg(all(feature = "window", target_os = "linux"))]
mod display;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program in its own folder, with the user's data below it and without a display.
fn awing(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command
        .current_dir(folder)
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .stdin(Stdio::null());
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("AWING_LOG");
    command
}

fn run(folder: &Path, arguments: &str) -> Output {
    awing(folder).args(arguments.split_whitespace()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn written(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The entries of a folder, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn faces(recording: &Path) -> Vec<Value> {
    let text = fs::read_to_string(recording.join("faces.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn capture_stores_pictures_and_landmarks_that_only_their_owner_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "capture --input demo --seconds 12");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(entries(folder.path()), [folder.path().join("data")], "nothing is written elsewhere");
    let samples = folder.path().join("data/awing/samples");
    let [recording] = entries(&samples).try_into().unwrap();
    let faces = faces(&recording);
    assert!((2..=24).contains(&faces.len()), "{}", said(&output));
    assert!(said(&output).contains(&format!("{} faces in ", faces.len())), "{}", said(&output));
    assert!(said(&output).contains("awing annotate") && said(&output).contains("awing finetune"), "{}", said(&output));
    let mut clips = Vec::new();
    for face in &faces {
        let picture = image::open(recording.join(face["image"].as_str().unwrap())).unwrap();
        assert_eq!((picture.width(), picture.height()), (640, 480));
        assert_eq!(face["review"], "pending");
        assert_eq!(face["points"], face["predicted"]);
        assert_eq!(face["confidence"].as_array().unwrap().len(), 98);
        clips.push(face["clip"].as_str().unwrap().to_owned());
    }
    clips.dedup();
    assert!(clips.len() >= 2, "{clips:?}");
    assert!(clips.iter().all(|clip| clip.starts_with(&name(&recording))), "{clips:?}");
    #[cfg(unix)]
    for private in [&recording, &samples, &folder.path().join("data/awing")] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o700, "{}", private.display());
    }
}

#[test]
fn captured_faces_are_no_labels_before_they_were_accepted() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), "capture --input demo --seconds 3 --out samples").status.success());
    let [recording] = entries(&folder.path().join("samples")).try_into().unwrap();
    let list = recording.join("faces.jsonl");
    let eval = || awing(folder.path()).args(["eval", "--data"]).arg(&list).output().unwrap();
    assert!(!eval().status.success());
    let accepted = fs::read_to_string(&list).unwrap().replace("\"pending\"", "\"accepted\"");
    fs::write(&list, accepted).unwrap();
    let output = eval();
    assert!(output.status.success() && written(&output).contains("faces"), "{}", said(&output));
}

#[test]
fn capture_stops_at_the_wanted_number() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "capture --input demo --seconds 30 --count 3 --out samples");
    assert!(output.status.success(), "{}", said(&output));
    let [recording] = entries(&folder.path().join("samples")).try_into().unwrap();
    assert_eq!(faces(&recording).len(), 3);
    assert!(said(&output).contains("3 of 3"), "{}", said(&output));
}

#[test]
fn an_input_that_ends_before_there_are_enough_frames_is_said_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), "--input demo --headless --frames 90 --save demo.gif").status.success());
    let few = run(folder.path(), "capture --input demo.gif --count 40 --out samples");
    assert!(few.status.success(), "{}", said(&few));
    let [recording] = entries(&folder.path().join("samples")).try_into().unwrap();
    let expected = format!("the input ended after {} of 40 frames", faces(&recording).len());
    assert_eq!(said(&few).lines().filter(|line| line.starts_with(&expected)).count(), 1, "{}", said(&few));
    for enough in ["--input demo.gif --count 1", "--input demo --seconds 2 --count 40"] {
        let output = run(folder.path(), &format!("capture {enough} --out samples"));
        assert!(output.status.success() && !said(&output).contains("the input ended"), "{}", said(&output));
    }
}

#[test]
fn every_picture_is_kept_and_only_those_beyond_the_wanted_number_are_said_to_be_left() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), "--input demo --headless --frames 4 --save pictures/").status.success());
    let all = said(&run(folder.path(), "capture pictures --out samples"));
    assert!(all.contains("4 faces in ") && !all.contains("the input ended") && !all.contains("--count"), "{all}");
    let some = said(&run(folder.path(), "capture pictures --count 3 --out samples"));
    assert!(some.contains("kept 3 of 4 pictures: --count 4 keeps all"), "{some}");
}

#[test]
fn frames_without_a_face_are_counted_among_those_that_were_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), "--input demo --headless --frames 20 --save pictures/").status.success());
    let grey = image::RgbImage::from_pixel(640, 480, image::Rgb([90, 90, 90]));
    for i in 20..50 {
        grey.save(folder.path().join(format!("pictures/frame_{i:06}.png"))).unwrap();
    }
    assert!(run(folder.path(), "pictures --headless --save half.gif").status.success());
    let told = said(&run(folder.path(), "capture half.gif --out samples"));
    let line = told.lines().find(|line| line.starts_with("the input ended after ")).unwrap_or_else(|| panic!("{told}"));
    assert!(line.contains(" no face was found, and the rest was too close to the kept ones in time"), "{line}");
    assert!(!told.contains("turn your head") && !told.contains("more light"), "nobody is there to do that: {told}");
}

#[test]
fn a_video_without_a_face_leaves_nothing_behind_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = b"YUV4MPEG2 W32 H24 F25:1 Cmono\n".to_vec();
    for _ in 0..50 {
        video.extend(b"FRAME\n");
        video.extend(vec![90; 32 * 24]);
    }
    fs::write(folder.path().join("grey.y4m"), video).unwrap();
    let input = fs::File::open(folder.path().join("grey.y4m")).unwrap();
    let output =
        awing(folder.path()).args(["capture", "--input", "-", "--out", "samples"]).stdin(input).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("nothing was kept: no face was seen in 50 frames"), "{}", said(&output));
    assert!(!folder.path().join("samples").exists());
}

#[test]
fn recordings_are_listed_and_deleted_by_name_or_all() {
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("data/awing/samples");
    assert!(written(&run(folder.path(), "capture --list")).contains("holds no recording"));
    for _ in 0..3 {
        assert!(run(folder.path(), "capture --input demo --seconds 1").status.success());
    }
    // What a person put there.
    fs::create_dir(samples.join("holidays")).unwrap();
    fs::write(samples.join("holidays/000001.png"), "a picture").unwrap();
    let recordings: Vec<_> = entries(&samples).into_iter().filter(|path| path.join("faces.jsonl").exists()).collect();
    assert_eq!(recordings.len(), 3, "captures within one second have different names");
    for arguments in ["capture --list", "capture --forget"] {
        let list = written(&run(folder.path(), arguments));
        assert!(recordings.iter().all(|recording| list.contains(&name(recording))), "{list}");
        assert!(!list.contains("holidays"), "{list}");
    }
    assert_eq!(entries(&samples).len(), 4, "without a name nothing is deleted");
    for other in ["holidays", "no-such", "../samples"] {
        let output = run(folder.path(), &format!("capture --forget {other}"));
        assert!(!output.status.success() && said(&output).contains(other), "{}", said(&output));
    }
    let output = run(folder.path(), &format!("capture --forget {}", name(&recordings[1])));
    assert!(output.status.success() && written(&output).contains(&name(&recordings[1])), "{}", said(&output));
    assert!(recordings[0].exists() && !recordings[1].exists() && recordings[2].exists());
    let output = run(folder.path(), "capture --forget all");
    assert_eq!(written(&output).matches("deleted ").count(), 2, "{}", written(&output));
    assert_eq!(entries(&samples), [samples.join("holidays")]);
    assert!(samples.join("holidays/000001.png").exists());
}

/// Waits until it is so.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The only recording below `samples`, as soon as it holds a face.
fn recording_with_faces(samples: &Path) -> PathBuf {
    let of = || {
        let folders = fs::read_dir(samples).into_iter().flatten().map(|entry| entry.unwrap().path());
        folders.into_iter().find(|folder| fs::metadata(folder.join("faces.jsonl")).is_ok_and(|file| file.len() > 0))
    };
    wait_until("a face to be stored", || of().is_some());
    of().unwrap()
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_everything_that_was_captured() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = awing(folder.path());
    command.args(["capture", "--input", "demo", "--seconds", "100000", "--count", "100000", "--out", "samples"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let recording = recording_with_faces(&folder.path().join("samples"));
    let in_use = run(folder.path(), "capture --out samples --forget all");
    assert!(!in_use.status.success() && said(&in_use).contains("in use"), "{}", said(&in_use));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let pictures = entries(&recording).iter().filter(|path| name(path).ends_with(".png")).count();
    assert_eq!(faces(&recording).len(), pictures);
    assert!(said(&output).contains("awing annotate"), "{}", said(&output));
}

#[cfg(all(feature = "window", target_os = "linux"))]
mod in_a_window {
    use super::display::Display;
    use super::*;

    fn coordinates(points: &Value) -> Vec<f64> {
        let points = points.as_array().unwrap().iter();
        points.flat_map(|point| [0, 1].map(|axis| point[axis].as_f64().unwrap())).collect()
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn keys_keep_the_face_that_is_shown_and_gather_more_without_holding_tracking_up() {
        let folder = tempfile::tempdir().unwrap();
        let display = Display::start();
        let json = folder.path().join("lines.jsonl");
        let mut command = awing(folder.path());
        command.env("DISPLAY", &display.name).args(["--input", "demo", "--frames", "1000000", "--json"]).arg(&json);
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let tracked = || fs::read_to_string(&json).map_or(0, |lines| lines.lines().count());
        wait_until("frames", || tracked() > 10);
        // The paused picture is the one that is kept.
        display.press('f');
        display.press('k');
        let samples = folder.path().join("data/awing/samples");
        let recording = recording_with_faces(&samples);
        let first = faces(&recording)[0].clone();
        let (from, start) = (tracked(), Instant::now());
        display.press('g');
        wait_until("faces that are kept by themselves", || faces(&recording).len() >= 3);
        display.press('g');
        let rate = (tracked() - from) as f64 / start.elapsed().as_secs_f64();
        display.close_window();
        let frames = tracked();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && !said(&output).contains("panicked"), "{}", said(&output));
        assert!(rate > 20.0, "{rate} frames a second of 30");
        let all = faces(&recording);
        assert_eq!(all[0], first);
        assert!(said(&output).contains(&format!("{} faces in ", all.len())), "{}", said(&output));
        assert_eq!(entries(&samples).len(), 1, "a session makes one recording");
        for face in &all {
            image::open(recording.join(face["image"].as_str().unwrap())).unwrap();
            assert_eq!(face["source"], "the built-in demo");
        }

        // The session smooths what it shows; what it stores is what the network placed.
        let headless = format!("--input demo --headless --no-smooth --frames {} --json -", frames + 60);
        let lines = written(&run(folder.path(), &headless));
        let placed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for face in &all {
            let stored = coordinates(&face["points"]);
            let shown = placed.iter().flat_map(|line| line["faces"].as_array().unwrap());
            let distances = shown.map(|face| {
                let found = coordinates(&face["landmarks"]);
                found.iter().zip(&stored).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
            });
            let nearest = distances.fold(f64::INFINITY, f64::min);
            assert!(nearest < 0.02, "off by {nearest} pixels");
        }
    }
}
