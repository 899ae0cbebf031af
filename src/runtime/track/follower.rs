//! The tracking loop, generic over the detector and the landmark network.
//!
//! A track is followed if its face was seen in the last frame, else lost. A lost face is searched for at its last
//! position for a few frames. After that it comes back only through a detection near its expected position; after a
//! second it is forgotten.

use super::head_box::HeadBox;
use super::motion::Motion;
use super::one_face::{Look, Track, TrackState, around};
use super::smoothing::{Smoother, Smoothing};
use super::thresholds::{
    CLEAR_DETECTION, FRAMES_LOOKED_FOR, SMALLEST_FACE_PX, START_SCORE, SURE_SCORE, VERY_SURE_SCORE,
};
use super::{Detection, Face, FindFaces, FindLandmarks, LandmarkTimes, Roll, Search, StageTimes, TrackError};
use crate::runtime::geometry::{FrameSpace, Rect};
use crate::runtime::image::FrameView;
use crate::runtime::landmarks::Scheme;
use crate::runtime::workers::Workers;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A time stamp at most this many seconds before the last one counts as equal to it: frames can arrive slightly out of
/// order.
const JITTER_S: f64 = 0.5;
/// More than this many late frames in a row mean that the clock was set back slightly.
const LATE_FRAMES: u32 = 5;
/// How long a lost face keeps its id, in seconds.
const REMEMBERED_S: f64 = 1.0;
/// How often the detector looks for newcomers while other faces are followed, in seconds.
const NEWCOMERS_EVERY_S: f64 = 1.0;
/// While no face is followed, each of [`Search::FURTHER`] is made about once per this many seconds.
const FURTHER_EVERY_S: f64 = 1.0;
/// A detection that overlaps a followed face by more than this (intersection over union) is the same face.
const SAME_FACE_IOU: f32 = 0.3;
/// Two tracks that overlap by more than this are on one face. Faces side by side or behind one another overlap less.
const ONE_FACE_IOU: f32 = 0.5;
/// A lost face may come back within this distance of its expected position, in face sizes ...
const COMES_BACK_WITHIN: f32 = 1.0;
/// ... and larger or smaller by at most this factor.
const COMES_BACK_SCALE: f32 = 1.8;
/// If two tracks are on one face, the one whose surprise is larger by more than this moved in from elsewhere.
const CLEAR_SURPRISE: f32 = 0.1;
/// A score lower by more than this is clearly lower, when two tracks on one face are compared.
const CLEAR_SCORE: f32 = 0.1;

/// The configuration of a [`Follower`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FollowerOptions {
    /// Maximum number of faces to follow.
    pub faces: usize,
    /// Smoothing over time, if any.
    pub smoothing: Option<Smoothing>,
    /// The scheme of the landmark network's points, if it is a known one.
    pub scheme: Option<Scheme>,
}

/// Follows faces through frames.
pub(crate) struct Follower<D, L> {
    options: FollowerOptions,
    detector: D,
    /// Identical networks, one for each worker; the first may have its own threads, for a single face.
    networks: Vec<Mutex<L>>,
    workers: Workers,
    tracks: Vec<Track>,
    /// For each track, the network's result in this frame at the track's last position; at least as many as tracks.
    looks: Vec<Mutex<Look>>,
    detections: Vec<Detection>,
    /// The network's result at a detection.
    look: Look,
    faces: Vec<Face>,
    /// The same faces, unsmoothed; not kept up to date while smoothing is off.
    unsmoothed: Vec<Face>,
    next_id: u64,
    time_s: f64,
    /// How many frames in a row had an earlier time stamp than the latest one.
    late_frames: u32,
    detected_s: Option<f64>,
    /// When the last of [`Search::FURTHER`] was made, and its position there.
    further: Option<(f64, usize)>,
    times: StageTimes,
}

impl<D: FindFaces, L: FindLandmarks> Follower<D, L> {
    /// A follower with as many threads as landmark networks; at least one.
    pub(crate) fn new(detector: D, networks: Vec<L>, options: FollowerOptions) -> Self {
        assert!(!networks.is_empty(), "a follower needs at least one landmark network");
        Self {
            options,
            detector,
            workers: Workers::new(networks.len()),
            networks: networks.into_iter().map(Mutex::new).collect(),
            tracks: Vec::new(),
            looks: Vec::new(),
            detections: Vec::new(),
            look: Look::new(),
            faces: Vec::new(),
            unsmoothed: Vec::new(),
            next_id: 1,
            time_s: f64::NEG_INFINITY,
            late_frames: 0,
            detected_s: None,
            further: None,
            times: StageTimes::default(),
        }
    }

    /// Forgets all faces, without reusing their ids: the next frame is unrelated to the last.
    pub(crate) fn reset(&mut self) {
        self.tracks.clear();
        self.faces.clear();
        self.unsmoothed.clear();
        self.detected_s = None;
        self.further = None;
        self.time_s = f64::NEG_INFINITY;
    }

    /// Takes over the faces of another follower, with their ids and positions, in place of its own; none if it has
    /// another scheme. No id of either is given again.
    pub(crate) fn take_over(&mut self, before: Self) {
        self.reset();
        self.next_id = self.next_id.max(before.next_id);
        if self.options.scheme != before.options.scheme {
            return;
        }
        self.tracks = before.tracks;
        self.looks.resize_with(self.tracks.len(), || Mutex::new(Look::new()));
        (self.time_s, self.detected_s) = (before.time_s, before.detected_s);
        self.further = before.further;
        self.late_frames = before.late_frames;
        for track in &mut self.tracks {
            track.smoother = Smoother::new(self.options.smoothing.unwrap_or_default());
        }
    }

    pub(crate) fn detector_mut(&mut self) -> &mut D {
        &mut self.detector
    }

    /// Changes the smoothing from the next frame on.
    pub(crate) fn set_smoothing(&mut self, smoothing: Option<Smoothing>) {
        if self.options.smoothing == smoothing {
            return;
        }
        self.options.smoothing = smoothing;
        for track in &mut self.tracks {
            track.smoother = Smoother::new(smoothing.unwrap_or_default());
        }
    }

    pub(crate) fn options_mut(&mut self) -> &mut FollowerOptions {
        &mut self.options
    }

    /// The unsmoothed faces of the last frame, in the order of [`Self::track`].
    pub(crate) fn unsmoothed(&self) -> &[Face] {
        if self.unsmoothed.len() == self.faces.len() { &self.unsmoothed } else { &self.faces }
    }

    /// The faces of the last frame, in the order of [`Self::track`].
    pub(crate) fn faces(&self) -> &[Face] {
        &self.faces
    }

    pub(crate) fn times(&self) -> StageTimes {
        self.times
    }

    /// The faces in `frame`, taken at `time_s`.
    pub(crate) fn track(&mut self, frame: &FrameView<'_>, time_s: f64) -> Result<&[Face], TrackError> {
        let (width, height) = (frame.width(), frame.height());
        if width == 0 || height == 0 {
            return Err(TrackError::EmptyFrame { width, height });
        }
        if !time_s.is_finite() {
            return Err(TrackError::Time { time_s });
        }
        let start = Instant::now();
        self.times = StageTimes::default();
        for network in &mut self.networks {
            network.get_mut().unwrap_or_else(PoisonError::into_inner).reserve(frame);
        }
        self.late_frames = if time_s < self.time_s { self.late_frames + 1 } else { 0 };
        let time_s = if time_s < self.time_s - JITTER_S || self.late_frames > LATE_FRAMES {
            self.late_frames = 0;
            // The clock was set back, or a recording started over: earlier times no longer count.
            self.detected_s = None;
            self.further = self.further.map(|(_, search)| (time_s, search));
            self.tracks.retain(Track::is_followed);
            self.tracks.iter_mut().for_each(|t| t.detected_s = time_s);
            time_s
        } else {
            time_s.max(self.time_s)
        };
        self.time_s = time_s;

        self.end_surplus();
        self.follow(frame, time_s)?;
        self.end_doubles(time_s);
        self.times.landmarks_ms = milliseconds_since(start);
        self.forget(time_s);
        if self.should_detect(time_s) {
            self.detected_s = Some(time_s);
            self.detect(frame, time_s, Search::UPRIGHT)?;
            // Each is then found, or given up.
            while let Some(doubted) = self.tracks.iter().find(|track| track.is_in_doubt(time_s)) {
                let search = doubted.own_search();
                self.detect(frame, time_s, search)?;
            }
            self.search_further(frame, time_s)?;
        }

        let smoothing = Instant::now();
        self.publish(time_s);
        self.times.smooth_ms = milliseconds_since(smoothing);
        self.times.total_ms = milliseconds_since(start);
        Ok(&self.faces)
    }

    fn followed(&self) -> usize {
        self.tracks.iter().filter(|t| t.is_followed()).count()
    }

    /// Drops faces beyond the maximum, the smallest and least confident first.
    fn end_surplus(&mut self) {
        let worth = |track: &Track| track.score * track.head.side;
        for _ in self.options.faces..self.followed() {
            let followed = self.tracks.iter().enumerate().filter(|(_, track)| track.is_followed());
            let least = followed.min_by(|(_, a), (_, b)| worth(a).total_cmp(&worth(b)));
            if let Some((index, _)) = least {
                self.tracks.remove(index);
            }
        }
    }

    /// Forgets faces that were lost too long ago, and those lost first if there are too many.
    fn forget(&mut self, time_s: f64) {
        self.tracks.retain(|track| match track.state {
            TrackState::Followed => true,
            TrackState::Lost { since_s, .. } => time_s - since_s <= REMEMBERED_S,
        });
        let lost_since = |track: &Track| match track.state {
            TrackState::Followed => None,
            TrackState::Lost { since_s, .. } => Some(since_s),
        };
        let lost = self.tracks.len() - self.followed();
        for _ in self.options.faces..lost {
            let all = self.tracks.iter().enumerate().filter_map(|(index, track)| Some((index, lost_since(track)?)));
            if let Some((index, _)) = all.min_by(|(_, a), (_, b)| a.total_cmp(b)) {
                self.tracks.remove(index);
            }
        }
    }

    /// Searches for every face at its position in the last frame.
    fn follow(&mut self, frame: &FrameView<'_>, time_s: f64) -> Result<(), TrackError> {
        let scheme = self.options.scheme;
        let mut followed = self.followed();
        let is_place_free = followed < self.options.faces;
        let is_looked_for = |track: &Track| match track.state {
            TrackState::Followed => true,
            TrackState::Lost { frames, .. } => frames < FRAMES_LOOKED_FOR && is_place_free,
        };
        let Self { tracks, looks, networks, workers, .. } = self;
        let failure = Mutex::new(None);
        let look = |worker: usize, range: Range<usize>| {
            let mut network = lock(&networks[worker]);
            for (track, look) in tracks[range.clone()].iter().zip(&looks[range]).filter(|(t, _)| is_looked_for(t)) {
                if let Err(error) = lock(look).at(frame, &track.head, &mut *network, scheme) {
                    *lock(&failure) = Some(error);
                }
            }
        };
        // A single face gets all threads: its network splits the work.
        if tracks.iter().filter(|track| is_looked_for(track)).count() > 1 {
            workers.split(tracks.len(), 1, &look);
        } else {
            look(0, 0..tracks.len());
        }
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        for (track, look) in tracks.iter_mut().zip(looks).filter(|(t, _)| is_looked_for(t)) {
            let look = look.get_mut().unwrap_or_else(PoisonError::into_inner);
            self.times.add(&look.times);
            let was_followed = track.is_followed();
            if look.score < track.required_score() || (!was_followed && followed >= self.options.faces) {
                followed -= usize::from(was_followed);
                track.lose(time_s);
            } else {
                followed += usize::from(!was_followed);
                track.go_on(look, time_s);
            }
        }
        Ok(())
    }

    /// If two tracks are on one face, drops one of them: the one that moved in from elsewhere, otherwise the one with
    /// the clearly lower score, otherwise the younger.
    fn end_doubles(&mut self, time_s: f64) {
        for later in 1..self.tracks.len() {
            for earlier in 0..later {
                let (a, b) = (&self.tracks[earlier], &self.tracks[later]);
                if !a.is_followed() || !b.is_followed() || a.rect().iou(&b.rect()) < ONE_FACE_IOU {
                    continue;
                }
                let wrong = if (a.surprise - b.surprise).abs() > CLEAR_SURPRISE {
                    if a.surprise > b.surprise { earlier } else { later }
                } else if a.score < b.score - CLEAR_SCORE {
                    earlier
                } else {
                    later
                };
                self.tracks[wrong].give_up(time_s);
            }
        }
    }

    fn should_detect(&self, time_s: f64) -> bool {
        if self.tracks.iter().any(|t| t.is_in_doubt(time_s)) {
            return true;
        }
        let followed = self.followed();
        if followed >= self.options.faces {
            return false;
        }
        let is_one_missing = followed == 0 || self.tracks.len() > followed;
        is_one_missing || self.detected_s.is_none_or(|last| time_s - last >= NEWCOMERS_EVERY_S)
    }

    /// If no face is followed, searches the frame in other ways. In the first frame, which may be a photograph, it tries
    /// all; later one at a time.
    fn search_further(&mut self, frame: &FrameView<'_>, time_s: f64) -> Result<(), TrackError> {
        const SEARCHES: usize = Search::FURTHER.len();
        let (first, tries) = match self.further {
            None => (0, SEARCHES),
            Some((last_s, _)) if time_s - last_s < FURTHER_EVERY_S / SEARCHES as f64 => return Ok(()),
            Some((_, last)) => (last + 1, 1),
        };
        for number in first..first + tries {
            if self.followed() > 0 {
                break;
            }
            let number = number % SEARCHES;
            self.further = Some((time_s, number));
            self.detect(frame, time_s, Search::FURTHER[number])?;
        }
        Ok(())
    }

    /// Searches the whole frame for new faces.
    fn detect(&mut self, frame: &FrameView<'_>, time_s: f64, search: Search) -> Result<(), TrackError> {
        let start = Instant::now();
        self.detections.clear();
        self.detections.extend_from_slice(self.detector.find_faces(frame, search)?);
        self.times.detect_ms += milliseconds_since(start);
        // Large, confident detections first: they are most likely the people in front of the camera.
        self.detections.sort_unstable_by(|a, b| (b.score * b.rect.side()).total_cmp(&(a.score * a.rect.side())));

        for track in self.tracks.iter_mut().filter(|t| t.is_followed()) {
            let rect = track.rect();
            if self.detections.iter().any(|d| d.rect.iou(&rect) > SAME_FACE_IOU) {
                track.be_detected(search, time_s);
            } else if track.is_in_doubt(time_s) && track.own_search() == search {
                track.give_up(time_s);
            }
        }

        let start = Instant::now();
        for i in 0..self.detections.len() {
            if self.followed() >= self.options.faces {
                break;
            }
            let Detection { rect, score } = self.detections[i];
            let required = match (search.roll, score < CLEAR_DETECTION) {
                (Roll::Upright, false) => START_SCORE,
                (Roll::Upright, true) | (_, false) => SURE_SCORE,
                (_, true) => VERY_SURE_SCORE,
            };
            if rect.side() < SMALLEST_FACE_PX || self.is_followed_at(&rect, SAME_FACE_IOU) {
                continue;
            }
            self.look_closer(frame, &rect, search.roll)?;
            if self.look.score < required || self.is_followed_at(&around(&self.look.landmarks), ONE_FACE_IOU) {
                continue;
            }
            match self.who_comes_back(time_s) {
                Some(index) => self.tracks[index].take_up(&self.look, search, time_s),
                None => self.begin(search, time_s),
            }
        }
        self.times.landmarks_ms += milliseconds_since(start);
        Ok(())
    }

    fn is_followed_at(&self, rect: &Rect<FrameSpace>, iou: f32) -> bool {
        self.tracks.iter().any(|t| t.is_followed() && t.rect().iou(rect) > iou)
    }

    /// Finds the landmarks of a detected face: first in a crop rotated by `roll`, to get the exact roll of the head,
    /// then in a crop with that roll.
    fn look_closer(&mut self, frame: &FrameView<'_>, rect: &Rect<FrameSpace>, roll: Roll) -> Result<(), TrackError> {
        let network = self.networks[0].get_mut().unwrap_or_else(PoisonError::into_inner);
        let scheme = self.options.scheme;
        self.look.at(frame, &HeadBox::in_rect(rect, network.box_side(), roll.angle_rad()), network, scheme)?;
        self.times.add(&self.look.times);
        if self.look.score > 0.0 {
            let searched = self.look.head;
            self.look.at(frame, &searched, network, scheme)?;
            self.times.add(&self.look.times);
        }
        Ok(())
    }

    /// The lost track whose face was just found, if any.
    fn who_comes_back(&self, time_s: f64) -> Option<usize> {
        let head = &self.look.head;
        let distance = |track: &Track| {
            let expected = track.motion.expected((time_s - track.seen_s) as f32);
            expected.distance(head.center) / head.side.max(track.head.side)
        };
        let comes_back = |track: &Track| {
            let scale = head.side / track.head.side;
            !track.is_followed() && distance(track) <= COMES_BACK_WITHIN && scale.max(1.0 / scale) <= COMES_BACK_SCALE
        };
        let lost = self.tracks.iter().enumerate().filter(|(_, t)| comes_back(t));
        lost.min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b))).map(|(i, _)| i)
    }

    /// Starts a new track for the face that was just found.
    fn begin(&mut self, search: Search, time_s: f64) {
        let mut track = Track {
            id: self.next_id,
            state: TrackState::Followed,
            head: self.look.head,
            motion: Motion::at_rest(self.look.head.center),
            surprise: 0.0,
            seen_s: time_s,
            detected_s: time_s,
            seen_at_half_size: search.at_half_size,
            landmarks: Vec::new(),
            score: 0.0,
            smoother: Smoother::new(self.options.smoothing.unwrap_or_default()),
        };
        track.take_up(&self.look, search, time_s);
        self.next_id += 1;
        self.tracks.push(track);
        self.looks.resize_with(self.looks.len().max(self.tracks.len()), || Mutex::new(Look::new()));
    }

    /// Writes the followed faces to `self.faces`, smoothed, reusing the memory of earlier frames.
    fn publish(&mut self, time_s: f64) {
        let Self { tracks, faces, unsmoothed, options, .. } = self;
        let is_smoothed = options.smoothing.is_some();
        let mut count = 0;
        for track in tracks.iter_mut().filter(|t| t.is_followed()) {
            let face = entry(faces, count);
            track.write(face);
            if is_smoothed {
                track.write(entry(unsmoothed, count));
                track.smoother.smooth(time_s, track.head.side, &mut face.landmarks);
                face.rect = Rect::around(face.landmarks.iter().map(|l| l.point)).unwrap_or(face.rect);
            }
            count += 1;
        }
        faces.truncate(count);
        unsmoothed.truncate(if is_smoothed { count } else { 0 });
    }
}

/// The face at `index`, at most one beyond the last; a new one is empty.
fn entry(faces: &mut Vec<Face>, index: usize) -> &mut Face {
    if index == faces.len() {
        faces.push(Face { id: 0, score: 0.0, rect: Rect::new(0.0, 0.0, 0.0, 0.0), landmarks: Vec::new() });
    }
    &mut faces[index]
}

impl StageTimes {
    fn add(&mut self, times: &LandmarkTimes) {
        self.crop_ms += times.crop_ms;
        self.network_ms += times.network_ms;
        self.decode_ms += times.decode_ms;
    }
}

/// Ignores poisoning: whatever a thread left behind when it panicked is overwritten.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds_since(start: Instant) -> f32 {
    start.elapsed().as_secs_f32() * 1000.0
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
