//! The window of `awing track`: what is seen, as it is seen, and the keys.
//!
//! In: the newest frame and its faces, whenever there is one. Out: wishes to the tracking thread, and pictures where
//! the person asks for one. It runs on the main thread, as windows want it, and does nothing but show.

use super::args::{PrecisionChoice, TrackArguments};
use super::live::{Controls, Newest, Seen, Told, Wish};
use super::painter::Painter;
use super::takes;
use crate::program::view::panel::{self, Line, Place};
use crate::program::view::{Command, KEYS, NetworkLayers, NetworkView, NetworkViewer, ViewError, Window};
use crate::runtime::model::{self, Model};
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the window waits for something new before it looks at the keys again: a frame of a fast screen.
const PATIENCE: Duration = Duration::from_millis(15);
/// How long a message stays.
const MESSAGE_SHOWN: Duration = Duration::from_secs(4);
/// How often the clock of a recording is drawn anew at least.
const CLOCK_EVERY: Duration = Duration::from_millis(500);
/// Over how long figures are averaged.
const FIGURES_OVER: Duration = Duration::from_millis(500);
/// The height of the figures' text over that of other text.
const INFORMATION: f32 = 0.85;
/// How large the window is while nobody knows how large frames are.
const USUAL_FRAME: (usize, usize) = (640, 480);

/// An open window.
pub(super) struct Show {
    window: Window,
    painter: Painter,
    controls: Arc<Controls>,
    seen: Seen,
    viewing: Viewing,
    told: Told,
    /// The picture's size when it was painted.
    size: (usize, usize),
    needs_paint: bool,
    /// When it was painted.
    painted: Instant,
    /// As asked for; `None`: as suits the source.
    is_mirrored: Option<bool>,
    is_frozen: bool,
    /// Nothing more will come.
    is_over: bool,
    shows_information: bool,
    shows_help: bool,
    message: Option<(String, Instant)>,
    figures: Figures,
}

/// What the network sees of the faces that are shown. It is found here, for what is on the screen only, so that looking
/// into the network does not slow tracking down.
#[derive(Default)]
struct Viewing {
    /// The landmark model's file; `None`: the one in this program.
    model: Option<PathBuf>,
    /// With this arithmetic.
    viewer: Option<(PrecisionChoice, NetworkViewer)>,
    views: Vec<NetworkView>,
    /// Whether `views` are of what is shown.
    is_fresh: bool,
}

/// Sums of the frames since the last reckoning, and what came of the one before.
struct Figures {
    since: Instant,
    first_number: u64,
    shown: u32,
    delay_s: f32,
    painting_s: f32,
    landmarks_ms: f32,
    detector_ms: f32,
    smoothing_ms: f32,
    text: Vec<String>,
}

impl Show {
    /// Opens a window for frames like the first one, which may be empty.
    ///
    /// # Errors
    /// If there is no display.
    pub(super) fn open(first: Seen, arguments: &TrackArguments, controls: &Arc<Controls>) -> Result<Self, ViewError> {
        let size = (first.frame.width(), first.frame.height());
        let window = Window::open("awing", if size.0 == 0 { USUAL_FRAME } else { size }, arguments.scale)?;
        let mut painter = Painter::default();
        painter.overlay.scale = window.scale();
        Ok(Self {
            window,
            painter,
            controls: controls.clone(),
            figures: Figures::new(first.number),
            seen: first,
            viewing: Viewing { model: arguments.tracker.model.clone(), ..Viewing::default() },
            told: Told::default(),
            size: (0, 0),
            needs_paint: true,
            painted: Instant::now(),
            is_mirrored: arguments.is_mirrored(),
            is_frozen: false,
            is_over: false,
            shows_information: true,
            shows_help: false,
            message: None,
        })
    }

    /// Shows what is seen until the window is closed, a stop is asked for, or nothing more comes; with `stays`, the
    /// last frame stays until the window is closed.
    ///
    /// # Errors
    /// If the display fails.
    pub(super) fn run(&mut self, newest: &Newest, is_over: impl Fn() -> bool, stays: bool) -> Result<()> {
        let mut next = Seen::default();
        let mut is_new = true;
        while !self.controls.should_stop() {
            self.listen();
            if std::mem::take(&mut self.needs_paint) {
                let start = Instant::now();
                if self.painter.network.any()
                    && let Err(error) = self.viewing.look(&self.seen, self.told.precision)
                {
                    self.painter.network = NetworkLayers::default();
                    self.say(format!("{error:#}"));
                }
                self.paint();
                self.painted = start;
                let painting_s = start.elapsed().as_secs_f32();
                self.window.show(self.painter.painted())?;
                if is_new {
                    self.figures.count(&self.seen, painting_s, self.told.is_live);
                }
            } else {
                self.window.keep()?;
            }
            for command in self.window.commands() {
                self.obey(command);
            }
            // Looked at before the last frame is taken, so that it is not missed.
            self.is_over = is_over();
            let has_come = newest.take(&mut next, PATIENCE);
            is_new = has_come && !self.is_frozen;
            if is_new {
                std::mem::swap(&mut self.seen, &mut next);
                self.viewing.is_fresh = false;
                self.needs_paint = true;
            }
            if self.is_over && !has_come && !stays {
                break;
            }
        }
        Ok(())
    }

    /// Takes in what the tracking thread tells, and what else changes the picture.
    fn listen(&mut self) {
        let mut told = self.controls.told();
        let message = told.message.take();
        if *told != self.told {
            self.told.clone_from(&told);
            self.needs_paint = true;
        }
        drop(told);
        if let Some(message) = message {
            self.say(message);
        }
        if self.message.as_ref().is_some_and(|(_, since)| since.elapsed() > MESSAGE_SHOWN) {
            self.message = None;
            self.needs_paint = true;
        }
        self.needs_paint |= self.window.size() != self.size;
        // Its clock goes on, also while the picture stands still.
        self.needs_paint |= self.told.recording_since.is_some() && self.painted.elapsed() > CLOCK_EVERY;
    }

    fn paint(&mut self) {
        self.size = self.window.size();
        self.painter.is_mirrored = self.is_mirrored.unwrap_or(self.told.is_live);
        let help = self.shows_help.then(|| self.help());
        let Seen { frame, faces, .. } = &self.seen;
        let canvas = self.painter.paint(frame, faces, &self.viewing.views, self.size);
        let text = panel::text_size(canvas, self.window.scale());
        if self.shows_information && help.is_none() {
            let source = format!("{}, {}x{}", self.told.source, frame.width(), frame.height());
            let mut lines: Vec<Line> = self.figures.text.iter().map(|text| Line::new(panel::PLAIN, text)).collect();
            let computing = format!("{}; H: help", self.told.computing);
            lines.extend([source, computing].map(|text| Line::new(panel::QUIET, text)));
            panel::lines(canvas, Place::UpperLeft, INFORMATION * text, &lines);
        }
        let news = news(&self.told, frame.width() == 0, self.is_frozen, self.message.as_ref().map(|(text, _)| text));
        panel::lines(canvas, Place::LowerLeft, text, &news);
        if let Some(help) = help {
            panel::table(canvas, Place::Middle, text, &help.each_ref().map(|row| row.each_ref()));
        }
    }

    /// A row for each key: its name, what it does, and how things stand.
    fn help(&self) -> [[Line; 3]; KEYS.len()] {
        KEYS.map(|binding| {
            let state = self.state_of(binding.command);
            let color = if state == "off" { panel::QUIET } else { panel::PLAIN };
            [Line::new(panel::ALARM, binding.name), Line::new(panel::PLAIN, binding.action), Line::new(color, state)]
        })
    }

    fn state_of(&self, command: Command) -> String {
        let Painter { overlay, network, is_mirrored, .. } = &self.painter;
        let is_on = match command {
            Command::Information => self.shows_information,
            Command::Points => overlay.layers.points,
            Command::Curves => overlay.layers.curves,
            Command::Boxes => overlay.layers.boxes,
            Command::Heatmaps => network.heatmaps,
            Command::Boundary => network.boundary,
            Command::Crop => network.crop,
            Command::Mirror => *is_mirrored,
            Command::Smoothing => self.controls.is_smooth.load(Ordering::Relaxed),
            Command::Freeze => self.is_frozen,
            Command::Record => self.told.recording_since.is_some(),
            Command::Faces(_) => return self.controls.faces.load(Ordering::Relaxed).to_string(),
            Command::NextCamera if self.told.is_live => return self.told.source.clone(),
            Command::Precision => return self.told.computing.split(' ').next().unwrap_or_default().to_owned(),
            Command::Quit | Command::Help | Command::Snapshot | Command::NextCamera => return String::new(),
        };
        if is_on { "on" } else { "off" }.into()
    }

    fn obey(&mut self, command: Command) {
        let Painter { overlay, network, .. } = &mut self.painter;
        match command {
            Command::Quit => self.controls.stop.store(true, Ordering::Relaxed),
            Command::Help => self.shows_help ^= true,
            Command::Information => self.shows_information ^= true,
            Command::Points => overlay.layers.points ^= true,
            Command::Curves => overlay.layers.curves ^= true,
            Command::Boxes => overlay.layers.boxes ^= true,
            Command::Heatmaps => network.heatmaps ^= true,
            Command::Boundary => network.boundary ^= true,
            Command::Crop => network.crop ^= true,
            Command::Mirror => self.is_mirrored = Some(!self.painter.is_mirrored),
            Command::Smoothing => {
                let was_smooth = self.controls.is_smooth.fetch_not(Ordering::Relaxed);
                self.say(if was_smooth { "smoothing off" } else { "smoothing on" }.into());
            }
            Command::Freeze => self.is_frozen ^= true,
            Command::Snapshot => match takes::take_picture(&self.seen, self.painter.overlay.layers) {
                Ok(path) => self.say(format!("saved {}", path.display())),
                Err(error) => self.say(format!("{error:#}")),
            },
            Command::Record => self.wish(Wish::Record(self.painter.overlay.layers)),
            Command::Faces(faces) => {
                self.controls.faces.store(faces, Ordering::Relaxed);
                self.say(if faces == 1 { "at most 1 face".into() } else { format!("at most {faces} faces") });
            }
            Command::NextCamera => self.wish(Wish::NextCamera),
            Command::Precision => self.wish(Wish::NextPrecision),
        }
        let is_without_map = self.viewing.views.iter().any(|view| view.map_size > 0 && view.boundary.is_empty());
        if command == Command::Boundary && is_without_map {
            self.say("this model has no boundary map".into());
        }
        self.needs_paint = true;
    }

    fn wish(&mut self, wish: Wish) {
        if self.is_over {
            self.say("this was the last picture".into());
        } else {
            self.controls.wishes().push(wish);
        }
    }

    fn say(&mut self, message: String) {
        self.message = Some((message, Instant::now()));
        self.needs_paint = true;
    }
}

/// What goes on, at the foot of the picture.
fn news(told: &Told, is_empty: bool, is_frozen: bool, message: Option<&String>) -> Vec<Line> {
    let mut news = Vec::new();
    if let Some(trouble) = &told.trouble {
        news.push(Line::new(panel::ALARM, trouble));
    } else if is_empty {
        news.push(Line::new(panel::PLAIN, format!("waiting for the first picture of {}", told.source)));
    }
    if is_frozen {
        news.push(Line::new(panel::PLAIN, "frozen; F goes on"));
    }
    if let Some(since) = told.recording_since {
        let seconds = since.elapsed().as_secs();
        news.push(Line::new(panel::RECORDING, format!("\u{25cf} recording {}:{:02}", seconds / 60, seconds % 60)));
    }
    news.extend(message.map(|message| Line::new(panel::PLAIN, message)));
    news
}

impl Viewing {
    /// Finds what the network sees of the faces, unless that is known.
    fn look(&mut self, seen: &Seen, precision: PrecisionChoice) -> Result<()> {
        let Self { model, viewer, views, is_fresh } = self;
        let viewer = match viewer {
            Some((of, viewer)) if *of == precision => viewer,
            _ => {
                *is_fresh = false;
                let model = model.as_deref().map_or_else(model::default_landmarks, Model::load)?;
                &mut viewer.insert((precision, NetworkViewer::new(&model, precision.into())?)).1
            }
        };
        if !std::mem::replace(is_fresh, true) {
            views.resize_with(seen.faces.len(), NetworkView::default);
            for (view, face) in views.iter_mut().zip(&seen.faces) {
                if !viewer.look(&seen.frame, face, view)? {
                    *view = NetworkView::default();
                }
            }
        }
        Ok(())
    }
}

impl Figures {
    fn new(first_number: u64) -> Self {
        Self {
            since: Instant::now(),
            first_number,
            shown: 0,
            delay_s: 0.0,
            painting_s: 0.0,
            landmarks_ms: 0.0,
            detector_ms: 0.0,
            smoothing_ms: 0.0,
            text: Vec::new(),
        }
    }

    /// A new frame was painted and is on the screen.
    fn count(&mut self, seen: &Seen, painting_s: f32, is_live: bool) {
        self.shown += 1;
        self.delay_s += seen.captured.map_or(0.0, |captured| captured.elapsed().as_secs_f32());
        self.painting_s += painting_s;
        self.landmarks_ms += seen.times.landmarks_ms;
        self.detector_ms += seen.times.detect_ms;
        self.smoothing_ms += seen.times.smooth_ms;
        let passed = self.since.elapsed();
        // A still picture has no rate.
        if passed < FIGURES_OVER || seen.number == self.first_number {
            return;
        }
        let count = self.shown as f32;
        let rate = (seen.number - self.first_number) as f32 / passed.as_secs_f32();
        let from = if is_live { "capture" } else { "frame" };
        let text = vec![
            format!("{rate:.0} frames/s, {from} to display {:.0} ms", 1000.0 * self.delay_s / count),
            format!("landmarks {:.1} ms, detector {:.1} ms", self.landmarks_ms / count, self.detector_ms / count),
            format!(
                "smoothing {:.2} ms, drawing {:.1} ms",
                self.smoothing_ms / count,
                1000.0 * self.painting_s / count
            ),
        ];
        *self = Self { text, ..Self::new(seen.number) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_in_trouble_and_a_recording_are_on_the_screen() {
        let told = Told {
            trouble: Some("camera 0: no picture for 3 s; trying again until it comes".into()),
            recording_since: Some(Instant::now()),
            ..Told::default()
        };
        let shown: Vec<_> = news(&told, true, true, None).into_iter().map(|line| line.text).collect();
        assert_eq!(shown.len(), 3);
        assert!(shown[0].contains("no picture for 3 s") && shown[1].contains("frozen"));
        assert!(shown[2].contains("recording 0:00"));
        let waiting = news(&Told { source: "camera 0".into(), ..Told::default() }, true, false, None);
        assert!(waiting[0].text.contains("camera 0"));
        assert!(news(&Told::default(), false, false, None).is_empty());
    }

    #[test]
    fn figures_are_means_of_what_was_shown() {
        let mut figures = Figures::new(0);
        figures.text.push("earlier".into());
        for number in 1..=10 {
            let mut seen = Seen { number, ..Seen::default() };
            seen.times.landmarks_ms = number as f32;
            if number == 10 {
                figures.since = Instant::now().checked_sub(2 * FIGURES_OVER).unwrap();
            }
            figures.count(&seen, 0.002, true);
        }
        assert!(figures.text[0].starts_with("10 frames/s, capture to display 0 ms"), "{:?}", figures.text);
        assert!(figures.text[1].starts_with("landmarks 5.5 ms") && figures.text[2].ends_with("drawing 2.0 ms"));
        assert_eq!((figures.shown, figures.first_number), (0, 10));
    }
}
