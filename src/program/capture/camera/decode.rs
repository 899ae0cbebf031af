//! Decodes a camera's frames to RGB.
//!
//! In: the bytes of one frame as the driver delivers them, and their [`Layout`]. Out: an RGB [`Frame`] of that size, or
//! [`Damage`] if the bytes are not such a picture. Nothing here panics on bad bytes. YUYV and NV12 are converted
//! without allocating; the JPEG decoder allocates its tables for each picture.

use super::mode::PixelFormat;
use crate::runtime::image::yuv::{Range, Yuv};
use crate::runtime::image::{Frame, Jpeg};
use crate::runtime::simd::Isa;
use std::fmt;

/// The markers at the start and the end of a JPEG picture.
const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];
/// A segment that tells a decoder to use the default Huffman tables of motion JPEG, which the picture leaves out.
const DEFAULT_TABLES: &[u8] = b"\xff\xe0\x00\x10AVI1\0\0\0\0\0\0\0\0\0\0";

/// The format of a camera's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub format: PixelFormat,
    pub width: usize,
    pub height: usize,
    /// Bytes from one row to the next; 0 for JPEG.
    pub stride: usize,
}

/// The kind of damage in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Short,
    Size {
        width: usize,
        height: usize,
    },
    Jpeg,
    /// The driver marked it as damaged.
    Flagged,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("truncated pictures"),
            Self::Size { width, height } => write!(f, "pictures of the wrong size, {width}x{height}"),
            Self::Jpeg => f.write_str("damaged JPEG pictures"),
            Self::Flagged => f.write_str("pictures that its driver marks as damaged"),
        }
    }
}

/// A decoder with its buffer, which is reused from frame to frame.
#[derive(Default)]
pub(super) struct Decoder {
    /// A JPEG picture with the segment that it lacked.
    completed: Vec<u8>,
}

impl Decoder {
    /// Decodes into `frame`; after an error its pixels are unspecified.
    pub fn decode(&mut self, layout: &Layout, bytes: &[u8], frame: &mut Frame) -> Result<(), Damage> {
        let &Layout { format, width, height, stride } = layout;
        let yuv = match format {
            PixelFormat::Mjpeg => return self.decode_jpeg(layout, bytes, frame),
            PixelFormat::Yuyv => Yuv::Yuyv { bytes, stride },
            PixelFormat::Nv12 => Yuv::Nv12 { bytes, stride },
        };
        frame.resize(width, height);
        let is_whole = yuv.to_rgb(Isa::active(), width, height, Range::Limited, frame.rgb_mut());
        if is_whole { Ok(()) } else { Err(Damage::Short) }
    }

    fn decode_jpeg(&mut self, layout: &Layout, bytes: &[u8], frame: &mut Frame) -> Result<(), Damage> {
        let picture = whole_jpeg(bytes)?;
        let picture = if has_tables(picture) {
            picture
        } else {
            self.completed.clear();
            self.completed.extend_from_slice(&START);
            self.completed.extend_from_slice(DEFAULT_TABLES);
            self.completed.extend_from_slice(&picture[START.len()..]);
            &self.completed
        };
        let jpeg = Jpeg::open(picture).map_err(|_| Damage::Jpeg)?;
        let (width, height) = jpeg.size();
        if (width, height) != (layout.width, layout.height) {
            return Err(Damage::Size { width, height });
        }
        jpeg.decode(frame).map_err(|_| Damage::Jpeg)
    }
}

/// A picture from its start to its end marker; cameras fill the rest of the buffer with anything.
fn whole_jpeg(bytes: &[u8]) -> Result<&[u8], Damage> {
    let end = bytes.windows(2).rposition(|pair| pair == END).ok_or(Damage::Short)?;
    if bytes.starts_with(&START) { Ok(&bytes[..end + END.len()]) } else { Err(Damage::Jpeg) }
}

/// Whether the headers hold Huffman tables, or select the default ones.
fn has_tables(picture: &[u8]) -> bool {
    const HUFFMAN_TABLES: u8 = 0xc4;
    const START_OF_SCAN: u8 = 0xda;
    let mut rest = &picture[START.len()..];
    while let [0xff, marker, high, low, ..] = *rest {
        if marker == HUFFMAN_TABLES || rest.get(4..8) == Some(b"AVI1") {
            return true;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if marker == START_OF_SCAN {
            return false;
        }
        rest = rest.get(2 + length..).unwrap_or_default();
    }
    // Not a valid header: the decoder will report it.
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;

    fn layout(format: PixelFormat, width: usize, height: usize) -> Layout {
        let stride = match format {
            PixelFormat::Yuyv => 2 * width,
            PixelFormat::Nv12 => width,
            PixelFormat::Mjpeg => 0,
        };
        Layout { format, width, height, stride }
    }

    /// A smooth picture that JPEG keeps well.
    fn picture(width: usize, height: usize) -> Frame {
        let rgb = (0..width * height).flat_map(|i| [(i % width * 2) as u8, (i / width * 3) as u8, 90]);
        Frame::from_rgb(width, height, rgb.collect()).unwrap()
    }

    fn jpeg(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (width, height) = (frame.width() as u32, frame.height() as u32);
        JpegEncoder::new_with_quality(&mut bytes, 90)
            .encode(frame.rgb(), width, height, image::ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    fn decode(layout: Layout, bytes: &[u8]) -> Result<Frame, Damage> {
        let mut frame = Frame::default();
        Decoder::default().decode(&layout, bytes, &mut frame).map(|()| frame)
    }

    fn assert_same(a: &Frame, b: &Frame) {
        assert_eq!((a.width(), a.height()), (b.width(), b.height()));
        let far = a.rgb().iter().zip(b.rgb()).filter(|(a, b)| a.abs_diff(**b) > 12).count();
        assert!(far * 100 < a.rgb().len(), "{far} of {} values differ", a.rgb().len());
    }

    #[test]
    fn every_format_gives_the_standard_colours() {
        let red = decode(layout(PixelFormat::Yuyv, 2, 1), &[81, 90, 81, 240]).unwrap();
        assert!(red.rgb().chunks_exact(3).all(|p| p[0] > 250 && p[1] < 5 && p[2] < 5));
        let green = decode(layout(PixelFormat::Nv12, 2, 2), &[145, 145, 145, 145, 54, 34]).unwrap();
        assert!(green.rgb().chunks_exact(3).all(|p| p[0] < 5 && p[1] > 250 && p[2] < 5));
        let picture = picture(64, 48);
        assert_same(&decode(layout(PixelFormat::Mjpeg, 64, 48), &jpeg(&picture)).unwrap(), &picture);
    }

    #[test]
    fn bytes_after_a_picture_are_ignored() {
        let picture = picture(64, 48);
        let mut bytes = jpeg(&picture);
        bytes.extend([0, 0, 0x55, 0xff, 0]);
        assert_same(&decode(layout(PixelFormat::Mjpeg, 64, 48), &bytes).unwrap(), &picture);
    }

    #[test]
    fn a_picture_without_huffman_tables_uses_the_default_ones() {
        let picture = picture(64, 48);
        let whole = jpeg(&picture);
        let mut bare = whole[..2].to_vec();
        let mut rest = &whole[2..];
        while let [0xff, marker, high, low, ..] = *rest {
            let segment = 2 + usize::from(u16::from_be_bytes([high, low]));
            if marker == 0xda {
                break;
            }
            // Without the file header too, as cameras send it.
            if marker != 0xc4 && marker != 0xe0 {
                bare.extend(&rest[..segment]);
            }
            rest = &rest[segment..];
        }
        bare.extend(rest);
        assert!(bare.len() < whole.len());
        assert_same(&decode(layout(PixelFormat::Mjpeg, 64, 48), &bare).unwrap(), &picture);
    }

    #[test]
    fn damage_is_classified() {
        let jpeg_layout = layout(PixelFormat::Mjpeg, 64, 48);
        let bytes = jpeg(&picture(64, 48));
        assert_eq!(decode(jpeg_layout, &bytes[..bytes.len() / 2]), Err(Damage::Short));
        assert_eq!(decode(jpeg_layout, &[]), Err(Damage::Short));
        assert_eq!(decode(jpeg_layout, &[1, 2, 3, 0xff, 0xd9]), Err(Damage::Jpeg));
        let other = jpeg(&picture(32, 48));
        assert_eq!(decode(jpeg_layout, &other), Err(Damage::Size { width: 32, height: 48 }));
        assert_eq!(decode(layout(PixelFormat::Yuyv, 4, 4), &[0; 31]), Err(Damage::Short));
        assert_eq!(decode(layout(PixelFormat::Nv12, 4, 4), &[0; 23]), Err(Damage::Short));
        let mut cut_inside = bytes.clone();
        cut_inside.drain(bytes.len() / 2..bytes.len() - 2);
        assert_eq!(decode(jpeg_layout, &cut_inside), Err(Damage::Jpeg));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let bytes = jpeg(&picture(64, 48));
        for _ in 0..2000 {
            let mut damaged = bytes.clone();
            for _ in 0..random.random_range(1..20) {
                let at = random.random_range(0..damaged.len());
                damaged[at] = random.random();
            }
            // Whether it is a picture does not matter here.
            let _ = decode(layout(PixelFormat::Mjpeg, 64, 48), &damaged);
        }
    }
}
