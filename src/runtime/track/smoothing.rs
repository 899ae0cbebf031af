//! Smoothing of landmarks over time with the One Euro filter (Casiez, Roussel, Vogel, CHI 2012): a low-pass whose
//! cutoff rises with speed, so that landmarks are steady at rest and prompt in motion.
//!
//! In and out: points in pixels of the frame. Speed is measured in face sizes per second, so that near and far faces
//! are smoothed alike. A frame earlier than the last one, or one after a long gap, resets the filter; frames with the
//! same time stamp count as [`SHORTEST_GAP_S`] apart.

use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::landmarks::Landmark;

/// The parameters of the filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Cutoff at rest, in Hz. Lower values are steadier.
    pub min_cutoff_hz: f32,
    /// Increase of the cutoff for each face size per second of speed, in Hz. Higher values follow motion sooner.
    pub cutoff_per_speed: f32,
    /// Cutoff for the speed itself, in Hz.
    pub speed_cutoff_hz: f32,
}

impl Default for Smoothing {
    fn default() -> Self {
        Self { min_cutoff_hz: 0.05, cutoff_per_speed: 80.0, speed_cutoff_hz: 1.0 }
    }
}

/// After a gap longer than this, in seconds, the old position says nothing any more.
const LONGEST_GAP_S: f64 = 0.5;

/// Minimum time between two frames, in seconds: a clock can be coarser than the frame interval.
const SHORTEST_GAP_S: f64 = 0.004;

/// The filter of one point.
#[derive(Clone, Copy, Debug)]
struct PointFilter {
    raw: Point<FrameSpace>,
    smooth: Point<FrameSpace>,
    /// Face sizes per second.
    speed: [f32; 2],
}

/// The filters of a face's landmarks.
#[derive(Clone, Debug)]
pub(crate) struct Smoother {
    parameters: Smoothing,
    time_s: Option<f64>,
    filters: Vec<PointFilter>,
}

impl Smoother {
    pub(crate) fn new(parameters: Smoothing) -> Self {
        Self { parameters, time_s: None, filters: Vec::new() }
    }

    /// Forgets the past: the next points come out unchanged.
    pub(crate) fn reset(&mut self) {
        self.time_s = None;
    }

    /// Smooths the points of `landmarks` in place; `face_size` is the side of the face's box in pixels.
    pub(crate) fn smooth(&mut self, time_s: f64, face_size: f32, landmarks: &mut [Landmark]) {
        let gap_s = self.time_s.map(|last| time_s - last);
        self.time_s = Some(time_s);
        let goes_on = gap_s.filter(|gap| (0.0..=LONGEST_GAP_S).contains(gap)).map(|gap| gap.max(SHORTEST_GAP_S));
        let (Some(gap_s), true) = (goes_on, self.filters.len() == landmarks.len()) else {
            self.filters.clear();
            let start = |l: &Landmark| PointFilter { raw: l.point, smooth: l.point, speed: [0.0; 2] };
            self.filters.extend(landmarks.iter().map(start));
            return;
        };
        let gap_s = gap_s as f32;
        let Smoothing { min_cutoff_hz, cutoff_per_speed, speed_cutoff_hz } = self.parameters;
        let speed_gain = gain(speed_cutoff_hz, gap_s);
        let per_pixel = 1.0 / (face_size.max(1.0) * gap_s);
        for (filter, landmark) in self.filters.iter_mut().zip(landmarks) {
            let point = landmark.point;
            let raw_speed = [(point.x - filter.raw.x) * per_pixel, (point.y - filter.raw.y) * per_pixel];
            for (speed, raw) in filter.speed.iter_mut().zip(raw_speed) {
                *speed += speed_gain * (raw - *speed);
            }
            let cutoff_hz = min_cutoff_hz + cutoff_per_speed * filter.speed[0].hypot(filter.speed[1]);
            let gain = gain(cutoff_hz, gap_s);
            filter.smooth.x += gain * (point.x - filter.smooth.x);
            filter.smooth.y += gain * (point.y - filter.smooth.y);
            filter.raw = point;
            landmark.point = filter.smooth;
        }
    }
}

/// Step response of a first-order low-pass: the share of the way from its output to its input that it covers in one
/// step: from 0 for a cutoff that is negative or not a number to 1 for an infinite one.
fn gain(cutoff_hz: f32, step_s: f32) -> f32 {
    let turn = (std::f32::consts::TAU * cutoff_hz * step_s).max(0.0);
    if turn.is_infinite() { 1.0 } else { turn / (turn + 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn every_cutoff_gives_a_share_of_the_way() {
        for cutoff_hz in [f32::INFINITY, f32::MAX] {
            assert_eq!(gain(cutoff_hz, 0.03), 1.0);
        }
        for cutoff_hz in [f32::NAN, f32::NEG_INFINITY, -6.0, 0.0] {
            assert_eq!(gain(cutoff_hz, 0.03), 0.0);
        }
    }

    const FACE_SIZE: f32 = 200.0;
    const STEP_S: f64 = 1.0 / 30.0;

    /// The noise of the landmarks of a still face: 0.3 % of the face's size in each coordinate, uniform.
    fn noise(rng: &mut rand_chacha::ChaCha8Rng) -> f32 {
        rng.random_range(-1.0..1.0) * 3.0_f32.sqrt() * 0.003 * FACE_SIZE
    }

    fn at(x: f32, y: f32) -> Landmark {
        Landmark { point: Point::new(x, y), confidence: 1.0 }
    }

    /// Smooths the path of one point, in pixels along x.
    fn smoothed(path: impl Iterator<Item = f32>) -> Vec<f32> {
        let mut smoother = Smoother::new(Smoothing::default());
        path.enumerate()
            .map(|(i, x)| {
                let mut points = [at(x, 50.0)];
                smoother.smooth(i as f64 * STEP_S, FACE_SIZE, &mut points);
                points[0].point.x
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

        // One face size per second, from rest.
        let ramp = |i: usize| (i as f32 - 30.0).max(0.0) * STEP_S as f32 * FACE_SIZE;
        let out = smoothed((0..90).map(ramp));
        let speed = STEP_S as f32 * FACE_SIZE;
        let lag_ms = (ramp(89) - out[89]) / speed * STEP_S as f32 * 1000.0;
        println!("jitter {jitter:.2} times the input's, lag {lag_ms:.1} ms at one face size per second");
        assert!(jitter < 0.5, "jitter {jitter} times the input's");
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
            let mut smoother = Smoother::new(Smoothing::default());
            let mut points = [at(0.0, 0.0)];
            for i in 0..20 {
                points = [at(size * 0.01 * (i as f32).sin(), size * 0.02 * i as f32)];
                smoother.smooth(f64::from(i) * STEP_S, size, &mut points);
            }
            Point::<FrameSpace>::new(points[0].point.x / size, points[0].point.y / size)
        };
        assert!(path(50.0).distance(path(500.0)) < 1e-5);
    }

    #[test]
    fn a_time_stamp_that_goes_back_or_jumps_resets_the_filter() {
        for time_s in [0.5, 9.0, f64::NAN] {
            let mut smoother = Smoother::new(Smoothing::default());
            smoother.smooth(1.0, FACE_SIZE, &mut [at(0.0, 0.0)]);
            let mut points = [at(7.0, 3.0)];
            smoother.smooth(time_s, FACE_SIZE, &mut points);
            assert_eq!(points, [at(7.0, 3.0)], "at {time_s}");
        }
    }

    #[test]
    fn a_repeated_time_stamp_does_not_reset_the_filter() {
        let after = |time_s: f64| {
            let mut smoother = Smoother::new(Smoothing::default());
            smoother.smooth(1.0, FACE_SIZE, &mut [at(0.0, 0.0)]);
            let mut points = [at(0.5, 0.0)];
            smoother.smooth(time_s, FACE_SIZE, &mut points);
            points[0].point.x
        };
        assert!(after(1.0) < 0.45 && (after(1.0) - after(1.0 + SHORTEST_GAP_S)).abs() < 1e-6, "{}", after(1.0));
    }

    #[test]
    fn after_a_reset_points_are_unchanged() {
        let mut smoother = Smoother::new(Smoothing::default());
        smoother.smooth(0.0, FACE_SIZE, &mut [at(0.0, 0.0)]);
        smoother.reset();
        let mut points = [at(7.0, 3.0)];
        smoother.smooth(STEP_S, FACE_SIZE, &mut points);
        assert_eq!(points, [at(7.0, 3.0)]);
    }
}
