//! Draws a section of the picture, enlarged or reduced.
//!
//! In: a frame and `view_from_frame`, without rotation. Out: a canvas filled with that section, with linear
//! interpolation when enlarged and means of pixels when reduced; grey beside the picture. Nothing fails.

use crate::runtime::geometry::{CanvasSpace, FrameSpace, Similarity};
use crate::runtime::image::Frame;

/// The colour beside the picture.
const BESIDE: [u8; 3] = [24, 27, 32];
/// 1 in the fixed-point arithmetic of scaling.
const ONE: u32 = 256;

/// Draws sections of a frame. It keeps a reduced copy of it.
#[derive(Default)]
pub(super) struct SectionScaler {
    /// The copy, and how many pixels of the frame each of its pixels is wide.
    reduced: Option<(usize, Frame)>,
}

/// For each pixel of an axis of the canvas: the two frame pixels around it, and the weight of the second
/// in 1/256.
type Neighbours = Vec<Option<(usize, usize, u32)>>;

impl SectionScaler {
    /// Another frame follows.
    pub(super) fn forget(&mut self) {
        self.reduced = None;
    }

    pub(super) fn draw(
        &mut self,
        frame: &Frame,
        view_from_frame: &Similarity<CanvasSpace, FrameSpace>,
        canvas: &mut Frame,
    ) {
        let factor = (1.0 / view_from_frame.a).round().clamp(1.0, 64.0) as usize;
        if factor == 1 {
            return draw(frame, view_from_frame.a, (view_from_frame.tx, view_from_frame.ty), canvas);
        }
        if self.reduced.as_ref().is_none_or(|(of, _)| *of != factor) {
            self.reduced = Some((factor, reduce(frame, factor)));
        }
        if let Some((_, reduced)) = &self.reduced {
            // Pixel k of the copy covers the pixels k * factor .. (k + 1) * factor.
            let (scale, middle) = (view_from_frame.a * factor as f32, 0.5 * (factor as f32 - 1.0) * view_from_frame.a);
            draw(reduced, scale, (view_from_frame.tx + middle, view_from_frame.ty + middle), canvas);
        }
    }
}

fn reduce(frame: &Frame, factor: usize) -> Frame {
    let (width, height) = (frame.width().div_ceil(factor), frame.height().div_ceil(factor));
    let mut reduced = Frame::filled(width, height, [0; 3]);
    let mut sums = vec![[0_u32; 4]; width];
    let rows = frame.rgb().chunks((frame.width() * 3 * factor).max(1));
    for (rows, out) in rows.zip(reduced.rgb_mut().chunks_mut((width * 3).max(1))) {
        sums.fill([0; 4]);
        for row in rows.chunks(frame.width() * 3) {
            for (x, pixel) in row.as_chunks::<3>().0.iter().enumerate() {
                let sum = &mut sums[x / factor];
                (0..3).for_each(|c| sum[c] += u32::from(pixel[c]));
                sum[3] += 1;
            }
        }
        for (pixel, [r, g, b, count]) in out.as_chunks_mut::<3>().0.iter_mut().zip(&sums) {
            *pixel = [r, g, b].map(|sum| (sum / count.max(&1)) as u8);
        }
    }
    reduced
}

fn draw(frame: &Frame, scale: f32, (left, top): (f32, f32), canvas: &mut Frame) {
    let columns = neighbours(canvas.width(), frame.width(), scale, left);
    let rows = neighbours(canvas.height(), frame.height(), scale, top);
    let width = canvas.width();
    let row_of = |y: usize| frame.rgb()[y * frame.width() * 3..][..frame.width() * 3].as_chunks::<3>().0;
    for (pixels, row) in canvas.rgb_mut().chunks_exact_mut((width * 3).max(1)).zip(&rows) {
        let pixels = pixels.as_chunks_mut::<3>().0;
        let Some((upper, lower, down)) = *row else {
            pixels.fill(BESIDE);
            continue;
        };
        let (upper, lower) = (row_of(upper), row_of(lower));
        for (pixel, column) in pixels.iter_mut().zip(&columns) {
            *pixel = match *column {
                None => BESIDE,
                Some((a, b, right)) => std::array::from_fn(|c| {
                    let mix = |row: &[[u8; 3]]| u32::from(row[a][c]) * (ONE - right) + u32::from(row[b][c]) * right;
                    ((mix(upper) * (ONE - down) + mix(lower) * down + ONE * ONE / 2) / (ONE * ONE)) as u8
                }),
            };
        }
    }
}

fn neighbours(count: usize, of: usize, scale: f32, offset: f32) -> Neighbours {
    let last = of as f32 - 1.0;
    let neighbours = (0..count).map(|i| {
        let at = (i as f32 - offset) / scale;
        if !(at >= -0.5 && at <= last + 0.5) {
            return None;
        }
        let at = at.clamp(0.0, last);
        let first = at as usize;
        Some((first, (first + 1).min(of - 1), ((at - first as f32) * ONE as f32) as u32))
    });
    neighbours.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Point;

    #[test]
    fn a_pixel_is_drawn_where_the_transform_says_at_any_scale() {
        let mut frame = Frame::filled(80, 60, [0; 3]);
        for (x, y) in [(40, 30), (41, 30), (40, 31), (41, 31)] {
            frame.rgb_mut()[(y * 80 + x) * 3..][..3].fill(240);
        }
        for scale in [8.0, 3.3, 1.0, 0.5] {
            let view_from_frame = Similarity::about(Point::new(40.5, 30.5), Point::new(31.0, 22.0), scale, 0.0);
            let mut scaler = SectionScaler::default();
            let mut canvas = Frame::filled(64, 48, [9; 3]);
            scaler.draw(&frame, &view_from_frame, &mut canvas);
            let (mut sum, mut at) = (0.0_f32, (0.0, 0.0));
            for (i, pixel) in canvas.rgb().chunks_exact(3).enumerate().filter(|(_, p)| **p != BESIDE) {
                let light = f32::from(pixel[0]);
                sum += light;
                at = (at.0 + light * (i % 64) as f32, at.1 + light * (i / 64) as f32);
            }
            let lit = Point::<CanvasSpace>::new(at.0 / sum, at.1 / sum);
            assert!(lit.distance(Point::new(31.0, 22.0)) < 0.3, "{scale}: {lit:?}");
        }
    }

    #[test]
    fn beside_the_picture_there_is_nothing_and_no_picture_is_too_small() {
        for size in [(0, 0), (1, 1), (3, 200)] {
            let frame = Frame::filled(size.0, size.1, [200; 3]);
            for scale in [0.01, 0.3, 1.0, 50.0] {
                let mut canvas = Frame::filled(30, 20, [9; 3]);
                let view_from_frame = Similarity::new(scale, 0.0, 5.0, 5.0);
                SectionScaler::default().draw(&frame, &view_from_frame, &mut canvas);
                assert!(canvas.rgb().chunks_exact(3).all(|pixel| pixel == BESIDE || pixel == [200; 3]));
            }
        }
    }
}
