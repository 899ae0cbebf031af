//! Sources of frames (camera, picture, video, standard input, the built-in demo), and the recorder of annotated ones.
//!
//! A [`Source`] delivers frames one after the other, each with its presentation time in seconds. [`open`] makes one
//! from an [`Input`]. A [`Recorder`] writes frames to a video or a picture. Errors are [`CaptureError`]s, with a remedy
//! where there is one.

#[cfg(feature = "camera")]
pub mod camera;
mod copies;
mod demo;
mod fetched;
mod ffmpeg;
mod input;
#[cfg(not(all(feature = "camera", target_os = "linux")))]
mod no_virtual_camera;
mod nut;
mod pictures;
mod recorder;
mod video;
mod y4m;

#[cfg(all(feature = "camera", target_os = "linux"))]
pub use camera::VirtualCamera;
pub use copies::CopyNames;
pub(crate) use ffmpeg::end_decoders;
pub use input::Input;
#[cfg(not(all(feature = "camera", target_os = "linux")))]
pub use no_virtual_camera::VirtualCamera;
pub use recorder::Recorder;

use crate::runtime::counted::counted;
use crate::runtime::image::{Frame, ImageError};
use fetched::{Fetched, Manner};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use video::{Origin, Video};

/// Why a source or a recorder fails.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "cannot write {path}: its name ends neither in .{}, .gif, .png or .jpg nor, for a folder of pictures, in /",
        recorder::VIDEO_ENDINGS.join(", .")
    )]
    UnknownEnding { path: PathBuf },
    #[error("cannot write {path}: there is no folder {folder}")]
    MissingFolder { path: PathBuf, folder: PathBuf },
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("{0} contains no picture (JPEG, PNG, WebP, BMP, TIFF, GIF)")]
    EmptyFolder(PathBuf),
    #[error("cannot read the picture {path}: {format} is a format that awing does not read; convert it to JPEG or PNG")]
    UnreadableFormat { path: PathBuf, format: String },
    #[error("{name}: {bad} of {} could not be read; see above", counted(*of, "picture"))]
    LeftOut { name: String, bad: u64, of: u64 },
    #[error("{0} is neither a picture nor a folder of pictures, and only those can be given several at once")]
    SeveralInputs(PathBuf),
    #[error(
        "{path} is a video, and the program ffmpeg, which reads and writes videos, is not installed; install it \
         (Debian, Ubuntu: sudo apt install ffmpeg; macOS: brew install ffmpeg){otherwise}"
    )]
    NoFfmpeg { path: PathBuf, otherwise: &'static str },
    #[error("cannot read {name}: {reason}")]
    Undecodable { name: String, reason: String },
    #[error("{name} ended early, after {}: {reason}", counted(*frames, "frame"))]
    EndedEarly { name: String, frames: u64, reason: String },
    #[error("interrupted before the first frame of {0}")]
    Interrupted(String),
    #[error("{name} is not a valid YUV4MPEG video, in frame {frame}: {reason}")]
    Y4m { name: String, frame: u64, reason: String },
    #[cfg(feature = "camera")]
    #[error("there is no camera")]
    NoCamera,
    #[cfg(feature = "camera")]
    #[error("cannot list the cameras")]
    CameraList(#[source] io::Error),
    #[error("{path}: {reason}")]
    VirtualCamera { path: PathBuf, reason: String },
    #[error("cannot start a thread that reads the input")]
    Thread(#[source] io::Error),
    #[cfg(feature = "camera")]
    #[error("camera {index}: {reason}")]
    Camera { index: u32, reason: String },
    #[cfg(not(feature = "camera"))]
    #[error("this awing was built without the feature \"camera\"")]
    CameraLeftOut,
}

/// The result of waiting for a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Waited {
    /// A frame with this presentation time, in seconds.
    Frame(f64),
    /// No frame within the timeout; [`Source::trouble`] may say why.
    Nothing,
    End,
}

/// Counts of the frames of a live source so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// When the first intact frame was captured.
    pub first: Option<Instant>,
    /// Frames that arrived intact.
    pub delivered: u64,
    /// Delivered frames that a newer one replaced before they were processed.
    pub replaced: u64,
    /// Frames that arrived damaged.
    pub damaged: u64,
    /// Frames that never arrived, or only after a newer one.
    pub lost: u64,
}

/// Frames, one after the other.
pub trait Source: Send {
    /// Fills `frame` with the next one and returns its presentation time in seconds; `None` at the end.
    ///
    /// # Errors
    /// [`CaptureError`].
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError>;

    /// As [`Self::next`], but a source that can fall silent waits for `timeout` at most.
    ///
    /// # Errors
    /// As [`Self::next`].
    fn wait(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Waited, CaptureError> {
        let _ = timeout;
        Ok(self.next(frame)?.map_or(Waited::End, Waited::Frame))
    }

    /// When the last frame was captured, for a live source.
    fn arrived(&self) -> Option<Instant> {
        None
    }

    /// Why there is no frame, as text for the user; `None` while all is well.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Whether there is no frame because the camera was unplugged.
    fn is_unplugged(&self) -> bool {
        false
    }

    /// The counts of frames so far, for a live source.
    fn tally(&self) -> Option<Tally> {
        None
    }

    /// The nominal rate, if there is one.
    fn frames_per_second(&self) -> Option<f64>;

    /// The name to show to the user.
    fn describe(&self) -> String;

    /// The `N` of `camera:N`, for a camera; it can change while the camera is unplugged.
    fn camera_number(&self) -> Option<u32> {
        None
    }

    /// Whether frames arrive at their own rate and are lost if not taken.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether the source is endless.
    fn is_endless(&self) -> bool {
        false
    }

    /// Whether its frames are unrelated, as the pictures of a folder.
    fn is_slide_show(&self) -> bool {
        false
    }

    /// The name of the last frame's picture, if frames are separate pictures.
    fn picture(&self) -> Option<&Path> {
        None
    }

    /// The pictures skipped so far as unreadable, for a message at the end.
    fn left_out(&self) -> Option<CaptureError> {
        None
    }
}

/// Options of a source; those that do not apply to it are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CaptureOptions {
    /// Width and height of a camera's frames, in pixels.
    pub size: Option<(u32, u32)>,
    /// Rate of a camera, in frames per second.
    pub frames_per_second: Option<f64>,
    /// Whether a camera that cannot be opened is retried until it can be, instead of being an error.
    pub keeps_trying: bool,
    /// Number of faces in the demo; 1 by default.
    pub faces: Option<usize>,
    /// The start position in a video, or in the pictures of a folder, in seconds.
    pub start_s: f64,
}

/// Opens an input: a camera, the demo, standard input (YUV4MPEG), the address of a stream, pictures, folders of
/// pictures, or a video. What may keep silent is waited for as long as `is_wanted`.
///
/// # Errors
/// [`CaptureError`].
pub fn open(
    input: &Input,
    options: &CaptureOptions,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Box<dyn Source>, CaptureError> {
    let start_s = options.start_s;
    let decode = |origin: Origin, name: String, is_live: bool, is_limited: bool| -> Result<Box<dyn Source>, _> {
        let manner = Manner { name, is_live, is_limited };
        Ok(Box::new(Fetched::open(manner, is_wanted, move |leash| Video::open(origin, leash.clone(), start_s))?))
    };
    match input {
        Input::Stdin => {
            let manner = Manner { name: "standard input".into(), is_live: false, is_limited: false };
            Ok(Box::new(Fetched::open(manner, is_wanted, |_| {
                let stdin = io::BufReader::with_capacity(1 << 20, io::stdin());
                y4m::Reader::new(stdin, "standard input")
            })?))
        }
        Input::Address(address) => decode(Origin::Address(address.clone()), address.name(), address.is_live(), true),
        Input::Demo => Ok(Box::new(demo::Demo::new(options))),
        #[cfg(feature = "camera")]
        Input::Camera(index) => Ok(Box::new(camera::Camera::open(*index, options)?)),
        #[cfg(not(feature = "camera"))]
        Input::Camera(_) => Err(CaptureError::CameraLeftOut),
        Input::Files(paths) => {
            for path in paths {
                std::fs::metadata(path).map_err(|source| CaptureError::Read { path: path.clone(), source })?;
            }
            match paths.as_slice() {
                [path] if !path.is_dir() && !pictures::is_picture(path) => {
                    decode(Origin::File(path.clone()), path.display().to_string(), false, false)
                }
                paths => Ok(Box::new(pictures::Pictures::open(paths, start_s)?)),
            }
        }
    }
}

/// Reads a YUV4MPEG video to its end and counts its frames, for tests of the reader.
///
/// # Errors
/// [`CaptureError::Y4m`], naming the frame.
#[cfg(feature = "internals")]
pub fn count_y4m_frames(video: impl io::Read + Send, name: &str) -> Result<u64, CaptureError> {
    let mut reader = y4m::Reader::new(video, name)?;
    let mut frame = Frame::default();
    let mut count = 0;
    while reader.next(&mut frame)?.is_some() {
        count += 1;
    }
    Ok(count)
}
