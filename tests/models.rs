//! The contract of `awing models`: which model awing starts with, and what is said of it.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const TRACK: &str = "--headless --input demo --frames 2 --json lines.jsonl";

/// A folder with the user's data in it.
struct User {
    folder: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn models(&self) -> PathBuf {
        self.folder.path().join("data/awing/models")
    }

    /// Adds the bundled model under this name, as fine-tuning adds a tuned one.
    fn add(&self, name: &str, accepted: bool) {
        fs::create_dir_all(self.models()).unwrap();
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/edge-98.safetensors");
        fs::copy(bundled, self.models().join(format!("{name}.safetensors"))).unwrap();
        let record = json!({
            "name": name, "file": format!("{name}.safetensors"), "created": 1_795_910_400_u64, "base": "bundled",
            "samples": 60, "clips": 12, "accepted": accepted, "verdict": "23 % better on faces that it did not see",
            "held_out_before": 7.04, "held_out_after": 5.39, "guard_before": 3.79, "guard_after": 3.8,
        });
        fs::write(self.models().join(format!("{name}.json")), record.to_string()).unwrap();
    }

    fn run(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
        command.current_dir(self.folder.path()).env("XDG_DATA_HOME", self.folder.path().join("data"));
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("AWING_LOG").stdin(Stdio::null());
        command.args(arguments.split_whitespace()).output().unwrap()
    }

    /// What it writes if it succeeds.
    fn succeed(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says if it fails.
    fn fail(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {}", said(&output));
        said(&output)
    }

    /// What it says when it starts to track.
    fn start(&self, more: &str) -> String {
        let output = self.run(&format!("{TRACK} {more}"));
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_chosen_model_is_the_one_that_awing_starts_with_until_it_is_rolled_back() {
    let user = User::new();
    assert!(!user.start("").contains("model:"));
    user.add("glasses", true);
    user.add("night", false);
    assert!(!user.start("").contains("model:"), "a model is used only once it was chosen");
    assert!(user.succeed("models use glasses").contains("starts with glasses"));
    let line = user.start("");
    assert!(line.contains("model: glasses, tuned 2026-11-") && line.contains("60 faces"), "{line}");
    assert!(line.contains("--model bundled"), "{line}");
    assert!(!user.start("--model bundled").contains("model:"));
    assert!(user.succeed("models use night").contains("not accepted"));
    assert!(user.start("").contains("model: night"));
    assert!(user.succeed("models rollback").contains("glasses"));
    assert!(user.start("").contains("model: glasses"));
    assert!(user.succeed("models use bundled").contains("bundled"));
    assert!(!user.start("").contains("model:"));
    user.succeed("models rollback");
    assert!(user.start("").contains("model: glasses"));
    assert!(user.fail("models use no-such").contains("no-such"));
}

#[test]
fn a_chosen_model_that_is_missing_or_damaged_is_said_and_the_bundled_one_used() {
    let user = User::new();
    user.add("glasses", true);
    user.succeed("models use glasses");
    let file = user.models().join("glasses.safetensors");
    for damage in [Some("torn"), None] {
        match damage {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let line = user.start("");
        assert!(line.contains("cannot use the chosen model glasses") && line.contains("glasses.safetensors"), "{line}");
        assert!(line.contains("using the bundled model"), "{line}");
        assert!(user.fail("models use glasses").contains("glasses.safetensors"));
    }
    let lines = fs::read_to_string(user.folder.path().join("lines.jsonl")).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["faces"].as_array().unwrap().len(), 1);
}

#[test]
fn the_list_says_what_is_known_of_every_model_and_which_is_chosen() {
    let user = User::new();
    assert!(user.succeed("models").contains("* bundled"));
    user.add("glasses", true);
    user.add("night", false);
    fs::write(user.models().join("broken.json"), "{").unwrap();
    user.succeed("models use glasses");
    let list = user.succeed("models list");
    assert!(list.contains("* glasses") && list.contains("  bundled"), "{list}");
    assert!(list.contains("7.04 to 5.39") && list.contains("23 % better"), "{list}");
    assert!(list.matches("not accepted").count() == 1, "{list}");
    assert!(list.contains("broken.json is no record"), "{list}");
}

#[test]
fn a_model_in_use_is_not_removed() {
    let user = User::new();
    user.add("glasses", true);
    user.succeed("models use glasses");
    assert!(user.fail("models remove glasses").contains("in use"));
    assert!(user.fail("models remove bundled").contains("part of the program"));
    user.succeed("models use bundled");
    user.succeed("models remove glasses");
    assert!(!user.succeed("models").contains("glasses"));
    assert!(!user.models().join("glasses.safetensors").exists());
}

#[test]
fn two_models_are_compared_on_the_same_faces() {
    let user = User::new();
    user.add("glasses", true);
    user.succeed("capture --input demo --seconds 6 --out samples");
    let recording = fs::read_dir(user.folder.path().join("samples")).unwrap().next().unwrap().unwrap().path();
    let faces = fs::read_to_string(recording.join("faces.jsonl")).unwrap();
    fs::write(recording.join("faces.jsonl"), faces.replace("\"pending\"", "\"accepted\"")).unwrap();
    let table = user.succeed("models compare bundled glasses --data samples");
    let nme = table.lines().find(|line| line.starts_with("NME, %")).unwrap();
    assert!(nme.contains("+0.0000") && nme.contains("could be chance"), "{table}");
    assert!(user.fail("models compare bundled no-such --data samples").contains("no-such"));
}

#[test]
fn models_of_one_network_are_averaged_and_others_are_refused() {
    let user = User::new();
    user.add("one", true);
    let (one, out) = ("data/awing/models/one.safetensors", "mean.safetensors");
    user.succeed(&format!("models average {one} {one} --out {out}"));
    let load = |name: &str| awing::Model::load(&user.folder.path().join(name)).unwrap();
    let weights = |name: &str| load(name).tensor("stem.0.norm.weight").unwrap().to_vec();
    assert_eq!(weights(out), weights(one));
    let detector = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/detector.safetensors");
    let message = user.fail(&format!("models average {one} {} --out other.safetensors", detector.display()));
    assert!(message.contains("same network"), "{message}");
    assert!(!user.folder.path().join("other.safetensors").exists());
}
