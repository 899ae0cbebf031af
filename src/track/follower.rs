//! The tracking loop itself, over any detector and any landmark network.
//!
//! A track is followed (its face was seen in the last frame) or lost (it was not). A lost one is looked for where it
//! was for a few frames, waits for a detection near where it is expected, and is forgotten after a second.

use super::head_box::HeadBox;
use super::motion::Motion;
use super::one_euro::{OneEuro, Smoother};
use super::score::{blind_beyond_frame, score};
use super::{Face, FindFaces, FindLandmarks, Landmark, StageTimes, TrackError};
use crate::geometry::{Point, Rect};
use crate::image::Frame;
use crate::landmarks::Scheme;
use std::time::Instant;

/// A face is followed while its score is at least this.
const KEEP_SCORE: f32 = 0.35;
/// A face is taken up, or taken up again, only with this score: above [`KEEP_SCORE`], so that nothing flickers.
const START_SCORE: f32 = 0.45;
/// For so many frames a lost face is looked for where it was: a blink of the camera, a hand that passes.
const FRAMES_LOOKED_FOR: u32 = 4;
/// For so long a lost face keeps its number, in seconds.
const REMEMBERED_S: f64 = 1.0;
/// How often newcomers are looked for while other faces are followed, in seconds.
const NEWCOMERS_EVERY_S: f64 = 1.0;
/// A detection that overlaps a followed face by more than this (intersection over union) is that face.
const SAME_FACE_IOU: f32 = 0.3;
/// Two tracks that overlap by more than this are on one face. Faces side by side or one behind the other overlap less.
const ONE_FACE_IOU: f32 = 0.5;
/// A lost face comes back within this distance of where it is expected, in sizes of the face ...
const COMES_BACK_WITHIN: f32 = 1.0;
/// ... and at most this many times as large or as small.
const COMES_BACK_SCALE: f32 = 1.8;
/// Of two tracks on one face, the one that surprised more by this much of the face's size came from elsewhere.
const CLEAR_SURPRISE: f32 = 0.1;
/// Of two tracks on one face, a score that is lower by this much is clearly lower.
const CLEAR_SCORE: f32 = 0.1;

/// What a follower is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FollowerOptions {
    /// The most faces to follow at a time.
    pub faces: usize,
    /// Smoothing over time, if any.
    pub smooth: Option<OneEuro>,
    /// Which points the landmark network finds, if that is a known scheme.
    pub scheme: Option<Scheme>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Followed,
    Lost { since_s: f64, frames: u32 },
}

struct Track {
    id: u64,
    state: State,
    head: HeadBox,
    motion: Motion,
    /// How far from the expected place the face last was, in sizes of the face.
    surprise: f32,
    /// When the face was last seen, in seconds.
    seen_s: f64,
    landmarks: Vec<Landmark>,
    score: f32,
    smoother: Smoother,
}

impl Track {
    fn is_followed(&self) -> bool {
        self.state == State::Followed
    }

    /// The box around the landmarks.
    fn rect(&self) -> Rect<crate::geometry::FrameSpace> {
        around(&self.landmarks)
    }

    /// Takes the face up where it was found anew.
    fn take_up(&mut self, found: &Candidate, time_s: f64) {
        self.state = State::Followed;
        self.head = found.head;
        self.motion = Motion::at_rest(found.head.center);
        self.surprise = 0.0;
        self.seen_s = time_s;
        self.score = found.score;
        self.landmarks.clone_from(&found.landmarks);
        self.smoother.reset();
    }

    fn lose(&mut self, time_s: f64) {
        self.state = match self.state {
            State::Followed => State::Lost { since_s: time_s, frames: 1 },
            State::Lost { since_s, frames } => State::Lost { since_s, frames: frames + 1 },
        };
    }
}

fn around(landmarks: &[Landmark]) -> Rect<crate::geometry::FrameSpace> {
    Rect::around(landmarks.iter().map(|l| l.position)).unwrap_or(Rect::new(0.0, 0.0, 0.0, 0.0))
}

/// A face that was just found, not yet a track.
struct Candidate {
    head: HeadBox,
    landmarks: Vec<Landmark>,
    score: f32,
}

/// Follows faces through frames.
pub(crate) struct Follower<D, L> {
    options: FollowerOptions,
    detector: D,
    network: L,
    tracks: Vec<Track>,
    candidate: Candidate,
    faces: Vec<Face>,
    next_id: u64,
    time_s: f64,
    detected_s: Option<f64>,
    times: StageTimes,
}

impl<D: FindFaces, L: FindLandmarks> Follower<D, L> {
    pub(crate) fn new(detector: D, network: L, options: FollowerOptions) -> Self {
        Self {
            options,
            detector,
            network,
            tracks: Vec::new(),
            candidate: Candidate {
                head: HeadBox { center: Point::new(0.0, 0.0), side: 1.0, roll_rad: 0.0 },
                landmarks: Vec::new(),
                score: 0.0,
            },
            faces: Vec::new(),
            next_id: 1,
            time_s: f64::NEG_INFINITY,
            detected_s: None,
            times: StageTimes::default(),
        }
    }

    /// Forgets all faces, but not their numbers: the next frame has nothing to do with the last.
    pub(crate) fn reset(&mut self) {
        self.tracks.clear();
        self.faces.clear();
        self.detected_s = None;
        self.time_s = f64::NEG_INFINITY;
    }

    pub(crate) fn options_mut(&mut self) -> &mut FollowerOptions {
        &mut self.options
    }

    pub(crate) fn times(&self) -> StageTimes {
        self.times
    }

    /// The faces in `frame`, taken at `time_s`.
    pub(crate) fn track(&mut self, frame: &Frame, time_s: f64) -> Result<&[Face], TrackError> {
        let (width, height) = (frame.width(), frame.height());
        if width == 0 || height == 0 {
            return Err(TrackError::EmptyFrame { width, height });
        }
        let start = Instant::now();
        self.times = StageTimes::default();
        if time_s < self.time_s {
            // The clock was turned back, or a recording began again: what was when no longer counts.
            self.detected_s = None;
            self.tracks.retain(Track::is_followed);
        }
        self.time_s = time_s;

        self.follow(frame, time_s)?;
        self.end_doubles(time_s);
        self.times.landmarks_ms = milliseconds_since(start);
        self.tracks.retain(|t| match t.state {
            State::Followed => true,
            State::Lost { since_s, .. } => time_s - since_s <= REMEMBERED_S,
        });
        if self.should_detect(time_s) {
            self.detected_s = Some(time_s);
            self.detect(frame, time_s)?;
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

    /// Looks for every face where it was in the last frame.
    fn follow(&mut self, frame: &Frame, time_s: f64) -> Result<(), TrackError> {
        let mut followed = self.followed();
        for i in 0..self.tracks.len() {
            let track = &self.tracks[i];
            let wanted = match track.state {
                State::Followed => KEEP_SCORE,
                State::Lost { frames, .. } if frames < FRAMES_LOOKED_FOR && followed < self.options.faces => {
                    START_SCORE
                }
                State::Lost { .. } => continue,
            };
            let searched = track.head;
            let seen =
                find(&mut self.network, &mut self.times, self.options.scheme, frame, &searched, &mut self.candidate)?;
            let track = &mut self.tracks[i];
            if !seen || self.candidate.score < wanted {
                followed -= usize::from(track.is_followed());
                track.lose(time_s);
                continue;
            }
            followed += usize::from(!track.is_followed());
            track.state = State::Followed;
            track.head = searched.approached(&self.candidate.head);
            let step_s = (time_s - track.seen_s) as f32;
            track.surprise = track.motion.see(self.candidate.head.center, step_s) / self.candidate.head.side;
            track.seen_s = time_s;
            track.score = self.candidate.score;
            std::mem::swap(&mut track.landmarks, &mut self.candidate.landmarks);
        }
        Ok(())
    }

    /// Of two tracks on one face one is wrong: the one that did not come from there, else the less sure, else the younger.
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
                self.tracks[wrong].state = State::Lost { since_s: time_s, frames: FRAMES_LOOKED_FOR };
            }
        }
    }

    fn should_detect(&self, time_s: f64) -> bool {
        let followed = self.followed();
        if followed >= self.options.faces {
            return false;
        }
        let is_one_missing = followed == 0 || self.tracks.len() > followed;
        is_one_missing || self.detected_s.is_none_or(|last| time_s - last >= NEWCOMERS_EVERY_S)
    }

    /// Searches the whole frame for faces that are not followed.
    fn detect(&mut self, frame: &Frame, time_s: f64) -> Result<(), TrackError> {
        let start = Instant::now();
        let mut found = self.detector.find_faces(frame)?.to_vec();
        self.times.detect_ms = milliseconds_since(start);
        // Large and sure ones first: they are most likely whom it is about.
        found.sort_by(|a, b| (b.score * b.rect.side()).total_cmp(&(a.score * a.rect.side())));

        let start = Instant::now();
        for detection in found {
            if self.followed() >= self.options.faces {
                break;
            }
            let is_known = |t: &Track| t.is_followed() && t.rect().iou(&detection.rect) > SAME_FACE_IOU;
            if self.tracks.iter().any(is_known) || !self.take_a_closer_look(frame, &detection.rect)? {
                continue;
            }
            let rect = around(&self.candidate.landmarks);
            if self.tracks.iter().any(|t| t.is_followed() && t.rect().iou(&rect) > ONE_FACE_IOU) {
                continue;
            }
            match self.who_comes_back(time_s) {
                Some(index) => self.tracks[index].take_up(&self.candidate, time_s),
                None => self.begin(time_s),
            }
        }
        self.times.landmarks_ms += milliseconds_since(start);
        Ok(())
    }

    /// The landmarks of a detected face: once to see how the head is turned, once more in a crop that is made for it.
    fn take_a_closer_look(
        &mut self,
        frame: &Frame,
        rect: &Rect<crate::geometry::FrameSpace>,
    ) -> Result<bool, TrackError> {
        let mut head = HeadBox::upright(rect);
        for _ in 0..2 {
            if !find(&mut self.network, &mut self.times, self.options.scheme, frame, &head, &mut self.candidate)? {
                return Ok(false);
            }
            head = self.candidate.head;
        }
        Ok(self.candidate.score >= START_SCORE)
    }

    /// Which of the lost faces the candidate is.
    fn who_comes_back(&self, time_s: f64) -> Option<usize> {
        let head = &self.candidate.head;
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

    /// A new track for the candidate.
    fn begin(&mut self, time_s: f64) {
        let mut track = Track {
            id: self.next_id,
            state: State::Followed,
            head: self.candidate.head,
            motion: Motion::at_rest(self.candidate.head.center),
            surprise: 0.0,
            seen_s: time_s,
            landmarks: Vec::new(),
            score: 0.0,
            smoother: Smoother::new(self.options.smooth.unwrap_or_default()),
        };
        track.take_up(&self.candidate, time_s);
        self.next_id += 1;
        self.tracks.push(track);
    }

    /// Writes the followed faces to `self.faces`, smoothed, without new memory for those that were there before.
    fn publish(&mut self, time_s: f64) {
        let mut count = 0;
        for track in self.tracks.iter_mut().filter(|t| t.is_followed()) {
            if count == self.faces.len() {
                self.faces.push(Face {
                    id: 0,
                    score: 0.0,
                    rect: Rect::new(0.0, 0.0, 0.0, 0.0),
                    landmarks: Vec::new(),
                    confidence: Vec::new(),
                });
            }
            let face = &mut self.faces[count];
            count += 1;
            face.id = track.id;
            face.score = track.score;
            face.confidence.clear();
            face.confidence.extend(track.landmarks.iter().map(|l| l.confidence));
            face.landmarks.clear();
            face.landmarks.extend(track.landmarks.iter().map(|l| l.position));
            if self.options.smooth.is_some() {
                track.smoother.smooth(time_s, track.head.side, &mut face.landmarks);
            }
            face.rect = Rect::around(face.landmarks.iter().copied()).unwrap_or(face.rect);
        }
        self.faces.truncate(count);
    }
}

/// The landmarks in the crop about `searched`, into `candidate`; false if they make no box.
fn find(
    network: &mut impl FindLandmarks,
    times: &mut StageTimes,
    scheme: Option<Scheme>,
    frame: &Frame,
    searched: &HeadBox,
    candidate: &mut Candidate,
) -> Result<bool, TrackError> {
    let crop_from_frame = searched.crop_from_frame(network.crop_scale(), network.input_size());
    let landmarks = network.find_landmarks(frame, &crop_from_frame)?;
    candidate.landmarks.clear();
    candidate.landmarks.extend_from_slice(landmarks);
    let spent = network.times();
    times.crop_ms += spent.crop_ms;
    times.network_ms += spent.network_ms;
    times.decode_ms += spent.decode_ms;
    blind_beyond_frame(&mut candidate.landmarks, frame.width(), frame.height());
    let Some(head) = HeadBox::around(&candidate.landmarks, scheme) else { return Ok(false) };
    candidate.head = head;
    candidate.score = score(&candidate.landmarks, scheme, searched, &head);
    Ok(true)
}

fn milliseconds_since(start: Instant) -> f32 {
    start.elapsed().as_secs_f32() * 1000.0
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
