//! The score and time thresholds for one face, and how they were chosen.

// The scores below were chosen with the calibrated `edge-98` model, whose confidence is the share of points that are
// right. Mean confidence over all 98 points (the score leaves out the outline and is a little higher): of 486
// validation faces, half are above 0.92, 99 % above 0.75 and none below 0.69; of 633 hard ones (turned, occluded,
// blurred, dark), half are above 0.86, 95 % above 0.52 and 99 % above 0.34. Of 1,200 crops of pictures without faces,
// half are below 0.07, 98 % below 0.37 and 99.9 % below 0.53. In every frame of five videos the score is above 0.84.

/// A track starts, or starts again, only with at least this score, and only where the detector sees the face or it was
/// just followed.
pub(super) const START_SCORE: f32 = 0.55;
/// If the detector's score is below this, a track needs [`SURE_SCORE`] to start: on four of 100 pictures without faces
/// both the detector and the landmark network were wrong, and in three of these the detector's score was below this.
pub(super) const CLEAR_DETECTION: f32 = 0.4;
/// A face below this score is in doubt: it is followed only while the detector sees it too. It is above
/// [`START_SCORE`], since a track on a wall drifts to where the wall looks most like a face.
pub(super) const SURE_SCORE: f32 = 0.7;
/// If the detector's score for a head in a rotated frame is below [`CLEAR_DETECTION`], a track needs this score to
/// start: the frame is searched at three rotations, so a wall has three times as many chances to pass for a face. At
/// half size an upright head needs what it needs at full size.
pub(super) const VERY_SURE_SCORE: f32 = 0.8;
/// A detection with a smaller side starts no track, in pixels of the frame: its eyes would be four pixels wide, and
/// what is found there is often texture.
pub(super) const SMALLEST_FACE_PX: f32 = 20.0;
/// A face below this score is lost. It is below [`START_SCORE`] for hysteresis, so that tracks do not flicker.
pub(super) const KEEP_SCORE: f32 = 0.38;
/// How often the detector checks a face in doubt, in seconds.
pub(super) const DOUBT_EVERY_S: f64 = 1.0;
/// How many frames a lost face is searched for where it was: long enough for a camera glitch or a passing hand.
pub(super) const FRAMES_LOOKED_FOR: u32 = 4;
