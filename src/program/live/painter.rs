//! Frames with their faces drawn in, as they are shown and saved.
//!
//! In: a frame, its faces and the network's views of them, which are not changed. Out: a canvas of any size with all of
//! that drawn, in a buffer that is used again. Text is never mirrored. Nothing fails.

use crate::program::view::{NetworkLayers, NetworkView, Overlay, Placement, Scaler, draw_insets, draw_maps, panel};
use crate::runtime::image::Frame;
use crate::runtime::track::Face;

/// Draws frames and faces onto its canvas.
#[derive(Default)]
pub(super) struct Painter {
    pub overlay: Overlay,
    pub network: NetworkLayers,
    /// Left and right swapped, as in a mirror.
    pub is_mirrored: bool,
    scaler: Scaler,
    canvas: Frame,
}

impl Painter {
    /// The frame with its faces, in the size of the frame.
    pub(super) fn paint_frame(&mut self, frame: &Frame, faces: &[Face]) -> &Frame {
        self.paint(frame, faces, &[], (frame.width(), frame.height()))
    }

    /// What was painted last.
    #[cfg(feature = "window")]
    pub(super) fn painted(&self) -> &Frame {
        &self.canvas
    }

    /// The frame with its faces on a canvas of `size` pixels (width, height), which can be drawn on.
    pub(super) fn paint(
        &mut self,
        frame: &Frame,
        faces: &[Face],
        views: &[NetworkView],
        size: (usize, usize),
    ) -> &mut Frame {
        let Self { overlay, network, is_mirrored, scaler, canvas } = self;
        if (canvas.width(), canvas.height()) != size {
            canvas.resize(size.0, size.1);
        }
        let placement = Placement::fit((frame.width(), frame.height()), size, *is_mirrored);
        scaler.draw(frame, &placement, canvas);
        draw_maps(canvas, &placement, views, *network);
        overlay.draw(canvas, &placement, faces);
        if network.crop {
            let text = panel::text_size(canvas, overlay.scale);
            draw_insets(canvas, *is_mirrored, views, *network, text);
        }
        canvas
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::{Point, Rect};
    use crate::runtime::landmarks::Landmark;

    #[test]
    fn in_the_mirror_the_face_is_on_the_other_side() {
        let mut painter = Painter::default();
        painter.overlay.layers.boxes = false;
        let point = |i: usize| Point::new(10.0 + 0.3 * i as f32, 20.0 + 0.2 * i as f32);
        let landmarks: Vec<_> = (0..98).map(|i| Landmark { point: point(i), confidence: 1.0 }).collect();
        let rect = Rect::around(landmarks.iter().map(|l| l.point)).unwrap();
        let face = Face { id: 1, score: 0.5, rect, landmarks };
        let frame = Frame::filled(100, 60, [10, 20, 30]);
        let mut straight = painter.paint_frame(&frame, std::slice::from_ref(&face)).clone();
        assert_ne!(straight, frame);
        painter.is_mirrored = true;
        let mirrored = painter.paint_frame(&frame, std::slice::from_ref(&face));
        straight.mirror();
        let close = |a: &u8, b: &u8| a.abs_diff(*b) <= 3;
        assert!(straight.rgb().iter().zip(mirrored.rgb()).all(|(a, b)| close(a, b)));
    }
}
