//! The validation measure of a landmark training: the mean error on validation faces, straight from the network in
//! training.

use super::metrics::{self, Counted, Norm};
use crate::runtime::geometry::{CropSpace, FrameSpace, Similarity, heatmap_from_crop};
use crate::runtime::heatmap::decode;
use crate::runtime::landmarks::Scheme;
use crate::runtime::model::{Model, ModelConfig};
use crate::train::data::{Sample, crop_for_eval};
use crate::train::network::Network;
use crate::train::trainer::Validator;
use std::fmt;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Validation faces, cropped once. Models of 98 points are measured by the 68 of iBUG, which most data sets have; all
/// others by every point that is known.
pub struct LandmarkValidator {
    counted: Counted,
    samples: Vec<Sample>,
    transforms: Vec<Similarity<CropSpace, FrameSpace>>,
    pictures: Vec<f32>,
    size: usize,
}

impl fmt::Debug for LandmarkValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LandmarkValidator")
            .field("counted", &self.counted)
            .field("samples", &self.samples.len())
            .finish_non_exhaustive()
    }
}

/// Batch size.
const BATCH: usize = 24;

impl LandmarkValidator {
    /// Reads and crops the samples for a model.
    ///
    /// # Errors
    /// A picture that can't be read or a face without the model's points, by name; faces of which none has both outer
    /// eye corners; a model whose points are of no scheme.
    pub fn new(samples: Vec<Sample>, config: &ModelConfig) -> Result<Self, AnyError> {
        let size = config.input_size;
        let scheme = Scheme::of_points(config.points).ok_or("the model's points are of no known scheme")?;
        let counted = if scheme == Scheme::Wflw98 { Counted::Ibug68 } else { Counted::Known };
        let samples = samples.into_iter().map(|s| s.in_scheme(scheme)).collect::<Result<Vec<_>, _>>()?;
        let is_measurable = |s: &Sample| Norm::InterOcular.length(s.scheme, &s.points, &s.weight, None).is_some();
        if let (Some(first), false) = (samples.first(), samples.iter().any(is_measurable)) {
            let message = "errors are measured in distances of the outer eye corners, and no validation face has both";
            return Err(format!("{}: {message}", first.origin).into());
        }
        let mut pictures = Vec::with_capacity(samples.len() * size * size * 3);
        let mut transforms = Vec::with_capacity(samples.len());
        for sample in &samples {
            let (picture, transform) = crop_for_eval(sample, &sample.open()?, &config.crop, size)?;
            pictures.extend(picture);
            transforms.push(transform);
        }
        Ok(Self { counted, samples, transforms, pictures, size })
    }
}

impl Validator for LandmarkValidator {
    fn measure_name(&self) -> &str {
        match self.counted {
            Counted::Ibug68 => "validation NME (68 points, inter-ocular), %",
            Counted::Known => "validation NME (inter-ocular), %",
        }
    }

    fn measure(&mut self, model: &Model, network: &mut dyn Network) -> Result<f64, AnyError> {
        let (size, config) = (self.size, model.config());
        let (mut sum, mut count) = (0.0, 0_usize);
        let mut peaks = Vec::new();
        for start in (0..self.samples.len()).step_by(BATCH) {
            let end = (start + BATCH).min(self.samples.len());
            let pictures = self.pictures[start * size * size * 3..end * size * size * 3].to_vec();
            for (view, i) in network.maps(pictures, (size, size))?.views().zip(start..end) {
                decode(&view, config.points, config.decoding, &config.calibration, &mut peaks);
                let frame_from_heatmap =
                    heatmap_from_crop(view.width, size).inverse().then(&self.transforms[i].inverse());
                let predicted: Vec<_> = peaks.iter().map(|p| frame_from_heatmap.apply(p.cell)).collect();
                let Sample { scheme, style, points, weight, rect, .. } = &self.samples[i];
                let predicted = style.expressed(config.style, &config.style_fits, &predicted).unwrap_or(predicted);
                let error = Norm::InterOcular.length(*scheme, points, weight, rect.as_ref()).and_then(|length| {
                    metrics::normalized_mean_error(&predicted, points, weight, length, self.counted)
                });
                if let Some(error) = error {
                    sum += error;
                    count += 1;
                }
            }
        }
        if count == 0 {
            Err("none of the validation faces can be measured".into())
        } else {
            Ok(100.0 * sum / count as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::default_landmarks;
    use crate::train::synth::portraits;

    #[test]
    fn faces_without_eye_corners_are_refused_by_name_unless_others_have_them() {
        let mut faces = portraits(3, 5).unwrap();
        for face in &mut faces[..2] {
            face.weight[60] = 0.0;
        }
        let config = default_landmarks().unwrap().config().clone();
        LandmarkValidator::new(faces.clone(), &config).unwrap();
        let message = LandmarkValidator::new(faces[..2].to_vec(), &config).unwrap_err().to_string();
        assert!(message.contains("procedural face 0") && message.contains("outer eye corners"), "{message}");
    }
}
