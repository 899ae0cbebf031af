//! The loop of the tracking thread.
//!
//! In: frames of the source, and requests from the window and pages. Out: faces, to all outputs, the window and the
//! observer. Requests are handled between two frames: another camera, a seek, another precision, a recording. A silent
//! source delays neither a request nor the end. With a window, a video or folder that has ended waits for the user.

use super::controls::{NeutralStatus, Request, Seek};
use super::frame::TrackedFrame;
use super::options::SignalOptions;
use super::session::Session;
use super::source::{SessionSource, Switch};
use super::tracker_setup::{PrecisionInUse, TrackerSetup};
use crate::program::capture::{CaptureError, Waited};
use crate::program::console::{say, with_causes};
use crate::program::profiles::OwnProfile;
use crate::runtime::counted::counted;
use crate::runtime::engine::Precision;
use crate::runtime::named::Named;
use crate::runtime::signals::SignalMeter;
use crate::runtime::track::{Smoothing, Tracker};
use crate::train::gpu::GpuKind;
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Frames after which an endless source other than a camera ends without a display: ten seconds of the demo.
const FRAMES_OF_AN_ENDLESS_SOURCE: u64 = 300;
/// How long a face is in sight before it sets the neutral pose, in seconds.
const NEUTRAL_AFTER_S: f64 = 1.0;
/// How often to check for requests and the end while no frame arrives.
const SOURCE_TIMEOUT: Duration = Duration::from_millis(50);
/// How often to check whether a paused source should resume.
const STANDING_INTERVAL: Duration = Duration::from_millis(20);
/// How long a picture of a folder is shown in a window.
const PICTURE_SHOWN: Duration = Duration::from_secs(2);
/// Longer gaps between the frames of a video are shortened to this, in seconds.
const LONGEST_GAP_S: f64 = 1.0;

/// The viewers of the frames.
#[derive(Clone, Copy)]
pub(super) struct Watched {
    /// Whether a page for browsers is served.
    pub is_served: bool,
    /// Whether a window stays open when the source has ended.
    pub stays: bool,
}

/// The state of the tracking thread.
pub(super) struct TrackingLoop {
    session: Arc<Session>,
    source: SessionSource,
    setup: TrackerSetup,
    tracker: Tracker,
    meter: SignalMeter,
    /// Whether the first face that stays in sight sets the neutral pose.
    awaits_neutral: bool,
    /// Whether to keep the faces of the next frame.
    keeps_next: bool,
    /// The person's profile.
    profile: Option<OwnProfile>,
    /// The face that will set the neutral pose, and since when it has been in sight, in seconds.
    in_sight: Option<(u64, f64)>,
    /// The number of frames after which to end.
    limit: Option<u64>,
    /// The frame to fill next.
    frame: TrackedFrame,
    pace: Pace,
    /// The name of the source.
    input: String,
    /// Whether the window was told of this source. Its name may change while it is silent.
    is_source_reported: bool,
    watched: Watched,
    /// Whether the source has ended.
    is_at_end: bool,
    /// Whether the next frame is wanted even from a source that is paused.
    is_frame_wanted: bool,
}

impl TrackingLoop {
    pub(super) fn new(
        session: Arc<Session>,
        source: SessionSource,
        setup: TrackerSetup,
        tracker: Tracker,
        signals: SignalOptions,
        watched: Watched,
        limit: Option<u64>,
    ) -> Self {
        let mut meter = SignalMeter::new();
        meter.set_fov(signals.fov_deg);
        if let Some(profile) = &signals.profile {
            meter.set_profile(profile.stored.clone());
            session.controls.status().profile = Some(profile.name.to_string());
        }
        let mut tracking = Self {
            session,
            source,
            setup,
            tracker,
            meter,
            awaits_neutral: signals.starts_neutral,
            keeps_next: false,
            profile: signals.profile,
            in_sight: None,
            limit,
            frame: TrackedFrame::default(),
            pace: Pace::default(),
            input: String::new(),
            is_source_reported: false,
            watched,
            is_at_end: false,
            is_frame_wanted: true,
        };
        tracking.report_source();
        tracking.report_computing();
        if tracking.setup.options.precision == Precision::Int8
            && tracking.setup.precision_in_use(&tracking.tracker).reason.is_some()
        {
            say(&format!("precision: {}", tracking.precision_in_words()));
        }
        tracking.session.controls.status().neutral = tracking.unset_neutral();
        tracking
    }

    /// Tracks the frames of the source until it or the session ends.
    ///
    /// # Errors
    /// If the source, a network or an output fails.
    pub(super) fn run(&mut self) -> Result<()> {
        let tracked = self.track_all();
        if let Err(error) = self.save_profile() {
            self.session.lifecycle.failed_in_part(error);
        }
        tracked
    }

    fn track_all(&mut self) -> Result<()> {
        while !self.is_enough() && self.may_go_on() && self.session.lifecycle.is_running() {
            self.fulfil_requests()?;
            if self.stands_still() {
                self.session.lifecycle.sleep_until(Instant::now() + STANDING_INTERVAL);
                continue;
            }
            let time_s = match self.source.wait(&mut self.frame.frame, SOURCE_TIMEOUT) {
                Ok(Waited::Frame(time_s)) => time_s,
                Ok(Waited::Nothing) => {
                    let source = self.source.get();
                    let trouble = source.trouble();
                    self.is_source_reported &= trouble.is_none();
                    let mut status = self.session.controls.status();
                    (status.trouble, status.is_unplugged) = (trouble, source.is_unplugged());
                    continue;
                }
                Ok(Waited::End) if self.watched.stays && self.source.is_file() => {
                    self.has_ended(true);
                    continue;
                }
                Ok(Waited::End) => break,
                Err(error) => {
                    let message = self.source.go_back(error)?;
                    self.begin_again();
                    self.session.notices.say(message);
                    continue;
                }
            };
            if !std::mem::replace(&mut self.is_source_reported, true) {
                self.report_source();
            }
            let source = self.source.get();
            if self.is_watched() && !source.is_live() {
                let due = self.pace.due(time_s, source.is_slide_show());
                self.session.lifecycle.sleep_until(due);
            }
            if !self.session.lifecycle.is_running() {
                break;
            }
            self.track(time_s)?;
            self.hand_on()?;
            self.is_frame_wanted = false;
        }
        self.session.observer.tracking_ended(self.source.get());
        if let Some(error) = self.source.left_out() {
            self.session.lifecycle.failed_in_part(error.into());
        }
        Ok(())
    }

    /// Whether there is a window, or a page for browsers: videos then play at their own frame rate, and the demo does
    /// not end.
    fn is_watched(&self) -> bool {
        self.watched.is_served || self.session.lifecycle.is_displaying()
    }

    /// Whether there is something left to do: without a display, nobody seeks in a video that has ended.
    fn may_go_on(&self) -> bool {
        !self.is_at_end || self.session.lifecycle.is_displaying()
    }

    /// Whether to take no frame for now.
    fn stands_still(&self) -> bool {
        let is_paused = self.source.is_file() && self.session.controls.is_paused.load(Ordering::Relaxed);
        self.is_at_end || (is_paused && !self.is_frame_wanted)
    }

    /// Handles the end of the source, or its resumption; a recording started by a key ends with the source.
    fn has_ended(&mut self, is_at_end: bool) {
        self.is_at_end = is_at_end;
        self.session.controls.status().is_at_end = is_at_end;
        if is_at_end {
            self.session.outputs().stop_recording();
        }
    }

    fn is_enough(&self) -> bool {
        let source = self.source.get();
        let is_endless = source.is_endless() && !source.is_live() && !self.is_watched();
        let limit = self.limit.or(is_endless.then_some(FRAMES_OF_AN_ENDLESS_SOURCE));
        limit.is_some_and(|limit| self.frame.number >= limit)
    }

    fn track(&mut self, time_s: f64) -> Result<()> {
        let Self { session, source, tracker, meter, input, frame, .. } = self;
        let source = source.get();
        frame.captured = Some(source.arrived().unwrap_or_else(Instant::now));
        frame.time_s = time_s;
        frame.input.clone_from(input);
        frame.frames_per_second = source.frames_per_second();
        frame.picture = source.picture().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        if source.is_slide_show() {
            tracker.reset();
            meter.reset();
        }
        tracker.set_faces(session.controls.faces.load(Ordering::Relaxed));
        tracker.set_smoothing(session.controls.is_smooth.load(Ordering::Relaxed).then(Smoothing::default));
        session.observer.before_tracking();
        let faces = tracker.track_at(&frame.frame, frame.time_s)?;
        frame.set_faces(faces);
        frame.set_predicted(tracker.unsmoothed());
        let signals = meter.measure(tracker, frame.frame.width(), frame.frame.height(), frame.time_s);
        frame.signals.clear();
        frame.signals.extend_from_slice(signals);
        match session.controls.alone.load(Ordering::Relaxed) {
            0 => {}
            id => frame.keep_only(id),
        }
        frame.times = tracker.timings();
        session.observer.after_tracking(frame, session.lifecycle.is_displaying());
        self.set_neutral_when_due();
        Ok(())
    }

    /// Sets the neutral pose from the first face that stays in sight, if requested.
    fn set_neutral_when_due(&mut self) {
        if !self.awaits_neutral {
            return;
        }
        let Some(face) = self.frame.faces.first() else {
            self.in_sight = None;
            return;
        };
        let (id, since_s) = self.in_sight.unwrap_or((face.id, self.frame.time_s));
        self.in_sight = Some(if id == face.id { (id, since_s) } else { (face.id, self.frame.time_s) });
        if id == face.id && self.frame.time_s - since_s >= NEUTRAL_AFTER_S && self.meter.set_neutral(id) {
            self.awaits_neutral = false;
            self.session.controls.status().neutral = NeutralStatus::Set;
            say("the current pose and expression count as neutral");
            if let Err(error) = self.save_profile() {
                say(&format!("awing: {error:#}"));
            }
        }
    }

    /// Writes and shows the frame, in exchange for one to fill next.
    fn hand_on(&mut self) -> Result<()> {
        let Self { session, source, frame, keeps_next, .. } = self;
        let may_wait = || !source.get().is_live() && session.lifecycle.is_running();
        session.collecting.look(frame);
        if std::mem::take(keeps_next)
            && let Some(message) = session.collecting.keep(frame)
        {
            session.notices.say(message);
        }
        session.outputs().add(frame, may_wait)?;
        let next = frame.number + 1;
        session.latest.put(frame);
        frame.number = next;
        Ok(())
    }

    /// Handles requests, and reports the results of these and of earlier ones.
    fn fulfil_requests(&mut self) -> Result<()> {
        self.session.gather_news();
        let mut messages = Vec::new();
        for request in self.session.controls.take_requests() {
            messages.push(match request {
                Request::NextCamera => {
                    let switch = self.source.next_camera()?;
                    self.switched(switch)
                }
                Request::Camera(number) => {
                    let switch = self.source.camera(number)?;
                    self.switched(switch)
                }
                Request::Seek(seek) => match self.seek(seek) {
                    Ok(()) => continue,
                    Err(error) => with_causes(&error),
                },
                Request::NextPrecision => {
                    let mut setup = self.setup.clone();
                    setup.options.precision = setup.options.precision.next();
                    self.set_up(setup).unwrap_or_else(|| format!("Precision: {}", self.precision_in_words()))
                }
                // The requester has announced it; only failures are reported here.
                Request::UseModel(model) => match self.set_up(TrackerSetup { model, ..self.setup.clone() }) {
                    Some(trouble) => trouble,
                    None => continue,
                },
                Request::SetNeutral => self.set_neutral(),
                Request::KeepFace => {
                    self.keeps_next = true;
                    continue;
                }
                Request::ToggleRecording(layers) => self.session.outputs().toggle_recording(layers),
            });
        }
        let mut outputs = self.session.outputs();
        messages.extend(outputs.news());
        let recording_since = outputs.recording_since();
        drop(outputs);
        self.session.controls.status().recording_since = recording_since;
        if !messages.is_empty() {
            self.session.notices.say(messages.join("; "));
        }
        Ok(())
    }

    /// The precision of the network, and why it is not the requested one.
    fn precision_in_words(&self) -> String {
        let PrecisionInUse { name, reason } = self.setup.precision_in_use(&self.tracker);
        reason.map_or(name.clone(), |reason| format!("{name} in place of {}: {reason}", self.setup.options.precision))
    }

    fn switched(&mut self, switch: Switch) -> String {
        match switch {
            Switch::Stayed(message) => message,
            Switch::Switched(message) => {
                self.begin_again();
                message
            }
        }
    }

    /// Seeks in a video or a folder; on failure everything stays as it is.
    fn seek(&mut self, seek: Seek) -> Result<(), CaptureError> {
        if !self.source.is_file() || (self.is_at_end && seek == Seek::Forward) {
            return Ok(());
        }
        let is_there = self.source.seek(seek)?;
        if is_there {
            self.begin_elsewhere();
        }
        self.has_ended(!is_there);
        self.is_frame_wanted = true;
        Ok(())
    }

    /// Sets the neutral pose from all faces in sight.
    fn set_neutral(&mut self) -> String {
        let Self { meter, frame, .. } = self;
        let count = frame.faces.iter().filter(|face| meter.set_neutral(face.id)).count();
        if count == 0 {
            return "No face in sight to take as neutral".into();
        }
        self.session.controls.status().neutral = NeutralStatus::Set;
        let set = "This pose and expression count as neutral";
        match (self.save_profile(), &self.profile) {
            (Ok(()), None) => set.into(),
            (Ok(()), Some(profile)) => format!("{set}; saved in the profile {}", profile.name),
            (Err(error), _) => format!("{set}; {error:#}"),
        }
    }

    /// Stores the person's profile.
    fn save_profile(&mut self) -> Result<()> {
        match (&mut self.profile, self.meter.profile_so_far()) {
            (Some(profile), Some(learned)) => profile.save(learned),
            _ => Ok(()),
        }
    }

    /// Handles a seek in the same source: the neutral pose stays.
    fn begin_elsewhere(&mut self) {
        let neutral = self.session.controls.status().neutral;
        let person = self.frame.faces.first().and_then(|face| self.meter.profile(face.id));
        self.begin_again();
        if let (NeutralStatus::Set, Some(person), None) = (neutral, person, self.meter.profile_so_far()) {
            self.meter.set_profile(person);
            self.session.controls.status().neutral = neutral;
        }
    }

    /// Handles a change of the source.
    fn begin_again(&mut self) {
        self.is_at_end = false;
        self.session.controls.alone.store(0, Ordering::Relaxed);
        self.pace = Pace::default();
        self.is_source_reported = false;
        self.tracker.reset();
        self.meter.reset();
        self.report_source();
        self.session.controls.status().neutral = self.unset_neutral();
    }

    /// The neutral state before a pose was set.
    fn unset_neutral(&self) -> NeutralStatus {
        if self.awaits_neutral { NeutralStatus::Awaited } else { NeutralStatus::Estimated }
    }

    /// Switches to another tracker; the error says why that failed.
    fn set_up(&mut self, mut setup: TrackerSetup) -> Option<String> {
        setup.options.faces = self.session.controls.faces.load(Ordering::Relaxed);
        match setup.tracker() {
            Ok(tracker) => {
                let before = std::mem::replace(&mut self.tracker, tracker);
                self.tracker.take_over(before);
                self.setup = setup;
                self.report_computing();
                None
            }
            Err(error) => Some(format!("{error:#}")),
        }
    }

    fn report_source(&mut self) {
        self.input = self.source.short_name();
        let mut status = self.session.controls.status();
        status.source.clone_from(&self.input);
        let source = self.source.get();
        (status.is_live, status.is_slide_show) = (source.is_live(), source.is_slide_show());
        (status.is_file, status.is_at_end) = (self.source.is_file(), self.is_at_end);
        (status.trouble, status.is_unplugged) = (None, false);
        drop(status);
        self.session.collecting.set_origin(self.source.origin());
    }

    fn report_computing(&self) {
        let options = &self.setup.options;
        let threads = counted(options.threads, "thread");
        let mut status = self.session.controls.status();
        status.precision = options.precision;
        status.computing = match self.setup.gpu {
            None => format!("{} on the CPU, {threads}", self.setup.precision_in_use(&self.tracker).name),
            Some(GpuKind::Cuda) => "f32 on an NVIDIA GPU".into(),
            Some(GpuKind::Metal) => "f32 on an Apple GPU".into(),
        };
    }
}

/// The timing of a video, or of the pictures of a folder.
#[derive(Default)]
struct Pace {
    /// When the last frame was due, and its time in seconds.
    last: Option<(Instant, f64)>,
}

impl Pace {
    /// When the frame of this time is due.
    fn due(&mut self, time_s: f64, is_picture: bool) -> Instant {
        let now = Instant::now();
        let due = match self.last {
            None => now,
            Some((last, _)) if is_picture => last + PICTURE_SHOWN,
            Some((last, last_s)) => last + Duration::from_secs_f64((time_s - last_s).clamp(0.0, LONGEST_GAP_S)),
        };
        // A late frame does not speed up the frames after it.
        let due = due.max(now);
        self.last = Some((due, time_s));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_plays_at_its_own_pace_without_long_gaps_and_without_a_hurry_after_a_late_frame() {
        let mut pace = Pace::default();
        let first = pace.due(10.0, false);
        assert_eq!(pace.due(10.5, false), first + Duration::from_millis(500));
        assert_eq!(pace.due(99.0, false), first + Duration::from_millis(1500));
        assert_eq!(pace.due(98.0, false), first + Duration::from_millis(1500), "time never runs backwards");
        assert_eq!(pace.due(98.1, true), first + Duration::from_millis(3500));
        let now = Instant::now();
        let late = now.checked_sub(Duration::from_secs(5)).unwrap();
        pace.last = Some((late, 0.0));
        assert!(pace.due(0.1, false) >= now);
    }

    #[test]
    fn precisions_come_in_turn() {
        assert_eq!(Precision::F32.next(), Precision::F16);
        assert_eq!(Precision::Int8.next(), Precision::Auto);
    }
}
