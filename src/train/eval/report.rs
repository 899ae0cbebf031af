//! Evaluation of a model on samples: predictions, their errors, and a summary for each data set and each of its
//! published subsets.
//!
//! In: samples with 98, 29 or 19 points and a model with the same number; a model of 68 points is measured on those 68
//! of the 98. Lengths are in pixels of the picture, errors are fractions of the norm, or percent if the name says so.

use super::eyes::Eyes;
use super::metrics::{self, Counted, Norm};
use crate::runtime::engine::{EngineError, Landmarker};
use crate::runtime::geometry::{FrameSpace, Point, Rect};
use crate::runtime::image::{Frame, ImageError};
use crate::runtime::landmarks::{Landmark, Scheme, Style, WFLW98_OF_IBUG68};
use crate::runtime::named::named;
use crate::runtime::track::HeadBox;
use crate::train::data::{DataError, EYES, Sample, WFLW_SUBSETS, openness};
use crate::train::plot::{Chart, Series};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Errors of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("face detection failed")]
    Detect(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Picture(#[from] ImageError),
    #[error("{0} has no face box of its own in this data; use --box truth or --box detector")]
    NoOwnBox(String),
    #[error("pictures without faces are needed as well: a list (.txt) of at least six, of which every sixth is used")]
    NoBackgrounds,
    #[error("a model of {points} points can't be measured: faces are annotated with 98, 68, 29 or 19")]
    Scheme { points: usize },
    #[error("no face can be measured with this norm: the data lacks the points that it needs")]
    NothingToMeasure,
    #[error("the model learned a mixture of annotation styles, so that its points have no style to map from")]
    MixedStyles,
    #[error("no style other than the model's own has {fewest} faces in the data that people annotated")]
    TooFewFacesOfAStyle { fewest: usize },
}

/// The face box that the crop is cut around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxSource {
    /// The box around the true landmarks.
    Truth,
    /// The detected face with the highest intersection over union with the true box.
    Detector,
    /// The data set's own face box.
    Dataset,
}

named!(BoxSource {
    Truth = "truth": "The box around the true landmarks, times the model's margin",
    Detector = "detector": "The detected face that overlaps the true box best; a miss is a failure",
    Dataset = "dataset": "The data set's own box, times the model's margin",
});

/// The options of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    pub norm: Norm,
    /// Thresholds of the failure rate and the area under the curve, as fractions of the norm (usually 0.08 and 0.1).
    pub thresholds: Vec<f64>,
    pub box_source: BoxSource,
    /// Whether the landmarks are found again in a crop around the first ones, with the head upright, as a tracker does
    /// with a new face.
    pub second_look: bool,
}

/// Minimum overlap (intersection over union) with the true box for a detection to count as this face.
const SAME_FACE_OVERLAP: f32 = 0.3;

/// The result for one face: prediction and error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceResult {
    /// The picture, as its data set names it.
    pub image: String,
    pub dataset: String,
    /// The subsets of the data set that it belongs to.
    pub subsets: Vec<String>,
    /// Predicted landmarks in the picture's pixels; empty if the detector missed the face or they are not finite.
    pub landmarks: Vec<[f32; 2]>,
    /// The landmarks converted to the data's annotation style, if the model's is another and a map is known: the error
    /// is computed on these. The 68 points of iBUG, if the style is 300-W's ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks68: Option<Vec<[f32; 2]>>,
    /// ... and otherwise all 98, of which those mean something that the data set has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks98: Option<Vec<[f32; 2]>>,
    /// Mean confidence of the points.
    pub score: f32,
    /// Error over all known points, as a fraction of the norm; `None` if the face was missed or can't be measured.
    pub error: Option<f64>,
    /// The same over the 68 points of iBUG; also `None` if the face has other points.
    pub error68: Option<f64>,
}

impl FaceResult {
    /// Whether the detector missed it.
    pub fn is_missed(&self) -> bool {
        self.landmarks.is_empty()
    }

    /// The error over these points.
    pub fn error_over(&self, counted: Counted) -> Option<f64> {
        match counted {
            Counted::Known => self.error,
            Counted::Ibug68 => self.error68,
        }
    }
}

/// The results for one data set, one of its subsets, or all faces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub name: String,
    pub faces: usize,
    /// Faces that the detector missed.
    pub missed: usize,
    /// Faces that this norm can't measure.
    pub unmeasured: usize,
    /// Mean error over the detected faces and all known points, in percent of the norm.
    pub nme_percent: Option<f64>,
    /// The same over the 68 points of iBUG.
    pub nme68_percent: Option<f64>,
    /// The results at each threshold, over the [`Evaluation::counted`] points.
    pub at: Vec<AtThreshold>,
}

/// The results that depend on a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtThreshold {
    pub threshold_percent: f64,
    /// Share of failures: the error is above the threshold, or the face was missed; `None` if no face can be measured.
    pub failure_rate_percent: Option<f64>,
    /// Area under the error curve up to the threshold, 0..=1; `None` if no face can be measured.
    pub area_under_curve: Option<f64>,
}

/// A whole evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub norm: Norm,
    pub box_source: BoxSource,
    #[serde(default)]
    pub second_look: bool,
    /// The points that failure rates, areas and curves are computed on: all points if every face has all of them,
    /// otherwise the 68.
    pub counted: Counted,
    /// One per data set, by name, then one for all faces ("all") if there are several.
    pub summaries: Vec<Summary>,
    /// One per subset, in the order of the published tables.
    pub subsets: Vec<Summary>,
    /// Metrics of eye openness; `None` if the model or the data have no lids.
    #[serde(default)]
    pub eyes: Option<Eyes>,
    /// Faces whose predicted landmarks are not finite. They count as missed.
    #[serde(default)]
    pub not_numbers: usize,
    pub faces: Vec<FaceResult>,
}

/// Finds the boxes of all faces in a picture.
pub type FindFaces<'a> =
    dyn FnMut(&Frame) -> Result<Vec<Rect<FrameSpace>>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// Runs the model over the samples, calling `on_face` after every face. `detector` is used only with
/// [`BoxSource::Detector`].
///
/// # Errors
/// A picture that can't be read, by name; a failure of a model; a face with another scheme than the model's or, for
/// [`BoxSource::Dataset`], without a box; a norm that can measure none of the samples.
pub fn evaluate(
    landmarker: &mut Landmarker,
    detector: &mut FindFaces<'_>,
    samples: &[Sample],
    options: &EvalOptions,
    mut on_face: impl FnMut(),
) -> Result<Evaluation, EvalError> {
    let mut faces = Vec::with_capacity(samples.len());
    let mut all_known = true;
    let mut openings = Vec::new();
    let mut not_numbers = 0;
    let scheme = landmarker.scheme().ok_or_else(|| EvalError::Scheme { points: landmarker.points() })?;
    for sample in samples {
        let sample = &sample.clone().in_scheme(scheme)?;
        let frame = sample.open()?;
        let Some(truth) = sample.landmark_box() else { continue };
        let around = match options.box_source {
            BoxSource::Truth => Some(truth),
            BoxSource::Detector => best_overlap(detector, &frame, &truth)?,
            BoxSource::Dataset => Some(sample.rect.ok_or_else(|| EvalError::NoOwnBox(sample.origin.to_string()))?),
        };
        let mut face = FaceResult {
            image: sample.name.clone(),
            dataset: sample.dataset.clone(),
            subsets: sample.subsets.clone(),
            landmarks: Vec::new(),
            landmarks68: None,
            landmarks98: None,
            score: 0.0,
            error: None,
            error68: None,
        };
        all_known &= sample.weight.iter().all(|w| *w == 1.0);
        if let Some(around) = around {
            let landmarks = look(landmarker, &frame, &around, options.second_look)?;
            let points: Vec<Point<FrameSpace>> = landmarks.iter().map(|l| l.point).collect();
            let score = landmarks.iter().map(|l| l.confidence).sum::<f32>() / landmarks.len() as f32;
            let expressed = landmarker.in_style(sample.style, &points);
            let compared = expressed.as_ref().unwrap_or(&points);
            let (error, error68) = errors(compared, sample, options.norm);
            if points.iter().all(|p| p.is_finite()) && error.is_none_or(f64::is_finite) {
                face.landmarks = points.iter().map(|p| [p.x, p.y]).collect();
                let at = |i: usize| [compared[i].x, compared[i].y];
                match expressed.as_ref().map(|_| sample.style) {
                    Some(Style::Ibug) => face.landmarks68 = Some(WFLW98_OF_IBUG68.map(at).to_vec()),
                    Some(_) => face.landmarks98 = Some((0..compared.len()).map(at).collect()),
                    None => {}
                }
                (face.score, face.error, face.error68) = (score, error, error68);
                if scheme == Scheme::Wflw98 {
                    let of = |points: &[Point<FrameSpace>], eye| openness(points, &sample.weight, eye);
                    openings.extend(EYES.iter().filter_map(|&eye| of(&sample.points, eye).zip(of(compared, eye))));
                }
            } else {
                not_numbers += 1;
            }
        }
        faces.push(face);
        on_face();
    }
    if faces.iter().all(|f| f.error.is_none() && !f.is_missed()) {
        return Err(EvalError::NothingToMeasure);
    }
    let counted = if all_known { Counted::Known } else { Counted::Ibug68 };
    let summarize = |name: &str, faces: &[&FaceResult]| summarize(name, faces, counted, &options.thresholds);
    let summaries = groups(&faces, |face| std::slice::from_ref(&face.dataset));
    let mut summaries: Vec<Summary> = summaries.iter().map(|(name, group)| summarize(name, group)).collect();
    if summaries.len() > 1 {
        summaries.push(summarize("all", &faces.iter().collect::<Vec<_>>()));
    }
    let mut subsets: Vec<_> = groups(&faces, |face| &face.subsets).into_iter().collect();
    let published = |name: &str| WFLW_SUBSETS.iter().position(|subset| *subset == name);
    subsets.sort_by_key(|(name, _)| published(name).unwrap_or(WFLW_SUBSETS.len()));
    let subsets = subsets.iter().map(|(name, group)| summarize(name, group)).collect();
    Ok(Evaluation {
        norm: options.norm,
        box_source: options.box_source,
        second_look: options.second_look,
        counted,
        summaries,
        subsets,
        eyes: Eyes::of(&openings),
        not_numbers,
        faces,
    })
}

/// The landmarks in an upright crop around the box, or those that a second look at them finds.
fn look<'a>(
    landmarker: &'a mut Landmarker,
    frame: &Frame,
    around: &Rect<FrameSpace>,
    second_look: bool,
) -> Result<&'a [Landmark], EngineError> {
    let mut crop_from_frame = landmarker.crop_about(around, 0.0);
    if second_look {
        let (scheme, box_side) = (landmarker.scheme(), landmarker.box_side());
        let head = HeadBox::around(landmarker.predict(frame, &crop_from_frame)?, scheme, box_side);
        if let Some(head) = head {
            crop_from_frame = head.crop_from_frame(landmarker.crop_scale(), landmarker.input_size());
        }
    }
    landmarker.predict(frame, &crop_from_frame)
}

/// Groups faces by each of their names.
fn groups(faces: &[FaceResult], names: impl Fn(&FaceResult) -> &[String]) -> BTreeMap<&str, Vec<&FaceResult>> {
    let mut groups: BTreeMap<&str, Vec<&FaceResult>> = BTreeMap::new();
    for face in faces {
        for name in names(face) {
            groups.entry(name).or_default().push(face);
        }
    }
    groups
}

/// The errors over all known points and over the 68 of iBUG.
fn errors(predicted: &[Point<FrameSpace>], sample: &Sample, norm: Norm) -> (Option<f64>, Option<f64>) {
    let Sample { scheme, points, weight, rect, .. } = sample;
    let Some(length) = norm.length(*scheme, points, weight, rect.as_ref()) else { return (None, None) };
    let error = |counted| metrics::normalized_mean_error(predicted, points, weight, length, counted);
    let known = error(Counted::Known);
    let of68 = match scheme {
        Scheme::Wflw98 => error(Counted::Ibug68),
        Scheme::Ibug68 => known,
        Scheme::Cofw29 | Scheme::Aflw19 => None,
    };
    (known, of68)
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

fn summarize(name: &str, faces: &[&FaceResult], counted: Counted, thresholds: &[f64]) -> Summary {
    let missed = faces.iter().filter(|f| f.is_missed()).count();
    let errors = |counted| faces.iter().filter_map(|f| f.error_over(counted)).collect::<Vec<f64>>();
    let percent =
        |errors: &[f64]| (!errors.is_empty()).then(|| 100.0 * errors.iter().sum::<f64>() / errors.len() as f64);
    let (known, of68) = (errors(Counted::Known), errors(Counted::Ibug68));
    let over = if counted == Counted::Known { &known } else { &of68 };
    let is_measured = over.len() + missed > 0;
    let at = thresholds.iter().map(|&threshold| AtThreshold {
        // 7 % is stored as 0.07, and 100 times that is slightly more than 7.
        threshold_percent: (1e8 * threshold).round() / 1e6,
        failure_rate_percent: is_measured.then(|| 100.0 * metrics::failure_rate(over, missed, threshold)),
        area_under_curve: is_measured.then(|| metrics::area_under_curve(over, missed, threshold)),
    });
    Summary {
        name: name.to_owned(),
        faces: faces.len(),
        missed,
        unmeasured: faces.len() - missed - known.len(),
        nme_percent: percent(&known),
        nme68_percent: percent(&of68),
        at: at.collect(),
    }
}

/// Draws the cumulative error curve of every data set, up to the largest threshold.
///
/// # Errors
/// [`ImageError`] naming the file.
pub fn draw_curve(evaluation: &Evaluation, path: &Path) -> Result<(), ImageError> {
    const STEPS: usize = 200;
    let bound = |s: &Summary| s.at.iter().map(|at| at.threshold_percent / 100.0).fold(0.0, f64::max);
    let series = evaluation.summaries.iter().map(|summary| {
        let group = evaluation.faces.iter().filter(|f| summary.name == "all" || f.dataset == summary.name);
        let errors: Vec<f64> = group.filter_map(|f| f.error_over(evaluation.counted)).collect();
        let curve = metrics::cumulative_error_curve(&errors, summary.missed, bound(summary), STEPS);
        Series {
            name: summary.name.clone(),
            points: curve.into_iter().map(|(bound, share)| (100.0 * bound, 100.0 * share)).collect(),
        }
    });
    let points = match evaluation.counted {
        Counted::Known => "all points",
        Counted::Ibug68 => "68 points",
    };
    let chart = Chart {
        title: format!("Cumulative error, {points}"),
        x_label: "error, % of the norm".into(),
        y_label: "faces, %".into(),
        series: series.collect(),
        y_range: Some((0.0, 100.0)),
        ..Chart::default()
    };
    chart.save(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(dataset: &str, subsets: &[&str], error: Option<f64>) -> FaceResult {
        FaceResult {
            image: "a.png".into(),
            dataset: dataset.into(),
            subsets: subsets.iter().map(|s| s.to_string()).collect(),
            landmarks: if error.is_some() { vec![[0.0, 0.0]] } else { Vec::new() },
            landmarks68: None,
            landmarks98: None,
            score: 0.5,
            error,
            error68: error.map(|e| e / 2.0),
        }
    }

    #[test]
    fn a_summary_counts_misses_as_failures_but_not_in_the_mean() {
        let faces = [face("a", &[], Some(0.05)), face("a", &[], Some(0.09)), face("a", &[], None)];
        let summary = summarize("a", &faces.iter().collect::<Vec<_>>(), Counted::Known, &[0.08, 0.1]);
        assert_eq!((summary.faces, summary.missed, summary.unmeasured), (3, 1, 0));
        assert!((summary.nme_percent.unwrap() - 7.0).abs() < 1e-9);
        assert!((summary.nme68_percent.unwrap() - 3.5).abs() < 1e-9);
        let failures: Vec<f64> = summary.at.iter().map(|at| at.failure_rate_percent.unwrap().round()).collect();
        assert_eq!(failures, [67.0, 33.0]);
        assert!((summary.at[1].area_under_curve.unwrap() - (0.5 + 0.1) / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_face_counts_in_each_of_its_subsets() {
        let faces = [face("wflw", &["pose", "blur"], Some(0.05)), face("wflw", &["blur"], Some(0.07))];
        let groups = groups(&faces, |f| &f.subsets);
        assert_eq!(groups["blur"].len(), 2);
        assert_eq!(groups["pose"].len(), 1);
    }
}
