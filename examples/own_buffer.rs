//! Tracks your own buffer without a copy: BGR with padded rows, as from OpenCV and GStreamer.
//!
//! cargo run --release --example own_buffer -- face.jpg

use awing::{Face, Frame, FrameView, Part, PixelFormat, Tracker, TrackerOptions};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which picture? Name a JPEG or PNG file")?;
    let Foreign { bgr, width, height, stride } = foreign_buffer(Path::new(&path))?;

    let mut tracker = Tracker::new(TrackerOptions::default())?;
    let view = FrameView::new(&bgr, width, height, stride, PixelFormat::Bgr)?;
    for face in tracker.track(view)? {
        println!(
            "face {}: left eye {:.2}, right eye {:.2}",
            face.id,
            openness(face, Part::LeftEye),
            openness(face, Part::RightEye)
        );
    }
    Ok(())
}

/// The distance between the lids over the width of the eye.
fn openness(face: &Face, eye: Part) -> f32 {
    let points: Vec<_> = face.part(eye).map(|landmark| landmark.point).collect();
    points[2].distance(points[6]) / points[0].distance(points[4])
}

/// A frame owned by another library.
struct Foreign {
    bgr: Vec<u8>,
    /// Pixels.
    width: usize,
    height: usize,
    /// Bytes from one row to the next.
    stride: usize,
}

/// Stands for any source of frames.
fn foreign_buffer(path: &Path) -> Result<Foreign, Box<dyn Error>> {
    let frame = Frame::open(path)?;
    let (width, height) = (frame.width(), frame.height());
    let stride = (width * 3).next_multiple_of(64);
    let mut bgr = vec![0; stride * height];
    for (from, to) in frame.rgb().chunks_exact(width * 3).zip(bgr.chunks_exact_mut(stride)) {
        for (rgb, bgr) in from.chunks_exact(3).zip(to.chunks_exact_mut(3)) {
            bgr.copy_from_slice(&[rgb[2], rgb[1], rgb[0]]);
        }
    }
    Ok(Foreign { bgr, width, height, stride })
}
