//! What awing reads, and what must not happen to it.

use super::*;

/// Runs it and returns what it said; it has to fail without a panic.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    text
}

#[test]
fn an_output_never_replaces_an_input_whatever_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("photos")).unwrap();
    let files = ["b.mp4", "c.part.mp4", "m.safetensors", "d.jsonl", "p.pth", "f.png", "photos/frame_000000.png"];
    files.iter().for_each(|name| fs::write(at(name), format!("the only {name}")).unwrap());
    let cases: [&[&str]; 17] = [
        &["track", "--input", "b.mp4", "--json", "b.mp4"],
        &["--input", "b.mp4", "--save", "photos/../b.mp4"],
        &["b.mp4", "--save", "./b.mp4", "--overwrite"],
        &["--input", "c.part.mp4", "--save", "c.mp4"],
        &["--input", "photos", "--save", "photos"],
        &["--input", "photos/frame_000000.png", "--save", "photos"],
        &["--input", "photos", "--save", "photos/frame_000000.png"],
        &["--input", "demo", "--model", "m.safetensors", "--json", "m.safetensors"],
        &["eval", "--data", "d.jsonl", "--predictions", "d.jsonl"],
        &["eval", "--data", "d.jsonl", "--model", "m.safetensors", "--fit-style", "m.safetensors"],
        &["quantize", "m.safetensors", "--to", "int8", "--calibrate", "d.jsonl", "--out", "m.safetensors"],
        &["quantize", "m.safetensors", "--to", "int8", "--calibrate", "d.jsonl", "--out", "d.jsonl"],
        &["import", "p.pth", "--out", "p.pth"],
        &["export", "m.safetensors", "--out", "./m.pth-names.safetensors"],
        &["heatmaps", "--model", "m.safetensors", "--image", "f.png", "--out", "h", "--plot", "f.png"],
        &["finetune", "--data", "f.jsonl", "--guard", "d.jsonl", "--model", "m.safetensors", "--out", "m.safetensors"],
        &["finetune", "--data", "d.jsonl", "--out", "f.safetensors", "--recipe", "f.png"],
    ];
    #[cfg(unix)]
    std::os::unix::fs::symlink("m.safetensors", at("m.pth-names.safetensors")).unwrap();
    for case in cases {
        if cfg!(not(unix)) && case.contains(&"export") {
            continue;
        }
        let text = refused(folder.path(), case);
        assert!(text.contains("would be written over"), "{case:?}: {text}");
    }
    for name in files {
        assert_eq!(fs::read_to_string(at(name)).unwrap(), format!("the only {name}"));
    }
}

#[test]
fn a_file_that_holds_something_else_is_replaced_only_with_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.txt");
    let demo = ["--headless", "--input", "demo", "--frames", "1", "--json", "letter.txt"];
    fs::write(&letter, "Dear reader").unwrap();
    let text = refused(folder.path(), &demo);
    assert!(text.contains("letter.txt") && text.contains("--overwrite"), "{text}");
    assert_eq!(fs::read(&letter).unwrap(), b"Dear reader");
    for _ in 0..2 {
        let arguments = [&demo[..], &["--overwrite"]].concat();
        let output = run(folder.path(), &arguments);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(lines(&fs::read(&letter).unwrap()).len(), 1);
    }
    let output = run(folder.path(), &demo);
    assert!(output.status.success(), "its own lines are replaced without a question: {}", said(&output));
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn the_picture_that_nobody_asked_for_takes_a_free_name() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::new(64, 48).save(folder.path().join("awing.png")).unwrap();
    let before = fs::read(folder.path().join("awing.png")).unwrap();
    for expected in ["awing-2.png", "awing-3.png"] {
        let output = run(folder.path(), &["--headless", "--input", "awing.png"]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(&format!("saved {expected}")), "{}", said(&output));
        image::open(folder.path().join(expected)).unwrap();
    }
    assert_eq!(fs::read(folder.path().join("awing.png")).unwrap(), before);
    assert_eq!(names(folder.path()), ["awing-2.png", "awing-3.png", "awing.png"]);
}
