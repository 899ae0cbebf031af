//! Lists and deletes the recordings of a collection.

use crate::program::console::{print, say, with_causes};
use crate::runtime::counted::counted;
use crate::train::collection::{FACES_FILE, Recording, Removed, Review, recordings, remove};
use anyhow::{Context, Result, bail};
use chrono::{DateTime, Local};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The word for all recordings.
const ALL: &str = "all";

/// Prints a line for each recording.
pub(super) fn list(collection: &Path) -> Result<()> {
    print(&table(collection)?)
}

/// Lists the recordings that can be deleted, and says how.
pub(super) fn list_to_forget(collection: &Path) -> Result<()> {
    let how = "awing capture --forget RECORDING deletes one of them, --forget all deletes all\n";
    print(&(table(collection)? + if recordings(collection)?.is_empty() { "" } else { how }))
}

/// Deletes the recording with this name, or all.
pub(super) fn forget(collection: &Path, name: &str) -> Result<()> {
    let there = recordings(collection)?;
    let chosen: Vec<_> = match name {
        ALL => there,
        name => there.into_iter().filter(|folder| folder.file_name().is_some_and(|n| n == name)).collect(),
    };
    if chosen.is_empty() && name != ALL {
        bail!("{} holds no recording {name}; awing capture --list shows them", collection.display());
    }
    let (mut failed, mut said) = (0, String::new());
    for folder in &chosen {
        match remove(folder) {
            Ok(removed) => said += &in_words(folder, &removed),
            Err(error) => {
                failed += 1;
                say(&format!("awing: {}", with_causes(&error)));
            }
        }
    }
    if chosen.is_empty() {
        said = format!("{} holds no recording\n", collection.display());
    }
    let printed = print(&said);
    match failed {
        0 => printed,
        n => bail!("could not delete {}", counted(n, "recording")),
    }
}

fn table(collection: &Path) -> Result<String> {
    let there = recordings(collection)?;
    if there.is_empty() {
        return Ok(format!("{} holds no recording\n", collection.display()));
    }
    let mut text = format!("in {}:\n", collection.display());
    let _ = writeln!(
        text,
        "{:<22} {:>6} {:>9} {:>9} {:>9}  last change",
        "recording", "faces", "accepted", "rejected", "size"
    );
    for folder in there {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let changed = fs::metadata(folder.join(FACES_FILE)).and_then(|file| file.modified());
        let changed = changed
            .map_or_else(|_| String::new(), |time| DateTime::<Local>::from(time).format("%Y-%m-%d %H:%M").to_string());
        let size = size(folder_bytes(&folder)?);
        let _ = match Recording::read(&folder) {
            Ok(faces) => {
                let count = |review| faces.iter().filter(|face| face.review == review).count();
                let (accepted, rejected) = (count(Review::Accepted), count(Review::Rejected));
                writeln!(text, "{name:<22} {:>6} {accepted:>9} {rejected:>9} {size:>9}  {changed}", faces.len())
            }
            // It exists all the same, and can be deleted.
            Err(error) => writeln!(text, "{name:<22} {size:>36}  {changed}  damaged: {}", with_causes(&error)),
        };
    }
    Ok(text)
}

fn in_words(folder: &Path, removed: &Removed) -> String {
    let pictures = counted(removed.pictures, "picture");
    let mut text = format!("deleted {}: {pictures} and their landmarks, {}\n", folder.display(), size(removed.bytes));
    for path in &removed.left {
        let _ = writeln!(text, "kept {}: awing did not write it", path.display());
    }
    text
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let read = || format!("cannot read {}", folder.display());
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(read)? {
        bytes += entry.with_context(read)?.metadata().with_context(read)?.len();
    }
    Ok(bytes)
}

fn size(bytes: u64) -> String {
    match bytes as f64 / 1e6 {
        megabytes if megabytes < 0.1 => format!("{:.1} kB", bytes as f64 / 1e3),
        megabytes if megabytes < 1000.0 => format!("{megabytes:.1} MB"),
        megabytes => format!("{:.1} GB", megabytes / 1e3),
    }
}
