//! A picture reduced to a few cells: a cheap measure of how different two pictures are.
//!
//! In: a square grey picture. Out: plain numbers. Nothing fails.

/// Side of a thumbnail, in cells.
const CELLS: usize = 12;

/// The smallest standard deviation that counts as contrast, so that flat pictures are alike.
const LEAST_DEVIATION: f32 = 1e-3;

/// The means of the cells of a square grey picture, 0..=1.
#[derive(Clone, Debug)]
pub(crate) struct Thumbnail(Vec<f32>);

impl Thumbnail {
    /// Of a grey picture of `side * side` values in 0..=1; `side` is a multiple of 12.
    pub(crate) fn of(grey: &[f32], side: usize) -> Self {
        debug_assert!(side.is_multiple_of(CELLS) && grey.len() == side * side);
        let block = side / CELLS;
        let mut cells = vec![0.0; CELLS * CELLS];
        for (y, row) in grey.chunks_exact(side).enumerate() {
            for (x, values) in row.chunks_exact(block).enumerate() {
                cells[y / block * CELLS + x] += values.iter().sum::<f32>();
            }
        }
        cells.iter_mut().for_each(|v| *v /= (block * block) as f32);
        Self(cells)
    }

    /// Of a square picture in RGB, interleaved, 0..=1.
    pub(crate) fn of_rgb(rgb: &[f32], side: usize) -> Self {
        Self::of(&grey(rgb).collect::<Vec<_>>(), side)
    }

    /// The mean difference of a cell, 0..=1.
    pub(crate) fn difference(&self, other: &Self) -> f32 {
        let cells = self.0.iter().zip(&other.0);
        cells.map(|(a, b)| (a - b).abs()).sum::<f32>() / self.0.len() as f32
    }

    /// With a mean of 0 and a variance of 1: brightness and contrast as a whole don't count in the difference then. It
    /// is 0 for the same picture, about 1.1 for unrelated ones.
    pub(crate) fn standardized(&self) -> Self {
        let count = self.0.len() as f32;
        let mean = self.0.iter().sum::<f32>() / count;
        let deviation = (self.0.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count).sqrt();
        Self(self.0.iter().map(|v| (v - mean) / deviation.max(LEAST_DEVIATION)).collect())
    }
}

/// The luma (BT.601) of RGB values.
pub(crate) fn grey(rgb: &[f32]) -> impl Iterator<Item = f32> {
    rgb.as_chunks::<3>().0.iter().map(|&[r, g, b]| 0.299 * r + 0.587 * g + 0.114 * b)
}
