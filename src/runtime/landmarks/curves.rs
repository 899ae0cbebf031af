//! Curves through landmarks: those of the boundary map (paper section 4.3) and those for drawing.

/// A curve through landmarks, in drawing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Curve {
    pub name: &'static str,
    pub points: &'static [usize],
    /// Whether the curve is closed.
    pub closed: bool,
}

const fn curve(name: &'static str, points: &'static [usize], closed: bool) -> Curve {
    Curve { name, points, closed }
}

/// The 13 curves of the boundary map for 98 points, as the paper's official code groups them (class `AddBoundary`).
/// They leave out the pupils and the lower edges of the brows.
pub const WFLW98_BOUNDARIES: [Curve; 13] = [
    curve(
        "jaw",
        &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
            29, 30, 31, 32,
        ],
        false,
    ),
    curve("left brow", &[33, 34, 35, 36, 37], false),
    curve("right brow", &[42, 43, 44, 45, 46], false),
    curve("left upper lid", &[60, 61, 62, 63, 64], false),
    curve("right upper lid", &[68, 69, 70, 71, 72], false),
    curve("left lower lid", &[60, 67, 66, 65, 64], false),
    curve("right lower lid", &[68, 75, 74, 73, 72], false),
    curve("nose ridge", &[51, 52, 53, 54], false),
    curve("nose base", &[55, 56, 57, 58, 59], false),
    curve("outer upper lip", &[76, 77, 78, 79, 80, 81, 82], false),
    curve("outer lower lip", &[76, 87, 86, 85, 84, 83, 82], false),
    curve("inner upper lip", &[88, 89, 90, 91, 92], false),
    curve("inner lower lip", &[88, 95, 94, 93, 92], false),
];

/// Like [`WFLW98_BOUNDARIES`], for 68 points.
pub const IBUG68_BOUNDARIES: [Curve; 13] = [
    curve("jaw", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], false),
    curve("left brow", &[17, 18, 19, 20, 21], false),
    curve("right brow", &[22, 23, 24, 25, 26], false),
    curve("left upper lid", &[36, 37, 38, 39], false),
    curve("right upper lid", &[42, 43, 44, 45], false),
    curve("left lower lid", &[36, 41, 40, 39], false),
    curve("right lower lid", &[42, 47, 46, 45], false),
    curve("nose ridge", &[27, 28, 29, 30], false),
    curve("nose base", &[31, 32, 33, 34, 35], false),
    curve("outer upper lip", &[48, 49, 50, 51, 52, 53, 54], false),
    curve("outer lower lip", &[48, 59, 58, 57, 56, 55, 54], false),
    curve("inner upper lip", &[60, 61, 62, 63, 64], false),
    curve("inner lower lip", &[60, 67, 66, 65, 64], false),
];

/// Like [`WFLW98_BOUNDARIES`], for the 29 points of COFW.
pub const COFW29_BOUNDARIES: [Curve; 13] = [
    curve("left brow, upper edge", &[0, 4, 2], false),
    curve("left brow, lower edge", &[0, 5, 2], false),
    curve("right brow, upper edge", &[1, 6, 3], false),
    curve("right brow, lower edge", &[1, 7, 3], false),
    curve("left upper lid", &[8, 12, 10], false),
    curve("left lower lid", &[8, 13, 10], false),
    curve("right upper lid", &[9, 14, 11], false),
    curve("right lower lid", &[9, 15, 11], false),
    curve("nose base", &[18, 21, 19], false),
    curve("outer upper lip", &[22, 24, 23], false),
    curve("inner upper lip", &[22, 25, 23], false),
    curve("inner lower lip", &[22, 26, 23], false),
    curve("outer lower lip", &[22, 27, 23], false),
];

/// Like [`WFLW98_BOUNDARIES`], for the 19 points of AFLW. The official code leaves out the outer end of the right brow,
/// apparently by an off-by-one error in a slice; so does awing.
pub const AFLW19_BOUNDARIES: [Curve; 5] = [
    curve("left brow", &[0, 1, 2], false),
    curve("right brow", &[3, 4], false),
    curve("left eye", &[6, 7, 8], false),
    curve("right eye", &[9, 10, 11], false),
    curve("nose", &[12, 13, 14], false),
];

/// The outlines that are drawn for 98 points.
pub const WFLW98_OUTLINES: [Curve; 9] = [
    curve("jaw", WFLW98_BOUNDARIES[0].points, false),
    curve("left brow", &[33, 34, 35, 36, 37, 38, 39, 40, 41], true),
    curve("right brow", &[42, 43, 44, 45, 46, 47, 48, 49, 50], true),
    curve("nose ridge", &[51, 52, 53, 54], false),
    curve("nose base", &[55, 56, 57, 58, 59], false),
    curve("left eye", &[60, 61, 62, 63, 64, 65, 66, 67], true),
    curve("right eye", &[68, 69, 70, 71, 72, 73, 74, 75], true),
    curve("outer lips", &[76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87], true),
    curve("inner lips", &[88, 89, 90, 91, 92, 93, 94, 95], true),
];
