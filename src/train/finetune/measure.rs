//! Measures the errors of a model on a fixed set of faces.
//!
//! In: faces and models. Out: for each face the predicted landmarks and their errors, as fractions of the distance
//! between the outer eye corners (of the box's size where a corner is unknown). The pictures are cropped once, so that
//! any number of models can be measured. Fails if a picture can't be read or a model can't be compiled.

use super::error::FineTuneError;
use crate::runtime::engine::{Landmarker, Outputs, Precision};
use crate::runtime::geometry::{FrameSpace, Point, crop_from_frame};
use crate::runtime::image::Frame;
use crate::runtime::landmarks::{Part, Scheme};
use crate::runtime::model::{Model, ModelConfig};
use crate::train::data::{Sample, crop_for_eval};
use crate::train::eval::metrics::{Counted, Norm, normalized_mean_error};
use std::sync::Arc;

/// Faces in upright crops of the size that a model sees.
pub(super) struct Faces {
    /// Points are pixels of the crops.
    samples: Vec<Sample>,
    crops: Vec<Frame>,
}

/// The cap on the error of a face. The landmarks of a lost face are arbitrary, and among fifteen faces a single one
/// could decide the verdict.
const LOST: f64 = 0.2;

/// A model's result on one face.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// Pixels of the crop.
    pub points: Vec<Point<FrameSpace>>,
    /// Over all known points; at most [`LOST`].
    pub error: f64,
    /// The errors of the known points, with their numbers.
    pub of_points: Vec<(usize, f64)>,
}

impl Faces {
    /// Opens and crops the pictures of `samples` as the model of this description sees them.
    ///
    /// # Errors
    /// [`FineTuneError::Data`] for a picture that can't be read, or a face of another scheme.
    pub fn new(samples: Vec<Sample>, config: &ModelConfig) -> Result<Self, FineTuneError> {
        let scheme = Scheme::of_points(config.points).ok_or(FineTuneError::Base)?;
        let size = config.input_size;
        let mut faces = Self { samples: Vec::new(), crops: Vec::new() };
        for sample in samples {
            let mut sample = sample.in_scheme(scheme)?;
            let (picture, crop_from_frame) = crop_for_eval(&sample, &sample.open()?, &config.crop, size)?;
            for point in &mut sample.points {
                let placed = crop_from_frame.apply(*point);
                *point = Point::new(placed.x, placed.y);
            }
            let bytes = picture.iter().map(|v| (v * 255.0).round() as u8).collect();
            faces.crops.push(Frame::from_rgb(size, size, bytes)?);
            faces.samples.push(sample);
        }
        Ok(faces)
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn crop(&self, index: usize) -> &Frame {
        &self.crops[index]
    }

    /// The faces, in their crops, with the landmarks that `model` predicts in place of their own.
    ///
    /// # Errors
    /// [`FineTuneError::Engine`].
    pub fn labelled_by(&self, model: &Model, threads: usize) -> Result<Vec<Sample>, FineTuneError> {
        let measured = self.measure(model, threads)?;
        let faces = measured.into_iter().zip(&self.samples).zip(&self.crops);
        let labelled = faces.map(|((measured, sample), crop)| Sample {
            points: measured.points,
            frame: Some(Arc::new(crop.clone())),
            ..sample.clone()
        });
        Ok(labelled.collect())
    }

    /// The crops as pictures for the network, one after the other.
    pub fn pictures(&self) -> Vec<f32> {
        self.crops.iter().flat_map(|crop| crop.rgb()).map(|value| f32::from(*value) / 255.0).collect()
    }

    /// Runs a model over all faces, in single precision.
    ///
    /// # Errors
    /// [`FineTuneError::Engine`].
    pub fn measure(&self, model: &Model, threads: usize) -> Result<Vec<Measured>, FineTuneError> {
        self.measure_in(Precision::F32, model, threads)
    }

    /// As [`Self::measure`], in any precision.
    pub fn measure_in(
        &self,
        precision: Precision,
        model: &Model,
        threads: usize,
    ) -> Result<Vec<Measured>, FineTuneError> {
        let mut landmarker = Landmarker::with_threads(model, Outputs::Decoded, precision, threads)?;
        let size = model.config().input_size;
        let middle = (size as f32 - 1.0) / 2.0;
        let whole = crop_from_frame(Point::new(middle, middle), size as f32, 0.0, size);
        let mut all = Vec::with_capacity(self.len());
        for (sample, crop) in self.samples.iter().zip(&self.crops) {
            let predicted: Vec<_> = landmarker.predict(crop, &whole)?.iter().map(|l| l.point).collect();
            let expressed = landmarker.in_style(sample.style, &predicted);
            all.push(measured(sample, predicted, expressed.as_deref()));
        }
        Ok(all)
    }
}

fn measured(sample: &Sample, predicted: Vec<Point<FrameSpace>>, expressed: Option<&[Point<FrameSpace>]>) -> Measured {
    let Sample { scheme, points, weight, rect, .. } = sample;
    let length = Norm::InterOcular.length(*scheme, points, weight, rect.as_ref());
    let length = length.or_else(|| Norm::Box.length(*scheme, points, weight, None)).unwrap_or(1.0);
    let compared = expressed.unwrap_or(&predicted);
    let error = normalized_mean_error(compared, points, weight, length, Counted::Known).unwrap_or(0.0);
    let known = (0..points.len()).filter(|&i| weight[i] > 0.0);
    let of_points = known.map(|i| (i, f64::from(compared[i].distance(points[i]) / length))).collect();
    Measured { error: error.min(LOST), of_points, points: predicted }
}

/// The mean error of a part over all faces where it is known, in percent.
pub(super) fn part_percent(all: &[Measured], scheme: Scheme, part: Part) -> Option<f64> {
    let points = scheme.part(part);
    let errors = all.iter().flat_map(|face| &face.of_points).filter(|(i, _)| points.contains(i)).map(|(_, e)| *e);
    let (sum, count) = errors.fold((0.0, 0_usize), |(sum, count), error| (sum + error, count + 1));
    (count > 0).then(|| 100.0 * sum / count as f64)
}

/// The mean error over all faces, in percent; none without a face.
pub(super) fn mean_percent(all: &[Measured]) -> Option<f64> {
    (!all.is_empty()).then(|| 100.0 * all.iter().map(|face| face.error).sum::<f64>() / all.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::default_landmarks;
    use crate::train::synth::portraits;

    #[test]
    fn errors_are_those_of_an_evaluation_on_the_whole_pictures() {
        let model = default_landmarks().unwrap();
        let samples = portraits(6, 11).unwrap();
        let measured = Faces::new(samples.clone(), model.config()).unwrap().measure(&model, 1).unwrap();
        let mut landmarker = Landmarker::new(&model, Outputs::Decoded, Precision::F32).unwrap();
        let mut off = 0.0;
        for (sample, measured) in samples.iter().zip(&measured) {
            let around = sample.landmark_box().unwrap();
            let crop = landmarker.crop_about(&around, 0.0);
            let predicted: Vec<_> =
                landmarker.predict(&sample.open().unwrap(), &crop).unwrap().iter().map(|l| l.point).collect();
            let Sample { points, weight, .. } = sample;
            let length = Norm::InterOcular.length(sample.scheme, points, weight, None).unwrap();
            let expected = normalized_mean_error(&predicted, points, weight, length, Counted::Known).unwrap();
            // The crop is stored in bytes.
            assert!((measured.error - expected).abs() < 5e-4, "{} {expected}", measured.error);
            off += (measured.error - expected) / samples.len() as f64;
        }
        assert!(off.abs() < 1e-4, "{off}");
    }

    #[test]
    fn a_lost_face_counts_the_same_however_far_its_landmarks_lie() {
        let sample = portraits(1, 7).unwrap().remove(0);
        let error_when_off_by = |px: f32| {
            let predicted = sample.points.iter().map(|p| Point::new(p.x + px, p.y)).collect();
            measured(&sample, predicted, None).error
        };
        assert!(error_when_off_by(1.0) < 0.1);
        assert_eq!([200.0, 2000.0].map(error_when_off_by), [LOST; 2]);
    }

    #[test]
    fn the_parts_make_up_the_whole() {
        let model = default_landmarks().unwrap();
        let faces = Faces::new(portraits(3, 5).unwrap(), model.config()).unwrap();
        let measured = faces.measure(&model, 1).unwrap();
        let whole: f64 = Part::ALL
            .iter()
            .map(|&part| {
                let count = Scheme::Wflw98.part(part).len() as f64;
                count / 98.0 * part_percent(&measured, Scheme::Wflw98, part).unwrap()
            })
            .sum();
        assert!((whole - mean_percent(&measured).unwrap()).abs() < 1e-6);
    }
}
