//! The promises of `awing train`, tested on a few drawn faces: the same seed and number of threads give the same model,
//! a killed training resumes as if nothing had happened, and every error names the file and leaves the output intact.

mod training_set;

use awing::{Frame, Model};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use training_set::{PICTURES, write_faces, write_recipe, write_so_many_faces};

/// A folder with data and recipe.
struct Place {
    folder: tempfile::TempDir,
    data: PathBuf,
    recipe: PathBuf,
}

impl Place {
    fn new(steps: usize, changed: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = write_faces(folder.path());
        let recipe = write_recipe(folder.path(), steps, changed);
        Self { folder, data, recipe }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
        command.arg("train").arg("--data").arg(&self.data).arg("--recipe").arg(&self.recipe);
        command.arg("--out").arg(self.path(out)).args(more);
        if !more.contains(&"--threads") {
            command.args(["--threads", "1"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn train(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().unwrap()
    }

    fn validated<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["--validation", self.data.to_str().unwrap()];
        all.extend(more);
        all
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

/// Expects an error of one line, which is returned, and no panic.
fn fails(output: &Output) -> String {
    let text = text(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text.lines().find(|line| line.starts_with("awing: ")).unwrap_or_else(|| panic!("no message in {text:?}")).to_owned()
}

/// All weights of the model. The description is left out, since it contains times.
fn weights(folder: &Path) -> Vec<Vec<f32>> {
    let model = Model::load(&folder.join("model.safetensors")).unwrap();
    let parameters = model.config().graph().parameters();
    parameters.iter().map(|p| model.tensor(&p.name).unwrap().to_vec()).collect()
}

/// Names and contents of the files in a folder.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    let mut all: Vec<_> = entries
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

#[test]
fn the_same_seed_and_threads_give_the_same_model() {
    let place = Place::new(12, &[]);
    for threads in ["1", "2"] {
        let folders = ["a", "b"].map(|name| format!("{name}{threads}"));
        for out in &folders {
            succeeds(&place.train(out, &["--threads", threads]));
        }
        assert_eq!(weights(&place.path(&folders[0])), weights(&place.path(&folders[1])), "{threads} threads");
    }
    let other = Place::new(12, &[("seed = 5", "seed = 6")]);
    succeeds(&other.train("a", &[]));
    assert_ne!(weights(&place.path("a1")), weights(&other.path("a")));
}

#[test]
fn killing_and_resuming_changes_nothing() {
    let place = Place::new(400, &[]);
    succeeds(&place.train("through", &place.validated(&[])));
    let mut child = place.command("killed", &place.validated(&[])).spawn().unwrap();
    let checkpoint = place.path("killed").join("checkpoint.safetensors");
    let start = Instant::now();
    while !checkpoint.exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(30));
    assert!(child.try_wait().unwrap().is_none(), "training ended before it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = fails(&place.train("killed", &place.validated(&[])));
    assert!(refused.contains("killed") && refused.contains("--resume"), "{refused}");
    succeeds(&place.train("killed", &place.validated(&["--resume"])));
    assert_eq!(weights(&place.path("through")), weights(&place.path("killed")));
    let column = |folder: &str, i: usize| -> Vec<String> {
        let log = std::fs::read_to_string(place.path(folder).join("log.csv")).unwrap();
        log.lines().map(|line| line.split(',').nth(i).unwrap().to_owned()).collect()
    };
    for (i, name) in ["step", "images", "", "learning_rate", "", "validation"].into_iter().enumerate() {
        if !name.is_empty() {
            assert_eq!(column("through", i), column("killed", i));
            assert_eq!(column("through", i)[0], name);
        }
    }
    assert!(place.path("killed").join("curve.png").exists());
}

#[test]
fn training_improves_and_pauses_when_its_time_is_up() {
    let place = Place::new(100_000, &[]);
    let mut errors: Vec<f64> = Vec::new();
    // A busy machine gets more time.
    for _ in 0..20 {
        let output = place.train("out", &place.validated(&["--resume", "--minutes", "0.05"]));
        succeeds(&output);
        assert!(text(&output).contains("--resume"), "{}", text(&output));
        let rows = awing::internals::read_log(&place.path("out").join("log.csv")).unwrap();
        errors = rows.iter().filter_map(|r| r.validation).collect();
        if errors.len() > 1 {
            break;
        }
    }
    assert!(errors.last() < errors.first(), "{errors:?}");
}

#[test]
fn the_start_is_measured_the_best_model_is_kept_and_the_end_says_whether_it_became_better() {
    let place = Place::new(400, &[]);
    let output = place.train("out", &place.validated(&[]));
    succeeds(&output);
    let rows = awing::internals::read_log(&place.path("out").join("log.csv")).unwrap();
    let measured: Vec<(u64, f64)> = rows.iter().filter_map(|row| Some((row.step, row.validation?))).collect();
    assert_eq!(measured.iter().map(|row| row.0).collect::<Vec<_>>(), (0..=400).step_by(10).collect::<Vec<_>>());
    assert!(rows[0].loss.is_none() && rows[1].loss.is_some());
    let best = measured.iter().map(|row| row.1).fold(f64::INFINITY, f64::min);
    let model = Model::load(&place.path("out").join("best.safetensors")).unwrap();
    assert_eq!(model.config().training["validation"].as_f64(), Some(best));
    let said = text(&output);
    assert!(said.contains("Better: ") && said.contains("best.safetensors"), "{said}");

    // From its own best model and at a rate that ruins it, it becomes no better.
    let start = place.path("out").join("best.safetensors");
    let ruin =
        Place::new(3, &[("learning_rate = 2e-3", "learning_rate = 1.0"), ("warmup_steps = 5", "warmup_steps = 0")]);
    let output = ruin.train("out", &ruin.validated(&["--start-from", start.to_str().unwrap()]));
    succeeds(&output);
    assert!(text(&output).contains("Not better: "), "{}", text(&output));
    let weights = |path: &Path| Model::load(path).unwrap().tensor("stem.0.weight").map(<[f32]>::to_vec);
    assert_eq!(weights(&ruin.path("out").join("best.safetensors")), weights(&start), "the start was best");
}

#[test]
fn own_faces_need_no_recipe_and_the_end_of_the_time_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let data = write_so_many_faces(folder.path(), 12);
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder.path()).args(["train", "--data", "faces.jsonl", "--minutes", "0.02", "--threads", "1"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    succeeds(&output);
    let said = text(&output);
    assert!(said.contains("faces to train on") && said.contains("etter: ") && said.contains("--resume"), "{said}");
    let files: Vec<String> = contents(&folder.path().join("training")).into_iter().map(|file| file.0).collect();
    assert_eq!(files, ["best.safetensors", "checkpoint.safetensors", "curve.png", "log.csv", "model.safetensors"]);
    let rows = awing::internals::read_log(&folder.path().join("training/log.csv")).unwrap();
    assert!(rows.len() >= 2 && rows[0].step == 0 && rows.iter().all(|row| row.validation.is_some()), "{rows:?}");

    let few: String = std::fs::read_to_string(&data).unwrap().lines().take(5).map(|line| format!("{line}\n")).collect();
    std::fs::write(&data, few).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder.path()).args(["train", "--data", "faces.jsonl", "--out", "other"]);
    assert!(fails(&command.output().unwrap()).contains("add at least 5 more"));
}

#[test]
fn a_training_replaces_no_file_of_another_one() {
    let place = Place::new(100_000, &[]);
    for name in ["best.safetensors", "log.csv", "curve.png"] {
        let out = place.path(name).with_extension("");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join(name), "kept").unwrap();
        for more in [&["--minutes", "0.005", "--overwrite"][..], &["--minutes", "0.005", "--overwrite", "--resume"]] {
            let message = fails(&place.train(out.to_str().unwrap(), more));
            assert!(message.contains(name) && message.contains("would be overwritten"), "{message}");
        }
        assert_eq!(contents(&out), [(name.to_owned(), b"kept".to_vec())]);
    }
}

#[test]
fn a_nan_loss_stops_training_and_leaves_the_output_intact() {
    let place = Place::new(100, &[("learning_rate = 2e-3", "learning_rate = 1e30"), ("clip_norm = 20.0", "")]);
    let message = fails(&place.train("out", &[]));
    assert!(message.contains("not a number") && message.contains("learning_rate"), "{message}");
    assert!(contents(&place.path("out")).is_empty());
}

#[test]
fn unusable_data_is_named() {
    let place = Place::new(5, &[]);
    std::fs::write(&place.data, "\n").unwrap();
    assert!(fails(&place.train("out", &[])).contains("faces.jsonl"));

    let place = Place::new(5, &[]);
    std::fs::remove_file(&place.data).unwrap();
    assert!(fails(&place.train("out", &[])).contains("faces.jsonl"));

    let place = Place::new(50, &[]);
    std::fs::remove_file(place.path("2.png")).unwrap();
    let message = fails(&place.train("out", &[]));
    assert!(message.contains("2.png") && message.contains("faces.jsonl:3"), "{message}");
    assert!(contents(&place.path("out")).is_empty());

    let place = Place::new(50, &[]);
    let whole = std::fs::read(place.path("3.png")).unwrap();
    std::fs::write(place.path("3.png"), &whole[..whole.len() / 2]).unwrap();
    let message = fails(&place.train("out", &[]));
    assert!(message.contains("3.png") && message.contains(&format!("faces.jsonl:{PICTURES}")), "{message}");

    let place = Place::new(5, &[("batch_size = 4", "batch_size = 4\nbatchsize = 4")]);
    let message = fails(&place.train("out", &[]));
    assert!(message.contains("recipe.toml"), "{message}");
}

#[test]
fn pictures_without_faces_are_drawn_if_recipe_and_data_agree_on_them() {
    let place = Place::new(3, &[("batch_size = 4", "batch_size = 4\nfaceless = { share = 0.5, weight = 5.0 }")]);
    let message = fails(&place.train("out", &[]));
    assert!(message.contains(".txt") && message.contains("--data"), "{message}");
    let list = place.path("rooms.txt");
    Frame::filled(60, 50, [90, 80, 70]).save(&place.path("room.png")).unwrap();
    std::fs::write(&list, "room.png\n").unwrap();
    let with_list = ["--data", list.to_str().unwrap()];
    succeeds(&place.train("out", &with_list));
    let other = Place::new(3, &[]);
    let message = fails(&other.train("out", &with_list));
    assert!(message.contains("rooms.txt") && message.contains("faceless"), "{message}");
}

#[test]
fn a_pull_to_the_start_needs_that_start() {
    let place = Place::new(2, &[]);
    let recipe = std::fs::read_to_string(&place.recipe).unwrap();
    succeeds(&place.train("first", &[]));
    std::fs::write(&place.recipe, recipe.replace("learning_rate = 2e-3", "learning_rate = 1e-3")).unwrap();
    succeeds(&place.train("second", &[]));
    std::fs::write(&place.recipe, format!("{recipe}\n[adaptation]\nanchor = 1.0\n")).unwrap();
    let message = fails(&place.train("out", &[]));
    assert!(message.contains("adaptation.anchor") && message.contains("--start-from"), "{message}");
    let from = |name: &str, more: &[&str]| {
        let start = place.path(name).join("model.safetensors");
        place.train("out", &[&["--start-from", start.to_str().unwrap()], more].concat())
    };
    succeeds(&from("first", &["--minutes", "0.00001"]));
    let message = fails(&from("second", &["--resume"]));
    assert!(message.contains("another model") && message.contains("--start-from"), "{message}");
    succeeds(&from("first", &["--resume"]));
}

#[test]
fn an_error_says_each_of_its_causes_once() {
    let place = Place::new(5, &[]);
    let damaged = place.path("damaged");
    // A safetensors file whose header is no JSON.
    std::fs::write(&damaged, b"\x08\0\0\0\0\0\0\0{ broken").unwrap();
    let damaged_model = fails(&place.train("out", &["--start-from", damaged.to_str().unwrap()]));
    let missing_model = fails(&place.train("other", &["--start-from", "nowhere.safetensors"]));
    std::fs::create_dir_all(place.path("out")).unwrap();
    std::fs::copy(&damaged, place.path("out").join("checkpoint.safetensors")).unwrap();
    let damaged_checkpoint = fails(&place.train("out", &["--resume"]));
    let whole = std::fs::read(place.path("3.png")).unwrap();
    std::fs::write(place.path("3.png"), &whole[..whole.len() / 2]).unwrap();
    let damaged_picture = fails(&place.train("new", &[]));
    std::fs::remove_file(place.path("3.png")).unwrap();
    let missing_picture = fails(&place.train("new", &[]));
    std::fs::remove_file(&place.data).unwrap();
    let missing_data = fails(&place.train("new", &[]));
    for message in [damaged_model, missing_model, damaged_checkpoint, damaged_picture, missing_picture, missing_data] {
        let parts: Vec<&str> = message.split(": ").collect();
        assert!(parts.len() > 2, "{message}");
        assert!(parts.iter().all(|part| message.matches(part).count() == 1), "{message}");
    }
}

#[test]
fn a_damaged_checkpoint_is_named_and_left_alone() {
    let place = Place::new(20, &[]);
    succeeds(&place.train("out", &[]));
    let file = place.path("out").join("checkpoint.safetensors");
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    let mut elsewhere = whole.clone();
    let step = whole.windows(11).position(|text| text == br#"\"step\":20"#).expect("the description is text");
    elsewhere[step + 9] = b'1';
    for damaged in [&whole[..whole.len() / 2], &whole[..10], b"", &flipped, &elsewhere] {
        std::fs::write(&file, damaged).unwrap();
        let before = contents(&place.path("out"));
        let message = fails(&place.train("out", &["--resume"]));
        assert!(message.contains("checkpoint.safetensors"), "{message}");
        assert!(contents(&place.path("out")) == before);
    }
    std::fs::write(&file, &whole).unwrap();
    succeeds(&place.train("out", &["--resume"]));
    let other = write_recipe(place.folder.path(), 30, &[]);
    assert_eq!(other, place.recipe);
    assert!(fails(&place.train("out", &["--resume"])).contains("another recipe"));
}

#[test]
fn a_training_is_not_continued_on_other_data() {
    let place = Place::new(20, &[]);
    succeeds(&place.train("out", &["--minutes", "0.0005"]));
    let faces = std::fs::read_to_string(&place.data).unwrap();
    let fewer: String = faces.lines().skip(1).map(|line| format!("{line}\n")).collect();
    std::fs::write(&place.data, fewer).unwrap();
    let before = contents(&place.path("out"));
    let message = fails(&place.train("out", &["--resume"]));
    assert!(message.contains("other data") && message.contains("checkpoint.safetensors"), "{message}");
    assert!(contents(&place.path("out")) == before);
    std::fs::write(&place.data, faces).unwrap();
    succeeds(&place.train("out", &["--resume"]));
}

/// A limit on file size stands in for a full disk: writing fails in the middle of a file.
#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_and_leaves_the_old_files() {
    let place = Place::new(100_000, &[]);
    succeeds(&place.train("out", &["--minutes", "0.005"]));
    let before = contents(&place.path("out"));
    let command = place.command("out", &["--resume", "--minutes", "0.005"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
    limited.arg(command.get_program()).args(command.get_args());
    let message = fails(&limited.output().unwrap());
    assert!(message.contains("model.safetensors") && message.contains("arge"), "{message}");
    assert!(contents(&place.path("out")) == before, "a partial or damaged file is left");
}

/// The network's threads as requested, one for the loader, the main thread, and the one that handles Ctrl-C.
#[cfg(target_os = "linux")]
#[test]
fn training_uses_no_more_threads_than_requested() {
    let place = Place::new(100_000, &[("input_size = 64", "input_size = 128"), ("batch_size = 4", "batch_size = 8")]);
    let mut child = place.command("out", &place.validated(&[])).spawn().unwrap();
    let start = Instant::now();
    let mut most = 0;
    // The start is logged before anything is learned.
    let is_learning = |log: std::io::Result<String>| log.is_ok_and(|log| log.lines().count() > 2);
    while !is_learning(std::fs::read_to_string(place.path("out").join("log.csv"))) {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing is logged");
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        most = most.max(tasks.count());
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(most <= 4, "{most} threads");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn an_unsupported_device_is_refused_with_the_feature_to_enable() {
    let place = Place::new(5, &[]);
    let message = fails(&place.train("out", &["--device", "cuda"]));
    assert!(message.contains("--features cuda"), "{message}");
}
