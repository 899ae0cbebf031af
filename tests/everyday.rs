//! What people type on an ordinary day does what they expect: photos and folders of them, the files that are written
//! and those that are not, help, completions and manual pages.
//!
//! Nothing here needs a display, a camera or data. The ignored test starts its own X server (`Xvfb`).

#[cfg(all(feature = "window", target_os = "linux"))]
mod display;
mod program;

use awing::Frame;
use awing::internals::Scene;
use program::{awing, lines, run, said};
use std::fs;
use std::path::Path;
use std::process::Output;

/// Writes a photo of a face.
fn write_photo(folder: &Path, name: &str) {
    let mut frame = Frame::filled(200, 160, [0; 3]);
    Scene::demo(name.len() as u64, 1).draw(0.0, &mut frame);
    frame.save(&folder.join(name)).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs it where there seems to be a display. It would say so if it tried to use it.
fn run_beside_a_display(folder: &Path, arguments: &[&str]) -> Output {
    let output = awing(folder).args(arguments).env("DISPLAY", ":4711").output().unwrap();
    assert!(output.status.success() && !said(&output).contains("without a window"), "{}", said(&output));
    output
}

#[test]
fn pictures_of_a_folder_keep_their_names_in_a_folder_that_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    ["b.png", "IMG_7.jpg", "c.webp"].iter().for_each(|name| write_photo(&photos, name));
    let output = run_beside_a_display(folder.path(), &["photos/", "--save", "new/seen/"]);
    assert!(said(&output).contains("saved new/seen/"), "{}", said(&output));
    assert_eq!(names(&folder.path().join("new/seen")), ["IMG_7.jpg", "b.png", "c.png"]);
    let before = fs::read(photos.join("b.png")).unwrap();
    assert_ne!(fs::read(folder.path().join("new/seen/b.png")).unwrap(), before);

    // Nothing is replaced that may be somebody's only picture.
    let output = run(folder.path(), &["photos/", "--save", "new/seen/"]);
    assert!(!output.status.success() && said(&output).contains("--overwrite"), "{}", said(&output));
    let output = run(folder.path(), &["photos/b.png", "--save", "photos/"]);
    assert!(!output.status.success() && said(&output).contains("would be written over"), "{}", said(&output));
    assert_eq!(fs::read(photos.join("b.png")).unwrap(), before);
    run_beside_a_display(folder.path(), &["photos/", "--save", "new/seen/", "--overwrite"]);
}

#[test]
fn a_photo_with_an_output_needs_no_window_and_writes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    write_photo(folder.path(), "photo.jpg");
    let output = run_beside_a_display(folder.path(), &["photo.jpg", "--json", "-"]);
    assert_eq!(lines(&output.stdout).len(), 1);
    run_beside_a_display(folder.path(), &["photo.jpg", "--csv", "faces.csv"]);
    assert_eq!(names(folder.path()), ["faces.csv", "photo.jpg"], "no picture that nobody asked for");
    run_beside_a_display(folder.path(), &["photo.jpg", "--save", "seen.png"]);
    assert_eq!(names(folder.path()), ["faces.csv", "photo.jpg", "seen.png"]);
}

#[test]
fn a_picture_without_an_output_or_a_display_is_saved_under_a_free_name_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write_photo(folder.path(), "awing.png");
    let output = run(folder.path(), &["awing.png", "--headless"]);
    assert_eq!(said(&output).lines().filter(|line| line.contains("awing-2.png")).count(), 1, "{}", said(&output));
    assert_eq!(names(folder.path()), ["awing-2.png", "awing.png"]);
}

#[test]
fn a_target_without_an_ending_says_how_to_name_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--input", "demo", "--headless", "--save", "new"]);
    assert!(!output.status.success() && said(&output).contains("for a folder of pictures, in /"), "{}", said(&output));
}

#[test]
fn shells_and_man_get_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(folder.path(), &["completions", shell]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("heatmaps") && text.contains("headless"), "{shell}");
    }
    let output = run(folder.path(), &["completions", "man"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains(".TH awing 1"));
    let output = run(folder.path(), &["completions", "man", "--out", "share/man1"]);
    assert!(output.status.success(), "{}", said(&output));
    let pages = names(&folder.path().join("share/man1"));
    assert!(pages.contains(&"awing.1".into()) && pages.contains(&"awing-train.1".into()), "{pages:?}");
    let train = fs::read_to_string(folder.path().join("share/man1/awing-train.1")).unwrap();
    assert!(train.contains("Examples:") && train.contains(".TH awing-train 1"), "{train}");
}

#[test]
fn landmarks_are_listed_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["landmarks"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("| left eye | 60-67 | 36-41 |"));
    assert!(run(folder.path(), &["landmarks", "--diagram", "points.png"]).status.success());
    assert!(Frame::open(&folder.path().join("points.png")).unwrap().width() > 1000);
}

#[test]
fn heatmaps_of_a_drawn_face_need_nothing_but_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["heatmaps", "--plot", "maps.png"]);
    assert!(output.status.success() && !said(&output).contains("No face"), "{}", said(&output));
    assert_eq!(names(folder.path()), ["maps.png"]);
}

#[cfg(all(feature = "window", target_os = "linux"))]
#[test]
#[ignore = "needs Xvfb"]
fn a_photo_that_is_saved_ends_by_itself_in_front_of_a_display_in_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let display = display::Display::start();
    write_photo(folder.path(), "photo.jpg");
    let mut command = awing(folder.path());
    let output = command.args(["photo.jpg", "--save", "seen.png"]).env("DISPLAY", &display.name).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(names(folder.path()), ["photo.jpg", "seen.png"]);
}
