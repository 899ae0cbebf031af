//! One JSON line per frame, for other programs.
//!
//! In: the faces of a frame and their signals. Out: a line as `docs/json.md` describes it and `docs/json.schema.json`
//! defines it. Every line is written at once and as a whole, so that another program can read along, also through a
//! named pipe.

use super::frame::TrackedFrame;
use super::lines::Lines;
use crate::runtime::signals::{Blink, Signals};
use crate::runtime::track::Face;
use anyhow::Result;
use std::fmt::{self, Display, Write as _};
use std::path::Path;

/// The version of the format. It rises when a field is removed or changes its meaning, not when one is added.
const VERSION: u32 = 2;

/// The output of the lines.
pub(crate) struct JsonLines {
    lines: Lines,
    frame: u64,
}

impl JsonLines {
    /// Lines to the file `path`, or to standard output if it is `-`; see [`Lines::create`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn create(path: &Path, is_wanted: &dyn Fn() -> bool) -> Result<Self> {
        Ok(Self { lines: Lines::create(path, is_wanted)?, frame: 0 })
    }

    /// Whether a file begins like lines of any version.
    pub(crate) fn begin_like(beginning: &[u8]) -> bool {
        let rest = beginning.strip_prefix(b"{\"version\": ");
        let number = |rest: &[u8]| rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest.is_some_and(|rest| rest[number(rest)..].starts_with(b", \"frame\": 0, \"input\": "))
    }

    /// Writes the line of the next frame.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&mut self, tracked: &TrackedFrame) -> Result<()> {
        let frame = self.frame;
        self.frame += 1;
        self.lines.write(|line| writeln!(line, "{}", JsonLine { frame, tracked }))
    }
}

/// The line of a frame; `frame` counts from 0.
pub(super) struct JsonLine<'a> {
    pub frame: u64,
    pub tracked: &'a TrackedFrame,
}

impl Display for JsonLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame, tracked } = self;
        let TrackedFrame { input, picture, time_s, faces, signals, times, .. } = tracked;
        write!(f, "{{\"version\": {VERSION}, \"frame\": {frame}, \"input\": {}, ", text(input))?;
        if let Some(picture) = picture {
            write!(f, "\"image\": {}, ", text(picture))?;
        }
        write!(f, "\"time_s\": {}, ", Number(*time_s, 6))?;
        write!(f, "\"width\": {}, \"height\": {}, ", tracked.frame.width(), tracked.frame.height())?;
        if let Some(scheme) = faces.first().and_then(Face::scheme) {
            write!(f, "\"scheme\": {}, ", serde_json::json!(scheme))?;
        }
        f.write_str("\"faces\": ")?;
        list(f, faces.iter(), |f, face| write_face(f, face, signals.iter().find(|signals| signals.id == face.id)))?;
        let ms = |value: f32| Number(f64::from(value), 3);
        write!(f, ", \"ms\": {{\"detect\": {}, ", ms(times.detect_ms))?;
        write!(f, "\"landmarks\": {}, \"total\": {}}}}}", ms(times.landmarks_ms), ms(times.total_ms))
    }
}

fn text(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

fn write_face(f: &mut fmt::Formatter<'_>, face: &Face, signals: Option<&Signals>) -> fmt::Result {
    let Face { id, score, rect, landmarks } = face;
    let pixels = |value: f32| Number(f64::from(value), 2);
    let share = |value: f32| Number(f64::from(value), 3);
    write!(f, "{{\"id\": {id}, \"score\": {}, \"box\": ", share(*score))?;
    list(f, [rect.x, rect.y, rect.width, rect.height], |f, v| pixels(v).fmt(f))?;
    f.write_str(", \"landmarks\": ")?;
    list(f, landmarks, |f, l| write!(f, "[{}, {}]", pixels(l.point.x), pixels(l.point.y)))?;
    f.write_str(", \"confidence\": ")?;
    list(f, landmarks, |f, l| share(l.confidence).fmt(f))?;
    if let Some(signals) = signals {
        f.write_str(", \"signals\": ")?;
        write_signals(f, signals)?;
    }
    f.write_char('}')
}

fn write_signals(f: &mut fmt::Formatter<'_>, signals: &Signals) -> fmt::Result {
    let number = |value: Option<f32>, decimals| Number(value.map_or(f64::NAN, f64::from), decimals);
    let degrees = |value: Option<f32>| number(value, 2);
    let share = |value: Option<f32>| number(value, 3);
    let head = signals.head.as_ref();
    write!(f, "{{\"yaw_deg\": {}, ", degrees(head.map(|head| head.yaw_deg)))?;
    write!(f, "\"pitch_deg\": {}, ", degrees(head.map(|head| head.pitch_deg)))?;
    write!(f, "\"roll_deg\": {}, ", degrees(head.map(|head| head.roll_deg)))?;
    write!(f, "\"pose_deviation_deg\": {}, \"rotation\": ", degrees(head.map(|head| head.deviation_deg)))?;
    match head {
        Some(head) => list(f, head.rotation, |f, v| Number(f64::from(v), 5).fmt(f))?,
        None => f.write_str("null")?,
    }
    f.write_str(", \"translation_cm\": ")?;
    match head {
        Some(head) => list(f, head.translation_cm, |f, v| Number(f64::from(v), 2).fmt(f))?,
        None => f.write_str("null")?,
    }
    for (name, value) in [
        ("eye_open_left", share(signals.eye_open_left)),
        ("eye_open_right", share(signals.eye_open_right)),
        ("gaze_yaw_deg", degrees(signals.gaze_yaw_deg)),
        ("gaze_pitch_deg", degrees(signals.gaze_pitch_deg)),
        ("mouth_open", share(signals.mouth_open)),
        ("mouth_wide", share(signals.mouth_wide)),
    ] {
        write!(f, ", \"{name}\": {value}")?;
    }
    for (name, blink) in [("blink_left", signals.blink_left), ("blink_right", signals.blink_right)] {
        match blink {
            Some(blink) => write!(f, ", \"{name}\": {blink}")?,
            None => write!(f, ", \"{name}\": null")?,
        }
    }
    for (name, blink) in
        [("blink_ended_left", signals.blink_ended_left), ("blink_ended_right", signals.blink_ended_right)]
    {
        if let Some(Blink { start_s, duration_s }) = blink {
            let (start_s, duration_s) = (Number(start_s, 6), Number(duration_s, 6));
            write!(f, ", \"{name}\": {{\"start_s\": {start_s}, \"duration_s\": {duration_s}}}")?;
        }
    }
    f.write_str(", \"visemes\": {")?;
    for (i, vowel) in ["A", "I", "U", "E", "O"].into_iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}\"{vowel}\": {}", share(signals.visemes.map(|vowels| vowels[i])))?;
    }
    f.write_str("}, \"shapes\": {")?;
    for (i, (name, value)) in signals.shapes().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}\"{name}\": {}", share(value))?;
    }
    f.write_str("}}")
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    f.write_char('[')?;
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    f.write_char(']')
}

/// A number with this many decimals; `null` if it is not finite, which JSON can't express.
struct Number(f64, usize);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(value, decimals) = self;
        if value.is_finite() { write!(f, "{value:.decimals$}") } else { f.write_str("null") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::{Point, Rect};
    use crate::runtime::image::Frame;
    use crate::runtime::landmarks::Landmark;
    use crate::runtime::track::StageTimes;

    fn face() -> Face {
        Face {
            id: 3,
            score: 0.98,
            rect: Rect::new(10.0, 20.5, 30.25, 40.0),
            landmarks: vec![
                Landmark { point: Point::new(10.0, 20.5), confidence: 0.5 },
                Landmark { point: Point::new(-0.254, 33.3333), confidence: 1.0 },
            ],
        }
    }

    #[test]
    fn a_line_reads_as_documented() {
        let times = StageTimes { landmarks_ms: 0.9, total_ms: 1.1, ..StageTimes::default() };
        let frame = Frame::filled(4, 3, [0; 3]);
        let input = "demo".to_owned();
        let tracked =
            TrackedFrame { frame, input, time_s: 1.0 / 30.0, faces: vec![face()], times, ..TrackedFrame::default() };
        let line = JsonLine { frame: 0, tracked: &tracked }.to_string();
        let picture = Some("a \"b\".jpg".to_owned());
        let of_picture = JsonLine { frame: 0, tracked: &TrackedFrame { picture, ..tracked } }.to_string();
        assert_eq!(of_picture, line.replacen("\"time_s\"", "\"image\": \"a \\\"b\\\".jpg\", \"time_s\"", 1));
        assert_eq!(
            line,
            "{\"version\": 2, \"frame\": 0, \"input\": \"demo\", \"time_s\": 0.033333, \
             \"width\": 4, \"height\": 3, \"faces\": [{\"id\": 3, \"score\": 0.980, \
             \"box\": [10.00, 20.50, 30.25, 40.00], \"landmarks\": [[10.00, 20.50], [-0.25, 33.33]], \
             \"confidence\": [0.500, 1.000]}], \"ms\": {\"detect\": 0.000, \"landmarks\": 0.900, \"total\": 1.100}}"
        );
    }

    #[test]
    fn lines_are_json_with_faces_or_without_and_count_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faces.jsonl");
        let mut lines = JsonLines::create(&path, &|| true).unwrap();
        let times = StageTimes { total_ms: f32::NAN, ..StageTimes::default() };
        let mut tracked = TrackedFrame { times, ..TrackedFrame::default() };
        lines.write(&tracked).unwrap();
        tracked.faces = vec![face(), face()];
        lines.write(&tracked).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((parsed[0]["faces"].as_array().unwrap().len(), &parsed[0]["frame"]), (0, &0.into()));
        assert_eq!((parsed[1]["faces"].as_array().unwrap().len(), &parsed[1]["frame"]), (2, &1.into()));
        assert!(parsed[0]["ms"]["total"].is_null());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = JsonLines::create(Path::new("/nowhere/at/all.jsonl"), &|| true).err().unwrap();
        assert!(format!("{error:#}").contains("/nowhere/at/all.jsonl"), "{error:#}");
    }
}
