//! A cache of decoded pictures, bounded in bytes.
//!
//! In: the number of a picture and how to open it. Out: the decoded picture. It is decoded on first use, by the thread
//! that needs it, and kept while the budget lasts; others are decoded on every use. Errors are those of opening.

use super::{DataError, Sample};
use crate::runtime::image::Frame;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A cache for the pictures of a list of samples.
pub struct PictureCache {
    pictures: Vec<OnceLock<Arc<Frame>>>,
    bytes_left: AtomicUsize,
}

impl PictureCache {
    /// A cache for the pictures of `samples` samples, of at most `budget_bytes` in total.
    pub fn new(samples: usize, budget_bytes: usize) -> Self {
        Self { pictures: (0..samples).map(|_| OnceLock::new()).collect(), bytes_left: AtomicUsize::new(budget_bytes) }
    }

    /// The picture of sample `index`.
    ///
    /// # Errors
    /// The errors of [`Sample::open`].
    ///
    /// # Panics
    /// If `index` is not below the number of samples.
    pub fn get(&self, index: usize, sample: &Sample) -> Result<Arc<Frame>, DataError> {
        self.get_with(index, || sample.open())
    }

    /// The picture with this index, opened with `open` if it is not cached.
    ///
    /// # Errors
    /// The errors of `open`.
    ///
    /// # Panics
    /// If `index` is not below the number of pictures.
    pub fn get_with(
        &self,
        index: usize,
        open: impl FnOnce() -> Result<Frame, DataError>,
    ) -> Result<Arc<Frame>, DataError> {
        let slot = &self.pictures[index];
        if let Some(frame) = slot.get() {
            return Ok(frame.clone());
        }
        let frame = Arc::new(open()?);
        let bytes = frame.rgb().len();
        let take = |left: usize| left.checked_sub(bytes);
        if self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
            && slot.set(frame.clone()).is_err()
        {
            self.bytes_left.fetch_add(bytes, Ordering::Relaxed); // another thread was faster
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_opened_once_while_there_is_room() {
        let cache = PictureCache::new(3, 2 * 300);
        let mut opened = 0;
        for index in [0, 1, 2, 0, 1, 2] {
            let picture = cache.get_with(index, || {
                opened += 1;
                Ok(Frame::filled(10, 10, [index as u8; 3]))
            });
            assert_eq!(picture.unwrap().rgb()[0], index as u8);
        }
        assert_eq!(opened, 4);
    }
}
