//! Settings and requests from the window and pages to the tracking thread, and its status.
//!
//! Settings apply from the next frame on. The tracking thread handles [`Request`]s between two frames and updates its
//! [`SessionStatus`], even while no frame arrives.

use super::tracker_setup::LandmarkModel;
use crate::program::view::Look;
use crate::runtime::engine::Precision;
use crate::runtime::track::TrackerOptions;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Settings, requests and the status of a session.
pub(super) struct Controls {
    /// The maximum number of faces.
    pub faces: AtomicUsize,
    pub is_smooth: AtomicBool,
    /// Whether a source that can wait is paused.
    pub is_paused: AtomicBool,
    /// The id of the only face to track; 0: all faces.
    pub alone: AtomicU64,
    requests: Mutex<Vec<Request>>,
    status: Mutex<SessionStatus>,
}

/// A one-time request to the tracking thread.
#[cfg_attr(not(feature = "window"), expect(dead_code, reason = "some requests come from the window"))]
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    NextCamera,
    Camera(u32),
    /// Seeks in a video or a folder of pictures.
    Seek(Seek),
    NextPrecision,
    /// Switches to another landmark model.
    UseModel(LandmarkModel),
    /// Sets the neutral pose from the faces in sight.
    SetNeutral,
    /// Keeps the faces of the next frame for correction and fine-tuning.
    KeepFace,
    /// Starts a recording with this drawing style, or stops the running one.
    ToggleRecording(Look),
}

/// The target of a seek in a video, or a folder of pictures.
#[cfg_attr(not(feature = "window"), expect(dead_code, reason = "requests come from the window"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seek {
    Start,
    Back,
    Forward,
}

/// The state of the neutral pose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NeutralStatus {
    #[default]
    Estimated,
    /// The next face will set it.
    Awaited,
    Set,
}

/// The status that is always visible.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SessionStatus {
    /// The source of frames.
    pub source: String,
    /// Whether the source is a camera.
    pub is_live: bool,
    /// Whether the source can pause and seek: a video or pictures.
    pub is_file: bool,
    /// Whether its frames are unrelated pictures.
    pub is_slide_show: bool,
    /// Whether the source has ended, and waits for the user.
    pub is_at_end: bool,
    /// The requested precision of the landmark network.
    pub precision: Precision,
    /// The precision as text, with device and threads.
    pub computing: String,
    /// Why there is no frame.
    pub trouble: Option<String>,
    /// Whether the camera was unplugged.
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
