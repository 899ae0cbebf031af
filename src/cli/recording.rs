//! A recording, drawn and written by a thread of its own.
//!
//! In: what is seen. Out: the file of a [`Recorder`], with the faces drawn in. A few frames wait for the thread at most.
//! Where frames come at their own pace, one for which there is no room is left out, so that an encoder never holds up
//! tracking; the recording keeps its time and shows the frame before it for longer. Other sources wait.

use super::live::Seen;
use super::painter::Painter;
use crate::capture::{CaptureError, Recorder};
use anyhow::{Result, anyhow, bail};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// Frames on the way between the two threads: what comes while the encoder takes a breath.
const MOST_WAITING: usize = 8;

/// A recording that is going on.
pub(super) struct Recording {
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
        let writer = thread::Builder::new()
            .name("recording".into())
            .spawn(move || write(recorder, painter, &from_tracking, &give_back))?;
        Ok(Self { to_writer: Some(to_writer), written, frames: 0, writer: Some(writer), left_out: 0 })
    }

    /// Adds what is seen. With `may_leave_out` it never waits.
    ///
    /// # Errors
    /// What ended the writing of an earlier frame.
    pub(super) fn add(&mut self, seen: &Seen, may_leave_out: bool) -> Result<()> {
        let mut copy = match self.written.try_recv() {
            Ok(written) => written,
            Err(_) if self.frames < MOST_WAITING => {
                self.frames += 1;
                Seen::default()
            }
            Err(mpsc::TryRecvError::Empty) if may_leave_out => {
                self.left_out += 1;
                return Ok(());
            }
            Err(_) => match self.written.recv() {
                Ok(written) => written,
                Err(_) => return self.failed(),
            },
        };
        copy.frame.clone_from(&seen.frame);
        copy.set_faces(&seen.faces);
        copy.time_s = seen.time_s;
        let is_sent = self.to_writer.as_ref().is_some_and(|to_writer| to_writer.send(copy).is_ok());
        if is_sent { Ok(()) } else { self.failed() }
    }

    /// Nothing more is to come: the file is ended, which takes a while.
    pub(super) fn close(&mut self) {
        self.to_writer = None;
    }

    /// Whether the file is ended, or failed.
    pub(super) fn is_over(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of the file, and says what became of it.
    ///
    /// # Errors
    /// If it can't be written or ended.
    pub(super) fn finish(mut self) -> Result<Recorded> {
        Ok(Recorded { is_saved: self.wait()?, left_out: self.left_out })
    }

    /// The writer has ended before its time.
    fn failed(&mut self) -> Result<()> {
        self.wait()?;
        bail!("it has ended already")
    }

    fn wait(&mut self) -> Result<bool> {
        self.close();
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(written)) => Ok(written?),
            Some(Err(_)) => Err(anyhow!("recording broke off: please report this")),
            None => Ok(false),
        }
    }
}

impl Drop for Recording {
    /// One that is dropped in another's error is whole all the same.
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = self.wait();
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
        recorder.add(painter.paint_frame(&seen.frame, &seen.faces), seen.time_s)?;
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
            n => format!(" (without {n} frames, for which the encoder was too slow)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Frame;
    use image::AnimationDecoder;
    use std::fs::{self, File};
    use std::path::Path;

    /// Frames a second.
    const RATE: f64 = 10.0;

    /// Records frames as fast as they can be made, of which all but the last may be left out.
    fn record(path: &Path, count: u64, may_leave_out: bool) -> Result<Recorded> {
        let mut recording = Recording::begin(Recorder::create(path, Some(RATE))?, Painter::default())?;
        let mut seen = Seen::default();
        for number in 0..count {
            seen.frame = Frame::filled(640, 480, [number as u8, 90, 200]);
            seen.time_s = number as f64 / RATE;
            recording.add(&seen, may_leave_out && number + 1 < count)?;
        }
        recording.finish()
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
        let recorded = record(&path, 3 * MOST_WAITING as u64, false).unwrap();
        assert_eq!(recorded, Recorded { is_saved: true, left_out: 0 });
        assert_eq!(delays(&path), [100; 3 * MOST_WAITING]);
    }

    #[test]
    fn what_a_slow_encoder_has_no_room_for_is_left_out_and_the_time_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.gif");
        let recorded = record(&path, 40, true).unwrap();
        assert!(recorded.left_out > 0 && recorded.remark().contains("without"), "{recorded:?}");
        let delays = delays(&path);
        assert_eq!(delays.len() as u64, 40 - recorded.left_out);
        assert_eq!(delays.iter().sum::<u32>(), 40 * 100, "{delays:?}");
    }

    #[test]
    fn without_a_frame_there_is_no_recording_and_an_error_of_the_writer_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        assert!(!record(&pictures, 0, true).unwrap().is_saved);
        let mut recording = Recording::begin(Recorder::create(&pictures, None).unwrap(), Painter::default()).unwrap();
        fs::remove_dir(&pictures).unwrap();
        let seen = Seen { frame: Frame::filled(32, 24, [1; 3]), ..Seen::default() };
        let error = (0..1000).find_map(|_| recording.add(&seen, false).err()).expect("there is no folder any more");
        assert!(format!("{error:#}").contains("frame_000000.png"), "{error:#}");
    }
}
