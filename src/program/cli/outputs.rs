//! What `awing track` leaves behind: lines of JSON, a recording, what was recorded with a key, and, where nothing else
//! was asked for, a picture that shows what was seen.

use super::args::TrackArguments;
use super::json::JsonLines;
use super::live::Seen;
use super::painter::Painter;
use super::recording::Recording;
use super::say;
use super::takes::Take;
use crate::program::capture::Recorder;
use crate::program::view::Layers;
use crate::runtime::image::Frame;
use crate::runtime::track::Face;
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
    recording: Option<(PathBuf, Recording)>,
    take: Option<Take>,
    /// Those that nothing is added to any more, until they are whole.
    ending: Vec<Take>,
    /// Why a recording that was begun with a key ended, until it is told.
    failure: Option<String>,
    keepsake: Option<Keepsake>,
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
    pub(super) fn create(arguments: &TrackArguments) -> Result<Self> {
        let recording = match &arguments.save {
            Some(path) => {
                let recorder = Recorder::create(path)?;
                Some((path.clone(), Recording::begin(recorder, Painter::default())?))
            }
            None => None,
        };
        // At last: it begins by emptying a file.
        let json = arguments.json.as_deref().map(JsonLines::create).transpose()?;
        let keepsake = (json.is_none() && recording.is_none()).then(Keepsake::default);
        Ok(Self { json, recording, take: None, ending: Vec::new(), failure: None, keepsake })
    }

    /// Somebody watches: no picture needs to show what was seen.
    #[cfg(feature = "window")]
    pub(super) fn keep_no_picture(&mut self) {
        self.keepsake = None;
    }

    /// Begins a recording with these things drawn in, or ends the one that is going on; the text is for the person.
    pub(super) fn toggle_recording(&mut self, layers: Layers) -> String {
        if let Some(mut take) = self.take.take() {
            take.close();
            self.ending.push(take);
            return "ending the recording".into();
        }
        match Take::begin(layers) {
            Ok(take) => {
                self.take = Some(take);
                "recording; R ends it".into()
            }
            Err(error) => format!("{error:#}"),
        }
    }

    /// Since when there is a recording that was begun with a key.
    pub(super) fn recording_since(&self) -> Option<Instant> {
        self.take.as_ref().map(Take::since)
    }

    /// Writes what is seen to all. What recordings have no room for is left out unless they may wait.
    ///
    /// # Errors
    /// If something can't be written, but for a recording that was begun with a key: that one ends, and
    /// [`Self::news`] says why.
    pub(super) fn add(&mut self, seen: &Seen, may_wait: impl Fn() -> bool) -> Result<()> {
        let Seen { frame, time_s, faces, times, .. } = seen;
        if let Some(json) = &mut self.json {
            json.write(*time_s, faces, times)?;
        }
        if let Some((_, recording)) = &mut self.recording
            && let Err(error) = recording.add(seen, &may_wait)
        {
            self.recording = None;
            return Err(error);
        }
        if let Some(keepsake) = &mut self.keepsake {
            keepsake.consider(frame, faces);
        }
        if let Some(take) = &mut self.take
            && let Err(error) = take.add(seen, &may_wait)
        {
            self.take = None;
            let failure = format!("the recording ended: {error:#}");
            tracing::warn!("{failure}");
            self.failure = Some(failure);
        }
        Ok(())
    }

    /// What has become of recordings that were begun with a key, for the person.
    pub(super) fn news(&mut self) -> Option<String> {
        if let Some(over) = self.ending.iter().position(Take::is_over) {
            let ended = self.ending.remove(over).finish(&|| false);
            return Some(ended.unwrap_or_else(|error| {
                tracing::warn!("{error:#}");
                format!("{error:#}")
            }));
        }
        self.failure.take()
    }

    /// Ends all files and says where they are; while it `is_urgent`, it does not wait for an encoder that has stopped.
    ///
    /// # Errors
    /// The first, if some can't be ended; all others are.
    pub(super) fn finish(&mut self, is_urgent: &dyn Fn() -> bool) -> Result<()> {
        let mut result = Ok(());
        if let Some((path, recording)) = self.recording.take() {
            result = recording.finish(is_urgent).map(|recorded| {
                say(&match recorded.is_saved {
                    true => format!("saved {}{}", path.display(), recorded.remark()),
                    false => "nothing to save: there was no frame".into(),
                });
            });
        }
        for take in self.ending.drain(..).chain(self.take.take()) {
            result = result.and(take.finish(is_urgent).map(|ended| say(&ended)));
        }
        if let Some(Keepsake { frame, faces, kept: Some(_) }) = self.keepsake.take() {
            let saved = Painter::default().paint_frame(&frame, &faces).save(Path::new(KEEPSAKE));
            result = result.and(saved.map(|()| say(&format!("{KEEPSAKE} shows what was seen"))).map_err(Into::into));
        }
        result
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
    use crate::runtime::geometry::Rect;

    fn face() -> Face {
        let rect = Rect::new(1.0, 1.0, 5.0, 5.0);
        Face { id: 1, score: 0.9, rect, landmarks: Vec::new() }
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
