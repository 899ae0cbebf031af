//! The box around a part, rotated with the face, and its handles.
//!
//! In: the points of a face, a part, `view_from_frame`. Out: the positions of the handles in the view, and the handle
//! at the pointer. A part whose points coincide has handles too. Nothing fails.

use super::parts::FacePart;
use crate::runtime::geometry::{CanvasSpace, FrameSpace, Point, Similarity};

/// Between the points and the box, in pixels of a usual screen.
const PADDING: f32 = 14.0;
/// From the box to the knob that turns it.
const KNOB_DISTANCE: f32 = 26.0;
/// The largest distance between pointer and handle.
const REACH: f32 = 10.0;
/// Sides shorter than this have no handle in their middle.
const SHORTEST_SIDE: f32 = 44.0;

/// The effect of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handle {
    /// Scales, away from the opposite side or corner: -1, 0 or 1 to the right and down.
    Scale(i8, i8),
    Turn,
    /// Anywhere else in the box.
    Move,
}

/// The corners and sides.
const SCALES: [(i8, i8); 8] = [(-1, -1), (1, -1), (1, 1), (-1, 1), (0, -1), (1, 0), (0, 1), (-1, 0)];

/// The box around the points of a part, without padding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PartBox {
    pub middle: Point<FrameSpace>,
    /// Unit vector to the right in the upright face.
    pub along: (f32, f32),
    /// Half its width and height.
    pub half: (f32, f32),
}

impl PartBox {
    pub(super) fn of(points: &[Point<FrameSpace>], part: FacePart) -> Self {
        let along = along(points);
        let mut bounds = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        for i in part.points() {
            let (x, y) = upright(along, (points[i].x, points[i].y));
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
        }
        let [x0, y0, x1, y1] = bounds;
        let (x, y) = (0.5 * (x0 + x1), 0.5 * (y0 + y1));
        let middle = Point::new(along.0 * x - along.1 * y, along.1 * x + along.0 * y);
        Self { middle, along, half: (0.5 * (x1 - x0), 0.5 * (y1 - y0)) }
    }

    /// A position in the box: to the right and down from its centre, in pixels of the picture.
    pub(super) fn local(&self, p: Point<FrameSpace>) -> (f32, f32) {
        upright(self.along, (p.x - self.middle.x, p.y - self.middle.y))
    }

    pub(super) fn at(&self, (x, y): (f32, f32)) -> Point<FrameSpace> {
        Point::new(
            self.middle.x + self.along.0 * x - self.along.1 * y,
            self.middle.y + self.along.1 * x + self.along.0 * y,
        )
    }
}

/// The direction from the left eye to the right one; level if there is none.
fn along(points: &[Point<FrameSpace>]) -> (f32, f32) {
    let mean = |part: FacePart| {
        let count = part.points().count() as f32;
        part.points().fold((0.0, 0.0), |sum, i| (sum.0 + points[i].x / count, sum.1 + points[i].y / count))
    };
    let (left, right) = (mean(FacePart::LeftEye), mean(FacePart::RightEye));
    let (x, y) = (right.0 - left.0, right.1 - left.1);
    let length = x.hypot(y);
    if length > 1e-3 && length.is_finite() { (x / length, y / length) } else { (1.0, 0.0) }
}

fn upright((along_x, along_y): (f32, f32), (x, y): (f32, f32)) -> (f32, f32) {
    (along_x * x + along_y * y, along_x * y - along_y * x)
}

/// The handles of a part in the view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handles {
    middle: Point<CanvasSpace>,
    along: (f32, f32),
    /// Half the padded box.
    half: (f32, f32),
    /// Pixels per pixel of a usual screen.
    screen: f32,
}

impl Handles {
    pub(super) fn of(part_box: &PartBox, view_from_frame: &Similarity<CanvasSpace, FrameSpace>, screen: f32) -> Self {
        let scale = view_from_frame.scale();
        let padded = |half: f32| half * scale + PADDING * screen;
        Self {
            middle: view_from_frame.apply(part_box.middle),
            along: part_box.along,
            half: (padded(part_box.half.0), padded(part_box.half.1)),
            screen,
        }
    }

    fn at(&self, x: f32, y: f32) -> Point<CanvasSpace> {
        Point::new(
            self.middle.x + self.along.0 * x - self.along.1 * y,
            self.middle.y + self.along.1 * x + self.along.0 * y,
        )
    }

    /// The corners of the box, clockwise.
    pub(super) fn corners(&self) -> [Point<CanvasSpace>; 4] {
        let (w, h) = self.half;
        [self.at(-w, -h), self.at(w, -h), self.at(w, h), self.at(-w, h)]
    }

    /// The foot of the knob on the box, and the knob.
    pub(super) fn knob(&self) -> [Point<CanvasSpace>; 2] {
        [self.at(0.0, -self.half.1), self.at(0.0, -self.half.1 - KNOB_DISTANCE * self.screen)]
    }

    /// The positions of the scaling handles.
    pub(super) fn scales(&self) -> impl Iterator<Item = (Handle, Point<CanvasSpace>)> {
        let shortest = 0.5 * SHORTEST_SIDE * self.screen;
        let this = *self;
        SCALES.into_iter().filter_map(move |(x, y)| {
            let has_room = match (x, y) {
                (0, _) => this.half.0 >= shortest,
                (_, 0) => this.half.1 >= shortest,
                _ => true,
            };
            let place = this.at(f32::from(x) * this.half.0, f32::from(y) * this.half.1);
            has_room.then_some((Handle::Scale(x, y), place))
        })
    }

    /// The handle for scaling or rotating at the pointer.
    pub(super) fn knob_at(&self, p: Point<CanvasSpace>) -> Option<Handle> {
        let all = self.scales().chain([(Handle::Turn, self.knob()[1])]);
        let near = all.map(|(handle, place)| (handle, place.distance(p)));
        let nearest = near.min_by(|a, b| a.1.total_cmp(&b.1))?;
        (nearest.1 <= REACH * self.screen).then_some(nearest.0)
    }

    /// Whether the pointer is in the box.
    pub(super) fn contains(&self, p: Point<CanvasSpace>) -> bool {
        let (x, y) = upright(self.along, (p.x - self.middle.x, p.y - self.middle.y));
        x.abs() <= self.half.0 && y.abs() <= self.half.1
    }
}
