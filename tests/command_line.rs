//! The contract of the `awing` program: lines of JSON, files, exit status and messages.
//!
//! Nothing here needs a display, a camera or data. The ignored tests start their own X server (`Xvfb`).

#[cfg(all(feature = "window", target_os = "linux"))]
mod display;
mod inputs;
mod program;
mod settings;
mod videos;

use image::AnimationDecoder;
use program::{awing, lines, run, said};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
fn signal(name: &str, process: u32) {
    let kill = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(kill.unwrap().success());
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn is_whole_gif(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(&bytes)).unwrap();
    bytes.last() == Some(&0x3b) && decoder.into_frames().collect_frames().is_ok_and(|frames| !frames.is_empty())
}

/// A grey YUV4MPEG video of 32 x 24 pixels.
fn grey_video(frames: usize) -> Vec<u8> {
    let mut video = b"YUV4MPEG2 W32 H24 F25:1 Cmono\n".to_vec();
    for i in 0..frames {
        video.extend(b"FRAME\n");
        video.extend(vec![(60 + i) as u8; 32 * 24]);
    }
    video
}

fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = awing(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that stops early closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn every_frame_is_a_line_of_json_with_the_documented_fields() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--headless", "--input", "demo", "--frames", "4", "--json", "-"]);
    assert!(output.status.success(), "{}", said(&output));
    let lines = lines(&output.stdout);
    assert_eq!(lines.len(), 4);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["frame"], i);
        assert!((line["time_s"].as_f64().unwrap() - i as f64 / 30.0).abs() < 1e-3, "{line}");
        for stage in ["detect", "landmarks", "total"] {
            assert!(line["ms"][stage].as_f64().unwrap() >= 0.0, "{stage}");
        }
        let faces = line["faces"].as_array().unwrap();
        assert_eq!(faces.len(), 1, "the demo shows one face");
        let face = &faces[0];
        assert_eq!(face["id"], 1);
        let in_unit = |value: &Value| (0.0..=1.0).contains(&value.as_f64().unwrap());
        assert!(in_unit(&face["score"]));
        let confidence = face["confidence"].as_array().unwrap();
        assert!(confidence.len() == 98 && confidence.iter().all(in_unit));
        let [x, y, width, height]: [f64; 4] = serde_json::from_value(face["box"].clone()).unwrap();
        let landmarks: Vec<[f64; 2]> = serde_json::from_value(face["landmarks"].clone()).unwrap();
        assert_eq!(landmarks.len(), 98);
        for [px, py] in landmarks {
            assert!((x - 0.02..=x + width + 0.02).contains(&px) && (y - 0.02..=y + height + 0.02).contains(&py));
            assert!((0.0..640.0).contains(&px) && (0.0..480.0).contains(&py));
        }
    }
    assert!(names(folder.path()).is_empty(), "nothing else is written");
}

#[test]
fn output_is_saved_as_a_picture_as_a_gif_and_as_a_folder_of_pictures() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("each")).unwrap();
    for target in ["last.png", "film.gif", "each"] {
        let output = run(folder.path(), &["--headless", "--input", "demo", "--frames", "3", "--save", target]);
        assert!(output.status.success() && said(&output).contains(target), "{}", said(&output));
    }
    let picture = image::open(folder.path().join("last.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (640, 480));
    assert!(is_whole_gif(&folder.path().join("film.gif")));
    assert_eq!(names(&folder.path().join("each")), ["frame_000000.png", "frame_000001.png", "frame_000002.png"]);
    assert_eq!(names(folder.path()), ["each", "film.gif", "last.png"], "no partial file is left");
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn without_a_display_it_says_so_continues_and_saves_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--input", "demo", "--frames", "5"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("--headless"), "{}", said(&output));
    assert_eq!(names(folder.path()), ["awing.png"]);
    image::open(folder.path().join("awing.png")).unwrap();
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn an_unreachable_display_is_not_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = awing(folder.path());
    command.args(["--input", "demo", "--frames", "5"]).env("DISPLAY", ":4711");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("--headless"), "{}", said(&output));
}

#[test]
fn video_comes_in_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--headless", "--input", "-", "--json", "-"];
    let output = run_with_input(folder.path(), &arguments, &grey_video(5));
    assert!(output.status.success(), "{}", said(&output));
    let lines = lines(&output.stdout);
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["faces"].as_array().unwrap().is_empty()));
    assert!((lines[4]["time_s"].as_f64().unwrap() - 4.0 / 25.0).abs() < 1e-3, "25 frames a second");
}

#[test]
fn a_truncated_stream_is_an_error_after_all_complete_frames() {
    let folder = tempfile::tempdir().unwrap();
    let mut video = grey_video(3);
    video.truncate(video.len() - 100);
    let output = run_with_input(folder.path(), &["--headless", "--input", "-", "--json", "-"], &video);
    assert_eq!(lines(&output.stdout).len(), 2);
    assert!(!output.status.success());
    assert!(said(&output).contains("standard input") && said(&output).contains("frame 2"), "{}", said(&output));
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("broken.png"), b"\x89PNG\r\n\x1a\nand nothing of a picture").unwrap();
    fs::write(at("model.safetensors"), b"no model").unwrap();
    fs::create_dir(at("empty")).unwrap();
    let demo = ["--headless", "--input", "demo", "--frames", "1"];
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--headless", "--input", "nowhere.mp4"], &["nowhere.mp4"]),
        (&["--headless", "--input", "broken.png"], &["broken.png"]),
        (&["--headless", "--input", "empty"], &["empty", "JPEG"]),
        (&["--model", "model.safetensors"], &["model.safetensors"]),
        (&["--save", "film.docx"], &["film.docx", ".gif"]),
        (&["--save", "no/such/film.gif"], &["no/such"]),
        (&["--json", "no/such/lines.jsonl"], &["no/such/lines.jsonl", "folder"]),
    ];
    for (arguments, wanted) in cases {
        let own_input = arguments.contains(&"--input");
        let arguments: Vec<&str> = if own_input { arguments.to_vec() } else { [&demo, arguments].concat() };
        let output = run(folder.path(), &arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(wanted.iter().all(|word| text.contains(word)), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    assert_eq!(names(folder.path()), ["broken.png", "empty", "model.safetensors"], "no partial file is left");
}

#[test]
fn invalid_arguments_are_refused_with_a_pointer_to_help() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["--frames", "0"][..], &["--faces", "none"], &["--scale", "100"], &["--no-such-option"], &["dance"]]
    {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains("--help"), "{}", said(&output));
    }
}

/// Starts the program on the endless demo and returns once it has written `lines` lines of JSON.
#[cfg(unix)]
fn started(mut command: Command, json: &Path, lines: usize) -> std::process::Child {
    command.args(["--input", "demo", "--frames", "1000000", "--json"]).arg(json).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while fs::read(json).map_or(0, |text| text.split(|b| *b == b'\n').count()) <= lines {
        assert!(child.try_wait().unwrap().is_none(), "the program has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[cfg(unix)]
#[test]
fn the_reader_of_a_named_pipe_is_waited_for_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("faces.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for option in ["--json", "--csv"] {
        let start = || {
            let mut command = awing(folder.path());
            command.args(["demo", "--headless", "--frames", "3", option, "faces.jsonl"]).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut told = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            told.read_line(&mut line).unwrap();
            assert_eq!(line, "waiting for a program that reads faces.jsonl\n");
            (child, told)
        };
        let (mut child, told) = start();
        let text = fs::read_to_string(&pipe).unwrap();
        assert!(child.wait().unwrap().success() && text.lines().count() >= 3, "{text}");
        drop(told);
        let (mut child, told) = start();
        signal("INT", child.id());
        let last: Vec<String> = told.lines().map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "one Ctrl-C ends it: {last:?}");
        assert_eq!(last, ["awing: interrupted before another program read faces.jsonl"]);
    }
}

#[test]
fn bench_says_what_was_chosen_and_compares_everything_that_the_core_can_run() {
    let folder = tempfile::tempdir().unwrap();
    let json = |arguments: &[&str]| -> Value {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let profile = json(&["bench", "--profile", "--frames", "2", "--json", "--model", "bundled"]);
    let chosen = profile["precision"].as_str().unwrap();
    assert!(["f32", "f16", "int8"].contains(&chosen), "{chosen}");
    assert!(profile["precision_reason"].as_str().unwrap().contains("f32"));
    for precision in ["f32", "f16", "int8"] {
        let forced = json(&["bench", "--profile", "--frames", "1", "--json", "--precision", precision]);
        assert_eq!(forced["precision"], precision);
        assert!(forced["precision_reason"].is_null());
    }
    let compared = json(&["bench", "--compare", "--frames", "6", "--json", "--model", "bundled"]);
    let rows = compared["rows"].as_array().unwrap();
    for precision in ["f32", "int8"] {
        assert!(rows.iter().any(|row| row["instructions"] == "portable" && row["precision"] == precision));
    }
    let default: Vec<&Value> = rows.iter().filter(|row| row["is_default"] == true).collect();
    assert_eq!(default.len(), 1, "{compared}");
    assert_eq!(default[0]["precision"], chosen);
    let refused = run(folder.path(), &["bench", "--data", "faces.jsonl"]);
    assert!(!refused.status.success() && said(&refused).contains("--compare"), "{}", said(&refused));
}

#[test]
fn an_int8_that_a_model_does_not_have_is_said_with_what_is_used_instead() {
    let folder = tempfile::tempdir().unwrap();
    let single = awing::Models::bundled().unwrap().landmarks.with_quantization(None).unwrap();
    single.save(&folder.path().join("single.safetensors")).unwrap();
    let arguments = ["--headless", "--input", "demo", "--frames", "1", "--model", "single.safetensors", "--precision"];
    let told = |precision| said(&run(folder.path(), &[&arguments[..], &[precision]].concat()));
    let int8 = told("int8");
    assert!(int8.contains("in place of int8: the file of this model has no ranges for int8"), "{int8}");
    assert!(!told("auto").contains("in place of") && !told("f32").contains("in place of"));
}

#[test]
fn saved_pictures_are_drawn_in_the_style_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let picture = |name: &str, look: &[&str]| {
        let arguments = ["--headless", "--input", "demo", "--frames", "20", "--save", name];
        let output = run(folder.path(), &[&arguments[..], look].concat());
        assert!(output.status.success(), "{}", said(&output));
        fs::read(folder.path().join(name)).unwrap()
    };
    let usual = picture("usual.png", &[]);
    assert_eq!(picture("curves.png", &["--look", "curves"]), usual);
    let looks = [
        &["--look", "dots"][..],
        &["--look", "full"],
        &["--look", "minimal"],
        &["--look", "confidence"],
        &["--gauges"],
    ];
    for look in looks {
        assert_ne!(picture("other.png", look), usual, "{look:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_cleanly_and_leaves_complete_files() {
    let folder = tempfile::tempdir().unwrap();
    let (json, film) = (folder.path().join("lines.jsonl"), folder.path().join("film.gif"));
    let mut command = awing(folder.path());
    command.args([std::ffi::OsStr::new("--headless"), std::ffi::OsStr::new("--save"), film.as_os_str()]);
    let child = started(command, &json, 5);
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(lines(&fs::read(&json).unwrap()).len() >= 5 && is_whole_gif(&film));
    assert_eq!(names(folder.path()), ["film.gif", "lines.jsonl"]);
}

#[test]
fn a_log_that_no_terminal_shows_has_neither_colours_nor_times() {
    let folder = tempfile::tempdir().unwrap();
    let output = awing(folder.path())
        .env("AWING_LOG", "awing=loudest")
        .args(["track", "--input", "demo", "--frames", "2", "--headless"])
        .output()
        .unwrap();
    let said = said(&output);
    let year = this_year();
    assert!(said.contains("AWING_LOG=awing=loudest"), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains(&format!("{year}-")), "{said}");
}

/// The year of today, roughly: enough to recognize a time stamp.
fn this_year() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    1970 + since.as_secs() / (365 * 24 * 3600 + 6 * 3600)
}

#[test]
fn a_reader_that_closes_the_pipe_ends_it_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = awing(folder.path());
    command.args(["--headless", "--input", "demo", "--frames", "1000000", "--json", "-"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(line.starts_with("{\"version\": 2, \"frame\": 0") && !said(&output).contains("panicked"));
}

#[test]
fn what_a_command_has_made_stays_if_nobody_reads_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = awing(folder.path());
    command.args(["export", "--out", "edge.onnx"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    assert_eq!(names(folder.path()), ["edge.onnx"]);
}

#[cfg(all(feature = "window", target_os = "linux"))]
mod in_a_window {
    use super::display::Display;
    use super::*;
    use std::time::Instant;

    /// The program in a window, writing JSON lines and a video.
    struct Filming {
        folder: tempfile::TempDir,
        child: std::process::Child,
    }

    impl Filming {
        fn start(display: &Display) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut command = awing(folder.path());
            command.env("DISPLAY", &display.name).args(["--save", "film.gif"]);
            let child = started(command, &folder.path().join("lines.jsonl"), 30);
            Self { folder, child }
        }

        /// Waits for the program to end and checks that all files are complete.
        fn end_whole(self) -> Output {
            let output = self.child.wait_with_output().unwrap();
            let folder = self.folder.path();
            assert_eq!(names(folder), ["film.gif", "lines.jsonl"], "{}", said(&output));
            assert!(lines(&fs::read(folder.join("lines.jsonl")).unwrap()).len() >= 30);
            assert!(is_whole_gif(&folder.join("film.gif")));
            output
        }
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn when_the_display_disappears_all_files_are_complete() {
        let display = Display::start();
        let run = Filming::start(&display);
        drop(display);
        let output = run.end_whole();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = "the display is gone; everything that was written is whole";
        assert!(said(&output).contains(told), "{}", said(&output));
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn with_a_window_ctrl_c_ends_cleanly_and_saves_no_unrequested_picture() {
        let folder = tempfile::tempdir().unwrap();
        let display = Display::start();
        let json = folder.path().join("lines.jsonl");
        let mut command = awing(folder.path());
        command.env("DISPLAY", &display.name);
        let child = started(command, &json, 30);
        signal("INT", child.id());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && !said(&output).contains("--headless"), "{}", said(&output));
        assert!(lines(&fs::read(&json).unwrap()).len() >= 30);
        assert_eq!(names(folder.path()), ["lines.jsonl"]);
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn closing_the_window_leaves_complete_files() {
        let display = Display::start();
        let run = Filming::start(&display);
        display.close_window();
        let output = run.end_whole();
        assert!(output.status.success() && said(&output).contains("saved "), "{}", said(&output));
    }

    /// Waits until the file exists.
    fn wait_for(path: &Path) {
        let start = Instant::now();
        while !path.exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "{} was not written", path.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn keys_save_pictures_and_recordings_and_only_quit_keys_end_it() {
        let folder = tempfile::tempdir().unwrap();
        let display = Display::start();
        let (json, programs) = (folder.path().join("lines.jsonl"), folder.path().join("programs"));
        fs::create_dir(&programs).unwrap();
        // A replacement for ffmpeg that stores the pictures unchanged.
        fs::write(programs.join("ffmpeg"), "#!/bin/sh\nfor last; do :; done\ncat > \"${last#file:}\"").unwrap();
        fs::set_permissions(programs.join("ffmpeg"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&usual))).unwrap();
        let mut command = awing(folder.path());
        command.env("DISPLAY", &display.name).env("PATH", path);
        let child = started(command, &json, 5);
        "hhilcbtexmsf2a".chars().for_each(|key| display.press(key));
        display.press('p');
        let picture = folder.path().join("awing-0001.png");
        wait_for(&picture);
        display.press('f');
        display.press('r');
        let landmarks = folder.path().join("awing-0002.jsonl");
        wait_for(&landmarks);
        while fs::metadata(&landmarks).unwrap().len() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        display.press('r');
        let video = folder.path().join("awing-0002.mp4");
        wait_for(&video);
        display.press('q');
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && !said(&output).contains("panicked"), "{}", said(&output));
        let picture = image::open(picture).unwrap();
        assert_eq!(lines(&fs::read(folder.path().join("awing-0001.json")).unwrap()).len(), 1);
        assert!(!lines(&fs::read(landmarks).unwrap()).is_empty());
        let frame = 3 * u64::from(picture.width() * picture.height());
        let recorded = fs::read(video).unwrap();
        assert!(recorded.starts_with(b"nut/") && recorded.len() as u64 > frame, "{} bytes", recorded.len());
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn ctrl_c_ends_it_on_a_display_that_does_not_answer() {
        let display = Display::start();
        let run = Filming::start(&display);
        signal("STOP", display.server.id());
        // Until the connection's buffer is full.
        std::thread::sleep(Duration::from_secs(1));
        signal("INT", run.child.id());
        let output = run.end_whole();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = "the display does not answer; everything that was written is whole";
        assert!(said(&output).contains(told), "{}", said(&output));
    }
}

#[test]
fn commands_about_a_model_take_the_built_in_one_when_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["export", "--out", "model.onnx"][..],
        &["track", "--input", "demo", "--frames", "1", "--headless", "--save", "face.png"],
        &["heatmaps", "--image", "face.png", "--plot", "maps.png"],
    ] {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(names(folder.path()), ["face.png", "maps.png", "model.onnx"]);
    let output = run(folder.path(), &["heatmaps", "--image", "face.png"]);
    assert!(!output.status.success() && said(&output).contains("--out"), "{}", said(&output));
}
