//! The commands of the editor, and their keys.

use super::mirror::Side;
use crate::program::view::{KeyPress, WindowKey as Key};

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Command {
    /// The labels are right; on to the next sample.
    Accept,
    /// The face is not to be used; on to the next sample.
    Reject,
    Next,
    Previous,
    Undo,
    Redo,
    NextPart,
    PreviousPart,
    Deselect,
    /// Pixels of the view to the right and down. A key that is held makes one change.
    Nudge {
        by: (f32, f32),
        is_repeat: bool,
    },
    Mirror(Side),
    Reset,
    /// Includes or excludes the selected points.
    Trust,
    Soft,
    Layers,
    Magnifier,
    List,
    Help,
    /// Zooms to the face, or to the whole picture.
    Overview,
    Zoom(f32),
    Quit,
}

/// The lines of the help: keys or mouse actions, and their effects.
pub(super) const HELP: [(&str, &str); 21] = [
    ("H", "this help"),
    ("Drag", "a point, a handle, or the picture"),
    ("Click", "select a point or a part"),
    ("Wheel, + -", "zoom"),
    ("F", "the face, or the whole picture"),
    ("Tab", "next part (with Shift: previous)"),
    ("Arrows", "nudge (with Shift: ten times)"),
    ("S", "neighbours follow a point"),
    ("M", "copy the left half to the right"),
    ("Shift M", "copy the right half to the left"),
    ("R", "reset to the prediction"),
    ("W", "include or exclude points"),
    ("Z, Y", "undo, redo"),
    ("Enter", "accept, next face"),
    ("X", "reject, next face"),
    ("N, B", "next face, previous face"),
    ("C", "hide curves, then points"),
    ("G", "magnifier"),
    ("L", "list of faces"),
    ("Esc", "select nothing"),
    ("Q", "quit; everything is saved"),
];

/// Pixels of the view per arrow key, without and with Shift.
const STEPS: (f32, f32) = (1.0, 10.0);
/// The zoom factor of a key.
const ZOOM: f32 = 1.25;

/// The command of a key, if it has one. Only arrows, zooming and going through samples repeat while a key is held.
pub(super) fn command_of(press: KeyPress) -> Option<Command> {
    let KeyPress { key, is_repeat, is_shifted } = press;
    let step = if is_shifted { STEPS.1 } else { STEPS.0 };
    let nudge = |x: f32, y: f32| Command::Nudge { by: (x * step, y * step), is_repeat };
    let command = match key {
        Key::Left => nudge(-1.0, 0.0),
        Key::Right => nudge(1.0, 0.0),
        Key::Up => nudge(0.0, -1.0),
        Key::Down => nudge(0.0, 1.0),
        Key::N | Key::PageDown => Command::Next,
        Key::B | Key::PageUp => Command::Previous,
        Key::Equal | Key::NumPadPlus => Command::Zoom(ZOOM),
        Key::Minus | Key::NumPadMinus => Command::Zoom(1.0 / ZOOM),
        Key::Z if !is_shifted => Command::Undo,
        Key::Z | Key::Y => Command::Redo,
        _ if is_repeat => return None,
        Key::Enter | Key::NumPadEnter => Command::Accept,
        Key::X => Command::Reject,
        Key::Tab if is_shifted => Command::PreviousPart,
        Key::Tab => Command::NextPart,
        Key::Escape => Command::Deselect,
        Key::M => Command::Mirror(if is_shifted { Side::Right } else { Side::Left }),
        Key::R => Command::Reset,
        Key::W => Command::Trust,
        Key::S => Command::Soft,
        Key::C => Command::Layers,
        Key::G => Command::Magnifier,
        Key::L => Command::List,
        Key::H => Command::Help,
        Key::F => Command::Overview,
        Key::Q => Command::Quit,
        _ => return None,
    };
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_key_nudges_on_but_accepts_once() {
        let press = |key, is_repeat| command_of(KeyPress { key, is_repeat, is_shifted: false });
        assert_eq!(press(Key::Enter, false), Some(Command::Accept));
        assert_eq!(press(Key::Enter, true), None);
        assert_eq!(press(Key::Left, true), Some(Command::Nudge { by: (-1.0, 0.0), is_repeat: true }));
        let shifted = |key| command_of(KeyPress { key, is_repeat: false, is_shifted: true });
        assert_eq!(shifted(Key::Z), Some(Command::Redo));
        assert_eq!(shifted(Key::M), Some(Command::Mirror(Side::Right)));
        assert_eq!(shifted(Key::Down), Some(Command::Nudge { by: (0.0, 10.0), is_repeat: false }));
    }

    #[test]
    fn every_letter_with_a_meaning_is_in_the_help() {
        let letters = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S"];
        let keys = [
            Key::A,
            Key::B,
            Key::C,
            Key::D,
            Key::E,
            Key::F,
            Key::G,
            Key::H,
            Key::I,
            Key::J,
            Key::K,
            Key::L,
            Key::M,
            Key::N,
            Key::O,
            Key::P,
            Key::Q,
            Key::R,
            Key::S,
        ];
        let is_listed = |letter: &str| HELP.iter().any(|(keys, _)| keys.split([',', ' ']).any(|key| key == letter));
        for (letter, key) in letters.into_iter().zip(keys) {
            let has_meaning = command_of(KeyPress { key, is_repeat: false, is_shifted: false }).is_some();
            assert_eq!(has_meaning, is_listed(letter), "{letter}");
        }
    }
}
