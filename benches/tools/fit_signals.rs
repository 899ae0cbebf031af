//! Fits the constants of `src/runtime/signals` to the bundled landmark model, and prints them. Run it when the model
//! changes:
//!
//!     cargo run --release --example fit_signals -- faces/val.jsonl --held-out-of recipes/edge-98.toml \
//!         faces/train.jsonl faces/pseudo.jsonl
//!
//! In: data sets of faces; of those after `--held-out-of RECIPE` the faces that a training with this recipe does not
//! see. Out: the table of `face_model.rs` (paste it over the old one), and `STRAIGHT` of `eyes.rs`, with what they
//! give. The pictures' landmarks are placed by the tracker; procedural portraits, whose landmarks and poses are exact,
//! count as a fraction of them.

use awing::internals::Portrait;
use awing::internals::fit::{Observation, fit, gaze_yaw_deg, pupils};
use awing::train::{Recipe, Split, read_faces};
use awing::{Face, Frame, Landmark, Tracker, TrackerOptions};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

type AnyError = Box<dyn Error>;

/// The field of view of a picture that was cut to the face, in degrees.
const PICTURE_FOV_DEG: f32 = 20.0;
/// That of the procedural camera.
const PORTRAIT_FOV_DEG: f32 = 45.0;
/// The data set whose people look into the camera.
const INTO_THE_CAMERA: &str = "webmorph";
/// Pupils are compared where both eyes are seen well.
const FRONTAL_YAW_DEG: f32 = 10.0;

fn main() -> Result<(), AnyError> {
    let mut held_out = None;
    let mut arguments = std::env::args().skip(1);
    let mut pictures: BTreeMap<String, Vec<Observation>> = BTreeMap::new();
    let mut tracker = Tracker::new(TrackerOptions::default())?;
    while let Some(argument) = arguments.next() {
        if argument == "--held-out-of" {
            let recipe = arguments.next().ok_or("--held-out-of needs a recipe")?;
            held_out = Some(Recipe::load(Path::new(&recipe))?.hold_out);
            continue;
        }
        for sample in read_faces(Path::new(&argument), Split::Test)? {
            if held_out.as_ref().is_some_and(|held_out| !held_out.contains(&sample)) {
                continue;
            }
            let frame = sample.open()?;
            tracker.reset();
            let largest = tracker.track_at(&frame, 0.0)?.iter().max_by(|a, b| a.rect.width.total_cmp(&b.rect.width));
            if let Some(face) = largest {
                pictures.entry(sample.dataset).or_default().push(observation(face, &frame));
            }
        }
    }
    if pictures.is_empty() {
        return Err("no faces: name data sets, see the first lines of this file".into());
    }
    for (dataset, faces) in &pictures {
        eprintln!("{dataset}: {} faces", faces.len());
    }
    let mut observations: Vec<Observation> = pictures.values().flatten().cloned().collect();
    observations.extend((0..300).filter_map(exact_portrait));
    let fitted = fit(&observations);
    println!("// src/runtime/signals/face_model.rs");
    for [x, y, z] in fitted.average_face {
        println!("    [{:.3}, {y:.3}, {z:.3}],", x + 0.0);
    }
    let [before, after] = fitted.residual_percent;
    eprintln!(
        "inner landmarks from the projected face: {before:.2} % of the eyes' distance by the table in use, {after:.2} by this one"
    );

    let frontal = |faces: &[Observation]| -> Vec<[[f32; 2]; 2]> {
        let seen = faces.iter().filter_map(|face| pupils(face, &fitted.average_face));
        seen.filter(|(_, yaw_deg)| yaw_deg.abs() < FRONTAL_YAW_DEG).map(|(pupils, _)| pupils).collect()
    };
    let portraits =
        frontal(pictures.get(INTO_THE_CAMERA).ok_or("no faces of webmorph, whose people look into the camera")?);
    let straight: [f32; 2] = [0, 1].map(|axis| middle(portraits.iter().flatten().map(|pupil| pupil[axis]).collect()));
    println!("// src/runtime/signals/eyes.rs\nconst STRAIGHT: [f32; 2] = [{:.3}, {:.3}];", straight[0], straight[1]);

    // How far pupils move with the gaze.
    let mut sums = [0.0; 2];
    for seed in 100..130 {
        for gaze in [-1.0, -0.5, 0.5, 1.0] {
            let portrait = Portrait { seed, turns_deg: [0.0; 3], eyes: 1.0, gaze };
            let mut frame = Frame::filled(640, 480, [0; 3]);
            portrait.draw(&mut frame).ok_or("a frame without pixels")?;
            tracker.reset();
            let Some(face) = tracker.track_at(&frame, 0.0)?.first() else { continue };
            let observation = Observation { fov_deg: PORTRAIT_FOV_DEG, ..observation(face, &frame) };
            if let Some((pupils, _)) = pupils(&observation, &fitted.average_face) {
                let truth_deg = -gaze * Portrait::PUPIL_TURN_DEG;
                sums[0] += truth_deg * gaze_yaw_deg(pupils.map(|pupil| pupil[0]));
                sums[1] += truth_deg * truth_deg;
            }
        }
    }
    eprintln!("procedural pupils follow the gaze by {:.2} of its way", sums[0] / sums[1]);
    Ok(())
}

fn observation(face: &Face, frame: &Frame) -> Observation {
    let size = (frame.width(), frame.height());
    Observation { landmarks: face.landmarks.clone(), size, fov_deg: PICTURE_FOV_DEG, angles_deg: None }
}

/// A portrait with exact landmarks, each number another.
fn exact_portrait(number: u64) -> Option<Observation> {
    /// Shares of the golden ratio fill a cube evenly.
    const STEPS: [f32; 3] = [0.819_172_5, 0.671_043_6, 0.549_700_5];
    const MOST_DEG: [f32; 3] = [45.0, 20.0, 20.0];
    let turns_deg = [0, 1, 2].map(|i| MOST_DEG[i] * (2.0 * (STEPS[i] * number as f32).fract() - 1.0));
    let portrait = Portrait { seed: 1000 + number, turns_deg, eyes: 1.0, gaze: 0.0 };
    let mut frame = Frame::filled(640, 480, [0; 3]);
    let (points, angles_deg) = portrait.draw(&mut frame)?;
    let landmarks = points.map(|point| Landmark { point, confidence: 0.95 }).to_vec();
    Some(Observation { landmarks, size: (640, 480), fov_deg: PORTRAIT_FOV_DEG, angles_deg: Some(angles_deg) })
}

fn middle(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}
