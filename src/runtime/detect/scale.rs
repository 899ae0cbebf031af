//! Scales the frame down: each input pixel is the area average of the frame pixels under it, black beyond the frame.
//!
//! Most cameras have a whole number of pixels under each input pixel: their sums are integers. Otherwise products and
//! sums are rounded separately. Either way every instruction set gives the same picture to the last bit.

use crate::runtime::image::{FrameView, add_row};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};

/// Scales frames of one size onto the detector's input.
pub(super) struct Scaler {
    frame_size: (usize, usize),
    canvas: (usize, usize),
    scale: f32,
    columns: Vec<Span>,
    rows: Vec<Span>,
    /// The side of the block of frame pixels under each input pixel, if that is the same whole number for all.
    block: Option<usize>,
    /// Sums over a block's rows, and over the pixels of these from each value on.
    sums: [Vec<u16>; 2],
    /// Sums over the frame's rows under one input row, with one value of padding.
    line: Vec<f32>,
    /// One input row, with one value of padding.
    scaled: Vec<f32>,
    /// A row of the frame as RGB, if the frame has another format.
    row: Vec<u8>,
}

/// The largest side of a block: the sum of its values fits into 16 bits.
const LARGEST_BLOCK: usize = 16;

/// The frame pixels under one input pixel, and the weights of the first and the last of them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    first: usize,
    last: usize,
    first_weight: f32,
    last_weight: f32,
    /// One over the sum of the weights.
    factor: f32,
}

impl Scaler {
    /// A scaler for frames of `width` x `height` pixels: the longer side becomes `longer_side` input pixels, and both
    /// sides of the canvas are rounded up to a multiple of `multiple`.
    pub fn new(width: usize, height: usize, longer_side: usize, multiple: usize) -> Self {
        let mut scaler = Self::onto((0, 0), (width, height), longer_side);
        let (inner_width, inner_height) = scaler.inner();
        scaler.canvas = (inner_height.next_multiple_of(multiple), inner_width.next_multiple_of(multiple));
        scaler
    }

    /// A scaler for the same frames and canvas, whose picture has a smaller longer side.
    pub fn with_longer_side(&self, longer_side: usize) -> Self {
        debug_assert!(longer_side <= self.canvas.0.max(self.canvas.1));
        Self::onto(self.canvas, self.frame_size, longer_side)
    }

    fn onto(canvas: (usize, usize), (width, height): (usize, usize), longer_side: usize) -> Self {
        let scale = longer_side as f32 / width.max(height) as f32;
        let scaled = |n: usize| ((n as f32 * scale).round() as usize).max(1);
        let (inner_width, inner_height) = (scaled(width), scaled(height));
        let side = width.max(height) / longer_side;
        let is_whole = (width, height) == (inner_width * side, inner_height * side);
        let block = (is_whole && (2..=LARGEST_BLOCK).contains(&side)).then_some(side);
        let sums = if block.is_some() { width * 3 } else { 0 };
        Self {
            block,
            sums: [vec![0; sums], vec![0; sums]],
            frame_size: (width, height),
            canvas,
            scale,
            columns: spans(inner_width, width, scale),
            rows: spans(inner_height, height, scale),
            line: vec![0.0; width * 3 + 1],
            scaled: vec![0.0; inner_width * 3 + 1],
            row: Vec::new(),
        }
    }

    pub fn is_for(&self, width: usize, height: usize) -> bool {
        self.frame_size == (width, height)
    }

    /// Height and width of the input in pixels.
    pub fn canvas(&self) -> (usize, usize) {
        self.canvas
    }

    /// Width and height of the picture on the canvas, in input pixels.
    pub fn inner(&self) -> (usize, usize) {
        (self.columns.len(), self.rows.len())
    }

    /// Input pixels per frame pixel.
    pub fn scale_factor(&self) -> f32 {
        self.scale
    }

    /// Writes the input: RGB in 0..=1, row by row.
    ///
    /// # Panics
    /// If the frame has another size, or `out` does not have the size of the canvas.
    pub fn scale(&mut self, frame: &FrameView<'_>, out: &mut [f32]) {
        self.scale_with(Isa::active(), frame, out);
    }

    fn scale_with(&mut self, isa: Isa, frame: &FrameView<'_>, out: &mut [f32]) {
        assert!(self.is_for(frame.width(), frame.height()) && out.len() == self.canvas.0 * self.canvas.1 * 3);
        self.row.resize(frame.row_scratch(), 0);
        match self.block {
            Some(side) => dispatch(isa, Blocks { scaler: self, side, frame, out }),
            None => dispatch(isa, Scaling { scaler: self, frame, out }),
        }
    }
}

struct Scaling<'a> {
    scaler: &'a mut Scaler,
    frame: &'a FrameView<'a>,
    out: &'a mut [f32],
}

impl Kernel for Scaling<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let Self { scaler: Scaler { canvas, columns, rows, line, scaled, row: scratch, .. }, frame, out } = self;
        let inner = columns.len() * 3;
        out[rows.len() * canvas.1 * 3..].fill(0.0);
        for (rows, out) in rows.iter().zip(out.chunks_exact_mut(canvas.1 * 3)) {
            for row in rows.first..=rows.last {
                let weight = rows.weight(row) * rows.factor * (1.0 / 255.0);
                let values = frame.rgb_row(row, scratch);
                if row == rows.first {
                    line.iter_mut().zip(values).for_each(|(sum, value)| *sum = weight * f32::from(*value));
                } else {
                    line.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * f32::from(*value));
                }
            }
            // Four values at once; the fourth is overwritten by the next pixel.
            for (column, pixels) in columns.iter().enumerate() {
                let add = |sum: &mut [f32; 4], i: usize, weight: f32| {
                    sum.iter_mut().zip(&line[i * 3..][..4]).for_each(|(sum, value)| *sum += weight * value);
                };
                let mut sum = [0.0; 4];
                add(&mut sum, pixels.first, pixels.first_weight);
                if pixels.last > pixels.first {
                    (pixels.first + 1..pixels.last).for_each(|i| add(&mut sum, i, 1.0));
                    add(&mut sum, pixels.last, pixels.last_weight);
                }
                scaled[column * 3..][..4].copy_from_slice(&sum.map(|sum| sum * pixels.factor));
            }
            out[..inner].copy_from_slice(&scaled[..inner]);
            out[inner..].fill(0.0);
        }
    }
}

/// As [`Scaling`], for blocks of `side` x `side` pixels.
struct Blocks<'a> {
    scaler: &'a mut Scaler,
    side: usize,
    frame: &'a FrameView<'a>,
    out: &'a mut [f32],
}

impl Kernel for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let Self {
            scaler: Scaler { canvas, columns, rows, sums: [rows_sum, sums], row: scratch, .. },
            side,
            frame,
            out,
        } = self;
        let (rows, last_pixel) = (rows.len(), columns.len() - 1);
        let factor = 1.0 / ((side * side) as f32 * 255.0);
        out[rows * canvas.1 * 3..].fill(0.0);
        for (row, out) in out.chunks_exact_mut(canvas.1 * 3).take(rows).enumerate() {
            for line in 0..side {
                add_row(rows_sum, frame.rgb_row(row * side + line, scratch), line == 0);
            }
            // From every value on, although only every `side`th pixel starts a block: whole rows are added in vectors.
            sums.copy_from_slice(rows_sum);
            for pixel in 1..side {
                sums.iter_mut().zip(&rows_sum[pixel * 3..]).for_each(|(sum, value)| *sum += value);
            }
            // Four values at once; the fourth is overwritten by the next pixel.
            for pixel in 0..last_pixel {
                let sums: [u16; 4] = std::array::from_fn(|i| sums[pixel * side * 3 + i]);
                out[pixel * 3..][..4].copy_from_slice(&sums.map(|sum| f32::from(sum) * factor));
            }
            let last = out[last_pixel * 3..].iter_mut().zip(&sums[last_pixel * side * 3..]);
            last.take(3).for_each(|(out, &sum)| *out = f32::from(sum) * factor);
            out[(last_pixel + 1) * 3..].fill(0.0);
        }
    }
}

impl Span {
    fn weight(&self, i: usize) -> f32 {
        if i == self.first {
            self.first_weight
        } else if i == self.last {
            self.last_weight
        } else {
            1.0
        }
    }
}

/// The spans of `count` input pixels over `length` frame pixels. If the frame is smaller than the input, input pixels
/// share frame pixels.
fn spans(count: usize, length: usize, scale: f32) -> Vec<Span> {
    (0..count)
        .map(|i| {
            let from = (i as f32 / scale).min(length as f32 - 1e-3);
            let to = ((i + 1) as f32 / scale).clamp(from + 1e-3, length as f32);
            let (first, last) = (from as usize, (to.ceil() as usize).clamp(1, length) - 1);
            let (first, last) = (first.min(length - 1), last.max(first));
            let first_weight = if first == last { to - from } else { (first + 1) as f32 - from };
            let last_weight = if first == last { first_weight } else { to - last as f32 };
            Span { first, last, first_weight, last_weight, factor: 1.0 / (to - from) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;

    fn patterned(width: usize, height: usize) -> Frame {
        let rgb = (0..width * height * 3).map(|i| (i * 97 % 251) as u8).collect();
        Frame::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn the_mean_brightness_stays() {
        for (width, height) in [(640, 480), (333, 517), (192, 100), (40, 30)] {
            let frame = patterned(width, height);
            let rgb = frame.rgb();
            let mean = rgb.iter().map(|v| f64::from(*v)).sum::<f64>() / rgb.len() as f64 / 255.0;
            let mut scaler = Scaler::new(width, height, 192, 32);
            let (h, w) = scaler.canvas();
            let mut out = vec![f32::NAN; h * w * 3];
            scaler.scale(&(&frame).into(), &mut out);
            assert!(out.iter().all(|v| (0.0..=1.0001).contains(v)));
            let inner = (scaler.rows.len() * scaler.columns.len() * 3) as f64;
            let scaled = out.iter().map(|v| f64::from(*v)).sum::<f64>() / inner;
            assert!((scaled - mean).abs() < 0.01, "{width}x{height}: {scaled} instead of {mean}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_portable_picture_to_the_last_bit() {
        for (width, height) in [(640, 480), (384, 192), (333, 517), (192, 100), (40, 30), (7, 300)] {
            let frame = patterned(width, height);
            let mut scaler = Scaler::new(width, height, 192, 32);
            let (h, w) = scaler.canvas();
            let mut scale = |isa| {
                let mut out = vec![f32::NAN; h * w * 3];
                scaler.scale_with(isa, &(&frame).into(), &mut out);
                out
            };
            let expected = scale(Isa::Portable);
            for isa in Isa::available() {
                assert!(scale(isa) == expected, "{}, {width}x{height}", isa.name());
            }
        }
    }

    #[test]
    fn sums_of_integers_give_what_sums_of_weighted_values_do() {
        for side in [2, 3, 6, 16] {
            let (width, height) = (64 * side, 40 * side);
            let frame = patterned(width, height);
            let mut scaler = Scaler::new(width, height, 64, 32);
            let mut scale = |block| {
                assert_eq!(std::mem::replace(&mut scaler.block, block), Some(side));
                let mut out = vec![f32::NAN; 64 * 64 * 3];
                scaler.scale(&(&frame).into(), &mut out);
                scaler.block = Some(side);
                out
            };
            let (blocks, spans) = (scale(Some(side)), scale(None));
            assert!(blocks.iter().zip(&spans).all(|(a, b)| (a - b).abs() < 1e-5), "{side}");
        }
    }

    #[test]
    fn a_smaller_picture_on_the_same_canvas_leaves_the_rest_black() {
        let frame = patterned(333, 217);
        let scaled = |scaler: &mut Scaler| {
            let (h, w) = scaler.canvas();
            let mut out = vec![f32::NAN; h * w * 3];
            scaler.scale(&(&frame).into(), &mut out);
            out
        };
        let mut whole = Scaler::new(333, 217, 192, 32);
        let mut half = whole.with_longer_side(96);
        assert_eq!((half.canvas(), half.inner(), half.scale_factor()), (whole.canvas(), (96, 63), 96.0 / 333.0));
        let (small, on_canvas) = (scaled(&mut Scaler::new(333, 217, 96, 1)), scaled(&mut half));
        let (row, small_row) = (whole.canvas().1 * 3, 96 * 3);
        for (y, line) in on_canvas.chunks_exact(row).enumerate() {
            let (shown, rest) = line.split_at(if y < 63 { small_row } else { 0 });
            assert!(shown.is_empty() || shown == &small[y * small_row..][..small_row], "row {y}");
            assert!(rest.iter().all(|v| *v == 0.0), "row {y}");
        }
        assert_ne!(on_canvas, scaled(&mut whole));
    }

    #[test]
    fn a_third_of_the_size_is_the_mean_of_nine_pixels() {
        let mut frame = Frame::filled(576, 288, [0, 0, 0]);
        frame.rgb_mut()[(4 * 576 + 7) * 3] = 255;
        let mut scaler = Scaler::new(576, 288, 192, 32);
        assert_eq!(scaler.canvas(), (96, 192));
        let mut out = vec![0.0; 96 * 192 * 3];
        scaler.scale(&(&frame).into(), &mut out);
        assert!((out[(192 + 2) * 3] - 1.0 / 9.0).abs() < 1e-4);
        assert!((out.iter().sum::<f32>() - 1.0 / 9.0).abs() < 1e-3);
    }
}
