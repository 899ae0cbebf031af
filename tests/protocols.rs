//! `awing eval` on generated faces, in the layouts of the published data sets.

use awing::Frame;
use awing::internals::{Border, Scene, WFLW98_OF_IBUG68, crop_from_frame, crop_into};
use awing::{FrameSpace, Point, Rect};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Draws a face into a new picture and returns its 98 landmarks.
fn draw(seed: u64, picture: &Path) -> Vec<Point<FrameSpace>> {
    let mut frame = Frame::filled(320, 240, [0; 3]);
    let landmarks = Scene::demo(seed, 1).draw(0.7 * seed as f64, &mut frame)[0];
    fs::create_dir_all(picture.parent().unwrap()).unwrap();
    frame.save(picture).unwrap();
    landmarks.to_vec()
}

fn eval(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_awing")).arg("eval").args(arguments).output().unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = eval(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn names(summaries: &Value) -> Vec<(&str, u64)> {
    let row = |s: &Value| s["faces"].as_u64().unwrap();
    summaries.as_array().unwrap().iter().map(|s| (s["name"].as_str().unwrap(), row(s))).collect()
}

/// A folder as WFLW is distributed, with one test face for each row of attributes.
fn wflw(root: &Path, attributes: &[&str]) {
    let mut rows = String::new();
    for (i, attributes) in attributes.iter().enumerate() {
        let name = format!("0--Parade/{i}.png");
        for p in draw(i as u64, &root.join("WFLW_images").join(&name)) {
            rows += &format!("{:.6} {:.6} ", p.x, p.y);
        }
        rows += &format!("90 50 230 200 {attributes} {name}\n");
    }
    let lists = root.join("WFLW_annotations/list_98pt_rect_attr_train_test");
    fs::create_dir_all(&lists).unwrap();
    fs::write(lists.join("list_98pt_rect_attr_test.txt"), rows).unwrap();
}

#[test]
fn wflw_is_recognized_and_its_subsets_come_in_the_published_order() {
    let root = tempfile::tempdir().unwrap();
    wflw(root.path(), &["0 1 0 0 0 1", "1 0 0 0 0 1", "0 0 1 1 1 0"]);
    let path = root.path().to_str().unwrap();
    for box_source in ["truth", "dataset"] {
        let report = report(&["--data", path, "--box", box_source, "--json"]);
        assert_eq!(names(&report["summaries"]), [("wflw", 3)]);
        let subsets =
            [("pose", 1), ("expression", 1), ("illumination", 1), ("make-up", 1), ("occlusion", 1), ("blur", 2)];
        assert_eq!(names(&report["subsets"]), subsets);
        assert_eq!(report["counted"], "known");
        let thresholds = report["summaries"][0]["at"].as_array().unwrap();
        let percents: Vec<f64> = thresholds.iter().map(|at| at["threshold_percent"].as_f64().unwrap()).collect();
        assert_eq!(percents, [8.0, 10.0]);
        let nme = report["summaries"][0]["nme_percent"].as_f64().unwrap();
        let of_faces: f64 = report["faces"].as_array().unwrap().iter().map(|f| f["error"].as_f64().unwrap()).sum();
        assert!((nme - 100.0 * of_faces / 3.0).abs() < 1e-9);
    }
}

#[test]
fn a_second_look_is_more_exact_on_tilted_heads_and_said_in_the_report() {
    const SIDE: usize = 320;
    let root = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    for seed in 0..4 {
        let upright = root.path().join("upright.png");
        let points = draw(seed, &upright);
        let tilted_from_upright = crop_from_frame(Point::new(160.0, 120.0), SIDE as f32, 0.7, SIDE);
        let mut values = vec![0.0; SIDE * SIDE * 3];
        crop_into(&Frame::open(&upright).unwrap(), &tilted_from_upright, SIDE, Border::Replicate, &mut values);
        let mut tilted = Frame::filled(SIDE, SIDE, [0; 3]);
        tilted.rgb_mut().iter_mut().zip(values).for_each(|(byte, value)| *byte = (255.0 * value) as u8);
        let name = format!("{seed}.png");
        tilted.save(&root.path().join(&name)).unwrap();
        let points: Vec<_> = points.iter().map(|p| tilted_from_upright.apply(*p)).map(|p| [p.x, p.y]).collect();
        lines += &format!("{}\n", json!({"image": name, "points": points}));
    }
    let path = root.path().join("tilted.jsonl");
    fs::write(&path, lines).unwrap();
    let path = path.to_str().unwrap();
    let (first, second) = (report(&["--data", path, "--json"]), report(&["--data", path, "--second-look", "--json"]));
    let nme = |report: &Value| report["summaries"][0]["nme_percent"].as_f64().unwrap();
    assert!(nme(&second) < 0.95 * nme(&first), "{} and {}", nme(&first), nme(&second));
    assert_eq!((&first["second_look"], &second["second_look"]), (&json!(false), &json!(true)));
}

#[test]
fn a_broken_row_is_reported_with_file_and_line() {
    let root = tempfile::tempdir().unwrap();
    wflw(root.path(), &["0 0 0 0 0 0", "0 0 0 7 0 0"]);
    let output = eval(&["--data", root.path().to_str().unwrap()]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("list_98pt_rect_attr_test.txt:2: "), "{message}");
    assert!(message.contains("make-up is 7") && !message.contains("panicked"), "{message}");
}

#[test]
fn w300_is_recognized_and_has_common_challenge_and_full() {
    let root = tempfile::tempdir().unwrap();
    for (i, folder) in ["afw", "helen/trainset", "helen/testset", "lfpw/testset", "ibug"].into_iter().enumerate() {
        let points = draw(i as u64, &root.path().join(folder).join("face.png"));
        // Coordinates in a .pts file are 1-based.
        let lines = WFLW98_OF_IBUG68.map(|of98| format!("{:.4} {:.4}\n", points[of98].x + 1.0, points[of98].y + 1.0));
        let text = format!("version: 1\nn_points: 68\n{{\n{}}}\n", lines.concat());
        fs::write(root.path().join(folder).join("face.pts"), text).unwrap();
    }
    let path = root.path().to_str().unwrap();
    let automatic = report(&["--data", path, "--json"]);
    assert_eq!(names(&automatic["summaries"]), [("helen", 1), ("ibug", 1), ("lfpw", 1), ("all", 3)]);
    assert_eq!(names(&automatic["subsets"]), [("challenge", 1), ("common", 2), ("full", 3)]);
    assert_eq!(automatic["counted"], "ibug68");
    assert_eq!(automatic, report(&["--data", path, "--format", "300w", "--json"]));
    // The 68 points do not include the pupils.
    let output = eval(&["--data", path, "--norm", "pupil"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("norm"));
}

#[test]
fn detections_are_written_with_their_picture() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let face = Rect::around(draw(1, &root.path().join("scene.png"))).unwrap();
    let head = [face.x, face.y - 0.3 * face.height, face.width, 1.3 * face.height];
    fs::write(at("scenes.jsonl"), json!({"image": "scene.png", "boxes": [head]}).to_string()).unwrap();
    report(&["--detection", "--data", &at("scenes.jsonl"), "--predictions", &at("found.jsonl"), "--json"]);
    let line: Value = serde_json::from_str(&fs::read_to_string(at("found.jsonl")).unwrap()).unwrap();
    assert!(line["image"].as_str().unwrap().ends_with("scene.png"));
    let found = line["faces"].as_array().unwrap();
    assert!(found.len() == 1 && found[0]["score"].as_f64().unwrap() > 0.5, "{line}");
    let found = [0, 1, 2, 3].map(|i| found[0]["box"][i].as_f64().unwrap() as f32);
    assert!(Rect::<FrameSpace>::new(found[0], found[1], found[2], found[3]).iou(&face) > 0.5, "{line}");
}

#[test]
fn two_reports_are_compared_and_predictions_have_one_line_per_face() {
    let root = tempfile::tempdir().unwrap();
    wflw(root.path(), &["0 0 0 0 0 0", "0 0 0 0 0 0", "0 0 0 0 0 0"]);
    let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let path = root.path().to_str().unwrap();
    let output = eval(&["--data", path, "--json", "--predictions", &at("lines.jsonl"), "--plot", &at("curve.png")]);
    fs::write(at("a.json"), &output.stdout).unwrap();
    fs::write(at("b.json"), eval(&["--data", path, "--json", "--box", "dataset"]).stdout).unwrap();
    let comparisons = report(&["--compare", &at("a.json"), &at("b.json"), "--json"]);
    assert_eq!(comparisons[0]["figure"], "NME, %");
    assert_eq!(comparisons[0]["faces"], 3);
    let of = |key: &str| comparisons[0][key].as_f64().unwrap();
    assert!((of("second") - of("first") - of("difference")).abs() < 1e-9);
    assert!(comparisons[0]["interval"][0].as_f64().unwrap() <= of("difference"));

    let lines = fs::read_to_string(at("lines.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3);
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((line["landmarks"].as_array().unwrap().len(), line["image"].as_str()), (98, Some("0--Parade/0.png")));
    assert!((0.0..=1.0).contains(&line["score"].as_f64().unwrap()));
    assert!(Frame::open(Path::new(&at("curve.png"))).unwrap().width() > 100);
}
