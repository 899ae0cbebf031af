//! A session in its window: the latest frame, text over it, and the keys.
//!
//! In: the latest frame and its faces, whenever there is one. Out: settings and requests to the tracking thread, and
//! pictures that the person takes. It runs on the main thread, as windows require, and does nothing but show. What fails:
//! the display.

use super::collecting::CollectingStatus;
use super::controls::{Request, SessionStatus};
use super::figures::Figures;
use super::frame::TrackedFrame;
use super::inspector::NetworkInspector;
use super::options::DisplayOptions;
use super::painter::Painter;
use super::session::Session;
use super::takes;
use super::tuning::TuningStatus;
use crate::program::output::serve::Action;
use crate::program::view::panel::{self, Place, TextLine};
use crate::program::view::{KEYS, NetworkLayers, Window, WindowCommand};
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the window waits for a frame before it looks at the keys again: a frame of a fast screen.
const KEY_INTERVAL: Duration = Duration::from_millis(15);
/// How often the clock of a recording is painted at least.
const CLOCK_INTERVAL: Duration = Duration::from_millis(500);
/// The height of the figures' text over that of other text.
const FIGURES_TEXT: f32 = 0.85;

/// An open window and what it shows.
pub(super) struct SessionWindow {
    session: Arc<Session>,
    window: Window,
    painter: Painter,
    inspector: NetworkInspector,
    tracked: TrackedFrame,
    status: SessionStatus,
    collecting: CollectingStatus,
    tuning: Option<TuningStatus>,
    /// Which changes of the model were seen.
    model_changes: u64,
    /// The size of the canvas that was painted last, in pixels.
    size: (usize, usize),
    needs_paint: bool,
    painted: Instant,
    /// As asked for; `None`: as suits the source.
    is_mirrored: Option<bool>,
    is_frozen: bool,
    /// Whether no further frame will come.
    is_over: bool,
    shows_figures: bool,
    shows_help: bool,
    /// What was said last, and until when it is shown.
    message: Option<(String, Instant)>,
    /// The number of the last notice that was heard.
    heard: u64,
    figures: Figures,
}

impl SessionWindow {
    /// A session in `window`; its first frame may be empty.
    pub(super) fn new(window: Window, first: TrackedFrame, options: &DisplayOptions, session: Arc<Session>) -> Self {
        let mut painter = Painter::default();
        painter.overlay.scale = window.scale();
        Self {
            inspector: NetworkInspector::new(session.models.in_use()),
            model_changes: 0,
            tuning: None,
            session,
            window,
            painter,
            figures: Figures::new(first.number),
            tracked: first,
            status: SessionStatus::default(),
            collecting: CollectingStatus::default(),
            size: (0, 0),
            needs_paint: true,
            painted: Instant::now(),
            is_mirrored: options.is_mirrored,
            is_frozen: false,
            is_over: false,
            shows_figures: options.shows_figures,
            shows_help: false,
            message: None,
            heard: 0,
        }
    }

    /// Shows frames until the window is closed, the end is requested, or no further frame comes; with `stays`, the last
    /// frame stays until the window is closed.
    ///
    /// # Errors
    /// If the display fails.
    pub(super) fn run(&mut self, stays: bool) -> Result<()> {
        let session = self.session.clone();
        let mut next = TrackedFrame::default();
        let mut is_new = self.tracked.frame.width() > 0;
        while session.lifecycle.is_running() {
            self.read_status();
            if std::mem::take(&mut self.needs_paint) {
                self.show(is_new)?;
            } else {
                self.window.keep()?;
            }
            for command in self.window.commands() {
                self.obey(command);
            }
            if session.observer.is_satisfied() {
                session.lifecycle.request_end();
            }
            // Asked before the last frame is taken, so that it is not missed.
            self.is_over = !session.lifecycle.is_tracking();
            let has_come = session.latest.take(&mut next, KEY_INTERVAL);
            is_new = has_come && !self.is_frozen;
            if is_new {
                std::mem::swap(&mut self.tracked, &mut next);
                self.inspector.invalidate();
                self.needs_paint = true;
            }
            if self.is_over && !has_come && !stays {
                break;
            }
        }
        Ok(())
    }

    /// Takes over the status that the tracking thread reports, and notices whatever else changes the picture.
    fn read_status(&mut self) {
        let session = self.session.clone();
        session.gather_news();
        let status = session.controls.status();
        if *status != self.status {
            self.status.clone_from(&status);
            self.needs_paint = true;
        }
        drop(status);
        let collecting = self.session.collecting.status();
        self.needs_paint |= std::mem::replace(&mut self.collecting, collecting) != collecting;
        let tuning = self.session.tuning.status();
        self.needs_paint |= std::mem::replace(&mut self.tuning, tuning) != tuning;
        if let Some(model) = session.models.changed_since(&mut self.model_changes) {
            self.inspector = NetworkInspector::new(model);
            self.needs_paint = true;
        }
        if let Some(notice) = session.notices.after(self.heard) {
            self.heard = notice.number;
            self.message = Some((notice.text, Instant::now() + notice.shown));
            self.needs_paint = true;
        }
        if self.message.as_ref().is_some_and(|(_, until)| Instant::now() > *until) {
            self.message = None;
            self.needs_paint = true;
        }
        self.needs_paint |= self.window.size() != self.size;
        // The clock also runs while the picture stands still.
        self.needs_paint |= self.status.recording_since.is_some() && self.painted.elapsed() > CLOCK_INTERVAL;
    }

    /// Paints everything and puts it on the screen.
    fn show(&mut self, is_new: bool) -> Result<()> {
        let start = Instant::now();
        if self.painter.network.any()
            && let Err(error) = self.inspector.look(&self.tracked, self.status.precision)
        {
            self.painter.network = NetworkLayers::default();
            self.say(format!("{error:#}"));
        }
        self.paint();
        self.painted = start;
        let painting_s = start.elapsed().as_secs_f32();
        self.window.show(self.painter.painted())?;
        if is_new {
            self.figures.count(&self.tracked, painting_s, self.status.is_live);
            self.session.observer.after_display(&self.tracked, true);
        }
        Ok(())
    }

    fn paint(&mut self) {
        self.size = self.window.size();
        self.painter.is_mirrored = self.is_mirrored.unwrap_or(self.status.is_live);
        let help = self.shows_help.then(|| self.help());
        let TrackedFrame { frame, faces, .. } = &self.tracked;
        let canvas = self.painter.paint(frame, faces, self.inspector.views(), self.size);
        let text = panel::text_size(canvas, self.window.scale());
        if self.shows_figures && help.is_none() {
            let source = format!("{}, {}x{}", self.status.source, frame.width(), frame.height());
            let mut lines: Vec<_> = self.figures.text.iter().map(|text| TextLine::new(panel::PLAIN, text)).collect();
            let computing = format!("{}; H: help", self.status.computing);
            lines.extend([source, computing].map(|text| TextLine::new(panel::QUIET, text)));
            panel::lines(canvas, Place::UpperLeft, FIGURES_TEXT * text, &lines);
        }
        let message = self.message.as_ref().map(|(text, _)| text);
        let is_empty = frame.width() == 0;
        let news = news(&self.status, self.collecting, self.tuning, is_empty, self.is_frozen, message);
        panel::lines(canvas, Place::LowerLeft, text, &news);
        if let Some(help) = help {
            panel::table(canvas, Place::Middle, text, &help.each_ref().map(|row| row.each_ref()));
        }
    }

    /// A row for each key: its name, what it does, and the current setting.
    fn help(&self) -> [[TextLine; 3]; KEYS.len()] {
        KEYS.map(|binding| {
            let setting = self.setting_of(binding.command);
            let color = if setting == "off" { panel::QUIET } else { panel::PLAIN };
            [
                TextLine::new(panel::ALARM, binding.name),
                TextLine::new(panel::PLAIN, binding.action),
                TextLine::new(color, setting),
            ]
        })
    }

    fn setting_of(&self, command: WindowCommand) -> String {
        let Painter { overlay, network, is_mirrored, .. } = &self.painter;
        let controls = &self.session.controls;
        let is_on = match command {
            WindowCommand::Figures => self.shows_figures,
            WindowCommand::Points => overlay.layers.points,
            WindowCommand::Curves => overlay.layers.curves,
            WindowCommand::Boxes => overlay.layers.boxes,
            WindowCommand::Heatmaps => network.heatmaps,
            WindowCommand::Boundary => network.boundary,
            WindowCommand::Crop => network.crop,
            WindowCommand::Mirror => *is_mirrored,
            WindowCommand::Smoothing => controls.is_smooth.load(Ordering::Relaxed),
            WindowCommand::Freeze => self.is_frozen,
            WindowCommand::Record => self.status.recording_since.is_some(),
            WindowCommand::Collect => self.collecting.is_choosing,
            WindowCommand::KeepFace => return format!("{} kept", self.collecting.faces),
            WindowCommand::Tune => self.tuning.is_some(),
            WindowCommand::OtherModel => {
                let is_tuned = self.session.models.is_tuned() == Some(true);
                return if is_tuned { "tuned" } else { "bundled" }.into();
            }
            WindowCommand::Faces(_) => return controls.faces.load(Ordering::Relaxed).to_string(),
            WindowCommand::NextCamera if self.status.is_live => return self.status.source.clone(),
            WindowCommand::Precision => {
                return self.status.computing.split(' ').next().unwrap_or_default().to_owned();
            }
            WindowCommand::Quit
            | WindowCommand::Help
            | WindowCommand::Snapshot
            | WindowCommand::Neutral
            | WindowCommand::NextCamera => {
                return String::new();
            }
        };
        if is_on { "on" } else { "off" }.into()
    }

    fn obey(&mut self, command: WindowCommand) {
        let Painter { overlay, network, .. } = &mut self.painter;
        let controls = &self.session.controls;
        match command {
            WindowCommand::Quit => self.session.lifecycle.request_end(),
            WindowCommand::Help => self.shows_help ^= true,
            WindowCommand::Figures => self.shows_figures ^= true,
            WindowCommand::Points => overlay.layers.points ^= true,
            WindowCommand::Curves => overlay.layers.curves ^= true,
            WindowCommand::Boxes => overlay.layers.boxes ^= true,
            WindowCommand::Heatmaps => network.heatmaps ^= true,
            WindowCommand::Boundary => network.boundary ^= true,
            WindowCommand::Crop => network.crop ^= true,
            WindowCommand::Mirror => self.is_mirrored = Some(!self.painter.is_mirrored),
            WindowCommand::Smoothing => {
                let was_smooth = controls.is_smooth.fetch_not(Ordering::Relaxed);
                self.say(if was_smooth { "smoothing off" } else { "smoothing on" }.into());
            }
            WindowCommand::Freeze => self.is_frozen ^= true,
            WindowCommand::Snapshot => match takes::take_picture(&self.tracked, self.painter.overlay.layers) {
                Ok(path) => self.say(format!("saved {}", path.display())),
                Err(error) => self.say(format!("{error:#}")),
            },
            WindowCommand::Record => self.request(Request::ToggleRecording(self.painter.overlay.layers)),
            WindowCommand::KeepFace => {
                if let Some(message) = self.session.collecting.keep(&self.tracked) {
                    self.say(message);
                }
            }
            WindowCommand::Collect => self.session.perform(Action::ToggleCollecting),
            WindowCommand::Tune => self.session.perform(Action::ToggleTuning),
            WindowCommand::OtherModel => self.session.perform(Action::OtherModel),
            WindowCommand::Faces(faces) => {
                controls.faces.store(faces, Ordering::Relaxed);
                self.say(if faces == 1 { "at most 1 face".into() } else { format!("at most {faces} faces") });
            }
            WindowCommand::NextCamera => self.request(Request::NextCamera),
            WindowCommand::Neutral => self.request(Request::SetNeutral),
            WindowCommand::Precision => self.request(Request::NextPrecision),
        }
        let is_without_map = self.inspector.views().iter().any(|view| view.map_size > 0 && view.boundary.is_empty());
        if command == WindowCommand::Boundary && is_without_map {
            self.say("this model has no boundary map".into());
        }
        self.needs_paint = true;
    }

    fn request(&self, request: Request) {
        if self.is_over {
            self.say("this was the last frame".into());
        } else {
            self.session.controls.request(request);
        }
    }

    /// Shows a message; pages show it, too.
    fn say(&self, message: String) {
        self.session.notices.say(message);
    }
}

/// Lines for the foot of the picture.
fn news(
    status: &SessionStatus,
    collecting: CollectingStatus,
    tuning: Option<TuningStatus>,
    is_empty: bool,
    is_frozen: bool,
    message: Option<&String>,
) -> Vec<TextLine> {
    let mut news = Vec::new();
    if let Some(trouble) = &status.trouble {
        news.push(TextLine::new(panel::ALARM, trouble));
    } else if is_empty {
        news.push(TextLine::new(panel::PLAIN, format!("waiting for the first frame of {}", status.source)));
    }
    if is_frozen {
        news.push(TextLine::new(panel::PLAIN, "paused; press F to resume"));
    }
    if let Some(since) = status.recording_since {
        let seconds = since.elapsed().as_secs();
        let clock = format!("\u{25cf} recording {}:{:02}", seconds / 60, seconds % 60);
        news.push(TextLine::new(panel::RECORDING, clock));
    }
    news.extend(tuning.map(|tuning| TextLine::new(panel::PLAIN, tuning.line())));
    if collecting.is_choosing {
        let faces = match collecting.faces {
            1 => "1 face".into(),
            n => format!("{n} faces"),
        };
        news.push(TextLine::new(panel::ALARM, format!("\u{25cf} collecting: {faces}")));
    }
    news.extend(message.map(|message| TextLine::new(panel::PLAIN, message)));
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_in_trouble_and_a_recording_are_on_the_screen() {
        let status = SessionStatus {
            trouble: Some("camera 0: no picture for 3 s; trying again until it comes".into()),
            recording_since: Some(Instant::now()),
            ..SessionStatus::default()
        };
        let shown: Vec<_> = news(&status, CollectingStatus::default(), None, true, true, None)
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert_eq!(shown.len(), 3);
        assert!(shown[0].contains("no picture for 3 s") && shown[1].contains("paused"));
        assert!(shown[2].contains("recording 0:00"));
        let off = CollectingStatus::default();
        let waiting = SessionStatus { source: "camera 0".into(), ..SessionStatus::default() };
        assert!(news(&waiting, off, None, true, false, None)[0].text.contains("camera 0"));
        assert!(news(&SessionStatus::default(), off, None, false, false, None).is_empty());
    }

    #[test]
    fn the_number_of_collected_faces_is_on_the_screen_while_they_are_collected() {
        let shown = |is_choosing, faces| {
            let news =
                news(&SessionStatus::default(), CollectingStatus { is_choosing, faces }, None, false, false, None);
            news.into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        assert!(shown(true, 12)[0].contains("collecting: 12 faces"));
        assert!(shown(false, 12).is_empty());
    }
}
