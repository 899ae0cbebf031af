//! The source of a session, and switching to another camera.
//!
//! In: the input, later requests for the next camera. Out: frames whose times in seconds continue from one source to
//! the next. One camera is closed before the next is opened: two at once are too much for many USB buses. If the next
//! one fails before its first frame, the session goes back to the previous source. Errors: [`CaptureError`].

use super::controls::Seek;
use crate::program::capture::{self, CaptureError, CaptureOptions, Input, Source, Waited};
use crate::program::collect::Origin;
use crate::program::console::{say, with_causes};
use crate::runtime::image::Frame;
use std::time::Duration;

/// The step of a seek key in a video, in seconds.
const SEEK_S: f64 = 5.0;
/// From the last frame of one source to the first of the next, in seconds.
const SWITCH_S: f64 = 1.0 / 30.0;

/// An open source, and the previous one to go back to.
pub(crate) struct SessionSource {
    /// The input of `source`.
    input: Input,
    options: CaptureOptions,
    source: Box<dyn Source>,
    /// Added to the times of the source.
    offset_s: f64,
    /// The time of the last frame.
    last_s: f64,
    /// The source before this one, until this one has delivered a frame.
    previous: Option<Previous>,
    /// What could not be read before the last seek.
    left_out: Option<CaptureError>,
}

/// A source to go back to.
enum Previous {
    /// Its input, to open it again.
    Closed(Input),
    Other {
        input: Input,
        source: Box<dyn Source>,
        offset_s: f64,
    },
}

/// The result of a request for another camera, with a message.
pub(super) enum Switch {
    Stayed(String),
    /// Frames now come from another source.
    Switched(String),
}

/// Stands in while one camera is closed and the next is not open yet.
struct Closed;

impl Source for Closed {
    fn next(&mut self, _: &mut Frame) -> Result<Option<f64>, CaptureError> {
        Ok(None)
    }

    fn frames_per_second(&self) -> Option<f64> {
        None
    }

    fn describe(&self) -> String {
        "no camera".into()
    }
}

impl SessionSource {
    /// Opens `input` (see [`capture::open`]); waits for a silent one as long as it `is_wanted`.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub(crate) fn open(
        input: Input,
        options: CaptureOptions,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Self, CaptureError> {
        let source = capture::open(&input, &options, is_wanted)?;
        Ok(Self { input, options, source, offset_s: 0.0, last_s: 0.0, previous: None, left_out: None })
    }

    /// Opens the first camera; if there is none, says why and opens the demo.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub(crate) fn open_camera_or_demo(options: CaptureOptions) -> Result<Self, CaptureError> {
        match Self::open(Input::Camera(None), options, &|| true) {
            // It can still fail before its first frame.
            Ok(camera) => Ok(Self { previous: Some(Previous::Closed(Input::Demo)), ..camera }),
            Err(error) => {
                say_demo_instead(&error);
                Self::open(Input::Demo, options, &|| true)
            }
        }
    }

    pub(crate) fn get(&self) -> &dyn Source {
        self.source.as_ref()
    }

    /// The origin of its frames, for a collection.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            name: self.source.describe(),
            is_live: self.source.is_live(),
            is_slide_show: self.source.is_slide_show(),
        }
    }

    /// Whether it can pause and seek.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.input, Input::Files(_))
    }

    /// Seeks in a video or in the pictures of a folder; false if there is nothing at the target.
    ///
    /// # Errors
    /// [`CaptureError`] if the file can't be read any more.
    pub(super) fn seek(&mut self, seek: Seek) -> Result<bool, CaptureError> {
        let step_s = match self.source.frames_per_second() {
            Some(rate) if self.source.is_slide_show() => 1.0 / rate,
            _ => SEEK_S,
        };
        let here_s = self.last_s - self.offset_s;
        let start_s = match seek {
            Seek::Start => 0.0,
            Seek::Back => (here_s - step_s).max(0.0),
            Seek::Forward => here_s + step_s,
        };
        match capture::open(&self.input, &CaptureOptions { start_s, ..self.options }, &|| true) {
            Ok(source) => {
                self.left_out = self.left_out();
                self.source = source;
                self.last_s = start_s + self.offset_s;
                Ok(true)
            }
            // The target is beyond the last frame, and a video without a frame can't be opened.
            Err(_) if seek == Seek::Forward => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// As [`Source::left_out`], also of what was read before a seek.
    pub(super) fn left_out(&mut self) -> Option<CaptureError> {
        self.source.left_out().or(self.left_out.take())
    }

    /// A short name: a file without its folders.
    pub(super) fn short_name(&self) -> String {
        self.input.short_name().unwrap_or_else(|| self.source.describe())
    }

    /// As [`Source::wait`].
    ///
    /// # Errors
    /// [`CaptureError`]; [`Self::go_back`] may know what to do.
    pub(super) fn wait(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Waited, CaptureError> {
        let waited = self.source.wait(frame, timeout)?;
        let Waited::Frame(time_s) = waited else { return Ok(waited) };
        self.previous = None;
        self.last_s = time_s + self.offset_s;
        Ok(Waited::Frame(self.last_s))
    }

    /// Continues with the camera after this one.
    ///
    /// # Errors
    /// [`CaptureError`] if neither the next camera nor the source before it can be opened.
    pub(super) fn next_camera(&mut self) -> Result<Switch, CaptureError> {
        let here = self.source.camera_number();
        let all = match cameras() {
            Ok(all) => all,
            Err(error) => return Ok(Switch::Stayed(with_causes(&error))),
        };
        let Some(next) = next_of(here, &all) else {
            let message = if here.is_some() { "there is no other camera" } else { "there is no camera" };
            return Ok(Switch::Stayed(message.into()));
        };
        self.change_to(next, here)
    }

    /// Continues with this camera.
    ///
    /// # Errors
    /// As [`Self::next_camera`].
    pub(super) fn camera(&mut self, number: u32) -> Result<Switch, CaptureError> {
        match self.source.camera_number() {
            Some(here) if here == number => Ok(Switch::Stayed(format!("{} is in use", self.source.describe()))),
            here => self.change_to(number, here),
        }
    }

    fn change_to(&mut self, next: u32, here: Option<u32>) -> Result<Switch, CaptureError> {
        let source = std::mem::replace(&mut self.source, Box::new(Closed));
        let previous = match here {
            Some(number) => {
                drop(source);
                Previous::Closed(Input::Camera(Some(number)))
            }
            None => Previous::Other { input: self.input.clone(), source, offset_s: self.offset_s },
        };
        // A camera that has not delivered a frame is not worth going back to.
        self.previous.get_or_insert(previous);
        let input = Input::Camera(Some(next));
        match capture::open(&input, &self.options, &|| true) {
            Ok(source) => {
                (self.input, self.source, self.offset_s) = (input, source, self.last_s + SWITCH_S);
                Ok(Switch::Switched(self.source.describe()))
            }
            Err(error) => self.go_back(error).map(Switch::Switched),
        }
    }

    /// Goes back to the previous source after `error`; returns a message.
    ///
    /// # Errors
    /// `error`, if there is no previous one; another, if that one can't be opened.
    pub(super) fn go_back(&mut self, error: CaptureError) -> Result<String, CaptureError> {
        (self.input, self.source, self.offset_s) = match self.previous.take() {
            Some(Previous::Closed(input)) => {
                if input == Input::Demo {
                    say_demo_instead(&error);
                }
                let source = capture::open(&input, &CaptureOptions { keeps_trying: true, ..self.options }, &|| true)?;
                (input, source, self.last_s + SWITCH_S)
            }
            Some(Previous::Other { input, source, offset_s }) => (input, source, offset_s),
            None => return Err(error),
        };
        Ok(with_causes(&error))
    }
}

fn say_demo_instead(error: &CaptureError) {
    let reason = with_causes(error);
    let reason = reason.lines().next().unwrap_or("no camera");
    say(&format!("awing: {reason}; playing the built-in demo instead"));
}

/// The camera after `here`, cyclically; `None` if there is no other.
fn next_of(here: Option<u32>, cameras: &[u32]) -> Option<u32> {
    let others = || cameras.iter().copied().filter(|index| Some(*index) != here);
    others().filter(|index| Some(*index) > here).min().or_else(|| others().min())
}

/// The numbers of the cameras that can capture.
fn cameras() -> Result<Vec<u32>, CaptureError> {
    Ok(named_cameras()?.into_iter().map(|(number, _)| number).collect())
}

/// The cameras that can capture: number and name. This may take two seconds.
///
/// # Errors
/// [`CaptureError`] if they can't be listed.
pub(super) fn named_cameras() -> Result<Vec<(u32, String)>, CaptureError> {
    #[cfg(feature = "camera")]
    return Ok(capture::camera::list()?.into_iter().map(|camera| (camera.index, camera.name)).collect());
    #[cfg(not(feature = "camera"))]
    Err(CaptureError::CameraLeftOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_could_not_be_read_is_told_at_the_end_even_after_a_seek() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.png"), "no picture").unwrap();
        Frame::filled(2, 2, [9; 3]).save(&folder.path().join("2.png")).unwrap();
        let input = Input::new(&[folder.path()]);
        let mut source = SessionSource::open(input, CaptureOptions::default(), &|| true).unwrap();
        let mut frame = Frame::default();
        while !matches!(source.wait(&mut frame, Duration::from_secs(1)).unwrap(), Waited::Frame(_)) {}
        assert!(source.seek(Seek::Forward).unwrap());
        assert!(source.left_out().is_some_and(|error| error.to_string().contains("1 of 2 pictures")));
    }

    #[test]
    fn the_demo_takes_the_place_of_a_camera_that_fails_before_its_first_frame() {
        let folder = tempfile::tempdir().unwrap();
        Frame::filled(2, 2, [9; 3]).save(&folder.path().join("1.png")).unwrap();
        let camera = SessionSource::open(Input::new(&[folder.path()]), CaptureOptions::default(), &|| true).unwrap();
        let mut source = SessionSource { previous: Some(Previous::Closed(Input::Demo)), ..camera };
        let error = || CaptureError::EmptyFolder("camera 0".into());
        assert!(source.go_back(error()).unwrap().contains("camera 0"));
        let mut frame = Frame::default();
        assert!(matches!(source.wait(&mut frame, Duration::from_secs(5)).unwrap(), Waited::Frame(_)));
        assert!(source.input == Input::Demo && source.go_back(error()).is_err());
    }

    #[test]
    fn the_next_camera_is_the_one_after_this_and_after_the_last_comes_the_first() {
        assert_eq!(next_of(Some(0), &[4, 0, 2]), Some(2));
        assert_eq!(next_of(Some(4), &[4, 0, 2]), Some(0));
        assert_eq!(next_of(None, &[2, 4]), Some(2), "from a video or the demo");
        assert_eq!(next_of(Some(2), &[2]), None);
        assert_eq!(next_of(Some(7), &[2]), Some(2), "this one was unplugged");
        assert_eq!(next_of(None, &[]), None);
    }
}
