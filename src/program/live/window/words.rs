//! The texts of the window.
//!
//! In: the state of the session. Out: the state of the picture for its top, and lines for its bottom. Nothing fails.

use super::super::collecting::CollectingStatus;
use super::super::controls::SessionStatus;
use super::super::tuning::TuningStatus;
use crate::program::view::palette::{ALARM, PLAIN, QUIET};
use crate::program::view::panel::TextLine;
use crate::runtime::counted::counted;
use crate::runtime::signals::Signals;
use crate::runtime::track::Face;
use std::time::Duration;

/// How long a face may be away without a message: it may have turned, or been covered by a hand.
const LOOKS_AFTER: Duration = Duration::from_millis(1000);

/// The state of the display.
#[derive(Clone, Copy, Default)]
pub(super) struct Sight {
    /// Whether no frame has arrived yet.
    pub is_empty: bool,
    /// Whether the user has paused the picture.
    pub is_paused: bool,
    pub faces: usize,
    /// How long there has been no face.
    pub without_face: Duration,
    /// The only tracked face, if it is not in the picture.
    pub missed: Option<u64>,
    /// Whether the views of the network are switched on.
    pub looks_into_network: bool,
}

/// The state of the picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub lines: Vec<TextLine>,
    /// Whether the picture is old, and dimmed.
    pub is_dimmed: bool,
}

/// The state of the picture, if it needs a message.
pub(super) fn state(status: &SessionStatus, sight: &Sight) -> Option<State> {
    let plain = |text: String| Some(State { lines: vec![TextLine::new(PLAIN, text)], is_dimmed: false });
    if let Some(trouble) = &status.trouble {
        let heading = if status.is_unplugged { "Camera unplugged, waiting" } else { "No picture, waiting" };
        let lines = vec![TextLine::new(ALARM, heading), TextLine::new(QUIET, trouble)];
        return Some(State { lines, is_dimmed: true });
    }
    if sight.is_empty {
        return plain(format!("Waiting for {}", status.source));
    }
    if status.is_at_end && !status.is_slide_show {
        return plain("The end. Press Space to play it again".into());
    }
    if sight.is_paused {
        return plain(format!("Paused. Press {} to resume", if status.is_file { "Space" } else { "F" }));
    }
    if let Some(id) = sight.missed {
        return plain(format!("Face {id} is out of sight. Click to track all faces"));
    }
    if sight.faces == 0 && sight.looks_into_network {
        return plain("No face in sight: the network has nothing to show".into());
    }
    if sight.faces == 0 && status.is_slide_show {
        return plain("No face found in this picture".into());
    }
    let is_looking = sight.faces == 0 && sight.without_face >= LOOKS_AFTER;
    is_looking.then(|| State { lines: vec![TextLine::new(PLAIN, "Looking for a face")], is_dimmed: false })
}

/// Lines for the bottom of the picture.
pub(super) fn news(
    collecting: CollectingStatus,
    tuning: Option<TuningStatus>,
    message: Option<&String>,
) -> Vec<TextLine> {
    let mut news: Vec<TextLine> = tuning.map(|tuning| TextLine::new(PLAIN, tuning.line())).into_iter().collect();
    if collecting.is_choosing {
        let faces = counted(collecting.faces, "face");
        news.push(TextLine::new(ALARM, format!("\u{25cf} collecting: {faces}")));
    }
    news.extend(message.map(|message| TextLine::new(PLAIN, message)));
    news
}

/// The values of the face under the pointer.
pub(super) fn about(face: &Face, signals: Option<&Signals>, is_alone: bool) -> Vec<TextLine> {
    let mut lines = vec![TextLine::new(PLAIN, format!("Face {}, {:.0} %", face.id, 100.0 * face.score))];
    let mut add = |text: String| lines.push(TextLine::new(QUIET, text));
    if let Some(signals) = signals {
        if let Some(head) = &signals.head {
            let (yaw, pitch, roll) = (head.yaw_deg.round(), head.pitch_deg.round(), head.roll_deg.round());
            // Adding zero makes 0 of -0.
            add(format!("head: yaw {:+.0}, pitch {:+.0}, roll {:+.0} degrees", yaw + 0.0, pitch + 0.0, roll + 0.0));
            add(format!("about {:.0} cm away", head.translation_cm[2]));
        }
        if let (Some(left), Some(right)) = (signals.eye_open_left, signals.eye_open_right) {
            add(format!("eyes open: left {:.0} %, right {:.0} %", 100.0 * left, 100.0 * right));
        }
        if let Some(open) = signals.mouth_open {
            add(format!("mouth open: {:.0} %", 100.0 * open));
        }
    }
    add(if is_alone { "click: track all faces" } else { "click: track only this face" }.into());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &SessionStatus, sight: &Sight) -> String {
        let lines = state(status, sight).map_or_else(Vec::new, |state| state.lines);
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn states_are_in_words_that_a_person_understands() {
        let camera = SessionStatus { source: "camera 0".into(), is_live: true, ..SessionStatus::default() };
        let video = SessionStatus { is_file: true, ..SessionStatus::default() };
        let seen = Sight { faces: 1, ..Sight::default() };
        let long = Sight { without_face: Duration::from_secs(3), ..Sight::default() };
        assert_eq!(said(&camera, &seen), "");
        assert_eq!(said(&camera, &Sight { is_empty: true, ..seen }), "Waiting for camera 0");
        assert_eq!(said(&camera, &Sight { without_face: Duration::from_millis(200), ..long }), "");
        assert_eq!(said(&camera, &long), "Looking for a face");
        assert_eq!(said(&camera, &Sight { is_paused: true, ..seen }), "Paused. Press F to resume");
        assert_eq!(said(&video, &Sight { is_paused: true, ..seen }), "Paused. Press Space to resume");
        let ended = SessionStatus { is_at_end: true, ..video };
        assert!(said(&ended, &seen).starts_with("The end."));
        let picture = SessionStatus { is_slide_show: true, ..ended };
        assert_eq!(said(&picture, &seen), "");
        assert_eq!(said(&picture, &Sight::default()), "No face found in this picture");
        assert!(said(&camera, &Sight { looks_into_network: true, ..Sight::default() }).starts_with("No face in sight"));
        assert!(said(&camera, &Sight { missed: Some(2), ..seen }).contains("Face 2 is out of sight"));
    }

    #[test]
    fn a_camera_that_is_gone_dims_the_picture_and_says_that_it_is_waited_for() {
        let mut status = SessionStatus {
            trouble: Some("camera 0: it was unplugged. No picture for 3 s. Reconnecting ...".into()),
            is_unplugged: true,
            ..SessionStatus::default()
        };
        let Some(State { lines, is_dimmed }) = state(&status, &Sight::default()) else { panic!("it is a state") };
        assert!(is_dimmed && lines[0].text == "Camera unplugged, waiting" && lines[1].text.contains("for 3 s"));
        status.is_unplugged = false;
        assert!(said(&status, &Sight::default()).starts_with("No picture, waiting"));
    }

    #[test]
    fn the_number_of_collected_faces_is_on_the_screen_while_they_are_collected() {
        let shown = |is_choosing, faces| {
            let news = news(CollectingStatus { is_choosing, faces }, None, None);
            news.into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        assert!(shown(true, 12)[0].contains("collecting: 12 faces"));
        assert!(shown(false, 12).is_empty());
    }
}
