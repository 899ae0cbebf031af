//! The one crop: what the network sees of a picture, in training and in tracking alike.
//!
//! Sampling is bilinear. Where the crop shows the picture much smaller than it is, blocks of n x n pixels are averaged
//! first, so that every pixel of the picture counts and none is skipped. The blocks lie on a fixed grid of the picture,
//! and the middle of a block is where its pixels' middle is: no scale shifts a point.

use super::Frame;
use crate::geometry::{CropSpace, FrameSpace, Point, Similarity};
use std::cell::RefCell;

/// What a crop shows where it reaches beyond the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// The nearest pixel of the picture.
    Replicate,
    /// Black.
    Black,
}

/// Crop pixels per frame pixel below which blocks of pixels are averaged before sampling: at this scale the four pixels
/// that a sample is made of lie 1.7 apart, and fine texture begins to alias. The averaged picture is then sampled at
/// 0.75 to 1.2 crop pixels a block.
const AVERAGED_BELOW_SCALE: f32 = 0.6;
/// The largest side of a block: sums of so many 8-bit values fit into 16 bits.
const MAX_BLOCK: f32 = 256.0;

/// Samples the square crop of `crop_size` pixels a side that `crop_from_frame` describes into `out`:
/// `crop_size * crop_size * 3` values in 0..=1, RGB interleaved. Used by training and tracking alike. It allocates only
/// when it needs more room than ever before on the same thread.
///
/// # Panics
/// If `out` has another length, or the frame is empty.
pub fn crop_into(
    frame: &Frame,
    crop_from_frame: &Similarity<CropSpace, FrameSpace>,
    crop_size: usize,
    border: Border,
    out: &mut [f32],
) {
    assert_eq!(out.len(), crop_size * crop_size * 3, "a crop of {crop_size} pixels a side has three values a pixel");
    assert!(frame.width > 0 && frame.height > 0, "an empty frame has no crop");
    let frame_from_crop = crop_from_frame.inverse();
    let block = block_side(crop_from_frame.scale());
    if block == 1 {
        let whole = Pixels { rgb: &frame.rgb, width: frame.width, height: frame.height };
        sample(&whole, &frame_from_crop, crop_size, border, out);
        return;
    }
    thread_local! {
        static AVERAGED: RefCell<(Vec<u16>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
    }
    AVERAGED.with_borrow_mut(|(sums, rgb)| {
        let blocks = Blocks::under(frame, &frame_from_crop, crop_size, block);
        blocks.average(frame, sums, rgb);
        // Block X covers the pixels block * X .. block * (X + 1).
        let scale = 1.0 / block as f32;
        let shift = 0.5 * scale - 0.5;
        let blocks_from_frame = Similarity::<FrameSpace, FrameSpace>::new(
            scale,
            0.0,
            shift - blocks.left as f32,
            shift - blocks.top as f32,
        );
        let averaged = Pixels { rgb, width: blocks.width, height: blocks.height };
        sample(&averaged, &frame_from_crop.then(&blocks_from_frame), crop_size, border, out);
    });
}

/// The side of the blocks that are averaged at a scale of `scale` crop pixels per frame pixel.
fn block_side(scale: f32) -> usize {
    let pixels = 1.0 / scale - (1.0 / AVERAGED_BELOW_SCALE - 1.5);
    // "Not a number" stays that through `clamp` and becomes 0 as an integer.
    (pixels.round().clamp(1.0, MAX_BLOCK) as usize).max(1)
}

/// The blocks of a picture that a crop can touch.
struct Blocks {
    side: usize,
    /// First block from the left and from the top.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Blocks {
    fn under(
        frame: &Frame,
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
            // A bilinear sample reaches one block further; a crop beyond the picture still needs the nearest block.
            let last = length.div_ceil(side) - 1;
            let first = ((low / side as f32 - 2.0).max(0.0) as usize).min(last);
            (first, ((high / side as f32 + 2.0).max(0.0) as usize).clamp(first, last) - first + 1)
        };
        let (left, width) = range(|p| p.x, frame.width);
        let (top, height) = range(|p| p.y, frame.height);
        Self { side, left, top, width, height }
    }

    /// Averages the blocks into `rgb`. Blocks that reach over the right or lower border repeat the last pixel.
    fn average(&self, frame: &Frame, sums: &mut Vec<u16>, rgb: &mut Vec<u8>) {
        let side = self.side;
        let first = self.left * side;
        let length = self.width * side;
        let available = length.min(frame.width - first);
        sums.resize(length * 3, 0);
        rgb.resize(self.width * self.height * 3, 0);
        for (row, averaged) in rgb.chunks_exact_mut(self.width * 3).enumerate() {
            for line in 0..side {
                let y = ((self.top + row) * side + line).min(frame.height - 1);
                let source = &frame.rgb[(y * frame.width + first) * 3..][..available * 3];
                if line == 0 {
                    sums.iter_mut().zip(source).for_each(|(sum, &value)| *sum = u16::from(value));
                } else {
                    sums.iter_mut().zip(source).for_each(|(sum, &value)| *sum += u16::from(value));
                }
            }
            let (columns, _) = sums.as_chunks_mut::<3>();
            let last = columns[available - 1];
            columns[available..].fill(last);
            // The usual sides get loops of known length.
            match side {
                2 => average_row(columns, 2, averaged),
                3 => average_row(columns, 3, averaged),
                _ => average_row(columns, side, averaged),
            }
        }
    }
}

/// Averages `side` sums of `side` values each.
#[inline(always)]
fn average_row(columns: &[[u16; 3]], side: usize, averaged: &mut [u8]) {
    let scale = 1.0 / (side * side) as f32;
    for (pixel, block) in averaged.as_chunks_mut::<3>().0.iter_mut().zip(columns.chunks_exact(side)) {
        let mut total = [0_u32; 3];
        for column in block {
            for (t, &value) in total.iter_mut().zip(column) {
                *t += u32::from(value);
            }
        }
        *pixel = total.map(|t| (t as f32 * scale + 0.5) as u8);
    }
}

/// 8-bit RGB pixels.
struct Pixels<'a> {
    rgb: &'a [u8],
    width: usize,
    height: usize,
}

fn sample(
    pixels: &Pixels<'_>,
    frame_from_crop: &Similarity<FrameSpace, CropSpace>,
    crop_size: usize,
    border: Border,
    out: &mut [f32],
) {
    let step = (fixed(frame_from_crop.a), fixed(frame_from_crop.b));
    for (row, line) in out.chunks_exact_mut(crop_size * 3).enumerate() {
        let start = frame_from_crop.apply(Point::new(0.0, row as f32));
        let (mut x, mut y) = (fixed(start.x), fixed(start.y));
        for pixel in line.as_chunks_mut::<3>().0 {
            let (column, row) = (x >> FRACTION_BITS, y >> FRACTION_BITS);
            let (fx, fy) = (fraction(x), fraction(y));
            *pixel = interpolate_inside(pixels, column, row, fx, fy)
                .unwrap_or_else(|| interpolate_at_border(pixels, column, row, fx, fy, border));
            // Coordinates that overflow are so far outside that any pixel will do.
            x = x.wrapping_add(step.0);
            y = y.wrapping_add(step.1);
        }
    }
}

/// Positions are counted in 2^-32 pixels: rounding down is a shift then, where `f32::floor` is a function call on
/// processors that are only known to be x86-64.
const FRACTION_BITS: u32 = 32;

fn fixed(coordinate: f32) -> i64 {
    (f64::from(coordinate) * (1_u64 << FRACTION_BITS) as f64) as i64
}

/// The part of a position behind the point, in 0..1.
fn fraction(position: i64) -> f32 {
    ((position as u32) >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// The interpolated pixel in 0..=1, unless one of the four neighbours is outside or the very last pixel.
#[inline(always)]
fn interpolate_inside(pixels: &Pixels<'_>, column: i64, row: i64, fx: f32, fy: f32) -> Option<[f32; 3]> {
    // Negative numbers become huge ones.
    let (column, row) = (column as usize, row as usize);
    if column >= pixels.width - 1 || row >= pixels.height - 1 {
        return None;
    }
    let top = (row * pixels.width + column) * 3;
    let above = pixels.rgb.get(top..)?.first_chunk::<7>()?;
    let below = pixels.rgb.get(top + pixels.width * 3..)?.first_chunk::<7>()?;
    // Four values at a time fill a vector register, the fourth is dropped.
    let left = |p: &[u8; 7]| [p[0], p[1], p[2], p[3]].map(f32::from);
    let right = |p: &[u8; 7]| [p[3], p[4], p[5], p[6]].map(f32::from);
    let between = |p: [f32; 4], q: [f32; 4], f: f32| std::array::from_fn::<f32, 4, _>(|i| p[i] + f * (q[i] - p[i]));
    let value = between(between(left(above), right(above), fx), between(left(below), right(below), fx), fy);
    let [r, g, b, _] = value.map(|v| v * (1.0 / 255.0));
    Some([r, g, b])
}

/// The interpolated pixel in 0..=1, wherever it is.
fn interpolate_at_border(pixels: &Pixels<'_>, column: i64, row: i64, fx: f32, fy: f32, border: Border) -> [f32; 3] {
    let (last_column, last_row) = (pixels.width as i64 - 1, pixels.height as i64 - 1);
    if border == Border::Black && (column < -1 || row < -1 || column > last_column || row > last_row) {
        return [0.0; 3];
    }
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    let mut sum = [0.0_f32; 3];
    for (corner, weight) in weights.iter().enumerate() {
        let (x, y) = (column + (corner as i64 & 1), row + (corner as i64 >> 1));
        let (nearest_x, nearest_y) = (x.clamp(0, last_column), y.clamp(0, last_row));
        if border == Border::Black && (x, y) != (nearest_x, nearest_y) {
            continue;
        }
        let at = (nearest_y as usize * pixels.width + nearest_x as usize) * 3;
        for (s, &value) in sum.iter_mut().zip(&pixels.rgb[at..at + 3]) {
            *s += weight * f32::from(value);
        }
    }
    sum.map(|s| s * (1.0 / 255.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::crop_from_frame;

    #[test]
    fn a_crop_at_scale_one_is_the_picture() {
        let rgb: Vec<u8> = (0..8 * 8 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let frame = Frame::from_rgb(8, 8, rgb.clone()).unwrap();
        let mut out = vec![0.0; 8 * 8 * 3];
        crop_into(&frame, &crop_from_frame(Point::new(3.5, 3.5), 8.0, 0.0, 8), 8, Border::Replicate, &mut out);
        for (o, p) in out.iter().zip(&rgb) {
            assert!((o * 255.0 - f32::from(*p)).abs() < 1e-3);
        }
    }

    #[test]
    fn beyond_the_picture_it_is_black_or_the_nearest_pixel() {
        let frame = Frame::filled(4, 4, [255, 255, 255]);
        for side in [4.0, 40.0] {
            let far = crop_from_frame(Point::new(-100.0, 0.0), side, 0.0, 4);
            let mut out = vec![0.5; 4 * 4 * 3];
            crop_into(&frame, &far, 4, Border::Black, &mut out);
            assert!(out.iter().all(|&v| v == 0.0));
            crop_into(&frame, &far, 4, Border::Replicate, &mut out);
            assert!(out.iter().all(|&v| (v - 1.0).abs() < 1e-6));
        }
    }

    /// A smooth picture: a linear ramp survives averaging and bilinear sampling exactly.
    fn ramp(width: usize, height: usize) -> Frame {
        let rgb = (0..width * height).flat_map(|i| [(i % width / 4) as u8, (i / width / 4) as u8, 7]).collect();
        Frame::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn no_scale_shifts_the_picture() {
        let frame = ramp(1001, 997);
        let size = 32;
        let mut out = vec![0.0; size * size * 3];
        for side in [20.0_f32, 40.0, 54.0, 60.0, 90.0, 133.0, 300.0, 470.0, 690.0] {
            let transform = crop_from_frame(Point::new(500.3, 498.1), side, 0.3, size);
            crop_into(&frame, &transform, size, Border::Black, &mut out);
            let inverse = transform.inverse();
            let mut difference = [0.0_f32; 2];
            for (i, pixel) in out.chunks_exact(3).enumerate() {
                let p = inverse.apply(Point::new((i % size) as f32, (i / size) as f32));
                // The ramp rises by 1 in 4 pixels and is constant in between: 1.5 pixels of mean offset.
                difference[0] += pixel[0] * 255.0 * 4.0 + 1.5 - p.x;
                difference[1] += pixel[1] * 255.0 * 4.0 + 1.5 - p.y;
                assert!((pixel[2] * 255.0 - 7.0).abs() < 1e-3);
            }
            for d in difference {
                let mean = d / (size * size) as f32;
                assert!(mean.abs() < 0.3, "side {side}: shifted by {mean} pixels");
            }
        }
    }

    #[test]
    fn a_large_picture_is_averaged_and_not_skipped() {
        // One-pixel stripes: skipping pixels would leave stripes or a plain extreme.
        let rgb = (0..400 * 400).flat_map(|i| [if i % 2 == 0 { 255 } else { 0 }; 3]).collect();
        let frame = Frame::from_rgb(400, 400, rgb).unwrap();
        let mut out = vec![0.0; 32 * 32 * 3];
        for side in [64.0, 128.0, 256.0, 320.0] {
            crop_into(&frame, &crop_from_frame(Point::new(200.0, 200.0), side, 0.0, 32), 32, Border::Black, &mut out);
            assert!(out.iter().all(|v| (v - 0.5).abs() < 0.01), "side {side}");
        }
    }

    #[test]
    fn blocks_at_odd_borders_repeat_the_last_pixel() {
        let frame = Frame::filled(101, 67, [200, 100, 50]);
        let mut out = vec![0.0; 16 * 16 * 3];
        for side in [30.0, 66.0, 200.0] {
            let transform = crop_from_frame(Point::new(100.0, 66.0), side, 0.5, 16);
            crop_into(&frame, &transform, 16, Border::Replicate, &mut out);
            assert!(
                out.chunks_exact(3).all(|p| (p[0] * 255.0 - 200.0).abs() < 0.01 && (p[2] * 255.0 - 50.0).abs() < 0.01)
            );
        }
    }

    #[test]
    fn transforms_that_make_no_sense_do_not_panic() {
        let frame = Frame::filled(10, 10, [1, 2, 3]);
        let mut out = vec![0.0; 4 * 4 * 3];
        for side in [0.0, 1e-30, 1e30, f32::INFINITY, f32::NAN, -5.0] {
            for at in [0.0, 1e30, f32::NAN] {
                for border in [Border::Black, Border::Replicate] {
                    crop_into(&frame, &crop_from_frame(Point::new(at, 5.0), side, 0.1, 4), 4, border, &mut out);
                }
            }
        }
    }
}
