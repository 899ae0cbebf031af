//! Ctrl-C, and requests to terminate: the first asks for an orderly end, so that files are whole; the second ends the
//! process at once.

use crate::program::capture::end_decoders;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status that shells report of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Calls `request_end` at the first Ctrl-C, on a thread of its own.
///
/// # Errors
/// If the system does not allow it.
pub(super) fn on_interrupt(request_end: impl Fn() + Send + 'static) -> Result<()> {
    let mut is_second = false;
    let handler = move || {
        if std::mem::replace(&mut is_second, true) {
            end_decoders();
            std::process::exit(INTERRUPTED);
        }
        request_end();
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")
}

/// A flag that the first Ctrl-C sets.
///
/// # Errors
/// As [`on_interrupt`].
pub(super) fn flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::<AtomicBool>::default();
    let set = flag.clone();
    on_interrupt(move || set.store(true, Ordering::Relaxed))?;
    Ok(flag)
}
