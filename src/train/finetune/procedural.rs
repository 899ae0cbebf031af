//! Procedural faces as samples: what stands for all other faces where no photographs can be had.
//!
//! In: how many, and a seed. Out: samples in memory with exact landmarks, of as many people as there are samples.

use crate::runtime::image::{Frame, ImageError};
use crate::runtime::landmarks::{Scheme, Style, WFLW_POINTS};
use crate::train::data::{Origin, Sample};
use crate::train::synth::Scene;
use std::path::Path;
use std::sync::Arc;

/// Side of the pictures in pixels.
const SIDE: usize = 288;
/// Seconds between the moments that two people are shown at: long enough for another expression and pose.
const APART_S: f64 = 3.7;

/// `count` people, each in a picture of its own.
///
/// # Errors
/// None: the pictures are never empty.
pub(super) fn faces(count: usize, seed: u64) -> Result<Vec<Sample>, ImageError> {
    let mut samples = Vec::with_capacity(count);
    for i in 0..count {
        let mut frame = Frame::from_rgb(SIDE, SIDE, vec![0; SIDE * SIDE * 3])?;
        let landmarks = Scene::demo(seed.wrapping_add(i as u64), 1).draw(APART_S * i as f64, &mut frame);
        let name = format!("procedural face {i}");
        samples.extend(landmarks.into_iter().map(|points| Sample {
            image: name.clone().into(),
            frame: None,
            name: name.clone(),
            dataset: "procedural".into(),
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
        }));
        if let Some(sample) = samples.last_mut() {
            sample.frame = Some(Arc::new(frame));
        }
    }
    Ok(samples)
}
