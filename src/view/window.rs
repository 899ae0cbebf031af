//! The live window.
//!
//! In: frames, of any size; out: what the person wants ([`Command`]). The picture keeps its aspect ratio in a window of
//! any size. Without a display opening is an error, never a panic.

use super::ViewError;
use crate::image::Frame;
use minifb::{Key, KeyRepeat, ScaleMode, WindowOptions};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Quit,
    /// The picture as in a mirror, or as the camera sees it.
    Mirror,
    Points,
    Curves,
    Boxes,
    Smoothing,
    Freeze,
    /// A picture of what is seen, and its landmarks.
    Snapshot,
    Help,
    /// So many faces at most.
    Faces(usize),
}

/// The keys, for the help panel.
pub const KEYS: [(Key, Command, &str); 10] = [
    (Key::Q, Command::Quit, "Q  quit"),
    (Key::Escape, Command::Quit, "Esc  quit"),
    (Key::M, Command::Mirror, "M  mirror"),
    (Key::L, Command::Points, "L  landmarks"),
    (Key::C, Command::Curves, "C  curves"),
    (Key::B, Command::Boxes, "B  boxes"),
    (Key::S, Command::Smoothing, "S  smoothing"),
    (Key::F, Command::Freeze, "F  freeze"),
    (Key::P, Command::Snapshot, "P  picture and landmarks to a file"),
    (Key::H, Command::Help, "H  help"),
];

const DIGITS: [Key; 9] =
    [Key::Key1, Key::Key2, Key::Key3, Key::Key4, Key::Key5, Key::Key6, Key::Key7, Key::Key8, Key::Key9];

/// An open window.
pub struct Window {
    window: minifb::Window,
    pixels: Vec<u32>,
}

impl Window {
    /// Opens a window for frames of about `width` x `height` pixels.
    ///
    /// # Errors
    /// [`ViewError::NoDisplay`], or what the display system reports.
    pub fn open(title: &str, width: usize, height: usize) -> Result<Self, ViewError> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        if cfg!(all(unix, not(target_os = "macos"))) && !set("DISPLAY") && !set("WAYLAND_DISPLAY") {
            return Err(ViewError::NoDisplay);
        }
        let options =
            WindowOptions { resize: true, scale_mode: ScaleMode::AspectRatioStretch, ..WindowOptions::default() };
        let opened = std::panic::catch_unwind(|| minifb::Window::new(title, width.max(320), height.max(240), options));
        match opened {
            Ok(Ok(window)) => Ok(Self { window, pixels: Vec::new() }),
            Ok(Err(error)) => Err(ViewError::Window(error.to_string())),
            Err(_) => Err(ViewError::Window("the display refused the connection".into())),
        }
    }

    /// Shows a frame and returns what was asked for since the last one.
    ///
    /// # Errors
    /// [`ViewError::Window`].
    pub fn show(&mut self, frame: &Frame) -> Result<Vec<Command>, ViewError> {
        self.pixels.clear();
        self.pixels.extend(
            frame.rgb().chunks_exact(3).map(|p| u32::from(p[0]) << 16 | u32::from(p[1]) << 8 | u32::from(p[2])),
        );
        self.window
            .update_with_buffer(&self.pixels, frame.width(), frame.height())
            .map_err(|e| ViewError::Window(e.to_string()))?;
        let mut commands = Vec::new();
        if !self.window.is_open() {
            commands.push(Command::Quit);
        }
        for key in self.window.get_keys_pressed(KeyRepeat::No) {
            if let Some((_, command, _)) = KEYS.iter().find(|(k, ..)| *k == key) {
                commands.push(*command);
            }
            if let Some(i) = DIGITS.iter().position(|k| *k == key) {
                commands.push(Command::Faces(i + 1));
            }
        }
        Ok(commands)
    }

    /// One line for each key.
    pub fn help() -> Vec<String> {
        let digits = std::iter::once("1-9  number of faces".to_owned());
        KEYS.iter().map(|(_, _, text)| (*text).to_owned()).chain(digits).collect()
    }
}
