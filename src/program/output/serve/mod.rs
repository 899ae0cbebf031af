//! A page for browsers, and a WebSocket with the lines of JSON, over HTTP.
//!
//! In: each tracked frame with its line of JSON, the state of the session, and what people ask for on the page. Out: the
//! page, which shows all of it (`docs/outputs.md`), to browsers on this computer; to others only with a token.
//!
//! | file | holds |
//! |---|---|
//! | `listener` | the address that is listened to, found before a session starts |
//! | `guard` | who is let in: host, origin, token |
//! | `http` | requests and answers |
//! | `connection` | a connection from its request to its end |
//! | `viewer` | a WebSocket |
//! | `hub` | what viewers are sent and what they ask for |
//! | `picture` | frames as JPEG |
//! | `page` | the page itself: HTML, style, script |
//!
//! Nobody who is connected is waited for: each connection has threads of its own, and of the frames that come while one is
//! busy the newest wins. Connections, sizes of messages and times are bounded. What a client does wrong ends its
//! connection; the first of each kind is reported as a warning.

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

/// A server at work. It says farewell to its viewers when it is dropped.
pub(crate) struct Server {
    hub: Arc<Hub>,
    pictures: Pictures,
}

/// What the session and the page have to say to each other.
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

    /// Where the page asks.
    pub(crate) fn desk(&self) -> Desk {
        Desk(self.hub.clone())
    }

    /// Whether anybody watches: lines are only for them.
    pub(crate) fn has_viewers(&self) -> bool {
        self.hub.has_viewers()
    }

    /// Hands over a frame and its line of JSON.
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
    /// What was asked for since the last call; waits up to `timeout` for it. `None` once the server has ended.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Vec<Action>> {
        self.0.wait_for_actions(timeout)
    }

    /// Shows the state of the session.
    pub(crate) fn show(&self, status: PageStatus) {
        self.0.show(status);
    }
}
