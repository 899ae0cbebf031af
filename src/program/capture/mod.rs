//! Where frames come from: camera, file, video, standard input, the built-in demo; and where annotated ones go.
//!
//! A [`Source`] hands out frames one after the other with their presentation time. [`open`] makes one from what a person
//! writes after `--input`. A [`Recorder`] makes a video or a picture of frames. Errors are [`CaptureError`]s that say what
//! to do.

#[cfg(feature = "camera")]
pub mod camera;
mod demo;
mod ffmpeg;
mod pictures;
mod recorder;
mod video;
mod y4m;

pub use recorder::Recorder;

use crate::runtime::image::{Frame, ImageError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What can stop a source or a writer.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {path}: {reason}")]
    Write { path: PathBuf, reason: String },
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("there is no picture (JPEG, PNG) in {0}")]
    EmptyFolder(PathBuf),
    #[error(
        "{path} is a video, and those are read and written by the program ffmpeg, which is not installed; install it \
         (Debian, Ubuntu: sudo apt install ffmpeg; macOS: brew install ffmpeg){otherwise}"
    )]
    NoFfmpeg { path: PathBuf, otherwise: &'static str },
    #[error("ffmpeg can't read {path}: {message}")]
    Ffmpeg { path: PathBuf, message: String },
    #[error("{name} is not the YUV4MPEG video that was expected, in frame {frame}: {reason}")]
    Y4m { name: String, frame: u64, reason: String },
    #[error("there is no camera")]
    NoCamera,
    #[error("cannot list the cameras: {0}")]
    CameraList(std::io::Error),
    #[error("camera {index}: {reason}")]
    Camera { index: u32, reason: String },
    #[error("this awing was built without the feature \"camera\"")]
    CameraLeftOut,
}

/// What came of waiting for a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Waited {
    /// A frame with this presentation time, in seconds.
    Frame(f64),
    /// None came in time; [`Source::trouble`] may know why.
    Nothing,
    End,
}

/// What became of the frames of a source that does not wait, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// When the first that arrived whole was taken.
    pub first: Option<Instant>,
    /// Those that arrived whole.
    pub delivered: u64,
    /// Of these, those that a newer one replaced before somebody took them.
    pub replaced: u64,
    /// Those that arrived damaged.
    pub damaged: u64,
    /// Those that never arrived, or so late that a newer one was there.
    pub lost: u64,
}

/// Frames, one after the other.
pub trait Source: Send {
    /// Fills `frame` with the next one and returns its presentation time in seconds; `None` at the end.
    ///
    /// # Errors
    /// [`CaptureError`].
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError>;

    /// As [`Self::next`], but a source that may fall silent waits no longer than `patience`.
    ///
    /// # Errors
    /// As [`Self::next`].
    fn wait(&mut self, frame: &mut Frame, patience: Duration) -> Result<Waited, CaptureError> {
        let _ = patience;
        Ok(self.next(frame)?.map_or(Waited::End, Waited::Frame))
    }

    /// When the last frame was taken, where frames come by themselves.
    fn arrived(&self) -> Option<Instant> {
        None
    }

    /// Why no frame comes, in words for the person who waits for one; `None` while all is well.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// What became of the frames so far, where they come by themselves.
    fn tally(&self) -> Option<Tally> {
        None
    }

    /// The nominal rate, where there is one.
    fn frames_per_second(&self) -> Option<f64>;

    /// What a person calls it.
    fn describe(&self) -> String;

    /// The `N` of `camera:N`, for a camera; it can change while the camera is away.
    fn camera_number(&self) -> Option<u32> {
        None
    }

    /// Whether frames come at their own pace and are lost if nobody takes them.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether it never ends of itself.
    fn is_endless(&self) -> bool {
        false
    }

    /// Whether its frames have nothing to do with each other, as the pictures of a folder.
    fn is_slide_show(&self) -> bool {
        false
    }
}

/// Wishes about a source; those that don't fit are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CaptureOptions {
    /// Width and height of a camera's frames.
    pub size: Option<(u32, u32)>,
    /// Rate of a camera.
    pub frames_per_second: Option<u32>,
    /// Whether a camera that can't be opened is no error, but tried until it can be.
    pub keeps_trying: bool,
    /// Faces in the demo; 1 if not given.
    pub faces: Option<usize>,
}

/// Opens `camera`, `camera:N`, `demo`, `-` (YUV4MPEG on standard input), a picture, a folder of pictures, or a video.
///
/// # Errors
/// [`CaptureError`].
pub fn open(input: &str, options: &CaptureOptions) -> Result<Box<dyn Source>, CaptureError> {
    if input == "-" {
        let stdin = std::io::BufReader::with_capacity(1 << 20, std::io::stdin());
        return Ok(Box::new(y4m::Reader::new(stdin, "standard input")?));
    }
    if input == "demo" {
        return Ok(Box::new(demo::Demo::new(options)));
    }
    let number = input.strip_prefix("camera:").map(str::parse::<u32>);
    if input == "camera" || matches!(number, Some(Ok(_))) {
        let index = number.and_then(Result::ok);
        #[cfg(feature = "camera")]
        return Ok(Box::new(camera::Camera::open(index, options)?));
        #[cfg(not(feature = "camera"))]
        {
            let _ = (index, options);
            return Err(CaptureError::CameraLeftOut);
        }
    }
    let path = Path::new(input);
    let kind = std::fs::metadata(path).map_err(|source| CaptureError::Read { path: path.to_owned(), source })?;
    if kind.is_dir() {
        return Ok(Box::new(pictures::Pictures::of_folder(path)?));
    }
    if pictures::is_picture(path) {
        return Ok(Box::new(pictures::Pictures::of_file(path)));
    }
    Ok(Box::new(video::Video::open(path)?))
}
