//! The promises of `awing eval` and of trainings about annotation styles: a model is measured in the style of the data,
//! to which it is fitted on other faces.

#[expect(dead_code, reason = "every test here needs as many faces as it says")]
mod training_set;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use training_set::{write_recipe, write_so_many_faces};

/// The quarter points of the inner lip.
const INNER_LIP: [usize; 4] = [89, 91, 93, 95];
const NOSE_TIP: usize = 54;
const FITTED: usize = 40;

fn awing(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder).args(arguments.split_whitespace()).stdin(Stdio::null()).output().unwrap()
}

fn succeed(folder: &Path, arguments: &str) -> String {
    let output = awing(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fail(folder: &Path, arguments: &str) -> String {
    let output = awing(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

/// Writes `fit.jsonl` with [`FITTED`] faces and `others.jsonl` with four, as a data set annotates them that puts the
/// points of the inner lip five pixels to the right and doesn't have the tip of the nose.
fn write_styled_faces(folder: &Path) {
    let faces = fs::read_to_string(write_so_many_faces(folder, FITTED + 4)).unwrap();
    let restyled: Vec<String> = faces
        .lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            row["scheme"] = "frl189".into();
            for i in INNER_LIP {
                row["points"][i][0] = (row["points"][i][0].as_f64().unwrap() + 5.0).into();
            }
            row["weight"] = (0..98).map(|i| u8::from(i != NOSE_TIP)).collect();
            row["points"][NOSE_TIP] = serde_json::json!([0.0, 0.0]);
            row.to_string() + "\n"
        })
        .collect();
    fs::write(folder.join("fit.jsonl"), restyled[..FITTED].concat()).unwrap();
    fs::write(folder.join("others.jsonl"), restyled[FITTED..].concat()).unwrap();
}

#[test]
fn a_model_is_measured_in_the_style_that_it_was_fitted_to_on_other_faces() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_styled_faces(folder);
    let lips = |model: &str, key: &str| {
        succeed(folder, &format!("eval {model} --data others.jsonl --predictions predictions.jsonl --overwrite"));
        let truth = fs::read_to_string(folder.join("others.jsonl")).unwrap();
        let predicted = fs::read_to_string(folder.join("predictions.jsonl")).unwrap();
        let mut off = Vec::new();
        for (truth, predicted) in truth.lines().zip(predicted.lines()) {
            let rows: [Value; 2] = [truth, predicted].map(|line| serde_json::from_str(line).unwrap());
            let x = |row: &Value, i: usize| row[i][0].as_f64().unwrap();
            off.extend(INNER_LIP.map(|i| x(&rows[0]["points"], i) - x(&rows[1][key], i)));
        }
        off.iter().sum::<f64>() / off.len() as f64
    };
    succeed(folder, "eval --data fit.jsonl --fit-style fitted.safetensors");
    let (before, after) = (lips("", "landmarks"), lips("--model fitted.safetensors", "landmarks98"));
    assert!((before - 5.0).abs() < 1.5, "{before}");
    assert!(after.abs() < 0.5, "{after}");
    let as_the_model_places_them = lips("--model fitted.safetensors", "landmarks");
    assert!((as_the_model_places_them - before).abs() < 1e-3);
}

#[test]
fn too_few_faces_of_a_style_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_styled_faces(folder.path());
    let message = fail(folder.path(), "eval --data others.jsonl --fit-style fitted.safetensors");
    assert!(message.contains("40 faces"), "{message}");
    assert!(!folder.path().join("fitted.safetensors").exists());
}

#[test]
fn a_training_maps_styles_by_the_model_that_it_starts_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_styled_faces(folder);
    let of_one_style = ("points = 98", "points = 98\nstyle = \"wflw\"");
    write_recipe(folder, 1, &[of_one_style]);
    succeed(folder, "train --data fit.jsonl --recipe recipe.toml --out plain --threads 1");
    write_recipe(folder, 1, &[of_one_style, ("batch_size = 4", "batch_size = 4\nmap_styles = true")]);
    let mapping = "train --data fit.jsonl --recipe recipe.toml --out mapped --threads 1";
    for start in ["", "--start-from plain/model.safetensors"] {
        let message = fail(folder, &format!("{mapping} {start}"));
        assert!(message.contains("map_styles") && message.contains("--start-from"), "{message}");
    }
    succeed(folder, "eval --data fit.jsonl --model plain/model.safetensors --fit-style fitted.safetensors");
    succeed(folder, &format!("{mapping} --start-from fitted.safetensors"));
    let model = fs::read(folder.join("mapped/model.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&model).contains("style_fits"));
}
