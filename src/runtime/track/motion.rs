//! The expected position of a face: position and velocity from past sightings, by a fading-memory filter (critically
//! damped g-h filter). It tells which of two tracks on one face does not belong there, and where a lost face may come
//! back. Positions in pixels of the frame, times in seconds.

use crate::runtime::geometry::{FrameSpace, Point};

/// Time constant of the memory, in seconds: longer than a face stays half-hidden when two people pass each other,
/// shorter than a head keeps its direction.
const MEMORY_S: f32 = 0.2;
/// How long a lost face is assumed to keep its velocity, in seconds.
const COASTING_S: f32 = 0.5;

/// The motion of a face.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Motion {
    position: Point<FrameSpace>,
    /// Pixels per second.
    velocity: [f32; 2],
}

impl Motion {
    pub(crate) fn at_rest(position: Point<FrameSpace>) -> Self {
        Self { position, velocity: [0.0; 2] }
    }

    /// Updates the filter with a sighting `step_s` after the last one. Returns its distance from the expected position,
    /// in pixels.
    pub(crate) fn see(&mut self, seen: Point<FrameSpace>, step_s: f32) -> f32 {
        if step_s.is_nan() || step_s <= 0.0 {
            let surprise = self.position.distance(seen);
            self.position = seen;
            return surprise;
        }
        let expected = self.expected(step_s);
        let fading = (-step_s / MEMORY_S).exp();
        let (gain, velocity_gain) = (1.0 - fading * fading, (1.0 - fading).powi(2) / step_s);
        let (dx, dy) = (seen.x - expected.x, seen.y - expected.y);
        self.position = Point::new(expected.x + gain * dx, expected.y + gain * dy);
        self.velocity = [self.velocity[0] + velocity_gain * dx, self.velocity[1] + velocity_gain * dy];
        dx.hypot(dy)
    }

    /// The expected position `after_s` after the last sighting.
    pub(crate) fn expected(&self, after_s: f32) -> Point<FrameSpace> {
        let coasting_s = after_s.clamp(0.0, COASTING_S);
        Point::new(self.position.x + coasting_s * self.velocity[0], self.position.y + coasting_s * self.velocity[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_S: f32 = 1.0 / 30.0;

    fn walking() -> Motion {
        let mut motion = Motion::at_rest(Point::new(0.0, 50.0));
        for i in 1..60 {
            motion.see(Point::new(3.0 * i as f32, 50.0), STEP_S);
        }
        motion
    }

    #[test]
    fn steady_motion_is_expected_and_extrapolated_for_a_while() {
        let mut motion = walking();
        assert!(motion.see(Point::new(180.0, 50.0), STEP_S) < 0.5);
        assert!(motion.expected(0.3).distance(Point::new(207.0, 50.0)) < 2.0);
        assert_eq!(motion.expected(0.5), motion.expected(60.0));
    }

    #[test]
    fn turning_round_is_a_large_surprise() {
        let mut motion = walking();
        let surprise = (1..8).map(|i| motion.see(Point::new(177.0 - 3.0 * i as f32, 50.0), STEP_S)).last().unwrap();
        assert!(surprise > 6.0, "{surprise}");
    }

    #[test]
    fn a_repeated_time_stamp_updates_the_position_only() {
        let mut motion = Motion::at_rest(Point::new(0.0, 0.0));
        for step_s in [0.0, -1.0, f32::NAN] {
            motion.see(Point::new(5.0, 0.0), step_s);
            assert_eq!(motion.expected(1.0), Point::new(5.0, 0.0));
        }
    }
}
