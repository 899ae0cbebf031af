//! A live camera, read in its own thread.
//!
//! In: a camera's number, or none for the first that can capture, and the wanted size and frame rate. Out: RGB frames
//! with their capture times. Nothing queues: a newer frame replaces one that was not yet processed. A frame that cannot
//! be decoded is dropped and counted.
//!
//! A camera that cannot be opened at first is an error. One that fails later is reopened until it is back, and
//! [`Source::trouble`] says so within two seconds. It is recognized by its name, since the system may give it another
//! number when it is plugged in again. Consumers wait with a timeout, so neither a silent camera nor a hung driver can
//! block them, or the end of the program.

mod decode;
mod mode;
#[cfg(not(target_os = "linux"))]
mod native;
mod remedy;
mod thread;
#[cfg(target_os = "linux")]
mod v4l2;

/// Whether the bytes that a camera sent for a frame of this size are a whole JPEG picture, for tests of the reader.
#[cfg(feature = "internals")]
pub fn is_whole_jpeg(width: usize, height: usize, bytes: &[u8]) -> bool {
    let layout = decode::Layout { format: mode::PixelFormat::Mjpeg, width, height, stride: 0 };
    decode::Decoder::default().decode(&layout, bytes, &mut Frame::default()).is_ok()
}

#[cfg(test)]
pub use mode::PixelFormat;
pub use mode::{Mode, Rate};

#[cfg(not(target_os = "linux"))]
use self::native::{Device, describe, name_of, nodes};
#[cfg(target_os = "linux")]
pub use self::v4l2::output::VirtualCamera;
#[cfg(target_os = "linux")]
use self::v4l2::{Device, describe, name_of, nodes};
use super::{CaptureError, CaptureOptions, Source, Tally, Waited};
use crate::runtime::image::Frame;
use decode::Damage;
use mode::Wish;
use remedy::UNPLUGGED;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// After this long without a frame the camera is in trouble. The user has to be told within two seconds.
const SILENCE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long cameras may take to report their modes.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long [`Camera::open`] waits for an error; a camera that is not open by then is waited for as a source.
const OPEN_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a dropped camera waits for its thread, which a driver may block for ever.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(300);

/// A camera that can capture.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraDescription {
    /// The `N` of `camera:N`.
    pub index: u32,
    pub name: String,
    /// Every mode of the camera that awing can use, the best first.
    pub modes: Vec<Mode>,
}

/// The cameras that can capture. Devices that only carry metadata, those without a usable format, and those whose
/// driver does not answer are skipped.
///
/// # Errors
/// [`CaptureError::CameraList`] if the system cannot list its cameras, [`CaptureError::Thread`] if it cannot start the
/// threads that ask them.
pub fn list() -> Result<Vec<CameraDescription>, CaptureError> {
    // Without a timeout: the user may take any time to answer.
    #[cfg(not(target_os = "linux"))]
    native::request_permission().map_err(CaptureError::CameraList)?;
    let mut unanswered = nodes().map_err(CaptureError::CameraList)?;
    let (answer, answers) = mpsc::channel();
    for &index in &unanswered {
        let answer = answer.clone();
        // The receiver may have stopped waiting.
        let ask = move || drop(answer.send((index, describe(index))));
        std::thread::Builder::new().name("cameras".into()).spawn(ask).map_err(CaptureError::Thread)?;
    }
    drop(answer);
    let deadline = Instant::now() + LIST_TIMEOUT;
    let mut cameras = Vec::new();
    while let Ok((index, camera)) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        unanswered.retain(|other| *other != index);
        cameras.extend(camera);
    }
    for index in unanswered {
        tracing::warn!("skipped camera {index}: its driver does not answer");
    }
    cameras.sort_by_key(|camera: &CameraDescription| camera.index);
    Ok(cameras)
}

/// A frame as the driver delivers it.
struct Raw<'a> {
    bytes: &'a [u8],
    captured: Instant,
    /// Frames of the camera that never arrived, between the last one and this.
    lost: u64,
    /// Whether the driver itself marks it as damaged.
    is_flagged: bool,
}

/// Why a camera that was opened delivers no frame.
#[derive(Clone, Debug, PartialEq)]
enum Trouble {
    Silent,
    Damaged(Damage),
    /// As a sentence without its full stop.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it is silent"),
            Self::Damaged(damage) => write!(f, "it sends only {damage}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// The state shared by the capture thread and the consumer.
#[derive(Default)]
struct Shared {
    state: Mutex<CameraState>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Default)]
struct CameraState {
    /// The number of the camera, once known.
    index: Option<u32>,
    name: String,
    /// The frame rate reported by the driver.
    rate: Option<Rate>,
    /// The newest unprocessed frame, and its capture time.
    newest: Option<(Frame, Instant)>,
    /// Frames for reuse.
    spare: Vec<Frame>,
    /// Whether it was opened once: later failures are not errors, the camera is reopened.
    was_opened: bool,
    /// Why the camera could not be opened at all.
    failed: Option<CaptureError>,
    /// The trouble of a camera that was opened once.
    trouble: Option<Trouble>,
    tally: Tally,
    is_over: bool,
}

impl CameraState {
    fn describe(&self) -> String {
        let number = self.index.map_or_else(String::new, |index| format!(" {index}"));
        let name = if self.name.is_empty() { String::new() } else { format!(" ({})", self.name) };
        format!("camera{number}{name}")
    }
}

impl Shared {
    /// The state, even after a panic in a thread: every change leaves it consistent.
    fn lock(&self) -> MutexGuard<'_, CameraState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until `is_done` or for `timeout`.
    fn wait(&self, timeout: Duration, mut is_done: impl FnMut(&CameraState) -> bool) -> MutexGuard<'_, CameraState> {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !is_done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(&mut CameraState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A camera as a source.
pub(super) struct Camera {
    shared: Arc<Shared>,
    opened: Instant,
    /// When the last frame was captured; before the first, when the camera was opened.
    captured: Instant,
    /// When the last frame was handed out.
    arrived: Instant,
    /// The trouble that was logged last.
    logged: Option<Trouble>,
}

impl Camera {
    /// Opens the camera with this number, or the first that can capture.
    pub fn open(index: Option<u32>, options: &CaptureOptions) -> Result<Self, CaptureError> {
        let state = CameraState { was_opened: options.keeps_trying, ..CameraState::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), ..Shared::default() });
        let wish = Wish { size: options.size, frames_per_second: options.frames_per_second };
        let theirs = shared.clone();
        let capture = move || {
            thread::capture(index, &wish, &theirs);
            theirs.change(|state| state.is_over = true);
        };
        std::thread::Builder::new().name("capture".into()).spawn(capture).map_err(CaptureError::Thread)?;
        let mut state = shared.wait(OPEN_TIMEOUT, |state| state.was_opened || state.failed.is_some());
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        drop(state);
        let now = Instant::now();
        Ok(Self { shared, opened: now, captured: now, arrived: now, logged: None })
    }

    /// Why there is no frame.
    fn current_trouble(&self) -> Option<Trouble> {
        let state = self.shared.lock();
        if state.newest.is_some() {
            return None;
        }
        let is_silent = self.arrived.elapsed() >= SILENCE_TIMEOUT;
        state.trouble.clone().or_else(|| is_silent.then_some(Trouble::Silent))
    }
}

impl Source for Camera {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        loop {
            match self.wait(frame, SILENCE_TIMEOUT)? {
                Waited::Frame(time_s) => return Ok(Some(time_s)),
                Waited::Nothing => {}
                Waited::End => return Ok(None),
            }
        }
    }

    fn wait(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Waited, CaptureError> {
        let mut state =
            self.shared.wait(timeout, |state| state.newest.is_some() || state.failed.is_some() || state.is_over);
        if let Some((newest, captured)) = state.newest.take() {
            state.spare.push(std::mem::replace(frame, newest));
            drop(state);
            (self.captured, self.arrived) = (captured, Instant::now());
            if self.logged.take().is_some() {
                tracing::warn!("{} is back", self.describe());
            }
            // The first frame may have been captured before `open` returned.
            return Ok(Waited::Frame(captured.saturating_duration_since(self.opened).as_secs_f64()));
        }
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let is_over = state.is_over;
        drop(state);
        let trouble = self.current_trouble();
        if trouble.is_some() && trouble != self.logged {
            tracing::warn!("{}", self.trouble().unwrap_or_default());
            self.logged = trouble;
        }
        Ok(if is_over { Waited::End } else { Waited::Nothing })
    }

    fn arrived(&self) -> Option<Instant> {
        Some(self.captured)
    }

    fn trouble(&self) -> Option<String> {
        let trouble = self.current_trouble()?;
        let (who, seconds) = (self.describe(), self.arrived.elapsed().as_secs());
        Some(match trouble {
            Trouble::Silent => format!("{who}: no picture for {seconds} s. Reconnecting ..."),
            reason => format!("{who}: {reason}. No picture for {seconds} s. Reconnecting ..."),
        })
    }

    fn is_unplugged(&self) -> bool {
        matches!(self.current_trouble(), Some(Trouble::Failed(reason)) if reason.starts_with(UNPLUGGED))
    }

    fn tally(&self) -> Option<Tally> {
        Some(self.shared.lock().tally)
    }

    fn frames_per_second(&self) -> Option<f64> {
        self.shared.lock().rate.map(Rate::per_second)
    }

    fn describe(&self) -> String {
        self.shared.lock().describe()
    }

    fn camera_number(&self) -> Option<u32> {
        self.shared.lock().index
    }

    fn is_live(&self) -> bool {
        true
    }

    fn is_endless(&self) -> bool {
        true
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // The next program that opens the camera has to find it free.
        drop(self.shared.wait(SHUTDOWN_TIMEOUT, |state| state.is_over));
    }
}
