//! Ctrl-C: the first asks to end in order, so that files are whole; the second ends at once.

use super::say;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What shells report of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// A flag that Ctrl-C (or a request to terminate) sets.
///
/// # Errors
/// If the system does not let us listen, or someone listens already.
pub(super) fn listen() -> Result<Arc<AtomicBool>> {
    listen_and_answer(None)
}

/// As [`listen`]; the first Ctrl-C is answered with this line on standard error, if any.
///
/// # Errors
/// As [`listen`].
pub(super) fn listen_and_answer(line: Option<&'static str>) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let handler = move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        if let Some(line) = line {
            say(line);
        }
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")?;
    Ok(stop)
}
