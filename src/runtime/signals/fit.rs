//! Fits the constants of this room to a landmark model: the average face, where the pupils of eyes lie that look
//! straight ahead, and how far pupils move with the gaze. For `benches/tools/fit_signals.rs`, which prints them.
//!
//! In: landmarks of many faces, of some of them the true pose. Out: the points in three dimensions that explain the
//! landmarks best. Poses and points are fitted in turn; the face stays symmetric, as wide as it was between the eyes
//! and turned as it was, since landmarks don't tell in which direction a face looks straight ahead.

use super::eyes::{self, EYEBALL_CM, PUPIL_LEAD_CM};
use super::face_model::{AVERAGE_FACE, EYE_DISTANCE_CM, pose_weight};
use super::front::Front;
use super::pose::{Camera, Pose, cholesky, solve};
use super::rotation::Rotation;
use super::{Side, eyes::corners};
use crate::runtime::landmarks::{Landmark, WFLW_POINTS, WFLW98_MIRROR};

/// A face to learn from.
#[derive(Clone, Debug)]
pub struct Observation {
    pub landmarks: Vec<Landmark>,
    /// Width and height of the frame.
    pub size: (usize, usize),
    pub fov_deg: f32,
    /// True pitch, yaw and roll, where known.
    pub angles_deg: Option<[f32; 3]>,
}

/// What fits.
#[derive(Clone, Debug)]
pub struct Fit {
    pub average_face: [[f32; 3]; WFLW_POINTS],
    /// Mean distance of the inner landmarks from the projected points in percent of the eyes' distance, by the old face
    /// and by the new one.
    pub residual_percent: [f32; 2],
}

/// Faces of known pose count as much as this share of the others, however many there are.
const KNOWN_SHARE: f64 = 0.4;
const ROUNDS: usize = 10;
/// Pulls every point towards where it was, in faces seen without error.
const PULL: f64 = 30.0;
/// Landmarks that miss by more than this count less, in cm.
const HUBER_CM: f64 = 0.36;
/// The outline.
const OUTLINE: usize = 33;

/// Fits the average face.
pub fn fit(observations: &[Observation]) -> Fit {
    let known = observations.iter().filter(|o| o.angles_deg.is_some()).count().max(1) as f64;
    let known_weight = KNOWN_SHARE * (observations.len() as f64 - known).max(1.0) / known;
    let mut face = AVERAGE_FACE;
    let mut poses = vec![None; observations.len()];
    let mut residual_percent = [0.0; 2];
    for round in 0..=ROUNDS {
        let mut points = [PointSums::default(); WFLW_POINTS];
        let mut misses_cm = Vec::new();
        for (observation, pose) in observations.iter().zip(&mut poses) {
            let camera = Camera::of_frame(observation.size.0, observation.size.1, observation.fov_deg);
            *pose = observation.pose(&face, &camera, pose.as_ref());
            let Some(pose) = pose else { continue };
            let weight = observation.angles_deg.map_or(1.0, |_| known_weight);
            let yaw = pose.rotation.angles()[1];
            for (i, sums) in points.iter_mut().enumerate() {
                let miss_cm = sums.add(&observation.landmarks[i], face[i], pose, &camera, |miss_cm| {
                    // The far outline slides over the cheek.
                    let is_far = i < OUTLINE && f64::from(face[i][0]) * yaw < 0.0 && yaw.abs() > 0.35;
                    weight * (HUBER_CM / miss_cm).min(1.0) * if is_far { 0.1 } else { 1.0 }
                });
                if i >= OUTLINE && observation.angles_deg.is_none() {
                    misses_cm.push(miss_cm as f32);
                }
            }
        }
        let mean_cm = misses_cm.iter().sum::<f32>() / misses_cm.len().max(1) as f32;
        residual_percent[usize::from(round > 0)] = 100.0 * mean_cm / EYE_DISTANCE_CM;
        if round < ROUNDS {
            face =
                settled(std::array::from_fn(|i| points[i].moved(&points[WFLW98_MIRROR[i]], face[i], AVERAGE_FACE[i])));
        }
    }
    Fit { average_face: face, residual_percent }
}

impl Observation {
    fn pose(&self, face: &[[f32; 3]; WFLW_POINTS], camera: &Camera, last: Option<&Pose>) -> Option<Pose> {
        let pose = Pose::find(&self.landmarks, face, camera, last)?;
        let Some(angles_deg) = self.angles_deg else { return Some(pose) };
        let rotation = Rotation::from_angles(angles_deg.map(|angle| f64::from(angle).to_radians()));
        // With the rotation known, the translation is a linear problem.
        let (mut normal, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
        for (i, landmark) in self.landmarks.iter().enumerate() {
            let weight = f64::from(pose_weight(i).iter().sum::<f32>());
            let [x, y, z] = rotation.apply(face[i].map(f64::from));
            let [u, v] = camera.sight([f64::from(landmark.point.x), f64::from(landmark.point.y)]);
            for (row, side) in [([-1.0, 0.0, u], x + u * z), ([0.0, -1.0, v], v * z - y)] {
                for a in 0..3 {
                    right[a] += weight * row[a] * side;
                    for b in 0..3 {
                        normal[a][b] += weight * row[a] * row[b];
                    }
                }
            }
        }
        Some(Pose { rotation, translation_cm: solve(&cholesky(normal)?, right), ..pose })
    }
}

/// Least squares for the place of a point in three dimensions.
#[derive(Clone, Copy, Default)]
struct PointSums {
    normal: [[f64; 3]; 3],
    gradient: [f64; 3],
}

impl PointSums {
    /// Adds a landmark with the weight that its distance from the projected point gets; returns that distance in cm.
    fn add(
        &mut self,
        landmark: &Landmark,
        solid: [f32; 3],
        pose: &Pose,
        camera: &Camera,
        weight: impl Fn(f64) -> f64,
    ) -> f64 {
        let [px, py, pz] = pose.rotation.apply(solid.map(f64::from));
        let [tx, ty, tz] = pose.translation_cm;
        let (x, y, z) = ((px + tx) / (tz - pz), (ty - py) / (tz - pz), tz - pz);
        let [u, v] = camera.sight([f64::from(landmark.point.x), f64::from(landmark.point.y)]);
        let error = [(u - x) * tz, (v - y) * tz];
        let miss_cm = error[0].hypot(error[1]);
        let weight = weight(miss_cm) * f64::from(landmark.confidence);
        let rows = pose.rotation.rows();
        let right = std::array::from_fn(|a| (rows[0][a] + x * rows[2][a]) * tz / z);
        let down = std::array::from_fn(|a| (y * rows[2][a] - rows[1][a]) * tz / z);
        for (row, error) in [right, down].iter().zip(error) {
            let row: &[f64; 3] = row;
            for a in 0..3 {
                self.gradient[a] += weight * row[a] * error;
                for b in 0..3 {
                    self.normal[a][b] += weight * row[a] * row[b];
                }
            }
        }
        miss_cm
    }

    /// Where the point goes from `now`, alike with its mirrored point, pulled towards where it was at first.
    fn moved(&self, mirrored: &Self, now: [f32; 3], first: [f32; 3]) -> [f64; 3] {
        const FLIP: [f64; 3] = [-1.0, 1.0, 1.0];
        let mut normal = [[0.0; 3]; 3];
        let mut gradient = [0.0; 3];
        for a in 0..3 {
            gradient[a] = self.gradient[a] + FLIP[a] * mirrored.gradient[a] + PULL * f64::from(first[a] - now[a]);
            for b in 0..3 {
                normal[a][b] = self.normal[a][b] + FLIP[a] * mirrored.normal[a][b] * FLIP[b];
            }
            normal[a][a] += PULL;
        }
        let step = cholesky(normal).map_or([0.0; 3], |factor| solve(&factor, gradient));
        std::array::from_fn(|a| f64::from(now[a]) + step[a])
    }
}

/// The face made symmetric, as wide and turned as the one that is in use, with the pupils on the eyeballs.
fn settled(points: [[f64; 3]; WFLW_POINTS]) -> [[f32; 3]; WFLW_POINTS] {
    let symmetric: [[f64; 3]; WFLW_POINTS] = std::array::from_fn(|i| {
        let ([x, y, z], [mx, my, mz]) = (points[i], points[WFLW98_MIRROR[i]]);
        [0.5 * (x - mx), 0.5 * (y + my), 0.5 * (z + mz)]
    });
    let weight = |i: usize| if i < OUTLINE { 0.0 } else { f64::from(pose_weight(i).iter().sum::<f32>()) };
    let middle = |of: &dyn Fn(usize) -> [f64; 3]| {
        let total: f64 = (0..WFLW_POINTS).map(weight).sum();
        std::array::from_fn::<f64, 3, _>(|a| (0..WFLW_POINTS).map(|i| weight(i) * of(i)[a]).sum::<f64>() / total)
    };
    let (from, to) = (middle(&|i| symmetric[i]), middle(&|i| AVERAGE_FACE[i].map(f64::from)));
    let (mut sine, mut cosine) = (0.0, 0.0);
    for i in 0..WFLW_POINTS {
        let [y, z] = [1, 2].map(|a| symmetric[i][a] - from[a]);
        let [v, w] = [1, 2].map(|a| f64::from(AVERAGE_FACE[i][a]) - to[a]);
        sine += weight(i) * (y * w - z * v);
        cosine += weight(i) * (y * v + z * w);
    }
    let (sine, cosine) = sine.atan2(cosine).sin_cos();
    let scale = f64::from(EYE_DISTANCE_CM) / (symmetric[72][0] - symmetric[60][0]);
    let mut face = symmetric.map(|[x, y, z]| {
        let (y, z) = (y - from[1], z - from[2]);
        [scale * x, scale * (cosine * y - sine * z) + to[1], scale * (sine * y + cosine * z) + to[2]].map(|v| v as f32)
    });
    // People look into the camera, so that pupils seem to stand still while heads turn, as if they lay deep in the eye.
    for (side, pupil) in Side::BOTH.into_iter().zip([96, 97]) {
        let (a, b) = corners(side);
        face[pupil][2] = 0.5 * (face[a][2] + face[b][2]) + PUPIL_LEAD_CM;
    }
    face
}

/// The pupils of a face: of the right and the left eye how far they lie outwards and up from the middle of the eye
/// corners, in half eye widths, and the head's yaw in degrees. `None` without a pose, or for a pupil that is not sure.
pub fn pupils(observation: &Observation, face: &[[f32; 3]; WFLW_POINTS]) -> Option<([[f32; 2]; 2], f32)> {
    let camera = Camera::of_frame(observation.size.0, observation.size.1, observation.fov_deg);
    let pose = Pose::find(&observation.landmarks, face, &camera, None)?;
    let front = Front::new(&observation.landmarks, face, &pose, &camera)?;
    let [right, left] = Side::BOTH.map(|side| eyes::pupil(&front, &observation.landmarks, side));
    Some(([right?, left?], pose.rotation.angles()[1].to_degrees() as f32))
}

/// The gaze to the person's right of pupils that lie so far outwards, in degrees.
pub fn gaze_yaw_deg(outwards: [f32; 2]) -> f32 {
    /// Half the width of an eye.
    const HALF_WIDTH_CM: f32 = 1.3;
    let shift_cm = 0.5 * (outwards[0] - outwards[1]) * HALF_WIDTH_CM;
    (shift_cm / EYEBALL_CM).clamp(-1.0, 1.0).asin().to_degrees()
}
