//! The window of `awing track`: what is seen, as it is seen, and the keys.
//!
//! In: the newest frame and its faces, whenever there is one. Out: wishes to the tracking thread, and pictures where the
//! person asks for one. It runs on the main thread, as windows want it.

use super::json::JsonLines;
use super::live::{Controls, Newest, Seen};
use super::painter::Painter;
use crate::view::{Command, ViewError, Window};
use anyhow::Result;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the window waits for something new before it looks at the keys again: a frame of a fast screen.
const PATIENCE: Duration = Duration::from_millis(15);
/// How long a message stays.
const MESSAGE_SHOWN: Duration = Duration::from_secs(3);
/// Over how many frames the frame rate is averaged.
const RATE_OVER: f32 = 20.0;
/// Pictures that can be taken in one folder.
const MOST_PICTURES: u32 = 9999;

/// An open window.
pub(super) struct Show {
    window: Window,
    painter: Painter,
    seen: Seen,
    needs_paint: bool,
    is_frozen: bool,
    shows_help: bool,
    message: Option<(String, Instant)>,
    /// Why nothing newer comes.
    trouble: Option<String>,
    /// When the last new frame came, and the time between two.
    last: Instant,
    step_s: f32,
}

impl Show {
    /// Opens a window for frames like the first one.
    ///
    /// # Errors
    /// If there is no display.
    pub(super) fn open(first: Seen, is_mirrored: bool) -> Result<Self, ViewError> {
        Ok(Self {
            window: Window::open("awing", first.frame.width(), first.frame.height())?,
            painter: Painter::new(is_mirrored),
            seen: first,
            needs_paint: true,
            is_frozen: false,
            shows_help: false,
            message: None,
            trouble: None,
            last: Instant::now(),
            step_s: 0.0,
        })
    }

    /// Shows what is seen until the window is closed, a stop is asked for, or nothing more comes; with `stays`, the last
    /// frame stays until the window is closed.
    ///
    /// # Errors
    /// If the display fails.
    pub(super) fn run(
        &mut self,
        controls: &Controls,
        newest: &Newest,
        is_over: impl Fn() -> bool,
        stays: bool,
    ) -> Result<()> {
        let mut next = Seen::default();
        while !controls.should_stop() {
            // Looked at before the last frame is taken, so that it is not missed.
            let is_over = is_over();
            let is_new = newest.take(&mut next, PATIENCE);
            if is_new && !self.is_frozen {
                std::mem::swap(&mut self.seen, &mut next);
                self.count();
            }
            if is_over && !is_new && !stays {
                break;
            }
            if self.message.as_ref().is_some_and(|(_, since)| since.elapsed() > MESSAGE_SHOWN) {
                self.message = None;
                self.needs_paint = true;
            }
            let trouble = newest.trouble();
            self.needs_paint |= trouble != self.trouble;
            self.trouble = trouble;
            if std::mem::take(&mut self.needs_paint) {
                let text = self.text();
                self.painter.paint(&self.seen.frame, &self.seen.faces, &text);
            }
            for command in self.window.show(self.painter.painted())? {
                self.obey(command, controls);
            }
        }
        controls.stop.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A new frame came.
    fn count(&mut self) {
        let step_s = self.last.elapsed().as_secs_f32();
        self.last = Instant::now();
        self.step_s = if self.step_s == 0.0 { step_s } else { self.step_s + (step_s - self.step_s) / RATE_OVER };
        self.needs_paint = true;
    }

    fn text(&self) -> Vec<String> {
        let times = &self.seen.times;
        let rate = if self.step_s > 0.0 { 1.0 / self.step_s } else { 0.0 };
        let mut text = vec![
            format!("{rate:.0} frames/s, {:.1} ms a frame (H: help)", times.total_ms),
            format!(
                "landmarks {:.1}  detector {:.1}  smoothing {:.2} ms",
                times.landmarks_ms, times.detect_ms, times.smooth_ms
            ),
        ];
        if let Some(captured) = self.seen.captured {
            text.push(format!("{:.0} ms from camera to screen", captured.elapsed().as_secs_f32() * 1000.0));
        }
        text.extend(self.trouble.clone());
        text.extend(self.message.iter().map(|(message, _)| message.clone()));
        if self.shows_help {
            text.extend(Window::help());
        }
        text
    }

    fn obey(&mut self, command: Command, controls: &Controls) {
        let overlay = &mut self.painter.overlay;
        match command {
            Command::Quit => controls.stop.store(true, Ordering::Relaxed),
            Command::Mirror => self.painter.is_mirrored ^= true,
            Command::Points => overlay.points ^= true,
            Command::Curves => overlay.curves ^= true,
            Command::Boxes => overlay.boxes ^= true,
            Command::Smoothing => {
                let was_smooth = controls.is_smooth.fetch_not(Ordering::Relaxed);
                self.say(if was_smooth { "smoothing off" } else { "smoothing on" }.into());
            }
            Command::Freeze => self.is_frozen ^= true,
            Command::Snapshot => match self.take_picture() {
                Ok(path) => self.say(format!("saved {}", path.display())),
                Err(error) => self.say(format!("{error:#}")),
            },
            Command::Help => self.shows_help ^= true,
            Command::Faces(faces) => {
                controls.faces.store(faces, Ordering::Relaxed);
                self.say(if faces == 1 { "at most 1 face".into() } else { format!("at most {faces} faces") });
            }
        }
        self.needs_paint = true;
    }

    fn say(&mut self, message: String) {
        self.message = Some((message, Instant::now()));
    }

    /// Saves what is shown, without the text, and the landmarks beside it.
    fn take_picture(&mut self) -> Result<PathBuf> {
        let name = |number: u32| PathBuf::from(format!("awing-{number:04}.png"));
        let free = (1..=MOST_PICTURES).map(name).find(|path| !path.exists());
        let path = free.unwrap_or_else(|| name(MOST_PICTURES));
        let Seen { frame, faces, time_s, times, .. } = &self.seen;
        self.painter.paint(frame, faces, &[]).save(&path)?;
        JsonLines::create(&path.with_extension("json"))?.write(*time_s, faces, times)?;
        Ok(path)
    }
}
