//! The pixels of a JPEG, or what is wrong with it: nothing that was cut off or damaged passes for a picture.
//!
//! In: the bytes of a file or of a camera's frame. Out: RGB, not yet turned as EXIF says. What stands between the headers
//! is taken as leniently as cameras and phones write it; an error in the coded picture itself is an error here, where the
//! decoder's habit is to fill the rest with grey. Fails with the decoder's words.

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
    /// What is wrong with them.
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
    /// What is wrong with the coded picture.
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

/// A whole picture of a file as a decoder has to see it so that it notices a cut; `None` if the end of the picture is missing.
///
/// Programs that mend downloads put an end behind what they have, and the decoder fills what lacks with grey. A run of ones is
/// no code of any JPEG: put before the end, it is an error if the decoder comes so far.
pub(super) fn with_guarded_end(bytes: &[u8]) -> Option<Vec<u8>> {
    const ONES: [u8; 16] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];
    Some([&bytes[..end_of_picture(bytes)?], &ONES, &[0xff, END_OF_PICTURE]].concat())
}

/// Where the end marker of the picture stands. The preview in the headers of many has one, too, so the segments are walked
/// through.
fn end_of_picture(bytes: &[u8]) -> Option<usize> {
    let mut is_in_picture = false;
    // Behind the marker of the start.
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
