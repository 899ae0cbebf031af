//! The pages of the documentation: links lead somewhere, and nothing names a page that is gone.

use std::fs;
use std::path::{Path, PathBuf};

/// The files with this ending in the folder and those below it, but for builds and what Git ignores.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "dist", "out"].contains(&name.as_str()) {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

fn all(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(Path::new(env!("CARGO_MANIFEST_DIR")), endings, &mut found);
    assert!(!found.is_empty());
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap_or_default())).collect()
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_a_title_that_are_there() {
    let mut broken = Vec::new();
    for (page, text) in all(&[".md"]) {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let (file, title) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let has_title = || {
                let anchor = |line: &str| {
                    let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                    words.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect::<String>()
                };
                let text = fs::read_to_string(&target).unwrap_or_default();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == title)
            };
            if !target.exists() || (!title.is_empty() && !has_title()) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn pages_that_code_recipes_and_scripts_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (file, text) in all(&[".rs", ".toml", ".py", ".sh", ".yml", ".md"]) {
        for rest in text.split("docs/").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_/.".contains(*c)).collect();
            let name = name.trim_end_matches('.');
            let is_page = [".md", ".png", ".gif", ".json", ".csv"].iter().any(|ending| name.ends_with(ending));
            if is_page && !root.join("docs").join(name).exists() {
                missing.push(format!("{}: docs/{name}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
