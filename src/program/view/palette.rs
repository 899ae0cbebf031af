//! The colours of everything that is drawn over pictures: one family, of equal brightness.

/// A face takes the colour of its number.
const FACES: [[u8; 3]; 6] =
    [[104, 214, 255], [255, 202, 110], [140, 236, 172], [255, 158, 206], [190, 174, 255], [255, 164, 132]];
/// Elements that are switched on, or under the mouse.
pub const ACCENT: [u8; 3] = FACES[0];
/// Plain text.
pub const PLAIN: [u8; 3] = [238, 240, 243];
/// Less important text.
pub const QUIET: [u8; 3] = [168, 176, 186];
/// Important text.
pub const ALARM: [u8; 3] = FACES[1];
/// The sign of a running recording.
pub const RECORDING: [u8; 3] = [255, 104, 96];
/// Panels, and their element under the pointer.
pub const BACKGROUND: [u8; 3] = [14, 17, 22];
pub const RAISED: [u8; 3] = [44, 51, 62];
/// The axes of a head: sideways, up, and forward.
pub const AXES: [[u8; 3]; 3] = [[255, 128, 112], [140, 236, 172], [104, 214, 255]];
/// The gaze.
pub const GAZE: [u8; 3] = [255, 236, 160];
/// From low to high confidence.
const CONFIDENCE: [[u8; 3]; 3] = [[255, 104, 96], [255, 202, 110], [140, 236, 172]];

/// The colour of the face with this number.
pub fn of_face(id: u64) -> [u8; 3] {
    FACES[(id.wrapping_sub(1) % FACES.len() as u64) as usize]
}

/// The colour of a confidence in 0..=1.
pub fn of_confidence(confidence: f32) -> [u8; 3] {
    let at = confidence.clamp(0.0, 1.0) * (CONFIDENCE.len() - 1) as f32;
    let first = (at as usize).min(CONFIDENCE.len() - 2);
    between(CONFIDENCE[first], CONFIDENCE[first + 1], at - first as f32)
}

/// A mixture of two colours, with this share of the second.
pub fn between(a: [u8; 3], b: [u8; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|i| (f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * share).round() as u8)
}
