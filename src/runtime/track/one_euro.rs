//! Smoothing of landmarks over time: the One Euro filter (Casiez, Roussel, Vogel, CHI 2012), a low-pass whose cutoff
//! rises with speed: steady at rest, prompt in motion.
//!
//! In and out: points in pixels of the frame. Speed is counted in face sizes a second, so that a face moves alike
//! whether it is near or far. A frame that is earlier than the one before starts anew, and so does a long gap; frames at
//! the same time count as [`SHORTEST_GAP_S`] apart.

use crate::runtime::geometry::{FrameSpace, Point};

/// The parameters of the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneEuro {
    /// Cutoff at rest, in Hz. Lower is steadier.
    pub min_cutoff_hz: f32,
    /// What a speed of one face size a second adds to the cutoff, in Hz. Higher follows motion sooner.
    pub cutoff_per_speed: f32,
    /// Cutoff of the speed itself, in Hz.
    pub speed_cutoff_hz: f32,
}

impl Default for OneEuro {
    fn default() -> Self {
        Self { min_cutoff_hz: 0.05, cutoff_per_speed: 80.0, speed_cutoff_hz: 1.0 }
    }
}

/// Nothing is known any more of where a point was so long ago, in seconds.
const LONGEST_GAP_S: f64 = 0.5;

/// Clocks can be coarser than frames are apart, in seconds.
const SHORTEST_GAP_S: f64 = 0.004;

/// One point's filter.
#[derive(Clone, Copy, Debug)]
struct State {
    raw: Point<FrameSpace>,
    smooth: Point<FrameSpace>,
    /// Face sizes a second.
    speed: [f32; 2],
}

/// The filters of a face's landmarks.
#[derive(Clone, Debug)]
pub(crate) struct Smoother {
    parameters: OneEuro,
    time_s: Option<f64>,
    states: Vec<State>,
}

impl Smoother {
    pub(crate) fn new(parameters: OneEuro) -> Self {
        Self { parameters, time_s: None, states: Vec::new() }
    }

    /// Forgets the past: the next points come out as they go in.
    pub(crate) fn reset(&mut self) {
        self.time_s = None;
    }

    /// Smooths `points` in place; `face_size` is the side of the face's box in pixels.
    pub(crate) fn smooth(&mut self, time_s: f64, face_size: f32, points: &mut [Point<FrameSpace>]) {
        let gap_s = self.time_s.map(|last| time_s - last);
        self.time_s = Some(time_s);
        let goes_on = gap_s.filter(|gap| (0.0..=LONGEST_GAP_S).contains(gap)).map(|gap| gap.max(SHORTEST_GAP_S));
        let (Some(gap_s), true) = (goes_on, self.states.len() == points.len()) else {
            self.states.clear();
            self.states.extend(points.iter().map(|&p| State { raw: p, smooth: p, speed: [0.0; 2] }));
            return;
        };
        let gap_s = gap_s as f32;
        let OneEuro { min_cutoff_hz, cutoff_per_speed, speed_cutoff_hz } = self.parameters;
        let speed_gain = gain(speed_cutoff_hz, gap_s);
        let per_pixel = 1.0 / (face_size.max(1.0) * gap_s);
        for (state, point) in self.states.iter_mut().zip(points) {
            let raw_speed = [(point.x - state.raw.x) * per_pixel, (point.y - state.raw.y) * per_pixel];
            for (speed, raw) in state.speed.iter_mut().zip(raw_speed) {
                *speed += speed_gain * (raw - *speed);
            }
            let cutoff_hz = min_cutoff_hz + cutoff_per_speed * state.speed[0].hypot(state.speed[1]);
            let gain = gain(cutoff_hz, gap_s);
            state.smooth.x += gain * (point.x - state.smooth.x);
            state.smooth.y += gain * (point.y - state.smooth.y);
            state.raw = *point;
            *point = state.smooth;
        }
    }
}

/// How far a first-order low-pass of this cutoff goes towards its input in one step.
fn gain(cutoff_hz: f32, step_s: f32) -> f32 {
    let turn = std::f32::consts::TAU * cutoff_hz * step_s;
    turn / (turn + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    const FACE_SIZE: f32 = 200.0;
    const STEP_S: f64 = 1.0 / 30.0;

    /// Noise as it is left on the landmarks of a still face: 0.3 % of the face's size, each coordinate, uniform.
    fn noise(rng: &mut rand_chacha::ChaCha8Rng) -> f32 {
        rng.random_range(-1.0..1.0) * 3.0_f32.sqrt() * 0.003 * FACE_SIZE
    }

    /// Smooths a path of one point, in pixels along x.
    fn smoothed(path: impl Iterator<Item = f32>) -> Vec<f32> {
        let mut smoother = Smoother::new(OneEuro::default());
        path.enumerate()
            .map(|(i, x)| {
                let mut points = [Point::new(x, 50.0)];
                smoother.smooth(i as f64 * STEP_S, FACE_SIZE, &mut points);
                points[0].x
            })
            .collect()
    }

    fn step_rms(path: &[f32]) -> f32 {
        let sum: f32 = path.windows(2).map(|w| (w[1] - w[0]).powi(2)).sum();
        (sum / (path.len() - 1) as f32).sqrt()
    }

    #[test]
    fn it_halves_the_jitter_at_rest_and_lags_less_than_a_frame_behind_a_moving_head() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let rest: Vec<f32> = (0..600).map(|_| 100.0 + noise(&mut rng)).collect();
        let jitter = step_rms(&smoothed(rest.iter().copied())[60..]) / step_rms(&rest[60..]);

        // One face size a second, after a rest.
        let ramp = |i: usize| (i as f32 - 30.0).max(0.0) * STEP_S as f32 * FACE_SIZE;
        let out = smoothed((0..90).map(ramp));
        let speed = STEP_S as f32 * FACE_SIZE;
        let lag_ms = (ramp(89) - out[89]) / speed * STEP_S as f32 * 1000.0;
        println!("jitter {jitter:.2} of the input's, lag {lag_ms:.1} ms at one face size a second");
        assert!(jitter < 0.5, "jitter {jitter} of the input's");
        assert!(lag_ms < 10.0, "lag {lag_ms} ms");
    }

    #[test]
    fn a_jump_is_half_followed_within_two_frames() {
        let out = smoothed((0..60).map(|i| if i < 30 { 0.0 } else { 0.1 * FACE_SIZE }));
        assert!(out[31] > 0.05 * FACE_SIZE, "{:?}", &out[28..36]);
    }

    #[test]
    fn it_moves_near_and_far_faces_alike() {
        let path = |size: f32| {
            let mut smoother = Smoother::new(OneEuro::default());
            let mut points = [Point::new(0.0, 0.0)];
            for i in 0..20 {
                points = [Point::new(size * 0.01 * (i as f32).sin(), size * 0.02 * i as f32)];
                smoother.smooth(f64::from(i) * STEP_S, size, &mut points);
            }
            Point::<FrameSpace>::new(points[0].x / size, points[0].y / size)
        };
        assert!(path(50.0).distance(path(500.0)) < 1e-5);
    }

    #[test]
    fn time_that_runs_back_or_jumps_starts_anew() {
        for time_s in [0.5, 9.0, f64::NAN] {
            let mut smoother = Smoother::new(OneEuro::default());
            smoother.smooth(1.0, FACE_SIZE, &mut [Point::new(0.0, 0.0)]);
            let mut points = [Point::new(7.0, 3.0)];
            smoother.smooth(time_s, FACE_SIZE, &mut points);
            assert_eq!(points, [Point::new(7.0, 3.0)], "at {time_s}");
        }
    }

    #[test]
    fn time_that_stands_still_does_not() {
        let after = |time_s: f64| {
            let mut smoother = Smoother::new(OneEuro::default());
            smoother.smooth(1.0, FACE_SIZE, &mut [Point::new(0.0, 0.0)]);
            let mut points = [Point::new(0.5, 0.0)];
            smoother.smooth(time_s, FACE_SIZE, &mut points);
            points[0].x
        };
        assert!(after(1.0) < 0.45 && (after(1.0) - after(1.0 + SHORTEST_GAP_S)).abs() < 1e-6, "{}", after(1.0));
    }

    #[test]
    fn after_a_reset_points_come_out_as_they_go_in() {
        let mut smoother = Smoother::new(OneEuro::default());
        smoother.smooth(0.0, FACE_SIZE, &mut [Point::new(0.0, 0.0)]);
        smoother.reset();
        let mut points = [Point::new(7.0, 3.0)];
        smoother.smooth(STEP_S, FACE_SIZE, &mut points);
        assert_eq!(points, [Point::new(7.0, 3.0)]);
    }
}
