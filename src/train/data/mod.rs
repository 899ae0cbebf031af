//! Readers of data sets, augmentation, and the batch loader.
//!
//! In: files of annotated faces, in any format that [`open`] knows. Every reader returns [`Sample`]s: a picture's path
//! and the landmarks in its pixels, each with a weight. Out: [`Batch`]es, drawn from a [`Task`] by the threads of a
//! [`Loader`], or single upright crops for evaluation ([`crop_for_eval`]). Errors are [`DataError`]s that name the
//! file, and the line if there is one.

mod augment;
mod chance;
mod compositions;
mod condition;
mod cover;
mod dataset_weights;
mod emphasis;
mod expression;
mod eye;
mod eyelids;
mod faceless;
mod folders;
mod gaze;
mod hold_out;
mod jsonl;
mod landmark_task;
mod loader;
mod open;
mod photometric;
mod picture_cache;
mod pts;
mod sample;
mod w300;
mod wflw;

pub(in crate::train) use augment::View;
pub use augment::{Augmentation, Donor};
pub(in crate::train) use chance::rarely;
pub use compositions::Compositions;
pub use condition::{EYES, openness};
pub(in crate::train) use cover::hide_part;
pub(in crate::train) use dataset_weights::{check_weights, weight_of};
pub use emphasis::Emphasis;
use faceless::Faceless;
pub use faceless::FacelessItems;
pub(in crate::train) use faceless::square_anywhere;
pub(crate) use folders::PictureFolders;
pub use hold_out::HoldOut;
pub use jsonl::read_jsonl;
pub use landmark_task::{LandmarkTask, LandmarkTaskOptions};
pub use loader::Loader;
pub(in crate::train) use open::is_wflw_list;
pub use open::{Format, Split, open, read_faces};
pub use picture_cache::PictureCache;
pub use pts::{picture_beside, read_pts, read_pts_folder};
pub use sample::{Origin, Sample, crop_for_eval};
pub use w300::read_300w;
pub use wflw::{WFLW_SUBSETS, read_wflw};

use crate::runtime::counted::counted;
use crate::runtime::image::ImageError;
use crate::train::collection::CollectionError;
use crate::train::loss::{Objective, Targets};
use rand_chacha::ChaCha8Rng;
use std::io;
use std::path::PathBuf;

/// Errors in training or evaluation data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder that can't be read.
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    /// A malformed row; `message` says how, and what was expected.
    #[error("{origin}: {message}")]
    Row { origin: Origin, message: String },
    /// A collection that can't be read.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// A collection of which no face is accepted yet.
    #[error("no face in {path} is accepted yet: correct and accept some with `awing annotate`")]
    NothingAccepted { path: PathBuf },
    /// A data set without a single face.
    #[error("{path} holds no faces: {expected}")]
    Empty { path: PathBuf, expected: &'static str },
    /// A file or folder of no known format.
    #[error("{path} is not a supported data set: expected {expected}")]
    Unrecognized { path: PathBuf, expected: &'static str },
    /// A picture named by a row that can't be opened.
    #[error("{origin} names a picture that can't be used")]
    Picture { origin: Origin, source: ImageError },
    /// A picture of a list without rows that can't be opened.
    #[error(transparent)]
    Photograph(#[from] ImageError),
    /// Options that contradict each other or the data.
    #[error("{0}")]
    Options(String),
    /// The system can't start the loader's threads.
    #[error("cannot start {}", counted(*count, "loader thread"))]
    Threads { count: usize, source: io::Error },
    /// A loader thread that panicked: a defect of this program.
    #[error("a loader thread ended unexpectedly; see its message above")]
    Worker,
}

/// Memory for the decoded pictures of a training; those that do not fit are decoded again each time.
pub(crate) const CACHE_BYTES: usize = 2 << 30;

/// The size of one training item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Height and width of the input picture, in pixels.
    pub input: (usize, usize),
    /// Height and width of the target maps, in cells.
    pub heatmap: (usize, usize),
    /// Target maps.
    pub channels: usize,
}

impl BatchShape {
    /// Values of one input picture: height x width x 3.
    pub fn input_len(&self) -> usize {
        self.input.0 * self.input.1 * 3
    }

    /// Values of one item's target maps: height x width x channels.
    pub fn target_len(&self) -> usize {
        self.heatmap.0 * self.heatmap.1 * self.channels
    }
}

/// The buffers for one item of a [`Task`]. They are zero-filled and laid out (row, column, channel).
pub struct ItemMut<'a> {
    /// RGB in 0..=1.
    pub input: &'a mut [f32],
    /// Target maps.
    pub target: &'a mut [f32],
    /// The loss weight of every cell of every map; 0 where nothing is known.
    pub weight: &'a mut [f32],
    /// The item's share of what the summed loss is divided by: the sum of its map weights times the cells of a map.
    pub normalizer: &'a mut f64,
}

/// A training task: an endless supply of items.
pub trait Task: Send + Sync {
    /// The size of every item.
    fn shape(&self) -> BatchShape;

    /// Draws, augments and renders one item. The item depends on nothing but the state of `rng`.
    ///
    /// # Errors
    /// [`DataError`] if its picture can't be read.
    fn fill(&self, rng: &mut ChaCha8Rng, item: ItemMut<'_>) -> Result<(), DataError>;

    /// The loss that is minimised on the items.
    fn objective(&self) -> &dyn Objective;

    /// Identifies the data that items are drawn from, so that a training is not continued on other data by accident.
    /// The same for all generated data.
    fn fingerprint(&self) -> String {
        String::new()
    }
}

/// `len` items in a row: (item, row, column, channel).
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub input: Vec<f32>,
    pub target: Vec<f32>,
    pub weight: Vec<f32>,
    /// The sum of the items' normalizers.
    pub normalizer: f64,
    pub len: usize,
}

impl Batch {
    /// The targets that the loss compares the predicted maps with.
    pub(crate) fn targets(&self) -> Targets<'_> {
        Targets { maps: &self.target, weight: &self.weight, normalizer: self.normalizer }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    /// An error and its causes in one line.
    pub fn chain(error: &dyn Error) -> String {
        std::iter::successors(Some(error), |&e| e.source()).map(|e| format!("{e}: ")).collect()
    }
}
