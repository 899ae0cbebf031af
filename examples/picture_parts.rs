//! A picture in, a table of the parts of every face out.
//!
//! cargo run --release --example picture_parts -- face.jpg

use awing::{Frame, Part, Tracker, TrackerOptions};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which picture? Name a JPEG or PNG file")?;
    let frame = Frame::open(Path::new(&path))?;
    let mut tracker = Tracker::new(TrackerOptions::default())?;
    for face in tracker.track(&frame)? {
        println!("face {}, score {:.2}", face.id, face.score);
        println!("{:<12} {:>6} {:>8} {:>8} {:>10}", "part", "points", "x", "y", "confidence");
        for part in Part::ALL {
            let landmarks = face.part(part);
            let count = landmarks.len() as f32;
            let (mut x, mut y, mut confidence) = (0.0, 0.0, 0.0);
            for landmark in landmarks {
                x += landmark.point.x / count;
                y += landmark.point.y / count;
                confidence += landmark.confidence / count;
            }
            println!("{:<12} {count:>6} {x:>8.1} {y:>8.1} {confidence:>10.2}", format!("{part:?}"));
        }
    }
    Ok(())
}
