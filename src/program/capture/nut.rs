//! NUT, the container in which uncompressed frames travel between awing and ffmpeg, each with its own time stamp.
//!
//! In and out: RGB frames with times in seconds. The reader supports what ffmpeg writes: one stream of 24-bit RGB, with
//! all headers at the beginning. Damage is a [`NutError`]. The format is specified at
//! <https://ffmpeg.org/~michael/nut.txt>.

use crate::runtime::image::{Frame, MOST_PIXELS};
use std::fmt;
use std::io::{self, Read};

const FILE_ID: &[u8; 25] = b"nut/multimedia container\0";
const MAIN: u64 = 0x4e4d_7a56_1f5f_04ad;
const STREAM: u64 = 0x4e53_1140_5bf2_f9db;
const SYNCPOINT: u64 = 0x4e4b_e4ad_eeca_4569;
const INFO: u64 = 0x4e49_ab68_b596_ba78;
/// The first byte of every start code; no frame begins with it.
const START: u8 = b'N';

/// Flags of a frame: the fields of its header, and its kind.
mod flags {
    pub const KEY: u64 = 1;
    pub const CODED_TIME: u64 = 1 << 3;
    pub const STREAM_ID: u64 = 1 << 4;
    pub const SIZE: u64 = 1 << 5;
    pub const CHECKSUM: u64 = 1 << 6;
    pub const RESERVED: u64 = 1 << 7;
    pub const SIDE_DATA: u64 = 1 << 8;
    pub const HEADER: u64 = 1 << 10;
    pub const MATCH: u64 = 1 << 11;
    pub const CODED: u64 = 1 << 12;
    pub const INVALID: u64 = 1 << 13;
}

/// Headers longer than this are not followed by a checksum of their length.
const SHORT_PACKET: u64 = 4096;
/// The longest header.
const LONGEST_PACKET: u64 = 1 << 20;

/// Why a stream can't be read.
#[derive(Debug)]
pub(super) enum NutError {
    /// It ends before its first frame, or within one.
    Ended,
    Damaged(&'static str),
    Read(io::Error),
}

impl fmt::Display for NutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("it ended within a frame, or before the first"),
            Self::Damaged(what) => write!(f, "ffmpeg wrote something unexpected: {what}"),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for NutError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Read(error),
        }
    }
}

/// The header fields of frames that begin with a certain byte.
#[derive(Clone, Copy, Default)]
struct FrameCode {
    flags: u64,
    time_delta: i64,
    size_factor: u64,
    size: u64,
    reserved: u64,
}

/// Reads frames.
pub(super) struct Reader<R> {
    input: R,
    codes: Vec<FrameCode>,
    /// Numerators and denominators of seconds.
    time_bases: Vec<(u64, u64)>,
    /// The one of the stream.
    time_base: (u64, u64),
    time_shift: u32,
    width: usize,
    height: usize,
    frames_per_second: Option<f64>,
    /// Time stamp of the last frame.
    last: i64,
}

impl<R: Read> Reader<R> {
    /// Reads the headers, up to the first frame.
    pub(super) fn new(mut input: R) -> Result<Self, NutError> {
        let mut id = [0; FILE_ID.len()];
        input.read_exact(&mut id)?;
        if id != *FILE_ID {
            return Err(NutError::Damaged("it does not begin with NUT's signature"));
        }
        let mut reader = Self {
            input,
            codes: Vec::new(),
            time_bases: Vec::new(),
            time_base: (0, 1),
            time_shift: 0,
            width: 0,
            height: 0,
            frames_per_second: None,
            last: 0,
        };
        // All headers come before the first point of synchronisation.
        while reader.packet()?.ok_or(NutError::Ended)? != SYNCPOINT {}
        if reader.width == 0 || reader.codes.is_empty() {
            return Err(NutError::Damaged("its headers are incomplete"));
        }
        Ok(reader)
    }

    /// The nominal rate.
    pub(super) fn frames_per_second(&self) -> Option<f64> {
        self.frames_per_second
    }

    /// Fills `frame` with the next one and returns its time in seconds; `None` at the end.
    pub(super) fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, NutError> {
        let code = loop {
            match self.byte()? {
                None => return Ok(None),
                Some(START) => drop(self.packet_after_start()?),
                Some(code) => break self.codes[usize::from(code)],
            }
        };
        let size = self.frame_header(code)?;
        if size != 3 * self.width as u64 * self.height as u64 {
            return Err(NutError::Damaged("a frame has another size than the first"));
        }
        frame.resize(self.width, self.height);
        self.input.read_exact(frame.rgb_mut())?;
        Ok(Some(self.last as f64 * self.time_base.0 as f64 / self.time_base.1 as f64))
    }

    /// Reads the header of a frame: its time into `last`. Returns the number of its bytes.
    fn frame_header(&mut self, code: FrameCode) -> Result<u64, NutError> {
        let mut flags = code.flags;
        if flags & flags::INVALID != 0 {
            return Err(NutError::Damaged("a frame begins with an invalid byte"));
        }
        if flags & flags::CODED != 0 {
            flags ^= self.number()?;
        }
        if flags & flags::STREAM_ID != 0 && self.number()? != 0 {
            return Err(NutError::Damaged("it has a second stream"));
        }
        self.last = if flags & flags::CODED_TIME != 0 {
            let coded = self.number()? as i64;
            let range = 1_i64 << self.time_shift;
            if coded < range {
                let least = self.last - (range - 1) / 2;
                ((coded - least) & (range - 1)) + least
            } else {
                coded - range
            }
        } else {
            self.last.saturating_add(code.time_delta)
        };
        let mut size = code.size;
        if flags & flags::SIZE != 0 {
            size = size.saturating_add(self.number()?.saturating_mul(code.size_factor));
        }
        if flags & flags::MATCH != 0 {
            self.number()?;
        }
        if flags & flags::HEADER != 0 && self.number()? != 0 {
            return Err(NutError::Damaged("a frame leaves bytes out"));
        }
        let reserved = if flags & flags::RESERVED != 0 { self.number()? } else { code.reserved };
        for _ in 0..reserved {
            self.number()?;
        }
        if flags & flags::CHECKSUM != 0 {
            self.input.read_exact(&mut [0; 4])?;
        }
        if flags & flags::SIDE_DATA != 0 {
            return Err(NutError::Damaged("a frame has data beside it"));
        }
        Ok(size)
    }

    /// Reads a packet; returns its start code, `None` at the end of the input.
    fn packet(&mut self) -> Result<Option<u64>, NutError> {
        match self.byte()? {
            None => Ok(None),
            Some(START) => self.packet_after_start().map(Some),
            Some(_) => Err(NutError::Damaged("a header is expected")),
        }
    }

    fn packet_after_start(&mut self) -> Result<u64, NutError> {
        let mut start = [0; 8];
        start[0] = START;
        self.input.read_exact(&mut start[1..])?;
        let length = self.number()?;
        if length > LONGEST_PACKET {
            return Err(NutError::Damaged("a header is too long"));
        }
        if length > SHORT_PACKET {
            self.input.read_exact(&mut [0; 4])?;
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes)?;
        let start = u64::from_be_bytes(start);
        let mut fields = Fields(&bytes);
        let is_read = match start {
            MAIN => self.main_header(&mut fields),
            STREAM => self.stream_header(&mut fields),
            SYNCPOINT => self.syncpoint(&mut fields),
            INFO => {
                // Only for people, but for the rate.
                self.frames_per_second = rate_in(&bytes).or(self.frames_per_second);
                Some(())
            }
            _ => Some(()),
        };
        is_read.map(|()| start).ok_or(NutError::Damaged("a header is damaged"))
    }

    fn main_header(&mut self, fields: &mut Fields) -> Option<()> {
        if fields.number()? > 3 {
            fields.number()?;
        }
        let _streams = fields.number()?;
        let _longest_distance = fields.number()?;
        let bases = fields.number()?;
        self.time_bases.clear();
        for _ in 0..bases {
            let base = (fields.number()?, fields.number()?);
            self.time_bases.push(Some(base).filter(|base| base.1 > 0)?);
        }
        let mut codes = vec![FrameCode { flags: flags::INVALID, ..FrameCode::default() }; 256];
        let (mut time_delta, mut factor) = (0, 1);
        let mut next = 0;
        while next < codes.len() {
            let flags = fields.number()?;
            let count = fields.number()?;
            time_delta = if count > 0 { fields.signed()? } else { time_delta };
            factor = if count > 1 { fields.number()? } else { factor };
            if count > 2 {
                fields.number()?;
            }
            let size = if count > 3 { fields.number()? } else { 0 };
            let reserved = if count > 4 { fields.number()? } else { 0 };
            let mut run = if count > 5 { fields.number()? } else { factor.checked_sub(size)? };
            for _ in 6..count {
                fields.number()?;
            }
            let mut lsb = size;
            // A run of none would never end.
            Some(()).filter(|()| run > 0)?;
            while run > 0 && next < codes.len() {
                if next != usize::from(START) {
                    codes[next] = FrameCode { flags, time_delta, size_factor: factor, size: lsb, reserved };
                    lsb = lsb.checked_add(1)?;
                    run -= 1;
                }
                next += 1;
            }
        }
        self.codes = codes;
        Some(())
    }

    fn stream_header(&mut self, fields: &mut Fields) -> Option<()> {
        let _id = fields.number()?;
        let class = fields.number()?;
        fields.bytes()?;
        let base = usize::try_from(fields.number()?).ok()?;
        self.time_base = *self.time_bases.get(base)?;
        self.time_shift = u32::try_from(fields.number()?).ok().filter(|shift| *shift < 16)?;
        let _longest_pause = fields.number()?;
        let _delay = fields.number()?;
        let _flags = fields.number()?;
        fields.bytes()?;
        let size = (usize::try_from(fields.number()?).ok()?, usize::try_from(fields.number()?).ok()?);
        let is_picture = class == 0 && size.0 > 0 && size.1 > 0 && size.0.checked_mul(size.1)? <= MOST_PIXELS;
        (self.width, self.height) = Some(size).filter(|_| is_picture)?;
        Some(())
    }

    fn syncpoint(&mut self, fields: &mut Fields) -> Option<()> {
        let coded = fields.number()?;
        let bases = self.time_bases.len() as u64;
        let (value, base) = (coded.checked_div(bases)?, coded.checked_rem(bases)?);
        let (from, to) = (self.time_bases[usize::try_from(base).ok()?], self.time_base);
        let scaled = u128::from(value) * u128::from(from.0) * u128::from(to.1);
        self.last = i64::try_from(scaled.checked_div(u128::from(from.1) * u128::from(to.0))?).ok()?;
        Some(())
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        loop {
            match self.input.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn number(&mut self) -> Result<u64, NutError> {
        let mut value: u64 = 0;
        loop {
            let byte = self.byte()?.ok_or(NutError::Ended)?;
            if value >> 57 != 0 {
                return Err(NutError::Damaged("a number is too large"));
            }
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }
}

/// The rate in an INFO packet: `r_frame_rate`, the type 2 (text), and `30/1` after its length.
fn rate_in(bytes: &[u8]) -> Option<f64> {
    const NAME: &[u8] = b"r_frame_rate";
    let after = bytes.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let length = usize::from(*bytes.get(after + 1)?);
    let text = std::str::from_utf8(bytes.get(after + 2..after + 2 + length)?).ok()?;
    let (frames, seconds) = text.split_once('/')?;
    let rate = frames.parse::<f64>().ok()? / seconds.parse::<f64>().ok()?;
    Some(rate).filter(|rate| rate.is_finite() && *rate > 0.0)
}

/// The fields of a header that is in memory; `None` if it is too short.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value: u64 = 0;
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value = Some(value).filter(|value| value >> 57 == 0)? << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    }

    fn signed(&mut self) -> Option<i64> {
        let value = i64::try_from(self.number()?.checked_add(1)?).ok()?;
        Some(if value & 1 == 1 { -(value >> 1) } else { value >> 1 })
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Units of time of what is written, in a second.
const UNITS_PER_SECOND: u64 = 1_000_000;
/// Bits of the short form of a time stamp, which is not used.
const TIME_SHIFT: u32 = 7;
/// The byte with which every frame begins.
const FRAME: u8 = 0;

/// The headers of a stream of RGB frames of this size.
pub(super) fn headers((width, height): (usize, usize)) -> Vec<u8> {
    let mut bytes = FILE_ID.to_vec();
    // Version 3, one stream, the longest distance, one time base.
    let mut main = numbers(&[3, 1, 1 << 16, 1, 1, UNITS_PER_SECOND]);
    // One code for frames; all others are invalid. Flags, number of fields, then time, factor, stream, size, reserved,
    // run.
    main.extend(numbers(&[flags::KEY | flags::CODED_TIME | flags::SIZE | flags::CHECKSUM, 6, 0, 1, 0, 0, 0, 1]));
    main.extend(numbers(&[flags::INVALID, 6, 0, 1, 0, 0, 0, 254]));
    // No bytes that frames leave out.
    main.extend(numbers(&[0]));
    add_packet(&mut bytes, MAIN, &main);
    let mut stream = numbers(&[0, 0, 4]);
    stream.extend(b"RGB\x18");
    stream.extend(numbers(&[0, u64::from(TIME_SHIFT), 1 << 40, 0, 0, 0, width as u64, height as u64, 0, 0, 0]));
    add_packet(&mut bytes, STREAM, &stream);
    bytes
}

/// The header of a frame.
pub(super) fn frame_start(time_s: f64, size: usize) -> Vec<u8> {
    let time = (time_s.max(0.0) * UNITS_PER_SECOND as f64).round() as u64;
    let mut bytes = Vec::new();
    add_packet(&mut bytes, SYNCPOINT, &numbers(&[time, 0]));
    let mut header = vec![FRAME];
    header.extend(numbers(&[time + (1 << TIME_SHIFT), size as u64]));
    let checksum = checksum(&header).to_be_bytes();
    bytes.extend(header);
    bytes.extend(checksum);
    bytes
}

fn add_packet(bytes: &mut Vec<u8>, start: u64, content: &[u8]) {
    bytes.extend(start.to_be_bytes());
    bytes.extend(numbers(&[content.len() as u64 + 4]));
    bytes.extend(content);
    bytes.extend(checksum(content).to_be_bytes());
}

fn numbers(values: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let groups = (64 - value.leading_zeros()).div_ceil(7).max(1);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            bytes.push((value >> (7 * group)) as u8 & 0x7f | more);
        }
    }
    bytes
}

/// CRC-32 with the polynomial 04C11DB7, from 0, the highest bit first.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(times: &[f64]) -> Vec<u8> {
        let mut bytes = headers((3, 2));
        for (i, time_s) in times.iter().enumerate() {
            bytes.extend(frame_start(*time_s, 18));
            bytes.extend([i as u8; 18]);
        }
        bytes
    }

    #[test]
    fn frames_come_back_with_their_times() {
        let times = [0.0, 0.033_333, 0.033_334, 7.25, 100_000.000_001];
        let bytes = written(&times);
        let mut reader = Reader::new(&bytes[..]).unwrap();
        let mut frame = Frame::default();
        for (i, time_s) in times.iter().enumerate() {
            let read = reader.next(&mut frame).unwrap().unwrap();
            assert!((read - time_s).abs() < 1e-9, "{read} instead of {time_s}");
            assert_eq!((frame.width(), frame.height(), frame.rgb()[17]), (3, 2, i as u8));
        }
        assert!(reader.next(&mut frame).unwrap().is_none());
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let bytes = written(&[0.0, 1.0]);
        let read = |bytes: &[u8]| -> Result<usize, NutError> {
            let mut reader = Reader::new(bytes)?;
            let mut frame = Frame::default();
            let mut count = 0;
            while reader.next(&mut frame)?.is_some() {
                count += 1;
            }
            Ok(count)
        };
        assert_eq!(read(&bytes).unwrap(), 2);
        for length in 0..bytes.len() {
            let whole = read(&bytes[..length]).unwrap_or(0);
            assert!(whole < 2, "{length}");
        }
        for i in 0..bytes.len() {
            for flip in [0xff, 0x80, 1] {
                let mut bad = bytes.clone();
                bad[i] ^= flip;
                let _ = read(&bad);
            }
        }
    }
}
