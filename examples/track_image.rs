//! Finds the faces in a picture, prints where they look from and saves the picture with the landmarks drawn in.
//!
//! Run it on a picture of yours, or without one on a procedural face:
//!
//! ```text
//! cargo run --release --example track_image -- [PICTURE.jpg]
//! ```

use awing::image::Frame;
use awing::landmarks::WFLW98_PUPILS;
use awing::synth::Scene;
use awing::track::{Tracker, TrackerOptions};
use awing::view::{Overlay, OverlayFace};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    // A frame is 8-bit RGB: from a file, a camera, or your own program with `Frame::from_rgb`.
    let mut frame = match std::env::args_os().nth(1) {
        Some(path) => Frame::open(Path::new(&path))?,
        None => {
            let mut frame = Frame::filled(640, 480, [0; 3]);
            Scene::demo(1, 1).draw(0.0, &mut frame);
            frame
        }
    };

    // The models are inside the library. For a video, keep the tracker and call `track` (a live camera) or `track_at`
    // (a recording, with the frame's time) for one frame after the other: faces keep their ids.
    let mut tracker = Tracker::new(TrackerOptions::default())?;
    let faces = tracker.track(&frame)?.to_vec();

    println!("{} face(s) in {}x{} pixels", faces.len(), frame.width(), frame.height());
    let (left, right) = WFLW98_PUPILS;
    for face in &faces {
        let score = 100.0 * face.score;
        println!(
            "face {}: {score:.0} % sure, pupils at {:?} and {:?}",
            face.id, face.landmarks[left], face.landmarks[right]
        );
    }
    println!("{:.1} ms, of which the detector took {:.1}", tracker.timings().total_ms, tracker.timings().detect_ms);

    let drawn: Vec<_> = faces
        .iter()
        .map(|f| OverlayFace {
            id: f.id,
            score: f.score,
            rect: f.rect,
            landmarks: &f.landmarks,
            confidence: &f.confidence,
        })
        .collect();
    Overlay::new().draw(&mut frame, &drawn);
    frame.save(Path::new("landmarks.png"))?;
    println!("saved landmarks.png");
    Ok(())
}
