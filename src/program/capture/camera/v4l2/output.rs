//! A virtual camera: a device of the module v4l2loopback, which other programs read as a camera.
//!
//! In: the path of the device, and RGB frames. Out: the frames in YUYV (BT.601, limited range), which every program
//! supports, one whole frame per call. If the device has a fixed size, frames need that size. Fails with a reason and a
//! remedy.

use super::abi;
use crate::program::capture::CaptureError;
use crate::runtime::image::Frame;
use nix::libc::{EBUSY, ENODEV, ENOTTY};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const YUYV: u32 = u32::from_le_bytes(*b"YUYV");
/// The command that creates a device.
const MODULE: &str = "`sudo modprobe v4l2loopback exclusive_caps=1 card_label=awing` makes one (Debian, Ubuntu: sudo apt \
                      install v4l2loopback-dkms)";

/// An open device.
#[derive(Clone, Debug)]
pub struct VirtualCamera {
    path: PathBuf,
    device: Arc<File>,
}

/// The frame format of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputMode {
    pub width: usize,
    pub height: usize,
    /// Bytes from one row to the next.
    stride: usize,
}

impl VirtualCamera {
    /// Opens a device that shows what is written to it.
    ///
    /// # Errors
    /// [`CaptureError::VirtualCamera`] if there is none, it is a real camera, or the user may not use it.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let failed = |reason| CaptureError::VirtualCamera { path: path.to_owned(), reason };
        let device = OpenOptions::new().read(true).write(true).open(path).map_err(|error| failed(in_words(&error)))?;
        let mut answer = abi::Capability::default();
        abi::call(&device, &abi::QUERYCAP, &mut answer).map_err(|error| failed(in_words(&error)))?;
        if answer.of_device() & abi::CAP_VIDEO_OUTPUT == 0 {
            return Err(failed(format!("this is a real camera, and nothing can be written to it; {MODULE}")));
        }
        Ok(Self { path: path.to_owned(), device: Arc::new(device) })
    }

    /// Negotiates the frame size with the device: this one, rounded to even numbers, unless the device has a fixed
    /// size.
    ///
    /// # Errors
    /// [`CaptureError::VirtualCamera`] if another program writes to it, or it takes other formats only.
    pub fn begin(&self, width: usize, height: usize) -> Result<OutputMode, CaptureError> {
        let even = |side: usize| u32::try_from(side & !1).unwrap_or(0).max(2);
        let (width, height) = (even(width), even(height));
        let mut format = abi::Format::of_output(abi::PixFormat {
            width,
            height,
            pixelformat: YUYV,
            field: abi::FIELD_NONE,
            bytesperline: 2 * width,
            sizeimage: 2 * width * height,
            colorspace: abi::COLORSPACE_SMPTE170M,
            ..abi::PixFormat::default()
        });
        abi::call(&self.device, &abi::S_FMT, &mut format).map_err(|error| self.failed(in_words(&error)))?;
        let pix = format.pix;
        if pix.pixelformat != YUYV || pix.width < 2 || pix.height == 0 || !pix.width.is_multiple_of(2) {
            return Err(self.failed("it keeps to another format than YUYV: load the module anew".into()));
        }
        let (width, height) = (pix.width as usize, pix.height as usize);
        Ok(OutputMode { width, height, stride: (pix.bytesperline as usize).max(2 * width) })
    }

    /// Shows a frame, which has the size of `mode`; `buffer` is used again from frame to frame.
    ///
    /// # Errors
    /// [`CaptureError::VirtualCamera`] if the device is gone.
    pub fn write(&self, frame: &Frame, mode: OutputMode, buffer: &mut Vec<u8>) -> Result<(), CaptureError> {
        buffer.resize(mode.stride * mode.height, 0);
        to_yuyv(frame, mode.stride, buffer);
        let written = (&*self.device).write(buffer).map_err(|error| self.failed(in_words(&error)))?;
        if written == buffer.len() { Ok(()) } else { Err(self.failed("it takes only parts of frames".into())) }
    }

    fn failed(&self, reason: String) -> CaptureError {
        CaptureError::VirtualCamera { path: self.path.clone(), reason }
    }
}

fn in_words(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, _) => format!("there is no such device; {MODULE}"),
        (io::ErrorKind::PermissionDenied, _) => {
            "no permission to open it; if your user is not in the group `video`, run `sudo usermod -aG video $USER` and log in \
             again"
                .into()
        }
        (_, Some(EBUSY)) => "another program writes to it: close that program, or name another device".into(),
        (_, Some(ENODEV)) => "the device is gone".into(),
        (_, Some(ENOTTY)) => format!("this is no video device; {MODULE}"),
        _ => error.to_string(),
    }
}

/// Two pixels share their colour, which is the mean of both.
fn to_yuyv(frame: &Frame, stride: usize, yuyv: &mut [u8]) {
    for (row, out) in frame.rgb().chunks_exact(frame.width() * 3).zip(yuyv.chunks_exact_mut(stride)) {
        for (pair, out) in row.as_chunks::<6>().0.iter().zip(out.as_chunks_mut::<4>().0) {
            let [r0, g0, b0, r1, g1, b1] = pair.map(i32::from);
            let luma = |r: i32, g: i32, b: i32| (((66 * r + 129 * g + 25 * b + 128) >> 8) + 16) as u8;
            let [r, g, b] = [r0 + r1, g0 + g1, b0 + b1];
            let u = ((-38 * r - 74 * g + 112 * b + 256) >> 9) + 128;
            let v = ((112 * r - 94 * g - 18 * b + 256) >> 9) + 128;
            *out = [luma(r0, g0, b0), u as u8, luma(r1, g1, b1), v as u8];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_black_and_a_colour_are_what_bt_601_says_and_rows_keep_their_distance() {
        let mut yuyv = vec![7; 2 * 10];
        let rows = [[255; 12], [0, 0, 0, 0, 0, 0, 255, 0, 0, 255, 0, 0]].concat();
        to_yuyv(&Frame::from_rgb(4, 2, rows).unwrap(), 10, &mut yuyv);
        assert_eq!(yuyv[..10], [235, 128, 235, 128, 235, 128, 235, 128, 7, 7]);
        assert_eq!(yuyv[10..], [16, 128, 16, 128, 82, 90, 82, 240, 7, 7]);
    }

    #[test]
    fn what_is_no_virtual_camera_is_refused_with_what_makes_one() {
        for (path, reason) in [("/dev/video-that-is-not-there", "no such device"), ("/dev/null", "no video device")] {
            let error = VirtualCamera::open(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(reason) && error.contains("modprobe"), "{error}");
        }
    }
}
