//! Composes pictures: boxes in views, faces pasted into other pictures, faces made unrecognisable.
//!
//! In: frames, and boxes in their pixels. Out: RGB in 0..=1, row by row. Used to train and to evaluate the detector.

use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Rect, Similarity, crop_from_frame};
use crate::runtime::image::{Border, Frame, crop_into};
use crate::train::data::View;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

impl View {
    /// The box scaled and moved. For a rotated box it is the box around its rotated ellipse: the landmarks don't fill
    /// the corners.
    pub(super) fn rect(&self, rect: &Rect<FrameSpace>) -> Rect<CropSpace> {
        let Similarity { a, b, .. } = self.crop_from_frame;
        let c = self.apply(rect.center());
        let (width, height) = ((rect.width * a).hypot(rect.height * b), (rect.width * b).hypot(rect.height * a));
        Rect::new(c.x - width / 2.0, c.y - height / 2.0, width, height)
    }

    /// Pastes the face with some of its surroundings into the picture `out`, with a soft edge: opaque over the face,
    /// transparent at the photograph's edge or 0.95 box sides from the centre. Views that mirror are not for this.
    pub(super) fn paste(&self, frame: &Frame, face: &Rect<FrameSpace>, out: &mut [f32]) {
        let mut layer = vec![0.0; out.len()];
        self.render(frame, &mut layer);
        let center = self.rect(face).center();
        let scale = self.crop_from_frame.scale();
        let reach = 0.95 * face.side() * scale;
        let soft = 0.25 * face.side() * scale;
        let frame_from_crop = self.crop_from_frame.inverse();
        for y in 0..self.size {
            for x in 0..self.size {
                let inner = reach - (x as f32 - center.x).hypot(y as f32 - center.y);
                if inner <= 0.0 {
                    continue;
                }
                let p = frame_from_crop.apply(Point::new(x as f32, y as f32));
                let edge = (p.x + 0.5)
                    .min(p.y + 0.5)
                    .min(frame.width() as f32 - 0.5 - p.x)
                    .min(frame.height() as f32 - 0.5 - p.y);
                let alpha = (inner / soft).min(edge * scale / 2.0).clamp(0.0, 1.0);
                let pixel = (y * self.size + x) * 3;
                for (o, l) in out[pixel..pixel + 3].iter_mut().zip(&layer[pixel..pixel + 3]) {
                    *o += alpha * (l - *o);
                }
            }
        }
    }
}

/// A frame of `width` x `height` pixels that the background fills, with the face pasted at `center`, so that its box's
/// longer side is `pixels`. Also returns the face's box in the new frame.
pub fn stage(
    background: &Frame,
    (picture, face): (&Frame, &Rect<FrameSpace>),
    (width, height): (usize, usize),
    center: Point<FrameSpace>,
    pixels: f32,
) -> (Frame, Rect<FrameSpace>) {
    let size = width.max(height);
    let mut canvas = vec![0.0; size * size * 3];
    let shorter = background.width().min(background.height()) as f32;
    let middle = Point::new(0.5 * background.width() as f32 - 0.5, 0.5 * background.height() as f32 - 0.5);
    crop_into(background, &crop_from_frame(middle, shorter, 0.0, size), size, Border::Replicate, &mut canvas);
    let to = Point::new(center.x, center.y);
    let crop_from_frame = Similarity::about(face.center(), to, pixels / face.side(), 0.0);
    let view = View { crop_from_frame, mirrored: false, border: Border::Black, size };
    view.paste(picture, face, &mut canvas);
    let mut frame = Frame::filled(width, height, [0; 3]);
    for (row, values) in frame.rgb_mut().chunks_exact_mut(width * 3).zip(canvas.chunks_exact(size * 3)) {
        for (byte, value) in row.iter_mut().zip(values) {
            *byte = (value * 255.0).round().clamp(0.0, 255.0) as u8;
        }
    }
    let Rect { x, y, width, height, .. } = view.rect(face);
    (frame, Rect::new(x, y, width, height))
}

/// Makes a face unrecognisable, in its box or an ellipse: covered by a colour or noise, or averaged to a blur.
pub(super) fn spoil(rng: &mut ChaCha8Rng, size: usize, rect: &Rect<CropSpace>, out: &mut [f32]) {
    let grow = rng.random_range(1.0..1.25);
    let c = rect.center();
    let range = |c: f32, side: f32| {
        let half = 0.5 * side * grow;
        (c - half).max(0.0) as usize..((c + half).max(0.0) as usize).min(size)
    };
    let (rows, columns) = (range(c.y, rect.height), range(c.x, rect.width));
    let is_oval = rng.random::<bool>();
    let is_covered = |x: usize, y: usize| {
        let along = |at: usize, center: f32, side: f32| (at as f32 - center) / (0.5 * side * grow);
        !is_oval || along(x, c.x, rect.width).hypot(along(y, c.y, rect.height)) <= 1.0
    };
    let mode = rng.random_range(0..3);
    let mut mean = [0.0_f32; 3];
    let count = (rows.len() * columns.len()).max(1) as f32;
    for y in rows.clone() {
        for x in columns.clone() {
            for (m, v) in mean.iter_mut().zip(&out[(y * size + x) * 3..][..3]) {
                *m += v / count;
            }
        }
    }
    let color: [f32; 3] = if mode == 0 && rng.random::<bool>() { std::array::from_fn(|_| rng.random()) } else { mean };
    // A blur keeps a trace of the light and dark of the face, over at least a third of it.
    let block = (rect.side() / rng.random_range(2.0..3.5)).max(2.0) as usize;
    let before = out.to_vec();
    for y in rows.clone() {
        for x in columns.clone().filter(|x| is_covered(*x, y)) {
            for channel in 0..3 {
                let value = match mode {
                    0 => color[channel],
                    1 => (color[channel] + rng.random_range(-0.2..0.2)).clamp(0.0, 1.0),
                    _ => {
                        let corner = |i: usize, start: usize| start + (i - start) / block * block;
                        let (by, bx) = (corner(y, rows.start), corner(x, columns.start));
                        let (ey, ex) = ((by + block).min(rows.end), (bx + block).min(columns.end));
                        let samples = [
                            (by, bx),
                            (ey - 1, ex - 1),
                            (by, ex - 1),
                            (ey - 1, bx),
                            (by.midpoint(ey - 1), bx.midpoint(ex - 1)),
                        ];
                        samples.iter().map(|(y, x)| before[(y * size + x) * 3 + channel]).sum::<f32>() / 5.0
                    }
                };
                out[(y * size + x) * 3 + channel] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_of_a_head_on_its_side_lies_on_its_side() {
        let face = Rect::new(30.0, 20.0, 40.0, 60.0);
        let turned = |angle_deg: f32| {
            let crop_from_frame = crop_from_frame(face.center(), 100.0, angle_deg.to_radians(), 50);
            View { crop_from_frame, mirrored: false, border: Border::Black, size: 50 }.rect(&face)
        };
        let near = |a: f32, b: f32| (a - b).abs() < 1e-3;
        let (upright, lying) = (turned(0.0), turned(90.0));
        assert!(near(upright.width, 20.0) && near(upright.height, 30.0), "{upright:?}");
        assert!(near(lying.width, 30.0) && near(lying.height, 20.0), "{lying:?}");
    }

    #[test]
    fn a_staged_face_lies_where_its_box_says_and_the_background_around_it() {
        let background = Frame::filled(50, 40, [10, 20, 30]);
        let mut picture = Frame::filled(90, 90, [200, 100, 50]);
        picture.rgb_mut()[(45 * 90 + 45) * 3..][..3].copy_from_slice(&[250, 250, 250]);
        let face = Rect::new(30.0, 25.0, 30.0, 40.0);
        let (frame, rect) = stage(&background, (&picture, &face), (160, 120), Point::new(100.0, 50.0), 40.0);
        assert_eq!((frame.width(), frame.height()), (160, 120));
        assert_eq!((rect.x, rect.y, rect.width, rect.height), (85.0, 30.0, 30.0, 40.0));
        let at = |x: usize, y: usize| &frame.rgb()[(y * 160 + x) * 3..][..3];
        assert_eq!(at(100, 50), [250, 250, 250]);
        assert_eq!(at(90, 40), [200, 100, 50]);
        assert_eq!(at(10, 110), [10, 20, 30]);
    }
}
