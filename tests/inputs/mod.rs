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
    let cases: [&[&str]; 18] = [
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
        &["models", "average", "m.safetensors", "m.safetensors", "--out", "m.safetensors"],
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

#[test]
fn a_command_can_be_repeated_but_replaces_nothing_of_the_same_kind_that_another_program_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let has_ffmpeg = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_ok();
    let videos =
        ["a.mp4", "a.mkv", "a.mov", "a.webm", "a.avi"].iter().filter(|_| has_ffmpeg).map(|name| ("--save", *name));
    let others =
        [("--json", "a.jsonl"), ("--csv", "a.csv"), ("--save", "a.gif"), ("--save", "a.png"), ("--save", "a.jpg")];
    for (option, name) in others.into_iter().chain(videos) {
        let arguments = ["--headless", "--input", "demo", "--frames", "2", option, name];
        for _ in 0..2 {
            let output = run(folder.path(), &arguments);
            assert!(output.status.success(), "{}", said(&output));
        }
        let file = folder.path().join(name);
        let other = folder.path().join("other").join(name);
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        let is_made = match (option, name) {
            ("--json", _) => fs::write(&other, "{\"name\": \"somebody's package\"}").is_ok(),
            ("--csv", _) => fs::write(&other, "frame,face_id\n").is_ok(),
            (_, "a.gif" | "a.png" | "a.jpg") => image::RgbImage::new(64, 48).save(&other).is_ok(),
            // The same video without its metadata.
            _ => {
                let mut ffmpeg = Command::new("ffmpeg");
                ffmpeg.args(["-v", "error", "-y", "-i"]).arg(&file);
                ffmpeg.args(["-map_metadata", "-1", "-c", "copy"]).arg(&other).status().unwrap().success()
            }
        };
        assert!(is_made, "{name}");
        fs::rename(&other, &file).unwrap();
        let before = fs::read(&file).unwrap();
        let text = refused(folder.path(), &arguments);
        assert!(text.contains(name) && text.contains("--overwrite"), "{text}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
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

/// A TIFF of 4 x 2 pixels, the left half red and the right half blue, with this orientation.
fn tiff(orientation: u16) -> Vec<u8> {
    let pixels: Vec<u8> = (0..8).flat_map(|i| if i % 4 < 2 { [250, 10, 10] } else { [10, 10, 250] }).collect();
    let mut bytes = [&b"II*\0"[..], &(8 + pixels.len() as u32).to_le_bytes(), &pixels].concat();
    let bits = bytes.len() as u32 + 2 + 10 * 12 + 4;
    // Tag, type (3: 16 bits, 4: 32 bits), count, value.
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 3, 1, 4),
        (257, 3, 1, 2),
        (258, 3, 3, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (274, 3, 1, orientation.into()),
        (277, 3, 1, 3),
        (278, 3, 1, 2),
        (279, 4, 1, pixels.len() as u32),
    ];
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend([0; 4]);
    bytes.extend([8, 0, 8, 0, 8, 0]);
    bytes
}

/// The same as a WebP.
fn webp(orientation: u8) -> Vec<u8> {
    let pixels: Vec<u8> = (0..8).flat_map(|i| if i % 4 < 2 { [250, 10, 10] } else { [10, 10, 250] }).collect();
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
    let exif = [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0], &[0; 4]].concat();
    image::ImageEncoder::set_exif_metadata(&mut encoder, exif).unwrap();
    image::ImageEncoder::write_image(encoder, &pixels, 4, 2, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn pictures_of_every_format_are_turned_as_they_say() {
    let folder = tempfile::tempdir().unwrap();
    for (name, upright, turned) in [("a.tiff", tiff(1), tiff(6)), ("a.webp", webp(1), webp(6))] {
        // 6: a quarter turn to the right, so that the left side is on top.
        for (bytes, size) in [(upright, (4, 2)), (turned, (2, 4))] {
            fs::write(folder.path().join(name), bytes).unwrap();
            let output = run(folder.path(), &["--headless", "--save", "seen.png", name]);
            assert!(output.status.success(), "{name}: {}", said(&output));
            let seen = image::open(folder.path().join("seen.png")).unwrap().to_rgb8();
            assert_eq!(seen.dimensions(), size, "{name}");
            let (first, last) = (seen.get_pixel(0, 0).0, seen.get_pixel(size.0 - 1, size.1 - 1).0);
            assert!(first[0] > 200 && last[2] > 200, "{name}: {first:?} {last:?}");
        }
    }
}

#[test]
fn inputs_need_no_option_and_pictures_may_be_several() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("more")).unwrap();
    let pictures = ["a.png", "b.jpg", "more/c.png", "more/d.png"];
    pictures.iter().for_each(|name| image::RgbImage::new(64, 48).save(at(name)).unwrap());
    let cases: [(&[&str], usize); 5] = [
        (&["a.png"], 1),
        (&["more/"], 2),
        (&["a.png", "b.jpg", "more"], 4),
        (&["track", "b.jpg", "a.png"], 2),
        (&["--input", "more"], 2),
    ];
    for (inputs, frames) in cases {
        let output = run(folder.path(), &[inputs, &["--headless", "--json", "-"]].concat());
        assert!(output.status.success(), "{inputs:?}: {}", said(&output));
        assert_eq!(lines(&output.stdout).len(), frames, "{inputs:?}");
    }
    fs::write(at("film.mp4"), "a video").unwrap();
    let text = refused(folder.path(), &["a.png", "film.mp4"]);
    assert!(text.contains("film.mp4"), "{text}");
    assert_eq!(run(folder.path(), &["a.png", "--input", "b.jpg"]).status.code(), Some(2), "one or the other");
}
