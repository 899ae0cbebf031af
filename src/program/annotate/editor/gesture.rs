//! The effect of a drag on the points, from the points before the drag and the pointer then and now, so errors don't
//! add up.
//!
//! In: points and pointer in pixels of the picture. Out: the points now. Nothing fails.

use super::handles::{Handle, PartBox};
use super::parts::FacePart;
use crate::runtime::geometry::{FrameSpace, Point, Rect, Similarity};

/// The range in which neighbours follow, over the longer side of the box around the moved point's curve.
const SOFT_REACH: f32 = 0.42;
/// The smallest factor by which one drag can scale a part.
const SMALLEST: f32 = 0.05;
const PUPILS: [usize; 2] = [96, 97];

/// The dragged object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grip {
    Point(usize),
    Part(FacePart, Handle),
}

/// A drag.
#[derive(Clone, Debug)]
pub(super) struct Gesture {
    pub grip: Grip,
    /// The pointer at the start.
    pub from: Point<FrameSpace>,
    /// The points before the drag.
    pub before: Vec<Point<FrameSpace>>,
    part_box: PartBox,
}

impl Gesture {
    pub(super) fn begin(grip: Grip, from: Point<FrameSpace>, points: &[Point<FrameSpace>]) -> Self {
        let part = match grip {
            Grip::Point(i) => FacePart::of(i),
            Grip::Part(part, _) => part,
        };
        Self { grip, from, before: points.to_vec(), part_box: PartBox::of(points, part) }
    }

    /// The points with the pointer at `to`; `is_soft`: neighbours of a single point follow.
    pub(super) fn points(&self, to: Point<FrameSpace>, is_soft: bool) -> Vec<Point<FrameSpace>> {
        let by = (to.x - self.from.x, to.y - self.from.y);
        match self.grip {
            Grip::Point(i) => move_point(&self.before, i, by, is_soft),
            Grip::Part(part, Handle::Move) => move_part(&self.before, part, by),
            Grip::Part(part, Handle::Turn) => {
                let middle = self.part_box.middle;
                let direction = |p: Point<FrameSpace>| (p.y - middle.y).atan2(p.x - middle.x);
                let turn = Similarity::about(middle, middle, 1.0, direction(to) - direction(self.from));
                each(&self.before, part, |p| turn.apply(p))
            }
            Grip::Part(part, Handle::Scale(x, y)) => self.scaled(part, (f32::from(x), f32::from(y)), to),
        }
    }

    fn scaled(&self, part: FacePart, (x, y): (f32, f32), to: Point<FrameSpace>) -> Vec<Point<FrameSpace>> {
        let (from, to) = (self.part_box.local(self.from), self.part_box.local(to));
        let (right, down) = (x * (to.0 - from.0), y * (to.1 - from.1));
        let (width, height) = (2.0 * self.part_box.half.0, 2.0 * self.part_box.half.1);
        let longer = width.max(height).max(1e-3);
        let factor = |by: f32, side: f32| (1.0 + by / side.max(1e-3 * longer)).max(SMALLEST);
        let (horizontal, vertical) = if x != 0.0 && y != 0.0 {
            // A corner keeps the proportions.
            let along_diagonal = (right * width + down * height) / width.hypot(height).max(1e-3);
            let both = factor(along_diagonal, width.hypot(height));
            (both, both)
        } else {
            (if x == 0.0 { 1.0 } else { factor(right, width) }, if y == 0.0 { 1.0 } else { factor(down, height) })
        };
        let fixed = (-x * 0.5 * width, -y * 0.5 * height);
        each(&self.before, part, |p| {
            let (px, py) = self.part_box.local(p);
            self.part_box.at((fixed.0 + horizontal * (px - fixed.0), fixed.1 + vertical * (py - fixed.1)))
        })
    }
}

fn each(
    points: &[Point<FrameSpace>],
    part: FacePart,
    moved: impl Fn(Point<FrameSpace>) -> Point<FrameSpace>,
) -> Vec<Point<FrameSpace>> {
    let mut all = points.to_vec();
    for i in part.points() {
        all[i] = moved(points[i]);
    }
    all
}

/// The points with all of `part` moved.
pub(super) fn move_part(points: &[Point<FrameSpace>], part: FacePart, by: (f32, f32)) -> Vec<Point<FrameSpace>> {
    each(points, part, |p| Point::new(p.x + by.0, p.y + by.1))
}

/// The points with one moved. With `is_soft` the others of its part follow, the less the farther they are; pupils
/// neither follow nor are followed.
pub(super) fn move_point(
    points: &[Point<FrameSpace>],
    moved: usize,
    by: (f32, f32),
    is_soft: bool,
) -> Vec<Point<FrameSpace>> {
    let mut all = points.to_vec();
    let part = FacePart::of(moved);
    let curve = Rect::around(FacePart::section_of(moved).iter().map(|&i| points[i]));
    let reach = match curve {
        Some(curve) if is_soft && !PUPILS.contains(&moved) => SOFT_REACH * curve.side(),
        _ => 0.0,
    };
    for i in part.points() {
        let distance = points[i].distance(points[moved]);
        let share = match i {
            _ if i == moved => 1.0,
            _ if PUPILS.contains(&i) || distance >= reach => continue,
            _ => 0.5 + 0.5 * (std::f32::consts::PI * distance / reach).cos(),
        };
        all[i] = Point::new(points[i].x + share * by.0, points[i].y + share * by.1);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::sample::face_points;
    use super::*;
    use crate::runtime::geometry::CanvasSpace;

    fn close(a: Point<FrameSpace>, b: Point<FrameSpace>) -> bool {
        a.distance(b) < 1e-2
    }

    #[test]
    fn a_dragged_point_moves_alone_or_with_its_neighbours() {
        let before = face_points();
        let alone = move_point(&before, 79, (3.0, -4.0), false);
        assert!((0..98).all(|i| (alone[i] == before[i]) != (i == 79)));
        let soft = move_point(&before, 79, (3.0, -4.0), true);
        let moved = |i: usize| soft[i].distance(before[i]);
        assert!((moved(79) - 5.0).abs() < 1e-3 && moved(78) > moved(77) && moved(78) < 5.0);
        assert!(moved(78) > 1.0 && (0..76).all(|i| moved(i) == 0.0), "other parts stay");
        let pupil = move_point(&before, 96, (3.0, 0.0), true);
        assert_eq!((0..98).filter(|&i| pupil[i] != before[i]).count(), 1);
    }

    #[test]
    fn handles_move_turn_and_scale_a_part_and_nothing_else() {
        let before = face_points();
        for part in FacePart::ALL {
            let part_box = PartBox::of(&before, part);
            for handle in [Handle::Move, Handle::Turn, Handle::Scale(1, 1), Handle::Scale(0, -1), Handle::Scale(-1, 0)]
            {
                let gesture = Gesture::begin(Grip::Part(part, handle), part_box.at((20.0, 30.0)), &before);
                let after = gesture.points(part_box.at((26.0, 24.0)), true);
                let is_of_part = |i: usize| part.points().any(|p| p == i);
                assert!((0..98).all(|i| is_of_part(i) || after[i] == before[i]), "{part:?} {handle:?}");
                assert!(part.points().any(|i| after[i] != before[i]), "{part:?} {handle:?}");
                let back = gesture.points(gesture.from, true);
                assert!((0..98).all(|i| close(back[i], before[i])), "{part:?} {handle:?}: back is as before");
            }
        }
    }

    #[test]
    fn a_turn_about_the_middle_keeps_distances() {
        let before = face_points();
        let part = FacePart::Mouth;
        let middle = PartBox::of(&before, part).middle;
        let from = Point::new(middle.x, middle.y - 40.0);
        let gesture = Gesture::begin(Grip::Part(part, Handle::Turn), from, &before);
        let after = gesture.points(Point::new(middle.x + 40.0, middle.y), false);
        assert!((after[76].distance(after[82]) - before[76].distance(before[82])).abs() < 1e-2);
        // A quarter turn clockwise: what was at the left is above now.
        assert!(after[76].y < after[82].y - 5.0 && (after[76].x - after[82].x).abs() < 5.0);
    }

    #[test]
    fn scaling_keeps_the_opposite_side() {
        let before = face_points();
        let part = FacePart::Mouth;
        let part_box = PartBox::of(&before, part);
        let (w, h) = part_box.half;
        let gesture = Gesture::begin(Grip::Part(part, Handle::Scale(0, 1)), part_box.at((0.0, h)), &before);
        let after = PartBox::of(&gesture.points(part_box.at((3.0, h + 4.0)), false), part);
        assert!((after.half.1 - (h + 2.0)).abs() < 0.3 && (after.half.0 - w).abs() < 0.3, "{after:?} {part_box:?}");
        let gesture = Gesture::begin(Grip::Part(part, Handle::Scale(1, 1)), part_box.at((w, h)), &before);
        let after = gesture.points(part_box.at((3.0 * w, 3.0 * h)), false);
        let scaled = PartBox::of(&after, part);
        assert!((scaled.half.0 - 2.0 * w).abs() < 0.5 && (scaled.half.1 - 2.0 * h).abs() < 0.5);
        let corner = |b: &PartBox| b.at((-b.half.0, -b.half.1));
        assert!(corner(&scaled).distance(corner(&part_box)) < 0.7);
    }

    #[test]
    fn every_handle_is_found_where_it_is_drawn() {
        use super::super::handles::Handles;
        let view: Similarity<CanvasSpace, FrameSpace> = Similarity::new(5.0, 0.0, -300.0, -200.0);
        let handles = Handles::of(&PartBox::of(&face_points(), FacePart::Mouth), &view, 1.0);
        let mut found = 0;
        for (handle, place) in handles.scales() {
            assert_eq!(handles.knob_at(place), Some(handle));
            found += 1;
        }
        assert_eq!(found, 8);
        assert_eq!(handles.knob_at(handles.knob()[1]), Some(Handle::Turn));
        let corners = handles.corners();
        assert!(handles.contains(corners[0].midpoint(corners[2])) && !handles.contains(handles.knob()[1]));
    }
}
