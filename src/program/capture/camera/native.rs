//! A camera on macOS and Windows, through nokhwa.
//!
//! In: a camera's number and a [`Wish`]. Out: the bytes of each frame. nokhwa reports neither capture times nor lost
//! frames, supports only integer frame rates, waits for a frame without a timeout, and can panic on a device's answer.
//! Here such a panic is an error.

use super::decode::Layout;
use super::mode::{self, Mode, PixelFormat, Rate, Wish};
use super::{CameraDescription, Raw};
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution,
};
use nokhwa::{Camera, NokhwaError};
use std::borrow::Cow;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const FORMATS: [FrameFormat; 3] = [FrameFormat::YUYV, FrameFormat::NV12, FrameFormat::MJPEG];

/// The camera with this number and its modes; `None` if it has no usable format or cannot be opened.
pub(super) fn describe(index: u32) -> Option<CameraDescription> {
    let name = name_of(index).ok()?;
    let request = RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
    let mut camera = guarded(|| Camera::new(CameraIndex::Index(index), request)).ok()?;
    let modes = modes(&mut camera, &Wish::default());
    (!modes.is_empty()).then_some(CameraDescription { index, name, modes })
}

/// The numbers of all cameras in ascending order.
pub(super) fn nodes() -> io::Result<Vec<u32>> {
    let all = guarded(|| nokhwa::query(ApiBackend::Auto))?;
    let mut numbers: Vec<u32> = all.iter().filter_map(|info| info.index().as_index().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The name of the camera with this number.
pub(super) fn name_of(index: u32) -> io::Result<String> {
    let all = guarded(|| nokhwa::query(ApiBackend::Auto))?;
    let here = all.into_iter().find(|info| *info.index() == CameraIndex::Index(index));
    here.map(|info| info.human_name()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Asks the user for permission to use cameras, if the system requires it, and waits for the answer.
pub(super) fn request_permission() -> io::Result<()> {
    if nokhwa::nokhwa_check() {
        return Ok(());
    }
    let (answer, answered) = mpsc::channel();
    // The receiver may be gone by then.
    nokhwa::nokhwa_initialize(move |is_allowed| {
        let _ = answer.send(is_allowed);
    });
    match answered.recv() {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => {
            let remedy = "no permission; allow this program in the system's privacy settings for cameras";
            Err(io::Error::new(io::ErrorKind::PermissionDenied, remedy))
        }
    }
}

fn modes(camera: &mut Camera, wish: &Wish) -> Vec<Mode> {
    let offered = guarded(|| camera.compatible_camera_formats()).unwrap_or_default();
    let mut modes: Vec<Mode> = offered.iter().filter_map(mode_of).collect();
    modes.sort_by(|a, b| mode::compare(a, b, wish));
    modes.dedup();
    modes
}

fn mode_of(format: &CameraFormat) -> Option<Mode> {
    let pixels = match format.format() {
        FrameFormat::YUYV => PixelFormat::Yuyv,
        FrameFormat::NV12 => PixelFormat::Nv12,
        FrameFormat::MJPEG => PixelFormat::Mjpeg,
        _ => return None,
    };
    let rate = Rate::new(format.frame_rate(), 1)?;
    Some(Mode { format: pixels, width: format.width(), height: format.height(), rate })
}

fn format_of(mode: &Mode) -> CameraFormat {
    let format = match mode.format {
        PixelFormat::Yuyv => FrameFormat::YUYV,
        PixelFormat::Nv12 => FrameFormat::NV12,
        PixelFormat::Mjpeg => FrameFormat::MJPEG,
    };
    CameraFormat::new(Resolution::new(mode.width, mode.height), format, mode.rate.per_second().round() as u32)
}

fn guarded<T>(call: impl FnOnce() -> Result<T, NokhwaError>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => answer.map_err(|error| io::Error::new(kind(&error.to_string()), error)),
        Err(_) => Err(io::Error::other("its driver returned an invalid answer")),
    }
}

/// nokhwa describes many errors only as text.
fn kind(error: &str) -> io::ErrorKind {
    let error = error.to_lowercase();
    if error.contains("busy") || error.contains("in use") {
        io::ErrorKind::ResourceBusy
    } else if error.contains("denied") || error.contains("permission") {
        io::ErrorKind::PermissionDenied
    } else {
        io::ErrorKind::Other
    }
}

/// A camera that streams.
pub(super) struct Device {
    name: String,
    layout: Layout,
    rate: Rate,
    camera: Option<Camera>,
    /// The last frame, if nokhwa returned a copy.
    frame: Vec<u8>,
}

impl Device {
    /// Opens the camera and starts its stream in the best mode.
    pub fn open(index: u32, wish: &Wish) -> io::Result<Self> {
        request_permission()?;
        let request = RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
        let mut camera = guarded(|| Camera::new(CameraIndex::Index(index), request))?;
        let mode = mode::choose(&modes(&mut camera, wish), wish)
            .ok_or_else(|| io::Error::other("it offers neither YUYV nor NV12 nor MJPEG"))?;
        let request = RequestedFormat::with_formats(RequestedFormatType::Exact(format_of(&mode)), &FORMATS);
        guarded(|| camera.set_camera_requset(request))?;
        guarded(|| camera.open_stream())?;
        let name = camera.info().human_name();
        let given = mode_of(&camera.camera_format()).unwrap_or(mode);
        let (width, height) = (given.width as usize, given.height as usize);
        let stride = match given.format {
            PixelFormat::Yuyv => 2 * width,
            PixelFormat::Nv12 => width,
            PixelFormat::Mjpeg => 0,
        };
        let layout = Layout { format: given.format, width, height, stride };
        Ok(Self { name, layout, rate: given.rate, camera: Some(camera), frame: Vec::new() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The frame rate reported by the driver.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The next frame, without a timeout.
    pub fn next(&mut self, _: Duration) -> io::Result<Option<Raw<'_>>> {
        let Some(camera) = &mut self.camera else { return Err(io::ErrorKind::NotFound.into()) };
        let frame = guarded(|| camera.frame_raw())?;
        let bytes: &[u8] = match frame {
            Cow::Borrowed(bytes) => bytes,
            Cow::Owned(bytes) => {
                self.frame = bytes;
                &self.frame
            }
        };
        Ok(Some(Raw { bytes, captured: Instant::now(), lost: 0, is_flagged: false }))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let camera = self.camera.take();
        // Ending the stream of an unplugged camera can panic.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(camera)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_conversion_to_nokhwa_and_back() {
        for format in FORMATS {
            let offered = CameraFormat::new_from(1280, 720, format, 30);
            assert_eq!(format_of(&mode_of(&offered).unwrap()), offered);
        }
        assert_eq!(mode_of(&CameraFormat::new_from(1280, 720, FrameFormat::GRAY, 30)), None);
    }

    #[test]
    fn a_panic_of_the_binding_is_an_error() {
        let error = guarded::<()>(|| panic!("on purpose")).unwrap_err();
        assert!(error.to_string().contains("driver"));
        assert_eq!(kind("Could not open device: EBUSY"), io::ErrorKind::ResourceBusy);
    }
}
