//! `awing capture`: collects faces for fine-tuning from a camera or a file; lists and deletes stored recordings.
//!
//! In: a source. Out: a recording in the collection, a line on standard error for every kept frame, and at the end what
//! to do next. The session is that of `awing track` without a window: this is its [`Observer`].

mod stored;

use super::arguments::{CameraArguments, TrackerArguments};
use super::interrupt;
use super::parse::{positive, seconds};
use crate::program::capture::{Input, Source};
use crate::program::collect::{Collector, CollectorEvent, SelectionOptions};
use crate::program::console::say;
use crate::program::live::{
    self, Lifecycle, Observer, OutputOptions, SessionOptions, SessionSource, SignalOptions, TrackedFrame,
};
use crate::program::places;
use crate::runtime::counted::counted;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The default duration of a capture from an endless source, in seconds.
const USUAL_SECONDS: f64 = 60.0;
/// Bounds of the time slots, in seconds. At most one frame is kept per slot; slots are as short as the wanted number of
/// frames requires.
const SLOT_S: (f64, f64) = (0.5, 2.0);
/// After this many seconds without a kept frame, awing prints a hint.
const HINT_AFTER_S: f64 = 10.0;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct CaptureArguments {
    /// The source of frames, as for `track` [default: the first camera]
    #[arg(value_name = "INPUT", conflicts_with = "named_input")]
    input: Option<OsString>,
    /// The same as INPUT
    #[arg(long = "input", value_name = "INPUT")]
    named_input: Option<OsString>,
    /// The folder for recordings, which only you can read; each capture adds one [default: `samples` in awing's data
    /// folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Stop after N seconds [default: 60 for a camera, none for files]
    #[arg(long, value_name = "N", value_parser = seconds)]
    seconds: Option<f64>,
    /// Stop when N frames are kept
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = positive::<usize>)]
    count: usize,
    /// List the recordings that are stored
    #[arg(long, conflicts_with_all = ["input", "named_input", "seconds", "count"])]
    list: bool,
    /// Delete a recording, or `all`; without a name, list them
    #[arg(long, value_name = "RECORDING", num_args = 0..=1, default_missing_value = "",
          conflicts_with_all = ["input", "named_input", "seconds", "count", "list"])]
    forget: Option<String>,
    #[command(flatten)]
    camera: CameraArguments,
    #[command(flatten)]
    tracker: TrackerArguments,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing capture
  awing capture clip.mp4 --count 30
  awing capture --list";

/// Runs the command.
pub(super) fn run(arguments: &CaptureArguments) -> Result<()> {
    let collection = arguments.out.clone().or_else(places::samples);
    let collection = collection.context("there is no home folder to store faces in: name a folder with --out")?;
    if arguments.list {
        return stored::list(&collection);
    }
    match arguments.forget.as_deref() {
        Some("") => stored::list_to_forget(&collection),
        Some(name) => stored::forget(&collection, name),
        None => capture(arguments, &collection),
    }
}

fn capture(arguments: &CaptureArguments, collection: &Path) -> Result<()> {
    let lifecycle = Arc::new(Lifecycle::new(false));
    let interrupted = lifecycle.clone();
    interrupt::on_interrupt(move || interrupted.request_end())?;
    let input = arguments
        .input
        .as_ref()
        .or(arguments.named_input.as_ref())
        .map_or(Input::Camera(None), |input| Input::new(&[input]));
    let pictures = input.pictures().map(|pictures| pictures.len());
    let source =
        SessionSource::open(input, arguments.camera.options(arguments.tracker.faces), &|| lifecycle.is_running())?;
    let origin = source.origin();
    let is_live = origin.is_live;
    let has_no_end = is_live || source.get().is_endless();
    let seconds = arguments.seconds.or(has_no_end.then_some(USUAL_SECONDS));
    let slot_s = seconds.map_or(SLOT_S.1, |seconds| (seconds / arguments.count as f64).clamp(SLOT_S.0, SLOT_S.1));
    let mut collector = Collector::new(collection.to_owned(), !is_live);
    collector.set_origin(origin);
    collector.start(SelectionOptions { slot_s }, arguments.count);
    // Without a window the demo would end earlier.
    let rate = source.get().frames_per_second().filter(|_| source.get().is_endless());
    let frames = rate.zip(seconds).map(|(rate, seconds)| (rate * seconds).ceil() as u64 + 1);
    let tracker = arguments.tracker.setup()?;
    let options = SessionOptions {
        source,
        tracker,
        signals: SignalOptions::default(),
        outputs: OutputOptions::default(),
        display: None,
        frames,
    };
    let capturing = Arc::new(Capturing {
        lifecycle: lifecycle.clone(),
        seconds,
        count: arguments.count,
        is_live,
        state: Mutex::new(State {
            collector,
            first_s: None,
            last_kept_s: 0.0,
            frames: 0,
            with_faces: 0,
            kept: 0,
            pictures,
            has_input_ended: false,
            failure: None,
        }),
    });
    let result = live::run(options, &lifecycle, capturing.clone());
    let mut state = capturing.state();
    let events = state.collector.finish();
    state.report(events, arguments.count);
    state.conclude(arguments.count);
    match state.failure.take() {
        Some(failure) if result.is_ok() => bail!("{failure}"),
        _ => result,
    }
}

/// Watches the session and collects.
struct Capturing {
    lifecycle: Arc<Lifecycle>,
    seconds: Option<f64>,
    count: usize,
    /// Whether somebody may be in front of a camera.
    is_live: bool,
    state: Mutex<State>,
}

struct State {
    collector: Collector,
    /// The time of the first frame, in seconds.
    first_s: Option<f64>,
    /// When the last frame was kept or the last hint given.
    last_kept_s: f64,
    frames: u64,
    with_faces: u64,
    /// Kept frames.
    kept: usize,
    /// How many pictures the input has, if it consists of pictures: each is kept.
    pictures: Option<usize>,
    /// Whether the end of the input ended the capture.
    has_input_ended: bool,
    failure: Option<String>,
}

impl Capturing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Capturing {
    fn after_tracking(&self, tracked: &TrackedFrame, _: bool) {
        let mut state = self.state();
        let first_s = *state.first_s.get_or_insert(tracked.time_s);
        let elapsed_s = tracked.time_s - first_s;
        if self.seconds.is_some_and(|seconds| elapsed_s >= seconds) {
            return self.lifecycle.request_end();
        }
        state.frames += 1;
        state.with_faces += u64::from(!tracked.faces.is_empty());
        state.collector.look(&tracked.frame, &tracked.predicted, tracked.time_s);
        let events = state.collector.events();
        if !events.is_empty() {
            state.last_kept_s = elapsed_s;
        }
        state.report(events, self.count);
        if self.is_live && elapsed_s - state.last_kept_s >= HINT_AFTER_S {
            state.last_kept_s = elapsed_s;
            say(match tracked.faces.is_empty() {
                true => "no face in sight; more light or another distance may help",
                false => "nothing new; turn your head, change your expression, the light or the distance",
            });
        }
        if !state.collector.is_choosing() || state.failure.is_some() {
            self.lifecycle.request_end();
        }
    }

    fn tracking_ended(&self, source: &dyn Source) {
        self.state().has_input_ended = self.lifecycle.is_running() && !source.is_endless();
    }
}

impl State {
    fn report(&mut self, events: Vec<CollectorEvent>, count: usize) {
        for event in events {
            match event {
                CollectorEvent::Kept { picture, reason, number, .. } => {
                    self.kept = number;
                    let name = picture.file_name().unwrap_or_default().to_string_lossy();
                    say(&format!("{number:>3} of {count}  {name}  {reason}"));
                }
                CollectorEvent::Dropped => say("a frame was not kept: the disk is too slow"),
                CollectorEvent::Failed(message) => self.failure = Some(message),
            }
        }
    }

    /// Says what was collected, and what to do next.
    fn conclude(&self, count: usize) {
        let Self { collector, with_faces, kept, pictures, failure, .. } = self;
        let frames = counted(self.frames, "frame");
        match pictures {
            Some(pictures) if *kept == count && *pictures > count => {
                say(&format!("kept {kept} of {pictures} pictures: --count {pictures} keeps all"));
            }
            None if self.has_input_ended && (1..count).contains(kept) => {
                let without = match self.frames - with_faces {
                    0 => String::new(),
                    faceless => format!("in {faceless} of its {frames} no face was found, and "),
                };
                say(&format!(
                    "the input ended after {kept} of {count} frames: {without}the rest was too close to the kept ones \
                     in time, similar to them, or blurred"
                ));
            }
            _ => {}
        }
        match collector.conclusion() {
            Some(conclusion) => say(&conclusion),
            None if failure.is_some() => {}
            None => {
                let reason = if *with_faces == 0 { "no face was seen" } else { "no frame was worth keeping" };
                say(&format!("nothing was kept: {reason} in {frames}"));
            }
        }
    }
}
