//! A recipe.
#![no_main]

use awing::train::Recipe;
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("recipe.toml");
    fs::write(&file, bytes).expect("there is room for a file");
    let _ = Recipe::load(&file);
});
