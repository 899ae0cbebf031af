//! Procedural faces for tests: exact landmarks, and collections with perturbed ones.

use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::image::Frame;
use crate::train::collection::{CollectedFace, Recording, Review};
use crate::train::synth::Scene;
use std::path::Path;

const SIZE: (usize, usize) = (320, 240);

fn draw(time_s: f64) -> (Frame, Vec<Point<FrameSpace>>) {
    let mut frame = Frame::filled(SIZE.0, SIZE.1, [0; 3]);
    let faces = Scene::demo(1, 1).draw(time_s, &mut frame);
    (frame, faces[0].to_vec())
}

/// The landmarks of a face that looks nearly straight ahead.
pub(super) fn face_points() -> Vec<Point<FrameSpace>> {
    draw(0.0).1
}

/// Makes a recording `folder/name` of `count` faces whose points lie a little off; the first one was not detected.
/// Returns the exact points.
pub(super) fn collect(folder: &Path, name: &str, count: usize) -> Vec<Vec<Point<FrameSpace>>> {
    let mut recording = Recording::create(folder, name).unwrap();
    let (faces, truths) = (0..count)
        .map(|i| {
            let (frame, truth) = draw(1.3 * i as f64);
            let image = recording.add_picture(&frame).unwrap();
            let points: Vec<[f32; 2]> = truth.iter().map(|p| [p.x + 3.0, p.y - 2.0]).collect();
            let score = 0.9 - 0.1 * i as f32 / count as f32;
            let is_detected = i > 0;
            let face = CollectedFace {
                image,
                width: SIZE.0,
                height: SIZE.1,
                points: points.clone(),
                weight: None,
                review: Review::Pending,
                clip: format!("{}", i / 2),
                predicted: is_detected.then_some(points),
                confidence: is_detected.then(|| vec![score; 98]),
                score: is_detected.then_some(score),
                source: Some("demo".into()),
                time_s: None,
                other: serde_json::Map::new(),
            };
            (face, truth)
        })
        .unzip();
    recording.add(faces).unwrap();
    truths
}
