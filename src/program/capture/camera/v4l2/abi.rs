//! The part of the V4L2 interface that awing uses, as `linux/videodev2.h` declares it.
//!
//! Structures keep the kernel's field names and layout, constants the kernel's names without `V4L2_`. Unions hold only
//! the member that a single-planar video capture device with mapped buffers uses, and are filled up to their full size.
//! A [`Request`] knows the structure that belongs to it, so [`call`] is safe.
//!
//! The layout is the same on every 64-bit Linux and on 32-bit Arm, and is checked twice: by the assertions below on
//! every build, and against the kernel's own header by the test at the end.

use nix::errno::Errno;
use nix::libc::{self, timeval};
use nix::sys::ioctl::ioctl_num_type;
use std::fs::File;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::os::fd::AsRawFd;
use std::{io, ptr};

#[cfg(not(any(target_pointer_width = "64", target_arch = "arm")))]
compile_error!("V4L2's structures are declared for 64-bit Linux and 32-bit Arm; build without the feature \"camera\"");

pub const CAP_VIDEO_CAPTURE: u32 = 0x0000_0001;
pub const CAP_VIDEO_OUTPUT: u32 = 0x0000_0002;
pub const CAP_STREAMING: u32 = 0x0400_0000;
pub const CAP_DEVICE_CAPS: u32 = 0x8000_0000;
pub const BUF_TYPE_VIDEO_CAPTURE: u32 = 1;
pub const BUF_TYPE_VIDEO_OUTPUT: u32 = 2;
pub const FIELD_NONE: u32 = 1;
pub const COLORSPACE_SMPTE170M: u32 = 1;
pub const MEMORY_MMAP: u32 = 1;
pub const BUF_FLAG_ERROR: u32 = 0x0040;
pub const BUF_FLAG_TIMESTAMP_MASK: u32 = 0xe000;
pub const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;
pub const FRMSIZE_TYPE_DISCRETE: u32 = 1;
pub const FRMSIZE_TYPE_CONTINUOUS: u32 = 2;
pub const FRMSIZE_TYPE_STEPWISE: u32 = 3;
pub const FRMIVAL_TYPE_DISCRETE: u32 = 1;
pub const FRMIVAL_TYPE_CONTINUOUS: u32 = 2;
pub const FRMIVAL_TYPE_STEPWISE: u32 = 3;

/// A call to the driver that reads and fills a `T`.
pub struct Request<T> {
    number: ioctl_num_type,
    argument: PhantomData<fn(&mut T)>,
}

impl<T> Request<T> {
    /// Private, so that every number in use stands beside its structure in this file.
    const fn new(number: ioctl_num_type) -> Self {
        Self { number, argument: PhantomData }
    }
}

/// A request that the driver answers in the structure, or only reads, or both.
macro_rules! request {
    (read $number:literal) => {
        Request::new(nix::request_code_read!(b'V', $number, size_of::<Capability>()))
    };
    (write_int $number:literal) => {
        Request::new(nix::request_code_write!(b'V', $number, size_of::<libc::c_int>()))
    };
    ($argument:ty, $number:literal) => {
        Request::<$argument>::new(nix::request_code_readwrite!(b'V', $number, size_of::<$argument>()))
    };
}

pub const QUERYCAP: Request<Capability> = request!(read 0);
pub const ENUM_FMT: Request<FormatDescription> = request!(FormatDescription, 2);
pub const G_FMT: Request<Format> = request!(Format, 4);
pub const S_FMT: Request<Format> = request!(Format, 5);
pub const REQBUFS: Request<RequestBuffers> = request!(RequestBuffers, 8);
pub const QUERYBUF: Request<Buffer> = request!(Buffer, 9);
pub const QBUF: Request<Buffer> = request!(Buffer, 15);
pub const DQBUF: Request<Buffer> = request!(Buffer, 17);
pub const STREAMON: Request<libc::c_int> = request!(write_int 18);
pub const STREAMOFF: Request<libc::c_int> = request!(write_int 19);
pub const G_PARM: Request<StreamParameters> = request!(StreamParameters, 21);
pub const S_PARM: Request<StreamParameters> = request!(StreamParameters, 22);
pub const ENUM_FRAMESIZES: Request<FrameSize> = request!(FrameSize, 74);
pub const ENUM_FRAMEINTERVALS: Request<FrameInterval> = request!(FrameInterval, 75);

/// Calls the driver of `device`.
///
/// # Errors
/// The system's error.
pub fn call<T>(device: &File, request: &Request<T>, argument: &mut T) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `device` is borrowed; the argument is the structure that belongs to
    // the request, whose size is part of the number, and holds integers only, for which any bits are valid.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request.number, ptr::from_mut(argument)) };
    Errno::result(result)?;
    Ok(())
}

/// `struct v4l2_capability`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_caps: u32,
    pub reserved: [u32; 3],
}

impl Capability {
    /// What this device can do, not the whole driver.
    pub fn of_device(&self) -> u32 {
        if self.capabilities & CAP_DEVICE_CAPS != 0 { self.device_caps } else { self.capabilities }
    }
}

/// `struct v4l2_fmtdesc`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct FormatDescription {
    pub index: u32,
    pub type_: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub pixelformat: u32,
    pub mbus_code: u32,
    pub reserved: [u32; 3],
}

/// `struct v4l2_pix_format`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct PixFormat {
    pub width: u32,
    pub height: u32,
    pub pixelformat: u32,
    pub field: u32,
    pub bytesperline: u32,
    pub sizeimage: u32,
    pub colorspace: u32,
    pub priv_: u32,
    pub flags: u32,
    pub ycbcr_enc: u32,
    pub quantization: u32,
    pub xfer_func: u32,
}

/// `struct v4l2_format` with the member `pix` of its union.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Format {
    pub type_: u32,
    /// Other members of the union hold pointers, which decides where it begins.
    alignment: [usize; 0],
    pub pix: PixFormat,
    rest: [u8; 200 - size_of::<PixFormat>()],
}

impl Format {
    pub fn of_capture(pix: PixFormat) -> Self {
        Self { type_: BUF_TYPE_VIDEO_CAPTURE, alignment: [], pix, rest: [0; _] }
    }

    pub fn of_output(pix: PixFormat) -> Self {
        Self { type_: BUF_TYPE_VIDEO_OUTPUT, ..Self::of_capture(pix) }
    }
}

/// `struct v4l2_fract`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: u32,
}

/// `struct v4l2_captureparm`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct CaptureParameters {
    pub capability: u32,
    pub capturemode: u32,
    pub timeperframe: Fraction,
    pub extendedmode: u32,
    pub readbuffers: u32,
    pub reserved: [u32; 4],
}

/// `struct v4l2_streamparm` with the member `capture` of its union.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct StreamParameters {
    pub type_: u32,
    pub capture: CaptureParameters,
    rest: [u8; 200 - size_of::<CaptureParameters>()],
}

impl StreamParameters {
    pub fn of_capture(capture: CaptureParameters) -> Self {
        Self { type_: BUF_TYPE_VIDEO_CAPTURE, capture, rest: [0; _] }
    }
}

/// `struct v4l2_frmsizeenum`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct FrameSize {
    pub index: u32,
    pub pixel_format: u32,
    pub type_: u32,
    /// Width and height of a discrete size; of a range the least, the most and the step of the width, then of the
    /// height.
    pub size: [u32; 6],
    pub reserved: [u32; 2],
}

/// `struct v4l2_frmivalenum`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct FrameInterval {
    pub index: u32,
    pub pixel_format: u32,
    pub width: u32,
    pub height: u32,
    pub type_: u32,
    /// A discrete interval in seconds; of a range the least, the most and the step.
    pub interval: [Fraction; 3],
    pub reserved: [u32; 2],
}

/// `struct v4l2_requestbuffers`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct RequestBuffers {
    pub count: u32,
    pub type_: u32,
    pub memory: u32,
    pub capabilities: u32,
    pub reserved: u32,
}

impl RequestBuffers {
    /// `count` mapped buffers; none to free those that there are.
    pub fn mapped(count: u32) -> Self {
        Self { count, type_: BUF_TYPE_VIDEO_CAPTURE, memory: MEMORY_MMAP, ..Self::default() }
    }
}

/// `struct v4l2_timecode`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct TimeCode {
    pub type_: u32,
    pub flags: u32,
    pub frames: u8,
    pub seconds: u8,
    pub minutes: u8,
    pub hours: u8,
    pub userbits: [u8; 4],
}

/// The union `m` of `struct v4l2_buffer` with its member `offset`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct BufferLocation {
    /// Other members are pointers, which decides the size.
    alignment: [usize; 0],
    pub offset: u32,
}

/// `struct v4l2_buffer`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Buffer {
    pub index: u32,
    pub type_: u32,
    pub bytesused: u32,
    pub flags: u32,
    pub field: u32,
    pub timestamp: timeval,
    pub timecode: TimeCode,
    pub sequence: u32,
    pub memory: u32,
    pub m: BufferLocation,
    pub length: u32,
    pub reserved2: u32,
    pub request_fd: i32,
}

impl Buffer {
    /// The mapped buffer with this number.
    pub fn mapped(index: u32) -> Self {
        Self {
            index,
            type_: BUF_TYPE_VIDEO_CAPTURE,
            bytesused: 0,
            flags: 0,
            field: 0,
            timestamp: timeval { tv_sec: 0, tv_usec: 0 },
            timecode: TimeCode::default(),
            sequence: 0,
            memory: MEMORY_MMAP,
            m: BufferLocation::default(),
            length: 0,
            reserved2: 0,
            request_fd: 0,
        }
    }
}

/// The layout as the kernel lays it down, for 64 bits and for 32 bits with 32-bit times.
const _: () = {
    const fn either(wide: usize, narrow: usize) -> usize {
        if cfg!(target_pointer_width = "64") { wide } else { narrow }
    }
    assert!(size_of::<Capability>() == 104 && offset_of!(Capability, capabilities) == 84);
    assert!(size_of::<FormatDescription>() == 64 && offset_of!(FormatDescription, pixelformat) == 44);
    assert!(size_of::<PixFormat>() == 48 && offset_of!(PixFormat, bytesperline) == 16);
    assert!(size_of::<Format>() == either(208, 204) && offset_of!(Format, pix) == either(8, 4));
    assert!(size_of::<Fraction>() == 8);
    assert!(size_of::<CaptureParameters>() == 40 && offset_of!(CaptureParameters, timeperframe) == 8);
    assert!(size_of::<StreamParameters>() == 204 && offset_of!(StreamParameters, capture) == 4);
    assert!(size_of::<FrameSize>() == 44 && offset_of!(FrameSize, size) == 12);
    assert!(size_of::<FrameInterval>() == 52 && offset_of!(FrameInterval, interval) == 20);
    assert!(size_of::<RequestBuffers>() == 20 && offset_of!(RequestBuffers, memory) == 8);
    assert!(size_of::<TimeCode>() == 16);
    let narrow_time = size_of::<timeval>() == 8;
    assert!(size_of::<Buffer>() == either(88, if narrow_time { 68 } else { 80 }));
    assert!(offset_of!(Buffer, timestamp) == if narrow_time { 20 } else { 24 });
    assert!(offset_of!(Buffer, m) == either(64, if narrow_time { 52 } else { 64 }));
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Output, Stdio};

    /// Lets the C compiler check a program for its errors alone; `None` if there is no C compiler.
    fn check(program: &str) -> Option<Output> {
        let mut compiler = Command::new("cc")
            .args(["-std=c11", "-fsyntax-only", "-x", "c", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        // A compiler that ends before it has read everything says so by its status.
        let _ = compiler.stdin.take()?.write_all(program.as_bytes());
        compiler.wait_with_output().ok()
    }

    const HEADERS: &str = "#include <stddef.h>\n#include <linux/videodev2.h>\n";

    /// Assertions in C that a structure and its fields lie as they do here.
    macro_rules! layout {
        ($name:literal, $own:ty { $($theirs:literal: $field:ident),* $(,)? }) => {{
            let mut text = format!("_Static_assert(sizeof(struct {0}) == {1}, \"{0}\");\n", $name, size_of::<$own>());
            $(text += &format!(
                "_Static_assert(offsetof(struct {0}, {1}) == {2}, \"{0}.{1}\");\n",
                $name, $theirs, offset_of!($own, $field),
            );)*
            text
        }};
    }

    /// Assertions in C that constants have the values that they have here.
    macro_rules! values {
        ($prefix:literal: $($name:ident = $value:expr),* $(,)?) => {
            [$(format!("_Static_assert({0}{1} == {2}u, \"{0}{1}\");\n", $prefix, stringify!($name), i128::from($value) & 0xffff_ffff)),*].concat()
        };
    }

    fn layouts() -> String {
        [
            layout!("v4l2_capability", Capability {
                "driver": driver, "card": card, "bus_info": bus_info, "version": version,
                "capabilities": capabilities, "device_caps": device_caps, "reserved": reserved,
            }),
            layout!("v4l2_fmtdesc", FormatDescription {
                "index": index, "type": type_, "flags": flags, "description": description,
                "pixelformat": pixelformat, "mbus_code": mbus_code, "reserved": reserved,
            }),
            layout!("v4l2_pix_format", PixFormat {
                "width": width, "height": height, "pixelformat": pixelformat, "field": field,
                "bytesperline": bytesperline, "sizeimage": sizeimage, "colorspace": colorspace, "priv": priv_,
                "flags": flags, "ycbcr_enc": ycbcr_enc, "quantization": quantization, "xfer_func": xfer_func,
            }),
            layout!("v4l2_format", Format { "type": type_, "fmt.pix": pix }),
            layout!("v4l2_fract", Fraction { "numerator": numerator, "denominator": denominator }),
            layout!("v4l2_captureparm", CaptureParameters {
                "capability": capability, "capturemode": capturemode, "timeperframe": timeperframe,
                "extendedmode": extendedmode, "readbuffers": readbuffers, "reserved": reserved,
            }),
            layout!("v4l2_streamparm", StreamParameters { "type": type_, "parm.capture": capture }),
            layout!("v4l2_frmsizeenum", FrameSize {
                "index": index, "pixel_format": pixel_format, "type": type_, "discrete.width": size,
                "stepwise.min_width": size, "reserved": reserved,
            }),
            layout!("v4l2_frmivalenum", FrameInterval {
                "index": index, "pixel_format": pixel_format, "width": width, "height": height, "type": type_,
                "discrete": interval, "stepwise.min": interval, "reserved": reserved,
            }),
            layout!("v4l2_requestbuffers", RequestBuffers {
                "count": count, "type": type_, "memory": memory, "capabilities": capabilities,
            }),
            layout!("v4l2_timecode", TimeCode {
                "type": type_, "flags": flags, "frames": frames, "seconds": seconds, "minutes": minutes,
                "hours": hours, "userbits": userbits,
            }),
            layout!("v4l2_buffer", Buffer {
                "index": index, "type": type_, "bytesused": bytesused, "flags": flags, "field": field,
                "timestamp": timestamp, "timecode": timecode, "sequence": sequence, "memory": memory,
                "m.offset": m, "length": length, "reserved2": reserved2, "request_fd": request_fd,
            }),
        ]
        .concat()
    }

    fn numbers() -> String {
        [
            values!("VIDIOC_": QUERYCAP = QUERYCAP.number, ENUM_FMT = ENUM_FMT.number, G_FMT = G_FMT.number,
                S_FMT = S_FMT.number, REQBUFS = REQBUFS.number, QUERYBUF = QUERYBUF.number, QBUF = QBUF.number,
                DQBUF = DQBUF.number, STREAMON = STREAMON.number, STREAMOFF = STREAMOFF.number,
                G_PARM = G_PARM.number, S_PARM = S_PARM.number, ENUM_FRAMESIZES = ENUM_FRAMESIZES.number,
                ENUM_FRAMEINTERVALS = ENUM_FRAMEINTERVALS.number),
            values!("V4L2_": CAP_VIDEO_CAPTURE = CAP_VIDEO_CAPTURE, CAP_VIDEO_OUTPUT = CAP_VIDEO_OUTPUT,
                CAP_STREAMING = CAP_STREAMING, BUF_TYPE_VIDEO_OUTPUT = BUF_TYPE_VIDEO_OUTPUT,
                FIELD_NONE = FIELD_NONE, COLORSPACE_SMPTE170M = COLORSPACE_SMPTE170M,
                CAP_DEVICE_CAPS = CAP_DEVICE_CAPS, BUF_TYPE_VIDEO_CAPTURE = BUF_TYPE_VIDEO_CAPTURE,
                MEMORY_MMAP = MEMORY_MMAP, BUF_FLAG_ERROR = BUF_FLAG_ERROR,
                BUF_FLAG_TIMESTAMP_MASK = BUF_FLAG_TIMESTAMP_MASK,
                BUF_FLAG_TIMESTAMP_MONOTONIC = BUF_FLAG_TIMESTAMP_MONOTONIC,
                FRMSIZE_TYPE_DISCRETE = FRMSIZE_TYPE_DISCRETE, FRMSIZE_TYPE_CONTINUOUS = FRMSIZE_TYPE_CONTINUOUS,
                FRMSIZE_TYPE_STEPWISE = FRMSIZE_TYPE_STEPWISE, FRMIVAL_TYPE_DISCRETE = FRMIVAL_TYPE_DISCRETE,
                FRMIVAL_TYPE_CONTINUOUS = FRMIVAL_TYPE_CONTINUOUS, FRMIVAL_TYPE_STEPWISE = FRMIVAL_TYPE_STEPWISE),
        ]
        .concat()
    }

    #[test]
    fn declarations_are_those_of_the_kernels_header() {
        match check(HEADERS) {
            Some(output) if output.status.success() => {}
            Some(_) => return eprintln!("skipped: the header linux/videodev2.h is not installed"),
            None => return eprintln!("skipped: there is no C compiler `cc`"),
        }
        let program = format!("{HEADERS}{}{}", layouts(), numbers());
        let output = check(&program).expect("the compiler ran a moment ago");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // A wrong value would be noticed.
        let wrong = program.replace("v4l2_buffer) == ", "v4l2_buffer) == 1");
        assert!(check(&wrong).is_some_and(|output| !output.status.success()));
    }
}
