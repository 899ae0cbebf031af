//! A model over samples: predictions, their errors, a summary for each data set.

use super::metrics::{self, Norm, Subset};
use crate::data::{DataError, Sample};
use crate::engine::{EngineError, Landmarker};
use crate::geometry::{FrameSpace, Point, Rect};
use crate::image::{Frame, ImageError};
use crate::landmarks::Scheme;
use crate::plot::{Chart, Series};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What can stop an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("face detection failed: {0}")]
    Detect(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Picture(#[from] ImageError),
    #[error("faces are set into pictures without faces to measure a detector; there are none in the data")]
    NoBackgrounds,
    #[error("none of the faces can be measured with this norm: the points that it needs are not known in this data")]
    NothingToMeasure,
}

/// Where the crop comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxSource {
    /// The box around the true landmarks.
    Truth,
    /// The detected face that overlaps the true box best.
    Detector,
}

/// How to evaluate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvalOptions {
    pub norm: Norm,
    /// Bound of the failure rate and the area under the curve, a fraction of the norm (0.1 and 0.08 in the field).
    pub threshold: f64,
}

/// Least overlap (intersection over union) with the true box at which a detection is this face.
const SAME_FACE_OVERLAP: f32 = 0.3;

/// One face: what was predicted and how far off it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceResult {
    /// The picture, as its data set names it.
    pub image: String,
    pub dataset: String,
    /// Predicted landmarks in the picture's pixels; empty if the detector missed the face.
    pub landmarks: Vec<[f32; 2]>,
    /// Mean confidence of the points.
    pub score: f32,
    /// Error over all known points, a fraction of the norm; none if missed or not measurable.
    pub error98: Option<f64>,
    /// The same over the 68 points of iBUG.
    pub error68: Option<f64>,
}

/// The figures of one data set, or of all faces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub dataset: String,
    pub faces: usize,
    /// Faces that the detector did not find.
    pub missed: usize,
    /// Faces that this norm can't measure.
    pub unmeasured: usize,
    /// Mean error in percent of the norm over the found faces, all known points.
    pub nme98: f64,
    /// The same over the 68 points of iBUG.
    pub nme68: f64,
    /// Share of failures in percent: error (68 points) over the threshold, or missed.
    pub failure_rate: f64,
    /// Area under the error curve (68 points) up to the threshold, 0..=1.
    pub area_under_curve: f64,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub norm: Norm,
    pub threshold: f64,
    pub box_source: BoxSource,
    /// One for each data set, by name, then one for all faces ("all") if there are several.
    pub summaries: Vec<Summary>,
    pub faces: Vec<FaceResult>,
}

/// Finds the boxes of all faces of a picture.
pub type FindFaces<'a> =
    dyn FnMut(&Frame) -> Result<Vec<Rect<FrameSpace>>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// Runs the model over the samples. With a detector, the crop comes from it, else from the true landmarks.
///
/// `on_face` is called after every face.
///
/// # Errors
/// Pictures that can't be read, by name; models that fail; a norm that fits none of the samples.
pub fn evaluate(
    landmarker: &mut Landmarker,
    mut detector: Option<&mut FindFaces<'_>>,
    samples: &[Sample],
    options: &EvalOptions,
    mut on_face: impl FnMut(),
) -> Result<Evaluation, EvalError> {
    let box_source = if detector.is_some() { BoxSource::Detector } else { BoxSource::Truth };
    let mut faces = Vec::with_capacity(samples.len());
    for sample in samples {
        sample.expect(Scheme::Wflw98)?;
        let frame = sample.open()?;
        let Some(truth) = sample.landmark_box() else { continue };
        let found = match detector {
            None => Some(truth),
            Some(ref mut detector) => best_overlap(detector, &frame, &truth)?,
        };
        let mut face = FaceResult {
            image: sample.name.clone(),
            dataset: sample.dataset.clone(),
            landmarks: Vec::new(),
            score: 0.0,
            error98: None,
            error68: None,
        };
        if let Some(found) = found {
            let crop_from_frame = landmarker.crop_about(&found, 0.0);
            let landmarks = landmarker.predict(&frame, &crop_from_frame)?;
            let points: Vec<Point<FrameSpace>> = landmarks.iter().map(|l| l.position).collect();
            face.landmarks = points.iter().map(|p| [p.x, p.y]).collect();
            face.score = landmarks.iter().map(|l| l.confidence).sum::<f32>() / landmarks.len() as f32;
            let error =
                |subset| metrics::normalized_mean_error(&points, &sample.points, &sample.weight, options.norm, subset);
            face.error98 = error(Subset::Wflw98);
            face.error68 = error(Subset::Ibug68);
        }
        faces.push(face);
        on_face();
    }
    let mut groups: BTreeMap<&str, Vec<&FaceResult>> = BTreeMap::new();
    for face in &faces {
        groups.entry(&face.dataset).or_default().push(face);
    }
    let mut summaries: Vec<Summary> =
        groups.iter().map(|(name, group)| summarize(name, group, options.threshold)).collect();
    if summaries.len() > 1 {
        summaries.push(summarize("all", &faces.iter().collect::<Vec<_>>(), options.threshold));
    }
    if faces.iter().all(|f| f.error98.is_none() && !f.landmarks.is_empty()) {
        return Err(EvalError::NothingToMeasure);
    }
    Ok(Evaluation { norm: options.norm, threshold: options.threshold, box_source, summaries, faces })
}

fn best_overlap(
    detector: &mut FindFaces<'_>,
    frame: &Frame,
    truth: &Rect<FrameSpace>,
) -> Result<Option<Rect<FrameSpace>>, EvalError> {
    let found = detector(frame).map_err(EvalError::Detect)?;
    let overlap = |rect: &Rect<FrameSpace>| rect.iou(truth);
    let best = found.into_iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
    Ok(best.filter(|rect| overlap(rect) >= SAME_FACE_OVERLAP))
}

fn summarize(dataset: &str, faces: &[&FaceResult], threshold: f64) -> Summary {
    let missed = faces.iter().filter(|f| f.landmarks.is_empty()).count();
    let errors98: Vec<f64> = faces.iter().filter_map(|f| f.error98).collect();
    let errors68: Vec<f64> = faces.iter().filter_map(|f| f.error68).collect();
    let percent = |errors: &[f64]| 100.0 * errors.iter().sum::<f64>() / errors.len() as f64;
    Summary {
        dataset: dataset.to_owned(),
        faces: faces.len(),
        missed,
        unmeasured: faces.len() - missed - errors98.len(),
        nme98: percent(&errors98),
        nme68: percent(&errors68),
        failure_rate: 100.0 * metrics::failure_rate(&errors68, missed, threshold),
        area_under_curve: metrics::area_under_curve(&errors68, missed, threshold),
    }
}

/// Draws the cumulative error curve of every data set.
///
/// # Errors
/// [`ImageError`] naming the file.
pub fn draw_curve(evaluation: &Evaluation, path: &Path) -> Result<(), ImageError> {
    const STEPS: usize = 200;
    let series = evaluation.summaries.iter().map(|summary| {
        let group = evaluation.faces.iter().filter(|f| summary.dataset == "all" || f.dataset == summary.dataset);
        let errors: Vec<f64> = group.filter_map(|f| f.error68).collect();
        let curve = metrics::cumulative_error_curve(&errors, summary.missed, evaluation.threshold, STEPS);
        Series {
            name: summary.dataset.clone(),
            points: curve.into_iter().map(|(bound, share)| (100.0 * bound, 100.0 * share)).collect(),
        }
    });
    let chart = Chart {
        title: "Cumulative error, 68 points".into(),
        x_label: "error, % of the norm".into(),
        y_label: "faces, %".into(),
        series: series.collect(),
        y_range: Some((0.0, 100.0)),
        ..Chart::default()
    };
    chart.save(path)
}
