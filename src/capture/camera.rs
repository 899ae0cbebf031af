//! A live camera through nokhwa, in a thread of its own.
//!
//! The newest frame wins: what nobody took in time is replaced, nothing queues. A frame that can't be decoded is dropped
//! and counted. A camera that stops delivering is reported once and tried again until it is back; a stopped program never
//! waits for it.

use super::{CaptureError, CaptureOptions, Source, Waited};
use crate::image::Frame;
use nokhwa::Camera as Device;
use nokhwa::utils::{ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// After this long without a frame the camera is reported as silent.
const SILENT_AFTER: Duration = Duration::from_secs(2);
/// Time between two tries to open a camera that was lost.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// What is asked for without other wishes.
const USUAL_SIZE: (u32, u32) = (640, 480);
/// Pixel formats that are understood, the cheapest to decode first.
const FORMATS: [FrameFormat; 3] = [FrameFormat::YUYV, FrameFormat::NV12, FrameFormat::MJPEG];

/// What can be read from a camera.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraDescription {
    /// The `N` of `camera:N`.
    pub index: u32,
    pub name: String,
    /// Format, size and rate of everything that awing can use, the best first.
    pub modes: Vec<CameraFormat>,
}

/// The cameras that can capture. Devices that only carry metadata, and those without a usable format, are left out.
///
/// # Errors
/// [`CaptureError::Camera`] if the system can't list its cameras.
pub fn list() -> Result<Vec<CameraDescription>, CaptureError> {
    let all = guarded(0, || nokhwa::query(ApiBackend::Auto))?;
    let mut cameras = Vec::new();
    for info in all {
        let CameraIndex::Index(index) = info.index() else { continue };
        let Ok(modes) = modes(*index) else { continue };
        if !modes.is_empty() {
            cameras.push(CameraDescription { index: *index, name: info.human_name(), modes });
        }
    }
    cameras.sort_by_key(|c| c.index);
    Ok(cameras)
}

fn modes(index: u32) -> Result<Vec<CameraFormat>, CaptureError> {
    let request = RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
    let mut device = guarded(index, || Device::new(CameraIndex::Index(index), request))?;
    let mut modes = guarded(index, || device.compatible_camera_formats())?;
    modes.retain(|m| FORMATS.contains(&m.format()));
    modes.sort_by_key(|m| cost(m, USUAL_SIZE, None));
    modes.dedup();
    Ok(modes)
}

/// The lower, the better: near the wished size, then fast (up to what a person sees), then cheap to decode.
fn cost(mode: &CameraFormat, (width, height): (u32, u32), rate: Option<u32>) -> (u64, u32, usize) {
    const FAST_ENOUGH: u32 = 60;
    let area = |w: u32, h: u32| i64::from(w) * i64::from(h);
    let size =
        area(mode.width(), mode.height()).abs_diff(area(width, height)) + u64::from(mode.width().abs_diff(width));
    let slow = match rate {
        Some(rate) => mode.frame_rate().abs_diff(rate),
        None => FAST_ENOUGH.saturating_sub(mode.frame_rate()),
    };
    (size, slow, FORMATS.iter().position(|f| *f == mode.format()).unwrap_or(FORMATS.len()))
}

/// nokhwa and what lies under it can panic on what a device answers; here that is an error like any other.
fn guarded<T>(index: u32, call: impl FnOnce() -> Result<T, nokhwa::NokhwaError>) -> Result<T, CaptureError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(CaptureError::Camera { index, reason: explain(index, &error.to_string()) }),
        Err(_) => Err(CaptureError::Camera { index, reason: "its driver answers what no driver should".into() }),
    }
}

/// What a person can do about an error of the system.
fn explain(index: u32, error: &str) -> String {
    if error.contains("EBUSY") || error.contains("busy") {
        format!("another program is using it; close that program (Linux: `fuser /dev/video{index}` names it). {error}")
    } else if error.contains("EACCES") || error.contains("ermission denied") {
        format!("it may not be used by you; on Linux: sudo usermod -aG video $USER, then log in again. {error}")
    } else {
        error.to_owned()
    }
}

/// What capture thread and taker share.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The newest frame that nobody took, and when it came.
    newest: Option<(Frame, Instant)>,
    /// Frames to be filled again.
    spare: Vec<Frame>,
    /// Why the camera could not be opened at all.
    failed: Option<CaptureError>,
    bad_frames: u64,
}

/// A camera as a source.
pub(super) struct Camera {
    index: u32,
    slot: Arc<Slot>,
    started: Instant,
    /// When the last frame came; before the first, when the camera was opened.
    arrived: Instant,
    is_silent: bool,
}

impl Camera {
    pub fn open(index: u32, options: &CaptureOptions) -> Result<Self, CaptureError> {
        if guarded(index, || nokhwa::query(ApiBackend::Auto))?.is_empty() {
            return Err(CaptureError::NoCamera);
        }
        let slot = Arc::new(Slot::default());
        let (shared, options) = (slot.clone(), *options);
        std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || capture(index, &options, &shared))
            .map_err(|e| CaptureError::Camera { index, reason: e.to_string() })?;
        let started = Instant::now();
        Ok(Self { index, slot, started, arrived: started, is_silent: false })
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
        let Ok(state) = self.slot.state.lock() else { return Ok(Waited::End) };
        let is_idle = |state: &mut State| state.newest.is_none() && state.failed.is_none();
        let Ok((mut state, _)) = self.slot.changed.wait_timeout_while(state, patience, is_idle) else {
            return Ok(Waited::End);
        };
        if let Some((newest, at)) = state.newest.take() {
            state.spare.push(std::mem::replace(frame, newest));
            self.arrived = at;
            if std::mem::take(&mut self.is_silent) {
                tracing::warn!("camera {} delivers again", self.index);
            }
            return Ok(Waited::Frame(at.duration_since(self.started).as_secs_f64()));
        }
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if !self.is_silent && self.arrived.elapsed() >= SILENT_AFTER {
            tracing::warn!("camera {} delivers nothing; trying again until it does", self.index);
            self.is_silent = true;
        }
        Ok(Waited::Nothing)
    }

    fn arrived(&self) -> Option<Instant> {
        Some(self.arrived)
    }

    fn trouble(&self) -> Option<String> {
        let silent_s = self.arrived.elapsed().as_secs();
        self.is_silent
            .then(|| format!("camera {}: no picture for {silent_s} s; trying again until it comes", self.index))
    }

    fn frames_per_second(&self) -> Option<f64> {
        None
    }

    fn describe(&self) -> String {
        format!("camera {}", self.index)
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
        // The thread ends after the frame that it waits for; nobody waits for the thread, it may wait for ever.
        self.slot.stop.store(true, Ordering::Relaxed);
    }
}

fn capture(index: u32, options: &CaptureOptions, slot: &Slot) {
    let mut opened_once = false;
    while !slot.stop.load(Ordering::Relaxed) {
        let error = match start(index, options) {
            Ok(mut device) => {
                opened_once = true;
                let error = deliver(index, &mut device, slot);
                // Dropping a stream of a device that is gone can panic in the binding.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(device)));
                error
            }
            Err(error) => error,
        };
        if !opened_once {
            if let Ok(mut state) = slot.state.lock() {
                state.failed = Some(error);
            }
            slot.changed.notify_one();
            return;
        }
        tracing::warn!("{error}");
        std::thread::sleep(RETRY_EVERY);
    }
}

fn start(index: u32, options: &CaptureOptions) -> Result<Device, CaptureError> {
    let wish = options.size.unwrap_or(USUAL_SIZE);
    let mut modes = modes(index)?;
    modes.sort_by_key(|m| cost(m, wish, options.frames_per_second));
    let Some(mode) = modes.first() else {
        let reason = "it offers neither YUYV nor NV12 nor MJPEG at a whole rate".into();
        return Err(CaptureError::Camera { index, reason });
    };
    let request = RequestedFormat::with_formats(RequestedFormatType::Exact(*mode), &FORMATS);
    let mut device = guarded(index, || Device::new(CameraIndex::Index(index), request))?;
    guarded(index, || device.open_stream())?;
    Ok(device)
}

/// Hands out frames until the camera fails or somebody stops it.
fn deliver(index: u32, device: &mut Device, slot: &Slot) -> CaptureError {
    loop {
        let buffer = match guarded(index, || device.frame()) {
            Ok(buffer) => buffer,
            Err(error) => return error,
        };
        if slot.stop.load(Ordering::Relaxed) {
            return CaptureError::Camera { index, reason: "stopped".into() };
        }
        let now = Instant::now();
        let mut frame = match slot.state.lock() {
            Ok(mut state) => state.spare.pop().unwrap_or_default(),
            Err(_) => Frame::default(),
        };
        let size = buffer.resolution();
        let (width, height) = (size.width() as usize, size.height() as usize);
        let decoded = decode(buffer.source_frame_format(), width, height, buffer.buffer(), &mut frame);
        let Ok(mut state) = slot.state.lock() else {
            return CaptureError::Camera { index, reason: "its taker has failed".into() };
        };
        if decoded {
            if let Some((unused, _)) = state.newest.replace((frame, now)) {
                state.spare.push(unused);
            }
            slot.changed.notify_one();
        } else {
            state.bad_frames += 1;
            tracing::debug!("camera {index}: {} damaged frames so far", state.bad_frames);
            state.spare.push(frame);
        }
    }
}

/// Decodes into `frame`; false if the bytes are no frame of this size.
fn decode(format: FrameFormat, width: usize, height: usize, bytes: &[u8], frame: &mut Frame) -> bool {
    if format == FrameFormat::MJPEG {
        let decoded = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg);
        let Ok(picture) = decoded.map(image::DynamicImage::into_rgb8) else { return false };
        let (w, h) = (picture.width() as usize, picture.height() as usize);
        let Ok(whole) = Frame::from_rgb(w, h, picture.into_raw()) else { return false };
        *frame = whole;
        return (w, h) == (width, height);
    }
    if (frame.width(), frame.height()) != (width, height) {
        *frame = Frame::filled(width, height, [0; 3]);
    }
    let lines = frame.rgb_mut().chunks_exact_mut((width * 3).max(1));
    match format {
        FrameFormat::YUYV if width.is_multiple_of(2) && bytes.len() >= width * height * 2 => {
            for (line, yuyv) in lines.zip(bytes.chunks_exact(width * 2)) {
                for (pair, quad) in line.chunks_exact_mut(6).zip(yuyv.chunks_exact(4)) {
                    let (left, right) = pair.split_at_mut(3);
                    left.copy_from_slice(&rgb(quad[0], quad[1], quad[3]));
                    right.copy_from_slice(&rgb(quad[2], quad[1], quad[3]));
                }
            }
            true
        }
        FrameFormat::NV12 if width.is_multiple_of(2) && bytes.len() >= width * height + width * height.div_ceil(2) => {
            let (luma, chroma) = bytes.split_at(width * height);
            for (row, line) in lines.enumerate() {
                let luma = &luma[row * width..(row + 1) * width];
                let chroma = &chroma[row / 2 * width..(row / 2 + 1) * width];
                let pairs = line.chunks_exact_mut(6).zip(luma.chunks_exact(2)).zip(chroma.chunks_exact(2));
                for ((pair, y), uv) in pairs {
                    let (left, right) = pair.split_at_mut(3);
                    left.copy_from_slice(&rgb(y[0], uv[0], uv[1]));
                    right.copy_from_slice(&rgb(y[1], uv[0], uv[1]));
                }
            }
            true
        }
        _ => false,
    }
}

/// BT.601, limited range, in 1/65536.
#[inline]
fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = ((i32::from(y) - 16) * 76_309 + 32_768, i32::from(u) - 128, i32::from(v) - 128);
    let cut = |value: i32| (value >> 16).clamp(0, 255) as u8;
    [cut(y + 104_597 * v), cut(y - 25_675 * u - 53_279 * v), cut(y + 132_201 * u)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_formats_give_the_standard_colours() {
        let mut frame = Frame::default();
        assert!(decode(FrameFormat::YUYV, 2, 1, &[81, 90, 81, 240], &mut frame));
        assert!(frame.rgb().chunks_exact(3).all(|p| p[0] > 250 && p[1] < 5 && p[2] < 5));
        assert!(decode(FrameFormat::NV12, 2, 2, &[145, 145, 145, 145, 54, 34], &mut frame));
        assert!(frame.rgb().chunks_exact(3).all(|p| p[0] < 5 && p[1] > 250 && p[2] < 5));
    }

    #[test]
    fn short_and_damaged_frames_are_refused() {
        let mut frame = Frame::default();
        assert!(!decode(FrameFormat::YUYV, 4, 4, &[0; 31], &mut frame));
        assert!(!decode(FrameFormat::MJPEG, 4, 4, &[0xff, 0xd8, 0xff, 0xe0, 1, 2, 3], &mut frame));
    }

    #[test]
    fn about_640x480_the_fastest_and_then_the_cheapest_mode_wins() {
        let mode = |w, h, format, rate| CameraFormat::new_from(w, h, format, rate);
        let mut modes = [
            mode(1280, 720, FrameFormat::MJPEG, 60),
            mode(640, 480, FrameFormat::MJPEG, 30),
            mode(640, 480, FrameFormat::YUYV, 30),
            mode(640, 480, FrameFormat::YUYV, 15),
        ];
        modes.sort_by_key(|m| cost(m, USUAL_SIZE, None));
        assert_eq!(modes[0], mode(640, 480, FrameFormat::YUYV, 30));
        modes.sort_by_key(|m| cost(m, (1280, 720), Some(60)));
        assert_eq!(modes[0].width(), 1280);
    }

    #[test]
    fn errors_say_what_to_do() {
        assert!(explain(2, "Device or resource busy (EBUSY)").contains("/dev/video2"));
        assert!(explain(0, "Permission denied").contains("video $USER"));
    }
}
