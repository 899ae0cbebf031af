//! A model's own fits to the annotation styles of data sets.
//!
//! In: 98 predicted points. Out: where a data set would have them, or the way back. Each model needs its own fits,
//! because its output depends on its training. A fit of the wrong size is an error that says so.

use super::{Style, UprightFrame};
use crate::runtime::geometry::{Point, Space};
use crate::runtime::landmarks::{WFLW_POINTS, WFLW98_OF_IBUG68, wflw98_from_ibug68};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The pose terms that shifts depend on: 1, yaw, pitch. Turned heads have other shifts than frontal ones.
pub type PoseTerms = [f32; 3];

/// A model's fit to one style: for each of the 98 points (of 300-W's style each of its 68) and for x and y a constant
/// and the coefficients of the head's yaw and pitch, all in percent of the longer side of the upright box. Points that
/// the style does not have don't move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StyleFit(Vec<[[f32; 3]; 2]>);

impl StyleFit {
    /// A fit to `style` with these coefficients, in the order of [`Self::points_of`].
    ///
    /// # Errors
    /// The number of points is wrong, or a number is not finite.
    pub fn new(style: Style, shifts: Vec<[[f32; 3]; 2]>) -> Result<Self, String> {
        let fit = Self(shifts);
        fit.check(style)?;
        Ok(fit)
    }

    /// The indices of the points that a fit to this style moves.
    pub fn points_of(style: Style) -> Vec<usize> {
        if style == Style::Ibug { WFLW98_OF_IBUG68.to_vec() } else { (0..WFLW_POINTS).collect() }
    }

    fn check(&self, style: Style) -> Result<(), String> {
        let (expected, found) = (Self::points_of(style).len(), self.0.len());
        if found != expected {
            return Err(format!("a fit to the style {style:?} has {expected} points, not {found}"));
        }
        match self.0.as_flattened().as_flattened().iter().find(|v| !v.is_finite()) {
            Some(value) => Err(format!("a fit to the style {style:?} holds {value}")),
            None => Ok(()),
        }
    }

    /// The pose of predicted points, and the offset of the ground truth from each of the 98: right and down in
    /// the upright face, in percent of its box. `None` for a face without extent.
    pub fn residuals<S: Space>(
        predicted: &[Point<S>],
        truth: &[Point<S>],
    ) -> Option<(PoseTerms, [[f32; 2]; WFLW_POINTS])> {
        let frame = UprightFrame::of(predicted, &[1.0; WFLW_POINTS])?;
        let residual = |i: usize| {
            let (dx, dy) = (truth[i].x - predicted[i].x, truth[i].y - predicted[i].y);
            let (x, y) = frame.upright((dx, dy));
            [x / frame.percent, y / frame.percent]
        };
        Some((frame.pose(predicted, &[1.0; WFLW_POINTS])?, std::array::from_fn(residual)))
    }

    /// Moves `points`, roughly in the model's style, to the positions that this fit to `style` maps to `annotated`.
    pub(super) fn undo<S: Space>(&self, style: Style, annotated: &[Point<S>], points: &mut [Point<S>], weight: &[f32]) {
        let Some(frame) = UprightFrame::of(points, weight) else { return };
        let Some(pose) = frame.pose(points, weight) else { return };
        for ([x, y], i) in self.0.iter().zip(Self::points_of(style)) {
            if weight[i] > 0.0 {
                points[i] = frame.shifted(annotated[i], -along(x, pose), -along(y, pose));
            }
        }
    }

    /// `predicted` in `style`, the one that this fit is to.
    pub(super) fn apply<S: Space>(&self, style: Style, predicted: &[Point<S>]) -> Option<Vec<Point<S>>> {
        let frame = UprightFrame::of(predicted, &[1.0; WFLW_POINTS])?;
        let pose = frame.pose(predicted, &[1.0; WFLW_POINTS])?;
        let points: Vec<Point<S>> = (self.0.iter().zip(Self::points_of(style)))
            .map(|([x, y], i)| frame.shifted(predicted[i], along(x, pose), along(y, pose)))
            .collect();
        if style != Style::Ibug {
            return Some(points);
        }
        let (mut all, weight) = wflw98_from_ibug68(points.as_slice().try_into().ok()?);
        // These points are not defined in 300-W.
        for (i, point) in all.iter_mut().enumerate().filter(|(i, _)| weight[*i] == 0.0) {
            *point = predicted[i];
        }
        Some(all)
    }
}

/// A shift in this pose.
fn along(terms: &[f32; 3], pose: PoseTerms) -> f32 {
    terms.iter().zip(pose).map(|(term, of)| term * of).sum()
}

/// A model's fits, by style.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct StyleFits(BTreeMap<Style, StyleFit>);

/// As in files: earlier versions stored the fit to 300-W's style alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    All(BTreeMap<Style, StyleFit>),
    Ibug(StyleFit),
}

impl From<Stored> for StyleFits {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::All(fits) => Self(fits),
            Stored::Ibug(fit) => Self(BTreeMap::from([(Style::Ibug, fit)])),
        }
    }
}

impl StyleFits {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fit to `style`.
    pub fn of(&self, style: Style) -> Option<&StyleFit> {
        self.0.get(&style)
    }

    /// Whether faces of `style` can be mapped to the style of a model with these fits: by a fit, or by known shifts.
    pub fn can_map(&self, style: Style) -> bool {
        matches!(style, Style::Wflw | Style::Ibug) || self.0.contains_key(&style)
    }

    /// The same fits, with this one to `style`.
    pub fn with(mut self, style: Style, fit: StyleFit) -> Self {
        self.0.insert(style, fit);
        self
    }

    /// Checks the numbers of points, and that all numbers are finite.
    ///
    /// # Errors
    /// A message that names the style.
    pub fn check(&self) -> Result<(), String> {
        self.0.iter().try_for_each(|(style, fit)| fit.check(*style))
    }
}
