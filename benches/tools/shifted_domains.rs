//! Makes three domains that the bundled model handles badly from annotated faces, to measure fine-tuning on
//! (docs/engineering/fine-tuning.md).
//!
//! Run `cargo run --release --example shifted_domains -- faces/val.jsonl helen out`. In: JSON lines and the data set
//! whose faces are taken. Out, in `out`: `dim`, `warm` and `masked`, each with `tune75.jsonl`, `tune15.jsonl` (the
//! first of the 75), `shuffled.jsonl` (the 75 with a third of the labels exchanged between faces) and `test.jsonl` (all
//! other faces); `own.jsonl` with the 75 faces as they are and `guard.jsonl` with every face that is not among them, of
//! all data sets.

use awing::internals::{Border, crop_from_frame, crop_into};
use awing::{Frame, Point, Rect};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::Path;

type AnyError = Box<dyn Error>;

/// Faces to tune on: a fifth of them is held out, so that 60 are learned from.
const TUNED: usize = 75;
/// Faces of the short data set.
const FEW: usize = 15;
/// Side of the picture that is kept, relative to the box around the landmarks.
const MARGIN: f32 = 2.0;

/// A picture of `size` pixels a side in 0..=1, and its landmarks.
struct Face {
    size: usize,
    pixels: Vec<f32>,
    points: Vec<Point<awing::FrameSpace>>,
}

impl Face {
    /// The part of the frame around the landmarks, turned by `roll_deg`.
    fn cut(frame: &Frame, points: &[Point<awing::FrameSpace>], roll_deg: f32, size: usize) -> Option<Self> {
        let around = Rect::around(points.iter().copied())?;
        let from_frame = crop_from_frame(around.center(), MARGIN * around.side(), roll_deg.to_radians(), size);
        let mut pixels = vec![0.0; size * size * 3];
        crop_into(frame, &from_frame, size, Border::Replicate, &mut pixels);
        let points = points.iter().map(|&p| from_frame.apply(p)).map(|p| Point::new(p.x, p.y)).collect();
        Some(Self { size, pixels, points })
    }

    /// Changes every pixel, given its position in 0..1.
    fn shade(&mut self, mut change: impl FnMut(f32, f32, &mut [f32; 3])) {
        let size = self.size;
        for (i, pixel) in self.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            change((i % size) as f32 / size as f32, (i / size) as f32 / size as f32, pixel);
            *pixel = pixel.map(|v| v.clamp(0.0, 1.0));
        }
    }

    /// A small grey picture of a face in a dark room, by a camera that was turned.
    fn dim(frame: &Frame, points: &[Point<awing::FrameSpace>], rng: &mut ChaCha8Rng) -> Option<Self> {
        let mut face = Self::cut(frame, points, 35.0, 128)?;
        face.shade(|_, _, pixel| {
            let grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
            let noise: f32 = (0..3).map(|_| rng.random_range(-1.0..1.0_f32)).sum();
            *pixel = [0.03 + 0.16 * grey + 0.02 * noise; 3];
        });
        Some(face)
    }

    /// Strong warm light from below, and a camera that moved.
    fn warm(frame: &Frame, points: &[Point<awing::FrameSpace>], rng: &mut ChaCha8Rng) -> Option<Self> {
        let mut face = Self::cut(frame, points, 0.0, 256)?;
        let (top, bottom) = (0.12, 1.9);
        face.shade(|_, y, pixel| {
            let light = top + (bottom - top) * ((y - 0.25) / 0.5).clamp(0.0, 1.0).powi(2);
            for (value, gain) in pixel.iter_mut().zip([1.25, 0.85, 0.45]) {
                *value *= light * gain;
            }
        });
        let angle = rng.random_range(0.0..std::f32::consts::PI);
        face.blur_along(angle.cos(), angle.sin(), 17);
        Some(face)
    }

    /// A mask, or a hand, over mouth and chin.
    fn masked(frame: &Frame, points: &[Point<awing::FrameSpace>], rng: &mut ChaCha8Rng) -> Option<Self> {
        let mut face = Self::cut(frame, points, 0.0, 256)?;
        let is_mask = rng.random_bool(0.5);
        let skin = face.mean_of_cheek();
        let outline: Vec<(f32, f32)> = if is_mask {
            // From the cheeks along the jaw, and over the nose.
            let jaw = (5..=27).map(|i| face.points[i]);
            jaw.chain([face.points[53]]).map(|p| (p.x, p.y)).collect()
        } else {
            let (mouth, width) = (face.points[90], face.points[76].distance(face.points[82]));
            let turn: f32 = rng.random_range(-0.6..0.6);
            let ellipse = (0..24).map(|i| {
                let t = i as f32 / 24.0 * std::f32::consts::TAU;
                let (x, y) = (1.3 * width * t.cos(), 0.75 * width * t.sin());
                (mouth.x + x * turn.cos() - y * turn.sin(), mouth.y + x * turn.sin() + y * turn.cos())
            });
            ellipse.collect()
        };
        let color = if is_mask { [0.55, 0.72, 0.85] } else { skin };
        let size = face.size as f32;
        face.shade(|x, y, pixel| {
            if is_inside(&outline, x * size, y * size) {
                let fold = 0.06 * (if is_mask { (y * 90.0).sin() } else { (x * 60.0 + y * 12.0).sin() });
                *pixel = color.map(|v| v + fold);
            }
        });
        Some(face)
    }

    /// The colour of the cheek, for a hand.
    fn mean_of_cheek(&self) -> [f32; 3] {
        let at = self.points[51].midpoint(self.points[4]);
        let index = |v: f32| (v.max(0.0) as usize).min(self.size - 1);
        let start = (index(at.y) * self.size + index(at.x)) * 3;
        [self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]]
    }

    fn blur_along(&mut self, x: f32, y: f32, length: i32) {
        let (size, source) = (self.size as i32, self.pixels.clone());
        for (i, pixel) in self.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (column, row) = (i as i32 % size, i as i32 / size);
            let mut sum = [0.0; 3];
            for step in -length / 2..=length / 2 {
                let clamp = |v: f32| (v.round() as i32).clamp(0, size - 1);
                let (c, r) = (clamp(column as f32 + step as f32 * x), clamp(row as f32 + step as f32 * y));
                for (channel, sum) in sum.iter_mut().enumerate() {
                    *sum += source[((r * size + c) * 3) as usize + channel];
                }
            }
            *pixel = sum.map(|v| v / (length / 2 * 2 + 1) as f32);
        }
    }

    fn frame(&self) -> Result<Frame, AnyError> {
        let bytes = self.pixels.iter().map(|v| (v * 255.0).round() as u8).collect();
        Ok(Frame::from_rgb(self.size, self.size, bytes)?)
    }
}

/// Whether a point lies in a polygon.
fn is_inside(outline: &[(f32, f32)], x: f32, y: f32) -> bool {
    let mut inside = false;
    for (i, &(x1, y1)) in outline.iter().enumerate() {
        let (x2, y2) = outline[(i + 1) % outline.len()];
        if (y1 > y) != (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1 {
            inside = !inside;
        }
    }
    inside
}

fn points_of(row: &Value) -> Result<Vec<Point<awing::FrameSpace>>, AnyError> {
    let points: Vec<[f32; 2]> = serde_json::from_value(row["points"].clone())?;
    Ok(points.into_iter().map(|[x, y]| Point::new(x, y)).collect())
}

fn write(path: &Path, rows: &[Value]) -> Result<(), AnyError> {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    Ok(fs::write(path, text)?)
}

/// One domain: its name, and how a picture of it is made.
type Shift = fn(&Frame, &[Point<awing::FrameSpace>], &mut ChaCha8Rng) -> Option<Face>;
const DOMAINS: [(&str, Shift); 3] = [("dim", Face::dim), ("warm", Face::warm), ("masked", Face::masked)];

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, dataset, out] = arguments.as_slice() else {
        return Err("usage: shifted_domains FILE.jsonl DATASET OUT".into());
    };
    let (file, out) = (Path::new(file), Path::new(out));
    let folder =
        fs::canonicalize(file)?.parent().and_then(Path::parent).ok_or("no folder above the file's")?.to_owned();
    let mut rows: Vec<Value> = Vec::new();
    for line in fs::read_to_string(file)?.lines() {
        let mut row: Value = serde_json::from_str(line)?;
        let image = folder.join(row["image"].as_str().ok_or("a row has no image")?);
        row["image"] = image.to_str().ok_or("a path is not UTF-8")?.into();
        row.as_object_mut().ok_or("a row is no object")?.remove("native");
        rows.push(row);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut chosen, others): (Vec<Value>, Vec<Value>) = rows.into_iter().partition(|row| row["dataset"] == *dataset);
    chosen.shuffle(&mut rng);
    let (tuned, tested) = chosen.split_at(TUNED.min(chosen.len()));
    fs::create_dir_all(out)?;
    write(&out.join("own.jsonl"), tuned)?;
    write(&out.join("guard.jsonl"), &[tested, &others].concat())?;
    for (name, shift) in DOMAINS {
        let folder = out.join(name);
        fs::create_dir_all(&folder)?;
        let mut shifted = Vec::new();
        for (number, row) in chosen.iter().enumerate() {
            let frame = Frame::open(Path::new(row["image"].as_str().unwrap_or_default()))?;
            let face = shift(&frame, &points_of(row)?, &mut rng).ok_or("a face has no extent")?;
            let image = format!("{number:04}.png");
            face.frame()?.save(&folder.join(&image))?;
            let points: Vec<[f32; 2]> = face.points.iter().map(|p| [p.x, p.y]).collect();
            let mut row = row.clone();
            row["image"] = image.into();
            row["points"] = serde_json::to_value(points)?;
            row["dataset"] = name.into();
            (row["width"], row["height"]) = (face.size.into(), face.size.into());
            row.as_object_mut().ok_or("a row is no object")?.remove("box");
            shifted.push(row);
        }
        let (tuned, tested) = shifted.split_at(TUNED.min(shifted.len()));
        write(&folder.join("tune75.jsonl"), tuned)?;
        write(&folder.join("tune15.jsonl"), &tuned[..FEW.min(tuned.len())])?;
        write(&folder.join("test.jsonl"), tested)?;
        let mut shuffled = tuned.to_vec();
        let third = shuffled.len() / 3;
        let labels: Vec<Value> = shuffled[..third].iter().map(|row| row["points"].clone()).collect();
        for (i, label) in labels.iter().enumerate() {
            shuffled[(i + 1) % third]["points"] = label.clone();
        }
        write(&folder.join("shuffled.jsonl"), &shuffled)?;
    }
    Ok(())
}
