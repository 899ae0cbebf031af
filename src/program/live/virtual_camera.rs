//! Sends the annotated picture to a virtual camera, in its own thread.
//!
//! In: tracked frames; the newest replaces those that arrive while one is drawn. Out: the picture with its faces, in
//! the size of the first frame or the device's fixed size. If the device fails, a message says so, and tracking
//! continues without it.

use super::frame::TrackedFrame;
use super::painter::Painter;
use crate::program::capture::{CaptureError, VirtualCamera};
use crate::program::console::with_causes;
use crate::program::latest::Latest;
use crate::program::view::Look;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the end waits for a device that takes its time.
const PATIENCE: Duration = Duration::from_millis(300);

/// The thread, and the next frame for it.
pub(super) struct VirtualCameraOutput {
    latest: Arc<Latest<TrackedFrame>>,
    next: TrackedFrame,
    thread: JoinHandle<()>,
}

impl VirtualCameraOutput {
    /// Starts the thread.
    ///
    /// # Errors
    /// If it can't be started.
    pub(super) fn start(camera: VirtualCamera, look: Look) -> Result<Self> {
        let latest = Arc::new(Latest::default());
        let frames = latest.clone();
        let write = move || {
            if let Err(error) = write_all(&frames, &camera, look) {
                tracing::warn!("--virtual-camera: {}; tracking goes on without it", with_causes(&error));
            }
        };
        let thread =
            thread::Builder::new().name("virtual camera".into()).spawn(write).context("cannot start a thread")?;
        Ok(Self { latest, next: TrackedFrame::default(), thread })
    }

    /// Hands a frame over.
    pub(super) fn add(&mut self, tracked: &TrackedFrame) {
        if !self.thread.is_finished() {
            self.next.frame.clone_from(&tracked.frame);
            self.next.set_faces(&tracked.faces);
            self.next.signals.clone_from(&tracked.signals);
            self.latest.put(&mut self.next);
        }
    }
}

impl Drop for VirtualCameraOutput {
    fn drop(&mut self) {
        self.latest.close();
        let start = Instant::now();
        while !self.thread.is_finished() && start.elapsed() < PATIENCE {
            thread::sleep(PATIENCE / 100);
        }
    }
}

fn write_all(frames: &Latest<TrackedFrame>, camera: &VirtualCamera, look: Look) -> Result<(), CaptureError> {
    let (mut tracked, mut painter, mut buffer) = (TrackedFrame::default(), Painter::with(look), Vec::new());
    let mut mode = None;
    while frames.wait(&mut tracked) {
        let TrackedFrame { frame, faces, signals, .. } = &tracked;
        let mode = match mode {
            Some(mode) => mode,
            None => *mode.insert(camera.begin(frame.width(), frame.height())?),
        };
        camera.write(painter.paint_on(frame, faces, signals, (mode.width, mode.height)), mode, &mut buffer)?;
    }
    Ok(())
}
