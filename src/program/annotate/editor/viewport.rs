//! The visible section of the picture.
//!
//! In: the size of the picture and of the view, both in their own pixels; zooming and panning. Out: `view_from_frame`.
//! Part of the picture always stays in sight. Nothing fails.

use crate::runtime::geometry::{CanvasSpace, FrameSpace, Point, Rect, Similarity};

/// The largest pixel of the picture, in pixels of the view.
const LARGEST_SCALE: f32 = 64.0;
/// The smallest picture, over the one that just fits.
const SMALLEST_OF_FITTING: f32 = 0.25;
/// A face fills this share of the view.
const FACE_SHARE: f32 = 0.78;

/// The visible section.
#[derive(Clone, Debug)]
pub(super) struct Viewport {
    /// Width and height of the view.
    view: (f32, f32),
    /// Width and height of the picture.
    picture: (f32, f32),
    scale: f32,
    /// The point of the picture in the middle of the view.
    middle: Point<FrameSpace>,
}

impl Viewport {
    /// The whole picture.
    pub(super) fn new(view: (usize, usize), picture: (usize, usize)) -> Self {
        let float = |(width, height): (usize, usize)| (width.max(1) as f32, height.max(1) as f32);
        let mut viewport =
            Self { view: float(view), picture: float(picture), scale: 1.0, middle: Point::new(0.0, 0.0) };
        viewport.show_all();
        viewport
    }

    fn fitting(&self) -> f32 {
        (self.view.0 / self.picture.0).min(self.view.1 / self.picture.1)
    }

    /// Shows the whole picture.
    pub(super) fn show_all(&mut self) {
        self.scale = self.fitting();
        self.middle = Point::new(0.5 * (self.picture.0 - 1.0), 0.5 * (self.picture.1 - 1.0));
    }

    /// Shows a face.
    pub(super) fn show(&mut self, face: &Rect<FrameSpace>) {
        let fitting = (self.view.0 / face.width.max(1.0)).min(self.view.1 / face.height.max(1.0));
        self.scale = FACE_SHARE * fitting;
        self.middle = face.center();
        self.limit();
    }

    /// Sets another size of the view; its centre stays.
    pub(super) fn resize(&mut self, view: (usize, usize)) {
        let before = self.fitting();
        self.view = (view.0.max(1) as f32, view.1.max(1) as f32);
        self.scale *= self.fitting() / before;
        self.limit();
    }

    /// Zooms by `factor`; the point at `at` stays there.
    pub(super) fn zoom(&mut self, at: Point<CanvasSpace>, factor: f32) {
        let fixed = self.frame_from_view().apply(at);
        self.scale *= factor;
        self.limit();
        let moved = self.frame_from_view().apply(at);
        self.middle = Point::new(self.middle.x + fixed.x - moved.x, self.middle.y + fixed.y - moved.y);
        self.limit();
    }

    /// Moves the picture by this many pixels of the view.
    pub(super) fn pan(&mut self, right: f32, down: f32) {
        self.middle = Point::new(self.middle.x - right / self.scale, self.middle.y - down / self.scale);
        self.limit();
    }

    fn limit(&mut self) {
        let least = SMALLEST_OF_FITTING * self.fitting();
        self.scale = self.scale.clamp(least.min(LARGEST_SCALE), LARGEST_SCALE.max(self.fitting()));
        self.middle = Point::new(self.middle.x.clamp(0.0, self.picture.0), self.middle.y.clamp(0.0, self.picture.1));
    }

    /// Pixels of the view per pixel of the picture.
    pub(super) fn scale(&self) -> f32 {
        self.scale
    }

    pub(super) fn view_from_frame(&self) -> Similarity<CanvasSpace, FrameSpace> {
        let (x, y) = (0.5 * (self.view.0 - 1.0), 0.5 * (self.view.1 - 1.0));
        Similarity::about(self.middle, Point::new(x, y), self.scale, 0.0)
    }

    pub(super) fn frame_from_view(&self) -> Similarity<FrameSpace, CanvasSpace> {
        self.view_from_frame().inverse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_keeps_the_point_under_the_pointer() {
        let mut viewport = Viewport::new((900, 700), (640, 480));
        let at = Point::new(300.0, 250.0);
        let before = viewport.frame_from_view().apply(at);
        for factor in [1.5, 3.0, 0.7, 2.0] {
            viewport.zoom(at, factor);
            let after = viewport.frame_from_view().apply(at);
            assert!(before.distance(after) < 1e-2, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_whole_picture_fits_and_a_face_fills_the_view() {
        let mut viewport = Viewport::new((900, 700), (640, 480));
        let corner = |viewport: &Viewport, x: f32, y: f32| viewport.view_from_frame().apply(Point::new(x, y));
        let (a, b) = (corner(&viewport, -0.5, -0.5), corner(&viewport, 639.5, 479.5));
        assert!(a.x > -0.6 && a.y > -0.6 && b.x < 899.6 && b.y < 699.6, "{a:?} {b:?}");
        assert!(b.x - a.x > 899.0);
        viewport.show(&Rect::new(100.0, 100.0, 100.0, 140.0));
        let (a, b) = (corner(&viewport, 100.0, 100.0), corner(&viewport, 200.0, 240.0));
        assert!(a.y > 0.0 && b.y < 700.0 && b.y - a.y > 500.0, "{a:?} {b:?}");
    }

    #[test]
    fn the_picture_stays_in_sight_whatever_is_done() {
        let mut viewport = Viewport::new((900, 700), (640, 480));
        for _ in 0..50 {
            viewport.pan(500.0, 400.0);
            viewport.zoom(Point::new(1.0, 1.0), 1.7);
        }
        assert!(viewport.scale() <= LARGEST_SCALE);
        let middle = viewport.frame_from_view().apply(Point::new(450.0, 350.0));
        assert!((-1.0..=641.0).contains(&middle.x) && (-1.0..=481.0).contains(&middle.y), "{middle:?}");
        for _ in 0..50 {
            viewport.zoom(Point::new(1.0, 1.0), 0.5);
        }
        assert!(viewport.scale() > 0.2);
    }
}
