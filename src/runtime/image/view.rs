//! Frames in the caller's buffers, in the layouts that cameras and decoders deliver.
//!
//! A view borrows its pixels. RGB is read in place; from other layouts, only the part that is needed is converted, row
//! by row.

use super::yuv::{Range as Levels, Yuv};
use super::{Frame, ImageError};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};
use std::ops::Range;

/// The pixel layout of a [`FrameView`], 8 bits a sample. YUV is BT.601 in limited range (black is 16, white 235).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue, and an ignored byte.
    Rgba,
    /// Blue, green, red, and an ignored byte.
    Bgra,
    /// Luminance only, 0 black, 255 white.
    Grey,
    /// Y0 U Y1 V for every two pixels of a row; the width is even.
    Yuyv,
    /// A plane of Y, then one of U V pairs for every 2x2 pixels, both with the same stride; the width is even.
    Nv12,
}

impl PixelFormat {
    /// Bytes per pixel of a packed format.
    const fn packed_bytes(self) -> Option<usize> {
        match self {
            Self::Rgb | Self::Bgr => Some(3),
            Self::Rgba | Self::Bgra => Some(4),
            Self::Grey | Self::Yuyv | Self::Nv12 => None,
        }
    }
}

/// A borrowed frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
}

impl<'a> FrameView<'a> {
    /// A frame of `width` x `height` pixels whose rows start `stride` bytes apart, the top row first.
    ///
    /// # Errors
    /// [`ImageError::Layout`] if the stride is shorter than a row, the width is odd in a format that needs an even one,
    /// or `pixels` is too short. The last row may end with its last pixel.
    pub fn new(
        pixels: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self, ImageError> {
        let view = Self { pixels, width, height, stride, format };
        if width == 0 || height == 0 || view.bytes_needed().is_some_and(|needed| pixels.len() >= needed) {
            return Ok(view);
        }
        Err(ImageError::Layout { width, height, stride, format, actual: pixels.len() })
    }

    fn bytes_needed(&self) -> Option<usize> {
        let &Self { pixels, width, height, stride, format } = self;
        match format {
            PixelFormat::Grey => Yuv::Grey { bytes: pixels, stride }.bytes_needed(width, height),
            PixelFormat::Yuyv => Yuv::Yuyv { bytes: pixels, stride }.bytes_needed(width, height),
            PixelFormat::Nv12 => Yuv::Nv12 { bytes: pixels, stride }.bytes_needed(width, height),
            PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Rgba | PixelFormat::Bgra => {
                let row = width.checked_mul(format.packed_bytes()?)?;
                (stride >= row).then(|| stride.checked_mul(height - 1)?.checked_add(row)).flatten()
            }
        }
    }

    /// Pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixel layout.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// A copy of the frame, in RGB.
    pub fn to_frame(&self) -> Frame {
        let mut frame = Frame::filled(self.width, self.height, [0; 3]);
        if self.width > 0 {
            for (row, rgb) in frame.rgb.chunks_exact_mut(self.width * 3).enumerate() {
                self.read_row(row, 0..self.width, rgb);
            }
        }
        frame
    }

    /// The whole frame as RGB rows (bytes and stride), if it is RGB.
    pub(super) fn as_rgb(&self) -> Option<(&'a [u8], usize)> {
        (self.format == PixelFormat::Rgb).then_some((self.pixels, self.stride))
    }

    /// A row as RGB, read in place or converted into `scratch`, which must be large enough for it.
    pub(crate) fn rgb_row<'s>(&self, row: usize, scratch: &'s mut [u8]) -> &'s [u8]
    where
        'a: 's,
    {
        match self.as_rgb() {
            Some((rgb, stride)) => &rgb[row * stride..][..self.width * 3],
            None => {
                let rgb = &mut scratch[..self.width * 3];
                self.read_row(row, 0..self.width, rgb);
                rgb
            }
        }
    }

    /// The size of the scratch buffer that [`Self::rgb_row`] needs, in bytes.
    pub(crate) fn row_scratch(&self) -> usize {
        if self.as_rgb().is_some() { 0 } else { self.width * 3 }
    }

    /// Converts the pixels of `row` in `columns`, which start at an even one, to RGB.
    pub(super) fn read_row(&self, row: usize, columns: Range<usize>, rgb: &mut [u8]) {
        let &Self { pixels, height, stride, format, .. } = self;
        let (from, width) = (columns.start, columns.len());
        let isa = Isa::active();
        let convert = |yuv: Yuv<'_>, levels, rgb: &mut [u8]| {
            let is_converted = yuv.to_rgb(isa, width, 1, levels, rgb);
            debug_assert!(is_converted, "the row lies in the view");
        };
        let line = &pixels[row * stride..];
        match format {
            PixelFormat::Grey => convert(Yuv::Grey { bytes: &line[from..], stride: width }, Levels::Full, rgb),
            PixelFormat::Yuyv => {
                // Callers ask for whole pairs of pixels, which share their chroma.
                convert(Yuv::Yuyv { bytes: &line[from * 2..], stride: width * 2 }, Levels::Limited, rgb);
            }
            PixelFormat::Nv12 => {
                // In a picture of one row, the chroma lies one stride behind the luma.
                let to_chroma = (height + row / 2 - row) * stride;
                convert(Yuv::Nv12 { bytes: &line[from..], stride: to_chroma }, Levels::Limited, rgb);
            }
            PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Rgba | PixelFormat::Bgra => {
                let bytes = format.packed_bytes().unwrap_or(3);
                dispatch(isa, Repack { line: &line[from * bytes..][..width * bytes], format, rgb });
            }
        }
    }
}

impl<'a> From<&'a Frame> for FrameView<'a> {
    fn from(frame: &'a Frame) -> Self {
        let Frame { width, height, rgb } = frame;
        Self { pixels: rgb, width: *width, height: *height, stride: width * 3, format: PixelFormat::Rgb }
    }
}

/// Reorders packed pixels to RGB.
struct Repack<'a> {
    line: &'a [u8],
    format: PixelFormat,
    rgb: &'a mut [u8],
}

impl Kernel for Repack<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let Self { line, format, rgb } = self;
        let pixels = rgb.as_chunks_mut::<3>().0.iter_mut();
        match format {
            PixelFormat::Bgr => pixels.zip(line.as_chunks::<3>().0).for_each(|(to, &[b, g, r])| *to = [r, g, b]),
            PixelFormat::Rgba => pixels.zip(line.as_chunks::<4>().0).for_each(|(to, &[r, g, b, _])| *to = [r, g, b]),
            PixelFormat::Bgra => pixels.zip(line.as_chunks::<4>().0).for_each(|(to, &[b, g, r, _])| *to = [r, g, b]),
            _ => rgb.copy_from_slice(line),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The frame in another format, with rows `stride` bytes apart. YUV gets neutral chroma, so only grey frames
    /// survive it.
    pub(crate) fn stored(frame: &Frame, format: PixelFormat, stride: usize) -> Vec<u8> {
        let (width, height) = (frame.width(), frame.height());
        let rows = if format == PixelFormat::Nv12 { height + height.div_ceil(2) } else { height };
        let mut bytes = vec![128; stride * rows];
        for (row, line) in frame.rgb().chunks_exact(width * 3).enumerate() {
            for (x, &[r, g, b]) in line.as_chunks::<3>().0.iter().enumerate() {
                let luma = (16.0 + f32::from(r) * 219.0 / 255.0).round() as u8;
                let at = row * stride;
                match format {
                    PixelFormat::Rgb => bytes[at + 3 * x..][..3].copy_from_slice(&[r, g, b]),
                    PixelFormat::Bgr => bytes[at + 3 * x..][..3].copy_from_slice(&[b, g, r]),
                    PixelFormat::Rgba => bytes[at + 4 * x..][..4].copy_from_slice(&[r, g, b, 9]),
                    PixelFormat::Bgra => bytes[at + 4 * x..][..4].copy_from_slice(&[b, g, r, 9]),
                    PixelFormat::Grey => bytes[at + x] = r,
                    PixelFormat::Yuyv => bytes[at + 2 * x] = luma,
                    PixelFormat::Nv12 => bytes[at + x] = luma,
                }
            }
        }
        bytes
    }

    pub(crate) const FORMATS: [PixelFormat; 7] = [
        PixelFormat::Rgb,
        PixelFormat::Bgr,
        PixelFormat::Rgba,
        PixelFormat::Bgra,
        PixelFormat::Grey,
        PixelFormat::Yuyv,
        PixelFormat::Nv12,
    ];

    #[test]
    fn every_format_and_stride_gives_the_frame_back() {
        for (width, height) in [(2, 1), (38, 5), (130, 4)] {
            let rgb = (0..width * height).flat_map(|i| [(i * 37 % 256) as u8; 3]).collect();
            let frame = Frame::from_rgb(width, height, rgb).unwrap();
            for format in FORMATS {
                let stride = width * 4 + 6;
                let bytes = stored(&frame, format, stride);
                let view = FrameView::new(&bytes, width, height, stride, format).unwrap();
                let back = view.to_frame();
                let worst = frame.rgb().iter().zip(back.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(worst <= Some(1), "{format:?} {width}x{height}: {worst:?}");
            }
        }
    }

    #[test]
    fn colours_keep_their_places() {
        let frame = Frame::from_rgb(2, 1, vec![10, 20, 30, 40, 50, 60]).unwrap();
        for format in [PixelFormat::Rgb, PixelFormat::Bgr, PixelFormat::Rgba, PixelFormat::Bgra] {
            let bytes = stored(&frame, format, 8);
            assert_eq!(FrameView::new(&bytes, 2, 1, 8, format).unwrap().to_frame(), frame, "{format:?}");
        }
    }

    #[test]
    fn buffers_that_are_too_short_and_odd_widths_of_yuv_are_refused() {
        let bytes = [0; 64];
        let refused = |width, height, stride, format| FrameView::new(&bytes, width, height, stride, format).is_err();
        assert!(refused(4, 6, 12, PixelFormat::Rgb));
        assert!(refused(4, 2, 11, PixelFormat::Bgr));
        assert!(refused(usize::MAX / 2, 2, usize::MAX, PixelFormat::Rgba));
        assert!(refused(3, 2, 8, PixelFormat::Yuyv));
        assert!(refused(3, 2, 8, PixelFormat::Nv12));
        assert!(refused(8, 8, 8, PixelFormat::Nv12));
        assert!(!refused(0, 8, 0, PixelFormat::Grey));
        assert!(!refused(4, 5, 13, PixelFormat::Rgb), "the last row may end with its last pixel");
    }
}
