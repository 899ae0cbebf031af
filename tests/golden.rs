//! Golden outputs of the whole program: the built-in demo in, lines of JSON out, compared with `tests/golden`.
//!
//! After a change that is meant to alter them, run `AWING_REWRITE_GOLDEN=1 cargo test --release --test golden` and look
//! at the difference before you commit it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The largest accepted shift, in pixels of the frame. Instruction sets sum in different orders, and the detector runs
/// in the fastest precision of the core, so the first crop differs slightly.
const LARGEST_SHIFT: f64 = 1.0;
/// The largest accepted change of scores and confidences.
const LARGEST_CHANGE: f64 = 0.06;
/// The largest accepted change of angles in degrees and of lengths in centimetres.
const LARGEST_TURN: f64 = 1.5;

/// The faces of every line; times are not compared.
fn faces(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["faces"].take()).collect()
}

/// The first place where the values differ by more than the bound for their kind.
fn difference(path: &str, actual: &Value, expected: &Value, bound: f64) -> Option<String> {
    match (actual, expected) {
        (Value::Number(a), Value::Number(e)) => {
            let (a, e) = (a.as_f64()?, e.as_f64()?);
            ((a - e).abs() > bound).then(|| format!("{path}: {a} instead of {e}"))
        }
        (Value::Array(a), Value::Array(e)) if a.len() == e.len() => {
            let mut pairs = a.iter().zip(e).enumerate();
            pairs.find_map(|(i, (a, e))| difference(&format!("{path}[{i}]"), a, e, bound))
        }
        (Value::Object(a), Value::Object(e)) if a.len() == e.len() => e.iter().find_map(|(key, e)| {
            let bound = match key.as_str() {
                "box" | "landmarks" => LARGEST_SHIFT,
                key if key.ends_with("_deg") || key.ends_with("_cm") => LARGEST_TURN,
                _ => LARGEST_CHANGE,
            };
            difference(&format!("{path}.{key}"), a.get(key).unwrap_or(&Value::Null), e, bound)
        }),
        _ => (actual != expected).then(|| format!("{path}: {actual} instead of {expected}")),
    }
}

fn check(name: &str, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_awing"))
        .args(["--headless", "--model", "bundled", "--precision", "f32", "--json", "-"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let actual = faces(&text);
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("AWING_REWRITE_GOLDEN").is_some() {
        let lines: Vec<String> = actual.iter().map(Value::to_string).collect();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let expected: Vec<Value> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(actual.len(), expected.len(), "frames");
    for (number, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        if let Some(difference) = difference(&format!("{name}, frame {number}"), actual, expected, 0.0) {
            panic!("{difference}");
        }
    }
}

#[test]
fn one_demo_face_is_followed_as_before() {
    check("demo.jsonl", &["--input", "demo", "--frames", "12"]);
}

#[test]
fn two_demo_faces_without_smoothing_are_found_as_before() {
    check("two-faces.jsonl", &["--input", "demo", "--faces", "2", "--no-smooth", "--frames", "6"]);
}
