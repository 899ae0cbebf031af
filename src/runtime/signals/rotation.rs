//! Rotations of the head, in a frame with x to the right in the picture, y up and z towards the viewer.
//!
//! Angles follow AFLW2000 (Zhu et al., CVPR 2016): `Q = Rx(pitch) Ry(yaw) Rz(roll)`, where pitch is positive with the
//! nose up, yaw with the nose towards the person's right, roll clockwise in the picture.

/// A rotation matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rotation([[f64; 3]; 3]);

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

impl Rotation {
    pub const IDENTITY: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// Rows that are unit vectors at right angles.
    pub fn from_rows(rows: [[f64; 3]; 3]) -> Self {
        Self(rows)
    }

    pub fn rows(&self) -> [[f64; 3]; 3] {
        self.0
    }

    /// About the vector's direction by its length in radians.
    pub fn from_vector(v: [f64; 3]) -> Self {
        let half = 0.5 * dot(v, v).sqrt();
        let share = if half < 1e-9 { 0.5 } else { half.sin() / (2.0 * half) };
        Self::from_quaternion([v[0] * share, v[1] * share, v[2] * share, half.cos()])
    }

    /// From a quaternion (x, y, z, w) that need not have length 1.
    pub fn from_quaternion(q: [f64; 4]) -> Self {
        let length = q.iter().map(|v| v * v).sum::<f64>().sqrt();
        let [x, y, z, w] = q.map(|v| v / length);
        Self([
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ])
    }

    /// The unit quaternion (x, y, z, w), with w at least 0.
    pub fn quaternion(&self) -> [f64; 4] {
        let m = &self.0;
        let trace = m[0][0] + m[1][1] + m[2][2];
        let q = if trace > 0.0 {
            let s = 2.0 * (trace + 1.0).sqrt();
            [(m[2][1] - m[1][2]) / s, (m[0][2] - m[2][0]) / s, (m[1][0] - m[0][1]) / s, 0.25 * s]
        } else {
            // The largest of the diagonal, and the two after it.
            let i = if m[0][0] > m[1][1] && m[0][0] > m[2][2] {
                0
            } else if m[1][1] > m[2][2] {
                1
            } else {
                2
            };
            let (j, k) = ((i + 1) % 3, (i + 2) % 3);
            let s = 2.0 * (1.0 + m[i][i] - m[j][j] - m[k][k]).max(0.0).sqrt();
            let mut q = [0.0; 4];
            q[i] = 0.25 * s;
            q[j] = (m[j][i] + m[i][j]) / s;
            q[k] = (m[k][i] + m[i][k]) / s;
            q[3] = (m[k][j] - m[j][k]) / s;
            q
        };
        if q[3] < 0.0 { q.map(|v| -v) } else { q }
    }

    /// From pitch, yaw and roll in radians.
    #[cfg(any(test, feature = "internals"))]
    pub fn from_angles([pitch, yaw, roll]: [f64; 3]) -> Self {
        let ((sp, cp), (sy, cy), (sr, cr)) = (pitch.sin_cos(), yaw.sin_cos(), roll.sin_cos());
        let x = Self([[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]]);
        let y = Self([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]]);
        let z = Self([[cr, sr, 0.0], [-sr, cr, 0.0], [0.0, 0.0, 1.0]]);
        x.after(&y).after(&z)
    }

    /// Pitch, yaw and roll in radians.
    pub fn angles(&self) -> [f64; 3] {
        let m = &self.0;
        [m[1][2].atan2(m[2][2]), (-m[0][2]).clamp(-1.0, 1.0).asin(), m[0][1].atan2(m[0][0])]
    }

    pub fn inverse(&self) -> Self {
        let m = &self.0;
        Self(std::array::from_fn(|i| std::array::from_fn(|j| m[j][i])))
    }

    /// This rotation after `first`.
    pub fn after(&self, first: &Self) -> Self {
        let columns = first.inverse().0;
        Self(self.0.map(|row| columns.map(|column| dot(row, column))))
    }

    pub fn apply(&self, v: [f64; 3]) -> [f64; 3] {
        self.0.map(|row| dot(row, v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Angles in degrees (pitch, yaw, roll) and the quaternion that AFLW2000's definition gives for them.
    const REFERENCE: [([f64; 3], [f64; 4]); 5] = [
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]),
        ([20.0, 0.0, 0.0], [-0.1736, 0.0, 0.0, 0.9848]),
        ([0.0, 20.0, 0.0], [0.0, -0.1736, 0.0, 0.9848]),
        ([0.0, 0.0, 20.0], [0.0, 0.0, -0.1736, 0.9848]),
        ([-10.0, 30.0, 15.0], [0.1171, -0.2446, -0.1480, 0.9511]),
    ];

    #[test]
    fn angles_and_quaternions_follow_the_definition_of_aflw2000() {
        for (angles_deg, quaternion) in REFERENCE {
            let rotation = Rotation::from_angles(angles_deg.map(f64::to_radians));
            for (a, b) in rotation.quaternion().into_iter().zip(quaternion) {
                assert!((a - b).abs() < 6e-5, "{angles_deg:?}: {:?}", rotation.quaternion());
            }
            for (a, b) in rotation.angles().into_iter().zip(angles_deg) {
                assert!((a.to_degrees() - b).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn quaternions_survive_turns_beyond_a_half() {
        for angles_deg in [[170.0, 20.0, 5.0], [3.0, 80.0, 175.0], [10.0, -85.0, -160.0]] {
            let rotation = Rotation::from_angles(angles_deg.map(f64::to_radians));
            let back = Rotation::from_quaternion(rotation.quaternion());
            for (a, b) in rotation.rows().as_flattened().iter().zip(back.rows().as_flattened()) {
                assert!((a - b).abs() < 1e-9);
            }
        }
    }
}
