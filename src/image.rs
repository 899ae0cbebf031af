//! Pictures: the RGB [`Frame`] that every source hands out, decoding of files, and the one bilinear crop that both
//! training and tracking use.
//!
//! A frame is 8-bit RGB, row-major, three bytes a pixel. Crops come out as `f32` in 0..=1, RGB interleaved
//! (height, width, 3), the layout that the networks read.

use crate::geometry::{CropSpace, FrameSpace, Point, Similarity};
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
}

/// What a crop shows where it reaches beyond the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// The nearest pixel of the picture.
    Replicate,
    /// Black.
    Black,
}

/// Samples the square crop of `crop_size` pixels a side that `crop_from_frame` describes, bilinearly, into `out`:
/// `crop_size * crop_size * 3` values in 0..=1, RGB interleaved. Used by training and tracking alike.
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
    let (w, h) = (frame.width as i32, frame.height as i32);
    let rgb = &frame.rgb[..];
    for (row, line) in out.chunks_exact_mut(crop_size * 3).enumerate() {
        let start = frame_from_crop.apply(Point::new(0.0, row as f32));
        for (column, pixel) in line.chunks_exact_mut(3).enumerate() {
            let x = start.x + frame_from_crop.a * column as f32;
            let y = start.y + frame_from_crop.b * column as f32;
            let (x0, y0) = (x.floor(), y.floor());
            let (fx, fy) = (x - x0, y - y0);
            let (x0, y0) = (x0 as i32, y0 as i32);
            let inside = x0 >= 0 && y0 >= 0 && x0 + 1 < w && y0 + 1 < h;
            let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
            if inside {
                let top = (y0 as usize * frame.width + x0 as usize) * 3;
                let bottom = top + frame.width * 3;
                for (c, value) in pixel.iter_mut().enumerate() {
                    *value = (weights[0] * f32::from(rgb[top + c])
                        + weights[1] * f32::from(rgb[top + 3 + c])
                        + weights[2] * f32::from(rgb[bottom + c])
                        + weights[3] * f32::from(rgb[bottom + 3 + c]))
                        * (1.0 / 255.0);
                }
                continue;
            }
            let mut sum = [0.0_f32; 3];
            for (corner, weight) in weights.iter().enumerate() {
                let (cx, cy) = (x0.saturating_add(corner as i32 & 1), y0.saturating_add(corner as i32 >> 1));
                if border == Border::Black && (cx < 0 || cy < 0 || cx >= w || cy >= h) {
                    continue;
                }
                let at = (cy.clamp(0, h - 1) as usize * frame.width + cx.clamp(0, w - 1) as usize) * 3;
                for (s, &value) in sum.iter_mut().zip(&rgb[at..at + 3]) {
                    *s += weight * f32::from(value);
                }
            }
            for (value, s) in pixel.iter_mut().zip(sum) {
                *value = s * (1.0 / 255.0);
            }
        }
    }
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
        let far = crop_from_frame(Point::new(-100.0, 0.0), 4.0, 0.0, 4);
        let mut out = vec![0.5; 4 * 4 * 3];
        crop_into(&frame, &far, 4, Border::Black, &mut out);
        assert!(out.iter().all(|&v| v == 0.0));
        crop_into(&frame, &far, 4, Border::Replicate, &mut out);
        assert!(out.iter().all(|&v| (v - 1.0).abs() < 1e-6));
    }

    #[test]
    fn a_wrong_number_of_bytes_is_refused() {
        assert!(matches!(Frame::from_rgb(2, 2, vec![0; 11]), Err(ImageError::WrongLength { .. })));
    }
}
