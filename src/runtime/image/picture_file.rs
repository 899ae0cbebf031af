//! Reads picture files: JPEG, PNG, WebP, BMP, TIFF, and the first picture of a GIF. Writes JPEG and PNG.

use super::jpeg::{Jpeg, with_guarded_end};
use super::mark::marked;
use super::{Frame, ImageError, MOST_PIXELS};
use crate::runtime::files::{read_whole, write_whole};
use crate::runtime::foreign::without_causes;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage, metadata::Orientation};
use std::io::Cursor;
use std::path::Path;

impl Frame {
    /// Reads and decodes a file, as [`Self::decode`] does.
    ///
    /// # Errors
    /// As [`Self::decode`], naming the file.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let bytes = read_whole(path).map_err(|e| ImageError::Decode { path: path.to_owned(), source: e.into() })?;
        Self::decode(&bytes, path)
    }

    /// Decodes a JPEG, PNG, WebP, BMP, TIFF or the first picture of a GIF, and applies its orientation: phones store
    /// upright pictures rotated. `name` identifies the picture in errors.
    ///
    /// # Errors
    /// [`ImageError::Decode`]; [`ImageError::TooLarge`] for more than 2^27 pixels.
    pub fn decode(bytes: &[u8], name: &Path) -> Result<Self, ImageError> {
        let failed_with = |source| ImageError::Decode { path: name.to_owned(), source };
        let failed = |source| failed_with(cause(source));
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| failed(e.into()))?;
        let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
        let mut decoder = reader.into_decoder().map_err(failed)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MOST_PIXELS as u64 {
            return Err(ImageError::TooLarge { path: name.to_owned(), width, height });
        }
        // Damaged metadata is no reason to reject a picture.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut picture = if is_jpeg {
            drop(decoder);
            DynamicImage::ImageRgb8(jpeg(bytes).map_err(|reason| failed_with(reason.into()))?)
        } else {
            DynamicImage::from_decoder(decoder).map_err(failed)?
        };
        picture.apply_orientation(orientation);
        let picture = picture.into_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Ok(Self { width, height, rgb: picture.into_raw() })
    }

    /// Writes a JPEG or PNG file, by its extension, with a note that awing wrote it; an existing file is replaced only
    /// once the new one is complete.
    ///
    /// # Errors
    /// [`ImageError::Ending`] and [`ImageError::Encode`], naming the file.
    pub fn save(&self, path: &Path) -> Result<(), ImageError> {
        let encode = |source: image::ImageError| ImageError::Encode { path: path.to_owned(), source: cause(source) };
        let format = ImageFormat::from_path(path).map_err(|_| ImageError::Ending { path: path.to_owned() })?;
        let mut bytes = Cursor::new(Vec::new());
        image::write_buffer_with_format(
            &mut bytes,
            &self.rgb,
            self.width as u32,
            self.height as u32,
            image::ExtendedColorType::Rgb8,
            format,
        )
        .map_err(encode)?;
        write_whole(path, &marked(bytes.into_inner())).map_err(|e| encode(e.into()))
    }
}

/// The pixels of a complete JPEG.
fn jpeg(bytes: &[u8]) -> Result<RgbImage, String> {
    let bytes = with_guarded_end(bytes).ok_or("it is cut off: the end of the JPEG is missing")?;
    let mut frame = Frame::default();
    Jpeg::open(&bytes)?.decode(&mut frame).map_err(|reason| format!("it is cut off or damaged: {reason}"))?;
    RgbImage::from_raw(frame.width as u32, frame.height as u32, frame.rgb).ok_or_else(|| "it has no pixels".into())
}

fn cause(error: image::ImageError) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        image::ImageError::IoError(error) => error.into(),
        other => without_causes(&other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mark::is_marked;
    use super::*;

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
        // One entry: the orientation, a 16-bit number, is 6, a quarter turn to the right.
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
    fn a_jpeg_that_was_cut_off_or_mended_with_an_end_is_refused_by_name() {
        let whole = jpeg();
        let refused = |bytes: &[u8]| match Frame::decode(bytes, Path::new("half.jpg")) {
            Err(error) => assert!(error.to_string().contains("half.jpg"), "{error}"),
            Ok(_) => panic!("{} of {} bytes pass for a picture", bytes.len(), whole.len()),
        };
        (0..whole.len()).for_each(|end| refused(&whole[..end]));
        // Programs that mend downloads put an end behind what they have.
        let picture = whole.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
        (0..whole.len() - 4).for_each(|end| refused(&[&whole[..end], &[0xff, 0xd9]].concat()));
        // Nor does the end of the preview in its headers count, or what stands behind the picture of another one.
        let segment = [&[0xff, 0xe1, 0, 6][..], &[0xff, 0xd8, 0xff, 0xd9]].concat();
        let with_preview = |end: usize| [&whole[..2], &segment, &whole[2..end]].concat();
        refused(&with_preview(picture + 4));
        Frame::decode(&with_preview(whole.len()), Path::new("a.jpg")).unwrap();
        Frame::decode(&[&whole[..], b"a gain map, a video, anything"].concat(), Path::new("a.jpg")).unwrap();
    }

    #[test]
    fn a_picture_that_was_written_here_is_known_by_its_note_and_has_the_same_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let frame = Frame::from_rgb(32, 16, (0..32 * 16 * 3).map(|i| (i / 7) as u8).collect()).unwrap();
        for name in ["a.png", "a.jpg"] {
            let path = folder.path().join(name);
            image::RgbImage::from_raw(32, 16, frame.rgb().to_vec()).unwrap().save(&path).unwrap();
            let plain = std::fs::read(&path).unwrap();
            assert!(!is_marked(&plain), "{name}");
            frame.save(&path).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert!(is_marked(&bytes) && !is_marked(&bytes[..20]), "{name}");
            let expected = Frame::decode(&plain, &path).unwrap();
            // The checksum of a PNG's note is checked here, too.
            assert_eq!((Frame::open(&path).unwrap(), marked(plain)), (expected, bytes), "{name}");
        }
    }

    #[test]
    fn a_picture_of_any_format_that_was_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let rgb = (0..64 * 48).flat_map(|i| [(i % 64 * 3) as u8, (i / 64 * 5) as u8, (i % 7 * 30) as u8]);
        let frame = Frame::from_rgb(64, 48, rgb.collect()).unwrap();
        for name in ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tiff", "a.gif"] {
            let path = folder.path().join(name);
            frame.save(&path).unwrap();
            let whole = std::fs::read(&path).unwrap();
            Frame::decode(&whole, &path).unwrap();
            for percent in 1..95 {
                let part = &whole[..whole.len() * percent / 100];
                assert!(Frame::decode(part, &path).is_err(), "{percent} % of {name} pass for a picture");
            }
        }
    }

    #[test]
    fn a_jpeg_in_grey_becomes_rgb() {
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        image::ImageEncoder::write_image(encoder, &[77; 20 * 10], 20, 10, image::ExtendedColorType::L8).unwrap();
        let frame = Frame::decode(&bytes, Path::new("grey.jpg")).unwrap();
        assert_eq!((frame.width(), frame.height()), (20, 10));
        assert!(frame.rgb().iter().all(|value| value.abs_diff(77) < 2), "{:?}", &frame.rgb()[..6]);
    }

    #[test]
    fn invalid_and_oversized_pictures_are_refused_by_name() {
        let error = Frame::decode(b"GIF89a", Path::new("b.gif")).unwrap_err();
        assert!(format!("{error}").contains("b.gif"), "{error}");
        // A GIF header of 65535 x 65535 pixels.
        let huge = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;";
        let error = Frame::decode(huge, Path::new("c.gif")).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { width: 65535, height: 65535, .. }), "{error}");
    }
}
