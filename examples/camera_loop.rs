//! A camera loop: tracks YUYV frames, the format of most webcams, directly from a pipe.
//!
//! ffmpeg -loglevel error -f v4l2 -input_format yuyv422 -video_size 640x480 -i /dev/video0 -f rawvideo - |
//!     cargo run --release --example camera_loop -- 640 480

use awing::{FrameView, Part, PixelFormat, Tracker, TrackerOptions};
use std::error::Error;
use std::io::Read;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut pixels = || {
        arguments.next().ok_or("name the width and the height of the frames")?.parse().map_err(Box::<dyn Error>::from)
    };
    let (width, height): (usize, usize) = (pixels()?, pixels()?);

    let mut options = TrackerOptions::default();
    options.faces = 1;
    let mut tracker = Tracker::new(options)?;
    let mut camera = std::io::stdin().lock();
    let mut buffer = vec![0; width * 2 * height];
    let start = Instant::now();
    // The pipe ends with the camera.
    while camera.read_exact(&mut buffer).is_ok() {
        let view = FrameView::new(&buffer, width, height, width * 2, PixelFormat::Yuyv)?;
        let time_s = start.elapsed().as_secs_f64();
        match tracker.track_at(view, time_s)?.first() {
            Some(face) => {
                let tip = face.part(Part::NoseRidge).last().map(|landmark| landmark.point);
                println!("{time_s:8.3} s: face {}, score {:.2}, tip of the nose at {tip:?}", face.id, face.score);
            }
            None => println!("{time_s:8.3} s: no face"),
        }
    }
    let times = tracker.timings();
    println!("the last frame took {:.2} ms", times.total_ms);
    Ok(())
}
