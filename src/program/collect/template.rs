//! Landmarks for a face that the detector missed: an average face at the expected position.

use crate::runtime::geometry::{FrameSpace, Point, Rect, Similarity};
use crate::runtime::landmarks::WFLW_POINTS;
use crate::runtime::track::HeadBox;
use crate::train::synth::frontal_face;

/// Side of a face that is expected somewhere in the frame, over the frame's shorter side.
const EXPECTED_SIDE: f32 = 0.5;

/// The head's position if nothing is known: the middle of the frame.
pub(super) fn centred(width: usize, height: usize) -> HeadBox {
    let middle = |length: usize| 0.5 * (length as f32 - 1.0);
    let side = EXPECTED_SIDE * width.min(height) as f32;
    HeadBox { center: Point::new(middle(width), middle(height)), side, roll_rad: 0.0 }
}

/// The 98 landmarks of an average face that fills `head`.
pub(super) fn landmarks_in(head: &HeadBox) -> [Point<FrameSpace>; WFLW_POINTS] {
    let face = frontal_face();
    let around = Rect::around(face).unwrap_or(Rect::new(0.0, 0.0, 1.0, 1.0));
    let scale = head.side / around.side();
    let to_head = Similarity::<FrameSpace, FrameSpace>::about(around.center(), head.center, scale, head.roll_rad);
    face.map(|point| to_head.apply(point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::landmarks::{Landmark, Scheme};
    use crate::runtime::model::BoxSide;

    #[test]
    fn the_average_face_fills_the_head_it_is_put_in() {
        for roll_rad in [0.0, 0.6] {
            let head = HeadBox { center: Point::new(310.0, 200.0), side: 120.0, roll_rad };
            let landmarks = landmarks_in(&head).map(|point| Landmark { point, confidence: 1.0 });
            let found = HeadBox::around(&landmarks, Some(Scheme::Wflw98), BoxSide::Longer).unwrap();
            assert!(found.center.distance(head.center) < 1.0 && (found.side - head.side).abs() < 1.0, "{found:?}");
            assert!((found.roll_rad - roll_rad).abs() < 0.02, "{found:?}");
            assert!(landmarks[60].point.x < landmarks[72].point.x && landmarks[54].point.y < landmarks[16].point.y);
        }
        let middle = landmarks_in(&centred(640, 480));
        assert!(middle.iter().all(|p| (200.0..440.0).contains(&p.x) && (119.0..361.0).contains(&p.y)));
    }
}
