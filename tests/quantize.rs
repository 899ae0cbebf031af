//! The promises of `awing quantize`, tested on a few drawn faces: the weights stay, and what int8 needs comes and goes.

#[expect(dead_code, reason = "recipes are for trainings")]
mod training_set;

use awing::{Model, Models};
use std::path::Path;
use std::process::{Command, Stdio};
use training_set::write_so_many_faces;

fn quantize(folder: &Path, arguments: &[&str]) -> Model {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder).arg("quantize").args(arguments);
    let output = command.args(["--calibrate", "faces.jsonl", "--faces", "8"]).stdin(Stdio::null()).output().unwrap();
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
    let int8 = quantize(folder.path(), &["--to", "int8", "--out", "int8.safetensors"]);
    let quantization = int8.config().quantization.as_ref().unwrap();
    assert!(quantization.loss.is_some() && !quantization.centres.is_empty() && !quantization.factors.is_empty());
    assert_eq!(weights(&int8), weights(&bundled));
    let again = quantize(folder.path(), &["int8.safetensors", "--to", "int8", "--out", "again.safetensors"]);
    assert_eq!(again.config(), int8.config(), "it does not depend on what the file held before");
    let f16 = quantize(folder.path(), &["int8.safetensors", "--to", "f16", "--out", "f16.safetensors"]);
    assert_eq!(f16.config().quantization, None);
    assert_eq!(weights(&f16), weights(&bundled));
}
