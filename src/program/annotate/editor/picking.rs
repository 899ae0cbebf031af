//! Hit testing of the mouse pointer.
//!
//! In: the points and the pointer in pixels of the view. Out: the nearest draggable object. Handles come before points,
//! points before the inside of the selected part, and that before curves. Nothing fails.

use super::gesture::Grip;
use super::handles::{Handle, Handles};
use super::parts::FacePart;
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::runtime::landmarks::WFLW98_OUTLINES;

/// The largest distances between the pointer and a point or a curve, in pixels of a usual screen.
const POINT_REACH: f32 = 9.0;
const CURVE_REACH: f32 = 6.0;

/// Something in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An object that a drag moves.
    Grip(Grip),
    /// A part that a click selects.
    Curve(FacePart),
    Nothing,
}

/// The object at `at`; `selected`: the handles of the selected part. `screen`: pixels per pixel of a usual screen.
pub(super) fn target(
    points: &[Point<CanvasSpace>],
    selected: Option<(FacePart, Handles)>,
    at: Point<CanvasSpace>,
    screen: f32,
) -> Target {
    if let Some((part, handles)) = selected
        && let Some(handle) = handles.knob_at(at)
    {
        return Target::Grip(Grip::Part(part, handle));
    }
    let distances = points.iter().map(|p| p.distance(at)).enumerate();
    let nearest = distances.filter(|(_, d)| d.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((i, _)) = nearest.filter(|(_, distance)| *distance <= POINT_REACH * screen) {
        return Target::Grip(Grip::Point(i));
    }
    if let Some((part, handles)) = selected
        && handles.contains(at)
    {
        return Target::Grip(Grip::Part(part, Handle::Move));
    }
    let curves = WFLW98_OUTLINES.iter().flat_map(|curve| {
        let count = curve.points.len();
        let ends = if curve.closed { count } else { count - 1 };
        (0..ends).map(move |k| (curve.points[k], curve.points[(k + 1) % count]))
    });
    let distances = curves.map(|(a, b)| (FacePart::of(a), distance_to_line(points[a], points[b], at)));
    match distances.min_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((part, distance)) if distance <= CURVE_REACH * screen => Target::Curve(part),
        _ => Target::Nothing,
    }
}

fn distance_to_line(a: Point<CanvasSpace>, b: Point<CanvasSpace>, p: Point<CanvasSpace>) -> f32 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let along = ((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy).max(1e-6);
    let along = along.clamp(0.0, 1.0);
    p.distance(Point::new(a.x + along * dx, a.y + along * dy))
}
