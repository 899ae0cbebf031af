//! Videos, decoded by an `ffmpeg` process.
//!
//! In: a file in any format that ffmpeg reads. Out: its frames with times at its nominal rate. An error of ffmpeg is
//! reported with its last message.

use super::ffmpeg::Complaints;
use super::y4m::Reader;
use super::{CaptureError, Source};
use crate::runtime::image::Frame;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

pub(super) struct Video {
    path: PathBuf,
    process: Child,
    complaints: Complaints,
    reader: Reader<BufReader<ChildStdout>>,
}

impl Video {
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let mut process = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(path)
            .args(["-map", "0:v:0", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => CaptureError::NoFfmpeg {
                    path: path.to_owned(),
                    otherwise: ". Pictures, folders of pictures and YUV4MPEG on standard input need no ffmpeg",
                },
                _ => CaptureError::Read { path: path.to_owned(), source: e },
            })?;
        let mut complaints = Complaints::of(&mut process);
        let Some(output) = process.stdout.take() else {
            let source = std::io::Error::other("ffmpeg has no output");
            return Err(CaptureError::Read { path: path.to_owned(), source });
        };
        match Reader::new(BufReader::with_capacity(1 << 20, output), &path.display().to_string()) {
            Ok(reader) => Ok(Self { path: path.to_owned(), process, complaints, reader }),
            Err(error) => Err(error_of(path, &mut process, &mut complaints).unwrap_or(error)),
        }
    }
}

/// Waits for the end of ffmpeg; the error holds its last message, if there was any.
fn error_of(path: &Path, process: &mut Child, complaints: &mut Complaints) -> Option<CaptureError> {
    let _ = process.wait();
    complaints.last().map(|message| CaptureError::Ffmpeg { path: path.to_owned(), message })
}

impl Source for Video {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        let Self { path, process, complaints, reader } = self;
        reader.next(frame).map_err(|error| error_of(path, process, complaints).unwrap_or(error))
    }

    fn frames_per_second(&self) -> Option<f64> {
        self.reader.frames_per_second()
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

impl Drop for Video {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
