//! Places and draws a frame on the canvas.
//!
//! In: frames of any size. Out: a canvas, an RGB picture in the size of the window (or of the saved file), in which the
//! frame keeps its aspect ratio between black bars; mirrored on request. [`Placement`] maps points of the frame to
//! pixels of the canvas and back. Nothing fails; empty frames and canvases stay empty.

use crate::runtime::geometry::{CanvasSpace, FrameSpace, Point};
use crate::runtime::image::Frame;

/// The colour beside the picture.
const BARS: [u8; 3] = [0; 3];
/// 1 in the fixed-point arithmetic of scaling.
const ONE: u32 = 256;

/// A part of a canvas, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Room {
    /// A whole canvas.
    pub fn of(canvas: &Frame) -> Self {
        (canvas.width(), canvas.height()).into()
    }

    pub fn contains(&self, p: Point<CanvasSpace>) -> bool {
        let is_in = |v: f32, from: usize, length: usize| (from as f32..(from + length) as f32).contains(&v);
        is_in(p.x, self.left, self.width) && is_in(p.y, self.top, self.height)
    }
}

impl From<(usize, usize)> for Room {
    /// A whole canvas of this width and height.
    fn from((width, height): (usize, usize)) -> Self {
        Self { left: 0, top: 0, width, height }
    }
}

/// The position of a frame on a canvas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    frame: (usize, usize),
    /// The first column and row of the picture on the canvas, and how many it has.
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    is_mirrored: bool,
}

impl Placement {
    /// A frame of `frame` pixels (width, height) in the middle of a canvas, or of a part of it, as large as fits.
    pub fn fit(frame: (usize, usize), room: impl Into<Room>, is_mirrored: bool) -> Self {
        let room = room.into();
        let scale = (room.width as f32 / frame.0.max(1) as f32).min(room.height as f32 / frame.1.max(1) as f32);
        let side = |frame: usize, room: usize| ((frame as f32 * scale).round() as usize).min(room);
        let (width, height) = (side(frame.0, room.width), side(frame.1, room.height));
        let (left, top) = (room.left + (room.width - width) / 2, room.top + (room.height - height) / 2);
        Self { frame, left, top, width, height, is_mirrored }
    }

    /// The part of the canvas that the picture covers.
    pub fn picture(&self) -> Room {
        Room { left: self.left, top: self.top, width: self.width, height: self.height }
    }

    /// Pixels of the canvas per pixel of the frame.
    pub fn scale(&self) -> f32 {
        self.height as f32 / self.frame.1.max(1) as f32
    }

    /// The point of the canvas at which a point of the frame is drawn.
    pub fn canvas_from_frame(&self, p: Point<FrameSpace>) -> Point<CanvasSpace> {
        let x = (p.x + 0.5) / self.frame.0.max(1) as f32;
        let x = if self.is_mirrored { 1.0 - x } else { x };
        let y = (p.y + 0.5) / self.frame.1.max(1) as f32;
        Point::new(x * self.width as f32 + self.left as f32 - 0.5, y * self.height as f32 + self.top as f32 - 0.5)
    }

    /// The point of the frame that is drawn at a point of the canvas; on the bars, one outside the frame.
    pub fn frame_from_canvas(&self, p: Point<CanvasSpace>) -> Point<FrameSpace> {
        let x = (p.x + 0.5 - self.left as f32) / self.width.max(1) as f32;
        let x = if self.is_mirrored { 1.0 - x } else { x };
        let y = (p.y + 0.5 - self.top as f32) / self.height.max(1) as f32;
        Point::new(x * self.frame.0 as f32 - 0.5, y * self.frame.1 as f32 - 0.5)
    }
}

/// Draws frames onto canvases. It keeps its tables from frame to frame.
#[derive(Default)]
pub struct Scaler {
    /// For every column of the picture: the offsets of the left and the right pixel in a row of the frame, and the
    /// share of the right one in 1/256.
    columns: Vec<(u32, u32, u32)>,
    columns_of: Option<Placement>,
    /// A line of the frame, between two of its rows.
    line: Vec<u8>,
}

impl Scaler {
    /// Draws the frame at its placement, between bars, with linear interpolation. The canvas has the size that the
    /// placement was made for.
    pub fn draw(&mut self, frame: &Frame, placement: &Placement, canvas: &mut Frame) {
        let &Placement { left, top, width, height, is_mirrored, .. } = placement;
        if width == 0 || height == 0 || frame.width() == 0 || frame.height() == 0 {
            fill(canvas.rgb_mut(), BARS);
            return;
        }
        self.prepare(placement);
        let (canvas_width, row_bytes) = (canvas.width(), frame.width() * 3);
        let is_as_large = (frame.width(), frame.height()) == (width, height);
        for (y, row) in canvas.rgb_mut().chunks_exact_mut(canvas_width * 3).enumerate() {
            if y < top || y >= top + height {
                fill(row, BARS);
                continue;
            }
            let (before, rest) = row.split_at_mut(left * 3);
            let (picture, after) = rest.split_at_mut(width * 3);
            fill(before, BARS);
            fill(after, BARS);
            if is_as_large {
                picture.copy_from_slice(&frame.rgb()[(y - top) * row_bytes..][..row_bytes]);
                if is_mirrored {
                    picture.as_chunks_mut::<3>().0.reverse();
                }
                continue;
            }
            let (upper, lower, share) = between(y - top, height, frame.height());
            let upper = &frame.rgb()[upper * row_bytes..][..row_bytes];
            let lower = &frame.rgb()[lower * row_bytes..][..row_bytes];
            for ((mixed, a), b) in self.line.iter_mut().zip(upper).zip(lower) {
                *mixed = mix(*a, *b, share);
            }
            for (pixel, &(a, b, share)) in picture.as_chunks_mut::<3>().0.iter_mut().zip(&self.columns) {
                let (a, b) = (&self.line[a as usize..][..3], &self.line[b as usize..][..3]);
                *pixel = [mix(a[0], b[0], share), mix(a[1], b[1], share), mix(a[2], b[2], share)];
            }
        }
    }

    fn prepare(&mut self, placement: &Placement) {
        if self.columns_of == Some(*placement) {
            return;
        }
        let &Placement { frame, width, is_mirrored, .. } = placement;
        self.columns.clear();
        self.columns.extend((0..width).map(|x| {
            let (a, b, share) = between(if is_mirrored { width - 1 - x } else { x }, width, frame.0);
            (a as u32 * 3, b as u32 * 3, share)
        }));
        self.line.resize(frame.0 * 3, 0);
        self.columns_of = Some(*placement);
    }
}

/// The two of `from` pixels that pixel `i` of `to` lies between, and the share of the second in 1/256.
fn between(i: usize, to: usize, from: usize) -> (usize, usize, u32) {
    let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
    let first = at as usize;
    (first, (first + 1).min(from - 1), ((at - first as f32) * ONE as f32) as u32)
}

#[inline]
fn mix(a: u8, b: u8, share: u32) -> u8 {
    ((u32::from(a) * (ONE - share) + u32::from(b) * share + ONE / 2) / ONE) as u8
}

/// Covers a part of a canvas with a colour; `alpha` in 0..=1. Anything beyond the canvas is clipped.
pub fn veil(canvas: &mut Frame, room: Room, color: [u8; 3], alpha: f32) {
    let canvas_width = canvas.width();
    let right = (room.left + room.width).min(canvas_width);
    let rows = canvas.rgb_mut().chunks_exact_mut(canvas_width.max(1) * 3).skip(room.top).take(room.height);
    for row in rows {
        for pixel in &mut row.as_chunks_mut::<3>().0[room.left.min(right)..right] {
            cover(pixel, color, alpha);
        }
    }
}

fn fill(pixels: &mut [u8], color: [u8; 3]) {
    pixels.as_chunks_mut::<3>().0.fill(color);
}

/// Covers a pixel with a colour; `alpha` in 0..=1.
#[inline]
pub(super) fn cover(pixel: &mut [u8; 3], color: [u8; 3], alpha: f32) {
    let share = (alpha * ONE as f32 + 0.5) as u32;
    *pixel = [0, 1, 2].map(|i| mix(pixel[i], color[i], share));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_its_aspect_ratio_in_the_middle_of_any_canvas() {
        let mut scaler = Scaler::default();
        let frame = Frame::filled(40, 30, [200, 100, 50]);
        for (width, height) in [(80, 60), (100, 60), (80, 100), (20, 15), (7, 90), (1, 1)] {
            let placement = Placement::fit((40, 30), (width, height), false);
            let mut canvas = Frame::filled(width, height, [9; 3]);
            scaler.draw(&frame, &placement, &mut canvas);
            let shown = canvas.rgb().chunks_exact(3).filter(|p| *p == [200, 100, 50]).count();
            let bars = canvas.rgb().chunks_exact(3).filter(|p| *p == BARS).count();
            assert_eq!(shown, placement.width * placement.height);
            assert_eq!(shown + bars, width * height);
            assert!(placement.left.abs_diff(width - placement.width - placement.left) <= 1);
            assert!(placement.width == width || placement.height == height);
            assert!((placement.width as f32 - placement.height as f32 * 4.0 / 3.0).abs() <= 1.0);
        }
    }

    #[test]
    fn a_picture_stays_in_the_room_that_it_was_given() {
        let room = Room { left: 30, top: 5, width: 50, height: 40 };
        let placement = Placement::fit((40, 30), room, false);
        let mut canvas = Frame::filled(100, 60, [9; 3]);
        Scaler::default().draw(&Frame::filled(40, 30, [200; 3]), &placement, &mut canvas);
        let lit = |x: usize, y: usize| canvas.rgb()[(y * 100 + x) * 3] == 200;
        for (x, y) in (0..100).flat_map(|x| (0..60).map(move |y| (x, y))) {
            let is_inside = placement.picture().contains(Point::new(x as f32, y as f32));
            assert_eq!(lit(x, y), is_inside, "{x}, {y}");
            assert!(!is_inside || room.contains(Point::new(x as f32, y as f32)));
        }
        veil(&mut canvas, Room { left: 90, top: 50, width: 50, height: 50 }, [255; 3], 0.5);
        assert_eq!((canvas.rgb()[0], *canvas.rgb().last().unwrap()), (0, 128));
    }

    #[test]
    fn points_and_pixels_of_the_frame_come_to_the_same_place_mirrored_or_not() {
        let mut frame = Frame::filled(40, 30, [0; 3]);
        let (x, y) = (11, 20);
        frame.rgb_mut()[(y * 40 + x) * 3..][..3].fill(255);
        for (canvas_size, is_mirrored) in [((200, 120), false), ((200, 120), true), ((40, 30), true), ((40, 90), false)]
        {
            let placement = Placement::fit((40, 30), canvas_size, is_mirrored);
            let mut canvas = Frame::filled(canvas_size.0, canvas_size.1, [0; 3]);
            Scaler::default().draw(&frame, &placement, &mut canvas);
            let (mut sum, mut at) = (0.0_f32, (0.0, 0.0));
            for (i, pixel) in canvas.rgb().chunks_exact(3).enumerate() {
                let light = f32::from(pixel[0]);
                sum += light;
                at.0 += light * (i % canvas_size.0) as f32;
                at.1 += light * (i / canvas_size.0) as f32;
            }
            let lit = Point::new(at.0 / sum, at.1 / sum);
            let expected = placement.canvas_from_frame(Point::new(x as f32, y as f32));
            assert!(lit.distance(expected) < 0.05, "{lit:?} instead of {expected:?}");
            let back = placement.frame_from_canvas(expected);
            assert!(back.distance(Point::new(x as f32, y as f32)) < 1e-3, "{back:?}");
        }
    }
}
