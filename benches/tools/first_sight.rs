//! Measures how many faces a new tracker finds: rotated, dim or dull ones, and its false positives
//! (docs/evaluation.md).
//!
//! Run `cargo run --release --example first_sight -- faces/val.jsonl backgrounds/backgrounds.txt`. In: JSON lines of
//! faces, and a list of pictures without faces. Each face is pasted into one of these pictures, the frame of 640x480 is
//! rotated or darkened as a whole, and a new tracker sees it for a second. A face counts as found if it is reported
//! within this second with its landmarks within a tenth of its size on average.

use awing::internals::{Border, crop_from_frame, crop_into, stage};
use awing::{Frame, FrameSpace, Point, Rect, Tracker, TrackerOptions};
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};

type AnyError = Box<dyn Error>;

/// One face in this many is measured.
const FACES: usize = 24;
const SIZE: (usize, usize) = (640, 480);
/// Pixels around the frame, so that it can be turned.
const ROOM: usize = 800;
/// The longer side of a face, in pixels.
const SIDE: f32 = 150.0;
const FRAMES: u32 = 30;

/// How a frame is changed.
#[derive(Clone, Copy)]
struct Change {
    name: &'static str,
    roll_deg: f32,
    /// Every value becomes `gain` times itself plus `offset`, in 0..=255.
    gain: f32,
    offset: f32,
}

const fn turned(name: &'static str, roll_deg: f32) -> Change {
    Change { name, roll_deg, gain: 1.0, offset: 0.0 }
}

const CHANGES: [Change; 10] = [
    turned("as it is", 0.0),
    turned("turned by 45 degrees", 45.0),
    turned("turned by 60 degrees", 60.0),
    turned("turned by 75 degrees", 75.0),
    turned("turned by 90 degrees", 90.0),
    turned("turned by 180 degrees", 180.0),
    turned("turned by 270 degrees", 270.0),
    Change { name: "brightness 12 %", roll_deg: 0.0, gain: 0.12, offset: 0.0 },
    Change { name: "brightness 6 %", roll_deg: 0.0, gain: 0.06, offset: 0.0 },
    Change { name: "contrast 10 %", roll_deg: 0.0, gain: 0.1, offset: 0.45 * 255.0 },
];

struct Face {
    picture: PathBuf,
    points: Vec<Point<FrameSpace>>,
}

/// A frame with the face set into a picture, and its landmarks.
fn frame(face: &Face, background: &Frame, change: Change) -> Result<(Frame, Vec<Point<FrameSpace>>), AnyError> {
    let picture = Frame::open(&face.picture)?;
    let around = Rect::around(face.points.iter().copied()).ok_or("a face has no points")?;
    let middle = Point::new(0.5 * (ROOM as f32 - 1.0), 0.5 * (ROOM as f32 - 1.0));
    let (staged, _) = stage(background, (&picture, &around), (ROOM, ROOM), middle, SIDE);
    let from_staged = crop_from_frame(middle, ROOM as f32, -change.roll_deg.to_radians(), ROOM);
    let mut pixels = vec![0.0; ROOM * ROOM * 3];
    crop_into(&staged, &from_staged, ROOM, Border::Replicate, &mut pixels);
    let (left, top) = ((ROOM - SIZE.0) / 2, (ROOM - SIZE.1) / 2);
    let mut bytes = Vec::with_capacity(SIZE.0 * SIZE.1 * 3);
    for row in pixels.chunks_exact(ROOM * 3).skip(top).take(SIZE.1) {
        let row = &row[left * 3..(left + SIZE.0) * 3];
        bytes.extend(row.iter().map(|v| (v * 255.0 * change.gain + change.offset).round() as u8));
    }
    let scale = SIDE / around.side();
    let moved = |p: &Point<FrameSpace>| {
        let (x, y) = ((p.x - around.center().x) * scale, (p.y - around.center().y) * scale);
        let p = from_staged.apply(Point::new(middle.x + x, middle.y + y));
        Point::new(p.x - left as f32, p.y - top as f32)
    };
    Ok((Frame::from_rgb(SIZE.0, SIZE.1, bytes)?, face.points.iter().map(moved).collect()))
}

/// Distance of the centre and of the eyes of a reported face from the true ones, relative to the face's size.
fn error(found: &[Point<FrameSpace>], truth: &[Point<FrameSpace>]) -> f32 {
    // Outer eye corners and mouth corners, in the schemes of 98 and of 68 points.
    let at = |points: &[Point<FrameSpace>]| {
        let indices = if points.len() == 98 { [60, 72, 76, 82] } else { [36, 45, 48, 54] };
        indices.map(|i| points[i])
    };
    let distances = at(found).into_iter().zip(at(truth)).map(|(a, b)| a.distance(b));
    distances.sum::<f32>() / 4.0 / SIDE
}

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, backgrounds] = arguments.as_slice() else {
        return Err("usage: first_sight FACES.jsonl BACKGROUNDS.txt".into());
    };
    let above = |file: &str| -> Result<PathBuf, AnyError> {
        let parent = Path::new(file).canonicalize()?.parent().and_then(Path::parent).map(Path::to_owned);
        parent.ok_or_else(|| "no folder above the file's".into())
    };
    let mut faces = Vec::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let points: Vec<[f32; 2]> = serde_json::from_value(row["points"].clone())?;
        let picture = above(file)?.join(row["image"].as_str().ok_or("a row has no image")?);
        if points.len() >= 68 {
            faces.push(Face { picture, points: points.into_iter().map(|[x, y]| Point::new(x, y)).collect() });
        }
    }
    let empty: Vec<PathBuf> = std::fs::read_to_string(backgrounds)?
        .lines()
        .map(|line| above(backgrounds).map(|folder| folder.join(line)))
        .collect::<Result<_, _>>()?;
    let mut tracker = Tracker::new(TrackerOptions::default())?;
    let every = (faces.len() / FACES).max(1);
    for change in CHANGES {
        let (mut found, mut of, mut frames) = (0, 0, Vec::new());
        for (number, face) in faces.iter().step_by(every).take(FACES).enumerate() {
            let background = Frame::open(&empty[number * 7 % empty.len()])?;
            let (frame, truth) = frame(face, &background, change)?;
            of += 1;
            tracker.reset();
            for i in 0..FRAMES {
                let seen = tracker.track_at(&frame, f64::from(i) / 30.0)?;
                let is_right = |face: &awing::Face| {
                    let points: Vec<_> = face.landmarks.iter().map(|l| l.point).collect();
                    error(&points, &truth) < 0.1
                };
                if seen.iter().any(is_right) {
                    found += 1;
                    frames.push(i + 1);
                    break;
                }
            }
        }
        frames.sort_unstable();
        let median = frames.get(frames.len() / 2).map_or_else(String::new, |n| format!(", median after {n} frames"));
        println!("{:<24} {found} of {of}{median}", change.name);
    }
    let mut invented = 0;
    for picture in &empty {
        let frame = Frame::open(picture)?;
        tracker.reset();
        let mut is_seen = false;
        for i in 0..FRAMES {
            is_seen |= !tracker.track_at(&frame, f64::from(i) / 30.0)?.is_empty();
        }
        if is_seen {
            println!("a face in {}", picture.display());
        }
        invented += usize::from(is_seen);
    }
    println!("{:<24} {invented} of {}", "faces where none is", empty.len());
    Ok(())
}
