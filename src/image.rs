//! Pictures: the RGB [`Frame`] that every source hands out, decoding of files, and the one bilinear crop that both
//! training and tracking use.
//!
//! A frame is 8-bit RGB, row-major, three bytes a pixel. Crops come out as `f32` in 0..=1, RGB interleaved
//! (height, width, 3), the layout that the networks read.

mod crop;

pub(crate) use crop::Cropper;
pub use crop::{Border, crop_into};

use std::path::{Path, PathBuf};

/// What can be wrong with a picture.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("a frame of {width}x{height} needs {expected} bytes of RGB, got {actual}")]
    WrongLength { width: usize, height: usize, expected: usize, actual: usize },
    #[error("cannot read the picture {path}: {source}")]
    Decode { path: PathBuf, source: image::ImageError },
    #[error("cannot write the picture {path}: {source}")]
    Encode { path: PathBuf, source: image::ImageError },
}

/// One picture, 8-bit RGB.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frame {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Frame {
    /// A frame from `width * height * 3` bytes of RGB, rows from the top.
    ///
    /// # Errors
    /// [`ImageError::WrongLength`] if the number of bytes does not fit.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, ImageError> {
        let expected = width * height * 3;
        if rgb.len() != expected {
            return Err(ImageError::WrongLength { width, height, expected, actual: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// A frame of one colour.
    pub fn filled(width: usize, height: usize, color: [u8; 3]) -> Self {
        Self { width, height, rgb: color.repeat(width * height) }
    }

    /// Reads a JPEG or PNG file.
    ///
    /// # Errors
    /// [`ImageError::Decode`] naming the file.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let decode = |source| ImageError::Decode { path: path.to_owned(), source };
        let picture = image::ImageReader::open(path)
            .and_then(|r| r.with_guessed_format())
            .map_err(|e| decode(e.into()))?
            .decode()
            .map_err(decode)?
            .into_rgb8();
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
    }
}
