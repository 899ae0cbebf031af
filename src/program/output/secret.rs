//! Secrets that are stored across starts, so that access once granted stays granted.
//!
//! In and out: short texts by name, in files of a folder that only its owner can enter. Errors name the file.

use crate::program::places;
use crate::runtime::files::{private_folder, read_text, write_whole};
use anyhow::{Context, Result};

/// A new one: 128 random bits in hexadecimal digits.
///
/// # Errors
/// If the system has no random numbers.
pub(super) fn random() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The one of this name, if there is one that can be read.
pub(super) fn stored(name: &str) -> Option<String> {
    let text = read_text(&places::secrets()?.join(name)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Keeps one under this name.
///
/// # Errors
/// If there is no home folder, or it can't be written.
pub(super) fn store(name: &str, secret: &str) -> Result<()> {
    let folder = places::secrets().context("there is no home folder to keep it in")?;
    let path = folder.join(name);
    private_folder(true)
        .create(&folder)
        .and_then(|()| write_whole(&path, secret.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
