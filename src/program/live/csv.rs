//! A CSV table, one row per face and frame.
//!
//! In: the faces of a frame and their signals. Out: rows under one header, with the column names of OpenFace where it
//! has them: angles of `pose_R` and `gaze` in radians, lengths of `pose_T` in millimetres, `x` and `y` in pixels of the
//! frame. `docs/json.md` lists the columns. Unknown values are empty cells; a frame without a face has one row with
//! `success` 0.

use super::frame::TrackedFrame;
use super::lines::Lines;
use crate::runtime::landmarks::WFLW_POINTS;
use crate::runtime::signals::Signals;
use crate::runtime::track::Face;
use anyhow::Result;
use std::fmt::{self, Write as _};
use std::path::Path;

/// The output of the rows.
pub(crate) struct CsvRows {
    lines: Lines,
    frame: u64,
    /// Number of landmarks in the header.
    points: Option<usize>,
}

impl CsvRows {
    /// Rows to the file `path`, or to standard output if it is `-`; see [`Lines::create`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn create(path: &Path, is_wanted: &dyn Fn() -> bool) -> Result<Self> {
        Ok(Self { lines: Lines::create(path, is_wanted)?, frame: 0, points: None })
    }

    /// Whether a file begins like a table.
    pub(crate) fn begin_like(beginning: &[u8]) -> bool {
        beginning.starts_with(BEFORE_SHAPES.join(",").as_bytes())
    }

    /// Writes the rows of the next frame, behind the header if it is the first.
    ///
    /// # Errors
    /// If they can't be written.
    pub(super) fn write(&mut self, tracked: &TrackedFrame) -> Result<()> {
        let Self { lines, frame, points } = self;
        let is_first = points.is_none();
        let points = *points.get_or_insert(tracked.faces.first().map_or(WFLW_POINTS, |face| face.landmarks.len()));
        let row = Row { frame: *frame, time_s: tracked.time_s, points };
        *frame += 1;
        lines.write(|line| {
            if is_first {
                header(line, points)?;
            }
            for face in &tracked.faces {
                row.write(line, Some((face, tracked.signals.iter().find(|signals| signals.id == face.id))))?;
            }
            if tracked.faces.is_empty() { row.write(line, None) } else { Ok(()) }
        })
    }
}

const BEFORE_SHAPES: [&str; 23] = [
    "frame",
    "face_id",
    "timestamp",
    "confidence",
    "success",
    "pose_Tx",
    "pose_Ty",
    "pose_Tz",
    "pose_Rx",
    "pose_Ry",
    "pose_Rz",
    "gaze_angle_x",
    "gaze_angle_y",
    "eye_open_left",
    "eye_open_right",
    "blink_left",
    "blink_right",
    "mouth_open",
    "mouth_wide",
    "box_x",
    "box_y",
    "box_width",
    "box_height",
];

fn header(line: &mut String, points: usize) -> fmt::Result {
    line.push_str(&BEFORE_SHAPES.join(","));
    for (name, _) in Signals::unknown(0).shapes() {
        write!(line, ",{name}")?;
    }
    for axis in ["x", "y", "confidence"] {
        for i in 0..points {
            write!(line, ",{axis}_{i}")?;
        }
    }
    line.push('\n');
    Ok(())
}

struct Row {
    frame: u64,
    time_s: f64,
    points: usize,
}

impl Row {
    fn write(&self, line: &mut String, face: Option<(&Face, Option<&Signals>)>) -> fmt::Result {
        write!(line, "{}", self.frame)?;
        cell(line, face.map(|(face, _)| face.id))?;
        number(line, Some(self.time_s), 6)?;
        let (face, signals) = match face {
            Some((face, signals)) => (Some(face), signals),
            None => (None, None),
        };
        number(line, face.map(|face| f64::from(face.score)), 3)?;
        cell(line, Some(u8::from(face.is_some())))?;
        let head = signals.and_then(|signals| signals.head.as_ref());
        // The axes of OpenFace's camera point right, down and away from it.
        let translation = head.map(|head| head.translation_cm);
        for (axis, sign) in [10.0, -10.0, 10.0].into_iter().enumerate() {
            number(line, translation.map(|cm| f64::from(sign * cm[axis])), 2)?;
        }
        for angle_deg in [
            head.map(|head| -head.pitch_deg),
            head.map(|head| -head.yaw_deg),
            head.map(|head| head.roll_deg),
            signals.and_then(|signals| signals.gaze_yaw_deg).map(|angle| -angle),
            signals.and_then(|signals| signals.gaze_pitch_deg).map(|angle| -angle),
        ] {
            number(line, angle_deg.map(|angle| f64::from(angle).to_radians()), 4)?;
        }
        let share = |value: fn(&Signals) -> Option<f32>| signals.and_then(value).map(f64::from);
        number(line, share(|signals| signals.eye_open_left), 3)?;
        number(line, share(|signals| signals.eye_open_right), 3)?;
        cell(line, signals.and_then(|signals| signals.blink_left).map(u8::from))?;
        cell(line, signals.and_then(|signals| signals.blink_right).map(u8::from))?;
        number(line, share(|signals| signals.mouth_open), 3)?;
        number(line, share(|signals| signals.mouth_wide), 3)?;
        let rect = face.map(|face| face.rect);
        for value in [rect.map(|r| r.x), rect.map(|r| r.y), rect.map(|r| r.width), rect.map(|r| r.height)] {
            number(line, value.map(f64::from), 2)?;
        }
        match signals {
            Some(signals) => signals.shapes().try_for_each(|(_, value)| number(line, value.map(f64::from), 3))?,
            None => Signals::unknown(0).shapes().try_for_each(|_| number(line, None, 0))?,
        }
        let landmarks = || (0..self.points).map(|i| face.and_then(|face| face.landmarks.get(i)));
        landmarks().try_for_each(|l| number(line, l.map(|l| f64::from(l.point.x)), 2))?;
        landmarks().try_for_each(|l| number(line, l.map(|l| f64::from(l.point.y)), 2))?;
        landmarks().try_for_each(|l| number(line, l.map(|l| f64::from(l.confidence)), 3))?;
        line.push('\n');
        Ok(())
    }
}

fn cell(line: &mut String, value: Option<impl fmt::Display>) -> fmt::Result {
    line.push(',');
    value.map_or(Ok(()), |value| write!(line, "{value}"))
}

fn number(line: &mut String, value: Option<f64>, decimals: usize) -> fmt::Result {
    line.push(',');
    value.filter(|value| value.is_finite()).map_or(Ok(()), |value| write!(line, "{value:.decimals$}"))
}
