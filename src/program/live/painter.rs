//! Draws faces into frames, for the display and for files.
//!
//! In: a frame, its faces and the network's views of them, unchanged. Out: a canvas of any size with all of that drawn,
//! in a reused buffer. Text is never mirrored. Nothing fails.

use crate::program::view::{
    Look, NetworkLayers, NetworkView, Overlay, Placement, Room, Scaler, ShownFace, draw_insets, draw_maps, panel,
};
use crate::runtime::image::Frame;
use crate::runtime::signals::Signals;
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

/// The layers to paint.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub frame: &'a Frame,
    pub faces: &'a [ShownFace<'a>],
    pub views: &'a [NetworkView],
}

impl Painter {
    /// One that draws faces like this.
    pub(super) fn with(look: Look) -> Self {
        let mut painter = Self::default();
        painter.overlay.look = look;
        painter
    }

    /// The frame with its faces, in the size of the frame.
    pub(super) fn paint_frame(&mut self, frame: &Frame, faces: &[Face], signals: &[Signals]) -> &Frame {
        self.paint_on(frame, faces, signals, (frame.width(), frame.height()))
    }

    /// The frame with its faces on a canvas of `size` pixels (width, height).
    pub(super) fn paint_on(
        &mut self,
        frame: &Frame,
        faces: &[Face],
        signals: &[Signals],
        size: (usize, usize),
    ) -> &Frame {
        let signals_of = |face: &Face| signals.iter().find(|signals| signals.id == face.id);
        let shown = |face| ShownFace { face, signals: signals_of(face), opacity: 1.0 };
        let faces: Vec<ShownFace<'_>> = faces.iter().map(shown).collect();
        self.paint(&Scene { frame, faces: &faces, views: &[] }, size, size.into())
    }

    /// The last painting, to draw on.
    #[cfg(feature = "window")]
    pub(super) fn canvas(&mut self) -> &mut Frame {
        &mut self.canvas
    }

    /// The placement of a frame of this size in `room`.
    pub(super) fn placement(&self, frame: &Frame, room: Room) -> Placement {
        Placement::fit((frame.width(), frame.height()), room, self.is_mirrored)
    }

    /// The frame with its faces in `room`, a part of a canvas of `size` pixels (width, height).
    pub(super) fn paint(&mut self, scene: &Scene<'_>, size: (usize, usize), room: Room) -> &Frame {
        let placement = self.placement(scene.frame, room);
        let Self { overlay, network, is_mirrored, scaler, canvas } = self;
        if (canvas.width(), canvas.height()) != size {
            canvas.resize(size.0, size.1);
        }
        scaler.draw(scene.frame, &placement, canvas);
        draw_maps(canvas, &placement, scene.views, *network);
        overlay.draw(canvas, &placement, scene.faces);
        if network.crop {
            let text = panel::text_size(canvas, overlay.scale);
            draw_insets(canvas, room, *is_mirrored, scene.views, *network, text);
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
        let point = |i: usize| Point::new(10.0 + 0.3 * i as f32, 20.0 + 0.2 * i as f32);
        let landmarks: Vec<_> = (0..98).map(|i| Landmark { point: point(i), confidence: 1.0 }).collect();
        let rect = Rect::around(landmarks.iter().map(|l| l.point)).unwrap();
        let face = Face { id: 1, score: 0.5, rect, landmarks };
        let frame = Frame::filled(100, 60, [10, 20, 30]);
        let mut straight = painter.paint_frame(&frame, std::slice::from_ref(&face), &[]).clone();
        assert_ne!(straight, frame);
        painter.is_mirrored = true;
        let mirrored = painter.paint_frame(&frame, std::slice::from_ref(&face), &[]);
        straight.mirror();
        let close = |a: &u8, b: &u8| a.abs_diff(*b) <= 3;
        assert!(straight.rgb().iter().zip(mirrored.rgb()).all(|(a, b)| close(a, b)));
    }
}
