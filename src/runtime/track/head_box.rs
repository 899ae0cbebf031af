//! The position and roll of a head, from its landmarks: they define the crop of the next frame.
//!
//! In: landmarks in the frame. Out: a square box, upright on the head and so rotated with it in the frame. As in
//! training, its side is that of the box around the landmarks, without the margin of the crop.

use super::Landmark;
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Rect, Similarity, crop_from_frame};
use crate::runtime::landmarks::Scheme;
use crate::runtime::model::BoxSide;

/// A square box around a head, rotated with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HeadBox {
    pub center: Point<FrameSpace>,
    /// Pixels.
    pub side: f32,
    /// The roll of the head, positive clockwise on the screen.
    pub roll_rad: f32,
}

/// The change of the box of which half is applied in the next frame, as a share of its side (for the roll, in radians).
/// Smaller changes are mostly landmark noise, which would make the crop jitter; larger ones are motion.
const HALF_FOLLOWED_CHANGE: f32 = 0.03;
/// Landmarks closer together than this are not a face, in pixels.
const SMALLEST_SIDE: f32 = 2.0;

impl HeadBox {
    /// A head in `rect`, rotated by `roll_rad`.
    pub(crate) fn in_rect(rect: &Rect<FrameSpace>, box_side: BoxSide, roll_rad: f32) -> Self {
        Self { center: rect.center(), side: box_side.of(rect), roll_rad }
    }

    /// The box around landmarks; `None` if one is not finite or they nearly coincide. If the scheme is unknown
    /// (`None`), the head is assumed to be upright.
    pub(crate) fn around(landmarks: &[Landmark], scheme: Option<Scheme>, box_side: BoxSide) -> Option<Self> {
        let roll_rad = scheme.map_or(0.0, |scheme| roll_rad(landmarks, scheme));
        let turn =
            Similarity::<FrameSpace, FrameSpace>::about(Point::new(0.0, 0.0), Point::new(0.0, 0.0), 1.0, -roll_rad);
        let upright = Rect::around(landmarks.iter().map(|l| turn.apply(l.point)))?;
        let side = box_side.of(&upright);
        (side >= SMALLEST_SIDE).then(|| Self { center: turn.inverse().apply(upright.center()), side, roll_rad })
    }

    /// The crop around the box, `crop_scale` times its side.
    pub(crate) fn crop_from_frame(&self, crop_scale: f32, crop_size: usize) -> Similarity<CropSpace, FrameSpace> {
        crop_from_frame(self.center, self.side * crop_scale, self.roll_rad, crop_size)
    }

    /// This box, moved towards the head's new position: most of the way if the head clearly moved, hardly at all if it
    /// barely did.
    pub(crate) fn approached(&self, seen: &Self) -> Self {
        let roll_change = wrapped(seen.roll_rad - self.roll_rad);
        let shift = self.center.distance(seen.center) / self.side;
        let change = shift.max((seen.side / self.side).ln().abs()).max(roll_change.abs());
        let gain = change / (change + HALF_FOLLOWED_CHANGE);
        Self {
            center: Point::new(
                self.center.x + gain * (seen.center.x - self.center.x),
                self.center.y + gain * (seen.center.y - self.center.y),
            ),
            side: self.side * (seen.side / self.side).powf(gain),
            roll_rad: wrapped(self.roll_rad + gain * roll_change),
        }
    }
}

/// The direction from the left to the right of the face. On a frontal face the line between the eyes gives it best, but
/// that line shrinks as the head turns; the line from the eyes down to the mouth does not. Their sum works for both.
fn roll_rad(landmarks: &[Landmark], scheme: Scheme) -> f32 {
    let at = |i: usize| landmarks.get(i).map_or(Point::new(f32::NAN, f32::NAN), |l| l.point);
    let (left, right) = scheme.outer_eye_corners();
    let (left_mouth, right_mouth) = scheme.mouth_corners();
    let (left, right) = (at(left), at(right));
    let eyes = left.midpoint(right);
    let mouth = at(left_mouth).midpoint(at(right_mouth));
    let x = (right.x - left.x) + (mouth.y - eyes.y);
    let y = (right.y - left.y) - (mouth.x - eyes.x);
    if x == 0.0 && y == 0.0 { 0.0 } else { y.atan2(x) }
}

/// The equivalent angle in -pi..=pi.
fn wrapped(angle_rad: f32) -> f32 {
    (angle_rad + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU) - std::f32::consts::PI
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{FakeFace, landmarks_of};
    use super::*;

    #[test]
    fn the_box_turns_with_the_head_and_keeps_its_size() {
        for roll_deg in [-120.0_f32, -30.0, 0.0, 30.0, 75.0] {
            let face = FakeFace { roll_rad: roll_deg.to_radians(), ..FakeFace::at(200.0, 150.0, 80.0) };
            let found = HeadBox::around(&landmarks_of(&face), Some(Scheme::Wflw98), BoxSide::Longer).unwrap();
            assert!(found.center.distance(Point::new(200.0, 150.0)) < 0.1, "{found:?}");
            assert!((found.side - 80.0).abs() < 0.1, "{found:?}");
            assert!((found.roll_rad.to_degrees() - roll_deg).abs() < 0.5, "{found:?}");
        }
    }

    #[test]
    fn the_side_is_the_one_that_the_model_was_trained_with() {
        let face = FakeFace { roll_rad: 0.5, width: 0.6, ..FakeFace::at(200.0, 150.0, 80.0) };
        let side = |of| HeadBox::around(&landmarks_of(&face), Some(Scheme::Wflw98), of).unwrap().side;
        let (longer, mean) = (side(BoxSide::Longer), side(BoxSide::Mean));
        assert!((longer - 80.0).abs() < 0.1 && (mean - 64.0).abs() < 1.0, "{longer} {mean}");
        let rect = Rect::new(0.0, 0.0, 60.0, 100.0);
        assert_eq!(HeadBox::in_rect(&rect, BoxSide::Mean, 0.0).side, 80.0);
    }

    #[test]
    fn a_head_turned_aside_keeps_its_roll() {
        let face = FakeFace { roll_rad: 0.4, width: 0.15, ..FakeFace::at(200.0, 150.0, 80.0) };
        let mut landmarks = landmarks_of(&face);
        // On a profile the eye corners are close together, and any error turns the line between them.
        landmarks[60].point.y += 3.0;
        let found = HeadBox::around(&landmarks, Some(Scheme::Wflw98), BoxSide::Longer).unwrap();
        assert!((found.roll_rad - 0.4).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn jitter_hardly_moves_the_crop_and_motion_does() {
        let before = HeadBox { center: Point::new(100.0, 100.0), side: 100.0, roll_rad: 0.0 };
        let moved = |x: f32| {
            let seen = HeadBox { center: Point::new(100.0 + x, 100.0), ..before };
            (before.approached(&seen).center.x - 100.0) / x
        };
        assert!(moved(0.5) < 0.2, "{}", moved(0.5));
        assert!(moved(20.0) > 0.8, "{}", moved(20.0));
    }

    #[test]
    fn the_roll_takes_the_short_way_round() {
        let before = HeadBox { center: Point::new(0.0, 0.0), side: 100.0, roll_rad: 3.1 };
        let after = before.approached(&HeadBox { roll_rad: -3.1, ..before });
        assert!(after.roll_rad.abs() > 3.1, "{after:?}");
    }

    #[test]
    fn degenerate_landmarks_have_no_box() {
        let mut landmarks = landmarks_of(&FakeFace::at(200.0, 150.0, 80.0));
        landmarks[5].point.x = f32::NAN;
        assert_eq!(HeadBox::around(&landmarks, Some(Scheme::Wflw98), BoxSide::Longer), None);
        assert_eq!(
            HeadBox::around(&landmarks_of(&FakeFace::at(9.0, 9.0, 0.5)), Some(Scheme::Wflw98), BoxSide::Longer),
            None
        );
        assert_eq!(HeadBox::around(&[], Some(Scheme::Wflw98), BoxSide::Longer), None);
    }
}
