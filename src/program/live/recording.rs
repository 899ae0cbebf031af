//! A recording, drawn and written by its own thread.
//!
//! In: tracked frames. Out: the file of a [`Recorder`], with the faces drawn in. A few frames queue for the thread;
//! while the queue is full, a camera's frames are skipped, so a slow encoder never delays tracking. The recording keeps
//! its timing: the frame before a skipped one is shown for longer.

use super::frame::TrackedFrame;
use super::painter::Painter;
use crate::program::capture::{CaptureError, Recorder};
use crate::program::console::say;
use anyhow::{Result, anyhow, bail};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most frames between the two threads: enough for the time in which an encoder starts or pauses.
const QUEUE_LENGTH: usize = 16;
/// How often a waiting thread checks whether it still has to wait.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long after a request for the end a message says what awing waits for.
const REPORT_AFTER: Duration = Duration::from_millis(300);
/// After a request for the end, an encoder that takes no frame for this long is abandoned.
const ENCODER_TIMEOUT: Duration = Duration::from_secs(5);

/// A running recording.
pub(super) struct Recording {
    /// The name of the file until it is complete.
    part: Option<PathBuf>,
    /// `None` once it is closed.
    to_writer: Option<Sender<TrackedFrame>>,
    /// Written frames for reuse.
    written: Receiver<TrackedFrame>,
    /// How many frames there are, queued or written.
    frames: usize,
    /// `None` once it was joined.
    writer: Option<JoinHandle<Result<bool, CaptureError>>>,
    skipped: u64,
}

/// The result of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// False if there was no frame.
    pub is_saved: bool,
    /// Frames for which the encoder was too slow.
    pub skipped: u64,
}

impl Recording {
    /// Starts one with the painter's layers drawn in.
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
        Ok(Self { part, to_writer: Some(to_writer), written, frames: 0, writer: Some(writer), skipped: 0 })
    }

    /// Adds a frame, or skips it if the queue is full and it may not wait, or not any longer.
    ///
    /// # Errors
    /// The error of an earlier frame.
    pub(super) fn add(&mut self, frame: &TrackedFrame, may_wait: impl Fn() -> bool) -> Result<()> {
        let Some(mut copy) = self.room(may_wait) else {
            self.skipped += 1;
            return Ok(());
        };
        copy.frame.clone_from(&frame.frame);
        copy.set_faces(&frame.faces);
        copy.signals.clone_from(&frame.signals);
        (copy.number, copy.time_s, copy.frames_per_second) = (frame.number, frame.time_s, frame.frames_per_second);
        copy.picture.clone_from(&frame.picture);
        let is_sent = self.to_writer.as_ref().is_some_and(|to_writer| to_writer.send(copy).is_ok());
        if is_sent {
            return Ok(());
        }
        // The writer has failed.
        self.result()?;
        bail!("the recording has ended already")
    }

    /// A frame to be filled; a new one if the writer has ended, which is noticed later.
    fn room(&mut self, may_wait: impl Fn() -> bool) -> Option<TrackedFrame> {
        match self.written.try_recv() {
            Ok(written) => return Some(written),
            Err(TryRecvError::Disconnected) => return Some(TrackedFrame::default()),
            Err(TryRecvError::Empty) => {}
        }
        if self.frames < QUEUE_LENGTH {
            self.frames += 1;
            return Some(TrackedFrame::default());
        }
        while may_wait() {
            match self.written.recv_timeout(POLL_INTERVAL) {
                Ok(written) => return Some(written),
                Err(RecvTimeoutError::Disconnected) => return Some(TrackedFrame::default()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        None
    }

    /// Whether [`Self::add`] has failed, so that there is nothing to finish.
    pub(super) fn has_failed(&self) -> bool {
        self.writer.is_none()
    }

    /// Starts to finish the file, which takes a while.
    pub(super) fn close(&mut self) {
        self.to_writer = None;
    }

    /// Whether the file is finished, or has failed.
    pub(super) fn is_finished(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the file is finished. While it `is_urgent`, it waits only as long as the encoder keeps taking
    /// frames.
    ///
    /// # Errors
    /// If the file can't be written or finished.
    pub(super) fn finish(mut self, is_urgent: &dyn Fn() -> bool) -> Result<Recorded> {
        self.close();
        let part = self.part.as_ref().map_or_else(|| "the file".into(), |part| part.display().to_string());
        let start = Instant::now();
        let (mut last_progress, mut is_reported) = (start, false);
        while !self.is_finished() {
            if self.written.try_iter().count() > 0 || !is_urgent() {
                last_progress = Instant::now();
            } else if start.elapsed() > REPORT_AFTER && !std::mem::replace(&mut is_reported, true) {
                say(&format!("awing: {part} is being ended; Ctrl-C again leaves it as it is"));
            }
            if last_progress.elapsed() > ENCODER_TIMEOUT {
                bail!("{part} is left as it is: its encoder has stopped");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(Recorded { is_saved: self.result()?, skipped: self.skipped })
    }

    fn result(&mut self) -> Result<bool> {
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(written)) => Ok(written?),
            Some(Err(_)) => Err(anyhow!("the recording failed unexpectedly: please report this")),
            None => Ok(false),
        }
    }
}

/// The work of the thread.
fn write(
    mut recorder: Recorder,
    mut painter: Painter,
    from_tracking: &Receiver<TrackedFrame>,
    give_back: &Sender<TrackedFrame>,
) -> Result<bool, CaptureError> {
    for tracked in from_tracking {
        if let Some(rate) = tracked.frames_per_second {
            recorder.set_frames_per_second(rate);
        }
        let TrackedFrame { number, time_s, picture, .. } = &tracked;
        let painted = painter.paint_frame(&tracked.frame, &tracked.faces, &tracked.signals);
        recorder.add(painted, *number, *time_s, picture.as_deref())?;
        // A recording that is being finished takes none back.
        let _ = give_back.send(tracked);
    }
    recorder.finish()
}

impl Recorded {
    /// The addition to the message that it is saved: empty if no frame was skipped.
    pub(super) fn remark(self) -> String {
        match self.skipped {
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

    /// Records ten frames a second as fast as they can be made, of which all but the last may be skipped.
    fn record(path: &Path, count: u64, may_wait: bool) -> Recorded {
        let mut recording = begin(path);
        for number in 0..count {
            let frame = Frame::filled(640, 480, [number as u8, 90, 200]);
            let time_s = number as f64 / 10.0;
            let seen = TrackedFrame { number, frame, time_s, frames_per_second: Some(10.0), ..TrackedFrame::default() };
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
        assert_eq!(record(&path, 3 * QUEUE_LENGTH as u64, true), Recorded { is_saved: true, skipped: 0 });
        assert_eq!(delays(&path), [100; 3 * QUEUE_LENGTH]);
    }

    #[test]
    fn what_a_slow_encoder_has_no_room_for_is_skipped_and_the_time_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.gif");
        let recorded = record(&path, 60, false);
        assert!(recorded.skipped > 0 && recorded.remark().contains("without"), "{recorded:?}");
        let delays = delays(&path);
        assert_eq!(delays.len() as u64, 60 - recorded.skipped);
        assert_eq!(delays.iter().sum::<u32>(), 60 * 100, "{delays:?}");
    }

    #[test]
    fn pictures_in_a_folder_have_the_numbers_of_their_frames() {
        let folder = tempfile::tempdir().unwrap();
        let recorded = record(folder.path(), 60, false);
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort_unstable();
        assert_eq!(names.len() as u64, 60 - recorded.skipped);
        assert_eq!(names.last().unwrap(), "frame_000059.png");
    }

    #[test]
    fn without_a_frame_there_is_no_recording_and_an_error_of_the_writer_is_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        fs::create_dir(&pictures).unwrap();
        assert!(!record(&pictures, 0, true).is_saved);
        let mut recording = begin(&pictures);
        fs::remove_dir(&pictures).unwrap();
        let seen = TrackedFrame { frame: Frame::filled(32, 24, [1; 3]), ..TrackedFrame::default() };
        let error = (0..1000).find_map(|_| recording.add(&seen, || true).err()).expect("there is no folder any more");
        assert!(format!("{error:#}").contains("frame_000000.png"), "{error:#}");
        assert!(recording.is_finished() && recording.has_failed());
    }
}
