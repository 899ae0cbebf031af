//! Ctrl-C, and requests to terminate: the first one ends the program in order, so that files are complete; the second
//! ends the process at once. Requests in close succession count as one: a key may bounce or be held down, and a parent
//! program may pass on the signal that the terminal has sent to both.

use crate::program::capture::end_decoders;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The exit status that shells report for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;
/// Requests within this time of one another count as one.
const ONE_REQUEST: Duration = Duration::from_millis(200);

/// Calls `request_end` at the first Ctrl-C, on its own thread.
///
/// # Errors
/// If the system does not allow it.
pub(super) fn on_interrupt(request_end: impl Fn() + Send + 'static) -> Result<()> {
    let mut requests = Requests::default();
    let handler = move || match requests.add(Instant::now()) {
        Request::First => request_end(),
        Request::Same => {}
        Request::Second => {
            end_decoders();
            std::process::exit(INTERRUPTED);
        }
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    First,
    /// The same as the one before it.
    Same,
    Second,
}

/// The requests so far.
#[derive(Default)]
struct Requests {
    last: Option<Instant>,
}

impl Requests {
    fn add(&mut self, now: Instant) -> Request {
        match self.last.replace(now) {
            None => Request::First,
            Some(last) if now.duration_since(last) < ONE_REQUEST => Request::Same,
            Some(_) => Request::Second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_follow_closely_are_one() {
        let start = Instant::now();
        let mut requests = Requests::default();
        let said = [0, 150, 300, 499, 700].map(|ms| requests.add(start + Duration::from_millis(ms)));
        assert_eq!(said, [Request::First, Request::Same, Request::Same, Request::Same, Request::Second]);
    }
}
