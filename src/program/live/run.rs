//! Starts the threads of a session and waits for its end.

use super::desk;
use super::display;
use super::lifecycle::Lifecycle;
use super::observer::Observer;
use super::options::SessionOptions;
use super::outputs::Outputs;
use super::session::Session;
use super::tracking::{TrackingLoop, Watched};
use anyhow::{Context, Result, anyhow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// Runs a session on this thread, which has to be the main one if there is a window, and on others of its own. It ends
/// with its source, at [`Lifecycle::request_end`], or when the window is closed.
///
/// # Errors
/// The first failure: of a model, an output, the source, a network or the display.
pub(crate) fn run(options: SessionOptions, lifecycle: &Arc<Lifecycle>, observer: Arc<dyn Observer>) -> Result<()> {
    let SessionOptions { source, tracker: setup, signals, outputs, display, frames } = options;
    let tracker = setup.tracker()?;
    // After the models: this empties files.
    let outputs = Outputs::create(&outputs, &|| lifecycle.is_running())?;
    let desk = outputs.desk();
    let session = Arc::new(Session::new(lifecycle.clone(), observer, &setup, outputs));
    let stays = display.as_ref().is_some_and(|display| display.stays);
    let watched = Watched { is_served: desk.is_some(), stays };
    let mut tracking = TrackingLoop::new(session.clone(), source, setup, tracker, signals, watched, frames);
    let tracked = session.clone();
    spawn("tracking", move || {
        let result = catch_unwind(AssertUnwindSafe(|| tracking.run()));
        let failed = |_| Err(anyhow!("tracking failed unexpectedly: please report this"));
        // Before the session and the program end: a source may hold a process.
        drop(tracking);
        tracked.lifecycle.tracking_ended(result.unwrap_or_else(failed));
    })?;
    if let Some(desk) = desk {
        let attended = session.clone();
        spawn("desk", move || desk::attend(&attended, &desk))?;
    }
    let ended = session.clone();
    spawn("ending", move || ended.bring_to_an_end())?;
    let shown = display.map_or(Ok(()), |display| {
        let shown = catch_unwind(AssertUnwindSafe(|| display::run(&display, &session)));
        shown.unwrap_or_else(|_| Err(anyhow!("the window failed unexpectedly: please report this")))
    });
    if shown.is_err() {
        session.lifecycle.request_end();
    }
    session.lifecycle.display_closed();
    session.lifecycle.wait_for_end().and(shown)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).context("cannot start a thread")?;
    Ok(())
}
