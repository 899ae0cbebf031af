//! The main thread of a session: frames in a window, or painted without one.
//!
//! In: the latest frame, whenever there is one. Ends when the window is closed, the end is requested, the source has
//! ended or the observer is done. Without a display, a message says so, and the session continues without a window.

use super::frame::TrackedFrame;
use super::options::DisplayOptions;
use super::painter::Painter;
use super::session::Session;
use crate::program::console::say;
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "window")]
use {
    super::window::SessionWindow,
    crate::program::view::{Bar, FirstSize, Window, on_display_lost},
    std::time::Instant,
};

/// How often to check for the end while no frame arrives.
const FRAME_TIMEOUT: Duration = Duration::from_millis(50);
/// How long to wait for the first frame, which determines the size of the window.
#[cfg(feature = "window")]
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_millis(300);
/// The size of the window, in pixels, while the size of the frames is unknown.
#[cfg(feature = "window")]
const USUAL_FRAME: (usize, usize) = (640, 480);

/// Shows frames until the session is over.
///
/// # Errors
/// If the display fails after the window was opened.
#[cfg(feature = "window")]
pub(super) fn run(options: &DisplayOptions, session: &Arc<Session>) -> Result<()> {
    let lost = session.clone();
    on_display_lost(move || lost.end_without_display("the display is gone"));
    let Some(first) = first_frame(session) else { return Ok(()) };
    let size = match (first.frame.width(), first.frame.height()) {
        (0, _) | (_, 0) => USUAL_FRAME,
        size => size,
    };
    let size = FirstSize { picture: size, scale: options.scale, is_enlarged: true, foot: Bar::height };
    match Window::open(options.title, &size) {
        Ok(window) => {
            session.outputs().write_no_default_picture();
            SessionWindow::new(window, first, options, session.clone()).run()
        }
        Err(reason) => {
            go_on_without_window(options, &reason.to_string(), first, session);
            Ok(())
        }
    }
}

#[cfg(not(feature = "window"))]
pub(super) fn run(options: &DisplayOptions, session: &Arc<Session>) -> Result<()> {
    let reason = "this awing was built without the feature \"window\"";
    go_on_without_window(options, reason, TrackedFrame::default(), session);
    Ok(())
}

/// The first frame; an empty one if it takes long, `None` if there is nothing to show.
#[cfg(feature = "window")]
fn first_frame(session: &Session) -> Option<TrackedFrame> {
    let mut first = TrackedFrame::default();
    let start = Instant::now();
    while !session.latest.take(&mut first, FRAME_TIMEOUT) && start.elapsed() < FIRST_FRAME_TIMEOUT {
        if !session.lifecycle.is_tracking() || !session.lifecycle.is_running() {
            // It may have arrived in between.
            return session.latest.take(&mut first, Duration::ZERO).then_some(first);
        }
    }
    Some(first)
}

fn go_on_without_window(options: &DisplayOptions, reason: &str, first: TrackedFrame, session: &Session) {
    if options.paints_without_display {
        paint(first, session);
    } else {
        say(&format!("awing: {reason}; going on without a window, as with --headless"));
    }
}

/// Paints frames as a window would show them, for the observer only.
fn paint(mut frame: TrackedFrame, session: &Session) {
    let mut painter = Painter::default();
    let mut is_new = frame.frame.width() > 0;
    loop {
        if is_new {
            painter.paint_frame(&frame.frame, &frame.faces, &frame.signals);
            session.observer.after_display(&frame, false);
        }
        if session.observer.is_satisfied() {
            session.lifecycle.request_end();
        }
        // Checked before the last frame is taken, so that it is not missed.
        let is_over = !session.lifecycle.is_tracking();
        is_new = session.lifecycle.is_running() && session.latest.take(&mut frame, FRAME_TIMEOUT);
        if !session.lifecycle.is_running() || (is_over && !is_new) {
            break;
        }
    }
}
