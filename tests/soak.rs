//! A soak of the program itself: it is started and ended a thousand times at random moments, by signals, by a reader
//! that goes away, by a kill and by closing its window, and each time every output is whole or absent and nothing is
//! left behind but what a kill leaves.

#![cfg(unix)]

#[cfg(all(feature = "window", target_os = "linux"))]
mod display;

use image::AnimationDecoder;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SEED: u64 = 1;

/// How a run comes to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Interrupt,
    Terminate,
    Kill,
    ReaderGoesAway,
    /// After a few frames, by itself.
    OfItself,
}

const ENDS: [End; 5] = [End::Interrupt, End::Terminate, End::Kill, End::ReaderGoesAway, End::OfItself];

fn start(folder: &Path, end: End) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env("XDG_DATA_HOME", folder);
    command.args(["--headless", "--input", "demo", "--size", "160x120", "--save", "film.gif", "--json"]);
    command.arg(if end == End::ReaderGoesAway { "-" } else { "lines.jsonl" });
    command.args(["--frames", if end == End::OfItself { "10" } else { "1000000" }]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends it and waits for it; returns what it said on standard error, and whether it ended well.
fn finish(mut child: Child, end: End, after: Duration) -> (String, bool) {
    let mut errors = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        errors.read_to_string(&mut said).map(|_| said).unwrap_or_default()
    });
    std::thread::sleep(after);
    match end {
        End::Interrupt | End::Terminate => {
            let name = if end == End::Interrupt { "-INT" } else { "-TERM" };
            // It may have ended already.
            let _ = Command::new("kill").args([name, &child.id().to_string()]).stderr(Stdio::null()).status();
        }
        End::Kill => child.kill().unwrap(),
        End::ReaderGoesAway => drop(child.stdout.take()),
        End::OfItself => {}
    }
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{end:?}: it does not end");
        std::thread::sleep(Duration::from_millis(2));
    };
    (said.join().unwrap(), status.success())
}

fn check_lines(path: &Path) {
    let Ok(text) = fs::read_to_string(path) else { return };
    assert!(text.is_empty() || text.ends_with('\n'), "half a line: {:?}", text.lines().last());
    for (i, line) in text.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["frame"], i);
    }
}

fn check_film(path: &Path) {
    let Ok(file) = fs::File::open(path) else { return };
    let decoder = image::codecs::gif::GifDecoder::new(BufReader::new(file)).unwrap();
    assert!(!decoder.into_frames().collect_frames().unwrap().is_empty());
}

fn soak(count: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut ends = [0; ENDS.len()];
    for run in 0..count {
        let which = rng.random_range(0..ENDS.len());
        ends[which] += 1;
        let end = ENDS[which];
        let folder = tempfile::tempdir().unwrap();
        let child = start(folder.path(), end);
        let (said, is_success) = finish(child, end, Duration::from_millis(rng.random_range(0..400)));
        assert!(!said.contains("panicked"), "run {run}, {end:?}: {said}");
        check_lines(&folder.path().join("lines.jsonl"));
        check_film(&folder.path().join("film.gif"));
        // A signal that comes before the program can hear it ends it at once.
        if end == End::OfItself || end == End::ReaderGoesAway {
            assert!(is_success, "run {run}, {end:?}: {said}");
        }
        if end != End::Kill && is_success {
            let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let left: Vec<_> = names.filter(|name| *name != *"lines.jsonl" && *name != *"film.gif").collect();
            assert!(left.is_empty(), "run {run}, {end:?} leaves {left:?}");
        }
    }
    println!("{count} runs: {}", ENDS.iter().zip(ends).map(|(end, n)| format!("{end:?} {n}, ")).collect::<String>());
}

#[test]
fn whatever_ends_it_every_output_is_whole_or_absent() {
    soak(15);
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_starts_and_ends_leave_every_output_whole_or_absent() {
    soak(1000);
}

#[cfg(all(feature = "window", target_os = "linux"))]
#[test]
#[ignore = "needs Xvfb, takes minutes"]
fn two_hundred_windows_closed_at_random_moments_leave_every_output_whole() {
    let display = display::Display::start();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for run in 0..200 {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
        command.current_dir(folder.path()).env("DISPLAY", &display.name).env_remove("WAYLAND_DISPLAY");
        command.env("XDG_DATA_HOME", folder.path()).args([
            "--input",
            "demo",
            "--save",
            "film.gif",
            "--json",
            "lines.jsonl",
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Waits for the window.
        display.close_window_after(Duration::from_millis(rng.random_range(0..400)));
        let (said, is_success) = finish(child, End::OfItself, Duration::ZERO);
        assert!(is_success && !said.contains("panicked"), "run {run}: {said}");
        check_lines(&folder.path().join("lines.jsonl"));
        check_film(&folder.path().join("film.gif"));
    }
}
