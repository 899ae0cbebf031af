//! Collects faces: chooses frames and passes them to the writing thread.
//!
//! In: every tracked frame, and requests to keep one. Out: a recording, created with the first kept frame, and
//! [`CollectorEvent`]s. Checking a frame takes a fraction of a millisecond per face; nothing waits for the disk unless
//! the source can wait.

use super::selection::{Kept, KeptFace, Reason, SelectionOptions, Selector};
use super::template;
use super::writer::{Job, Writer};
use crate::runtime::counted::counted;
use crate::runtime::image::Frame;
use crate::runtime::landmarks::{Scheme, WFLW_POINTS};
use crate::runtime::model::BoxSide;
use crate::runtime::track::{Face, HeadBox};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{SystemTime, UNIX_EPOCH};

/// The length of a clip, in seconds.
const CLIP_S: f64 = 5.0;
/// A face that was seen this long ago, in seconds, is still about there.
const PLACE_MEMORY_S: f64 = 3.0;

/// The source of frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// A camera's name, a file's name.
    pub name: String,
    /// Whether frames are taken now.
    pub is_live: bool,
    /// Whether each frame is a picture of its own: a clip of its own, of which all faces are kept.
    pub is_slide_show: bool,
}

/// The fate of a frame that was to be kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CollectorEvent {
    Kept {
        picture: PathBuf,
        reason: Reason,
        /// The number of the frame in the recording, counted from 1.
        number: usize,
        /// How many faces of it were kept.
        faces: usize,
    },
    /// The disk was too slow for it.
    Dropped,
    /// It can't be written or can't be used for training, with the reason.
    Failed(String),
}

/// Chooses frames and has them written.
pub(crate) struct Collector {
    collection: PathBuf,
    /// The recording's folder, once something was written.
    folder: Option<PathBuf>,
    may_wait: bool,
    origin: Origin,
    /// The choice of frames, while collecting is on.
    selector: Option<Selector>,
    /// The number of frames after which collecting ends.
    limit: usize,
    /// Frames that were kept since then.
    chosen: usize,
    writer: Option<Writer>,
    events: Receiver<CollectorEvent>,
    to_events: Sender<CollectorEvent>,
    /// The time of the first frame of the recording, in seconds.
    began_s: Option<f64>,
    /// Faces on the disk.
    faces: usize,
    /// Frames passed to the writer.
    frames: u64,
    /// The last position of a face, and its time.
    last_place: Option<(HeadBox, f64)>,
}

impl Collector {
    /// Nothing is kept yet, and nothing is written before something is.
    /// `may_wait`: frames wait for the disk instead of being dropped.
    pub(crate) fn new(collection: PathBuf, may_wait: bool) -> Self {
        let (to_events, events) = mpsc::channel();
        Self {
            collection,
            folder: None,
            may_wait,
            origin: Origin::default(),
            selector: None,
            limit: 0,
            chosen: 0,
            writer: None,
            events,
            to_events,
            began_s: None,
            faces: 0,
            frames: 0,
            last_place: None,
        }
    }

    /// Sets the source of the following frames.
    pub(crate) fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// Starts collecting, until `limit` frames are kept.
    pub(crate) fn start(&mut self, options: SelectionOptions, limit: usize) {
        (self.limit, self.chosen) = (limit, 0);
        self.selector = Some(Selector::new(options));
    }

    /// Stops collecting; the best frame of the last seconds is still kept.
    pub(crate) fn stop(&mut self) {
        if let Some(mut selector) = self.selector.take()
            && let Some(kept) = selector.take_best()
        {
            self.keep(kept);
        }
    }

    /// Whether collecting is on.
    pub(crate) fn is_choosing(&self) -> bool {
        self.selector.is_some()
    }

    /// The number of kept faces, up to the last [`Self::events`].
    pub(crate) fn faces(&self) -> usize {
        self.faces
    }

    /// A message with the number of faces up to the last [`Self::events`], their folder, and the next commands; `None`
    /// if nothing was written.
    pub(crate) fn conclusion(&self) -> Option<String> {
        let folder = self.folder.as_ref()?.display();
        // To be copied to a shell: the usual folder has a space on some systems.
        let collection = self.collection.display().to_string();
        let collection = if collection.contains(' ') { format!("\"{collection}\"") } else { collection };
        let faces = counted(self.faces, "face");
        let tune = format!("awing finetune --data {collection}");
        Some(format!("{faces} in {folder}\nnext: awing annotate {collection}\nthen: {tune}"))
    }

    /// Checks a tracked frame of this time in seconds, and keeps it if it is worth correcting.
    pub(crate) fn look(&mut self, frame: &Frame, faces: &[Face], time_s: f64) {
        let place = faces.first().and_then(|face| {
            HeadBox::around(&face.landmarks, Scheme::of_points(face.landmarks.len()), BoxSide::Longer)
        });
        self.last_place = place.map(|place| (place, time_s)).or(self.last_place);
        let Some(selector) = &mut self.selector else { return };
        if let Some(message) = unfit(faces) {
            self.selector = None;
            self.fail(message);
            return;
        }
        if self.origin.is_slide_show {
            let middle = template::centred(frame.width(), frame.height());
            self.keep(whole(frame, faces, middle, time_s, Reason::Picture));
        } else if let Some(kept) = selector.look(frame, faces, time_s) {
            self.keep(kept);
        }
        if self.chosen >= self.limit {
            self.selector = None;
        }
    }

    /// Keeps this frame with all its faces, or with an average face at the expected position.
    pub(crate) fn keep_now(&mut self, frame: &Frame, faces: &[Face], time_s: f64) {
        if frame.width() == 0 || frame.height() == 0 {
            return self.fail("there is no picture to keep yet".into());
        }
        if let Some(message) = unfit(faces) {
            return self.fail(message);
        }
        let is_recent = |seen_s: f64| (time_s - seen_s).abs() <= PLACE_MEMORY_S;
        let place = self.last_place.filter(|(_, seen_s)| is_recent(*seen_s));
        let place = place.map_or_else(|| template::centred(frame.width(), frame.height()), |(place, _)| place);
        let kept = whole(frame, faces, place, time_s, Reason::Asked);
        if let Some(selector) = &mut self.selector {
            selector.note_kept(frame, faces);
        }
        self.keep(kept);
    }

    /// The events since the last call.
    pub(crate) fn events(&mut self) -> Vec<CollectorEvent> {
        let events: Vec<_> = self.events.try_iter().collect();
        for event in &events {
            match event {
                CollectorEvent::Kept { picture, faces, .. } => {
                    self.folder = picture.parent().map(Path::to_owned);
                    self.faces += faces;
                }
                // The next would fail as well, as on a full disk.
                CollectorEvent::Failed(_) => self.selector = None,
                CollectorEvent::Dropped => {}
            }
        }
        events
    }

    /// Keeps the best of the last seconds and waits until everything is written; returns the last events.
    pub(crate) fn finish(&mut self) -> Vec<CollectorEvent> {
        self.stop();
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
        self.events()
    }

    fn keep(&mut self, kept: Kept) {
        let clip = match self.origin.is_slide_show {
            true => self.frames,
            false => ((kept.time_s - *self.began_s.get_or_insert(kept.time_s)).max(0.0) / CLIP_S) as u64,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let job = Job { kept, clip, origin: self.origin.clone(), taken_s: self.origin.is_live.then_some(now) };
        if self.writer.is_none() {
            match Writer::start(self.collection.clone(), self.to_events.clone()) {
                Ok(writer) => self.writer = Some(writer),
                Err(error) => return self.fail(format!("cannot start a thread: {error}")),
            }
        }
        if self.writer.as_ref().is_some_and(|writer| writer.add(job, self.may_wait)) {
            self.frames += 1;
            self.chosen += 1;
        } else {
            // The receiver is our own.
            let _ = self.to_events.send(CollectorEvent::Dropped);
        }
    }

    fn fail(&self, message: String) {
        let _ = self.to_events.send(CollectorEvent::Failed(message));
    }
}

/// Why these faces can't be used for training.
fn unfit(faces: &[Face]) -> Option<String> {
    let other = faces.iter().map(|face| face.landmarks.len()).find(|count| *count != WFLW_POINTS)?;
    Some(format!("this model has {}: only faces with {WFLW_POINTS} can be collected", counted(other, "landmark")))
}

/// A whole frame with all its faces; where none was found, there is one in `place`.
fn whole(frame: &Frame, faces: &[Face], place: HeadBox, time_s: f64, reason: Reason) -> Kept {
    let mut kept: Vec<KeptFace> = faces.iter().cloned().map(KeptFace::Found).collect();
    if kept.is_empty() {
        kept.push(KeptFace::Unfound(place));
    }
    Kept { frame: frame.clone(), faces: kept, time_s, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::{Point, Rect};
    use crate::runtime::landmarks::Landmark;
    use crate::train::collection::{CollectedFace, Recording, recordings};

    fn face(landmarks: usize) -> Face {
        let point = |i: usize| Point::new(20.0 + (i % 10) as f32, 10.0 + (i / 10) as f32);
        let landmarks = (0..landmarks).map(|i| Landmark { point: point(i), confidence: 0.75 }).collect();
        Face { id: 1, score: 0.8, rect: Rect::new(20.0, 10.0, 9.0, 9.0), landmarks }
    }

    fn stored(collection: &Path) -> Vec<CollectedFace> {
        let folders = recordings(collection).unwrap();
        folders.iter().flat_map(|folder| Recording::read(folder).unwrap()).collect()
    }

    #[test]
    fn nothing_is_written_before_a_frame_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(folder.path().join("samples"), true);
        collector.look(&Frame::filled(64, 48, [9; 3]), &[face(98)], 0.0);
        assert_eq!(collector.finish(), []);
        assert!(!folder.path().join("samples").exists());
    }

    #[test]
    fn a_frame_that_was_asked_for_is_stored_as_it_is_with_all_that_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(folder.path().to_owned(), true);
        collector.set_origin(Origin { name: "camera 0".into(), is_live: true, is_slide_show: false });
        let frame = Frame::filled(64, 48, [9, 80, 200]);
        collector.keep_now(&frame, &[face(98), Face { id: 2, ..face(98) }], 1.0);
        collector.keep_now(&frame, &[face(98)], 6.5);
        let events = collector.finish();
        assert_eq!(events.len(), 2, "{events:?}");
        let CollectorEvent::Kept { picture, reason: Reason::Asked, number: 1, faces: 2 } = &events[0] else {
            panic!("{events:?}")
        };
        assert_eq!(Frame::open(picture).unwrap(), frame);
        let faces = stored(folder.path());
        assert_eq!((faces.len(), collector.faces()), (3, 3));
        let first = &faces[0];
        assert_eq!((first.width, first.height), (64, 48));
        assert_eq!(first.predicted.as_ref(), Some(&first.points));
        assert_eq!((first.score, first.confidence.as_ref().unwrap()[5]), (Some(0.8), 0.75));
        assert_eq!(first.source.as_deref(), Some("camera 0"));
        assert!(first.time_s > Some(1.7e9));
        let clip = |face: &CollectedFace| face.clip.rsplit_once('/').unwrap().1.to_owned();
        assert_eq!(faces.iter().map(clip).collect::<Vec<_>>(), ["0000", "0000", "0001"], "five seconds are a clip");
        let conclusion = collector.conclusion().unwrap();
        assert!(conclusion.starts_with("3 faces in ") && conclusion.contains("awing annotate "), "{conclusion}");
        let recording = recordings(folder.path()).unwrap()[0].file_name().unwrap().to_string_lossy().into_owned();
        assert!(first.clip.starts_with(&recording));
    }

    #[test]
    fn a_face_that_was_not_found_is_stored_where_it_was_seen_last_or_else_in_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(folder.path().to_owned(), true);
        let frame = Frame::filled(64, 48, [9; 3]);
        collector.look(&frame, &[face(98)], 0.0);
        collector.keep_now(&frame, &[], 0.5);
        collector.keep_now(&frame, &[], 60.0);
        collector.finish();
        let middle = |face: &CollectedFace| {
            let around = Rect::<crate::runtime::geometry::FrameSpace>::around(
                face.points.iter().map(|[x, y]| Point::new(*x, *y)),
            );
            around.unwrap().center()
        };
        let faces = stored(folder.path());
        assert!(faces.iter().all(|face| !face.is_detected() && face.confidence.is_none()));
        assert!(middle(&faces[0]).distance(Point::new(24.5, 14.5)) < 1.5, "{:?}", middle(&faces[0]));
        assert!(middle(&faces[1]).distance(Point::new(31.5, 23.5)) < 1.5, "{:?}", middle(&faces[1]));
    }

    #[test]
    fn every_picture_of_a_slide_show_is_kept_as_a_clip_of_its_own_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(folder.path().to_owned(), true);
        collector.set_origin(Origin { name: "pictures".into(), is_live: false, is_slide_show: true });
        collector.start(SelectionOptions::default(), 3);
        for i in 0..5 {
            collector.look(&Frame::filled(64, 48, [i; 3]), &[face(98)], f64::from(i) / 25.0);
        }
        assert!(!collector.is_choosing());
        collector.finish();
        let clips: Vec<_> = stored(folder.path()).into_iter().map(|face| face.clip).collect();
        assert_eq!(clips.len(), 3);
        assert!(clips[0] != clips[1] && clips[1] != clips[2]);
    }

    #[test]
    fn what_can_not_be_kept_is_an_event_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        std::fs::write(&file, "").unwrap();
        let reason = |collection: &Path, landmarks: usize| {
            let mut collector = Collector::new(collection.to_owned(), true);
            collector.keep_now(&Frame::filled(64, 48, [9; 3]), &[face(landmarks)], 0.0);
            match collector.finish().as_slice() {
                [CollectorEvent::Failed(reason)] => reason.clone(),
                events => panic!("{events:?}"),
            }
        };
        assert!(reason(folder.path(), 68).contains("68 landmarks"));
        assert!(reason(&file, 98).contains("a file"));
    }
}
