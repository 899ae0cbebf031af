//! A camera on Linux, through V4L2.
//!
//! In: the number of a device node and a [`Wish`]. Out: the camera's modes, and its frames as a [`Stream`]. Fails with
//! the system's error; nothing here panics, whatever a driver answers. `output` is the other direction: a virtual
//! camera.

mod abi;
pub mod output;
mod stream;

use super::decode::Layout;
use super::mode::{self, Mode, PixelFormat, Rate, Wish};
use super::{CameraDescription, Raw, remedy};
use nix::libc::O_NONBLOCK;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;
use stream::Stream;

/// The frame rate for a driver that does not report one.
const DEFAULT_RATE: Rate = Rate { frames: 30, seconds: 1 };
/// The most formats, sizes or rates that are read; a driver's endless list is cut off here.
const MAX_LISTED: u32 = 1000;

/// The camera with this number and its modes; `None` for a node that only carries metadata, that has no usable
/// format, or that cannot be opened.
pub(super) fn describe(index: u32) -> Option<CameraDescription> {
    let device = match open(index) {
        Ok(device) => device,
        Err(error) => {
            tracing::warn!("skipped camera {index}: {}", remedy::explain(index, &error, false));
            return None;
        }
    };
    let (name, is_camera) = capability(&device).ok()?;
    let modes = if is_camera { modes(&device, &Wish::default()) } else { Vec::new() };
    (!modes.is_empty()).then_some(CameraDescription { index, name, modes })
}

/// The numbers of all video nodes in ascending order.
pub(super) fn nodes() -> io::Result<Vec<u32>> {
    let number = |name: &str| name.strip_prefix("video")?.parse().ok();
    let mut numbers: Vec<u32> =
        fs::read_dir("/dev")?.flatten().filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens a node. Programs that we start do not inherit it: they would keep the camera in use.
fn open(index: u32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(format!("/dev/video{index}"))
}

/// The name of the camera with this number.
pub(super) fn name_of(index: u32) -> io::Result<String> {
    match capability(&open(index)?)? {
        (name, true) => Ok(name),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The name of a device, and whether it streams pictures.
fn capability(device: &File) -> io::Result<(String, bool)> {
    let mut answer = abi::Capability::default();
    abi::call(device, &abi::QUERYCAP, &mut answer)?;
    let needed = abi::CAP_VIDEO_CAPTURE | abi::CAP_STREAMING;
    let name = answer.card.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((String::from_utf8_lossy(name).trim().to_owned(), answer.of_device() & needed == needed))
}

/// Every mode that the device offers and awing can use. Of a range of sizes or rates, the one closest to the wish.
fn modes(device: &File, wish: &Wish) -> Vec<Mode> {
    let formats = formats(device);
    let mut modes: Vec<Mode> = Vec::new();
    for format in PixelFormat::ALL.into_iter().filter(|format| formats.contains(&fourcc(*format))) {
        for (width, height) in sizes(device, format, wish) {
            for rate in rates(device, format, (width, height), wish) {
                let mode = Mode { format, width, height, rate };
                if width > 0 && height > 0 && !modes.contains(&mode) {
                    modes.push(mode);
                }
            }
        }
    }
    modes.sort_by(|a, b| mode::compare(a, b, wish));
    modes
}

/// The number of a format in V4L2.
fn fourcc(format: PixelFormat) -> u32 {
    u32::from_le_bytes(format.fourcc())
}

/// All answers to a request that numbers them from 0.
fn listed<T>(device: &File, request: &abi::Request<T>, numbered: impl Fn(u32) -> T) -> impl Iterator<Item = T> {
    (0..MAX_LISTED).map_while(move |index| {
        let mut entry = numbered(index);
        abi::call(device, request, &mut entry).ok().map(|()| entry)
    })
}

/// The pixel formats that the device offers.
fn formats(device: &File) -> Vec<u32> {
    let numbered = |index| abi::FormatDescription {
        index,
        type_: abi::BUF_TYPE_VIDEO_CAPTURE,
        ..abi::FormatDescription::default()
    };
    listed(device, &abi::ENUM_FMT, numbered).map(|format| format.pixelformat).collect()
}

/// The sizes of a format; the size that the device is set to if its driver lists none.
fn sizes(device: &File, format: PixelFormat, wish: &Wish) -> Vec<(u32, u32)> {
    let numbered = |index| abi::FrameSize { index, pixel_format: fourcc(format), ..abi::FrameSize::default() };
    let listed: Vec<_> = listed(device, &abi::ENUM_FRAMESIZES, numbered)
        .filter_map(|listed| match (listed.type_, listed.size) {
            (abi::FRMSIZE_TYPE_DISCRETE, [width, height, ..]) => Some((width, height)),
            (
                abi::FRMSIZE_TYPE_CONTINUOUS | abi::FRMSIZE_TYPE_STEPWISE,
                [min_width, max_width, step_width, min_height, max_height, step_height],
            ) => {
                let (width, height) = wish.target_size();
                let width = closest_in_range(width, (min_width, max_width, step_width));
                Some((width, closest_in_range(height, (min_height, max_height, step_height))))
            }
            _ => None,
        })
        .collect();
    if listed.is_empty() {
        return current_format(device).map(|format| (format.width, format.height)).into_iter().collect();
    }
    listed
}

/// The rates of a format and size; the rate that the device is set to if its driver lists none.
fn rates(device: &File, format: PixelFormat, (width, height): (u32, u32), wish: &Wish) -> Vec<Rate> {
    let numbered = |index| abi::FrameInterval {
        index,
        pixel_format: fourcc(format),
        width,
        height,
        ..abi::FrameInterval::default()
    };
    let rate = |listed: abi::FrameInterval| match (listed.type_, listed.interval) {
        (abi::FRMIVAL_TYPE_DISCRETE, [interval, ..]) => rate_of(interval),
        (abi::FRMIVAL_TYPE_CONTINUOUS | abi::FRMIVAL_TYPE_STEPWISE, [shortest, longest, _]) => {
            Some(wish.target_rate(rate_of(longest)?, rate_of(shortest)?))
        }
        _ => None,
    };
    let listed: Vec<_> = listed(device, &abi::ENUM_FRAMEINTERVALS, numbered).filter_map(rate).collect();
    if listed.is_empty() { vec![current_rate(device).unwrap_or(DEFAULT_RATE)] } else { listed }
}

/// The rate that the device is set to, if its driver tells it.
fn current_rate(device: &File) -> Option<Rate> {
    let mut current = abi::StreamParameters::of_capture(abi::CaptureParameters::default());
    abi::call(device, &abi::G_PARM, &mut current).ok()?;
    rate_of(current.capture.timeperframe)
}

fn rate_of(interval: abi::Fraction) -> Option<Rate> {
    Rate::new(interval.denominator, interval.numerator)
}

/// The value in a range with steps that is closest to `wished` from below.
fn closest_in_range(wished: u32, (min, max, step): (u32, u32, u32)) -> u32 {
    let steps = wished.clamp(min, max.max(min)).saturating_sub(min) / step.max(1);
    min + steps * step.max(1)
}

/// The format that the device is set to.
fn current_format(device: &File) -> io::Result<abi::PixFormat> {
    let mut format = abi::Format::of_capture(abi::PixFormat::default());
    abi::call(device, &abi::G_FMT, &mut format)?;
    Ok(format.pix)
}

/// Sets the format; the driver may choose another size, or even another format, which is returned.
fn set_format(device: &File, mode: &Mode) -> io::Result<abi::PixFormat> {
    let &Mode { format, width, height, .. } = mode;
    let wanted = abi::PixFormat { width, height, pixelformat: fourcc(format), ..abi::PixFormat::default() };
    abi::call(device, &abi::S_FMT, &mut abi::Format::of_capture(wanted))?;
    current_format(device)
}

/// Sets the rate; the driver may choose another one, which is returned.
fn set_rate(device: &File, rate: Rate) -> io::Result<Rate> {
    let timeperframe = abi::Fraction { numerator: rate.seconds, denominator: rate.frames };
    let wanted = abi::CaptureParameters { timeperframe, ..abi::CaptureParameters::default() };
    let mut given = abi::StreamParameters::of_capture(wanted);
    abi::call(device, &abi::S_PARM, &mut given)?;
    Ok(rate_of(given.capture.timeperframe).unwrap_or(rate))
}

/// A camera that streams.
pub(super) struct Device {
    name: String,
    layout: Layout,
    rate: Rate,
    stream: Stream,
}

impl Device {
    /// Opens the device and starts its stream in the best mode.
    pub fn open(index: u32, wish: &Wish) -> io::Result<Self> {
        let device = open(index)?;
        let (name, is_camera) = capability(&device)?;
        if !is_camera {
            return Err(io::Error::other("it does not capture pictures; `awing cameras` lists those that do"));
        }
        let mode = mode::choose(&modes(&device, wish), wish)
            .ok_or_else(|| io::Error::other("it offers neither YUYV nor NV12 nor MJPEG"))?;
        // Another size than the driver offered will do; another format will not.
        let given = set_format(&device, &mode)?;
        if given.pixelformat != fourcc(mode.format) || given.width == 0 || given.height == 0 {
            let name = given.pixelformat.to_le_bytes();
            let name = String::from_utf8_lossy(&name);
            let reason = format!("it offers {mode} but delivers {name} {}x{}", given.width, given.height);
            return Err(io::Error::other(reason));
        }
        let rate = set_rate(&device, mode.rate).unwrap_or_else(|error| {
            // A driver without this call has one rate only.
            tracing::debug!("camera {index} keeps its rate: {error}");
            mode.rate
        });
        let (width, height) = (given.width as usize, given.height as usize);
        let layout =
            Layout { format: mode.format, width, height, stride: stride(mode.format, width, given.bytesperline) };
        let stream = Stream::start(device)?;
        tracing::info!("camera {index} ({name}): {mode}");
        Ok(Self { name, layout, rate, stream })
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

    /// The newest frame; `None` if there is none within `timeout`.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Option<Raw<'_>>> {
        self.stream.next(timeout)
    }
}

/// Bytes from one row to the next; some drivers leave them out.
fn stride(format: PixelFormat, width: usize, given: u32) -> usize {
    let least = match format {
        PixelFormat::Yuyv => 2 * width,
        PixelFormat::Nv12 => width,
        PixelFormat::Mjpeg => return 0,
    };
    least.max(given as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_in_a_range_keeps_to_the_steps() {
        assert_eq!(closest_in_range(640, (16, 1920, 16)), 640);
        assert_eq!(closest_in_range(650, (16, 1920, 16)), 640);
        assert_eq!(closest_in_range(10, (16, 1920, 16)), 16);
        assert_eq!(closest_in_range(5000, (16, 1921, 16)), 1920);
        assert_eq!(closest_in_range(640, (320, 0, 0)), 320, "an empty range");
    }
}
