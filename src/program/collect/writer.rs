//! The thread that encodes and writes kept frames.
//!
//! In: frames and faces, through a short queue. Out: a recording, made when the first frame comes, and a
//! [`CollectorEvent`] for every frame. A frame that finds the queue full is dropped, unless its source can wait.

use super::collector::{CollectorEvent, Origin};
use super::selection::{Kept, KeptFace};
use super::template;
use crate::program::console::with_causes;
use crate::runtime::track::Face;
use crate::train::collection::{CollectedFace, CollectionError, Recording, Review};
use chrono::Local;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

/// Frames that wait to be written, at most.
const QUEUE_LENGTH: usize = 4;
/// How many recordings of the same second are told apart.
const MOST_OF_A_SECOND: u32 = 100;

/// A frame on its way to the disk.
pub(super) struct Job {
    pub kept: Kept,
    /// The number of its clip.
    pub clip: u64,
    pub origin: Origin,
    /// When it was taken, in seconds since 1970.
    pub taken_s: Option<f64>,
}

/// The running thread.
pub(super) struct Writer {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts it; the recording will lie in `collection`.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub(super) fn start(collection: PathBuf, events: Sender<CollectorEvent>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(QUEUE_LENGTH);
        let thread =
            thread::Builder::new().name("collecting".into()).spawn(move || write(&collection, &queue, &events))?;
        Ok(Self { jobs, thread })
    }

    /// Hands a frame over; false if there is no room for it and it may not wait.
    pub(super) fn add(&self, job: Job, may_wait: bool) -> bool {
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(job)) => may_wait && self.jobs.send(job).is_ok(),
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// Waits until everything is written.
    pub(super) fn finish(self) {
        drop(self.jobs);
        // A panic was printed where it happened; whatever was written is whole.
        let _ = self.thread.join();
    }
}

/// The work of the thread.
fn write(collection: &Path, queue: &Receiver<Job>, events: &Sender<CollectorEvent>) {
    let mut recording = None;
    let mut number = 0;
    for job in queue {
        let reason = job.kept.reason;
        let event = match keep(&mut recording, collection, &job) {
            Ok(picture) => {
                number += 1;
                CollectorEvent::Kept { picture, reason, number, faces: job.kept.faces.len() }
            }
            Err(error) => CollectorEvent::Failed(with_causes(&error)),
        };
        // A collector that is gone needs no events.
        let _ = events.send(event);
    }
}

/// Writes one frame and returns its file.
fn keep(recording: &mut Option<Recording>, collection: &Path, job: &Job) -> Result<PathBuf, CollectionError> {
    let recording = match recording {
        Some(recording) => recording,
        None => recording.insert(new_recording(collection)?),
    };
    let name = recording.folder().file_name().unwrap_or_default().to_string_lossy();
    let clip = format!("{name}/{:04}", job.clip);
    let image = recording.add_picture(&job.kept.frame)?;
    let picture = recording.folder().join(&image);
    let rows = job.kept.faces.iter().map(|face| row(face, &image, &clip, job)).collect();
    recording.add(rows).inspect_err(|_| {
        // As on a full disk. Without its faces the picture is of no use.
        let _ = fs::remove_file(&picture);
    })?;
    Ok(picture)
}

/// A recording with the local date and time as its name.
fn new_recording(collection: &Path) -> Result<Recording, CollectionError> {
    let name = Local::now().format("%Y-%m-%d-%H%M%S").to_string();
    let names = std::iter::once(name.clone()).chain((2..=MOST_OF_A_SECOND).map(|i| format!("{name}-{i}")));
    let mut result = Err(CollectionError::Exists { path: collection.join(&name) });
    for name in names {
        result = Recording::create(collection, &name);
        if !matches!(result, Err(CollectionError::Exists { .. })) {
            break;
        }
    }
    result
}

fn row(face: &KeptFace, image: &str, clip: &str, job: &Job) -> CollectedFace {
    let found = match face {
        KeptFace::Found(face) => Some(face),
        KeptFace::Unfound(_) => None,
    };
    let placed = |face: &Face| face.landmarks.iter().map(|l| [l.point.x, l.point.y]).collect::<Vec<_>>();
    let predicted = found.map(placed);
    let points = match face {
        KeptFace::Found(face) => placed(face),
        KeptFace::Unfound(head) => template::landmarks_in(head).map(|p| [p.x, p.y]).to_vec(),
    };
    CollectedFace {
        image: image.to_owned(),
        width: job.kept.frame.width(),
        height: job.kept.frame.height(),
        points,
        weight: None,
        review: Review::Pending,
        clip: clip.to_owned(),
        predicted,
        confidence: found.map(|face| face.landmarks.iter().map(|l| l.confidence).collect()),
        score: found.map(|face| face.score),
        source: Some(job.origin.name.clone()),
        time_s: job.taken_s,
        other: serde_json::Map::new(),
    }
}
