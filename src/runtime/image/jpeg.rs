//! Decodes a JPEG; a truncated or damaged one is an error.
//!
//! In: the bytes of a file or of a camera's frame. Out: RGB, before EXIF rotation. Headers are read leniently, since
//! cameras and phones write them freely. An error in the coded picture is an error here; the decoder alone would fill
//! the rest with grey. Errors have the decoder's text.

use super::Frame;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

const START_OF_SCAN: u8 = 0xda;
const END_OF_PICTURE: u8 = 0xd9;

/// A JPEG whose headers have been read.
pub(crate) struct Jpeg<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
}

impl<'a> Jpeg<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// The decoder's message.
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let side = usize::from(u16::MAX);
        let options = DecoderOptions::default().set_strict_mode(false).set_max_width(side).set_max_height(side);
        let options = options.jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|e| e.to_string())?;
        Ok(Self { decoder })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.decoder.dimensions().unwrap_or_default()
    }

    /// Decodes into `frame`; after an error its pixels are unspecified.
    ///
    /// # Errors
    /// The decoder's message.
    pub fn decode(mut self, frame: &mut Frame) -> Result<(), String> {
        let (width, height) = self.size();
        frame.resize(width, height);
        if self.decoder.output_buffer_size() != Some(frame.rgb().len()) {
            return Err("its colours can't be read as RGB".into());
        }
        self.decoder.set_options(self.decoder.options().set_strict_mode(true));
        self.decoder.decode_into(frame.rgb_mut()).map_err(|e| e.to_string())
    }
}

/// The file's bytes, changed so that a decoder notices truncation; `None` if the end of the picture is missing.
///
/// Programs that repair downloads append an end marker, and the decoder fills the missing part with grey. A run of ones
/// is an invalid code in any JPEG: inserted before the end, it causes an error if the decoder gets there.
pub(super) fn with_guarded_end(bytes: &[u8]) -> Option<Vec<u8>> {
    const ONES: [u8; 16] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];
    Some([&bytes[..end_of_picture(bytes)?], &ONES, &[0xff, END_OF_PICTURE]].concat())
}

/// The position of the picture's end marker. Many pictures have a preview with its own marker in their headers, so the
/// segments are walked through.
fn end_of_picture(bytes: &[u8]) -> Option<usize> {
    let mut is_in_picture = false;
    // After the start marker.
    let mut at = 2;
    loop {
        let rest = bytes.get(at..)?;
        let place = at + rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
        at = place + 2;
        match bytes[place + 1] {
            END_OF_PICTURE if is_in_picture => return Some(place),
            // Markers without a segment.
            END_OF_PICTURE | 0x01 | 0xd0..=0xd8 => {}
            marker => {
                let &[high, low, ..] = bytes.get(at..)? else { return None };
                is_in_picture |= marker == START_OF_SCAN;
                at += usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
}
