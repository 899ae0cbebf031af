//! Heads rotated by quarter turns: the picture is rotated to make them upright, and detections are rotated back.
//!
//! In: rows of RGB values, or boxes in the rotated frame. Out: the same, rotated. Positions are in pixels. Nothing
//! fails.

use crate::runtime::geometry::{FrameSpace, Rect};

/// The roll of the wanted heads in the frame, to within an eighth of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roll {
    Upright,
    /// The forehead is on the right.
    Clockwise,
    UpsideDown,
    /// The forehead is on the left.
    Counterclockwise,
}

impl Roll {
    /// The one nearest to the roll of a head, positive clockwise on the screen, in radians.
    pub fn nearest(angle_rad: f32) -> Self {
        match ((angle_rad / std::f32::consts::FRAC_PI_2).round() as i32).rem_euclid(4) {
            0 => Self::Upright,
            1 => Self::Clockwise,
            2 => Self::UpsideDown,
            _ => Self::Counterclockwise,
        }
    }

    /// The roll of the head, positive clockwise on the screen, in radians.
    pub fn angle_rad(self) -> f32 {
        use std::f32::consts::{FRAC_PI_2, PI};
        match self {
            Self::Upright => 0.0,
            Self::Clockwise => FRAC_PI_2,
            Self::UpsideDown => PI,
            Self::Counterclockwise => -FRAC_PI_2,
        }
    }

    /// Whether width and height of the rotated picture are swapped.
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Clockwise | Self::Counterclockwise)
    }

    /// Copies the first `width` x `height` pixels of a picture, whose rows hold `from_stride` pixels, so that the heads
    /// are upright in `to`, whose rows hold `to_stride` pixels.
    pub fn turn(
        self,
        (width, height): (usize, usize),
        from: &[f32],
        from_stride: usize,
        to: &mut [f32],
        to_stride: usize,
    ) {
        for y in 0..height {
            let row = from[y * from_stride * 3..][..width * 3].as_chunks::<3>().0;
            for (x, pixel) in row.iter().enumerate() {
                let (x, y) = match self {
                    Self::Upright => (x, y),
                    Self::Clockwise => (y, width - 1 - x),
                    Self::UpsideDown => (width - 1 - x, height - 1 - y),
                    Self::Counterclockwise => (height - 1 - y, x),
                };
                to[(y * to_stride + x) * 3..][..3].copy_from_slice(pixel);
            }
        }
    }

    /// The box in the frame of `width` x `height` pixels, from the one in the rotated frame.
    pub fn turn_back(self, rect: &Rect<FrameSpace>, (width, height): (usize, usize)) -> Rect<FrameSpace> {
        let (right, bottom) = (width as f32 - 1.0, height as f32 - 1.0);
        let Rect { x, y, width, height, .. } = *rect;
        match self {
            Self::Upright => *rect,
            Self::Clockwise => Rect::new(right - y - height, x, height, width),
            Self::UpsideDown => Rect::new(right - x - width, bottom - y - height, width, height),
            Self::Counterclockwise => Rect::new(y, bottom - x - width, height, width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_roll_is_at_most_an_eighth_of_a_turn_away() {
        for angle_deg in (-400..=400).step_by(10) {
            let angle_rad = (angle_deg as f32).to_radians();
            let roll = Roll::nearest(angle_rad);
            assert!((angle_rad - roll.angle_rad()).cos() > 0.7, "{angle_deg} degrees: {roll:?}");
        }
    }

    #[test]
    fn pixels_and_boxes_turn_alike() {
        let (width, height) = (5, 3);
        // The pixel at (3, 1) is marked, in a picture with one pixel of padding.
        let mut picture = vec![0.0; (width + 1) * height * 3];
        picture[((width + 1) + 3) * 3] = 1.0;
        for roll in [Roll::Upright, Roll::Clockwise, Roll::UpsideDown, Roll::Counterclockwise] {
            let to_stride = if roll.swaps_sides() { height } else { width };
            let mut turned = vec![0.0; width * height * 3];
            roll.turn((width, height), &picture, width + 1, &mut turned, to_stride);
            let at = turned.iter().position(|v| *v == 1.0).unwrap() / 3;
            let seen = Rect::new((at % to_stride) as f32 - 0.5, (at / to_stride) as f32 - 0.5, 1.0, 1.0);
            assert_eq!(roll.turn_back(&seen, (width, height)), Rect::new(2.5, 0.5, 1.0, 1.0), "{roll:?}");
        }
    }

    #[test]
    fn the_forehead_of_a_head_turned_clockwise_comes_to_the_top() {
        let mut turned = vec![0.0; 2 * 3];
        Roll::Clockwise.turn((2, 1), &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2, &mut turned, 1);
        assert_eq!(turned, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(Roll::Clockwise.angle_rad() > 0.0);
    }
}
