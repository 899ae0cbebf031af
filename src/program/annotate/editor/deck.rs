//! The samples of a session: the faces of one recording or of a whole collection, in the order in which to correct
//! them.
//!
//! In: a folder. Out: faces by their position in the order, and changes on disk. While it is open, no other process can
//! write to its recordings. Errors: [`CollectionError`]; a recording that another process writes to is skipped.

use super::order::most_helpful_first;
use crate::train::collection::{CollectedFace, CollectionError, Recording, Review, recordings_at};
use std::path::{Path, PathBuf};

/// All samples.
#[derive(Debug)]
pub(super) struct Deck {
    recordings: Vec<Recording>,
    /// The recording of each sample, and its number there.
    order: Vec<(usize, usize)>,
    /// Recordings that are in use by another process.
    pub left_out: Vec<PathBuf>,
}

/// How many samples were reviewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub accepted: usize,
    pub rejected: usize,
    pub all: usize,
}

impl Counts {
    pub(super) fn done(self) -> usize {
        self.accepted + self.rejected
    }
}

impl Deck {
    /// Opens a recording, or all recordings of a collection.
    ///
    /// # Errors
    /// [`CollectionError`] of the first recording that can't be read; [`CollectionError::InUse`] if there is no other.
    pub(super) fn open(folder: &Path) -> Result<Self, CollectionError> {
        let (mut opened, mut left_out) = (Vec::new(), Vec::new());
        for folder in recordings_at(folder)? {
            match Recording::open(&folder) {
                Err(CollectionError::InUse { path }) => left_out.push(path),
                recording => opened.push(recording?),
            }
        }
        match left_out.first() {
            Some(path) if opened.is_empty() => return Err(CollectionError::InUse { path: path.clone() }),
            _ => {}
        }
        let places: Vec<(usize, usize)> = (opened.iter().enumerate())
            .flat_map(|(i, recording)| (0..recording.faces().len()).map(move |face| (i, face)))
            .collect();
        let faces: Vec<_> = places.iter().map(|&(i, face)| (i, &opened[i].faces()[face])).collect();
        let order = most_helpful_first(&faces).into_iter().map(|i| places[i]).collect();
        Ok(Self { recordings: opened, order, left_out })
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn face(&self, sample: usize) -> &CollectedFace {
        let (recording, face) = self.order[sample];
        &self.recordings[recording].faces()[face]
    }

    /// The sample's picture.
    pub(super) fn picture(&self, sample: usize) -> PathBuf {
        self.recordings[self.order[sample].0].folder().join(&self.face(sample).image)
    }

    /// Replaces a face, on disk.
    ///
    /// # Errors
    /// [`CollectionError::Write`]; the face is then as before.
    pub(super) fn replace(&mut self, sample: usize, face: CollectedFace) -> Result<(), CollectionError> {
        let (recording, number) = self.order[sample];
        self.recordings[recording].replace(number, face)
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { all: self.len(), ..Counts::default() };
        for sample in 0..self.len() {
            match self.face(sample).review {
                Review::Accepted => counts.accepted += 1,
                Review::Rejected => counts.rejected += 1,
                Review::Pending => {}
            }
        }
        counts
    }

    /// The next sample to review after this one; wraps around to the start.
    pub(super) fn next_pending(&self, sample: usize) -> Option<usize> {
        let after = (1..self.len()).map(|step| (sample + step) % self.len());
        after.into_iter().find(|&other| self.face(other).review == Review::Pending)
    }
}
