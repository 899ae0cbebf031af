//! The parts of a face, and the points of each scheme that belong to them.

use super::curves::{IBUG68_BOUNDARIES, WFLW98_BOUNDARIES};

/// A part of the face. Left means left in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Part {
    /// From the left ear over the chin to the right ear.
    Outline,
    LeftBrow,
    RightBrow,
    /// From between the eyes down to the tip.
    NoseRidge,
    /// Around the nostrils, from left to right.
    NoseBase,
    /// The lids: corners, upper and lower edge.
    LeftEye,
    RightEye,
    LeftPupil,
    RightPupil,
    /// The outer edge of both lips.
    OuterLips,
    /// The inner edge of both lips.
    InnerLips,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 11] = [
        Self::Outline,
        Self::LeftBrow,
        Self::RightBrow,
        Self::NoseRidge,
        Self::NoseBase,
        Self::LeftEye,
        Self::RightEye,
        Self::LeftPupil,
        Self::RightPupil,
        Self::OuterLips,
        Self::InnerLips,
    ];

    /// In words: "left brow".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outline => "outline",
            Self::LeftBrow => "left brow",
            Self::RightBrow => "right brow",
            Self::NoseRidge => "nose ridge",
            Self::NoseBase => "nose base",
            Self::LeftEye => "left eye",
            Self::RightEye => "right eye",
            Self::LeftPupil => "left pupil",
            Self::RightPupil => "right pupil",
            Self::OuterLips => "outer lips",
            Self::InnerLips => "inner lips",
        }
    }
}

pub(super) const fn wflw98_part(part: Part) -> &'static [usize] {
    match part {
        Part::Outline => WFLW98_BOUNDARIES[0].points,
        Part::LeftBrow => &[33, 34, 35, 36, 37, 38, 39, 40, 41],
        Part::RightBrow => &[42, 43, 44, 45, 46, 47, 48, 49, 50],
        Part::NoseRidge => &[51, 52, 53, 54],
        Part::NoseBase => &[55, 56, 57, 58, 59],
        Part::LeftEye => &[60, 61, 62, 63, 64, 65, 66, 67],
        Part::RightEye => &[68, 69, 70, 71, 72, 73, 74, 75],
        Part::LeftPupil => &[96],
        Part::RightPupil => &[97],
        Part::OuterLips => &[76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87],
        Part::InnerLips => &[88, 89, 90, 91, 92, 93, 94, 95],
    }
}

pub(super) const fn ibug68_part(part: Part) -> &'static [usize] {
    match part {
        Part::Outline => IBUG68_BOUNDARIES[0].points,
        Part::LeftBrow => &[17, 18, 19, 20, 21],
        Part::RightBrow => &[22, 23, 24, 25, 26],
        Part::NoseRidge => &[27, 28, 29, 30],
        Part::NoseBase => &[31, 32, 33, 34, 35],
        Part::LeftEye => &[36, 37, 38, 39, 40, 41],
        Part::RightEye => &[42, 43, 44, 45, 46, 47],
        Part::LeftPupil | Part::RightPupil => &[],
        Part::OuterLips => &[48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59],
        Part::InnerLips => &[60, 61, 62, 63, 64, 65, 66, 67],
    }
}

pub(super) const fn cofw29_part(part: Part) -> &'static [usize] {
    match part {
        // The chin is a single point.
        Part::Outline => &[28],
        Part::LeftBrow => &[0, 4, 2, 5],
        Part::RightBrow => &[1, 6, 3, 7],
        Part::NoseRidge => &[20],
        Part::NoseBase => &[18, 21, 19],
        Part::LeftEye => &[8, 12, 10, 13],
        Part::RightEye => &[11, 14, 9, 15],
        Part::LeftPupil => &[16],
        Part::RightPupil => &[17],
        Part::OuterLips => &[22, 24, 23, 27],
        Part::InnerLips => &[25, 26],
    }
}

pub(super) const fn aflw19_part(part: Part) -> &'static [usize] {
    match part {
        Part::Outline => &[18],
        Part::LeftBrow => &[0, 1, 2],
        Part::RightBrow => &[3, 4, 5],
        Part::NoseRidge => &[13],
        Part::NoseBase => &[12, 14],
        Part::LeftEye => &[6, 8],
        Part::RightEye => &[9, 11],
        Part::LeftPupil => &[7],
        Part::RightPupil => &[10],
        Part::OuterLips => &[15, 16, 17],
        Part::InnerLips => &[],
    }
}
