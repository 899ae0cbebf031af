//! Frames with their faces drawn in, as they are shown and saved.
//!
//! In: a frame and its faces, which stay as they are. Out: a drawn copy, in a buffer that is used again. Mirrored frames
//! have readable letters.

use crate::geometry::{FrameSpace, Point, Rect};
use crate::image::Frame;
use crate::track::Face;
use crate::view::{Overlay, OverlayFace};

/// Draws faces into copies of frames.
#[derive(Default)]
pub(super) struct Painter {
    pub overlay: Overlay,
    /// Left and right swapped, as in a mirror.
    pub is_mirrored: bool,
    canvas: Frame,
    mirrored: Vec<Vec<Point<FrameSpace>>>,
}

impl Painter {
    pub(super) fn new(is_mirrored: bool) -> Self {
        Self { is_mirrored, ..Self::default() }
    }

    /// What was painted last.
    #[cfg(feature = "window")]
    pub(super) fn painted(&self) -> &Frame {
        &self.canvas
    }

    /// The frame with its faces, and with lines of text in the corner.
    pub(super) fn paint(&mut self, frame: &Frame, faces: &[Face], text: &[String]) -> &Frame {
        let Self { overlay, is_mirrored, canvas, mirrored } = self;
        canvas.clone_from(frame);
        let right = frame.width() as f32 - 1.0;
        if *is_mirrored {
            canvas.mirror();
            mirrored.resize_with(faces.len(), Vec::new);
            for (points, face) in mirrored.iter_mut().zip(faces) {
                points.clear();
                points.extend(face.landmarks.iter().map(|p| Point::new(right - p.x, p.y)));
            }
        }
        let drawn: Vec<OverlayFace<'_>> = faces
            .iter()
            .enumerate()
            .map(|(i, face)| {
                let Face { id, score, rect, landmarks, confidence } = face;
                let (rect, landmarks) = if *is_mirrored {
                    (Rect::new(right - rect.x - rect.width, rect.y, rect.width, rect.height), &mirrored[i])
                } else {
                    (*rect, landmarks)
                };
                OverlayFace { id: *id, score: *score, rect, landmarks, confidence }
            })
            .collect();
        overlay.draw(canvas, &drawn);
        overlay.hud(canvas, text);
        canvas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_mirror_the_face_is_on_the_other_side() {
        let mut painter = Painter::new(false);
        painter.overlay.boxes = false;
        let landmarks: Vec<_> = (0..98).map(|i| Point::new(10.0 + 0.3 * i as f32, 20.0 + 0.2 * i as f32)).collect();
        let rect = Rect::around(landmarks.iter().copied()).unwrap();
        let face = Face { id: 1, score: 0.5, rect, landmarks, confidence: vec![1.0; 98] };
        let frame = Frame::filled(100, 60, [10, 20, 30]);
        let mut straight = painter.paint(&frame, std::slice::from_ref(&face), &[]).clone();
        assert_ne!(straight, frame);
        painter.is_mirrored = true;
        let mirrored = painter.paint(&frame, std::slice::from_ref(&face), &[]);
        straight.mirror();
        let close = |a: &u8, b: &u8| a.abs_diff(*b) <= 2;
        assert!(straight.rgb().iter().zip(mirrored.rgb()).all(|(a, b)| close(a, b)));
    }
}
