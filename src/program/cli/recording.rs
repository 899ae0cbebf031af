//! A recording, drawn and written by a thread of its own.
//!
//! In: what is seen. Out: the file of a [`Recorder`], with the faces drawn in. A few frames wait for the thread at most;
//! one for which there is no room is left out, if its source does not wait, so that an encoder never holds up tracking.
//! Its time is kept: the frame before it is shown for longer.

use super::live::Seen;
use super::painter::Painter;
use super::say;
use crate::program::capture::{CaptureError, Recorder};
use anyhow::{Result, anyhow, bail};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Frames on the way between the two threads: what comes while the encoder starts or takes a breath.
const MOST_WAITING: usize = 16;
/// How often a waiting thread looks whether it is still to wait.
const GLANCE: Duration = Duration::from_millis(20);
/// After this long the person who wants it to end is told what it waits for.
const TOLD_AFTER: Duration = Duration::from_millis(300);
/// A person who wants it to end does not have to wait for an encoder that takes nothing for longer than this.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// A recording that is going on.
pub(super) struct Recording {
    /// What the file is called until it is whole.
    part: Option<PathBuf>,
    /// `None` once nothing more is to come.
    to_writer: Option<Sender<Seen>>,
    /// Frames that were written and can be filled again.
    written: Receiver<Seen>,
    /// How many frames go round.
    frames: usize,
    /// `None` once it was waited for.
    writer: Option<JoinHandle<Result<bool, CaptureError>>>,
    left_out: u64,
}

/// What came of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// False if there was no frame.
    pub is_saved: bool,
    /// Frames for which the encoder was too slow.
    pub left_out: u64,
}

impl Recording {
    /// Begins one with the painter's layers drawn in.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn begin(recorder: Recorder, painter: Painter) -> Result<Self> {
        let (to_writer, from_tracking) = mpsc::channel();
        let (give_back, written) = mpsc::channel();
        let part = recorder.part();
        let writer = thread::Builder::new()
            .name("recording".into())
            .spawn(move || write(recorder, painter, &from_tracking, &give_back))?;
        Ok(Self { part, to_writer: Some(to_writer), written, frames: 0, writer: Some(writer), left_out: 0 })
    }

    /// Adds what is seen, or leaves it out if there is no room and it may not wait, or not any longer.
    ///
    /// # Errors
    /// What ended the writing of an earlier frame.
    pub(super) fn add(&mut self, seen: &Seen, may_wait: impl Fn() -> bool) -> Result<()> {
        let Some(mut copy) = self.room(may_wait) else {
            self.left_out += 1;
            return Ok(());
        };
        copy.frame.clone_from(&seen.frame);
        copy.set_faces(&seen.faces);
        (copy.number, copy.time_s, copy.frames_per_second) = (seen.number, seen.time_s, seen.frames_per_second);
        let is_sent = self.to_writer.as_ref().is_some_and(|to_writer| to_writer.send(copy).is_ok());
        if is_sent {
            return Ok(());
        }
        // The writer has ended before its time.
        self.result()?;
        bail!("the recording has ended already")
    }

    /// A frame to be filled; a new one if the writer has ended, which is noticed later.
    fn room(&mut self, may_wait: impl Fn() -> bool) -> Option<Seen> {
        match self.written.try_recv() {
            Ok(written) => return Some(written),
            Err(TryRecvError::Disconnected) => return Some(Seen::default()),
            Err(TryRecvError::Empty) => {}
        }
        if self.frames < MOST_WAITING {
            self.frames += 1;
            return Some(Seen::default());
        }
        while may_wait() {
            match self.written.recv_timeout(GLANCE) {
                Ok(written) => return Some(written),
                Err(RecvTimeoutError::Disconnected) => return Some(Seen::default()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        None
    }

    /// Nothing more is to come: the file is ended, which takes a while.
    pub(super) fn close(&mut self) {
        self.to_writer = None;
    }

    /// Whether the file is ended, or failed.
    pub(super) fn is_over(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of the file, and says what became of it; while it `is_urgent`, no longer than the encoder goes on.
    ///
    /// # Errors
    /// If it can't be written or ended.
    pub(super) fn finish(mut self, is_urgent: &dyn Fn() -> bool) -> Result<Recorded> {
        self.close();
        let part = self.part.as_ref().map_or_else(|| "the file".into(), |part| part.display().to_string());
        let start = Instant::now();
        let (mut went_on, mut is_told) = (start, false);
        while !self.is_over() {
            if self.written.try_iter().count() > 0 || !is_urgent() {
                went_on = Instant::now();
            } else if start.elapsed() > TOLD_AFTER && !std::mem::replace(&mut is_told, true) {
                say(&format!("awing: {part} is being ended; Ctrl-C again leaves it as it is"));
            }
            if went_on.elapsed() > LONGEST_REST {
                bail!("{part} is left as it is: its encoder has stopped");
            }
            thread::sleep(GLANCE);
        }
        Ok(Recorded { is_saved: self.result()?, left_out: self.left_out })
    }

    fn result(&mut self) -> Result<bool> {
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(written)) => Ok(written?),
            Some(Err(_)) => Err(anyhow!("recording broke off: please report this")),
            None => Ok(false),
        }
    }
}

/// What the thread does.
fn write(
    mut recorder: Recorder,
    mut painter: Painter,
    from_tracking: &Receiver<Seen>,
    give_back: &Sender<Seen>,
) -> Result<bool, CaptureError> {
    for seen in from_tracking {
        if let Some(rate) = seen.frames_per_second {
            recorder.set_frames_per_second(rate);
        }
        recorder.add(painter.paint_frame(&seen.frame, &seen.faces), seen.number, seen.time_s)?;
        // Nobody may want it any more.
        let _ = give_back.send(seen);
    }
    recorder.finish()
}

impl Recorded {
    /// What a person should know besides: nothing, if all went well.
    pub(super) fn remark(self) -> String {
        match self.left_out {
            0 => String::new(),
            1 => " (without a frame that came too fast for the encoder)".into(),
            n => format!(" (without {n} frames that came too fast for the encoder)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use image::AnimationDecoder;
    use std::fs::{self, File};
    use std::path::Path;

    fn begin(path: &Path) -> Recording {
        Recording::begin(Recorder::create(path).unwrap(), Painter::default()).unwrap()
    }

    /// Records ten frames a second as fast as they can be made, of which all but the last may be left out.
    fn record(path: &Path, count: u64, may_wait: bool) -> Recorded {
        let mut recording = begin(path);
        for number in 0..count {
            let frame = Frame::filled(640, 480, [number as u8, 90, 200]);
            let time_s = number as f64 / 10.0;
            let seen = Seen { number, frame, time_s, frames_per_second: Some(10.0), ..Seen::default() };
            recording.add(&seen, || may_wait || number + 1 == count).unwrap();
        }
        recording.finish(&|| false).unwrap()
    }

    /// How long each picture is shown, in milliseconds.
    fn delays(path: &Path) -> Vec<u32> {
        let file = std::io::BufReader::new(File::open(path).unwrap());
        let frames = image::codecs::gif::GifDecoder::new(file).unwrap().into_frames();
        frames.map(|frame| frame.unwrap().delay().numer_denom_ms().0).collect()
    }

    #[test]
    fn a_source_that_waits_has_every_frame_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.gif");
        assert_eq!(record(&path, 3 * MOST_WAITING as u64, true), Recorded { is_saved: true, left_out: 0 });
        assert_eq!(delays(&path), [100; 3 * MOST_WAITING]);
    }

    #[test]
    fn what_a_slow_encoder_has_no_room_for_is_left_out_and_the_time_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.gif");
        let recorded = record(&path, 60, false);
        assert!(recorded.left_out > 0 && recorded.remark().contains("without"), "{recorded:?}");
        let delays = delays(&path);
        assert_eq!(delays.len() as u64, 60 - recorded.left_out);
        assert_eq!(delays.iter().sum::<u32>(), 60 * 100, "{delays:?}");
    }

    #[test]
    fn pictures_in_a_folder_have_the_numbers_of_their_frames() {
        let folder = tempfile::tempdir().unwrap();
        let recorded = record(folder.path(), 60, false);
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort_unstable();
        assert_eq!(names.len() as u64, 60 - recorded.left_out);
        assert_eq!(names.last().unwrap(), "frame_000059.png");
    }

    #[test]
    fn without_a_frame_there_is_no_recording_and_an_error_of_the_writer_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        assert!(!record(&pictures, 0, true).is_saved);
        let mut recording = begin(&pictures);
        fs::remove_dir(&pictures).unwrap();
        let seen = Seen { frame: Frame::filled(32, 24, [1; 3]), ..Seen::default() };
        let error = (0..1000).find_map(|_| recording.add(&seen, || true).err()).expect("there is no folder any more");
        assert!(format!("{error:#}").contains("frame_000000.png"), "{error:#}");
        assert!(recording.is_over());
    }
}
