//! Videos and streams, decoded by an `ffmpeg` process.
//!
//! In: a file in any format that ffmpeg reads, or the address of a stream. Out: its frames in RGB, converted by the
//! video's own colour matrix and range, each with its own time. If the process fails or the input was truncated, the
//! source ends with an error that has the number of frames; other complaints of ffmpeg become one warning. A live
//! stream that breaks off or falls silent is reopened.

use super::fetched::silence;
use super::ffmpeg::{self, Complaint, Complaints, Leash};
use super::input::Address;
use super::nut::{NutError, Reader};
use super::{CaptureError, Source};
use crate::program::console::say;
use crate::runtime::image::Frame;
use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the network may be silent, in microseconds, as ffmpeg is told.
const NETWORK_TIMEOUT_US: &str = "10000000";
/// Between two attempts to open a stream that has broken off.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Endings of names of pictures, which ffmpeg takes for patterns of names if there is a `%` in them.
const PICTURE_ENDINGS: [&str; 11] = ["bmp", "webp", "tif", "tiff", "tga", "ppm", "pgm", "pbm", "jp2", "dds", "exr"];

/// The input to decode.
#[derive(Clone)]
pub(super) enum Origin {
    File(PathBuf),
    Address(Address),
}

pub(super) struct Video {
    origin: Origin,
    leash: Leash,
    stream: Stream,
    /// Frames that came so far.
    count: u64,
    /// Added to the times of the stream: it may not be the first.
    offset_s: f64,
    /// The time of the last frame, and when it came.
    last: Option<(f64, Instant)>,
}

/// The output of a process.
struct Stream {
    reader: Reader<BufReader<ChildStdout>>,
    complaints: Complaints,
}

impl Video {
    /// Starts to decode, `start_s` after the beginning; `leash` holds the process.
    pub fn open(origin: Origin, leash: Leash, start_s: f64) -> Result<Self, CaptureError> {
        let stream = open_stream(&origin, &leash, start_s)?;
        Ok(Self { origin, leash, stream, count: 0, offset_s: start_s, last: None })
    }

    fn is_live(&self) -> bool {
        matches!(&self.origin, Origin::Address(address) if address.is_live())
    }

    /// The result of a process that has ended its output, `broken` if that is incomplete.
    fn ended(&mut self, broken: Option<NutError>) -> Result<(), CaptureError> {
        let status = self.leash.wait();
        let complaint = self.stream.complaints.all();
        let (name, frames) = (self.origin.name(), self.count);
        let has_failed = status.is_none_or(|status| !status.success()) || broken.is_some();
        if has_failed || complaint.is_of_cut_input() {
            let reason = match (complaint.is_empty(), status, broken) {
                _ if self.leash.has_given_up() => silence(),
                (true, Some(status), _) if !status.success() => format!("ffmpeg ended with {status}"),
                (true, _, Some(broken)) => broken.to_string(),
                _ => self.origin.said(&complaint),
            };
            return Err(CaptureError::EndedEarly { name, frames, reason });
        }
        if !complaint.is_empty() {
            say(&format!("awing: {name}: some of it was damaged: {}", self.origin.said(&complaint)));
        }
        Ok(())
    }
}

impl Origin {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Address(address) => address.name(),
        }
    }

    /// What ffmpeg complained about, without the password of an address that it quotes.
    fn said(&self, complaint: &Complaint) -> String {
        match self {
            Self::File(_) => complaint.in_words(),
            Self::Address(address) => complaint.in_words().replace(address.text(), &address.name()),
        }
    }

    /// The options of ffmpeg that open it.
    fn options(&self) -> Vec<OsString> {
        let mut options: Vec<&str> = Vec::new();
        let name = match self {
            Self::File(path) => {
                // A playlist, too, stays on this computer.
                options.extend(["-protocol_whitelist", "file,crypto,data"]);
                if is_pattern(path) {
                    options.extend(["-f", "image2", "-pattern_type", "none"]);
                }
                ffmpeg::file(path)
            }
            Self::Address(address) => {
                options.extend(match address.scheme() {
                    "rtsp" | "rtsps" => &["-rtsp_flags", "prefer_tcp"][..],
                    "http" | "https" => {
                        &["-rw_timeout", NETWORK_TIMEOUT_US, "-reconnect", "1", "-reconnect_streamed", "1"]
                    }
                    _ => &[],
                });
                address.text().into()
            }
        };
        options.into_iter().map(OsString::from).chain(["-i".into(), name]).collect()
    }
}

fn is_pattern(path: &Path) -> bool {
    let is_picture = |ending: &str| PICTURE_ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    path.extension().is_some_and(|ending| is_picture(&ending.to_string_lossy())) && path.to_string_lossy().contains('%')
}

fn open_stream(origin: &Origin, leash: &Leash, start_s: f64) -> Result<Stream, CaptureError> {
    let start = |frame_times| start(origin, leash, start_s, frame_times);
    let opened = start(ffmpeg::FRAME_TIMES)?;
    let (reason, complaint) = match opened {
        Ok(stream) => return Ok(stream),
        Err((_, complaint)) if complaint.mentions(ffmpeg::FRAME_TIMES) => match start(ffmpeg::OLD_FRAME_TIMES)? {
            Ok(stream) => return Ok(stream),
            Err(failure) => failure,
        },
        Err(failure) => failure,
    };
    let reason = if complaint.is_empty() { reason } else { origin.said(&complaint) };
    Err(CaptureError::Undecodable { name: origin.name(), reason })
}

/// Starts a process and reads the headers of its output; or why there are none, and what it complained about.
fn start(
    origin: &Origin,
    leash: &Leash,
    start_s: f64,
    frame_times: &str,
) -> Result<Result<Stream, (String, Complaint)>, CaptureError> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    if start_s > 0.0 {
        command.args(["-ss", &format!("{start_s:.6}")]);
    }
    command.args(origin.options());
    command.args(["-map", "0:v:0", frame_times, "passthrough", "-enc_time_base", "1:1000000"]);
    command.args(["-c:v", "rawvideo", "-pix_fmt", "rgb24", "-f", "nut", "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    ffmpeg::shield_from_ctrl_c(&mut command);
    let started = leash.start(&mut command, |process| (Complaints::of(process), process.stdout.take()));
    let (mut complaints, output) = started.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CaptureError::NoFfmpeg {
            path: origin.name().into(),
            otherwise: ". Pictures, folders of pictures and YUV4MPEG on standard input need no ffmpeg",
        },
        io::ErrorKind::Interrupted => CaptureError::Interrupted(origin.name()),
        _ => CaptureError::Undecodable { name: origin.name(), reason: error.to_string() },
    })?;
    let opened =
        output.ok_or(NutError::Ended).and_then(|output| Reader::new(BufReader::with_capacity(1 << 20, output)));
    Ok(match opened {
        Ok(reader) => Ok(Stream { reader, complaints }),
        Err(error) => {
            leash.end_process();
            leash.wait();
            Err((error.to_string(), complaints.all()))
        }
    })
}

impl Source for Video {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        loop {
            let broken = match self.stream.reader.next(frame) {
                Ok(Some(time_s)) => {
                    self.count += 1;
                    let time_s = time_s + self.offset_s;
                    self.last = Some((time_s, Instant::now()));
                    return Ok(Some(time_s));
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            let ended = self.ended(broken);
            if !self.is_live() {
                return ended.map(|()| None);
            }
            self.open_again(ended)?;
        }
    }

    fn frames_per_second(&self) -> Option<f64> {
        self.stream.reader.frames_per_second()
    }

    fn describe(&self) -> String {
        self.origin.name()
    }
}

impl Video {
    /// A live stream has ended: opens it again, as long as it takes.
    fn open_again(&mut self, ended: Result<(), CaptureError>) -> Result<(), CaptureError> {
        let reason = ended.err().map_or_else(|| "it was stopped".into(), |error| error.to_string());
        tracing::warn!("{}: no picture ({reason}); connecting again", self.origin.name());
        loop {
            thread::sleep(RETRY_INTERVAL);
            match open_stream(&self.origin, &self.leash, 0.0) {
                Ok(stream) => {
                    self.stream = stream;
                    let since = |(time_s, at): (f64, Instant)| time_s + at.elapsed().as_secs_f64();
                    self.offset_s = self.last.map_or(0.0, since);
                    return Ok(());
                }
                Err(error @ CaptureError::Interrupted(_)) => return Err(error),
                Err(error) => tracing::debug!("{error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_passed_as_a_file_and_never_as_a_pattern_or_an_address() {
        let options = |path: &str| {
            let options = Origin::File(path.into()).options();
            options.iter().map(|option| option.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert!(options("2025-01-02T12:30:05.mp4").ends_with("-i file:2025-01-02T12:30:05.mp4"));
        assert!(options("-version").ends_with("-i file:-version"));
        assert!(options("x%d.webp").contains("-pattern_type none") && !options("x%d.mp4").contains("pattern"));
        assert!(options("a.m3u8").contains("-protocol_whitelist file,crypto,data"));
    }
}
