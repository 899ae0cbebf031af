//! Procedural faces with exact landmarks, so that the demo, tests and benches need no outside data.
//!
//! A [`Scene`] draws moving, blinking, talking faces into a frame and returns their 98 landmarks in pixels of the
//! frame. The same seed and time give the same picture.

mod face;
mod head;
mod paint;
mod samples;

pub use samples::{DATASET, portraits};

use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::image::Frame;
use crate::runtime::landmarks::WFLW_POINTS;
use head::{Expression, Head, Identity};
use paint::Painter;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// People in front of a wall.
#[derive(Clone, Debug)]
pub struct Scene {
    people: Vec<Person>,
}

#[derive(Clone, Debug)]
struct Person {
    identity: Identity,
    /// Horizontal position in the picture, 0..=1.
    place: f32,
    /// Half the width of the face, relative to the picture's shorter side.
    size: f32,
    /// Keeps people from moving in step.
    phase: f32,
}

impl Scene {
    /// The demo: `faces` people (at least one) side by side.
    pub fn demo(seed: u64, faces: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = faces.max(1);
        let people = (0..count).map(|i| Person {
            identity: Identity::random(&mut rng),
            place: (i as f32 + 0.5) / count as f32,
            size: (0.215 / (count as f32).sqrt()) * rng.random_range(0.95..1.05),
            phase: i as f32 * 2.1 + rng.random_range(0.0..0.5),
        });
        Self { people: people.collect() }
    }

    /// Draws the scene at `time_s` to fit the frame's size, and returns the landmarks of each face.
    pub fn draw(&self, time_s: f64, frame: &mut Frame) -> Vec<[Point<FrameSpace>; WFLW_POINTS]> {
        let Some(mut painter) = Painter::new(frame.width(), frame.height()) else { return Vec::new() };
        painter.wall();
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        let shorter = width.min(height);
        let landmarks = self.people.iter().map(|person| {
            let t = time_s as f32 + 7.0 * person.phase;
            let scale = person.size * shorter * (1.0 + 0.05 * (0.31 * t).sin());
            let head = Head {
                center: (
                    width * person.place + 0.14 * shorter * person.size * 4.0 * (0.43 * t).sin(),
                    0.46 * height + 0.03 * shorter * (0.57 * t).sin(),
                ),
                scale,
                yaw_rad: 0.34 * (0.53 * t).sin(),
                pitch_rad: 0.13 * (0.71 * t + 1.0).sin(),
                roll_rad: 0.16 * (0.37 * t + 0.5).sin(),
            };
            face::draw(&mut painter, &person.identity, &head, &Expression::at(t))
        });
        let landmarks = landmarks.collect();
        painter.copy_to(frame);
        landmarks
    }
}

/// Draws a person in any pose up to a half profile, with any expression, as large as the frame; returns the landmarks.
/// Equal generators give equal pictures.
fn any_face(rng: &mut ChaCha8Rng, frame: &mut Frame) -> Option<[Point<FrameSpace>; WFLW_POINTS]> {
    let mut painter = Painter::new(frame.width(), frame.height())?;
    painter.wall();
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let mut turned = |most_deg: f32| rng.random_range(-most_deg..most_deg).to_radians();
    let head = Head {
        center: (0.5 * width, 0.46 * height),
        scale: 0.29 * width.min(height),
        yaw_rad: turned(50.0),
        pitch_rad: turned(22.0),
        roll_rad: turned(15.0),
    };
    let (identity, expression) = (Identity::random(rng), Expression::random(rng));
    let landmarks = face::draw(&mut painter, &identity, &head, &expression);
    painter.copy_to(frame);
    Some(landmarks)
}

/// A person in a chosen pose, for measurements of signals. Angles as in AFLW2000, see [`HeadPose`](crate::HeadPose).
#[cfg(feature = "internals")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Portrait {
    /// Decides over features and colours.
    pub seed: u64,
    /// Turn to the viewer's right, downwards and clockwise, in degrees, one after the other.
    pub turns_deg: [f32; 3],
    /// 0 shut, 1 open.
    pub eyes: f32,
    /// To the viewer's right, -1..=1: the pupils move by [`Portrait::PUPIL_TURN_DEG`] at most.
    pub gaze: f32,
}

#[cfg(feature = "internals")]
impl Portrait {
    /// The turn of an eyeball of 1.2 cm radius that moves the pupil as far as a gaze of 1 does, in degrees.
    pub const PUPIL_TURN_DEG: f32 = 19.7;

    /// Draws the portrait to fit the frame's size. Returns the landmarks, and pitch, yaw and roll in degrees.
    pub fn draw(&self, frame: &mut Frame) -> Option<([Point<FrameSpace>; WFLW_POINTS], [f32; 3])> {
        let mut painter = Painter::new(frame.width(), frame.height())?;
        painter.wall();
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        let [yaw_rad, pitch_rad, roll_rad] = self.turns_deg.map(f32::to_radians);
        let head = Head {
            center: (0.5 * width, 0.46 * height),
            scale: 0.215 * width.min(height),
            yaw_rad,
            pitch_rad,
            roll_rad,
        };
        let identity = Identity::random(&mut ChaCha8Rng::seed_from_u64(self.seed));
        let expression = Expression { eyes: self.eyes, gaze: self.gaze, ..Expression::CALM };
        let landmarks = face::draw(&mut painter, &identity, &head, &expression);
        painter.copy_to(frame);
        Some((landmarks, head.angles_deg()))
    }
}

/// Draws a face that looks straight ahead, with open eyes and parted lips, as large as the frame; returns its
/// landmarks.
#[cfg(feature = "program")]
pub fn front_view(frame: &mut Frame) -> Option<[Point<FrameSpace>; WFLW_POINTS]> {
    /// A person whose features contrast.
    const SEED: u64 = 3;
    let mut painter = Painter::new(frame.width(), frame.height())?;
    painter.wall();
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let (center, scale) = ((0.5 * width, 0.44 * height), 0.31 * width.min(height));
    let head = Head { center, scale, yaw_rad: 0.0, pitch_rad: 0.0, roll_rad: 0.0 };
    let identity = Identity::random(&mut ChaCha8Rng::seed_from_u64(SEED));
    let expression = Expression { mouth: 0.7, ..Expression::CALM };
    let landmarks = face::draw(&mut painter, &identity, &head, &expression);
    painter.copy_to(frame);
    Some(landmarks)
}

/// The 98 landmarks of an average face that looks straight ahead, calm and with open eyes. The unit is half its width.
pub fn frontal_face() -> [Point<FrameSpace>; WFLW_POINTS] {
    let head = Head { center: (0.0, 0.0), scale: 1.0, yaw_rad: 0.0, pitch_rad: 0.0, roll_rad: 0.0 };
    head::solid(&Identity::average(), &Expression::CALM).map(|solid| {
        let (x, y) = head.project(solid);
        Point::new(x, y)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Rect;

    #[test]
    fn the_same_time_is_the_same_picture() {
        let scene = Scene::demo(1, 2);
        let (mut a, mut b) = (Frame::filled(320, 240, [0; 3]), Frame::filled(320, 240, [9; 3]));
        assert_eq!(scene.draw(3.3, &mut a), scene.draw(3.3, &mut b));
        assert_eq!(a, b);
        scene.draw(4.0, &mut b);
        assert_ne!(a, b);
    }

    #[test]
    fn open_eyes_are_dark_at_the_pupils_and_the_face_is_lighter_than_them() {
        let scene = Scene::demo(1, 1);
        let mut frame = Frame::filled(640, 480, [0; 3]);
        let mut open = 0;
        for i in 0..10 {
            let landmarks = scene.draw(f64::from(i) * 0.9, &mut frame)[0];
            let shade = |p: Point<FrameSpace>| {
                let at = (p.y.round() as usize * 640 + p.x.round() as usize) * 3;
                frame.rgb()[at..at + 3].iter().map(|v| u32::from(*v)).sum::<u32>()
            };
            let lids = landmarks[62].distance(landmarks[66]);
            if lids > 0.2 * landmarks[60].distance(landmarks[64]) {
                open += 1;
                // Between nose and cheek there is only skin.
                let cheek = landmarks[57].midpoint(landmarks[66]);
                for pupil in [96, 97] {
                    assert!(shade(landmarks[pupil]) + 100 < shade(cheek), "at {i}");
                }
            }
        }
        assert!(open >= 5);
    }

    #[cfg(feature = "internals")]
    #[test]
    fn signals_of_exact_landmarks_tell_pose_and_gaze() {
        use crate::runtime::landmarks::Landmark;
        use crate::{Face, SignalMeter};
        let mut frame = Frame::filled(640, 480, [0; 3]);
        let mut signals = |portrait: Portrait| {
            let (points, truth_deg) = portrait.draw(&mut frame).unwrap();
            let landmarks: Vec<_> = points.map(|point| Landmark { point, confidence: 0.95 }).to_vec();
            let face = Face { id: 1, score: 0.9, rect: Rect::around(points).unwrap(), landmarks };
            let mut meter = SignalMeter::new();
            // The camera at eight face widths.
            meter.set_fov(45.0);
            (meter.measure_faces(&[face], &[], 640, 480, 0.0)[0].clone(), truth_deg)
        };
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let mut errors = [const { Vec::new() }; 4];
        for seed in 0..20 {
            for yaw in [-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0] {
                for (pitch, roll) in [(0.0, 0.0), (12.0, 0.0), (-12.0, 15.0)] {
                    let (signals, truth_deg) =
                        signals(Portrait { seed, turns_deg: [yaw, pitch, roll], eyes: 1.0, gaze: 0.0 });
                    let head = signals.head.unwrap();
                    let seen = [head.pitch_deg, head.yaw_deg, head.roll_deg];
                    (0..3).for_each(|i| errors[i].push((seen[i] - truth_deg[i]).abs()));
                }
            }
            for yaw in [-30.0, -15.0, 0.0, 15.0, 30.0] {
                for gaze in [-1.0, -0.5, 0.0, 0.5, 1.0] {
                    let (signals, _) = signals(Portrait { seed, turns_deg: [yaw, 0.0, 0.0], eyes: 1.0, gaze });
                    errors[3].push((signals.gaze_yaw_deg.unwrap() + gaze * Portrait::PUPIL_TURN_DEG).abs());
                }
            }
        }
        let [pitch, yaw, roll, gaze] = errors.each_ref().map(|errors| mean(errors));
        println!(
            "exact landmarks: pitch {pitch:.2}, yaw {yaw:.2}, roll {roll:.2}, gaze {gaze:.2} degrees off on average"
        );
        assert!(pitch < 2.0 && yaw < 1.0 && roll < 1.0 && gaze < 3.0, "{pitch}, {yaw}, {roll}, {gaze}");
    }

    #[test]
    fn every_landmark_of_the_demo_lies_in_the_frame_and_in_its_place() {
        let scene = Scene::demo(7, 2);
        let mut frame = Frame::filled(640, 480, [0; 3]);
        for i in 0..40 {
            for face in scene.draw(f64::from(i) * 0.5, &mut frame) {
                let all = Rect::around(face).unwrap();
                assert!(all.x > 0.0 && all.y > 0.0 && all.x + all.width < 640.0 && all.y + all.height < 480.0);
                assert!(face[60].x < face[64].x && face[64].x < face[68].x && face[68].x < face[72].x);
                assert!(face[16].y > face[85].y && face[85].y > face[57].y && face[57].y > face[51].y);
            }
        }
    }
}
