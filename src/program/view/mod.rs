//! Drawing: a frame on a canvas, faces, heatmaps and text over it, and the window that shows it.
//!
//! In: frames, and faces in pixels of the frame. Out: a canvas as large as the window, or as the picture that is saved, with
//! everything drawn in its own pixels; keys as [`WindowCommand`]s. Only the window can fail ([`ViewError`]).

#![cfg_attr(
    not(feature = "window"),
    allow(dead_code, unused_imports, reason = "saved pictures need only a part of it")
)]

mod canvas;
mod ink;
mod network_view;
mod overlay;
pub mod panel;
mod sheet;
#[cfg(feature = "window")]
mod window;

pub use canvas::{Placement, Scaler};
pub use ink::{Ink, StrokeEnd};
pub use network_view::{NetworkLayers, NetworkView, NetworkViewer, draw_insets, draw_maps};
pub use overlay::{Layers, Overlay, smooth};
pub use sheet::sheet;
#[cfg(feature = "window")]
pub use window::{CursorStyle, KEYS, KeyPress, Pointer, Window, WindowCommand, WindowKey, on_display_lost};

/// What can go wrong with the window.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")]
    NoDisplay,
    #[error("the window can't be opened: {0}")]
    Window(String),
}
