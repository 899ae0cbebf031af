//! What `--json` and `--csv` write: as the schema and the documentation say, value for value.

use serde_json::Value;
use std::process::Command;

fn track(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_awing"))
        .args(["track", "--input", "demo", "--headless", "--model", "bundled"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_fits_the_schema_and_a_wrong_one_does_not() {
    let schema: Value = serde_json::from_str(include_str!("../docs/json.schema.json")).unwrap();
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("file:///json.schema.json", schema).unwrap();
    let index = compiler.compile("file:///json.schema.json", &mut schemas).unwrap();
    let text = track(&["--faces", "2", "--frames", "120", "--json", "-"]);
    let mut lines = lines(&text);
    assert_eq!(lines.len(), 120);
    for line in &lines {
        schemas.validate(line, index).unwrap_or_else(|error| panic!("{error:#}\n{line}"));
    }
    let blinked =
        |line: &Value| line["faces"].as_array().unwrap().iter().any(|f| f["signals"]["blink_ended_left"].is_object());
    assert!(lines.iter().any(blinked), "the demo blinks every 3.5 s");
    lines[50]["faces"][0]["signals"]["yaw_deg"] = "left".into();
    assert!(schemas.validate(&lines[50], index).is_err());
}

#[test]
fn rows_say_what_lines_of_json_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.csv");
    let text = track(&["--faces", "2", "--frames", "10", "--json", "-", "--csv", path.to_str().unwrap()]);
    let table = std::fs::read_to_string(path).unwrap();
    let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let rows: Vec<Vec<&str>> = rows.collect();
    let faces: Vec<(Value, Value)> = lines(&text)
        .into_iter()
        .flat_map(|line| {
            line["faces"].as_array().unwrap().iter().map(|f| (line.clone(), f.clone())).collect::<Vec<_>>()
        })
        .collect();
    assert!(rows.len() == faces.len() && rows.len() >= 18 && rows.iter().all(|row| row.len() == header.len()));
    let close = |cell: f64, value: &Value, factor: f64| {
        let wanted = factor * value.as_f64().unwrap();
        assert!((cell - wanted).abs() < 0.02 * wanted.abs() + 0.011 * factor.abs().max(1.0), "{cell} for {wanted}");
    };
    for (row, (line, face)) in rows.iter().zip(&faces) {
        let cell = |name: &str| -> f64 {
            let column = header.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no column {name}"));
            row[column].parse().unwrap_or_else(|_| panic!("{name} is {:?}", row[column]))
        };
        let signals = &face["signals"];
        let radians = std::f64::consts::PI / 180.0;
        close(cell("frame"), &line["frame"], 1.0);
        close(cell("face_id"), &face["id"], 1.0);
        close(cell("timestamp"), &line["time_s"], 1.0);
        close(cell("confidence"), &face["score"], 1.0);
        close(cell("pose_Tx"), &signals["translation_cm"][0], 10.0);
        close(cell("pose_Ty"), &signals["translation_cm"][1], -10.0);
        close(cell("pose_Rx"), &signals["pitch_deg"], -radians);
        close(cell("pose_Ry"), &signals["yaw_deg"], -radians);
        close(cell("gaze_angle_x"), &signals["gaze_yaw_deg"], -radians);
        close(cell("eye_open_left"), &signals["eye_open_left"], 1.0);
        close(cell("mouthSmileLeft"), &signals["shapes"]["mouthSmileLeft"], 1.0);
        close(cell("x_97"), &face["landmarks"][97][0], 1.0);
        close(cell("y_0"), &face["landmarks"][0][1], 1.0);
        assert_eq!(cell("success"), 1.0);
    }
}

#[test]
fn a_neutral_start_makes_the_first_pose_straight_ahead() {
    let lines = lines(&track(&["--frames", "60", "--neutral", "--json", "-"]));
    let angles =
        |line: &Value| ["yaw_deg", "pitch_deg"].map(|angle| line["faces"][0]["signals"][angle].as_f64().unwrap());
    let (first, after) = (angles(&lines[29]), angles(&lines[32]));
    assert!(after[0].abs() < 3.0 && after[1].abs() < 3.0, "{first:?} becomes {after:?}");
}

#[test]
fn a_table_in_place_of_lines_is_refused_with_the_option_that_writes_one() {
    let output = Command::new(env!("CARGO_BIN_EXE_awing"))
        .args(["track", "--input", "demo", "--headless", "--json", "faces.csv"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--csv"));
    let output = Command::new(env!("CARGO_BIN_EXE_awing"))
        .args(["track", "--input", "demo", "--headless", "--frames", "1", "--json", "-", "--csv", "-"])
        .output()
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "the two would mix");
}
