//! Labels: JSON lines, a list of WFLW or a `.pts` file, as the first byte says.
#![no_main]

use awing::train::{Split, read_faces};
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, text)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let name = ["faces.jsonl", "list_98pt_rect_attr_train.txt", "face.pts"][usize::from(kind % 3)];
    let file = folder.path().join(name);
    fs::write(&file, text).expect("there is room for a file");
    // Only its name counts: pictures are opened later.
    fs::write(folder.path().join("face.png"), "").expect("there is room for a file");
    let path = if name.ends_with(".pts") { folder.path() } else { &file };
    let _ = read_faces(path, Split::Train);
});
