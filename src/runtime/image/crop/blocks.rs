//! Blocks of n x n pixels and their means.

use super::sample::Pixels;
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Similarity};
use crate::runtime::image::add_row;
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use std::ops::Range;

/// The largest side of a block: the sum of this many 8-bit values fits into 16 bits.
pub(super) const MAX_SIDE: f32 = 256.0;

/// Up to this side, the means of blocks are left at the positions of their first pixels, with gaps between: averaging
/// whole rows in vectors is faster than compacting the means, although most of the results lie in the gaps and are not
/// used.
const WIDEST_GAP: usize = 4;

/// The blocks of a picture that a crop can touch.
pub(super) struct Blocks {
    side: usize,
    /// The first block from the left and from the top.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Blocks {
    /// The largest number of sums and means that [`Self::average`] needs in a frame of `width` x `height` pixels: those
    /// of blocks of two pixels a side, and of one block, however wide.
    pub(super) fn most_room(width: usize, height: usize) -> (usize, usize) {
        ((width + MAX_SIDE as usize) * 3, (width + WIDEST_GAP) * (height / 2 + 1) * 3)
    }

    pub(super) fn under(
        (frame_width, frame_height): (usize, usize),
        frame_from_crop: &Similarity<FrameSpace, CropSpace>,
        crop_size: usize,
        side: usize,
    ) -> Self {
        let end = crop_size as f32 - 1.0;
        let corners =
            [(0.0, 0.0), (end, 0.0), (0.0, end), (end, end)].map(|(x, y)| frame_from_crop.apply(Point::new(x, y)));
        let range = |of: fn(&Point<FrameSpace>) -> f32, length: usize| {
            let low = corners.iter().map(of).fold(f32::INFINITY, f32::min);
            let high = corners.iter().map(of).fold(f32::NEG_INFINITY, f32::max);
            // A bilinear sample reaches one block further; a crop outside the picture still needs the nearest block.
            let last = length.div_ceil(side) - 1;
            let first = ((low / side as f32 - 2.0).max(0.0) as usize).min(last);
            (first, ((high / side as f32 + 2.0).max(0.0) as usize).clamp(first, last) - first + 1)
        };
        let (left, width) = range(|p| p.x, frame_width);
        let (top, height) = range(|p| p.y, frame_height);
        Self { side, left, top, width, height }
    }

    /// The columns and rows of pixels that the blocks cover in a frame of `width` x `height` pixels.
    pub(super) fn pixels(&self, width: usize, height: usize) -> (Range<usize>, Range<usize>) {
        let range =
            |first: usize, count: usize, length: usize| first * self.side..((first + count) * self.side).min(length);
        (range(self.left, self.width, width), range(self.top, self.height, height))
    }

    /// From pixels to blocks, relative to the first one: block X covers the pixels `side * X .. side * (X + 1)`.
    pub(super) fn blocks_from_frame(&self) -> Similarity<FrameSpace, FrameSpace> {
        let scale = 1.0 / self.side as f32;
        let shift = 0.5 * scale - 0.5;
        Similarity::new(scale, 0.0, shift - self.left as f32, shift - self.top as f32)
    }

    /// Computes the blocks' means into `means`. Blocks that extend over the right or lower border repeat the last
    /// pixel.
    pub(super) fn average<'m>(
        &self,
        isa: Isa,
        pixels: &Pixels<'_>,
        sums: &mut Vec<u16>,
        means: &'m mut Vec<u8>,
    ) -> Pixels<'m> {
        let step = if self.side <= WIDEST_GAP { self.side * 3 } else { 3 };
        sums.resize(self.width * self.side * 3, 0);
        means.resize(self.width * self.height * step, 0);
        dispatch(isa, Average { blocks: self, pixels, sums, means, step });
        let stride = self.width * step;
        Pixels { rgb: means, width: self.width, height: self.height, step, stride, skipped: 0 }
    }
}

struct Average<'a> {
    blocks: &'a Blocks,
    pixels: &'a Pixels<'a>,
    sums: &'a mut [u16],
    means: &'a mut [u8],
    step: usize,
}

impl Kernel for Average<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let Self { blocks, pixels, sums, means, step } = self;
        let side = blocks.side;
        let first = blocks.left * side;
        let available = (blocks.width * side).min(pixels.width - first);
        for (row, means) in means.chunks_exact_mut(blocks.width * step).enumerate() {
            for line in 0..side {
                let y = ((blocks.top + row) * side + line).min(pixels.height - 1);
                let source = &pixels.rgb[y * pixels.stride + first * 3 - pixels.skipped..][..available * 3];
                add_row(sums, source, line == 0);
            }
            let (columns, _) = sums.as_chunks_mut::<3>();
            let last = columns[available - 1];
            columns[available..].fill(last);
            // The sums of 2 x 2 to 4 x 4 values fit into 16 bits. The quotients are rounded: 3641 / 65536 is a ninth of
            // a half.
            match side {
                2 => average_with_gaps::<2>(sums, means, |sum| (sum + 2) >> 2),
                3 => average_with_gaps::<3>(sums, means, |sum| ((u32::from(2 * sum + 9) * 3641) >> 16) as u16),
                4 => average_with_gaps::<4>(sums, means, |sum| (sum + 8) >> 4),
                _ => average_together(columns, side, means),
            }
        }
    }
}

/// The mean of `SIDE` sums of `SIDE` values each, starting at every value except the last ones, where no block starts.
#[inline(always)]
fn average_with_gaps<const SIDE: usize>(sums: &[u16], means: &mut [u8], quotient: impl Fn(u16) -> u16) {
    let count = sums.len() - (SIDE - 1) * 3;
    let shifted: [&[u16]; SIDE] = std::array::from_fn(|i| &sums[i * 3..][..count]);
    for (i, mean) in means[..count].iter_mut().enumerate() {
        *mean = quotient(shifted.iter().map(|sums| sums[i]).sum()) as u8;
    }
}

/// The means of `side` sums of `side` values each, pixel by pixel.
#[inline(always)]
fn average_together(columns: &[[u16; 3]], side: usize, means: &mut [u8]) {
    let scale = 1.0 / (side * side) as f32;
    for (pixel, block) in means.as_chunks_mut::<3>().0.iter_mut().zip(columns.chunks_exact(side)) {
        let mut total = [0_u32; 3];
        for column in block {
            for (t, &value) in total.iter_mut().zip(column) {
                *t += u32::from(value);
            }
        }
        *pixel = total.map(|t| (t as f32 * scale + 0.5) as u8);
    }
}
