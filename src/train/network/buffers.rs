//! Vectors that are reused from step to step; allocating them anew would take hundreds of megabytes per step.
//!
//! In and out: vectors of f32, by their length. Nothing here fails.

use std::collections::HashMap;
use std::sync::Arc;

/// Vectors free to be used again, by length.
#[derive(Default)]
pub(crate) struct BufferPool(HashMap<usize, Vec<Vec<f32>>>);

impl BufferPool {
    /// A vector with room for `length` numbers; its contents are arbitrary.
    pub fn take(&mut self, length: usize) -> Vec<f32> {
        self.0.get_mut(&length).and_then(Vec::pop).unwrap_or_default()
    }

    /// Keeps a vector for the next [`Self::take`] of its length.
    pub fn give(&mut self, vector: Vec<f32>) {
        if vector.is_empty() {
            return;
        }
        self.0.entry(vector.len()).or_default().push(vector);
    }

    /// As [`Self::give`] if nobody else holds `vector`.
    pub fn give_shared(&mut self, vector: Arc<Vec<f32>>) {
        if let Ok(vector) = Arc::try_unwrap(vector) {
            self.give(vector);
        }
    }
}
