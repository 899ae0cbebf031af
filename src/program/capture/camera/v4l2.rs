//! A camera under Linux.
//!
//! In: the number of a device node and a [`Wish`]. Out: the bytes of one frame after the other, in the buffers that the
//! driver shares with us, with the time at which the driver says it was taken and the frames that were lost before it.
//! Fails with the system's error; nothing here waits for longer than it is told to, as far as the driver keeps to that,
//! and nothing panics, whatever a driver answers.
//!
//! The `v4l` crate opens the device and lists what it can do. Its stream waits for ever for a silent camera, and ends the
//! program if a driver can't end a stream, so the stream is our own.

use super::decode::Layout;
use super::mode::{self, Mode, PixelFormat, Rate, Wish};
use super::{CameraDescription, Raw, remedy};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::mman::{MapFlags, ProtFlags};
use nix::time::{ClockId, clock_gettime};
use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, mem, ptr, slice};
use v4l::device::Handle;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys::*;
use v4l::v4l2::vidioc::{self, _IOC_TYPE};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Format, FourCC, Fraction, v4l2};

/// Buffers shared with the driver: one is filled, one is full, one is being read, and one for luck.
const BUFFERS: u32 = 4;
/// Of a driver that does not say.
const USUAL_RATE: Rate = Rate { frames: 30, seconds: 1 };
const PAUSE: Duration = Duration::from_millis(5);
/// A frame can't be older than this when it is handed out; a driver that says so has another clock.
const OLDEST: Duration = Duration::from_secs(1);
const CAPTURE: u32 = v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MMAP: u32 = v4l2_memory_V4L2_MEMORY_MMAP;

/// What the camera with this number is and can do; `None` for a node that only carries metadata, that has no format that is
/// understood, or that can't be opened.
pub(super) fn describe(index: u32) -> Option<CameraDescription> {
    let device = match open(index) {
        Ok(device) => device,
        Err(error) => {
            tracing::warn!("camera {index} is left out: {}", remedy::explain(index, &error, false));
            return None;
        }
    };
    let (name, is_camera) = capability(&device.handle()).ok()?;
    let modes = if is_camera { modes(&device, &Wish::default()) } else { Vec::new() };
    (!modes.is_empty()).then_some(CameraDescription { index, name, modes })
}

/// The numbers of all video nodes, the least first.
pub(super) fn nodes() -> io::Result<Vec<u32>> {
    let number = |name: &str| name.strip_prefix("video")?.parse().ok();
    let mut numbers: Vec<u32> =
        fs::read_dir("/dev")?.flatten().filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens a node for us alone: a program that we start would keep the camera from being let go.
fn open(index: u32) -> io::Result<v4l::Device> {
    let device = v4l::Device::new(index as usize)?;
    // SAFETY: the device keeps its file open for longer than this borrows it.
    let file = unsafe { BorrowedFd::borrow_raw(device.handle().fd()) };
    fcntl(file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(device)
}

/// The name of the camera with this number.
pub(super) fn name_of(index: u32) -> io::Result<String> {
    match capability(&open(index)?.handle())? {
        (name, true) => Ok(name),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The name of a device, and whether it streams pictures.
fn capability(handle: &Handle) -> io::Result<(String, bool)> {
    // SAFETY: a structure of integers.
    let mut answer: v4l2_capability = unsafe { mem::zeroed() };
    // SAFETY: this call fills a `v4l2_capability`.
    unsafe { call(handle, vidioc::VIDIOC_QUERYCAP, &mut answer)? };
    let has_own = answer.capabilities & V4L2_CAP_DEVICE_CAPS != 0;
    let able = if has_own { answer.device_caps } else { answer.capabilities };
    let needed = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    let name = answer.card.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((String::from_utf8_lossy(name).trim().to_owned(), able & needed == needed))
}

/// Everything that the device offers and that is understood. Of a range of sizes or rates, what is wished for.
fn modes(device: &v4l::Device, wish: &Wish) -> Vec<Mode> {
    let formats = device.enum_formats().unwrap_or_default();
    let offered = |format: &PixelFormat| formats.iter().any(|f| f.fourcc.repr == format.fourcc());
    let mut modes: Vec<Mode> = Vec::new();
    for format in PixelFormat::ALL.into_iter().filter(offered) {
        let fourcc = FourCC::new(&format.fourcc());
        for (width, height) in sizes(device, fourcc, wish) {
            for rate in rates(device, fourcc, (width, height), wish) {
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

/// The sizes of a format; what the device is set to where its driver lists none.
fn sizes(device: &v4l::Device, fourcc: FourCC, wish: &Wish) -> Vec<(u32, u32)> {
    let listed = device.enum_framesizes(fourcc).unwrap_or_default();
    if listed.is_empty() {
        return device.format().map(|format| (format.width, format.height)).into_iter().collect();
    }
    let size = |size: FrameSizeEnum| match size {
        FrameSizeEnum::Discrete(size) => (size.width, size.height),
        FrameSizeEnum::Stepwise(range) => {
            let (width, height) = wish.target_size();
            let across = (range.min_width, range.max_width, range.step_width);
            let down = (range.min_height, range.max_height, range.step_height);
            (in_range(width, across), in_range(height, down))
        }
    };
    listed.into_iter().map(|listed| size(listed.size)).collect()
}

/// The rates of a format and size; what the device is set to where its driver lists none.
fn rates(device: &v4l::Device, fourcc: FourCC, (width, height): (u32, u32), wish: &Wish) -> Vec<Rate> {
    let rate = |interval: Fraction| Rate::new(interval.denominator, interval.numerator);
    let listed = device.enum_frameintervals(fourcc, width, height).unwrap_or_default();
    if listed.is_empty() {
        let set = device.params().ok().and_then(|params| rate(params.interval));
        return vec![set.unwrap_or(USUAL_RATE)];
    }
    let rate = |listed: FrameIntervalEnum| match listed {
        FrameIntervalEnum::Discrete(interval) => rate(interval),
        FrameIntervalEnum::Stepwise(range) => Some(wish.target_rate(rate(range.max)?, rate(range.min)?)),
    };
    listed.into_iter().filter_map(|listed| rate(listed.interval)).collect()
}

/// The value in a range with steps that is next to `wished`.
fn in_range(wished: u32, (least, most, step): (u32, u32, u32)) -> u32 {
    let steps = wished.clamp(least, most.max(least)).saturating_sub(least) / step.max(1);
    least + steps * step.max(1)
}

/// A camera that streams.
pub(super) struct Device {
    name: String,
    layout: Layout,
    rate: Rate,
    // Before the device: buffers go first.
    stream: Stream,
    _device: v4l::Device,
}

impl Device {
    /// Opens the device and starts its stream in the mode that suits best.
    pub fn open(index: u32, wish: &Wish) -> io::Result<Self> {
        let device = open(index)?;
        let (name, is_camera) = capability(&device.handle())?;
        if !is_camera {
            return Err(io::Error::other("it carries no pictures; `awing cameras` lists those that do"));
        }
        let mode = mode::choose(&modes(&device, wish), wish)
            .ok_or_else(|| io::Error::other("it offers neither YUYV nor NV12 nor MJPEG"))?;
        let fourcc = FourCC::new(&mode.format.fourcc());
        // The driver may give another size than it offered, which will do as well; another format will not.
        let given = device.set_format(&Format::new(mode.width, mode.height, fourcc))?;
        if given.fourcc != fourcc || given.width == 0 || given.height == 0 {
            let reason = format!("it offers {mode} but gives {} {}x{}", given.fourcc, given.width, given.height);
            return Err(io::Error::other(reason));
        }
        let rate = match device.set_params(&Parameters::new(Fraction::new(mode.rate.seconds, mode.rate.frames))) {
            Ok(given) => Rate::new(given.interval.denominator, given.interval.numerator).unwrap_or(mode.rate),
            // A driver without this call has one rate only.
            Err(error) => {
                tracing::debug!("camera {index} keeps its rate: {error}");
                mode.rate
            }
        };
        let (width, height) = (given.width as usize, given.height as usize);
        let layout = Layout { format: mode.format, width, height, stride: stride(mode.format, width, given.stride) };
        let stream = Stream::start(device.handle())?;
        tracing::info!("camera {index} ({name}): {mode}");
        Ok(Self { name, layout, rate, stream, _device: device })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// As its driver promises it.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The newest frame; `None` if none came within `patience`.
    pub fn next(&mut self, patience: Duration) -> io::Result<Option<Raw<'_>>> {
        self.stream.next(patience)
    }
}

/// Bytes from row to row; some drivers leave it to us to know.
fn stride(format: PixelFormat, width: usize, given: u32) -> usize {
    let least = match format {
        PixelFormat::Yuyv => 2 * width,
        PixelFormat::Nv12 => width,
        PixelFormat::Mjpeg => return 0,
    };
    least.max(given as usize)
}

/// Calls the driver.
///
/// # Safety
/// `request` has to read and write a `T` and nothing else.
unsafe fn call<T>(handle: &Handle, request: _IOC_TYPE, argument: &mut T) -> io::Result<()> {
    // SAFETY: the argument outlives the call, and is what the request wants by this function's contract.
    unsafe { v4l2::ioctl(handle.fd(), request, ptr::from_mut(argument).cast()) }
}

/// Memory that the driver fills.
struct Buffer {
    start: *mut c_void,
    length: usize,
}

/// Buffers shared with the driver, and the frame that was taken out last.
struct Stream {
    handle: Arc<Handle>,
    buffers: Vec<Buffer>,
    /// The buffer that is ours until the next frame is asked for.
    taken: Option<u32>,
    /// The number of the last frame.
    number: Option<u32>,
}

// SAFETY: a mapping may be used from any thread, and only one has the stream.
unsafe impl Send for Stream {}

impl Stream {
    fn start(handle: Arc<Handle>) -> io::Result<Self> {
        // SAFETY: a structure of integers.
        let mut request: v4l2_requestbuffers = unsafe { mem::zeroed() };
        (request.count, request.type_, request.memory) = (BUFFERS, CAPTURE, MMAP);
        // SAFETY: this call reads and fills a `v4l2_requestbuffers`.
        unsafe { call(&handle, vidioc::VIDIOC_REQBUFS, &mut request)? };
        let mut stream = Self { handle, buffers: Vec::new(), taken: None, number: None };
        for index in 0..request.count {
            let mut description = description();
            description.index = index;
            // SAFETY: this call reads and fills a `v4l2_buffer`.
            unsafe { call(&stream.handle, vidioc::VIDIOC_QUERYBUF, &mut description)? };
            let length = description.length as usize;
            // SAFETY: for mapped buffers the driver fills in the offset.
            let offset = unsafe { description.m.offset };
            let (access, sharing) = (ProtFlags::PROT_READ.bits(), MapFlags::MAP_SHARED.bits());
            // SAFETY: a new mapping touches nothing of ours.
            let start =
                unsafe { v4l2::mmap(ptr::null_mut(), length, access, sharing, stream.handle.fd(), offset.into())? };
            stream.buffers.push(Buffer { start, length });
            stream.give(index)?;
        }
        if stream.buffers.is_empty() {
            return Err(io::Error::other("its driver has no memory for frames"));
        }
        // SAFETY: this call reads an `int`.
        unsafe { call(&stream.handle, vidioc::VIDIOC_STREAMON, &mut (CAPTURE as i32))? };
        Ok(stream)
    }

    /// Gives a buffer back to the driver.
    fn give(&mut self, index: u32) -> io::Result<()> {
        let mut description = description();
        description.index = index;
        // SAFETY: this call reads and fills a `v4l2_buffer`.
        unsafe { call(&self.handle, vidioc::VIDIOC_QBUF, &mut description) }
    }

    /// Takes the oldest full buffer; `None` if there is none.
    fn take(&mut self) -> io::Result<Option<v4l2_buffer>> {
        let mut description = description();
        // SAFETY: this call reads and fills a `v4l2_buffer`.
        match unsafe { call(&self.handle, vidioc::VIDIOC_DQBUF, &mut description) } {
            Ok(()) if (description.index as usize) < self.buffers.len() => Ok(Some(description)),
            Ok(()) => Err(io::Error::other("its driver hands out a buffer that there is not")),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn next(&mut self, patience: Duration) -> io::Result<Option<Raw<'_>>> {
        if let Some(index) = self.taken.take() {
            self.give(index)?;
        }
        let patience_ms = patience.as_millis().try_into().unwrap_or(i32::MAX);
        match self.handle.poll(PollFlags::POLLIN.bits(), patience_ms) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let Some(mut newest) = self.take()? else {
            // A driver that is ready with nothing is not to be asked without a pause.
            std::thread::sleep(PAUSE.min(patience));
            return Ok(None);
        };
        let mut missed = 0;
        // What came meanwhile is newer.
        while let Some(newer) = self.take()? {
            self.give(newest.index)?;
            newest = newer;
            missed += 1;
        }
        self.taken = Some(newest.index);
        let step = self.number.replace(newest.sequence).map_or(1, |last| newest.sequence.wrapping_sub(last));
        // A number that runs backwards or far ahead tells nothing.
        let lost = u64::from(step.saturating_sub(1)).clamp(missed, missed.max(1000));
        let buffer = &self.buffers[newest.index as usize];
        let used = match newest.bytesused as usize {
            0 => buffer.length,
            used => used.min(buffer.length),
        };
        // SAFETY: the mapping has this length and is unmapped only with the stream; the driver does not write to it
        // before `give`, which needs the stream that the slice borrows.
        let bytes = unsafe { slice::from_raw_parts(buffer.start.cast::<u8>(), used) };
        let is_flagged = newest.flags & V4L2_BUF_FLAG_ERROR != 0;
        Ok(Some(Raw { bytes, captured: captured(&newest), lost, is_flagged }))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: this call reads an `int`.
        let stopped = unsafe { call(&self.handle, vidioc::VIDIOC_STREAMOFF, &mut (CAPTURE as i32)) };
        for buffer in &self.buffers {
            // SAFETY: the mapping is ours, and nobody borrows from it any more. That it can't be ended is no reason to
            // end the program.
            let _ = unsafe { v4l2::munmap(buffer.start, buffer.length) };
        }
        // SAFETY: a structure of integers.
        let mut request: v4l2_requestbuffers = unsafe { mem::zeroed() };
        (request.type_, request.memory) = (CAPTURE, MMAP);
        // SAFETY: this call reads and fills a `v4l2_requestbuffers`.
        let freed = unsafe { call(&self.handle, vidioc::VIDIOC_REQBUFS, &mut request) };
        // Closing the device will free what remains.
        if let Err(error) = stopped.and(freed) {
            tracing::debug!("the stream did not end in order: {error}");
        }
    }
}

fn description() -> v4l2_buffer {
    // SAFETY: integers, unions of integers and a pointer that may be null.
    let mut description: v4l2_buffer = unsafe { mem::zeroed() };
    (description.type_, description.memory) = (CAPTURE, MMAP);
    description
}

/// When a frame was taken, by the driver's clock where that is the system's.
fn captured(buffer: &v4l2_buffer) -> Instant {
    let now = Instant::now();
    let is_ours = buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    let (Ok(s), Ok(us)) = (u64::try_from(buffer.timestamp.tv_sec), u32::try_from(buffer.timestamp.tv_usec)) else {
        return now;
    };
    let (true, Ok(clock)) = (is_ours, clock_gettime(ClockId::CLOCK_MONOTONIC)) else { return now };
    let age = Duration::from(clock).checked_sub(Duration::from_secs(s) + Duration::from_micros(us.into()));
    age.filter(|age| *age <= OLDEST).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_in_a_range_keeps_to_the_steps() {
        assert_eq!(in_range(640, (16, 1920, 16)), 640);
        assert_eq!(in_range(650, (16, 1920, 16)), 640);
        assert_eq!(in_range(10, (16, 1920, 16)), 16);
        assert_eq!(in_range(5000, (16, 1921, 16)), 1920);
        assert_eq!(in_range(640, (320, 0, 0)), 320, "a range that is none");
    }

    #[test]
    fn a_frame_is_as_old_as_the_drivers_clock_says() {
        let mut buffer = description();
        buffer.flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        let then = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()) - Duration::from_millis(200);
        buffer.timestamp.tv_sec = then.as_secs().try_into().unwrap();
        buffer.timestamp.tv_usec = then.subsec_micros().into();
        assert!(captured(&buffer).elapsed() >= Duration::from_millis(200));
        buffer.timestamp.tv_sec = 0;
        assert!(captured(&buffer).elapsed() < OLDEST, "from another clock");
    }
}
