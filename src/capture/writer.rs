//! Annotated videos and pictures.

use super::CaptureError;
use crate::image::Frame;
use image::codecs::gif::{GifEncoder, Repeat};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Writes frames to a file: `.mp4` and other videos through an `ffmpeg` process, `.gif` without, `.png` and `.jpg` keep
/// the last frame. The file appears under its name when [`Writer::finish`] is called, or when the writer is dropped.
pub struct Writer {
    path: PathBuf,
    /// Written beside, renamed at the end.
    partial: PathBuf,
    sink: Sink,
    finished: bool,
}

enum Sink {
    Video { process: Child, width: usize, height: usize },
    Gif { encoder: Box<GifEncoder<BufWriter<File>>>, delay: Duration },
    Picture { last: Option<Frame> },
}

impl Writer {
    /// Starts a file for frames of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`CaptureError::NoFfmpeg`] for a video without ffmpeg; what the file system reports.
    pub fn create(path: &Path, width: usize, height: usize, frames_per_second: f64) -> Result<Self, CaptureError> {
        let failed = |reason: String| CaptureError::Write { path: path.to_owned(), reason };
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let mut name = std::ffi::OsString::from(".partial-");
        name.push(path.file_name().ok_or_else(|| failed("that is not a file name".into()))?);
        let partial = path.with_file_name(name);
        let sink = match extension.as_str() {
            "png" | "jpg" | "jpeg" => Sink::Picture { last: None },
            "gif" => {
                let file = File::create(&partial).map_err(|e| failed(e.to_string()))?;
                // The fastest that still trains the eye not to see blocks; 30 takes ten times as long as 10.
                const SPEED: i32 = 20;
                let mut encoder = GifEncoder::new_with_speed(BufWriter::new(file), SPEED);
                encoder.set_repeat(Repeat::Infinite).map_err(|e| failed(e.to_string()))?;
                Sink::Gif {
                    encoder: Box::new(encoder),
                    delay: Duration::from_secs_f64(1.0 / frames_per_second.max(1.0)),
                }
            }
            _ => {
                let process = Command::new("ffmpeg")
                    .args(["-nostdin", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s"])
                    .arg(format!("{width}x{height}"))
                    .args(["-r", &format!("{frames_per_second:.4}"), "-i", "-"])
                    // 4:2:0 needs even sides; fragments keep what is written playable if the process dies.
                    .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"])
                    .args(if extension == "mp4" { &["-movflags", "+frag_keyframe+empty_moov"][..] } else { &[] })
                    .arg(&partial)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .spawn()
                    .map_err(|e| match e.kind() {
                        std::io::ErrorKind::NotFound => CaptureError::NoFfmpeg {
                            path: path.to_owned(),
                            otherwise: ". A .gif or a picture needs no ffmpeg",
                        },
                        _ => failed(e.to_string()),
                    })?;
                Sink::Video { process, width, height }
            }
        };
        Ok(Self { path: path.to_owned(), partial, sink, finished: false })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// [`CaptureError::Write`], also if a video's frame has another size than the first.
    pub fn write(&mut self, frame: &Frame) -> Result<(), CaptureError> {
        let failed = |reason: String| CaptureError::Write { path: self.path.clone(), reason };
        match &mut self.sink {
            Sink::Picture { last } => *last = Some(frame.clone()),
            Sink::Gif { encoder, delay } => {
                let (width, height) = (frame.width() as u32, frame.height() as u32);
                let Some(picture) = image::RgbImage::from_raw(width, height, frame.rgb().to_vec()) else {
                    return Err(failed("a frame without pixels".into()));
                };
                let picture = image::DynamicImage::from(picture).into_rgba8();
                let delay = image::Delay::from_saturating_duration(*delay);
                let whole = image::Frame::from_parts(picture, 0, 0, delay);
                encoder.encode_frame(whole).map_err(|e| failed(e.to_string()))?;
            }
            Sink::Video { process, width, height } => {
                if (frame.width(), frame.height()) != (*width, *height) {
                    return Err(failed(format!(
                        "a video of {width}x{height} pixels can't hold a frame of {}x{}",
                        frame.width(),
                        frame.height()
                    )));
                }
                let written = process.stdin.as_mut().map(|stdin| stdin.write_all(frame.rgb()));
                if !matches!(written, Some(Ok(()))) {
                    return Err(failed("ffmpeg has ended (its own message stands above)".into()));
                }
            }
        }
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// [`CaptureError::Write`].
    pub fn finish(mut self) -> Result<(), CaptureError> {
        self.complete()
    }

    fn complete(&mut self) -> Result<(), CaptureError> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let failed = |reason: String| CaptureError::Write { path: self.path.clone(), reason };
        match std::mem::replace(&mut self.sink, Sink::Picture { last: None }) {
            Sink::Picture { last: None } => return Ok(()),
            Sink::Picture { last: Some(frame) } => return Ok(frame.save(&self.path)?),
            Sink::Gif { encoder, .. } => drop(encoder),
            Sink::Video { mut process, .. } => {
                drop(process.stdin.take());
                let status = process.wait().map_err(|e| failed(e.to_string()))?;
                if !status.success() {
                    return Err(failed("ffmpeg has failed (its own message stands above)".into()));
                }
            }
        }
        std::fs::rename(&self.partial, &self.path).map_err(|e| failed(e.to_string()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.complete() {
            tracing::warn!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::AnimationDecoder;

    #[test]
    fn a_gif_holds_every_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        let mut writer = Writer::create(&path, 8, 6, 10.0).unwrap();
        for shade in [0, 100, 200] {
            writer.write(&Frame::filled(8, 6, [shade; 3])).unwrap();
        }
        assert!(!path.exists());
        writer.finish().unwrap();
        let file = std::io::BufReader::new(File::open(&path).unwrap());
        let frames = image::codecs::gif::GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_picture_is_the_last_frame_even_if_nobody_finishes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let mut writer = Writer::create(&path, 4, 4, 10.0).unwrap();
        writer.write(&Frame::filled(4, 4, [1; 3])).unwrap();
        writer.write(&Frame::filled(4, 4, [2; 3])).unwrap();
        drop(writer);
        assert_eq!(Frame::open(&path).unwrap(), Frame::filled(4, 4, [2; 3]));
    }
}
