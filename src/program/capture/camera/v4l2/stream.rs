//! The stream of a Linux camera.
//!
//! In: an open device with its format set. Out: one frame after the other, in the driver's shared buffers, with the
//! driver's capture time and the number of frames lost before it. Fails with the system's error. Waits have a timeout,
//! so a silent camera cannot block its reader.

use super::super::Raw;
use super::abi;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::time::{ClockId, clock_gettime};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::time::{Duration, Instant};
use std::{io, slice};

/// Buffers shared with the driver: one is filled, one is full, one is being read, and one is spare.
const BUFFER_COUNT: u32 = 4;
/// Pause before the next call to a driver that says it is ready and then has no frame.
const EMPTY_READ_PAUSE: Duration = Duration::from_millis(5);
/// The largest age of a frame when it is read; a driver that reports more uses another clock.
const MAX_FRAME_AGE: Duration = Duration::from_secs(1);
/// The largest gap in the frame numbers that counts as lost frames.
const MAX_LOST_FRAMES: u64 = 1000;

/// Memory that the driver fills.
struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

impl Mapping {
    fn new(device: &File, buffer: &abi::Buffer) -> io::Result<Self> {
        let length = NonZeroUsize::new(buffer.length as usize)
            .ok_or_else(|| io::Error::other("the driver shares an empty buffer"))?;
        let offset = buffer.m.offset.into();
        // SAFETY: the system chooses a free address, so the new mapping overlaps nothing of ours.
        let start = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, device, offset)? };
        Ok(Self { start, length: length.get() })
    }

    /// The first `used` bytes, all if `used` is 0, as drivers without that number leave it.
    fn bytes(&self, used: usize) -> &[u8] {
        let used = if used == 0 { self.length } else { used.min(self.length) };
        // SAFETY: the mapping has at least this length and lives as long as `self`. [`Stream::next`] hands a buffer out
        // only after the driver is done with it, and gives it back only when nobody borrows from the stream.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast::<u8>(), used) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody borrows from it any more.
        if let Err(error) = unsafe { munmap(self.start, self.length) } {
            tracing::debug!("a buffer could not be unmapped: {error}");
        }
    }
}

/// A running stream, and the buffer that was read last.
pub struct Stream {
    device: File,
    buffers: Vec<Mapping>,
    /// The buffer that is ours until the next frame is read.
    borrowed: Option<u32>,
    /// The number of the last frame.
    last_sequence: Option<u32>,
}

// SAFETY: the mappings' addresses stay valid in every thread, and only the owner of the stream uses them.
unsafe impl Send for Stream {}

impl Stream {
    /// Shares buffers with the driver and starts the stream.
    ///
    /// # Errors
    /// The system's error, or another if the driver shares no memory.
    pub fn start(device: File) -> io::Result<Self> {
        let mut request = abi::RequestBuffers::mapped(BUFFER_COUNT);
        abi::call(&device, &abi::REQBUFS, &mut request)?;
        let mut stream = Self { device, buffers: Vec::new(), borrowed: None, last_sequence: None };
        for index in 0..request.count {
            let mut buffer = abi::Buffer::mapped(index);
            abi::call(&stream.device, &abi::QUERYBUF, &mut buffer)?;
            stream.buffers.push(Mapping::new(&stream.device, &buffer)?);
            stream.enqueue(index)?;
        }
        if stream.buffers.is_empty() {
            return Err(io::Error::other("its driver has no memory for frames"));
        }
        abi::call(&stream.device, &abi::STREAMON, &mut capture_type())?;
        Ok(stream)
    }

    /// Gives a buffer back to the driver.
    fn enqueue(&mut self, index: u32) -> io::Result<()> {
        abi::call(&self.device, &abi::QBUF, &mut abi::Buffer::mapped(index))
    }

    /// Takes the oldest full buffer; `None` if there is none.
    fn dequeue(&mut self) -> io::Result<Option<abi::Buffer>> {
        let mut buffer = abi::Buffer::mapped(0);
        match abi::call(&self.device, &abi::DQBUF, &mut buffer) {
            Ok(()) if (buffer.index as usize) < self.buffers.len() => Ok(Some(buffer)),
            Ok(()) => Err(io::Error::other("its driver returned a buffer that does not exist")),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the driver has something to say within `timeout`: a frame or an error.
    fn is_ready(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)], timeout).map_err(io::Error::from) {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The newest frame; `None` if there is none within `timeout`.
    ///
    /// # Errors
    /// The system's error.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Option<Raw<'_>>> {
        if let Some(index) = self.borrowed.take() {
            self.enqueue(index)?;
        }
        if !self.is_ready(timeout)? {
            return Ok(None);
        }
        let Some(mut newest) = self.dequeue()? else {
            std::thread::sleep(EMPTY_READ_PAUSE.min(timeout));
            return Ok(None);
        };
        let mut skipped = 0;
        while let Some(newer) = self.dequeue()? {
            self.enqueue(newest.index)?;
            newest = newer;
            skipped += 1;
        }
        self.borrowed = Some(newest.index);
        let step = self.last_sequence.replace(newest.sequence).map_or(1, |last| newest.sequence.wrapping_sub(last));
        let lost = u64::from(step.saturating_sub(1)).clamp(skipped, skipped.max(MAX_LOST_FRAMES));
        let bytes = self.buffers[newest.index as usize].bytes(newest.bytesused as usize);
        let is_flagged = newest.flags & abi::BUF_FLAG_ERROR != 0;
        Ok(Some(Raw { bytes, captured: captured(&newest), lost, is_flagged }))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let stopped = abi::call(&self.device, &abi::STREAMOFF, &mut capture_type());
        self.buffers.clear();
        let freed = abi::call(&self.device, &abi::REQBUFS, &mut abi::RequestBuffers::mapped(0));
        // Closing the device frees what remains.
        if let Err(error) = stopped.and(freed) {
            tracing::debug!("the driver could not end the stream: {error}");
        }
    }
}

/// The argument that starts and stops a stream of pictures.
fn capture_type() -> nix::libc::c_int {
    abi::BUF_TYPE_VIDEO_CAPTURE as nix::libc::c_int
}

/// When a frame was captured, by the driver's clock where that is the system's.
fn captured(buffer: &abi::Buffer) -> Instant {
    let now = Instant::now();
    let is_ours = buffer.flags & abi::BUF_FLAG_TIMESTAMP_MASK == abi::BUF_FLAG_TIMESTAMP_MONOTONIC;
    let (Ok(s), Ok(us)) = (u64::try_from(buffer.timestamp.tv_sec), u32::try_from(buffer.timestamp.tv_usec)) else {
        return now;
    };
    let (true, Ok(clock)) = (is_ours, clock_gettime(ClockId::CLOCK_MONOTONIC)) else { return now };
    let age = Duration::from(clock).checked_sub(Duration::from_secs(s) + Duration::from_micros(us.into()));
    age.filter(|age| *age <= MAX_FRAME_AGE).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_old_as_the_drivers_clock_says() {
        let mut buffer = abi::Buffer::mapped(0);
        buffer.flags = abi::BUF_FLAG_TIMESTAMP_MONOTONIC;
        let then = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()) - Duration::from_millis(200);
        buffer.timestamp.tv_sec = then.as_secs().try_into().unwrap();
        buffer.timestamp.tv_usec = then.subsec_micros().into();
        assert!(captured(&buffer).elapsed() >= Duration::from_millis(200));
        buffer.timestamp.tv_sec = 0;
        assert!(captured(&buffer).elapsed() < MAX_FRAME_AGE, "from another clock");
    }
}
