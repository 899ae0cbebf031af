//! The promises of `awing quantize`, tested on a few drawn faces: the weights stay, and what int8 needs comes and goes,
//! in landmark models and detectors.

#[expect(dead_code, reason = "recipes are for trainings")]
mod training_set;

use awing::{Frame, Model, Models, Precision, Tracker, TrackerOptions};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use training_set::write_so_many_faces;

fn quantize(folder: &Path, pictures: &str, arguments: &[&str]) -> Model {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder).arg("quantize").args(arguments);
    let output = command.args(["--calibrate", pictures, "--pictures", "8"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = arguments.last().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("wrote {out}")));
    Model::load(&folder.join(out)).unwrap()
}

fn weights(model: &Model) -> Vec<Vec<f32>> {
    let parameters = model.config().graph().parameters();
    parameters.iter().map(|p| model.tensor(&p.name).unwrap().to_vec()).collect()
}

#[test]
fn a_file_holds_the_weights_of_all_precisions_and_what_int8_needs_until_it_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    write_so_many_faces(folder.path(), 12);
    let bundled = Models::bundled().unwrap().landmarks;
    let int8 = quantize(folder.path(), "faces.jsonl", &["--to", "int8", "--out", "int8.safetensors"]);
    let quantization = int8.config().quantization.as_ref().unwrap();
    assert!(quantization.loss.is_some() && !quantization.centres.is_empty() && !quantization.factors.is_empty());
    assert_eq!(weights(&int8), weights(&bundled));
    let again =
        quantize(folder.path(), "faces.jsonl", &["int8.safetensors", "--to", "int8", "--out", "again.safetensors"]);
    assert_eq!(again.config(), int8.config(), "it does not depend on what the file held before");
    let f16 = quantize(folder.path(), "faces.jsonl", &["int8.safetensors", "--to", "f16", "--out", "f16.safetensors"]);
    assert_eq!(f16.config().quantization, None);
    assert_eq!(weights(&f16), weights(&bundled));
}

#[test]
fn a_detector_is_quantized_on_pictures_with_boxes_and_still_finds_the_faces() {
    let folder = tempfile::tempdir().unwrap();
    let faces = write_so_many_faces(folder.path(), 8);
    let mut rows = String::new();
    for line in std::fs::read_to_string(faces).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let points: Vec<[f32; 2]> = serde_json::from_value(row["points"].clone()).unwrap();
        let range = |axis: usize| {
            let along = points.iter().map(|p| p[axis]);
            (along.clone().fold(f32::INFINITY, f32::min), along.fold(f32::NEG_INFINITY, f32::max))
        };
        let ((left, right), (brows, chin)) = (range(0), range(1));
        // Boxes begin at the forehead.
        let height = (chin - brows) / 0.76;
        let boxes = [[left, chin - height, right - left, height]];
        let _ = writeln!(rows, "{}", serde_json::json!({ "image": row["image"], "boxes": boxes }));
    }
    std::fs::write(folder.path().join("boxes.jsonl"), rows).unwrap();
    let bundled = Models::bundled().unwrap();
    bundled.detector.save(&folder.path().join("detector.safetensors")).unwrap();
    let detector =
        quantize(folder.path(), "boxes.jsonl", &["detector.safetensors", "--to", "int8", "--out", "int8.safetensors"]);
    assert!(detector.config().quantization.as_ref().unwrap().loss.is_some());
    assert_eq!(weights(&detector), weights(&bundled.detector));
    let models = Models { detector, ..bundled };
    let mut options = TrackerOptions::default();
    options.precision = Precision::Int8;
    let mut tracker = Tracker::with_models(options, &models).unwrap();
    for i in 0..8 {
        let frame = Frame::open(&folder.path().join(format!("{i}.png"))).unwrap();
        assert!(tracker.detect(&frame).unwrap()[0].score > 0.5, "picture {i}");
    }
}
