//! A live camera, read in a thread of its own.
//!
//! In: a camera's number, or none for the first that can capture, and wishes about size and rate. Out: RGB frames with the
//! time at which they were taken. The newest frame wins: what nobody took in time is replaced, nothing queues. A frame that
//! can't be decoded is dropped and counted.
//!
//! A camera that can't be opened at first is an error. One that fails later is tried again until it is back, and
//! [`Source::trouble`] says so from the moment on at which it is known, within two seconds. It is known by its name, since
//! the system may give it another number when it is plugged in again. Neither a silent camera nor a
//! driver that never returns holds up whoever takes the frames, or the end of the program.

mod decode;
mod mode;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(target_os = "linux", expect(dead_code, reason = "here only compiled and its tests run"))]
mod native;
mod remedy;
#[cfg(target_os = "linux")]
mod v4l2;

pub use mode::{Mode, PixelFormat, Rate};

#[cfg(not(target_os = "linux"))]
use self::native::{Device, describe, name_of, nodes};
#[cfg(target_os = "linux")]
use self::v4l2::{Device, describe, name_of, nodes};
use super::{CaptureError, CaptureOptions, Source, Tally, Waited};
use crate::runtime::image::Frame;
use decode::{Damage, Decoder};
use mode::Wish;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// After this long without a frame the camera is in trouble. A person is told within two seconds.
const SILENT_AFTER: Duration = Duration::from_millis(1500);
const SILENT: &str = "it delivers nothing";
/// A camera that was just opened may take this long for its first frame before it is opened anew.
const WARM_UP: Duration = Duration::from_secs(4);
/// Time between two tries to open a camera that was lost.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How long cameras may take to say what they can do.
const LISTED_WITHIN: Duration = Duration::from_secs(2);
/// How often the capture thread looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(50);
/// How long [`Camera::open`] waits to hear that the camera can't be opened, and a dropped camera for its thread; a driver
/// may take for ever.
const PATIENCE: Duration = Duration::from_millis(300);

/// A camera that can be captured from.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraDescription {
    /// The `N` of `camera:N`.
    pub index: u32,
    pub name: String,
    /// Everything that it offers and awing can use, the best first.
    pub modes: Vec<Mode>,
}

/// The cameras that can capture. Devices that only carry metadata, those without a usable format, and those whose driver
/// does not answer are left out.
///
/// # Errors
/// [`CaptureError::CameraList`] if the system can't list its cameras.
pub fn list() -> Result<Vec<CameraDescription>, CaptureError> {
    // A person may take any time to answer.
    #[cfg(not(target_os = "linux"))]
    native::permitted().map_err(CaptureError::CameraList)?;
    let mut waited_for = nodes().map_err(CaptureError::CameraList)?;
    let (answer, answered) = mpsc::channel();
    for &index in &waited_for {
        let answer = answer.clone();
        // Whoever asked may have stopped to wait.
        let ask = move || drop(answer.send((index, describe(index))));
        std::thread::Builder::new().name("cameras".into()).spawn(ask).map_err(CaptureError::CameraList)?;
    }
    drop(answer);
    let deadline = Instant::now() + LISTED_WITHIN;
    let mut cameras = Vec::new();
    while let Ok((index, camera)) = answered.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        waited_for.retain(|other| *other != index);
        cameras.extend(camera);
    }
    for index in waited_for {
        tracing::warn!("camera {index} is left out: its driver does not answer");
    }
    cameras.sort_by_key(|camera: &CameraDescription| camera.index);
    Ok(cameras)
}

/// A frame as the driver hands it out.
struct Raw<'a> {
    bytes: &'a [u8],
    captured: Instant,
    /// Frames of the camera that never arrived, between the last one and this.
    lost: u64,
    /// Whether the driver itself calls it damaged.
    is_flagged: bool,
}

/// What the capture thread and the taker share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The number of the camera, once known.
    index: Option<u32>,
    name: String,
    /// The rate that its driver promises.
    rate: Option<Rate>,
    /// The newest frame that nobody took, and when it was taken by the camera.
    newest: Option<(Frame, Instant)>,
    /// Frames to be filled again.
    spare: Vec<Frame>,
    /// Whether it was opened, so that what fails later is no error but tried again.
    was_opened: bool,
    /// Why the camera could not be opened at all.
    failed: Option<CaptureError>,
    /// What is wrong with a camera that was opened once.
    trouble: Option<String>,
    tally: Tally,
    is_over: bool,
}

impl State {
    fn describe(&self) -> String {
        let number = self.index.map_or_else(String::new, |index| format!(" {index}"));
        let name = if self.name.is_empty() { String::new() } else { format!(" ({})", self.name) };
        format!("camera{number}{name}")
    }
}

impl Shared {
    /// A thread that panicked leaves what is there.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until `is_done`, but no longer than `patience`.
    fn wait(&self, patience: Duration, mut is_done: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |state| !is_done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A camera as a source.
pub(super) struct Camera {
    shared: Arc<Shared>,
    opened: Instant,
    /// When the last frame was taken; before the first, when the camera was opened.
    captured: Instant,
    /// When the last frame was handed out, by the clock of whoever waits for it.
    arrived: Instant,
    /// What was said to be wrong.
    told: Option<String>,
}

impl Camera {
    /// Opens the camera with this number, or the first that can capture.
    pub fn open(index: Option<u32>, options: &CaptureOptions) -> Result<Self, CaptureError> {
        let state = State { was_opened: options.keeps_trying, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), ..Shared::default() });
        let wish = Wish { size: options.size, frames_per_second: options.frames_per_second };
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                capture(index, &wish, &theirs);
                theirs.change(|state| state.is_over = true);
            })
            .map_err(CaptureError::CameraList)?;
        let mut state = shared.wait(PATIENCE, |state| state.was_opened || state.failed.is_some());
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        drop(state);
        let now = Instant::now();
        Ok(Self { shared, opened: now, captured: now, arrived: now, told: None })
    }
}

impl Camera {
    /// Why no frame comes.
    fn reason(&self) -> Option<String> {
        let state = self.shared.lock();
        if state.newest.is_some() {
            return None;
        }
        let is_silent = self.arrived.elapsed() >= SILENT_AFTER;
        state.trouble.clone().or_else(|| is_silent.then(|| SILENT.to_owned()))
    }
}

impl Source for Camera {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        loop {
            match self.wait(frame, SILENT_AFTER)? {
                Waited::Frame(time_s) => return Ok(Some(time_s)),
                Waited::Nothing => {}
                Waited::End => return Ok(None),
            }
        }
    }

    fn wait(&mut self, frame: &mut Frame, patience: Duration) -> Result<Waited, CaptureError> {
        let mut state =
            self.shared.wait(patience, |state| state.newest.is_some() || state.failed.is_some() || state.is_over);
        if let Some((newest, captured)) = state.newest.take() {
            state.spare.push(std::mem::replace(frame, newest));
            drop(state);
            (self.captured, self.arrived) = (captured, Instant::now());
            if self.told.take().is_some() {
                tracing::warn!("{} delivers again", self.describe());
            }
            // The first frame may be older than the moment at which we knew that the camera is open.
            return Ok(Waited::Frame(captured.saturating_duration_since(self.opened).as_secs_f64()));
        }
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let is_over = state.is_over;
        drop(state);
        let reason = self.reason();
        if reason.is_some() && reason != self.told {
            tracing::warn!("{}", self.trouble().unwrap_or_default());
            self.told = reason;
        }
        Ok(if is_over { Waited::End } else { Waited::Nothing })
    }

    fn arrived(&self) -> Option<Instant> {
        Some(self.captured)
    }

    fn trouble(&self) -> Option<String> {
        let reason = self.reason()?;
        let (who, seconds) = (self.describe(), self.arrived.elapsed().as_secs());
        Some(format!("{who}: {reason}; no picture for {seconds} s, trying again until it comes"))
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
        // So that the camera is free for whoever opens it next; but a driver may never return.
        drop(self.shared.wait(PATIENCE, |state| state.is_over));
    }
}

/// A camera that was opened, to be found again.
struct Known {
    index: u32,
    name: String,
    /// The numbers of the cameras beside it when it was lost that have been there ever since.
    others: Vec<u32>,
}

impl Known {
    /// The number that it has now.
    fn find(&mut self) -> io::Result<u32> {
        let numbers = nodes()?;
        self.others.retain(|other| numbers.contains(other));
        let here = name_of(self.index);
        if here.as_ref().is_ok_and(|name| *name == self.name) {
            return Ok(self.index);
        }
        let mut new = numbers.into_iter().filter(|number| *number != self.index && !self.others.contains(number));
        if let Some(number) = new.find(|number| name_of(*number).is_ok_and(|name| name == self.name)) {
            return Ok(number);
        }
        let other = here?;
        Err(io::Error::other(format!("it was unplugged, and {other} has its number")))
    }
}

/// The capture thread: opens the camera, hands out its frames, and opens it again whenever it fails.
fn capture(wished: Option<u32>, wish: &Wish, shared: &Shared) {
    let mut decoder = Decoder::default();
    let mut known = None;
    while !shared.should_stop() {
        // Whatever panics below, a person who waits for a picture is to hear of it.
        let ended = catch_unwind(AssertUnwindSafe(|| capture_once(wished, wish, &mut known, &mut decoder, shared)));
        let error = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => CaptureError::Camera { index: wished.unwrap_or(0), reason: "its driver made awing fail".into() },
        };
        let mut state = shared.lock();
        if !state.was_opened {
            state.failed = Some(error);
            drop(state);
            shared.changed.notify_all();
            return;
        }
        tracing::debug!("{error}");
        if let CaptureError::Camera { reason, .. } = error {
            state.trouble = Some(reason);
        }
        drop(state);
        shared.changed.notify_all();
        let retry = Instant::now() + RETRY_EVERY;
        while !shared.should_stop() && Instant::now() < retry {
            std::thread::sleep(GLANCE);
        }
    }
}

/// Opens the camera and hands out its frames until it fails, or it is time to stop.
fn capture_once(
    wished: Option<u32>,
    wish: &Wish,
    known: &mut Option<Known>,
    decoder: &mut Decoder,
    shared: &Shared,
) -> Result<(), CaptureError> {
    let was_there = known.is_some();
    let failed = |index: u32| {
        move |error: io::Error| CaptureError::Camera { index, reason: remedy::explain(index, &error, was_there) }
    };
    let index = match (&mut *known, wished) {
        (Some(known), _) => known.find().map_err(failed(known.index))?,
        (None, Some(wished)) => wished,
        // Where none can be used, the first tells why.
        (None, None) => {
            let usable = list()?.first().map(|camera| camera.index);
            let there = || nodes().ok().and_then(|nodes| nodes.first().copied());
            usable.or_else(there).ok_or(CaptureError::NoCamera)?
        }
    };
    shared.change(|state| state.index = Some(index));
    let mut device = Device::open(index, wish).map_err(failed(index))?;
    let name = device.name().to_owned();
    shared.change(|state| {
        (state.name, state.rate, state.was_opened) = (name.clone(), Some(device.rate()), true);
    });
    let known = known.insert(Known { index, name, others: Vec::new() });
    let delivered = deliver(&mut device, decoder, shared);
    known.others = nodes().unwrap_or_default().into_iter().filter(|other| *other != index).collect();
    delivered.map_err(failed(index))
}

/// Hands out frames until the camera fails, delivers none for too long, or it is time to stop.
fn deliver(device: &mut Device, decoder: &mut Decoder, shared: &Shared) -> io::Result<()> {
    let layout = device.layout();
    let mut last_good = Instant::now();
    let mut limit = WARM_UP;
    let mut damage = None;
    while !shared.should_stop() {
        let without = last_good.elapsed();
        if without >= SILENT_AFTER {
            let reason = damage.map_or_else(|| SILENT.to_owned(), |damage| format!("it sends only {damage}"));
            if without >= limit {
                return Err(io::Error::other(reason));
            }
            shared.change(|state| state.trouble = Some(reason));
        }
        let Some(raw) = device.next(GLANCE)? else { continue };
        let Raw { bytes, captured, lost, is_flagged } = raw;
        let mut frame = shared.lock().spare.pop().unwrap_or_default();
        let decoded = if is_flagged { Err(Damage::Flagged) } else { decoder.decode(&layout, bytes, &mut frame) };
        let mut state = shared.lock();
        state.tally.lost += lost;
        match decoded {
            Ok(()) => {
                (last_good, limit, damage) = (Instant::now(), SILENT_AFTER, None);
                state.trouble = None;
                state.tally.delivered += 1;
                state.tally.first.get_or_insert(captured);
                if let Some((unused, _)) = state.newest.replace((frame, captured)) {
                    state.tally.replaced += 1;
                    state.spare.push(unused);
                }
                drop(state);
                shared.changed.notify_all();
            }
            Err(what) => {
                state.tally.damaged += 1;
                tracing::debug!("dropped a damaged frame, {} so far: {what}", state.tally.damaged);
                state.spare.push(frame);
                damage = Some(what);
            }
        }
    }
    Ok(())
}
