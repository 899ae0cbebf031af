//! The outputs of a session: JSON lines, CSV rows, packets to other programs, the page, a virtual camera, a recording,
//! recordings started by a key, and one picture if there is no other output and no display.

use super::csv::CsvRows;
use super::frame::TrackedFrame;
use super::json::{JsonLine, JsonLines};
use super::options::OutputOptions;
use super::painter::Painter;
use super::recording::Recording;
use super::takes::Take;
use super::virtual_camera::VirtualCameraOutput;
use crate::program::capture::Recorder;
use crate::program::console::say;
use crate::program::output::Senders;
use crate::program::output::serve::{Desk, Server};
use crate::program::view::Look;
use crate::runtime::files::Claim;
use crate::runtime::image::Frame;
use crate::runtime::signals::Signals;
use crate::runtime::track::Face;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most pictures that sessions without a window write into one folder.
const MOST_PICTURES: u32 = 9999;
/// How often a frame is kept for the picture.
const PICTURE_INTERVAL: Duration = Duration::from_secs(1);

/// All outputs of frames and faces.
pub(super) struct Outputs {
    /// `None` once they have ended.
    senders: Option<Senders>,
    server: Option<Server>,
    virtual_camera: Option<VirtualCameraOutput>,
    json: Option<JsonLines>,
    csv: Option<CsvRows>,
    recording: Option<(PathBuf, Recording)>,
    /// The recording that a key started.
    take: Option<Take>,
    /// Stopped ones, until their files are complete.
    finishing: Vec<Take>,
    /// Why a take ended, until it is reported.
    failure: Option<String>,
    picture: Option<BestFrame>,
    look: Look,
    /// Of the files that are written all along.
    claims: Vec<Claim>,
}

/// The last good frame.
#[derive(Default)]
struct BestFrame {
    frame: Frame,
    faces: Vec<Face>,
    signals: Vec<Signals>,
    kept: Option<Instant>,
}

impl Outputs {
    /// Opens the requested outputs; waits for the readers of named pipes while `is_wanted` holds.
    ///
    /// # Errors
    /// If a file can't be written.
    pub(super) fn create(options: &OutputOptions, is_wanted: &dyn Fn() -> bool) -> Result<Self> {
        // First: it creates the folder that is claimed.
        let recorder = options.save.as_deref().map(Recorder::create).transpose()?;
        let lines = options.json.iter().chain(&options.csv).filter(|path| path.as_path() != Path::new("-"));
        let files = lines.chain(&options.save);
        let claims = files.map(|path| Claim::of(path)).filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let senders = Some(Senders::start(&options.receivers, options.vts.as_ref())?);
        let server = options.server.as_ref().map(Server::start).transpose()?;
        let virtual_camera = options
            .virtual_camera
            .clone()
            .map(|camera| VirtualCameraOutput::start(camera, options.look))
            .transpose()?;
        let recording = match options.save.clone().zip(recorder) {
            Some((path, recorder)) => Some((path, Recording::begin(recorder, Painter::with(options.look))?)),
            None => None,
        };
        // Last: opening truncates their files.
        let json = options.json.as_deref().map(|path| JsonLines::create(path, is_wanted)).transpose()?;
        let csv = options.csv.as_deref().map(|path| CsvRows::create(path, is_wanted)).transpose()?;
        let picture = options.default_picture.then(BestFrame::default);
        let (take, finishing, failure, look) = (None, Vec::new(), None, options.look);
        Ok(Self {
            senders,
            server,
            virtual_camera,
            json,
            csv,
            recording,
            take,
            finishing,
            failure,
            picture,
            look,
            claims,
        })
    }

    /// The handle to pages, if they are served.
    pub(super) fn desk(&self) -> Option<Desk> {
        self.server.as_ref().map(Server::desk)
    }

    /// The session is displayed: no picture is needed to show what happened.
    #[cfg(feature = "window")]
    pub(super) fn write_no_default_picture(&mut self) {
        self.picture = None;
    }

    /// Starts a recording with this drawing style, or stops the running one; returns a message.
    pub(super) fn toggle_recording(&mut self, look: Look) -> String {
        if self.stop_recording() {
            return "Finishing the recording".into();
        }
        match Take::begin(look) {
            Ok(take) => {
                self.take = Some(take);
                "Recording. Press R to stop".into()
            }
            Err(error) => format!("{error:#}"),
        }
    }

    /// Stops the recording that a key started; false if there was none.
    pub(super) fn stop_recording(&mut self) -> bool {
        let Some(mut take) = self.take.take() else { return false };
        take.close();
        self.finishing.push(take);
        true
    }

    /// Since when a recording that a key started has been running.
    pub(super) fn recording_since(&self) -> Option<Instant> {
        self.take.as_ref().map(Take::since)
    }

    /// Writes a frame to all of them. Recordings without room for it skip it, unless they may wait.
    ///
    /// # Errors
    /// If something can't be written. A take that can't be written just ends, and [`Self::news`] says why.
    pub(super) fn add(&mut self, frame: &TrackedFrame, may_wait: impl Fn() -> bool) -> Result<()> {
        if let Some(senders) = &mut self.senders {
            let TrackedFrame { time_s, captured, frame, faces, signals, .. } = frame;
            senders.send(*time_s, *captured, [frame.width(), frame.height()], faces, signals);
        }
        if let Some(server) = self.server.as_mut().filter(|server| server.has_viewers()) {
            let line = JsonLine { frame: frame.number, tracked: frame }.to_string();
            server.publish(frame.number, frame.captured, &line, &frame.frame);
        }
        if let Some(camera) = &mut self.virtual_camera {
            camera.add(frame);
        }
        if let Some(json) = &mut self.json {
            json.write(frame)?;
        }
        if let Some(csv) = &mut self.csv {
            csv.write(frame)?;
        }
        if let Some((_, recording)) = &mut self.recording
            && let Err(error) = recording.add(frame, &may_wait)
        {
            self.recording = None;
            return Err(error);
        }
        if let Some(picture) = &mut self.picture {
            picture.consider(&frame.frame, &frame.faces, &frame.signals);
        }
        if let Some(take) = &mut self.take
            && let Err(error) = take.add(frame, &may_wait)
        {
            if take.has_failed() {
                self.take = None;
            } else {
                // Only its lines have failed.
                self.stop_recording();
            }
            let failure = format!("the recording ended: {error:#}");
            tracing::warn!("{failure}");
            self.failure = Some(failure);
        }
        Ok(())
    }

    /// A message about the end of a take.
    pub(super) fn news(&mut self) -> Option<String> {
        if let Some(finished) = self.finishing.iter().position(Take::is_finished) {
            let result = self.finishing.remove(finished).finish(&|| false);
            return Some(result.unwrap_or_else(|error| {
                tracing::warn!("{error:#}");
                format!("{error:#}")
            }));
        }
        self.failure.take()
    }

    /// Finishes all files and says where they are; after that nothing is written. If `is_urgent`, it does not wait for
    /// an encoder that has stopped.
    ///
    /// # Errors
    /// The first, if some can't be finished; all others are.
    pub(super) fn finish(&mut self, is_urgent: &dyn Fn() -> bool) -> Result<()> {
        (self.senders, self.server, self.virtual_camera) = (None, None, None);
        (self.json, self.csv) = (None, None);
        let mut result = Ok(());
        if let Some((path, recording)) = self.recording.take() {
            result = recording.finish(is_urgent).map(|recorded| {
                say(&match recorded.is_saved {
                    true => format!("saved {}{}", path.display(), recorded.remark()),
                    false => "nothing to save: there was no frame".into(),
                });
            });
        }
        for take in self.finishing.drain(..).chain(self.take.take()) {
            result = result.and(take.finish(is_urgent).map(|finished| say(&finished)));
        }
        if let Some(BestFrame { frame, faces, signals, kept: Some(_) }) = self.picture.take() {
            let saved = free_name().and_then(|path| {
                let saved = Painter::with(self.look).paint_frame(&frame, &faces, &signals).save(&path);
                saved.inspect_err(|_| drop(fs::remove_file(&path)))?;
                say(&format!("saved {}", path.display()));
                Ok(())
            });
            result = result.and(saved);
        }
        self.claims.clear();
        result
    }
}

/// Creates an empty file under the first free name: `awing.png`, `awing-2.png` and so on.
fn free_name() -> Result<PathBuf> {
    for number in 1..=MOST_PICTURES {
        let path = PathBuf::from(if number == 1 { "awing.png".into() } else { format!("awing-{number}.png") });
        match File::create_new(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
    bail!("this folder already holds {MOST_PICTURES} pictures of awing: move some away, or name one with --save")
}

impl BestFrame {
    /// Keeps the frame if it shows a face and the last such frame is some time ago, or if there is none yet.
    fn consider(&mut self, frame: &Frame, faces: &[Face], signals: &[Signals]) {
        let is_as_good = !faces.is_empty() || self.faces.is_empty();
        let is_better = !faces.is_empty() && self.faces.is_empty();
        let is_due = self.kept.is_none_or(|kept| kept.elapsed() >= PICTURE_INTERVAL);
        if is_better || (is_due && is_as_good) {
            self.frame.clone_from(frame);
            self.faces.clear();
            self.faces.extend_from_slice(faces);
            self.signals.clear();
            self.signals.extend_from_slice(signals);
            self.kept = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Rect;

    fn face() -> Face {
        let rect = Rect::new(1.0, 1.0, 5.0, 5.0);
        Face { id: 1, score: 0.9, rect, landmarks: Vec::new() }
    }

    #[test]
    fn the_picture_shows_a_face_if_there_was_one() {
        let mut best = BestFrame::default();
        let (empty, with_face) = (Frame::filled(8, 8, [1; 3]), Frame::filled(8, 8, [2; 3]));
        best.consider(&empty, &[], &[]);
        assert_eq!(best.frame, empty);
        best.consider(&with_face, &[face()], &[]);
        assert_eq!(best.frame, with_face);
        best.kept = Instant::now().checked_sub(2 * PICTURE_INTERVAL);
        best.consider(&empty, &[], &[]);
        assert_eq!(best.frame, with_face);
    }
}
