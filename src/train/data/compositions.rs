//! The composition of a detector's training items. Numbers only; only the check can fail.

use serde::{Deserialize, Serialize};

/// The composition of a detector's training items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compositions {
    /// Shares of items: photographs of scenes, faces pasted into backgrounds, one large face; the rest shows no face.
    pub scenes: f32,
    pub set_in: f32,
    pub single: f32,
    /// A single face's largest side over the canvas': above 1 it reaches beyond it, as a face near a camera does.
    pub largest_single: f32,
    /// Share of pictures whose range is stretched, if they use little of it, as the detector's input is.
    pub stretched: f32,
    /// The standard deviation of the target about a face's centre, over the face's side. The centre of a large or
    /// blurred face can't be told to the cell, and a narrow target keeps the score of such faces low.
    pub center_of_side: f32,
    /// The least standard deviation, for small faces, in cells.
    pub narrowest_center_cells: f32,
    /// The greatest, for faces that fill the picture, in cells.
    pub widest_center_cells: f32,
    /// Whether the loss of a face is that of its score, to which the nine cells about its centre contribute, instead of
    /// that of the exact cell.
    pub scored_by_neighbourhood: bool,
    /// The exponent that makes faces which are found count less in that loss: 2 as for cells, which leaves sure faces
    /// hardly above doubtful false ones; 0 lets every face count. The loss of exact cells has its own, 2.
    pub focus: f32,
    /// A part of a scene is enlarged by at most this factor: faces of few pixels say little when they fill the canvas.
    pub most_enlarged: f32,
    /// Share of scenes that are not rotated, and fill the canvas as far as they can.
    pub upright: f32,
    /// Share of scenes that faces are pasted into as well.
    pub set_in_scenes: f32,
}

impl Default for Compositions {
    fn default() -> Self {
        Self {
            scenes: 0.35,
            set_in: 0.25,
            single: 0.25,
            largest_single: 1.0,
            stretched: 0.0,
            center_of_side: 0.08,
            narrowest_center_cells: 0.8,
            widest_center_cells: 2.5,
            scored_by_neighbourhood: true,
            focus: 0.0,
            most_enlarged: 100.0,
            upright: 0.0,
            set_in_scenes: 0.0,
        }
    }
}

impl Compositions {
    /// A single face's smallest side over the canvas'.
    pub const SMALLEST_SINGLE: f32 = 0.25;

    /// The standard deviation of the target about the centre of a face whose longer side is `side_cells`, in cells.
    pub fn center_sigma_cells(&self, side_cells: f32) -> f32 {
        (self.center_of_side * side_cells).clamp(self.narrowest_center_cells, self.widest_center_cells)
    }

    /// The first error, if any.
    pub fn check(&self) -> Result<(), String> {
        let Self { scenes, set_in, single, largest_single, stretched, widest_center_cells, .. } = *self;
        let is_share = |v: f32| (0.0..=1.0).contains(&v);
        let shares = [scenes, set_in, single, scenes + set_in + single, stretched];
        let others = [self.upright, self.set_in_scenes];
        if !shares.into_iter().chain(others).all(is_share) {
            return Err("the shares of compositions lie in 0..=1, those of items together too".into());
        }
        if !(largest_single > Self::SMALLEST_SINGLE && largest_single <= 2.0) {
            return Err(format!(
                "largest_single is {largest_single}, it must be over {} and at most 2",
                Self::SMALLEST_SINGLE
            ));
        }
        if !(0.0..=4.0).contains(&self.focus) {
            return Err(format!("focus is {}, it must lie in 0..=4", self.focus));
        }
        if self.focus != 0.0 && !self.scored_by_neighbourhood {
            return Err("focus is for a loss that is scored_by_neighbourhood".into());
        }
        if !(1.0..=20.0).contains(&widest_center_cells) {
            return Err(format!("widest_center_cells is {widest_center_cells}, it must lie in 1..=20"));
        }
        let narrowest = self.narrowest_center_cells;
        if !(0.5..=widest_center_cells).contains(&narrowest) {
            return Err(format!("narrowest_center_cells is {narrowest}, it must lie in 0.5..=widest_center_cells"));
        }
        if !(0.0..=1.0).contains(&self.center_of_side) {
            return Err(format!("center_of_side is {}, it must lie in 0..=1", self.center_of_side));
        }
        if !(1.0..=100.0).contains(&self.most_enlarged) {
            return Err(format!("most_enlarged is {}, it must lie in 1..=100", self.most_enlarged));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_compositions_are_refused() {
        assert_eq!(Compositions::default().check(), Ok(()));
        let too_much = Compositions { scenes: 0.6, ..Default::default() };
        assert!(too_much.check().unwrap_err().contains("together"));
        let no_size = Compositions { largest_single: f32::NAN, ..Default::default() };
        assert!(no_size.check().unwrap_err().contains("NaN"));
        let too_narrow = Compositions { narrowest_center_cells: 0.0, ..Default::default() };
        assert!(too_narrow.check().unwrap_err().contains("narrowest_center_cells is 0"));
    }
}
