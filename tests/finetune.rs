//! `awing finetune` as a process: files, refusals, and kills at any moment.

#[cfg(all(feature = "window", target_os = "linux"))]
mod display;

use awing::internals::Scene;
use awing::{Frame, Point};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with faces to learn from and a short recipe, and a data folder of its own.
struct Bench {
    folder: TempDir,
}

const FACES: usize = 16;
const SIDE: usize = 240;

impl Bench {
    /// Procedural faces in photographic negatives, which the model has never seen; `label` may change their landmarks.
    fn new(label: impl Fn(&mut Vec<Point<awing::FrameSpace>>)) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let mut lines = String::new();
        for i in 0..FACES {
            let mut frame = Frame::from_rgb(SIDE, SIDE, vec![0; SIDE * SIDE * 3]).unwrap();
            let landmarks = Scene::demo(500 + i as u64, 1).draw(2.3 * i as f64, &mut frame);
            let frame = Frame::from_rgb(SIDE, SIDE, frame.rgb().iter().map(|value| 255 - value).collect()).unwrap();
            frame.save(&bench.path(&format!("{i}.png"))).unwrap();
            let mut points = landmarks[0].to_vec();
            label(&mut points);
            let points: Vec<[f32; 2]> = points.iter().map(|p| [p.x, p.y]).collect();
            lines += &format!("{}\n", serde_json::json!({"image": format!("{i}.png"), "points": points}));
        }
        fs::write(bench.path("faces.jsonl"), lines).unwrap();
        let recipe = include_str!("../src/train/finetune/defaults.toml");
        fs::write(bench.path("short.toml"), recipe).unwrap();
        bench.change_recipe(&[("steps", "16"), ("batch_size", "8"), ("warmup_steps", "2")]);
        bench
    }

    fn change_recipe(&self, changed: &[(&str, &str)]) {
        let recipe = fs::read_to_string(self.path("short.toml")).unwrap();
        let lines = recipe.lines().map(|line| {
            let field = line.split_once(" = ").map_or("", |(field, _)| field);
            match changed.iter().find(|(name, _)| *name == field) {
                Some((_, value)) => format!("{field} = {value}\n"),
                None => format!("{line}\n"),
            }
        });
        fs::write(self.path("short.toml"), lines.collect::<String>()).unwrap();
    }

    /// Moves the faces into the default collection.
    fn collect(&self) {
        let recording = self.path("data/awing/samples/demo");
        fs::create_dir_all(&recording).unwrap();
        for file in (0..FACES).map(|i| format!("{i}.png")).chain(["faces.jsonl".into()]) {
            fs::rename(self.path(&file), recording.join(&file)).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
        command
            .args(["finetune", "--threads", "2", "--data"])
            .arg(self.path("faces.jsonl"))
            .arg("--recipe")
            .arg(self.path("short.toml"))
            .arg("--out")
            .arg(self.path(out))
            .args(more)
            .env("XDG_DATA_HOME", self.path("data"))
            .env("HOME", self.folder.path());
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The verdict without what depends on time.
fn verdict(path: &Path) -> serde_json::Value {
    let mut verdict: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    verdict.as_object_mut().unwrap().remove("seconds");
    verdict
}

#[test]
fn an_accepted_model_is_saved_registered_and_used_and_the_base_stays() {
    let bench = Bench::new(|_| {});
    let done = bench.run("tuned.safetensors", &[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let report = text(&done.stdout);
    assert!(report.starts_with("Accepted") && report.contains("awing models use tuned"), "{report}");
    assert_eq!(verdict(&bench.path("tuned.json"))["accepted"], true);
    Frame::open(&bench.path("tuned.png")).unwrap();
    assert!(!bench.path("tuned.tuning").exists());
    let awing = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
        command.args(arguments).env("XDG_DATA_HOME", bench.path("data")).env("HOME", bench.folder.path());
        command.output().unwrap()
    };
    assert!(text(&awing(&["models"]).stdout).contains("tuned"));
    assert!(awing(&["models", "use", "tuned"]).status.success());
    let tracked = awing(&["track", "--input", "demo", "--frames", "2", "--headless", "--json", "-"]);
    assert!(text(&tracked.stderr).contains("model: tuned"), "{}", text(&tracked.stderr));
    let again = bench.run("tuned.safetensors", &[]);
    assert!(!again.status.success() && text(&again.stderr).contains("exists already"), "{}", text(&again.stderr));
    let base = bench.path("tuned.safetensors");
    let onto_itself = bench.run("tuned.safetensors", &["--model", base.to_str().unwrap()]);
    assert!(text(&onto_itself.stderr).contains("would be written over"), "{}", text(&onto_itself.stderr));
}

#[test]
fn a_refused_model_is_not_saved_unless_it_is_wanted_anyway() {
    // All landmarks lie far to the right of where they belong. What is learned of them is wrong on every other face,
    // and the whole way from the base is gone: no chance decides.
    let bench = Bench::new(|points| points.iter_mut().for_each(|point| point.x += 25.0));
    bench.change_recipe(&[("procedural", "0.0"), ("shares", "[1.0]"), ("anchor", "0.0")]);
    let done = bench.run("tuned.safetensors", &[]);
    let report = text(&done.stdout);
    assert!(done.status.success() && report.starts_with("Refused"), "{report}");
    assert!(report.contains("the error on the procedural faces rises"), "{report}");
    assert!(!bench.path("tuned.safetensors").exists() && bench.path("tuned.json").exists());
    let wanted = bench.run("anyway.safetensors", &["--accept-anyway"]);
    assert!(text(&wanted.stdout).starts_with("Refused"), "{}", text(&wanted.stdout));
    assert!(bench.path("anyway.safetensors").exists());
}

#[test]
fn reports_replace_only_reports_and_a_model_keeps_clear_of_the_unfinished_one() {
    let bench = Bench::new(|_| {});
    let refusal = |out: &str| {
        let done = bench.run(out, &[]);
        assert!(!done.status.success());
        text(&done.stderr)
    };
    for (name, content) in [("anna.json", &b"{\"annotations\": []}"[..]), ("anna.png", b"\x89PNG\r\n\x1a\n")] {
        fs::write(bench.path(name), content).unwrap();
        let said = refusal("anna.safetensors");
        assert!(said.contains(name) && said.contains("--overwrite"), "{said}");
        assert_eq!(fs::read(bench.path(name)).unwrap(), content);
        fs::remove_file(bench.path(name)).unwrap();
    }
    assert!(refusal("anna.tuning").contains("the unfinished fine-tuning is kept there"));
    fs::write(bench.path("mine.bin"), "Dear reader").unwrap();
    assert!(refusal("mine.bin").contains("never replaced"));
}

#[test]
fn labels_that_cannot_be_right_are_refused_with_file_and_line() {
    let bench = Bench::new(|_| {});
    let faces = fs::read_to_string(bench.path("faces.jsonl")).unwrap();
    let refused = |content: String, expected: &[&str]| {
        fs::write(bench.path("faces.jsonl"), content).unwrap();
        let done = bench.run("tuned.safetensors", &[]);
        let message = text(&done.stderr);
        assert!(!done.status.success() && expected.iter().all(|part| message.contains(part)), "{message}");
        assert!(!bench.path("tuned.safetensors").exists());
    };
    refused(faces.lines().take(4).map(|line| format!("{line}\n")).collect(), &["4 accepted faces", "6 more"]);
    refused(faces.replacen("0.png", "none.png", 1), &["none.png", "faces.jsonl:1"]);
    let mut half = fs::read(bench.path("3.png")).unwrap();
    half.truncate(half.len() / 2);
    fs::write(bench.path("3.png"), half).unwrap();
    refused(faces, &["3.png", "faces.jsonl:4"]);
}

/// Kills a tuning again and again, after `moments`, resumes it, and returns its verdict.
fn killed(bench: &Bench, out: &str, moments: impl Iterator<Item = Duration>) -> serde_json::Value {
    for moment in moments {
        let mut child = bench.command(out, &["--resume"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while start.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if bench.path(out).exists() {
            break;
        }
    }
    if !bench.path(out).exists() {
        let done = bench.run(out, &["--resume"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
    verdict(&bench.path(out).with_extension("json"))
}

fn kill_many_times(kills: u64) {
    let bench = Bench::new(|_| {});
    assert!(bench.run("whole.safetensors", &[]).status.success());
    let expected = verdict(&bench.path("whole.json"));
    let moments = (0..kills).map(|i| Duration::from_millis(100 + i * 7919 % 1900));
    assert_eq!(killed(&bench, "killed.safetensors", moments), expected);
    // The files differ in the seconds of their training records.
    let model = |name: &str| awing::Model::load(&bench.path(name)).unwrap();
    let (whole, killed) = (model("whole.safetensors"), model("killed.safetensors"));
    for parameter in whole.config().graph().parameters() {
        assert_eq!(whole.tensor(&parameter.name), killed.tensor(&parameter.name), "{}", parameter.name);
    }
}

#[test]
fn a_tuning_that_is_killed_comes_to_the_same_verdict() {
    kill_many_times(3);
}

#[test]
#[ignore = "half a minute of kills; CONTRIBUTING.md lists it"]
fn a_tuning_that_is_killed_ten_times_comes_to_the_same_verdict() {
    kill_many_times(10);
}

#[test]
#[ignore = "takes minutes"]
fn a_page_tunes_beside_tracking_without_a_window_and_the_accepted_model_is_taken_over() {
    let bench = Bench::new(|_| {});
    bench.collect();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.args(["--input", "demo", "--headless", "--serve", &format!("127.0.0.1:{port}")]).stderr(Stdio::null());
    command.current_dir(bench.folder.path()).env("XDG_DATA_HOME", bench.path("data"));
    let mut session = command.spawn().unwrap();
    let start = Instant::now();
    let mut page = loop {
        match tungstenite::connect(format!("ws://127.0.0.1:{port}/ws?page")) {
            Ok((page, _)) => break page,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let send = |page: &mut tungstenite::WebSocket<_>, message: serde_json::Value| {
        page.send(tungstenite::Message::text(message.to_string())).unwrap();
    };
    send(&mut page, serde_json::json!({"action": "tune"}));
    let (mut frames, mut trained, mut is_changed) = (0, false, false);
    loop {
        assert!(start.elapsed() < Duration::from_secs(900), "{frames} frames, and no tuned model");
        let tungstenite::Message::Text(text) = page.read().unwrap() else { continue };
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(frame) = message["frame"].as_u64() {
            send(&mut page, serde_json::json!({"painted": frame}));
            frames += u64::from(trained);
        }
        let status = &message["status"];
        trained |= status["tuning"]["done"].as_f64().is_some_and(|done| (0.0..1.0).contains(&done));
        if status["is_tuned"] == true && !std::mem::replace(&mut is_changed, true) {
            send(&mut page, serde_json::json!({"action": "other-model"}));
        }
        if is_changed && status["is_tuned"] == false {
            break;
        }
    }
    assert!(trained && frames > 30, "{frames} frames came while it tuned");
    assert!(bench.path("data/awing/models/tuned.json").exists());
    session.kill().unwrap();
    session.wait().unwrap();
}

#[cfg(all(feature = "window", target_os = "linux"))]
mod in_a_window {
    use super::display::Display;
    use super::*;

    /// Waits until it is so.
    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(900), "timed out waiting for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_key_tunes_beside_tracking_and_the_accepted_model_is_taken_over() {
        let bench = Bench::new(|_| {});
        bench.collect();
        let display = Display::start();
        let json = bench.path("lines.jsonl");
        let start = |more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
            command.args(["--input", "demo", "--frames", "1000000"]).args(more).current_dir(bench.folder.path());
            command.env("XDG_DATA_HOME", bench.path("data")).env("DISPLAY", &display.name);
            command.env_remove("WAYLAND_DISPLAY").stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let tracked = || fs::read_to_string(&json).map_or(0, |lines| lines.lines().count());

        // Closed in the middle, the tuning goes on with the next session.
        let first = start(&[]);
        let work = bench.path("data/awing/models/tuning");
        std::thread::sleep(Duration::from_secs(1));
        wait_until("the tuning to begin", || {
            display.press('u');
            std::thread::sleep(Duration::from_millis(200));
            work.exists()
        });
        display.close_window();
        assert!(first.wait_with_output().unwrap().status.success());
        assert!(work.exists(), "the end of the session waited for the end of the tuning");

        let second = start(&["--json", json.to_str().unwrap()]);
        wait_until("frames", || tracked() > 10);
        display.press('u');
        let before = tracked();
        wait_until("a tuned model", || bench.path("data/awing/models/tuned.json").exists());
        let meanwhile = tracked() - before;
        wait_until("the end of the tuning", || !work.exists());
        display.press('d');
        display.close_window();
        let said = text(&second.wait_with_output().unwrap().stderr);
        assert!(said.contains("tuned is in use") && !said.contains("panicked"), "{said}");
        assert!(meanwhile > 30, "only {meanwhile} frames were tracked while it tuned");
    }
}
