//! Recordings: annotated videos and pictures.
//!
//! In: frames with their numbers and times in seconds. Out: an `.mp4` (or another video, through the program `ffmpeg`)
//! that keeps these times (except `.avi`, whose frames are evenly spaced) and states its colour matrix and range, an
//! animated `.gif` (without ffmpeg), a picture of the last frame, or a folder with a picture of each frame under its
//! original name ([`CopyNames`]). A file gets its name when it is complete; until then, and after a crash, it is
//! `NAME.part.mp4`.

use super::ffmpeg::{self, Complaint, Complaints};
use super::{CaptureError, CopyNames, nut};
use crate::program::console::say;
use crate::runtime::image::Frame;
use image::codecs::gif::{GifEncoder, Repeat};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Endings of the names of videos that `ffmpeg` writes.
pub(super) const VIDEO_ENDINGS: [&str; 5] = ["mp4", "mkv", "mov", "webm", "avi"];
/// The frame rate of a video whose source has none.
const DEFAULT_RATE: f64 = 30.0;
/// A longer pause of the source is cut from the recording, in seconds.
const MAX_PAUSE_S: f64 = 5.0;
/// The same limit for a pause because the recorder skipped frames, in seconds.
const MAX_GAP_S: f64 = 60.0;
/// Limit of the frames per second of an animated GIF; most viewers slow down faster ones.
const MAX_GIF_RATE: f64 = 20.0;
/// Frames of a recording are at least this far apart, in seconds: the unit of time of some containers.
const SHORTEST_S: f64 = 0.001;
/// Units of time of a video in a second: a multiple of the usual rates, and few enough for every encoder.
const TIME_SCALE: &str = "60000";
const TIME_BASE: &str = "1:60000";
/// More bytes than any pipe holds: once as many are written, ffmpeg has read some.
const LARGEST_PIPE: usize = 2 << 20;
/// Trades the quality of a GIF's colours for speed, 1..=30 (fastest).
const GIF_SPEED: i32 = 30;

/// The comment in a video or a GIF that awing wrote.
const COMMENT: &str = "annotated by awing";
/// The last byte of a GIF.
const GIF_TRAILER: u8 = 0x3b;

/// Writes annotated frames to a file.
pub struct Recorder {
    path: PathBuf,
    frames_per_second: f64,
    sink: Sink,
    names: CopyNames,
}

enum Sink {
    Picture(Frame),
    /// Number of pictures written so far.
    Folder(u64),
    /// A video or GIF that starts with its first frame, which has its size.
    Pending(Kind),
    Video(Video),
    Gif(Gif),
}

#[derive(Clone, Copy)]
enum Kind {
    Video,
    Gif,
}

impl Recorder {
    /// A recorder for `path`. A folder is made if it is not there.
    ///
    /// # Errors
    /// [`CaptureError::UnknownEnding`], [`CaptureError::MissingFolder`], [`CaptureError::Write`] for a folder, and
    /// [`CaptureError::NoFfmpeg`] for a video if ffmpeg is not installed.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let ending = ending(path);
        let recorder = |sink| {
            let (path, names) = (path.to_owned(), CopyNames::default());
            Self { path, frames_per_second: DEFAULT_RATE, sink, names }
        };
        if Self::is_folder(path) {
            fs::create_dir_all(path).map_err(|source| CaptureError::Write { path: path.to_owned(), source })?;
            return Ok(recorder(Sink::Folder(0)));
        }
        let sink = match ending.as_str() {
            "png" | "jpg" | "jpeg" => Sink::Picture(Frame::default()),
            "gif" => Sink::Pending(Kind::Gif),
            other if VIDEO_ENDINGS.contains(&other) => {
                if !ffmpeg::is_there() {
                    let otherwise = ". A .gif or a picture needs no ffmpeg";
                    return Err(CaptureError::NoFfmpeg { path: path.to_owned(), otherwise });
                }
                Sink::Pending(Kind::Video)
            }
            _ => return Err(CaptureError::UnknownEnding { path: path.to_owned() }),
        };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
            return Err(CaptureError::MissingFolder { path: path.to_owned(), folder: folder.to_owned() });
        }
        Ok(recorder(sink))
    }

    /// Whether `path` is a folder, or ends as one that is to be made.
    pub fn is_folder(path: &Path) -> bool {
        let ends_as_one = |bytes: &[u8]| bytes.last().is_some_and(|&byte| std::path::is_separator(byte.into()));
        path.is_dir() || ends_as_one(path.as_os_str().as_encoded_bytes())
    }

    /// Whether a video or a GIF that begins and ends like this was made by a recorder. A video has its metadata at its
    /// beginning.
    pub fn has_made(beginning: &[u8], end: &[u8]) -> bool {
        let has_comment = || beginning.windows(COMMENT.len()).any(|bytes| bytes == COMMENT.as_bytes());
        if beginning.starts_with(b"GIF8") { end.ends_with(&gif_end()) } else { has_comment() }
    }

    /// Sets the rate of the source; without effect once the first frame was added. The default is 30 frames per second.
    pub fn set_frames_per_second(&mut self, rate: f64) {
        if rate.is_finite() && rate > 0.0 {
            self.frames_per_second = rate;
        }
    }

    /// The name of a video or GIF until it is complete.
    pub fn part(&self) -> Option<PathBuf> {
        matches!(self.sink, Sink::Pending(_) | Sink::Video(_) | Sink::Gif(_)).then(|| part_of(&self.path))
    }

    /// The same for a path of which no recorder was made yet.
    pub fn part_of(path: &Path) -> Option<PathBuf> {
        let ending = ending(path);
        let is_video = ending == "gif" || VIDEO_ENDINGS.contains(&ending.as_str());
        (is_video && !Self::is_folder(path)).then(|| part_of(path))
    }

    /// Adds the frame with this number (from 0) and time in seconds. Numbers may be skipped. `picture`: the name of its
    /// file, for a frame that is one.
    ///
    /// # Errors
    /// [`CaptureError::Write`].
    pub fn add(&mut self, frame: &Frame, number: u64, time_s: f64, picture: Option<&str>) -> Result<(), CaptureError> {
        let added = match &mut self.sink {
            Sink::Picture(last) => {
                last.clone_from(frame);
                Ok(())
            }
            Sink::Folder(count) => {
                let name = picture.map_or_else(|| format!("frame_{number:06}.png"), |picture| self.names.of(picture));
                *count += 1;
                return Ok(frame.save(&self.path.join(name))?);
            }
            Sink::Pending(kind) => match kind {
                Kind::Video => Video::begin(&self.path, frame, self.frames_per_second, time_s).map(Sink::Video),
                Kind::Gif => Gif::begin(&self.path, frame, self.frames_per_second, time_s).map(Sink::Gif),
            }
            .and_then(|begun| {
                self.sink = begun;
                self.sink.add_to_video(frame, number, time_s)
            }),
            Sink::Video(_) | Sink::Gif(_) => self.sink.add_to_video(frame, number, time_s),
        };
        added.map_err(|error| self.failed(error))
    }

    /// Completes the file and gives it its name; false if there was no frame to save.
    ///
    /// # Errors
    /// [`CaptureError::Write`].
    pub fn finish(mut self) -> Result<bool, CaptureError> {
        let finished = match std::mem::replace(&mut self.sink, Sink::Folder(0)) {
            Sink::Picture(last) if last.width() > 0 => return Ok(last.save(&self.path).map(|()| true)?),
            Sink::Picture(_) | Sink::Pending(_) | Sink::Folder(0) => return Ok(false),
            Sink::Folder(_) => Ok(()),
            Sink::Video(video) => video.finish(),
            Sink::Gif(gif) => gif.finish(&self.path),
        };
        finished.map(|()| true).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> CaptureError {
        CaptureError::Write { path: self.path.clone(), source }
    }
}

impl Sink {
    fn add_to_video(&mut self, frame: &Frame, number: u64, time_s: f64) -> io::Result<()> {
        match self {
            Self::Video(video) => video.add(frame, number, time_s),
            Self::Gif(gif) => gif.add(frame, number, time_s),
            Self::Picture(_) | Self::Folder(_) | Self::Pending(_) => Ok(()),
        }
    }
}

/// The ending of a name in lower case.
fn ending(path: &Path) -> String {
    path.extension().and_then(OsStr::to_str).unwrap_or("").to_lowercase()
}

/// `video.mp4` while it is written: `video.part.mp4`.
fn part_of(path: &Path) -> PathBuf {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.with_extension(format!("part.{ending}"))
}

/// Maps the times of frames to those of a recording, which begins at 0 and has neither jumps nor long pauses.
struct Timeline {
    /// The time of the source at which the recording begins.
    start_s: f64,
    rate: f64,
    /// Number and time of the last frame, and its time in the recording.
    last: Option<(u64, f64, f64)>,
}

impl Timeline {
    fn new(start_s: f64, rate: f64) -> Self {
        Self { start_s, rate, last: None }
    }

    /// The time in the recording of the frame with this number and time.
    fn time(&mut self, number: u64, time_s: f64) -> f64 {
        let mut recorded_s = time_s - self.start_s;
        if let Some((last_number, last_s, last_recorded_s)) = self.last {
            let longest_s = if number == last_number + 1 { MAX_PAUSE_S } else { MAX_GAP_S };
            if !(0.0..=longest_s).contains(&(time_s - last_s)) {
                // The clock jumped: continue with the next frame of the recording.
                recorded_s = last_recorded_s + 1.0 / self.rate;
                self.start_s = time_s - recorded_s;
            }
            recorded_s = recorded_s.max(last_recorded_s + SHORTEST_S);
        }
        self.last = Some((number, time_s, recorded_s));
        recorded_s
    }
}

/// Maps the times of frames to the evenly spaced frames of a recording.
struct Clock {
    timeline: Timeline,
    written: u64,
}

impl Clock {
    fn new(start_s: f64, rate: f64) -> Self {
        Self { timeline: Timeline::new(start_s, rate), written: 0 }
    }

    /// How often to write the frame with this number and time, so that the recording keeps time: 0 if frames come
    /// faster than the recording's rate, more than 1 after a pause or skipped frames.
    fn repeats(&mut self, number: u64, time_s: f64) -> u64 {
        let due = (self.timeline.time(number, time_s) * self.timeline.rate).round() as u64 + 1;
        let repeats = due.saturating_sub(self.written);
        self.written += repeats;
        repeats
    }
}

/// A video that an `ffmpeg` process writes.
struct Video {
    path: PathBuf,
    rate: f64,
    encoder: Encoder,
    /// All that was written so far, until ffmpeg has certainly read some of it, and so accepted its options.
    beginning: Option<Vec<u8>>,
    size: (usize, usize),
    timeline: Timeline,
}

/// The process.
struct Encoder {
    process: Child,
    complaints: Complaints,
    pictures: Option<ChildStdin>,
}

impl Encoder {
    fn start(path: &Path, rate: f64, frame_times: &str) -> io::Result<Self> {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
        command.args(["-f", "nut", "-i", "pipe:0"]);
        let is_one_of =
            |endings: &[&str]| endings.iter().any(|e| path.extension().is_some_and(|p| p.eq_ignore_ascii_case(e)));
        let is_avi = is_one_of(&["avi"]);
        if is_avi {
            // The only one of these formats without time stamps and colour information.
            command.args([frame_times, "cfr", "-r", &format!("{rate}")]);
        } else {
            command.args([frame_times, "passthrough", "-enc_time_base", TIME_BASE]);
            command.args(["-color_primaries", "bt709", "-color_trc", "bt709"]);
            command.args(["-colorspace", "bt709", "-color_range", "tv"]);
        }
        let matrix = if is_avi { "bt601" } else { "bt709" };
        if is_one_of(&["mp4", "mov"]) {
            // Frames that are stored in another order than they are shown would move the beginning.
            command.args(["-video_track_timescale", TIME_SCALE, "-bf", "0"]);
            // In fragments of a second, so that the file can be played even if ffmpeg is killed.
            command.args(["-movflags", "+frag_keyframe+empty_moov", "-force_key_frames", "expr:gte(t,n_forced)"]);
        }
        if is_one_of(&["mp4", "mov", "mkv"]) {
            // Tracking needs the CPU more than the file needs to be small, and encoding has to end quickly.
            command.args(["-preset", "veryfast"]);
        }
        if is_one_of(&["webm"]) {
            command.args(["-deadline", "realtime", "-cpu-used", "8"]);
        }
        // Most players require chroma at half the resolution, which requires even sides.
        let filters =
            format!("pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p");
        command.args(["-metadata", &format!("comment={COMMENT}")]);
        command.args(["-vf", &filters, "-an"]).arg(ffmpeg::file(&part_of(path)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        ffmpeg::shield_from_ctrl_c(&mut command);
        let mut process = command.spawn()?;
        let (complaints, pictures) = (Complaints::of(&mut process), process.stdin.take());
        Ok(Self { process, complaints, pictures })
    }

    /// False if it reads no more.
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.pictures.as_mut().is_some_and(|pictures| pictures.write_all(bytes).is_ok())
    }

    /// Waits for its end: whether it succeeded, and what it complained about.
    fn end(&mut self) -> (bool, Complaint) {
        self.pictures = None;
        let has_succeeded = self.process.wait().is_ok_and(|status| status.success());
        (has_succeeded, self.complaints.all())
    }
}

impl Drop for Encoder {
    /// After an error, ffmpeg still completes the partial file.
    fn drop(&mut self) {
        self.end();
    }
}

impl Video {
    fn begin(path: &Path, frame: &Frame, rate: f64, time_s: f64) -> io::Result<Self> {
        let size = (frame.width(), frame.height());
        let encoder = Encoder::start(path, rate, ffmpeg::FRAME_TIMES)?;
        let (path, beginning, timeline) = (path.to_owned(), Some(Vec::new()), Timeline::new(time_s, rate));
        let mut video = Self { path, rate, encoder, beginning, size, timeline };
        video.write(&nut::headers(size))?;
        Ok(video)
    }

    fn add(&mut self, frame: &Frame, number: u64, time_s: f64) -> io::Result<()> {
        let resized;
        let frame = if (frame.width(), frame.height()) == self.size {
            frame
        } else {
            resized = fitted(frame, self.size)?;
            &resized
        };
        let start = nut::frame_start(self.timeline.time(number, time_s), frame.rgb().len());
        self.write(&start)?;
        self.write(frame.rgb())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(beginning) = &mut self.beginning {
            beginning.extend_from_slice(bytes);
        }
        if !self.encoder.write(bytes) {
            let (_, complaint) = self.encoder.end();
            self.start_again(&complaint)?;
        }
        self.beginning = self.beginning.take().filter(|beginning| beginning.len() < LARGEST_PIPE);
        Ok(())
    }

    /// After a failure: starts an older version of ffmpeg with the name that it has for an option.
    fn start_again(&mut self, complaint: &Complaint) -> io::Result<()> {
        let beginning = self.beginning.take().filter(|_| complaint.mentions(ffmpeg::FRAME_TIMES));
        let Some(beginning) = beginning else { return Err(self.failed(complaint)) };
        self.encoder = Encoder::start(&self.path, self.rate, ffmpeg::OLD_FRAME_TIMES)?;
        match self.encoder.write(&beginning) {
            true => Ok(()),
            false => {
                let (_, complaint) = self.encoder.end();
                Err(self.failed(&complaint))
            }
        }
    }

    fn failed(&self, complaint: &Complaint) -> io::Error {
        let (said, part) = (complaint.of_writing_in_words(), part_of(&self.path));
        let kept = if part.exists() { format!("; what was written is in {}", part.display()) } else { String::new() };
        io::Error::other(format!("ffmpeg failed: {said}{kept}"))
    }

    fn finish(mut self) -> io::Result<()> {
        let (mut has_succeeded, mut complaint) = self.encoder.end();
        if !has_succeeded {
            self.start_again(&complaint)?;
            (has_succeeded, complaint) = self.encoder.end();
        }
        if !has_succeeded {
            return Err(self.failed(&complaint));
        }
        if !complaint.is_empty() {
            say(&format!("awing: {} may be damaged: {}", self.path.display(), complaint.of_writing_in_words()));
        }
        fs::rename(part_of(&self.path), &self.path)
    }
}

/// An animated GIF.
struct Gif {
    encoder: GifEncoder<BufWriter<File>>,
    part: PathBuf,
    size: (usize, usize),
    clock: Clock,
    /// The frame that is shown until the next, and for how many frames of the recording so far.
    shown: Option<(image::RgbaImage, u64)>,
    /// Frames of the recording that are written, and their time in hundredths of a second, in which GIF counts.
    written: u64,
    written_hundredths: u64,
}

impl Gif {
    fn begin(path: &Path, frame: &Frame, rate: f64, time_s: f64) -> io::Result<Self> {
        let (part, rate) = (part_of(path), rate.min(MAX_GIF_RATE));
        let mut encoder = GifEncoder::new_with_speed(BufWriter::new(File::create(&part)?), GIF_SPEED);
        encoder.set_repeat(Repeat::Infinite).map_err(io::Error::other)?;
        let size = (frame.width(), frame.height());
        Ok(Self {
            encoder,
            part,
            size,
            clock: Clock::new(time_s, rate),
            shown: None,
            written: 0,
            written_hundredths: 0,
        })
    }

    fn add(&mut self, frame: &Frame, number: u64, time_s: f64) -> io::Result<()> {
        let repeats = self.clock.repeats(number, time_s);
        if repeats == 0 {
            return Ok(());
        }
        // The frame before a pause is shown longer.
        if let Some((_, long)) = &mut self.shown {
            *long += repeats - 1;
        }
        self.write_shown()?;
        let frame = if (frame.width(), frame.height()) == self.size { frame } else { &fitted(frame, self.size)? };
        let rgba = frame.rgb().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
        let picture = image::RgbaImage::from_raw(self.size.0 as u32, self.size.1 as u32, rgba);
        self.shown = picture.map(|p| (p, 1));
        Ok(())
    }

    fn write_shown(&mut self) -> io::Result<()> {
        if let Some((picture, long)) = self.shown.take() {
            self.written += long;
            let end = (100.0 * self.written as f64 / self.clock.timeline.rate).round() as u64;
            let hundredths = end - std::mem::replace(&mut self.written_hundredths, end);
            let delay = image::Delay::from_numer_denom_ms(10 * hundredths as u32, 1);
            let shown = image::Frame::from_parts(picture, 0, 0, delay);
            self.encoder.encode_frame(shown).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn finish(mut self, path: &Path) -> io::Result<()> {
        self.write_shown()?;
        let Self { encoder, part, .. } = self;
        drop(encoder);
        // The encoder writes the trailer when it is dropped and cannot report an error.
        let mut file = File::options().read(true).write(true).open(&part)?;
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != [GIF_TRAILER] {
            return Err(io::Error::other("its end could not be written; is the disk full?"));
        }
        file.seek(SeekFrom::End(-1))?;
        file.write_all(&gif_end())?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        Ok(())
    }
}

/// The end of a GIF: a comment and the trailer.
fn gif_end() -> Vec<u8> {
    const COMMENT_LABEL: [u8; 2] = [0x21, 0xfe];
    [&COMMENT_LABEL[..], &[COMMENT.len() as u8], COMMENT.as_bytes(), &[0, GIF_TRAILER]].concat()
}

/// The frame, scaled to fit the size of the recording, with black borders.
fn fitted(frame: &Frame, (width, height): (usize, usize)) -> io::Result<Frame> {
    let scale = (width as f32 / frame.width() as f32).min(height as f32 / frame.height() as f32);
    let of = |length: usize, most: usize| ((length as f32 * scale).round() as u32).clamp(1, most as u32);
    let (w, h) = (of(frame.width(), width), of(frame.height(), height));
    let view =
        image::ImageBuffer::<image::Rgb<u8>, _>::from_raw(frame.width() as u32, frame.height() as u32, frame.rgb())
            .ok_or_else(|| io::Error::other("an empty frame cannot be saved"))?;
    let small = image::imageops::thumbnail(&view, w, h);
    let mut canvas = image::RgbImage::new(width as u32, height as u32);
    let (left, top) = ((width as i64 - i64::from(w)) / 2, (height as i64 - i64::from(h)) / 2);
    image::imageops::replace(&mut canvas, &small, left, top);
    Frame::from_rgb(width, height, canvas.into_raw()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::AnimationDecoder;

    fn record(path: &Path, frames: u64) -> Result<bool, CaptureError> {
        let mut recorder = Recorder::create(path)?;
        recorder.set_frames_per_second(10.0);
        for i in 0..frames {
            recorder.add(&Frame::filled(33, 21, [20 * i as u8, 90, 200]), i, 5.0 + i as f64 * 0.1, None)?;
        }
        recorder.finish()
    }

    /// Records frames of these times as a GIF; how long each is shown in it, in milliseconds.
    fn delays_ms(rate: f64, times_s: impl IntoIterator<Item = f64>) -> Vec<u32> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faces.gif");
        let mut recorder = Recorder::create(&path).unwrap();
        recorder.set_frames_per_second(rate);
        for (number, time_s) in times_s.into_iter().enumerate() {
            let frame = Frame::filled(32, 20, [(200.0 * time_s) as u8, 90, 200]);
            recorder.add(&frame, number as u64, time_s, None).unwrap();
        }
        assert!(!path.exists(), "not before it is complete");
        assert!(recorder.finish().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let decoder = image::codecs::gif::GifDecoder::new(std::io::BufReader::new(File::open(&path).unwrap())).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        frames.iter().map(|f| f.delay().numer_denom_ms().0).collect()
    }

    #[test]
    fn a_gif_holds_every_frame_at_its_time() {
        assert_eq!(delays_ms(10.0, [0.0, 0.1, 0.5, 0.501]), [100, 400, 100], "one that came too early is left out");
    }

    #[test]
    fn a_gif_of_a_rate_that_hundredths_of_a_second_cannot_express_takes_its_time_all_the_same() {
        let delays = delays_ms(15.0, (0..15).map(|number| f64::from(number) / 15.0));
        assert_eq!((delays.len(), delays.iter().sum()), (15, 1000));
    }

    #[test]
    fn a_picture_shows_the_last_frame_and_a_folder_gets_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.png");
        assert!(record(&path, 3).unwrap());
        assert_eq!(Frame::open(&path).unwrap(), Frame::filled(33, 21, [40, 90, 200]));
        let each = folder.path().join("each/");
        assert!(record(&each, 3).unwrap(), "the folder is made");
        assert_eq!(Frame::open(&each.join("frame_000002.png")).unwrap(), Frame::filled(33, 21, [40, 90, 200]));
    }

    #[test]
    fn without_a_frame_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.gif"] {
            assert!(!record(&folder.path().join(name), 0).unwrap());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unknown_ending_and_a_missing_folder_are_refused_at_once() {
        let error = Recorder::create(Path::new("faces.docx")).err().unwrap();
        assert!(format!("{error}").contains(".mp4"), "{error}");
        let error = Recorder::create(Path::new("/nowhere/at/all.gif")).err().unwrap();
        assert!(format!("{error}").contains("/nowhere/at"), "{error}");
    }

    #[test]
    fn a_video_is_complete_or_refused_with_advice_if_ffmpeg_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faces.mp4");
        match record(&path, 12) {
            Ok(saved) => {
                assert!(saved);
                // A finished MP4 has its index.
                let bytes = fs::read(&path).unwrap();
                assert!(bytes.windows(4).any(|w| w == b"moov"));
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            }
            Err(error) => assert!(format!("{error}").contains(".gif"), "{error}"),
        }
    }

    #[test]
    fn a_recording_keeps_time_through_pauses_bursts_and_jumps() {
        let mut clock = Clock::new(2.0, 10.0);
        let times = [2.0, 2.1, 2.12, 2.2, 2.6, 500.0, 500.1, 0.0, 0.1];
        let repeats: Vec<u64> = times.iter().zip(0..).map(|(t, number)| clock.repeats(number, *t)).collect();
        assert_eq!(repeats, [1, 1, 0, 1, 4, 1, 1, 1, 1]);
        assert_eq!(clock.repeats(70, 6.1), 60, "skipped frames are filled in");
    }

    #[test]
    fn a_frame_of_another_size_is_fitted() {
        let wide = fitted(&Frame::filled(200, 50, [9, 8, 7]), (100, 100)).unwrap();
        assert_eq!((wide.width(), wide.height()), (100, 100));
        assert_eq!(wide.rgb()[(50 * 100 + 50) * 3..][..3], [9, 8, 7]);
        assert_eq!(wide.rgb()[..3], [0, 0, 0]);
    }
}
