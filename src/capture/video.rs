//! Videos, decoded by an `ffmpeg` process.

use super::y4m::Reader;
use super::{CaptureError, Source};
use crate::image::Frame;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

pub(super) struct Video {
    path: PathBuf,
    process: Child,
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
        let Some(output) = process.stdout.take() else {
            let source = std::io::Error::other("ffmpeg has no output");
            return Err(CaptureError::Read { path: path.to_owned(), source });
        };
        match Reader::new(BufReader::with_capacity(1 << 20, output), &path.display().to_string()) {
            Ok(reader) => Ok(Self { path: path.to_owned(), process, reader }),
            Err(error) => Err(what_it_said(&mut process)
                .map_or(error, |message| CaptureError::Ffmpeg { path: path.to_owned(), message })),
        }
    }
}

/// Waits for the end of ffmpeg and returns the last line of its errors, if it wrote any.
fn what_it_said(process: &mut Child) -> Option<String> {
    let mut text = String::new();
    if let Some(mut stderr) = process.stderr.take() {
        let _ = stderr.read_to_string(&mut text);
    }
    let _ = process.wait();
    text.lines().rev().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned)
}

impl Source for Video {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        match self.reader.next(frame) {
            Err(error) => Err(match what_it_said(&mut self.process) {
                Some(message) => CaptureError::Ffmpeg { path: self.path.clone(), message },
                None => error,
            }),
            ok => ok,
        }
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
