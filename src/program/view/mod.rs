//! Drawing: a frame on a canvas, faces, heatmaps and text over it, bar and help beside it; and the window.
//!
//! In: frames, and faces in pixels of the frame. Out: a canvas in the size of the window or of the saved picture, with
//! everything drawn in its own pixels; keys as [`WindowCommand`]s. Only the window can fail ([`ViewError`]).

#![cfg_attr(
    not(feature = "window"),
    allow(dead_code, unused_imports, reason = "saved pictures need only a part of it")
)]

#[cfg(feature = "window")]
mod bar;
mod canvas;
mod gauges;
#[cfg(feature = "window")]
pub mod help;
mod ink;
#[cfg(feature = "window")]
mod keys;
mod network_view;
mod overlay;
pub mod palette;
pub mod panel;
mod sheet;
#[cfg(feature = "window")]
mod window;

#[cfg(feature = "window")]
pub use bar::{Bar, BarItem, Menu, MenuItem};
pub use canvas::{Placement, Room, Scaler, veil};
pub use ink::{Ink, StrokeEnd};
#[cfg(feature = "window")]
pub use keys::{KEY_GROUPS, WindowCommand};
pub use network_view::{NetworkLayers, NetworkView, NetworkViewer, draw_insets, draw_maps};
pub use overlay::{Look, Overlay, ShownFace, Style, smooth};
pub use sheet::sheet;
#[cfg(feature = "window")]
pub use window::{CursorStyle, FirstSize, KeyPress, Pointer, Window, WindowKey, on_display_lost};

/// Errors of the window.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")]
    NoDisplay,
    #[error("the window can't be opened: {0}")]
    Window(String),
    #[error("awing can fill the screen on X11 only; the desktop's own key for it may work")]
    NoFullScreen,
}

/// A text of at most `letters` letters.
pub(crate) fn elided(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some(_) => format!("{}\u{2026}", text.chars().take(letters - 1).collect::<String>()),
        None => text.to_owned(),
    }
}
