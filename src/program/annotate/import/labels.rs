//! Converts the points of another program to those of a recording.
//!
//! In: a face of 98 or 68 points and the size of its picture. Out: 98 points with their weights in WFLW's style, or why
//! the face can't be used for training.

use super::ForeignFace;
use crate::runtime::counted::counted;
use crate::runtime::geometry::{FrameSpace, Point, Rect};
use crate::runtime::landmarks::{IBUG_POINTS, Part, Scheme, Style, WFLW_POINTS, wflw98_from_ibug68};

/// Points of the lower edges of the brows, and those of the upper edges above them.
const BROWS: [(usize, usize); 8] = [(38, 37), (39, 36), (40, 35), (41, 34), (47, 45), (48, 44), (49, 43), (50, 42)];
/// The thickness of a brow over its length.
const BROW_THICKNESS: f32 = 0.16;
const BROW_ENDS: [(usize, usize); 2] = [(33, 37), (42, 46)];

/// 98 points and their weights; 1 each if there are none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels {
    pub points: Vec<Point<FrameSpace>>,
    pub weight: Option<Vec<f32>>,
}

pub(super) fn finished(face: &ForeignFace, (width, height): (usize, usize)) -> Result<Labels, String> {
    if let Some((w, h)) = face.size.filter(|size| *size != (width, height)) {
        let picture = face.picture.display();
        return Err(format!("{picture} has {width}x{height} pixels, the labels are for {w}x{h}"));
    }
    if let Some(i) = face.points.iter().position(|p| !p.is_finite()) {
        return Err(format!("point {i} is not a finite number"));
    }
    let is_known = |i: usize| face.is_known.as_ref().is_none_or(|known| known[i]);
    let (mut points, mut weight) = match face.points.len() {
        WFLW_POINTS => (face.points.clone(), vec![1.0; WFLW_POINTS]),
        IBUG_POINTS => {
            let all: &[_; IBUG_POINTS] = face.points.as_slice().try_into().map_err(|_| "it does not have 68 points")?;
            if !(0..IBUG_POINTS).all(is_known) {
                return Err("some of its 68 points are not placed".into());
            }
            let (mut points, weight) = wflw98_from_ibug68(all);
            Style::Ibug.convert(Style::Wflw, &mut points, &weight);
            (points, weight)
        }
        count => return Err(format!("it has {}: 98 (WFLW) or 68 (iBUG) are expected", counted(count, "point"))),
    };
    if face.points.len() == WFLW_POINTS {
        (0..WFLW_POINTS).filter(|&i| !is_known(i)).for_each(|i| weight[i] = 0.0);
    }
    check(&points, &weight, (width, height))?;
    estimate(&mut points, &weight);
    let weight = weight.iter().any(|&w| w < 1.0).then_some(weight);
    Ok(Labels { points, weight })
}

/// Refuses points that can't be a face of this picture.
fn check(points: &[Point<FrameSpace>], weight: &[f32], (width, height): (usize, usize)) -> Result<(), String> {
    let known = points.iter().zip(weight).filter(|(_, w)| **w > 0.0).map(|(p, _)| *p);
    let shown = Rect::around(known).filter(|rect| rect.side() >= 2.0).ok_or("its points lie in one place")?;
    if shown.x > width as f32 || shown.y > height as f32 || shown.x + shown.width < 0.0 || shown.y + shown.height < 0.0
    {
        return Err(format!("it lies outside its picture of {width}x{height} pixels"));
    }
    let mean = |part: Part| mean(points, weight, Scheme::Wflw98.part(part).iter().copied());
    let places = (mean(Part::LeftEye), mean(Part::RightEye), mean(Part::OuterLips));
    if let (Some(left), Some(right), Some(mouth)) = places {
        let (eyes, middle) = ((right.x - left.x, right.y - left.y), left.midpoint(right));
        if eyes.0 * (mouth.y - middle.y) - eyes.1 * (mouth.x - middle.x) < 0.0 {
            return Err("left and right look exchanged: point 0 has to lie at the left in the picture".into());
        }
    }
    Ok(())
}

fn mean(
    points: &[Point<FrameSpace>],
    weight: &[f32],
    indices: impl Iterator<Item = usize>,
) -> Option<Point<FrameSpace>> {
    let (mut x, mut y, mut count) = (0.0, 0.0, 0.0);
    for i in indices.filter(|&i| weight[i] > 0.0) {
        (x, y, count) = (x + points[i].x, y + points[i].y, count + 1.0);
    }
    (count > 0.0).then(|| Point::new(x / count, y / count))
}

/// Estimates the positions of points that nobody has placed, for a person to move them.
fn estimate(points: &mut [Point<FrameSpace>], weight: &[f32]) {
    let everything = mean(points, weight, 0..WFLW_POINTS).unwrap_or(Point::new(0.0, 0.0));
    for part in Part::ALL {
        let indices = Scheme::Wflw98.part(part);
        let around = match part {
            Part::LeftPupil => Scheme::Wflw98.part(Part::LeftEye),
            Part::RightPupil => Scheme::Wflw98.part(Part::RightEye),
            _ => indices,
        };
        let place = mean(points, weight, around.iter().copied()).unwrap_or(everything);
        indices.iter().filter(|&&i| weight[i] == 0.0).for_each(|&i| points[i] = place);
    }
    for (lower, upper) in BROWS {
        let (a, b) = BROW_ENDS[usize::from(upper >= BROW_ENDS[1].0)];
        if weight[lower] == 0.0 && [upper, a, b].iter().all(|&i| weight[i] > 0.0) {
            // At a right angle to the brow, down in the upright face.
            let (x, y) = (points[b].x - points[a].x, points[b].y - points[a].y);
            points[lower] = Point::new(points[upper].x - BROW_THICKNESS * y, points[upper].y + BROW_THICKNESS * x);
        }
    }
}
