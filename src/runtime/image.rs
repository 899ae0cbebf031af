//! Pictures: the RGB [`Frame`] that every source returns, the [`FrameView`] of a caller's buffer, decoding of picture
//! files, and the bilinear crop that training and tracking share.
//!
//! A frame is 8-bit RGB, row-major, three bytes per pixel. Crops are `f32` in 0..=1, RGB interleaved (height, width,
//! 3): the layout that the networks read.

mod byte_sums;
mod contrast;
mod crop;
#[cfg(feature = "pictures")]
mod jpeg;
#[cfg(feature = "pictures")]
mod mark;
#[cfg(feature = "pictures")]
mod picture_file;
mod view;
pub mod yuv;

pub(crate) use byte_sums::add_row;
pub(crate) use contrast::stretch_dull;
pub(crate) use crop::Cropper;
pub use crop::{Border, crop_into};
#[cfg(feature = "camera")]
pub(crate) use jpeg::Jpeg;
#[cfg(feature = "program")]
pub(crate) use mark::is_marked;
pub use view::{FrameView, PixelFormat};

use std::path::PathBuf;

/// Pictures with more pixels are refused: a file of a few kilobytes can claim any size and so exhaust memory.
pub(crate) const MOST_PIXELS: usize = 1 << 27;

/// The panic of a frame that can't be.
const TOO_LARGE: &str = "a frame of this size has more bytes than memory can address";

/// Errors of pictures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    #[error("a frame of {width}x{height} needs {expected} bytes of RGB, got {actual}")]
    WrongLength { width: usize, height: usize, expected: usize, actual: usize },
    #[error("{actual} bytes can't hold a frame of {width}x{height} pixels in {format:?} with rows of {stride} bytes")]
    Layout { width: usize, height: usize, stride: usize, format: PixelFormat, actual: usize },
    #[error("the picture {path} is too large: {width}x{height} pixels are more than {MOST_PIXELS}")]
    TooLarge { path: PathBuf, width: u32, height: u32 },
    #[error("cannot read the picture {path}")]
    Decode { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot write the picture {path}: its name has to end in .png or .jpg")]
    Ending { path: PathBuf },
    #[error("cannot write the picture {path}")]
    Encode { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
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

    /// Reuses the memory of `self` if it is large enough.
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
    ///
    /// # Panics
    /// If such a frame has more bytes than memory can address.
    pub fn filled(width: usize, height: usize, color: [u8; 3]) -> Self {
        Self { width, height, rgb: color.repeat(width.checked_mul(height).expect(TOO_LARGE)) }
    }

    /// Changes the frame's size and keeps its memory; the contents are undefined until the caller overwrites them.
    ///
    /// # Panics
    /// If such a frame has more bytes than memory can address.
    pub fn resize(&mut self, width: usize, height: usize) {
        let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3)).expect(TOO_LARGE);
        self.rgb.resize(bytes, 0);
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
}
