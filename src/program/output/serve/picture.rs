//! Encodes frames as JPEG in its own thread while a page wants them.
//!
//! In: frames. Out: pictures of at most 1280 pixels a side; while one is encoded, the newest frame replaces older ones.

use super::hub::{Hub, Update};
use crate::program::latest::Latest;
use crate::program::view::{Placement, Scaler};
use crate::runtime::image::Frame;
use anyhow::{Context, Result};
use jpeg_encoder::{ColorType, Encoder, EncodingError};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The longest side of a picture: larger ones would only take time.
const LONGEST_SIDE: usize = 1280;
/// Of JPEG, in percent.
const QUALITY: u8 = 80;

/// The thread, and the next frame for it.
pub(super) struct Pictures {
    latest: Arc<Latest<Job>>,
    next: Job,
    /// `None` once it was joined.
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Job {
    update: Option<Update>,
    frame: Frame,
}

impl Pictures {
    /// Starts the thread.
    ///
    /// # Errors
    /// If it can't be started.
    pub(super) fn start(hub: Arc<Hub>) -> Result<Self> {
        let latest = Arc::new(Latest::default());
        let jobs = latest.clone();
        let thread = thread::Builder::new().name("pictures".into()).spawn(move || encode_all(&jobs, &hub));
        Ok(Self { latest, next: Job::default(), thread: Some(thread.context("cannot start a thread")?) })
    }

    /// Passes on a frame.
    pub(super) fn put(&mut self, update: Update, frame: &Frame) {
        self.next.update = Some(update);
        self.next.frame.clone_from(frame);
        self.latest.put(&mut self.next);
    }

    /// Ends the thread after its current frame.
    pub(super) fn finish(&mut self) {
        self.latest.close();
        // A panic of its own was reported by it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn encode_all(jobs: &Latest<Job>, hub: &Hub) {
    let (mut job, mut scaler, mut small) = (Job::default(), Scaler::default(), Frame::default());
    while jobs.wait(&mut job) {
        let Some(update) = job.update.take() else { continue };
        let size = (job.frame.width(), job.frame.height());
        let longest = size.0.max(size.1);
        let frame = if longest > LONGEST_SIDE {
            let side = |side: usize| (side * LONGEST_SIDE / longest).max(1);
            small.resize(side(size.0), side(size.1));
            scaler.draw(&job.frame, &Placement::fit(size, (small.width(), small.height()), false), &mut small);
            &small
        } else {
            &job.frame
        };
        // An empty frame has no picture.
        if let Ok(jpeg) = encode(frame) {
            hub.publish(Update { jpeg: Some(jpeg.into()), ..update });
        }
    }
}

fn encode(frame: &Frame) -> Result<Vec<u8>, EncodingError> {
    let side = |side: usize| u16::try_from(side).expect("sides are bounded");
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, QUALITY).encode(frame.rgb(), side(frame.width()), side(frame.height()), ColorType::Rgb)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::output::serve::hub::{Next, Subscription};
    use std::time::Duration;

    #[test]
    fn a_large_frame_becomes_a_picture_that_fits_a_page() {
        let hub = Arc::new(Hub::new());
        let viewer = hub.join(Subscription { is_page: true, with_picture: true }).unwrap();
        let mut pictures = Pictures::start(hub.clone()).unwrap();
        let update = |number| Update { number, captured: None, line: "{}".into(), jpeg: None };
        pictures.put(update(0), &Frame::default());
        for (number, size, wanted) in [(1, (1920, 1080), (1280, 720)), (2, (64, 48), (64, 48))] {
            pictures.put(update(number), &Frame::filled(size.0, size.1, [200, 30, 90]));
            let Next::Update(update) = hub.next(viewer) else { panic!("no picture") };
            assert_eq!(update.number, number);
            let picture = image::load_from_memory(&update.jpeg.unwrap()).unwrap().to_rgb8();
            assert_eq!((picture.width(), picture.height()), wanted);
            assert!(picture.get_pixel(5, 5).0.iter().zip([200, 30, 90]).all(|(a, b)| a.abs_diff(b) < 6));
        }
        pictures.finish();
        hub.close(Duration::ZERO);
    }
}
