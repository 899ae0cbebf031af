//! One line of JSON a frame, for other programs.
//!
//! In: the faces of a frame. Out: a line of the form
//! `{"frame": 0, "time_s": 0.033333, "faces": [{"id": 1, "score": 0.98, "box": [x, y, w, h], "landmarks": [[x, y], ...],
//! "confidence": [...]}], "ms": {"detect": 0.0, "landmarks": 0.9, "total": 1.1}}`; positions in pixels of the frame,
//! (0, 0) the centre of its first pixel. Where frames are pictures, `"image"` behind `"frame"` is the name of the picture's
//! file. Every line is written at once and as a whole, so that another program can read
//! along, also through a named pipe.

use super::frame::TrackedFrame;
use crate::runtime::track::Face;
use anyhow::{Context, Result};
use std::fmt::{self, Display, Write as _};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Where the lines go.
pub(super) struct JsonLines {
    out: Box<dyn Write + Send>,
    name: String,
    line: String,
    frame: u64,
}

impl JsonLines {
    /// Lines to the file `path`, or to standard output if it is `-`.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let (out, name): (Box<dyn Write + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdout()), "standard output".to_owned())
        } else {
            let file = File::create(path)
                .with_context(|| format!("cannot write {}: is its folder there and writable?", path.display()))?;
            (Box::new(file), path.display().to_string())
        };
        Ok(Self { out, name, line: String::new(), frame: 0 })
    }

    /// Writes the line of the next frame.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&mut self, tracked: &TrackedFrame) -> Result<()> {
        self.line.clear();
        let Self { line, frame, .. } = self;
        writeln!(line, "{}", JsonLine { frame: *frame, tracked }).expect("text can be written to memory");
        self.frame += 1;
        self.out
            .write_all(self.line.as_bytes())
            .and_then(|()| self.out.flush())
            .with_context(|| format!("cannot write to {}", self.name))
    }
}

struct JsonLine<'a> {
    frame: u64,
    tracked: &'a TrackedFrame,
}

impl Display for JsonLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame, tracked: TrackedFrame { picture, time_s, faces, times, .. } } = self;
        write!(f, "{{\"frame\": {frame}, ")?;
        if let Some(picture) = picture {
            write!(f, "\"image\": {}, ", serde_json::Value::from(picture.as_str()))?;
        }
        write!(f, "\"time_s\": {}, \"faces\": ", Number(*time_s, 6))?;
        list(f, faces.iter(), write_face)?;
        let ms = |value: f32| Number(f64::from(value), 3);
        write!(f, ", \"ms\": {{\"detect\": {}, ", ms(times.detect_ms))?;
        write!(f, "\"landmarks\": {}, \"total\": {}}}}}", ms(times.landmarks_ms), ms(times.total_ms))
    }
}

fn write_face(f: &mut fmt::Formatter<'_>, face: &Face) -> fmt::Result {
    let Face { id, score, rect, landmarks } = face;
    let pixels = |value: f32| Number(f64::from(value), 2);
    let share = |value: f32| Number(f64::from(value), 3);
    write!(f, "{{\"id\": {id}, \"score\": {}, \"box\": ", share(*score))?;
    list(f, [rect.x, rect.y, rect.width, rect.height], |f, v| pixels(v).fmt(f))?;
    f.write_str(", \"landmarks\": ")?;
    list(f, landmarks, |f, l| write!(f, "[{}, {}]", pixels(l.point.x), pixels(l.point.y)))?;
    f.write_str(", \"confidence\": ")?;
    list(f, landmarks, |f, l| share(l.confidence).fmt(f))?;
    f.write_char('}')
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
        let tracked = TrackedFrame { time_s: 1.0 / 30.0, faces: vec![face()], times, ..TrackedFrame::default() };
        let line = JsonLine { frame: 0, tracked: &tracked }.to_string();
        let picture = Some("a \"b\".jpg".to_owned());
        let of_picture = JsonLine { frame: 0, tracked: &TrackedFrame { picture, ..tracked } }.to_string();
        assert_eq!(of_picture, line.replacen("0, ", "0, \"image\": \"a \\\"b\\\".jpg\", ", 1));
        assert_eq!(
            line,
            "{\"frame\": 0, \"time_s\": 0.033333, \"faces\": [{\"id\": 3, \"score\": 0.980, \
             \"box\": [10.00, 20.50, 30.25, 40.00], \"landmarks\": [[10.00, 20.50], [-0.25, 33.33]], \
             \"confidence\": [0.500, 1.000]}], \"ms\": {\"detect\": 0.000, \"landmarks\": 0.900, \"total\": 1.100}}"
        );
    }

    #[test]
    fn lines_are_json_with_faces_or_without_and_count_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faces.jsonl");
        let mut lines = JsonLines::create(&path).unwrap();
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
        let error = JsonLines::create(Path::new("/nowhere/at/all.jsonl")).err().unwrap();
        assert!(format!("{error:#}").contains("/nowhere/at/all.jsonl"), "{error:#}");
    }
}
