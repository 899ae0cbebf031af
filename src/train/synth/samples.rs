//! Procedural faces as samples: they stand for all other faces where there are no photographs.
//!
//! In: a number and a seed. Out: samples in memory with exact landmarks, each of another person, as the data set
//! [`DATASET`].

use super::any_face;
use crate::runtime::image::{Frame, ImageError};
use crate::runtime::landmarks::{Scheme, Style, WFLW_POINTS};
use crate::train::data::{Origin, Sample};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::sync::Arc;

/// The name of the data set.
pub const DATASET: &str = "procedural";
/// Side of the pictures in pixels.
const SIDE: usize = 224;

/// `count` people in any pose up to a half profile, who look anywhere.
///
/// # Errors
/// None: the pictures are never empty.
pub fn portraits(count: usize, seed: u64) -> Result<Vec<Sample>, ImageError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut samples = Vec::with_capacity(count);
    for i in 0..count {
        let mut frame = Frame::from_rgb(SIDE, SIDE, vec![0; SIDE * SIDE * 3])?;
        let Some(points) = any_face(&mut rng, &mut frame) else { continue };
        let name = format!("procedural face {i}");
        samples.push(Sample {
            image: name.clone().into(),
            frame: Some(Arc::new(frame)),
            name: name.clone(),
            dataset: DATASET.into(),
            subject: None,
            clip: None,
            scheme: Scheme::Wflw98,
            style: Style::Wflw,
            is_automatic: false,
            points: points.to_vec(),
            weight: vec![1.0; WFLW_POINTS],
            rect: None,
            subsets: Vec::new(),
            size: None,
            origin: Origin { file: Arc::from(Path::new(&name)), line: 0 },
        });
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Rect;

    #[test]
    fn portraits_lie_in_their_pictures_and_look_everywhere() {
        let faces = portraits(60, 5).unwrap();
        assert_eq!(faces.len(), 60);
        assert_eq!(faces[..5], portraits(5, 5).unwrap());
        let (mut along, mut up) = (Vec::new(), Vec::new());
        for face in &faces {
            let size = face.frame.as_ref().unwrap().width() as f32;
            let around = Rect::around(face.points.iter().copied()).unwrap();
            assert!(around.x > 0.0 && around.y > 0.0, "{}: {around:?}", face.name);
            assert!(around.x + around.width < size && around.y + around.height < size, "{}: {around:?}", face.name);
            let (left, right) = (face.points[60], face.points[64]);
            let (dx, dy) = (right.x - left.x, right.y - left.y);
            let middle = left.midpoint(right);
            let pupil = (face.points[96].x - middle.x, face.points[96].y - middle.y);
            let width2 = dx * dx + dy * dy;
            along.push((pupil.0 * dx + pupil.1 * dy) / width2);
            up.push((pupil.0 * dy - pupil.1 * dx) / width2);
        }
        let range = |values: Vec<f32>| {
            let ends = values.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
            ends.1 - ends.0
        };
        let (along, up) = (range(along), range(up));
        assert!(along > 0.3 && up > 0.12, "{along} {up}");
    }
}
