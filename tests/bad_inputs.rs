//! Inputs that are cut off, mistaken or absurd, and outputs that others write to: each is refused by its name and says
//! what to do; what can be done is done, and nothing that was there is lost.

mod program;
mod training_set;

use awing::Frame;
use awing::internals::Scene;
use program::{awing, lines, run, said};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use training_set::{write_faces, write_recipe};

/// Expects an error that says all of `wanted`.
fn fails(folder: &Path, arguments: &[&str], wanted: &[&str]) {
    let output = run(folder, arguments);
    let text = said(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {text}");
    assert!(wanted.iter().all(|word| text.contains(word)), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
}

/// A picture of one face, as a JPEG, and the row of a data set that says where its points are.
fn face(path: &Path) -> String {
    let mut frame = Frame::filled(320, 240, [0; 3]);
    let faces = Scene::demo(1, 1).draw(0.5, &mut frame);
    frame.save(path).unwrap();
    let points: Vec<[f32; 2]> = faces[0].iter().map(|p| [p.x, p.y]).collect();
    let name = path.file_name().unwrap().to_string_lossy();
    serde_json::json!({"image": name, "points": points}).to_string() + "\n"
}

/// The same, of which only the first half is there.
fn half_a_face(path: &Path) -> String {
    let row = face(path);
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    row
}

#[test]
fn a_picture_that_was_cut_off_is_refused_by_name_wherever_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let row = half_a_face(&at("half.jpg"));
    fs::write(at("faces.jsonl"), &row).unwrap();
    fs::write(at("list.txt"), "half.jpg\n".repeat(6)).unwrap();
    let recipe = write_recipe(folder.path(), 4, &[]);
    let recipe = recipe.to_str().unwrap();
    let commands: [&[&str]; 5] = [
        &["track", "--headless", "--input", "half.jpg"],
        &[
            "heatmaps",
            "--model",
            concat!(env!("CARGO_MANIFEST_DIR"), "/models/edge-98.safetensors"),
            "--image",
            "half.jpg",
            "--out",
            "maps.safetensors",
        ],
        &["eval", "--data", "faces.jsonl"],
        &["train", "--data", "faces.jsonl", "--recipe", recipe, "--out", "trained"],
        &["eval", "--detection", "--data", "list.txt"],
    ];
    for command in commands {
        fails(folder.path(), command, &["half.jpg", "cut off"]);
    }
    assert!(!at("awing.png").exists() && !at("maps.safetensors").exists());
}

#[test]
fn of_a_folder_everything_is_tracked_but_what_is_bad_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("photos/6.jpg")).unwrap();
    for name in ["10.jpg", "2.jpg", "1.jpg"] {
        face(&at("photos").join(name));
    }
    half_a_face(&at("photos/3.jpg"));
    fs::write(at("photos/._1.jpg"), "of macOS").unwrap();
    let output = run(folder.path(), &["--headless", "--input", "photos", "--json", "-"]);
    let lines = lines(&output.stdout);
    let of = |key: &str| lines.iter().map(|line| line[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("image"), ["1.jpg", "2.jpg", "10.jpg"]);
    assert_eq!(of("frame"), [0, 1, 2]);
    assert!(lines.iter().all(|line| line["faces"].as_array().unwrap().len() == 1));
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("3.jpg: it is cut off") && text.contains("photos: 1 of 4 pictures"), "{text}");
    fs::remove_file(at("photos/3.jpg")).unwrap();
    let output = run(folder.path(), &["--headless", "--input", "photos", "--json", "-"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_wrong_label_is_refused_by_file_and_line_and_nothing_is_learned_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let row = face(&at("a.jpg"));
    let mut wrong: Value = serde_json::from_str(&row).unwrap();
    let recipe = write_recipe(folder.path(), 4, &[]);
    let eval: &[&str] = &["eval", "--data", "faces.jsonl", "--json"];
    let finetune: &[&str] = &["finetune", "--data", "faces.jsonl", "--out", "tuned.safetensors"];
    let train: &[&str] = &["train", "--data", "faces.jsonl", "--recipe", recipe.to_str().unwrap(), "--out", "trained"];
    // A training opens a picture when it draws it: the last one is only outside this picture.
    for (number, commands) in
        [(1e30, &[eval, finetune, train][..]), (-1e9, &[eval, train]), (4000.0, &[eval, finetune])]
    {
        wrong["points"][7][0] = number.into();
        fs::write(at("faces.jsonl"), format!("{row}{wrong}\n{}", row.repeat(20))).unwrap();
        for command in commands {
            fails(folder.path(), command, &["faces.jsonl:2", "point 7"]);
        }
    }
    assert!(!at("trained/model.safetensors").exists() && !at("tuned.safetensors").exists());
}

#[test]
fn a_report_can_be_compared_whatever_the_faces_are() {
    let folder = tempfile::tempdir().unwrap();
    let row = face(&folder.path().join("a.jpg"));
    // Once with a byte order mark.
    fs::write(folder.path().join("faces.jsonl"), format!("\u{feff}{row}")).unwrap();
    let report = run(folder.path(), &["eval", "--data", "faces.jsonl", "--json"]);
    assert!(report.status.success(), "{}", said(&report));
    let text = [&b"\xef\xbb\xbf"[..], &report.stdout].concat();
    fs::write(folder.path().join("a.json"), &text).unwrap();
    let compared = run(folder.path(), &["eval", "--compare", "a.json", "a.json"]);
    assert!(compared.status.success(), "{}", said(&compared));
}

#[test]
fn a_file_that_is_no_model_is_called_what_it_is_with_the_command_that_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    face(&at("x.jpg"));
    let model = |name: &str| format!("{}/models/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let (edge, detector) = (model("edge-98"), model("detector"));
    assert!(run(folder.path(), &["export", &edge, "--out", "x.onnx", "--batch", "1"]).status.success());
    fs::write(at("x.pth"), b"PK\x03\x04\x14\0\0\0\0\0x/data.pkl").unwrap();
    fs::write(at("x.toml"), "[model]\n").unwrap();
    fs::write(at("x.empty"), "").unwrap();
    let kinds = [
        ("x.jpg", "awing track"),
        ("x.onnx", "ONNX"),
        ("x.pth", "awing import"),
        ("x.toml", "text"),
        ("x.empty", "empty"),
    ];
    for (file, is) in kinds {
        for command in [
            &["--headless", "--input", "demo", "--frames", "1", "--model", file][..],
            &["--headless", "--input", "demo", "--frames", "1", "--detector", file],
            &["export", file, "--out", "y.onnx"],
        ] {
            fails(folder.path(), command, &[file, "it is ", is]);
        }
    }
    // And a model that is not of the kind that its place needs.
    for (command, file) in [
        (&["--headless", "--input", "demo", "--frames", "1", "--model"][..], &detector),
        (&["--headless", "--input", "demo", "--frames", "1", "--detector"], &edge),
        (&["eval", "--data", "x.jsonl", "--model"], &detector),
        (&["finetune", "--data", "x.jsonl", "--out", "t.safetensors", "--model"], &detector),
    ] {
        fs::write(at("x.jsonl"), "").unwrap();
        fails(folder.path(), &[command, &[file]].concat(), &[file, "is needed"]);
    }
}

#[test]
fn heatmaps_say_what_they_wrote() {
    let folder = tempfile::tempdir().unwrap();
    face(&folder.path().join("a.jpg"));
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/edge-98.safetensors");
    let output = run(folder.path(), &["heatmaps", "--model", model, "--image", "a.jpg", "--out", "maps.safetensors"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("wrote maps.safetensors") && text.contains("99 heatmaps"), "{text}");
}

#[test]
fn a_picture_with_an_unknown_ending_is_refused_with_the_endings_that_are_possible() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["landmarks", "--diagram", "d.txt"], ["heatmaps", "--plot", "d.txt"], ["heatmaps", "--plot", "d"]]
    {
        fails(folder.path(), &arguments, &["cannot write the picture d", ".png or .jpg"]);
    }
}

#[test]
fn absurd_numbers_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let faces = write_faces(folder.path());
    let faces = faces.to_str().unwrap();
    let demo = ["--headless", "--input", "demo", "--frames", "1"];
    for (option, value, reason) in [
        ("--threads", "100000", "at most 512"),
        ("--threads", "18446744073709551616", "whole number"),
        ("--faces", "1000000000", "at most 1000"),
        ("--size", "30000x30000", "at most 8192"),
        ("--fps", "fast", "from 1 to 1000, as in 30 or 29.97"),
        ("--fps", "0", "from 1 to 1000"),
    ] {
        fails(folder.path(), &[&demo[..], &[option, value]].concat(), &[option, reason]);
    }
    for (arguments, reason) in [
        (&["--frames", "2.5"][..], "whole number above 0"),
        (&["bench", "--frames", "many"], "whole number above 0"),
        (&["export", "--out", "x.onnx", "--batch", "1.5"], "whole number from 1 to 1024"),
        (&["quantize", "--out", "x", "--calibrate", faces, "--pictures", "0"], "whole number above 0"),
        (&["eval", "--data", faces, "--threshold", "eight"], "a percentage above 0"),
    ] {
        fails(folder.path(), arguments, &[reason]);
    }
    for command in ["train", "finetune"] {
        fails(folder.path(), &[command, "--data", faces, "--out", "x", "--threads", "100000"], &["at most 512"]);
    }
    let recipe = write_recipe(folder.path(), 4, &[("batch_size = 4", "batch_size = 100000000")]);
    let recipe = recipe.to_str().unwrap();
    fails(folder.path(), &["train", "--data", faces, "--recipe", recipe, "--out", "x"], &["batch_size", "at most"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_never_ends_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let endless = |name: &str| std::os::unix::fs::symlink("/dev/zero", folder.path().join(name)).unwrap();
    ["x.safetensors", "x.jsonl", "x.pth", "x.jpg", "x.toml"].into_iter().for_each(endless);
    for command in [
        &["--headless", "--input", "demo", "--frames", "1", "--model", "x.safetensors"][..],
        &["--headless", "--input", "x.jpg"],
        &["eval", "--data", "x.jsonl"],
        &["import", "x.pth", "--out", "y.safetensors"],
        &["train", "--data", "x.jsonl", "--recipe", "x.toml", "--out", "y"],
    ] {
        fails(folder.path(), command, &["x.", "has more than"]);
    }
}

/// Starts the program on the endless demo and returns once it has written to `json`.
#[cfg(unix)]
fn started(folder: &Path, arguments: &[&str], json: &str) -> std::process::Child {
    let mut command = awing(folder);
    command.args(["--headless", "--input", "demo", "--frames", "1000000"]).args(arguments).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    while fs::metadata(folder.join(json)).map_or(0, |about| about.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the program has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child
}

#[cfg(unix)]
#[test]
fn a_file_that_another_run_writes_to_is_left_alone_until_that_has_ended_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = started(folder.path(), &["--json", "a.jsonl", "--save", "a.gif"], "a.jsonl");
    let holder = format!("process {}", first.id());
    let demo = ["--headless", "--input", "demo", "--frames", "2"];
    for output in [["--json", "a.jsonl"], ["--save", "a.gif"]] {
        fails(folder.path(), &[&demo[..], &output].concat(), &[output[1], &holder]);
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let output = run(folder.path(), &[&demo[..], &["--json", "a.jsonl"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(lines(&fs::read(folder.path().join("a.jsonl")).unwrap()).len(), 2);
    assert!(!folder.path().join(".a.jsonl.lock").exists());
}

#[cfg(unix)]
#[test]
fn two_trainings_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let faces = write_faces(folder.path());
    let recipe = write_recipe(folder.path(), 1_000_000, &[]);
    let arguments = ["train", "--data", faces.to_str().unwrap(), "--recipe", recipe.to_str().unwrap(), "--out", "x"];
    let mut first = awing(folder.path()).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while fs::metadata(folder.path().join("x/.awing.lock")).map_or(0, |about| about.len()) == 0 {
        assert!(first.try_wait().unwrap().is_none(), "the training has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for more in [&[][..], &["--resume"]] {
        fails(folder.path(), &[&arguments[..], more].concat(), &["x is being written by", &first.id().to_string()]);
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let short = write_recipe(folder.path(), 2, &[]);
    let arguments = ["train", "--data", faces.to_str().unwrap(), "--recipe", short.to_str().unwrap(), "--out", "x"];
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", said(&output));
}
