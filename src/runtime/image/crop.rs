//! The crop: the part of a picture that the network sees, in training and tracking alike.
//!
//! Sampling is bilinear. If the crop is much smaller than the part of the picture that it shows, blocks of n x n pixels
//! are averaged first, so that every pixel counts and none is skipped. The blocks lie on a fixed grid of the picture,
//! and the position of a block is the mean position of its pixels, so no scale shifts a point.
//!
//! The code is plain Rust that the compiler vectorizes, compiled once for each instruction set. A product and a sum are
//! never contracted into one rounding, so every instruction set gives the same crop to the last bit.

mod blocks;
mod sample;

use super::FrameView;
use crate::runtime::geometry::{CropSpace, FrameSpace, Similarity};
use crate::runtime::simd::Isa;
use blocks::Blocks;
use sample::{Pixels, sample};
use std::cell::RefCell;

/// The content of a crop beyond the border of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// The nearest pixel of the picture.
    Replicate,
    /// Black.
    Black,
}

/// Crop pixels per frame pixel below which blocks of pixels are averaged before sampling. At this scale the samples lie
/// 1.7 frame pixels apart, and fine texture begins to alias. The averaged picture is then sampled at 0.75 to 1.2 crop
/// pixels per block.
const AVERAGED_BELOW_SCALE: f32 = 0.6;

/// Samples the square crop of `crop_size` pixels a side that `crop_from_frame` describes into `out`, which holds
/// `crop_size * crop_size * 3` values in 0..=1, RGB interleaved. Used by training and tracking alike. It allocates only
/// when it needs more memory than any earlier call on the same thread.
///
/// # Panics
/// If `out` has another length, or the frame is empty.
pub fn crop_into<'f>(
    frame: impl Into<FrameView<'f>>,
    crop_from_frame: &Similarity<CropSpace, FrameSpace>,
    crop_size: usize,
    border: Border,
    out: &mut [f32],
) {
    thread_local! {
        static CROPPER: RefCell<Cropper> = const { RefCell::new(Cropper::new()) };
    }
    CROPPER.with_borrow_mut(|cropper| cropper.crop_into(&frame.into(), crop_from_frame, crop_size, border, out));
}

/// [`crop_into`] with its own buffers, so that the caller decides when memory is allocated.
pub(crate) struct Cropper {
    /// The part of the frame that the crop shows, if the frame is not RGB.
    window: Vec<u8>,
    sums: Vec<u16>,
    means: Vec<u8>,
}

impl Cropper {
    pub const fn new() -> Self {
        Self { window: Vec::new(), sums: Vec::new(), means: Vec::new() }
    }

    /// Allocates the memory for any crop of such a frame.
    pub fn reserve(&mut self, frame: &FrameView<'_>) {
        let (sums, means) = Blocks::most_room(frame.width(), frame.height());
        self.sums.reserve(sums.saturating_sub(self.sums.len()));
        self.means.reserve(means.saturating_sub(self.means.len()));
        if frame.as_rgb().is_none() {
            let whole = frame.width() * frame.height() * 3;
            self.window.reserve(whole.saturating_sub(self.window.len()));
        }
    }

    /// See [`crop_into`].
    pub fn crop_into(
        &mut self,
        frame: &FrameView<'_>,
        crop_from_frame: &Similarity<CropSpace, FrameSpace>,
        crop_size: usize,
        border: Border,
        out: &mut [f32],
    ) {
        self.crop_with(Isa::active(), frame, crop_from_frame, crop_size, border, out);
    }

    fn crop_with(
        &mut self,
        isa: Isa,
        frame: &FrameView<'_>,
        crop_from_frame: &Similarity<CropSpace, FrameSpace>,
        crop_size: usize,
        border: Border,
        out: &mut [f32],
    ) {
        assert_eq!(
            out.len(),
            crop_size * crop_size * 3,
            "a crop of {crop_size} pixels a side has three values a pixel"
        );
        let (width, height) = (frame.width(), frame.height());
        assert!(width > 0 && height > 0, "an empty frame has no crop");
        let frame_from_crop = crop_from_frame.inverse();
        let side = block_side(crop_from_frame.scale());
        let blocks = Blocks::under((width, height), &frame_from_crop, crop_size, side);
        let pixels = match frame.as_rgb() {
            Some((rgb, stride)) => Pixels { rgb, width, height, step: 3, stride, skipped: 0 },
            None => convert(frame, &blocks, &mut self.window),
        };
        if side == 1 {
            sample(isa, &pixels, &frame_from_crop, crop_size, border, out);
        } else {
            let averaged = blocks.average(isa, &pixels, &mut self.sums, &mut self.means);
            sample(isa, &averaged, &frame_from_crop.then(&blocks.blocks_from_frame()), crop_size, border, out);
        }
    }
}

/// The pixels that the blocks cover, as RGB in `window`.
fn convert<'w>(frame: &FrameView<'_>, blocks: &Blocks, window: &'w mut Vec<u8>) -> Pixels<'w> {
    let (columns, rows) = blocks.pixels(frame.width(), frame.height());
    // A position beyond the frame is sampled between the last two pixels. Pairs of pixels share their chroma.
    let first_column = columns.start.min(frame.width().saturating_sub(2)) & !1;
    let columns = first_column..columns.end.next_multiple_of(2).min(frame.width());
    let rows = rows.start.min(frame.height().saturating_sub(2))..rows.end;
    let stride = columns.len() * 3;
    window.resize(stride * rows.len(), 0);
    for (row, rgb) in rows.clone().zip(window.chunks_exact_mut(stride)) {
        frame.read_row(row, columns.clone(), rgb);
    }
    let (width, height) = (frame.width(), frame.height());
    Pixels { rgb: window, width, height, step: 3, stride, skipped: rows.start * stride + columns.start * 3 }
}

/// The side of the blocks to average at a scale of `scale` crop pixels per frame pixel.
fn block_side(scale: f32) -> usize {
    let pixels = 1.0 / scale - (1.0 / AVERAGED_BELOW_SCALE - 1.5);
    // NaN passes through `clamp` and becomes 0 as an integer.
    (pixels.round().clamp(1.0, blocks::MAX_SIDE) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::super::view::tests::{FORMATS, stored};
    use super::*;
    use crate::runtime::geometry::{Point, crop_from_frame};

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
    fn downscaling_averages_pixels_and_skips_none() {
        // One-pixel stripes: skipping pixels would leave stripes or a uniform extreme.
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

    /// A picture of noise: every pixel differs from its neighbours.
    fn noise(width: usize, height: usize) -> Frame {
        let mut state = 1_u32;
        let rgb = (0..width * height * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Frame::from_rgb(width, height, rgb.collect()).unwrap()
    }

    #[test]
    fn every_instruction_set_gives_the_portable_crop_to_the_last_bit() {
        let frame = noise(323, 241);
        for (size, side) in [(128, 128.0), (128, 90.0), (50, 110.0), (33, 99.0), (64, 260.0), (31, 200.0)] {
            for (x, angle) in [(160.0, 0.0), (150.3, 0.4), (20.0, -0.2), (310.0, 2.0), (500.0, 0.1)] {
                for border in [Border::Black, Border::Replicate] {
                    let transform = crop_from_frame(Point::new(x, 118.7), side, angle, size);
                    let crop = |isa| {
                        let mut out = vec![f32::NAN; size * size * 3];
                        Cropper::new().crop_with(isa, &(&frame).into(), &transform, size, border, &mut out);
                        out
                    };
                    let expected = crop(Isa::Portable);
                    assert!(expected.iter().all(|v| (0.0..=1.0).contains(v)));
                    for isa in Isa::available() {
                        assert!(crop(isa) == expected, "{}, {size} from {side} at {x}", isa.name());
                    }
                }
            }
        }
    }

    #[test]
    fn a_crop_of_any_format_is_that_of_the_converted_frame_to_the_last_bit() {
        let frame = noise(322, 241);
        for format in FORMATS {
            let stride = 322 * 4 + 10;
            let bytes = stored(&frame, format, stride);
            let view = FrameView::new(&bytes, 322, 241, stride, format).unwrap();
            let whole = view.to_frame();
            let mut cropper = Cropper::new();
            for (size, side) in [(128, 128.0), (50, 110.0), (33, 99.0), (31, 200.0), (16, 3000.0)] {
                for (x, angle) in [(160.0, 0.0), (150.3, 0.4), (20.0, -0.2), (310.0, 2.0), (900.0, 0.1)] {
                    for border in [Border::Black, Border::Replicate] {
                        let transform = crop_from_frame(Point::new(x, 118.7), side, angle, size);
                        let (mut expected, mut actual) =
                            (vec![f32::NAN; size * size * 3], vec![f32::NAN; size * size * 3]);
                        crop_into(&whole, &transform, size, border, &mut expected);
                        cropper.crop_into(&view, &transform, size, border, &mut actual);
                        assert!(actual == expected, "{format:?}, {size} from {side} at {x}");
                    }
                }
            }
        }
    }

    /// Bilinear sampling by its textbook formula, on a frame whose border is repeated.
    fn bilinear(frame: &Frame, p: Point<FrameSpace>, channel: usize) -> f64 {
        let at = |x: f64, y: f64| {
            let (x, y) = (x.clamp(0.0, frame.width as f64 - 1.0), y.clamp(0.0, frame.height as f64 - 1.0));
            f64::from(frame.rgb[(y as usize * frame.width + x as usize) * 3 + channel])
        };
        let (x, y) = (f64::from(p.x), f64::from(p.y));
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let above = at(left, top) * (1.0 - fx) + at(left + 1.0, top) * fx;
        let below = at(left, top + 1.0) * (1.0 - fx) + at(left + 1.0, top + 1.0) * fx;
        (above * (1.0 - fy) + below * fy) / 255.0
    }

    #[test]
    fn pixels_are_those_of_the_formula() {
        let (frame, size) = (noise(201, 160), 64);
        let mut out = vec![0.0; size * size * 3];
        for x in [100.0, 10.0, 199.0, 230.0] {
            let transform = crop_from_frame(Point::new(x, 80.2), 83.0, 0.3, size);
            crop_into(&frame, &transform, size, Border::Replicate, &mut out);
            for (i, value) in out.iter().enumerate() {
                let pixel = Point::new((i / 3 % size) as f32, (i / 3 / size) as f32);
                let expected = bilinear(&frame, transform.inverse().apply(pixel), i % 3);
                // Positions are rounded to single precision: 1e-5 of a pixel, times a difference of up to 1.
                assert!((f64::from(*value) - expected).abs() < 1e-4, "{pixel:?} at {x}: {value}, {expected}");
            }
        }
    }

    #[test]
    fn blocks_are_the_rounded_means_of_their_pixels() {
        let frame = noise(144, 144);
        for side in 2..=7 {
            // Upright, with a crop pixel on the centre of each block.
            let size = 16;
            let shift = 0.5 * side as f32 - 0.5;
            let scale = 1.0 / side as f32;
            let transform = Similarity::new(scale, 0.0, -shift * scale, -shift * scale);
            assert_eq!(block_side(transform.scale()), side);
            let mut out = vec![0.0; size * size * 3];
            crop_into(&frame, &transform, size, Border::Black, &mut out);
            for (i, value) in out.iter().enumerate() {
                let (column, row, channel) = (i / 3 % size, i / 3 / size, i % 3);
                let pixels = (0..side * side).map(|p| {
                    let (x, y) = (column * side + p % side, row * side + p / side);
                    u32::from(frame.rgb[(y * 144 + x) * 3 + channel])
                });
                let mean = (f64::from(pixels.sum::<u32>()) / (side * side) as f64 + 0.5).floor();
                assert!((f64::from(*value) * 255.0 - mean).abs() < 0.01, "side {side}: {value} of {mean}");
            }
        }
    }

    #[test]
    fn degenerate_transforms_do_not_panic() {
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
