//! Pictures and recordings that a person takes with a key.
//!
//! In: what is seen. Out: `awing-0001.png` with `awing-0001.json` beside it, or `awing-0002.mp4` with
//! `awing-0002.jsonl`, in the folder that awing runs in; the number is one that no such file has yet, so nothing is
//! ever overwritten. Pictures are not mirrored, so that the positions in the lines of JSON are those of the picture's
//! pixels.

use super::json::JsonLines;
use super::live::Seen;
use super::painter::Painter;
use super::recording::Recording;
use crate::program::capture::Recorder;
use crate::program::view::Layers;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Pictures and recordings that one folder can hold.
const MOST: u32 = 9999;
/// Endings of what is taken, finished or not.
const ENDINGS: [&str; 5] = ["png", "json", "mp4", "part.mp4", "jsonl"];

/// Saves what is seen with these things drawn in, and the landmarks beside it; returns the picture's name.
///
/// # Errors
/// If the folder can't be written to.
#[cfg(feature = "window")]
pub(super) fn take_picture(seen: &Seen, layers: Layers) -> Result<PathBuf> {
    let Seen { frame, faces, time_s, times, .. } = seen;
    if frame.width() == 0 {
        bail!("there is no picture to save yet");
    }
    let landmarks = claim(Path::new(""), "json")?;
    let picture = landmarks.with_extension("png");
    let saved = painter(layers).paint_frame(frame, faces).save(&picture).map_err(Into::into);
    saved.and_then(|()| JsonLines::create(&landmarks)?.write(*time_s, faces, times)).inspect_err(|_| {
        // Half a pair is of no use; that it can't be removed changes nothing.
        let _ = fs::remove_file(&landmarks);
        let _ = fs::remove_file(&picture);
    })?;
    Ok(picture)
}

/// A recording that is going on.
pub(super) struct Take {
    video: PathBuf,
    recording: Recording,
    lines: JsonLines,
    landmarks: PathBuf,
    since: Instant,
}

impl Take {
    /// Begins a recording with these things drawn in.
    ///
    /// # Errors
    /// If there is no `ffmpeg`, or the folder can't be written to.
    pub(super) fn begin(layers: Layers) -> Result<Self> {
        let landmarks = claim(Path::new(""), "jsonl")?;
        let video = landmarks.with_extension("mp4");
        let begin = || {
            let recorder = Recorder::create(&video)?;
            let lines = JsonLines::create(&landmarks)?;
            Ok((Recording::begin(recorder, painter(layers))?, lines))
        };
        match begin() {
            Ok((recording, lines)) => Ok(Self { video, recording, lines, landmarks, since: Instant::now() }),
            Err(error) => {
                let _ = fs::remove_file(&landmarks);
                Err(error)
            }
        }
    }

    /// Adds what is seen; the video leaves it out if it has no room and may not wait.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn add(&mut self, seen: &Seen, may_wait: impl Fn() -> bool) -> Result<()> {
        self.lines.write(seen.time_s, &seen.faces, &seen.times)?;
        self.recording.add(seen, may_wait)
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Nothing more is to come: the video is ended, which takes a while.
    pub(super) fn close(&mut self) {
        self.recording.close();
    }

    /// Whether the video is ended, or failed.
    pub(super) fn is_over(&self) -> bool {
        self.recording.is_over()
    }

    /// Waits for the end of the video and says what it is; while it `is_urgent`, no longer than the encoder goes on.
    ///
    /// # Errors
    /// If the video can't be ended.
    pub(super) fn finish(self, is_urgent: &dyn Fn() -> bool) -> Result<String> {
        let recorded = self.recording.finish(is_urgent)?;
        if !recorded.is_saved {
            let _ = fs::remove_file(&self.landmarks);
            return Ok("nothing was recorded: there was no frame".into());
        }
        Ok(format!("recorded {}{}", self.video.display(), recorded.remark()))
    }
}

fn painter(layers: Layers) -> Painter {
    let mut painter = Painter::default();
    painter.overlay.layers = layers;
    painter
}

/// Creates an empty file with a number that nothing taken in this folder has.
fn claim(folder: &Path, ending: &str) -> Result<PathBuf> {
    for number in 1..=MOST {
        let stem = folder.join(format!("awing-{number:04}"));
        if ENDINGS.iter().any(|ending| stem.with_extension(ending).exists()) {
            continue;
        }
        let path = stem.with_extension(ending);
        match File::create_new(&path) {
            Ok(_) => return Ok(path),
            // Another awing was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let advice = "start awing in a folder that you may write to";
                return Err(error).with_context(|| format!("cannot write {}: {advice}", path.display()));
            }
        }
    }
    bail!("there are {MOST} pictures and recordings in this folder: move them away")
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
