//! The pose of a head from its landmarks: a perspective camera, weighted points, Levenberg-Marquardt with a Huber loss.
//!
//! In: landmarks in pixels of the frame with confidences, the face in head space (see `face_model`), the camera. Out:
//! the rotation and translation that project the face onto the landmarks. Head space has y up and z towards the viewer;
//! camera space has x right, y down, z forward; both in cm. A pose that doesn't explain the landmarks is `None`.
//! Nothing allocates.

use super::face_model::{EYE_DISTANCE_CM, pose_weight};
use super::rotation::{Rotation, cross, dot};
use crate::runtime::landmarks::{Landmark, WFLW_POINTS};

/// A pinhole camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Camera {
    /// In pixels.
    pub focal_px: f64,
    /// The principal point, in pixels of the frame.
    pub center_px: [f64; 2],
}

impl Camera {
    /// The camera of a frame of this size whose longer side spans `fov_deg`.
    pub fn of_frame(width: usize, height: usize, fov_deg: f32) -> Self {
        let longer = width.max(height) as f64;
        let focal_px = 0.5 * longer / f64::from(0.5 * fov_deg).to_radians().tan();
        Self { focal_px, center_px: [0.5 * (width as f64 - 1.0), 0.5 * (height as f64 - 1.0)] }
    }

    /// The line of sight to a pixel: right and down for each unit of depth.
    pub fn sight(&self, point_px: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|i| (point_px[i] - self.center_px[i]) / self.focal_px)
    }
}

/// Where a head is, and how it is turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    /// From head space to camera space, without the flip of y and z: the identity for a head that faces the camera.
    pub rotation: Rotation,
    /// The head's origin in camera space, in cm.
    pub translation_cm: [f64; 3],
    /// Standard deviation of the rotation about its worst axis, in radians, as the residuals suggest it.
    pub deviation_rad: f64,
    /// Root of the weighted mean squared distance of the projected points, over the distance of the eye corners.
    pub residual: f64,
}

/// Residuals beyond this share of the eye distance count linearly.
const HUBER: f64 = 0.04;
/// A pose that misses the landmarks by more than this share of the eye distance explains nothing.
const LARGEST_RESIDUAL: f64 = 0.2;
/// A pose that is taken over from the last frame and ends with more than this is also searched for from scratch.
const DOUBTFUL_RESIDUAL: f64 = 0.08;
/// Steps of the solver at most; from the last frame's pose three are usual.
const STEPS: usize = 30;
/// The relative gain at which the solver stops.
const LEAST_GAIN: f64 = 1e-6;

impl Pose {
    /// The length of a centimetre at the head, in pixels.
    pub fn px_per_cm(&self, camera: &Camera) -> f64 {
        camera.focal_px / self.translation_cm[2]
    }

    /// The camera's place in head space, in cm.
    pub fn camera_in_head(&self) -> [f64; 3] {
        let [x, y, z] = self.translation_cm;
        self.rotation.inverse().apply([-x, y, z])
    }

    /// The point of head space at depth `z_cm` that is seen at `point_px`; `None` if it is seen almost edge-on.
    pub fn unproject(&self, camera: &Camera, point_px: [f64; 2], z_cm: f64) -> Option<[f64; 2]> {
        /// The cosine between the line of sight and the head's axis: about 65 degrees.
        const LEAST_COSINE: f64 = 0.42;
        let [u, v] = camera.sight(point_px);
        let direction = self.rotation.inverse().apply([u, -v, -1.0]);
        let origin = self.camera_in_head();
        if -direction[2] < LEAST_COSINE * dot(direction, direction).sqrt() {
            return None;
        }
        let steps = (z_cm - origin[2]) / direction[2];
        Some([origin[0] + steps * direction[0], origin[1] + steps * direction[1]])
    }

    /// The pose that projects `face` onto `landmarks`, starting from the last frame's pose if there is one.
    pub fn find(
        landmarks: &[Landmark],
        face: &[[f32; 3]; WFLW_POINTS],
        camera: &Camera,
        last: Option<&Self>,
    ) -> Option<Self> {
        let problem = Problem::new(landmarks, face, camera)?;
        let followed = last.and_then(|last| problem.solve(last));
        if let Some(pose) = followed.filter(|pose| pose.residual < DOUBTFUL_RESIDUAL) {
            return Some(pose);
        }
        // A small frontal face fits almost as well with its turn mirrored.
        let starts = problem.weak_perspective().into_iter().flat_map(|start| [start, start.mirrored_in_depth()]);
        let found = starts.filter_map(|start| problem.solve(&start)).chain(followed);
        found.min_by(|a, b| a.residual.total_cmp(&b.residual)).filter(|pose| pose.residual < LARGEST_RESIDUAL)
    }

    /// The direction in the picture in which the head's height runs, turned by a quarter: the eyes' line, which stays
    /// seen when the head turns aside.
    fn axis(&self) -> [f64; 2] {
        let [x, y, _] = self.rotation.rows();
        let (right, up) = (x[1], y[1]);
        let length = right.hypot(up);
        if length > 1e-6 { [up / length, right / length] } else { [1.0, 0.0] }
    }

    /// The other pose with nearly the same picture in a distant camera.
    fn mirrored_in_depth(&self) -> Self {
        let [mut x, mut y, _] = self.rotation.rows();
        x[2] = -x[2];
        y[2] = -y[2];
        Self { rotation: Rotation::from_rows([x, y, cross(x, y)]), ..*self }
    }
}

/// Points to explain.
struct Problem<'a> {
    face: &'a [[f32; 3]; WFLW_POINTS],
    camera: &'a Camera,
    points_px: [[f64; 2]; WFLW_POINTS],
    /// Along the head's x axis in the picture, and across it.
    weights: [[f64; 2]; WFLW_POINTS],
    /// That axis: right and down, of length 1.
    axis: [f64; 2],
    /// The distance of the eye corners as it would be seen from the front, in pixels; residuals are relative to it.
    eye_distance_px: f64,
}

impl<'a> Problem<'a> {
    fn new(landmarks: &[Landmark], face: &'a [[f32; 3]; WFLW_POINTS], camera: &'a Camera) -> Option<Self> {
        if landmarks.len() != WFLW_POINTS || !landmarks.iter().all(|l| l.point.is_finite()) {
            return None;
        }
        let points_px = std::array::from_fn(|i| [f64::from(landmarks[i].point.x), f64::from(landmarks[i].point.y)]);
        let weights = std::array::from_fn(|i| {
            pose_weight(i).map(|weight| f64::from(weight * landmarks[i].confidence.clamp(0.02, 1.0)))
        });
        let mut problem = Self { face, camera, points_px, weights, axis: [1.0, 0.0], eye_distance_px: 0.0 };
        let start = problem.weak_perspective()?;
        problem.axis = start.axis();
        problem.eye_distance_px = start.px_per_cm(camera) * f64::from(EYE_DISTANCE_CM);
        (problem.eye_distance_px > 1.0).then_some(problem)
    }

    /// A vector of the picture, along the axis and across it.
    fn along_axis(&self, [right, down]: [f64; 2]) -> [f64; 2] {
        let [x, y] = self.axis;
        [x * right + y * down, x * down - y * right]
    }

    fn solid(&self, i: usize) -> [f64; 3] {
        self.face[i].map(f64::from)
    }

    /// The pose of a face in a distant camera: weighted least squares, then the nearest rotation.
    fn weak_perspective(&self) -> Option<Pose> {
        let mut normal = [[0.0; 4]; 4];
        let mut right = [[0.0; 4]; 2];
        for i in 0..WFLW_POINTS {
            let [x, y, z] = self.solid(i);
            let row = [x, y, z, 1.0];
            let weight = mean(self.weights[i]);
            for a in 0..4 {
                for b in 0..4 {
                    normal[a][b] += weight * row[a] * row[b];
                }
                right[0][a] += weight * row[a] * self.points_px[i][0];
                right[1][a] += weight * row[a] * self.points_px[i][1];
            }
        }
        let factor = cholesky(normal)?;
        let [u, v] = right.map(|side| solve(&factor, side));
        // Image y points down.
        let (a, b) = ([u[0], u[1], u[2]], [-v[0], -v[1], -v[2]]);
        let (la, lb) = (dot(a, a).sqrt(), dot(b, b).sqrt());
        if !(la > 1e-6 && lb > 1e-6) {
            return None;
        }
        let (a, b) = (a.map(|v| v / la), b.map(|v| v / lb));
        let sum: [f64; 3] = std::array::from_fn(|i| a[i] + b[i]);
        let difference: [f64; 3] = std::array::from_fn(|i| a[i] - b[i]);
        let (ls, ld) = (dot(sum, sum).sqrt(), dot(difference, difference).sqrt());
        if !(ls > 1e-6 && ld > 1e-6) {
            return None;
        }
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let x: [f64; 3] = std::array::from_fn(|i| half * (sum[i] / ls + difference[i] / ld));
        let y: [f64; 3] = std::array::from_fn(|i| half * (sum[i] / ls - difference[i] / ld));
        let depth = self.camera.focal_px / (0.5 * (la + lb));
        let translation_cm = [
            (u[3] - self.camera.center_px[0]) * depth / self.camera.focal_px,
            (v[3] - self.camera.center_px[1]) * depth / self.camera.focal_px,
            depth,
        ];
        let rotation = Rotation::from_rows([x, y, cross(x, y)]);
        Some(Pose { rotation, translation_cm, deviation_rad: 0.0, residual: f64::INFINITY })
    }

    fn solve(&self, start: &Pose) -> Option<Pose> {
        let mut pose = *start;
        let mut system = self.linearize(&pose)?;
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let mut damped = system.normal;
            for (i, row) in damped.iter_mut().enumerate() {
                row[i] *= 1.0 + damping;
            }
            let step = solve(&cholesky(damped)?, system.gradient);
            let moved = pose.moved(step);
            match self.linearize(&moved) {
                Some(next) if next.cost < system.cost => {
                    let gain = (system.cost - next.cost) / system.cost;
                    (pose, system) = (moved, next);
                    damping *= 0.2;
                    if gain < LEAST_GAIN {
                        break;
                    }
                }
                _ if damping > 1e3 => break,
                _ => damping *= 5.0,
            }
        }
        let weights: f64 = self.weights.iter().copied().map(mean).sum();
        let residual = (system.cost / weights).sqrt();
        // The variance of a residual of weight 1: there are two per point, and the pose explains six.
        let variance = system.cost / (2.0 * WFLW_POINTS as f64 - 6.0);
        let factor = cholesky(system.normal)?;
        let worst = (0..3).map(|axis| {
            let unit: [f64; 6] = std::array::from_fn(|i| f64::from(u8::from(i == axis)));
            solve(&factor, unit)[axis]
        });
        let deviation_rad = (variance * worst.fold(0.0, f64::max)).sqrt();
        (residual.is_finite() && deviation_rad.is_finite()).then_some(Pose { deviation_rad, residual, ..pose })
    }

    /// The normal equations about `pose`; `None` if a point comes behind the camera.
    fn linearize(&self, pose: &Pose) -> Option<System> {
        let mut system = System { normal: [[0.0; 6]; 6], gradient: [0.0; 6], cost: 0.0 };
        let scale = 1.0 / self.eye_distance_px;
        let focal = self.camera.focal_px * scale;
        for i in 0..WFLW_POINTS {
            let turned = pose.rotation.apply(self.solid(i));
            let [tx, ty, tz] = pose.translation_cm;
            let (x, y, z) = (turned[0] + tx, ty - turned[1], tz - turned[2]);
            if z < 1.0 {
                return None;
            }
            let error = self.along_axis([
                self.points_px[i][0] * scale - (focal * x / z + self.camera.center_px[0] * scale),
                self.points_px[i][1] * scale - (focal * y / z + self.camera.center_px[1] * scale),
            ]);
            let [along, across] = self.weights[i];
            let weight = mean(self.weights[i]);
            let squares = along * error[0] * error[0] + across * error[1] * error[1];
            let size = (squares / weight).sqrt();
            let (loss, share) =
                if size <= HUBER { (squares, 1.0) } else { (weight * HUBER * (2.0 * size - HUBER), HUBER / size) };
            system.cost += loss;
            // Derivatives by a turn about the axes of the picture (x right, y up, z towards the viewer), then by a
            // shift.
            let [px, py, pz] = turned;
            let (k, kx, ky) = (focal / z, focal * x / (z * z), focal * y / (z * z));
            let right = [kx * py, k * pz - kx * px, -k * py, k, 0.0, -kx];
            let down = [k * pz + ky * py, -ky * px, -k * px, 0.0, k, -ky];
            let turned: [[f64; 2]; 6] = std::array::from_fn(|a| self.along_axis([right[a], down[a]]));
            for (direction, weight) in [along, across].into_iter().enumerate() {
                let weight = weight * share;
                for a in 0..6 {
                    let weighted = weight * turned[a][direction];
                    system.gradient[a] += weighted * error[direction];
                    for (sum, other) in system.normal[a][..=a].iter_mut().zip(&turned) {
                        *sum += weighted * other[direction];
                    }
                }
            }
        }
        for a in 0..6 {
            for b in 0..a {
                system.normal[b][a] = system.normal[a][b];
            }
        }
        Some(system)
    }
}

impl Pose {
    /// Turned by the first three numbers (a rotation vector), shifted by the others.
    fn moved(&self, [a, b, c, x, y, z]: [f64; 6]) -> Self {
        let [tx, ty, tz] = self.translation_cm;
        let rotation = Rotation::from_vector([a, b, c]).after(&self.rotation);
        Self { rotation, translation_cm: [tx + x, ty + y, tz + z], ..*self }
    }
}

/// Least squares about a pose: turn and shift.
struct System {
    normal: [[f64; 6]; 6],
    gradient: [f64; 6],
    cost: f64,
}

fn mean([a, b]: [f64; 2]) -> f64 {
    0.5 * (a + b)
}

/// The lower triangular factor of a symmetric positive definite matrix.
pub(super) fn cholesky<const N: usize>(mut matrix: [[f64; N]; N]) -> Option<[[f64; N]; N]> {
    for i in 0..N {
        for j in 0..=i {
            let known: f64 = matrix[i].iter().zip(&matrix[j]).take(j).map(|(a, b)| a * b).sum();
            let sum = matrix[i][j] - known;
            if i == j {
                if sum.is_nan() || sum <= 1e-12 {
                    return None;
                }
                matrix[i][i] = sum.sqrt();
            } else {
                matrix[i][j] = sum / matrix[j][j];
            }
        }
    }
    Some(matrix)
}

/// Solves the system whose matrix has this factor.
pub(super) fn solve<const N: usize>(factor: &[[f64; N]; N], mut side: [f64; N]) -> [f64; N] {
    for i in 0..N {
        for k in 0..i {
            side[i] -= factor[i][k] * side[k];
        }
        side[i] /= factor[i][i];
    }
    for i in (0..N).rev() {
        for k in i + 1..N {
            side[i] -= factor[k][i] * side[k];
        }
        side[i] /= factor[i][i];
    }
    side
}
