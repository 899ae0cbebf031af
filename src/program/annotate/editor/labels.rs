//! The editable part of a face: its points, their weights, and the review.

use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::WFLW_POINTS;
use crate::train::collection::{CollectedFace, Review};

/// The labels of a face.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels {
    /// The 98 points, in pixels of the picture.
    pub points: Vec<Point<FrameSpace>>,
    /// 0..=1 for each point; 1 each if there are none.
    pub weight: Option<Vec<f32>>,
    pub review: Review,
}

impl Labels {
    pub(super) fn of(face: &CollectedFace) -> Self {
        Self { points: points_of(&face.points), weight: face.weight.clone(), review: face.review }
    }

    /// The face with these labels.
    pub(super) fn applied_to(&self, face: &CollectedFace) -> CollectedFace {
        CollectedFace {
            points: self.points.iter().map(|p| [p.x, p.y]).collect(),
            weight: self.weight.clone(),
            review: self.review,
            ..face.clone()
        }
    }

    /// The weight of point `i`.
    pub(super) fn weight_of(&self, i: usize) -> f32 {
        self.weight.as_ref().map_or(1.0, |weight| weight[i])
    }

    /// Sets the weight of point `i`.
    pub(super) fn set_weight(&mut self, i: usize, value: f32) {
        if self.weight_of(i) != value {
            self.weight.get_or_insert_with(|| vec![1.0; WFLW_POINTS])[i] = value;
        }
    }

    /// Sets points that a person has placed: they count from now on, and the face becomes pending. Returns whether
    /// anything changed.
    pub(super) fn place(&mut self, points: Vec<Point<FrameSpace>>) -> bool {
        if points == self.points || !points.iter().all(|p| p.is_finite()) {
            return false;
        }
        for (i, point) in points.into_iter().enumerate() {
            if point != self.points[i] {
                self.points[i] = point;
                self.set_weight(i, 1.0);
            }
        }
        self.review = Review::Pending;
        true
    }
}

pub(super) fn points_of(pairs: &[[f32; 2]]) -> Vec<Point<FrameSpace>> {
    pairs.iter().map(|&[x, y]| Point::new(x, y)).collect()
}
