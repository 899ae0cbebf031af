//! What the window and pages ask of the tracking thread, and what that reports.
//!
//! They set values that hold from the next frame on, and leave [`Request`]s; the tracking thread fulfils them
//! between two frames and writes its [`SessionStatus`], also while no frame comes.

use super::tracker_setup::LandmarkModel;
use crate::program::view::Look;
use crate::runtime::engine::Precision;
use crate::runtime::track::TrackerOptions;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Settings, requests and the status of a session.
pub(super) struct Controls {
    /// The most faces to follow.
    pub faces: AtomicUsize,
    pub is_smooth: AtomicBool,
    /// Whether a source that can wait stands still.
    pub is_paused: AtomicBool,
    /// The id of the only face that counts; 0: everybody.
    pub alone: AtomicU64,
    requests: Mutex<Vec<Request>>,
    status: Mutex<SessionStatus>,
}

/// What the tracking thread is asked to do once.
#[cfg_attr(not(feature = "window"), expect(dead_code, reason = "some requests come from the window"))]
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    NextCamera,
    Camera(u32),
    /// Goes to another place of a video or a folder of pictures.
    Seek(Seek),
    NextPrecision,
    /// Goes on with another landmark model.
    UseModel(LandmarkModel),
    /// Takes the faces in sight as being at rest.
    SetNeutral,
    /// Keeps the faces of the next frame, to be corrected and learned from.
    KeepFace,
    /// Starts a recording with faces drawn like this, or stops the one that is running.
    ToggleRecording(Look),
}

/// Where to go in a video, or a folder of pictures.
#[cfg_attr(not(feature = "window"), expect(dead_code, reason = "requests come from the window"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seek {
    Start,
    Back,
    Forward,
}

/// Whether somebody said what counts as straight ahead and at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NeutralStatus {
    #[default]
    Estimated,
    /// The next face will say it.
    Awaited,
    Set,
}

/// What the person should know all the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SessionStatus {
    /// Where frames come from.
    pub source: String,
    /// Whether that is a camera.
    pub is_live: bool,
    /// Whether it waits when it is paused, and can go to another place: a video or pictures.
    pub is_file: bool,
    /// Whether its frames are unrelated pictures.
    pub is_slide_show: bool,
    /// Whether it has ended, and waits for what the person does.
    pub is_at_end: bool,
    /// Of the landmark network, as asked for.
    pub precision: Precision,
    /// The precision in words, with device and threads.
    pub computing: String,
    /// Why no frame comes.
    pub trouble: Option<String>,
    /// Whether that is because the camera was unplugged.
    pub is_unplugged: bool,
    /// The name of the profile that is in use.
    pub profile: Option<String>,
    pub recording_since: Option<Instant>,
    pub neutral: NeutralStatus,
}

impl Controls {
    /// As the tracker starts.
    pub(super) fn new(options: &TrackerOptions) -> Self {
        Self {
            faces: AtomicUsize::new(options.faces),
            is_smooth: AtomicBool::new(options.smoothing.is_some()),
            is_paused: AtomicBool::new(false),
            alone: AtomicU64::new(0),
            requests: Mutex::default(),
            status: Mutex::default(),
        }
    }

    pub(super) fn status(&self) -> MutexGuard<'_, SessionStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a request for the tracking thread.
    pub(super) fn request(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// The requests since the last call.
    pub(super) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
