//! The options of a session: its source, its tracker, its outputs and its display.

use super::source::SessionSource;
use super::tracker_setup::TrackerSetup;
use crate::program::capture::VirtualCamera;
use crate::program::output::serve::Listener;
use crate::program::output::{Receiver, VtsAddress};
use crate::program::profiles::OwnProfile;
use crate::program::view::Look;
use crate::runtime::signals::DEFAULT_FOV_DEG;
use std::path::PathBuf;

/// The options of a session.
pub(crate) struct SessionOptions {
    pub source: SessionSource,
    pub tracker: TrackerSetup,
    pub signals: SignalOptions,
    pub outputs: OutputOptions,
    /// How frames are shown; `None`: not at all.
    pub display: Option<DisplayOptions>,
    /// The number of frames after which to end.
    pub frames: Option<u64>,
}

/// How signals are measured.
pub(crate) struct SignalOptions {
    /// The field of view along the longer side of the frame, in degrees.
    pub fov_deg: f32,
    /// Whether the first face sets the neutral pose.
    pub starts_neutral: bool,
    /// The person's profile, which is loaded and updated.
    pub profile: Option<OwnProfile>,
}

impl Default for SignalOptions {
    fn default() -> Self {
        Self { fov_deg: DEFAULT_FOV_DEG, starts_neutral: false, profile: None }
    }
}

/// The outputs of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputOptions {
    /// A JSON line for each frame; `-`: to standard output.
    pub json: Option<PathBuf>,
    /// A CSV row for each face of each frame; `-`: to standard output.
    pub csv: Option<PathBuf>,
    /// An annotated video or picture, or a folder for a picture of each frame.
    pub save: Option<PathBuf>,
    /// How faces are drawn into it.
    pub look: Look,
    /// Receivers of signals.
    pub receivers: Vec<Receiver>,
    pub vts: Option<VtsAddress>,
    /// A device that shows the annotated picture to other programs.
    pub virtual_camera: Option<VirtualCamera>,
    /// The address of the page for browsers.
    pub server: Option<Listener>,
    /// Whether to write `awing.png`, or the next free name, if no window opens.
    pub default_picture: bool,
}

/// How a session shows its frames.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "window"), expect(dead_code, reason = "most of it is about the window"))]
pub(crate) struct DisplayOptions {
    /// Of the window.
    pub title: &'static str,
    /// The scale of the window, its text and lines; `None`: the desktop's scale.
    pub scale: Option<f32>,
    /// Whether left and right are swapped as in a mirror; `None`: for cameras.
    pub is_mirrored: Option<bool>,
    pub look: Look,
    /// Whether the window stays open when a video or pictures have ended.
    pub stays: bool,
    /// Whether frames are painted even without a display, to time the painting.
    pub paints_without_display: bool,
}
