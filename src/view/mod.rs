//! What a person sees: overlay drawing, the window, the heads-up display.

mod overlay;
#[cfg(feature = "window")]
mod window;

pub use overlay::{Overlay, OverlayFace};
#[cfg(feature = "window")]
pub use window::{Command, Window};

/// What can go wrong with the window.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")]
    NoDisplay,
    #[error("the window can't be opened: {0}")]
    Window(String),
}
