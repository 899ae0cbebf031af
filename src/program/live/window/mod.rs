//! A session in its window: the latest frame, the elements around it, keys and mouse.
//!
//! In: the latest frame and its faces, whenever there is one. Out: settings and requests to the tracking thread, and
//! pictures taken with a key. It runs on the main thread, as windows require, and only displays. Only the display can
//! fail.
//!
//! | file | holds |
//! |---|---|
//! | `painting` | everything on the canvas |
//! | `furniture` | bar, menus and help |
//! | `fading` | faces that fade in and out |
//! | `words` | states and messages as text |
//! | `commands` | the effects of keys, clicks and menus |
//! | `mouse` | moves and clicks |

mod commands;
mod fading;
mod furniture;
mod mouse;
mod painting;
mod words;

use super::collecting::CollectingStatus;
use super::controls::SessionStatus;
use super::figures::Figures;
use super::frame::TrackedFrame;
use super::inspector::NetworkInspector;
use super::options::DisplayOptions;
use super::painter::Painter;
use super::session::Session;
use super::tuning::TuningStatus;
use crate::program::view::{Bar, Menu, Room, Window};
use anyhow::Result;
use fading::Fading;
use mouse::Mouse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long the window waits for a frame before it looks at the keys again: a frame of a fast screen.
const KEY_INTERVAL: Duration = Duration::from_millis(15);
/// How long the hint about help is shown at the start.
const WELCOME_DURATION: Duration = Duration::from_secs(8);
/// How often the clock of a recording is painted at least.
const CLOCK_INTERVAL: Duration = Duration::from_millis(500);
/// How long the only tracked face may be away before all faces are tracked again.
const ALONE_PATIENCE: Duration = Duration::from_secs(5);

type Cameras = Result<Vec<(u32, String)>, String>;

/// An open window and what it shows.
pub(super) struct SessionWindow {
    session: Arc<Session>,
    window: Window,
    painter: Painter,
    inspector: NetworkInspector,
    tracked: TrackedFrame,
    fading: Fading,
    status: SessionStatus,
    collecting: CollectingStatus,
    tuning: Option<TuningStatus>,
    /// The count of model changes at the last check.
    model_changes: u64,
    mouse: Mouse,
    bar: Bar,
    menu: Option<Menu>,
    /// The pending list of cameras.
    cameras: Option<Receiver<Cameras>>,
    /// The size of the canvas that was painted last, in pixels, and the part that the picture has.
    size: (usize, usize),
    room: Room,
    needs_paint: bool,
    painted: Instant,
    /// The requested mirroring; `None`: by source.
    is_mirrored: Option<bool>,
    /// Whether a live picture is frozen.
    is_frozen: bool,
    /// Whether there will be no more frames.
    is_over: bool,
    shows_figures: bool,
    /// The page of help that is open, and how many there are.
    help_page: Option<usize>,
    help_pages: usize,
    /// When a face was last seen.
    face_seen: Instant,
    /// The last message, and until when it is shown.
    message: Option<(String, Instant)>,
    /// The number of the last notice shown.
    heard: u64,
    figures: Figures,
}

impl SessionWindow {
    /// A session in `window`; its first frame may be empty.
    pub(super) fn new(window: Window, first: TrackedFrame, options: &DisplayOptions, session: Arc<Session>) -> Self {
        let mut painter = Painter::with(options.look);
        painter.overlay.scale = window.scale();
        let now = Instant::now();
        let mut fading = Fading::new();
        fading.set(&first.faces, &first.signals, false);
        Self {
            inspector: NetworkInspector::new(session.models.in_use()),
            model_changes: 0,
            tuning: None,
            session,
            window,
            painter,
            figures: Figures::new(first.number),
            tracked: first,
            fading,
            status: SessionStatus::default(),
            collecting: CollectingStatus::default(),
            mouse: Mouse::default(),
            bar: Bar::default(),
            menu: None,
            cameras: None,
            size: (0, 0),
            room: Room::default(),
            needs_paint: true,
            painted: now,
            is_mirrored: options.is_mirrored,
            is_frozen: false,
            is_over: false,
            shows_figures: false,
            help_page: None,
            help_pages: 1,
            face_seen: now,
            message: Some(("H: help".into(), now + WELCOME_DURATION)),
            heard: 0,
        }
    }

    /// Shows frames until the window is closed, the end is requested, or no further frame comes.
    ///
    /// # Errors
    /// If the display fails.
    pub(super) fn run(&mut self) -> Result<()> {
        let session = self.session.clone();
        let mut next = TrackedFrame::default();
        let mut is_new = self.tracked.frame.width() > 0;
        while session.lifecycle.is_running() {
            self.read_status();
            if std::mem::take(&mut self.needs_paint) {
                self.show(is_new)?;
            } else {
                self.window.keep()?;
            }
            self.follow_mouse();
            self.follow_keys();
            if session.observer.is_satisfied() {
                session.lifecycle.request_end();
            }
            // Checked before the last frame is taken, so that it is not missed.
            self.is_over = !session.lifecycle.is_tracking();
            let has_come = session.latest.take(&mut next, KEY_INTERVAL);
            is_new = has_come && !self.is_frozen;
            if is_new {
                std::mem::swap(&mut self.tracked, &mut next);
                self.fading.set(&self.tracked.faces, &self.tracked.signals, self.status.is_slide_show);
                self.inspector.invalidate();
                self.needs_paint = true;
            }
            if self.is_over && !has_come {
                break;
            }
        }
        Ok(())
    }

    /// Reads the status of the tracking thread, and detects other changes of the picture.
    fn read_status(&mut self) {
        let session = self.session.clone();
        session.gather_news();
        let status = session.controls.status();
        if *status != self.status {
            self.status.clone_from(&status);
            self.needs_paint = true;
        }
        drop(status);
        let name = if self.status.source.is_empty() { String::new() } else { format!("{} - ", self.status.source) };
        self.window.set_title(&format!("{name}awing"));
        let collecting = self.session.collecting.status();
        self.needs_paint |= std::mem::replace(&mut self.collecting, collecting) != collecting;
        let tuning = self.session.tuning.status();
        self.needs_paint |= std::mem::replace(&mut self.tuning, tuning) != tuning;
        if let Some(model) = session.models.changed_since(&mut self.model_changes) {
            self.inspector = NetworkInspector::new(model);
            self.needs_paint = true;
        }
        if let Some(notice) = session.notices.after(self.heard) {
            self.heard = notice.number;
            self.message = Some((notice.text, Instant::now() + notice.shown));
            self.needs_paint = true;
        }
        if self.message.as_ref().is_some_and(|(_, until)| Instant::now() > *until) {
            self.message = None;
            self.needs_paint = true;
        }
        self.open_camera_menu();
        self.look_for_faces();
        self.fading.pass(Instant::now());
        self.needs_paint |= self.fading.is_moving();
        self.needs_paint |= self.window.size() != self.size;
        // Clocks also run while the picture stands still.
        self.needs_paint |= self.painted.elapsed() > CLOCK_INTERVAL;
    }

    /// Notes since when there has been no face, and tracks all faces again if the only tracked one does not come back.
    fn look_for_faces(&mut self) {
        if !self.tracked.faces.is_empty() || !self.is_running() {
            self.face_seen = Instant::now();
        }
        let alone = &self.session.controls.alone;
        if alone.load(Ordering::Relaxed) != 0 && self.face_seen.elapsed() > ALONE_PATIENCE {
            alone.store(0, Ordering::Relaxed);
            self.say("Tracking all faces again".into());
        }
    }

    /// Whether new frames are shown.
    fn is_running(&self) -> bool {
        self.status.trouble.is_none() && !self.status.is_at_end && !self.is_paused() && !self.is_over
    }

    /// Whether the user has paused the picture.
    fn is_paused(&self) -> bool {
        self.is_frozen || (self.status.is_file && self.session.controls.is_paused.load(Ordering::Relaxed))
    }

    /// Shows a message, on pages too.
    fn say(&self, message: String) {
        self.session.notices.say(message);
    }
}
