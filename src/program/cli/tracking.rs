//! The tracking thread of `awing track`.
//!
//! In: frames of a source, and the wishes of the person at the window. Out: faces, in everything that is written and to
//! the window. Between two frames it does what was wished: another camera, another arithmetic, a recording. A source
//! that falls silent holds up neither wishes nor the end.

use super::args::PrecisionChoice;
use super::live::{Controls, Newest, Seen, Wish};
use super::outputs::Outputs;
use super::status::Status;
use crate::program::capture::{self, CaptureError, CaptureOptions, Source, Waited};
use crate::program::tracker_setup::TrackerSetup;
use crate::runtime::image::Frame;
use crate::runtime::track::{Smoothing, Tracker};
use crate::train::gpu::GpuKind;
use anyhow::Result;
use clap::ValueEnum;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Without a window, a source that never ends of itself and is no camera ends after so many frames: ten seconds of the
/// demo.
const FRAMES_OF_AN_ENDLESS_SOURCE: u64 = 300;
/// How often a waiting thread looks whether it was asked for something.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a picture of a folder is shown in a window.
const PICTURE_SHOWN: Duration = Duration::from_secs(2);
/// Longer gaps between the times of a recording are not waited for, in seconds.
const LONGEST_GAP_S: f64 = 1.0;

/// From the last frame of one source to the first of the next, in seconds.
const SWITCH_S: f64 = 1.0 / 30.0;

/// What the tracking thread works with.
pub(super) struct Tracking {
    /// What `source` was opened as.
    pub input: String,
    pub capture: CaptureOptions,
    pub source: Box<dyn Source>,
    pub setup: TrackerSetup,
    pub precision: PrecisionChoice,
    pub tracker: Tracker,
    pub outputs: Arc<Mutex<Outputs>>,
    pub newest: Arc<Newest>,
    pub controls: Arc<Controls>,
    pub limit: Option<u64>,
}

/// What changes from frame to frame.
struct State {
    seen: Seen,
    pace: Pace,
    /// What is added to the times of the source, so that they go on where those of the last one ended.
    offset_s: f64,
    /// The source before this one, until this one has delivered a frame.
    before: Option<Former>,
    /// Whether the source has something to say for itself: it has just begun, or has just come back.
    is_news: bool,
}

/// A source to go back to.
enum Former {
    /// What to open it as. It can't stay open: two cameras at once are too much for many a USB bus.
    Camera(String),
    Other {
        input: String,
        source: Box<dyn Source>,
        offset_s: f64,
    },
}

/// The source while one camera is closed and the next is not open yet.
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

impl Tracking {
    /// Tracks all frames of the source.
    ///
    /// # Errors
    /// If the source, a network or an output fails.
    pub(super) fn run(&mut self) -> Result<()> {
        let mut state =
            State { seen: Seen::default(), pace: Pace::default(), offset_s: 0.0, before: None, is_news: true };
        let mut status = Status::new();
        while !self.is_enough(state.seen.number) && !self.controls.should_stop() {
            self.fulfil_wishes(&mut state)?;
            let time_s = match self.source.wait(&mut state.seen.frame, GLANCE) {
                Ok(Waited::Frame(time_s)) => time_s,
                Ok(Waited::Nothing) => {
                    let trouble = self.source.trouble();
                    state.is_news |= trouble.is_some();
                    self.controls.told().trouble = trouble;
                    continue;
                }
                Ok(Waited::End) => break,
                Err(error) => {
                    let message = self.go_back(&mut state, error)?;
                    self.controls.told().message = Some(message);
                    continue;
                }
            };
            state.before = None;
            if std::mem::take(&mut state.is_news) {
                self.tell_source();
            }
            if self.controls.is_shown() && !self.source.is_live() {
                state.pace.wait_for(time_s, self.source.is_slide_show(), &self.controls);
            }
            if self.controls.should_stop() {
                break;
            }
            state.seen.captured = Some(self.source.arrived().unwrap_or_else(Instant::now));
            state.seen.time_s = time_s + state.offset_s;
            state.seen.frames_per_second = self.source.frames_per_second();
            self.track(&mut state.seen)?;
            status.count(&state.seen.faces, &state.seen.times, self.controls.is_shown());
            let may_wait = || !self.source.is_live() && !self.controls.should_stop();
            lock(&self.outputs).add(&state.seen, may_wait)?;
            let (number, time_s) = (state.seen.number, state.seen.time_s);
            self.newest.put(&mut state.seen);
            (state.seen.number, state.seen.time_s) = (number + 1, time_s);
        }
        status.finish(&self.source.describe());
        Ok(())
    }

    fn is_enough(&self, done: u64) -> bool {
        let is_endless = self.source.is_endless() && !self.source.is_live() && !self.controls.is_shown();
        let limit = self.limit.or(is_endless.then_some(FRAMES_OF_AN_ENDLESS_SOURCE));
        limit.is_some_and(|limit| done >= limit)
    }

    fn track(&mut self, seen: &mut Seen) -> Result<()> {
        let Self { source, tracker, controls, .. } = self;
        if source.is_slide_show() {
            tracker.reset();
        }
        tracker.set_faces(controls.faces.load(Ordering::Relaxed));
        tracker.set_smoothing(controls.is_smooth.load(Ordering::Relaxed).then(Smoothing::default));
        let faces = tracker.track_at(&seen.frame, seen.time_s)?;
        seen.set_faces(faces);
        seen.times = tracker.timings();
        Ok(())
    }

    /// Does what was wished, and tells what came of it and of earlier wishes.
    fn fulfil_wishes(&mut self, state: &mut State) -> Result<()> {
        let wishes = std::mem::take(&mut *self.controls.wishes());
        let mut messages = Vec::new();
        for wish in wishes {
            messages.push(match wish {
                Wish::NextCamera => self.next_camera(state)?,
                Wish::NextPrecision => self.next_precision(),
                Wish::Record(layers) => lock(&self.outputs).toggle_recording(layers),
            });
        }
        let mut outputs = lock(&self.outputs);
        messages.extend(outputs.news());
        let recording_since = outputs.recording_since();
        drop(outputs);
        let mut told = self.controls.told();
        told.recording_since = recording_since;
        if !messages.is_empty() {
            told.message = Some(messages.join("; "));
        }
        Ok(())
    }

    /// Goes on with the next camera; the text says what came of it.
    fn next_camera(&mut self, state: &mut State) -> Result<String> {
        let here = self.source.camera_number();
        let all = match cameras() {
            Ok(all) => all,
            Err(error) => return Ok(error.to_string()),
        };
        let Some(next) = next_of(here, &all) else {
            return Ok(if here.is_some() { "there is no other camera" } else { "there is no camera" }.into());
        };
        let input = format!("camera:{next}");
        let before = std::mem::replace(&mut self.source, Box::new(Closed));
        let former = match here {
            Some(number) => {
                drop(before);
                Former::Camera(format!("camera:{number}"))
            }
            None => Former::Other { input: self.input.clone(), source: before, offset_s: state.offset_s },
        };
        // A camera that has shown nothing yet is not worth going back to.
        state.before.get_or_insert(former);
        match capture::open(&input, &self.capture) {
            Ok(source) => {
                (self.input, self.source) = (input, source);
                self.begin_again(state, state.seen.time_s + SWITCH_S);
                Ok(self.source.describe())
            }
            Err(error) => self.go_back(state, error),
        }
    }

    /// A source failed: goes on with the one before it. The text says why.
    fn go_back(&mut self, state: &mut State, error: CaptureError) -> Result<String> {
        let offset_s;
        (self.input, self.source, offset_s) = match state.before.take() {
            Some(Former::Camera(input)) => {
                let source = capture::open(&input, &CaptureOptions { keeps_trying: true, ..self.capture })?;
                (input, source, state.seen.time_s + SWITCH_S)
            }
            Some(Former::Other { input, source, offset_s }) => (input, source, offset_s),
            None => return Err(error.into()),
        };
        self.begin_again(state, offset_s);
        Ok(error.to_string())
    }

    fn begin_again(&mut self, state: &mut State, offset_s: f64) {
        (state.offset_s, state.pace, state.is_news) = (offset_s, Pace::default(), true);
        self.tracker.reset();
        self.tell_source();
    }

    /// Goes on with the next arithmetic of the network that can be had; the text says which.
    fn next_precision(&mut self) -> String {
        let all = PrecisionChoice::value_variants();
        let here = all.iter().position(|choice| *choice == self.precision).unwrap_or(0);
        let next = all[(here + 1) % all.len()];
        let mut setup = self.setup.clone();
        setup.options.precision = next.into();
        setup.options.faces = self.controls.faces.load(Ordering::Relaxed);
        match setup.tracker() {
            Ok(tracker) => {
                (self.tracker, self.setup, self.precision) = (tracker, setup, next);
                self.tell_computing();
                format!("arithmetic: {}", next.name())
            }
            Err(error) => error.to_string(),
        }
    }

    /// Tells the window where frames come from and how faces are found.
    pub(super) fn tell_all(&self) {
        self.tell_source();
        self.tell_computing();
    }

    fn tell_source(&self) {
        let mut told = self.controls.told();
        told.source = short_name(&self.input, self.source.describe());
        told.is_live = self.source.is_live();
        told.trouble = None;
    }

    fn tell_computing(&self) {
        let threads = match self.setup.options.threads {
            1 => "1 thread".into(),
            n => format!("{n} threads"),
        };
        let mut told = self.controls.told();
        told.precision = self.precision;
        told.computing = match self.setup.gpu {
            None => format!("{} on the CPU, {threads}", self.precision.name()),
            Some(GpuKind::Cuda) => "f32 on an NVIDIA GPU".into(),
            Some(GpuKind::Metal) => "f32 on an Apple GPU".into(),
        };
    }
}

/// What a source is called where there is little room: of a file only the name.
fn short_name(input: &str, described: String) -> String {
    let path = Path::new(input);
    path.file_name().filter(|_| path.exists()).map_or(described, |name| name.to_string_lossy().into_owned())
}

/// The camera after `here`, all around; `None` if there is no other.
fn next_of(here: Option<u32>, cameras: &[u32]) -> Option<u32> {
    let others = || cameras.iter().copied().filter(|index| Some(*index) != here);
    others().filter(|index| Some(*index) > here).min().or_else(|| others().min())
}

/// The cameras that there are.
fn cameras() -> Result<Vec<u32>, CaptureError> {
    #[cfg(feature = "camera")]
    return Ok(capture::camera::list()?.iter().map(|camera| camera.index).collect());
    #[cfg(not(feature = "camera"))]
    Err(CaptureError::CameraLeftOut)
}

/// A thread that panicked while it wrote leaves what it wrote so far.
pub(super) fn lock(outputs: &Mutex<Outputs>) -> MutexGuard<'_, Outputs> {
    outputs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a recording at its own pace.
#[derive(Default)]
struct Pace {
    /// When the last frame was due, and its time.
    last: Option<(Instant, f64)>,
}

impl Pace {
    /// Waits until a frame is due; pictures that have nothing to do with each other are shown for a while.
    fn wait_for(&mut self, time_s: f64, is_picture: bool, controls: &Controls) {
        let now = Instant::now();
        let due = match self.last {
            None => now,
            Some((last, _)) if is_picture => last + PICTURE_SHOWN,
            Some((last, last_s)) => last + Duration::from_secs_f64((time_s - last_s).clamp(0.0, LONGEST_GAP_S)),
        };
        while !controls.should_stop() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(GLANCE));
        }
        // What comes too late does not hurry those that come after it.
        self.last = Some((due.max(now), time_s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
