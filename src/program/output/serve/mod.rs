//! A page for browsers, and a WebSocket with the JSON lines, over HTTP.
//!
//! In: each tracked frame with its JSON line, the state of the session, and requests from the page. Out: the page,
//! which shows all of it (`docs/outputs.md`), to browsers on this computer; to others only with a token.
//!
//! | file | holds |
//! |---|---|
//! | `listener` | the listening address, opened before a session starts |
//! | `guard` | access control: host, origin, token |
//! | `http` | requests and answers |
//! | `connection` | a connection from its request to its end |
//! | `viewer` | a WebSocket |
//! | `hub` | messages to and requests from viewers |
//! | `picture` | frames as JPEG |
//! | `page` | the page itself: HTML, style, script |
//!
//! The session never waits for a client: each connection has its own threads, and while one is busy, the newest frame
//! replaces older ones. Connections, message sizes and times are limited. A client's fault ends its connection; the
//! first of each kind is reported as a warning.

mod connection;
mod guard;
mod http;
mod hub;
mod listener;
mod picture;
mod viewer;

pub(crate) use hub::{Action, Notice, PageStatus, TuningProgress};
pub(crate) use listener::Listener;

use crate::runtime::image::Frame;
use anyhow::{Context, Result};
use hub::{Hub, Update};
use picture::Pictures;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long the end of a session waits until viewers have the last frame.
const FAREWELL: Duration = Duration::from_millis(300);

/// A running server. It closes its connections when dropped.
pub(crate) struct Server {
    hub: Arc<Hub>,
    pictures: Pictures,
}

/// The messages between session and page.
pub(crate) struct Desk(Arc<Hub>);

impl Server {
    /// Starts to answer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(listener: &Listener) -> Result<Self> {
        let hub = Arc::new(Hub::new());
        let pictures = Pictures::start(hub.clone())?;
        let (accepted, listener) = (hub.clone(), listener.clone());
        // It ends with the process: nothing wakes a thread that waits for connections.
        let accepting = move || connection::accept_all(&listener, &accepted);
        thread::Builder::new().name("serving".into()).spawn(accepting).context("cannot start a thread")?;
        Ok(Self { hub, pictures })
    }

    /// A handle for reading requests from pages and showing them the state of the session.
    pub(crate) fn desk(&self) -> Desk {
        Desk(self.hub.clone())
    }

    /// Whether there are viewers: otherwise no lines are made.
    pub(crate) fn has_viewers(&self) -> bool {
        self.hub.has_viewers()
    }

    /// Passes on a frame and its JSON line.
    pub(crate) fn publish(&mut self, number: u64, captured: Option<Instant>, line: &str, frame: &Frame) {
        let update = Update { number, captured, line: line.into(), jpeg: None };
        if self.hub.wants_picture() {
            self.pictures.put(update.clone(), frame);
        }
        self.hub.publish(update);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.pictures.finish();
        self.hub.close(FAREWELL);
    }
}

impl Desk {
    /// The requests since the last call; waits up to `timeout` for one. `None` once the server has ended.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Vec<Action>> {
        self.0.wait_for_actions(timeout)
    }

    /// Shows the state of the session.
    pub(crate) fn show(&self, status: PageStatus) {
        self.0.show(status);
    }
}
