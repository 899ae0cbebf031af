//! Pictures: the RGB [`Frame`] that every source hands out, decoding of files, and the one bilinear crop that both
//! training and tracking use.
//!
//! A frame is 8-bit RGB, row-major, three bytes a pixel. Crops come out as `f32` in 0..=1, RGB interleaved
//! (height, width, 3), the layout that the networks read.

mod crop;

pub(crate) use crop::Cropper;
pub use crop::{Border, crop_into};

use image::{DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Pictures with more pixels are refused: a file of a few kilobytes can claim any size, and take that much memory.
const MOST_PIXELS: u64 = 1 << 27;

/// What can be wrong with a picture.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("a frame of {width}x{height} needs {expected} bytes of RGB, got {actual}")]
    WrongLength { width: usize, height: usize, expected: usize, actual: usize },
    #[error("the picture {path} is too large: {width}x{height} pixels are more than {MOST_PIXELS}")]
    TooLarge { path: PathBuf, width: u32, height: u32 },
    #[error("cannot read the picture {path}: {source}")]
    Decode { path: PathBuf, source: image::ImageError },
    #[error("cannot write the picture {path}: {source}")]
    Encode { path: PathBuf, source: image::ImageError },
}

/// One picture, 8-bit RGB.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Frame {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        Self { rgb: self.rgb.clone(), ..*self }
    }

    /// Without new memory if there is enough.
    fn clone_from(&mut self, source: &Self) {
        (self.width, self.height) = (source.width, source.height);
        self.rgb.clone_from(&source.rgb);
    }
}

impl Frame {
    /// A frame from `width * height * 3` bytes of RGB, rows from the top.
    ///
    /// # Errors
    /// [`ImageError::WrongLength`] if the number of bytes does not fit.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, ImageError> {
        let expected = width.saturating_mul(height).saturating_mul(3);
        if rgb.len() != expected {
            return Err(ImageError::WrongLength { width, height, expected, actual: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// A frame of one colour.
    pub fn filled(width: usize, height: usize, color: [u8; 3]) -> Self {
        Self { width, height, rgb: color.repeat(width * height) }
    }

    /// Reads a file as [`Self::decode`] does.
    ///
    /// # Errors
    /// As [`Self::decode`], naming the file.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let bytes = std::fs::read(path).map_err(|e| ImageError::Decode { path: path.to_owned(), source: e.into() })?;
        Self::decode(&bytes, path)
    }

    /// Decodes a JPEG, a PNG or the first picture of a GIF, and turns it as its EXIF orientation says: telephones write
    /// upright pictures lying down. `name` is what errors call it.
    ///
    /// # Errors
    /// [`ImageError::Decode`]; [`ImageError::TooLarge`] for more than 2^27 pixels.
    pub fn decode(bytes: &[u8], name: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Decode { path: name.to_owned(), source };
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| failed(e.into()))?;
        let mut decoder = reader.into_decoder().map_err(failed)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(ImageError::TooLarge { path: name.to_owned(), width, height });
        }
        // Damaged notes about a picture are no reason not to show it.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
        picture.apply_orientation(orientation);
        let picture = picture.into_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Ok(Self { width, height, rgb: picture.into_raw() })
    }

    /// Writes a JPEG or PNG file, by its extension; an existing file is replaced only when the new one is whole.
    ///
    /// # Errors
    /// [`ImageError::Encode`] naming the file.
    pub fn save(&self, path: &Path) -> Result<(), ImageError> {
        let encode = |source| ImageError::Encode { path: path.to_owned(), source };
        let format = image::ImageFormat::from_path(path).map_err(encode)?;
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::write_buffer_with_format(
            &mut bytes,
            &self.rgb,
            self.width as u32,
            self.height as u32,
            image::ExtendedColorType::Rgb8,
            format,
        )
        .map_err(encode)?;
        crate::files::write_whole(path, bytes.get_ref()).map_err(|e| encode(e.into()))
    }

    /// Gives the frame another size, to be filled anew; what it shows then is not defined. Memory is kept.
    pub fn resize(&mut self, width: usize, height: usize) {
        self.rgb.resize(width * height * 3, 0);
        (self.width, self.height) = (width, height);
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// RGB bytes, rows from the top.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// Swaps left and right.
    pub fn mirror(&mut self) {
        for row in self.rgb.chunks_exact_mut((self.width * 3).max(1)) {
            row.as_chunks_mut::<3>().0.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_bytes_is_refused() {
        assert!(matches!(Frame::from_rgb(2, 2, vec![0; 11]), Err(ImageError::WrongLength { .. })));
        let wrapping = Frame::from_rgb(usize::MAX / 3 + 1, 1, vec![0; 2]);
        assert!(matches!(wrapping, Err(ImageError::WrongLength { .. })));
    }

    #[test]
    fn a_frame_that_takes_over_another_keeps_its_memory() {
        let (large, small) = (Frame::filled(20, 10, [1; 3]), Frame::filled(5, 4, [2; 3]));
        let mut frame = large.clone();
        let memory = frame.rgb().as_ptr();
        for source in [&small, &large] {
            frame.clone_from(source);
            assert_eq!((&frame, frame.rgb().as_ptr()), (source, memory));
        }
    }

    /// A picture that is red at the left and blue at the right.
    fn jpeg() -> Vec<u8> {
        let rgb: Vec<u8> = (0..32 * 16).flat_map(|i| if i % 32 < 16 { [250, 10, 10] } else { [10, 10, 250] }).collect();
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
        image::ImageEncoder::write_image(encoder, &rgb, 32, 16, image::ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    #[test]
    fn a_picture_is_turned_as_its_exif_orientation_says() {
        let plain = jpeg();
        let upright = Frame::decode(&plain, Path::new("a.jpg")).unwrap();
        assert_eq!((upright.width(), upright.height()), (32, 16));
        // One entry, the orientation, a number of 16 bits: 6, a quarter turn to the right.
        let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0];
        let exif = [b"Exif\0\0II*\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat();
        let segment = [&[0xff, 0xe1, 0, exif.len() as u8 + 2], exif.as_slice()].concat();
        let noted = [&plain[..2], &segment, &plain[2..]].concat();
        let turned = Frame::decode(&noted, Path::new("a.jpg")).unwrap();
        assert_eq!((turned.width(), turned.height()), (16, 32));
        let (top, bottom) = (&turned.rgb()[..3], &turned.rgb()[turned.rgb().len() - 3..]);
        assert!(top[0] > 200 && top[2] < 60 && bottom[2] > 200 && bottom[0] < 60, "{top:?} {bottom:?}");
    }

    #[test]
    fn what_is_no_picture_or_says_that_it_is_huge_is_refused_by_name() {
        let error = Frame::decode(b"GIF89a", Path::new("b.gif")).unwrap_err();
        assert!(format!("{error}").contains("b.gif"), "{error}");
        // A GIF header of 65535 x 65535 pixels.
        let huge = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;";
        let error = Frame::decode(huge, Path::new("c.gif")).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { width: 65535, height: 65535, .. }), "{error}");
    }
}
