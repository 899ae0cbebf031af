//! Observers of a session: the progress lines of `awing track`, the measurements of `awing bench --live`.
//!
//! A session calls its observer on its own threads, a few times per frame. By default the methods do nothing, so
//! observing costs only what the observer does.

use super::frame::TrackedFrame;
use crate::program::capture::Source;

/// Observes every frame of a session.
pub(crate) trait Observer: Send + Sync {
    /// A frame has arrived and is tracked next. On the tracking thread.
    fn before_tracking(&self) {}

    /// A frame was tracked, but neither written nor shown yet; `is_displaying`: it is for a window. On the tracking
    /// thread.
    fn after_tracking(&self, frame: &TrackedFrame, is_displaying: bool) {
        let _ = (frame, is_displaying);
    }

    /// No further frame is tracked. On the tracking thread.
    fn tracking_ended(&self, source: &dyn Source) {
        let _ = source;
    }

    /// A frame was handed to the window system or, without a window, painted. On the main thread.
    fn after_display(&self, frame: &TrackedFrame, is_in_window: bool) {
        let _ = (frame, is_in_window);
    }

    /// Whether the observer is done, which ends the session; called continually while frames are shown.
    fn is_satisfied(&self) -> bool {
        false
    }
}
