//! The parts that move as one: each has handles, and Tab cycles through them.
//!
//! In: indices of the 98 WFLW points. "Left" means left in the picture. Nothing fails.

use crate::runtime::landmarks::{Part, Scheme};

/// A part that moves as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FacePart {
    /// With its pupil.
    LeftEye,
    RightEye,
    LeftBrow,
    RightBrow,
    Nose,
    Mouth,
    Jaw,
    WholeFace,
}

impl FacePart {
    /// In the order of Tab.
    pub(super) const ALL: [Self; 8] = [
        Self::LeftEye,
        Self::RightEye,
        Self::LeftBrow,
        Self::RightBrow,
        Self::Nose,
        Self::Mouth,
        Self::Jaw,
        Self::WholeFace,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LeftEye => "left eye",
            Self::RightEye => "right eye",
            Self::LeftBrow => "left brow",
            Self::RightBrow => "right brow",
            Self::Nose => "nose",
            Self::Mouth => "mouth",
            Self::Jaw => "jaw",
            Self::WholeFace => "whole face",
        }
    }

    fn sections(self) -> &'static [Part] {
        match self {
            Self::LeftEye => &[Part::LeftEye, Part::LeftPupil],
            Self::RightEye => &[Part::RightEye, Part::RightPupil],
            Self::LeftBrow => &[Part::LeftBrow],
            Self::RightBrow => &[Part::RightBrow],
            Self::Nose => &[Part::NoseRidge, Part::NoseBase],
            Self::Mouth => &[Part::OuterLips, Part::InnerLips],
            Self::Jaw => &[Part::Outline],
            Self::WholeFace => &Part::ALL,
        }
    }

    /// Its points.
    pub(super) fn points(self) -> impl Iterator<Item = usize> + Clone {
        self.sections().iter().flat_map(|&part| Scheme::Wflw98.part(part)).copied()
    }

    /// The smallest part that a point belongs to.
    pub(super) fn of(point: usize) -> Self {
        let part = Self::ALL.into_iter().find(|part| part.points().any(|i| i == point));
        part.unwrap_or(Self::WholeFace)
    }

    /// The curve, or the pupil, that a point belongs to.
    pub(super) fn section_of(point: usize) -> &'static [usize] {
        let mut sections = Part::ALL.into_iter().map(|part| Scheme::Wflw98.part(part));
        sections.find(|section| section.contains(&point)).unwrap_or_default()
    }

    /// The part of the other side; itself in the middle.
    pub(super) fn twin(self) -> Self {
        match self {
            Self::LeftEye => Self::RightEye,
            Self::RightEye => Self::LeftEye,
            Self::LeftBrow => Self::RightBrow,
            Self::RightBrow => Self::LeftBrow,
            middle => middle,
        }
    }

    /// The next part after this one, or the one before.
    pub(super) fn next(self, is_backward: bool) -> Self {
        let count = Self::ALL.len();
        let at = Self::ALL.iter().position(|&part| part == self).unwrap_or(0);
        Self::ALL[(at + if is_backward { count - 1 } else { 1 }) % count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::landmarks::WFLW98_MIRROR;

    #[test]
    fn every_point_is_in_one_part_and_mirrors_into_its_twin() {
        for (i, mirror) in WFLW98_MIRROR.into_iter().enumerate() {
            let parts = FacePart::ALL.into_iter().filter(|part| part.points().any(|p| p == i)).count();
            assert_eq!(parts, 2, "point {i} is in its part and in the whole face");
            assert_eq!(FacePart::of(mirror), FacePart::of(i).twin());
        }
    }

    #[test]
    fn going_through_the_parts_comes_back_to_the_first() {
        let mut part = FacePart::LeftEye;
        for _ in FacePart::ALL {
            let next = part.next(false);
            assert_eq!(next.next(true), part);
            part = next;
        }
        assert_eq!(part, FacePart::LeftEye);
    }
}
