//! Pictures and recordings taken with a key.
//!
//! In: tracked frames. Out: `awing-0001.png` with `awing-0001.json` beside it, or `awing-0002.mp4` with
//! `awing-0002.jsonl`, in the current folder, with an unused number, so that nothing is ever overwritten. Pictures are
//! not mirrored, so positions in the JSON lines are pixels of the picture.

use super::frame::TrackedFrame;
use super::json::JsonLines;
use super::painter::Painter;
use super::recording::Recording;
use crate::program::capture::Recorder;
use crate::program::view::Look;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The highest number, and so the most pictures and recordings that one folder can hold.
const MAX_NUMBER: u32 = 9999;
/// Endings of the written files, finished or not.
const ENDINGS: [&str; 5] = ["png", "json", "mp4", "part.mp4", "jsonl"];

/// Saves a frame in this drawing style, and its landmarks beside it; returns the picture's name.
///
/// # Errors
/// If the folder can't be written to.
#[cfg(feature = "window")]
pub(super) fn take_picture(tracked: &TrackedFrame, look: Look) -> Result<PathBuf> {
    let TrackedFrame { frame, faces, signals, .. } = tracked;
    if frame.width() == 0 {
        bail!("there is no picture to save yet");
    }
    let landmarks = claim(Path::new(""), "json")?;
    let picture = landmarks.with_extension("png");
    let saved = Painter::with(look).paint_frame(frame, faces, signals).save(&picture).map_err(Into::into);
    saved.and_then(|()| JsonLines::create(&landmarks, &|| true)?.write(tracked)).inspect_err(|_| {
        // One file without the other is of no use.
        let _ = fs::remove_file(&landmarks);
        let _ = fs::remove_file(&picture);
    })?;
    Ok(picture)
}

/// A recording that a key started.
pub(super) struct Take {
    video: PathBuf,
    recording: Recording,
    lines: JsonLines,
    landmarks: PathBuf,
    since: Instant,
}

impl Take {
    /// Starts a recording in this drawing style.
    ///
    /// # Errors
    /// If there is no `ffmpeg`, or the folder can't be written to.
    pub(super) fn begin(look: Look) -> Result<Self> {
        let landmarks = claim(Path::new(""), "jsonl")?;
        let video = landmarks.with_extension("mp4");
        let begin = || {
            let recorder = Recorder::create(&video)?;
            let lines = JsonLines::create(&landmarks, &|| true)?;
            Ok((Recording::begin(recorder, Painter::with(look))?, lines))
        };
        match begin() {
            Ok((recording, lines)) => Ok(Self { video, recording, lines, landmarks, since: Instant::now() }),
            Err(error) => {
                let _ = fs::remove_file(&landmarks);
                Err(error)
            }
        }
    }

    /// Adds a frame; the video skips it if it has no room and may not wait.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn add(&mut self, frame: &TrackedFrame, may_wait: impl Fn() -> bool) -> Result<()> {
        self.lines.write(frame)?;
        self.recording.add(frame, may_wait)
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Whether the video has failed, so that there is nothing to finish.
    pub(super) fn has_failed(&self) -> bool {
        self.recording.has_failed()
    }

    /// Starts to finish the video, which takes a while.
    pub(super) fn close(&mut self) {
        self.recording.close();
    }

    /// Whether the video is finished, or has failed.
    pub(super) fn is_finished(&self) -> bool {
        self.recording.is_finished()
    }

    /// Waits until the video is finished; the text names it. While it `is_urgent`, it waits only as long as the encoder
    /// keeps taking frames.
    ///
    /// # Errors
    /// If the video can't be finished.
    pub(super) fn finish(self, is_urgent: &dyn Fn() -> bool) -> Result<String> {
        let recorded = self.recording.finish(is_urgent)?;
        if !recorded.is_saved {
            let _ = fs::remove_file(&self.landmarks);
            return Ok("nothing was recorded: there was no frame".into());
        }
        Ok(format!("recorded {}{}", self.video.display(), recorded.remark()))
    }
}

/// Creates an empty file with a number unused by other takes in this folder.
fn claim(folder: &Path, ending: &str) -> Result<PathBuf> {
    for number in 1..=MAX_NUMBER {
        let stem = folder.join(format!("awing-{number:04}"));
        if ENDINGS.iter().any(|ending| stem.with_extension(ending).exists()) {
            continue;
        }
        let path = stem.with_extension(ending);
        match File::create_new(&path) {
            Ok(_) => return Ok(path),
            // Another process has just created it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let advice = "start awing in a writable folder";
                return Err(error).with_context(|| format!("cannot write {}: {advice}", path.display()));
            }
        }
    }
    bail!("this folder already holds {MAX_NUMBER} pictures and recordings: move some away")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("awing-0002.mp4"), "a video of yesterday").unwrap();
        fs::write(folder.path().join("awing-0003.part.mp4"), "what a crash left").unwrap();
        let names: Vec<_> = ["json", "jsonl", "json"].map(|ending| claim(folder.path(), ending).unwrap()).into();
        let expected = ["awing-0001.json", "awing-0004.jsonl", "awing-0005.json"];
        assert_eq!(names, expected.map(|name| folder.path().join(name)));
        let error = claim(&folder.path().join("not there"), "json").unwrap_err();
        assert!(format!("{error:#}").contains("awing-0001.json"), "{error:#}");
    }
}
