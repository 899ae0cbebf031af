//! The keys of the live window, their commands, and their groups in the help.

use super::overlay::Style;
use minifb::Key;

/// The command of a key or a button of the bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowCommand {
    /// Closes a menu, help or full screen if open; otherwise the window.
    Leave,
    Quit,
    Help,
    /// The panel of times.
    Figures,
    /// The next style of the landmarks.
    NextStyle,
    Style(Style),
    ChooseStyle,
    Boxes,
    Gauges,
    FullScreen,
    /// The landmark heatmaps over the face.
    Heatmaps,
    /// The boundary map over the face.
    Boundary,
    /// The network's input in an inset.
    Crop,
    /// Left and right swapped, as in a mirror.
    Mirror,
    Smoothing,
    /// Pauses or resumes the picture.
    Pause,
    /// Pauses or resumes a video; with a camera, sets the neutral pose.
    PauseOrNeutral,
    Back,
    Forward,
    /// Save the picture and its landmarks.
    Snapshot,
    /// Set the neutral pose from the faces in sight.
    Neutral,
    /// Keep the face for correction and fine-tuning.
    KeepFace,
    /// Fine-tune the model on the accepted faces, or stop.
    Tune,
    /// Switch between the bundled and the tuned model.
    OtherModel,
    /// Start or stop collecting.
    Collect,
    /// Start or stop recording a video and its landmarks.
    Record,
    /// The maximum number of faces.
    Faces(usize),
    ChooseFaces,
    /// Track only this face, or all again: for the mouse.
    FollowAlone,
    ChooseCamera,
    Camera(u32),
    NextCamera,
    /// The next precision of the landmark network.
    Precision,
}

/// A key, its name and its effect.
#[derive(Clone, Copy, Debug)]
pub struct KeyBinding {
    /// `None` for mouse actions.
    key: Option<Key>,
    pub command: WindowCommand,
    pub name: &'static str,
    pub action: &'static str,
}

/// Keys under a title.
#[derive(Clone, Copy, Debug)]
pub struct KeyGroup {
    pub title: &'static str,
    pub keys: &'static [KeyBinding],
}

const fn key(key: Key, command: WindowCommand, name: &'static str, action: &'static str) -> KeyBinding {
    KeyBinding { key: Some(key), command, name, action }
}

/// All keys but the other digits, in the order in which help lists them.
pub const KEY_GROUPS: [KeyGroup; 7] = [
    KeyGroup {
        title: "Look",
        keys: &[
            key(Key::L, WindowCommand::NextStyle, "L", "style of the landmarks"),
            key(Key::V, WindowCommand::Gauges, "V", "gauges: head, eyes, gaze, mouth"),
            key(Key::B, WindowCommand::Boxes, "B", "box and number"),
            key(Key::M, WindowCommand::Mirror, "M", "mirror"),
        ],
    },
    KeyGroup {
        title: "Window",
        keys: &[
            key(Key::H, WindowCommand::Help, "H", "this help"),
            key(Key::I, WindowCommand::Figures, "I", "times"),
            key(Key::F11, WindowCommand::FullScreen, "F11", "full screen"),
            key(Key::Q, WindowCommand::Quit, "Q, Esc", "quit"),
        ],
    },
    KeyGroup {
        title: "Faces",
        keys: &[
            key(Key::Key1, WindowCommand::Faces(1), "1-9", "maximum number"),
            KeyBinding {
                key: None,
                command: WindowCommand::FollowAlone,
                name: "Click",
                action: "track only this face",
            },
            key(Key::Z, WindowCommand::Neutral, "Z", "neutral: straight ahead, at rest"),
            key(Key::S, WindowCommand::Smoothing, "S", "smoothing"),
        ],
    },
    KeyGroup {
        title: "Picture",
        keys: &[
            key(Key::F, WindowCommand::Pause, "F", "pause"),
            key(Key::Space, WindowCommand::PauseOrNeutral, "Space", "pause a video; camera: neutral"),
            key(Key::Left, WindowCommand::Back, "\u{2190} \u{2192}", "5 s back or forward in a video"),
            key(Key::C, WindowCommand::ChooseCamera, "C", "choose a camera"),
            key(Key::N, WindowCommand::NextCamera, "N", "next camera"),
        ],
    },
    KeyGroup {
        title: "Save",
        keys: &[
            key(Key::P, WindowCommand::Snapshot, "P", "picture and landmarks"),
            key(Key::R, WindowCommand::Record, "R", "record video and landmarks"),
        ],
    },
    KeyGroup {
        title: "Teach the model",
        keys: &[
            key(Key::K, WindowCommand::KeepFace, "K", "keep this face"),
            key(Key::G, WindowCommand::Collect, "G", "collect faces automatically"),
            key(Key::U, WindowCommand::Tune, "U", "fine-tune on accepted faces"),
            key(Key::D, WindowCommand::OtherModel, "D", "bundled or tuned model"),
        ],
    },
    KeyGroup {
        title: "Look into the network",
        keys: &[
            key(Key::T, WindowCommand::Heatmaps, "T", "heatmaps"),
            key(Key::E, WindowCommand::Boundary, "E", "boundary map (edges)"),
            key(Key::X, WindowCommand::Crop, "X", "its input"),
            key(Key::A, WindowCommand::Precision, "A", "precision"),
        ],
    },
];

const DIGITS: [Key; 9] =
    [Key::Key1, Key::Key2, Key::Key3, Key::Key4, Key::Key5, Key::Key6, Key::Key7, Key::Key8, Key::Key9];

pub(super) fn command_of(key: Key) -> Option<WindowCommand> {
    match key {
        Key::Escape => return Some(WindowCommand::Leave),
        Key::Right => return Some(WindowCommand::Forward),
        _ => {}
    }
    let digit = DIGITS.iter().position(|k| *k == key).map(|i| WindowCommand::Faces(i + 1));
    let bindings = KEY_GROUPS.iter().flat_map(|group| group.keys);
    digit.or_else(|| bindings.filter(|binding| binding.key == Some(key)).map(|binding| binding.command).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_meaning() {
        let bindings: Vec<&KeyBinding> = KEY_GROUPS.iter().flat_map(|group| group.keys).collect();
        for (i, binding) in bindings.iter().enumerate() {
            let Some(key) = binding.key else { continue };
            assert_eq!(command_of(key), Some(binding.command));
            assert!(bindings[..i].iter().all(|other| other.key != binding.key), "{}", binding.name);
        }
        assert_eq!(command_of(Key::Key9), Some(WindowCommand::Faces(9)));
        assert_eq!(command_of(Key::F12), None);
    }
}
