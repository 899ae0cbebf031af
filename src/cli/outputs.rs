//! What `awing track` leaves behind: lines of JSON, a recording, what was recorded with a key, and, where nothing else
//! was asked for, a picture that shows what was seen.

use super::args::TrackArguments;
use super::json::JsonLines;
use super::live::Seen;
use super::painter::Painter;
use super::takes::Take;
use crate::capture::Recorder;
use crate::image::Frame;
use crate::track::Face;
use crate::view::Layers;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The picture that a run without a window writes of its own accord.
const KEEPSAKE: &str = "awing.png";
/// How often a frame is kept for it.
const KEEPSAKE_EVERY: Duration = Duration::from_secs(1);

/// Everything that frames and faces are written to.
pub(super) struct Outputs {
    json: Option<JsonLines>,
    recorder: Option<(PathBuf, Recorder)>,
    take: Option<Take>,
    keepsake: Option<Keepsake>,
    painter: Painter,
}

/// The last good frame.
#[derive(Default)]
struct Keepsake {
    frame: Frame,
    faces: Vec<Face>,
    kept: Option<Instant>,
}

impl Outputs {
    /// Opens what was asked for.
    ///
    /// # Errors
    /// If a file can't be written.
    pub(super) fn create(arguments: &TrackArguments, frames_per_second: Option<f64>) -> Result<Self> {
        let json = arguments.json.as_deref().map(JsonLines::create).transpose()?;
        let recorder = match &arguments.save {
            Some(path) => Some((path.clone(), Recorder::create(path, frames_per_second)?)),
            None => None,
        };
        let keepsake = (json.is_none() && recorder.is_none()).then(Keepsake::default);
        Ok(Self { json, recorder, take: None, keepsake, painter: Painter::default() })
    }

    /// Somebody watches: no picture needs to show what was seen.
    #[cfg(feature = "window")]
    pub(super) fn keep_no_picture(&mut self) {
        self.keepsake = None;
    }

    /// Begins a recording with these things drawn in, or ends the one that is going on. True: one is going on now; the
    /// text is for the person.
    pub(super) fn toggle_recording(&mut self, layers: Layers, frames_per_second: Option<f64>) -> (bool, String) {
        if let Some(take) = self.take.take() {
            let ended = match take.end() {
                Ok(Some(video)) => format!("recorded {}", video.display()),
                Ok(None) => "nothing was recorded: there was no frame".into(),
                Err(error) => format!("{error:#}"),
            };
            return (false, ended);
        }
        match Take::begin(layers, frames_per_second) {
            Ok(take) => {
                self.take = Some(take);
                (true, "recording; R ends it".into())
            }
            Err(error) => (false, format!("{error:#}")),
        }
    }

    /// Writes what is seen to all. Where a recording that was begun with a key fails, it ends, and the text says why.
    ///
    /// # Errors
    /// If something else can't be written.
    pub(super) fn add(&mut self, seen: &Seen) -> Result<Option<String>> {
        let Seen { frame, time_s, faces, times, .. } = seen;
        if let Some(json) = &mut self.json {
            json.write(*time_s, faces, times)?;
        }
        if let Some((_, recorder)) = &mut self.recorder {
            recorder.add(self.painter.paint_frame(frame, faces), *time_s)?;
        }
        if let Some(keepsake) = &mut self.keepsake {
            keepsake.consider(frame, faces);
        }
        let failed = self.take.as_mut().and_then(|take| take.add(seen).err());
        Ok(failed.map(|error| {
            self.take = None;
            format!("the recording ended: {error:#}")
        }))
    }

    /// Ends all files and says where they are.
    ///
    /// # Errors
    /// If one can't be ended.
    pub(super) fn finish(&mut self) -> Result<()> {
        if let Some((path, recorder)) = self.recorder.take() {
            let saved = recorder.finish()?;
            if saved {
                eprintln!("saved {}", path.display());
            } else {
                eprintln!("nothing to save: there was no frame");
            }
        }
        if let Some(video) = self.take.take().map(Take::end).transpose()?.flatten() {
            eprintln!("recorded {}", video.display());
        }
        if let Some(Keepsake { frame, faces, kept: Some(_) }) = self.keepsake.take() {
            self.painter.paint_frame(&frame, &faces).save(Path::new(KEEPSAKE))?;
            eprintln!("{KEEPSAKE} shows what was seen");
        }
        Ok(())
    }
}

impl Keepsake {
    /// Keeps the frame if it shows a face and the last that did is some time ago, or if there is none yet.
    fn consider(&mut self, frame: &Frame, faces: &[Face]) {
        let is_as_good = !faces.is_empty() || self.faces.is_empty();
        let is_better = !faces.is_empty() && self.faces.is_empty();
        let is_due = self.kept.is_none_or(|kept| kept.elapsed() >= KEEPSAKE_EVERY);
        if is_better || (is_due && is_as_good) {
            self.frame.clone_from(frame);
            self.faces.clear();
            self.faces.extend_from_slice(faces);
            self.kept = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn face() -> Face {
        let rect = Rect::new(1.0, 1.0, 5.0, 5.0);
        Face { id: 1, score: 0.9, rect, landmarks: Vec::new(), confidence: Vec::new() }
    }

    #[test]
    fn the_picture_that_is_kept_shows_a_face_where_there_was_one() {
        let mut keepsake = Keepsake::default();
        let (empty, with_face) = (Frame::filled(8, 8, [1; 3]), Frame::filled(8, 8, [2; 3]));
        keepsake.consider(&empty, &[]);
        assert_eq!(keepsake.frame, empty);
        keepsake.consider(&with_face, &[face()]);
        assert_eq!(keepsake.frame, with_face);
        keepsake.kept = Instant::now().checked_sub(2 * KEEPSAKE_EVERY);
        keepsake.consider(&empty, &[]);
        assert_eq!(keepsake.frame, with_face);
    }
}
