//! The face turned to the front: its landmarks in the plane of the picture as if the head faced the camera, with the
//! expression but without the pose.
//!
//! In: landmarks in pixels, a pose. Out: points of head space in cm (x right in the picture, y up). Each landmark is
//! put back along its line of sight to the depth that the average face has there.

use super::pose::{Camera, Pose};
use crate::runtime::landmarks::{Landmark, WFLW_POINTS};

/// Landmarks in head space.
#[derive(Clone, Debug)]
pub(super) struct Front {
    /// In cm.
    pub points: [[f32; 2]; WFLW_POINTS],
    /// The camera in head space, in cm.
    pub camera_cm: [f32; 3],
}

impl Front {
    /// `None` if the face is seen from the side, where small errors in the picture become large ones in depth.
    pub fn new(landmarks: &[Landmark], face: &[[f32; 3]; WFLW_POINTS], pose: &Pose, camera: &Camera) -> Option<Self> {
        let mut points = [[0.0; 2]; WFLW_POINTS];
        for ((to, landmark), solid) in points.iter_mut().zip(landmarks).zip(face) {
            let point_px = [f64::from(landmark.point.x), f64::from(landmark.point.y)];
            *to = pose.unproject(camera, point_px, f64::from(solid[2]))?.map(|v| v as f32);
        }
        let camera_cm = pose.camera_in_head().map(|v| v as f32);
        Some(Self { points, camera_cm })
    }

    /// How far the line of sight to a point at depth `z_cm` moves to the right and up for each centimetre towards the
    /// viewer.
    pub fn slope(&self, i: usize, z_cm: f32) -> [f32; 2] {
        let [x, y, z] = self.camera_cm;
        [(x - self.x(i)) / (z - z_cm), (y - self.y(i)) / (z - z_cm)]
    }

    pub fn x(&self, i: usize) -> f32 {
        self.points[i][0]
    }

    pub fn y(&self, i: usize) -> f32 {
        self.points[i][1]
    }

    /// The mean height of some points.
    pub fn mean_y(&self, indices: &[usize]) -> f32 {
        indices.iter().map(|&i| self.y(i)).sum::<f32>() / indices.len() as f32
    }

    pub fn distance(&self, (a, b): (usize, usize)) -> f32 {
        (self.x(a) - self.x(b)).hypot(self.y(a) - self.y(b))
    }

    /// Point `i` from the middle of `a` and `b`: along the line from `a` to `b`, and at a right angle to it upwards.
    pub fn offset(&self, i: usize, (a, b): (usize, usize)) -> [f32; 2] {
        let length = self.distance((a, b)).max(1e-6);
        let (ux, uy) = ((self.x(b) - self.x(a)) / length, (self.y(b) - self.y(a)) / length);
        let (dx, dy) = (self.x(i) - 0.5 * (self.x(a) + self.x(b)), self.y(i) - 0.5 * (self.y(a) + self.y(b)));
        [ux * dx + uy * dy, ux * dy - uy * dx]
    }
}
