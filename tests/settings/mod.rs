//! What awing remembers for a person: `awing.toml` and profiles.

use super::*;

const THREE: [&str; 5] = ["--headless", "--input", "demo", "--frames", "3"];

/// Writes the file of the platform's place.
fn configure(folder: &Path, text: &str) {
    fs::create_dir_all(folder.join("config/awing")).unwrap();
    fs::write(folder.join("config/awing/awing.toml"), text).unwrap();
}

#[test]
fn the_file_says_what_the_person_does_not_and_arguments_win() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    configure(folder.path(), "[camera]\ninput = \"demo\"\nsize = \"320x240\"\n[output]\ncsv = \"faces.csv\"\n");
    let size = |arguments: &[&str]| {
        let output = run(folder.path(), &[&["--headless", "--frames", "2", "--json", "-"], arguments].concat());
        assert!(output.status.success(), "{}", said(&output));
        let line = lines(&output.stdout)[0].clone();
        (line["width"].as_u64(), line["height"].as_u64())
    };
    assert_eq!(size(&[]), (Some(320), Some(240)));
    assert!(at("config/awing/faces.csv").exists(), "paths are relative to the file");
    assert_eq!(size(&["--size", "400x300"]), (Some(400), Some(300)), "arguments win");
    assert_eq!(size(&["demo"]), (Some(320), Some(240)), "an input without an option, too");
    assert_eq!(size(&["--no-config", "--input", "demo"]), (Some(640), Some(480)));
    fs::write(at("other.toml"), "camera.size = \"480x360\"\n").unwrap();
    assert_eq!(size(&["--config", "other.toml", "--input", "demo"]), (Some(480), Some(360)));
    let output = run(folder.path(), &["track", "--headless", "--frames", "1", "--json", "-"]);
    assert_eq!(lines(&output.stdout)[0]["width"], 320, "{}", said(&output));
}

#[test]
fn what_is_wrong_in_the_file_is_said_with_file_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("\n[camera]\nzoom = 2\n", &["line 3", "zoom", "size"][..]),
        ("[camera]\nsize = \"axb\"\n", &["line 2", "camera.size = \"axb\"", "--size"]),
        ("[look]\nstyle = \"neon\"\n", &["line 2", "neon", "minimal"]),
        ("[tracking]\nfaces = 0\n", &["line 2", "faces"]),
        ("profile = \"../x\"\n", &["line 1", "profile", "letters"]),
        ("[output]\nosf = \"11573\"\n", &["line 2: output.osf = \"11573\": ", "host is missing"]),
        ("[output]\n\nvmc = \"localhost:osc\"\n", &["line 3: output.vmc = ", "is no port"]),
        ("[output]\nifacialmocap = \"http://localhost:1\"\n", &["line 2: output.ifacialmocap = ", "is no host"]),
        ("[output]\nvts = \"wss://localhost\"\n", &["line 2: output.vts = ", "begin with ws://"]),
        ("[output]\nserve = \"localhost:99999\"\n", &["line 2: output.serve = ", "is no port"]),
        ("[look\n", &["line 1"]),
    ] {
        configure(folder.path(), text);
        for arguments in [&THREE[..], &["config"]] {
            let output = run(folder.path(), arguments);
            let told = said(&output);
            assert_eq!(output.status.code(), Some(1), "{text}: {told}");
            assert!(told.contains("awing.toml") && words.iter().all(|word| told.contains(word)), "{text}: {told}");
            assert!(!told.contains("For more information") && !told.contains(": --"), "{told}");
        }
    }
    let output = run(folder.path(), &[&["--config", "nowhere.toml"], &THREE[..]].concat());
    assert!(!output.status.success() && said(&output).contains("nowhere.toml"), "{}", said(&output));
}

#[test]
fn what_fails_later_is_said_with_its_place_in_the_file_unless_an_argument_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("config/awing")).unwrap();
    fs::write(folder.path().join("config/awing/notes.txt"), "Dear reader,").unwrap();
    for (text, place, option) in [
        ("[output]\nvmc = \"nowhere.invalid\"\n", "line 2: output.vmc: ", "--vmc"),
        ("[output]\n\nserve = \"192.0.2.1:8098\"\n", "line 3: output.serve: ", "--serve"),
        ("[output]\ncsv = \"notes.txt\"\n", "line 2: output.csv: ", "--csv"),
    ] {
        configure(folder.path(), text);
        let told = said(&run(folder.path(), &THREE));
        assert!(told.contains("awing.toml, ") && told.contains(place), "{told}");
        let replaced = run(folder.path(), &[&THREE[..], &[option, "nowhere.invalid:99999/x"]].concat());
        let told = said(&replaced);
        assert!(!replaced.status.success() && !told.contains("awing.toml"), "{told}");
    }
}

#[test]
fn config_shows_what_is_in_force_and_writes_a_commented_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let shown = || String::from_utf8(run(folder.path(), &["config"]).stdout).unwrap();
    assert!(shown().starts_with("there is no ") && shown().contains("awing config --init"), "{}", shown());
    let output = run(folder.path(), &["config", "--init"]);
    assert!(output.status.success(), "{}", said(&output));
    let file = folder.path().join("config/awing/awing.toml");
    assert!(fs::read_to_string(&file).unwrap().contains("#size = "));
    assert!(run(folder.path(), &THREE).status.success(), "it changes nothing");
    fs::write(&file, "[camera]\n\nsize = \"320x240\"\n").unwrap();
    let again = run(folder.path(), &["config", "--init"]);
    assert!(!again.status.success() && said(&again).contains("is there already"), "{}", said(&again));
    let row = |name: &str| shown().lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("camera.size").contains("320x240") && row("camera.size").ends_with("line 3"));
    assert!(row("look.style").ends_with("default"));
}

#[test]
fn a_profile_is_kept_listed_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let listed = || String::from_utf8(run(folder.path(), &["profiles"]).stdout).unwrap();
    assert!(listed().contains("no profile yet"));
    let pitch = |arguments: &[&str]| {
        let output = run(folder.path(), &[&["--headless", "--input", "demo", "--json", "-"], arguments].concat());
        assert!(output.status.success(), "{}", said(&output));
        let lines = lines(&output.stdout);
        lines[0]["faces"][0]["signals"]["pitch_deg"].as_f64().unwrap()
    };
    let before = pitch(&["--frames", "60", "--neutral", "--profile", "anna"]);
    let stored = folder.path().join("data/awing/profiles/anna.json");
    assert!(stored.exists() && listed().starts_with("anna  "), "{}", listed());
    let after = pitch(&["--frames", "1", "--profile", "anna"]);
    assert!((before - after).abs() > 0.05, "the neutral pose is known from the first frame on: {before}, {after}");
    assert_eq!(pitch(&["--frames", "1"]), before, "without a profile nothing is known");
    fs::write(&stored, "{}").unwrap();
    let damaged = run(folder.path(), &[&THREE[..], &["--profile", "anna"]].concat());
    assert!(!damaged.status.success() && said(&damaged).contains("awing profiles forget anna"), "{}", said(&damaged));
    assert_eq!(fs::read_to_string(&stored).unwrap(), "{}", "what can't be read is not replaced");
    assert!(run(folder.path(), &["profiles", "forget", "anna"]).status.success());
    assert!(!stored.exists());
    let unknown = run(folder.path(), &["profiles", "forget", "anna"]);
    assert!(!unknown.status.success() && said(&unknown).contains("no profile anna"), "{}", said(&unknown));
    let invalid = run(folder.path(), &["--profile", "../anna"]);
    assert_eq!(invalid.status.code(), Some(2), "{}", said(&invalid));
}
