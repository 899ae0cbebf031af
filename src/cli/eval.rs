//! `awing eval`: a model over annotated faces.

use super::args::PrecisionChoice;
use crate::data::{self, Format, Split};
use crate::detect::{Detector, read_photographs};
use crate::engine::{Landmarker, Outputs};
use crate::eval::metrics::Norm;
use crate::eval::{
    DetectionEvaluation, EvalOptions, Evaluation, FaceResult, FindFaces, draw_curve, evaluate, evaluate_detector,
};
use crate::image::Frame;
use crate::model::Model;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct EvalArguments {
    /// The landmark model; without it the one inside awing.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Arithmetic of the landmark network.
    #[arg(long, value_enum, default_value = "f16")]
    precision: PrecisionChoice,
    /// The detector for `--box detector`; without it the one inside awing.
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// Where the crop comes from.
    #[arg(long = "box", value_enum, default_value = "truth")]
    box_source: BoxChoice,
    /// Measure the detector instead: recall by the size of the face, and faces found where there are none. --data then
    /// is what a detector is trained on: scenes with boxes, single faces, and a list of pictures without faces.
    #[arg(long, conflicts_with_all = ["model", "box_source", "norm", "threshold", "plot", "predictions"])]
    detection: bool,
    /// Annotated faces; may be given several times.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// What errors are divided by.
    #[arg(long, value_enum, default_value = "inter-ocular")]
    norm: NormChoice,
    /// Bound of failures and of the area under the error curve, in percent of the norm.
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT")]
    threshold: f64,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Draw the cumulative error curve.
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// Write the predicted landmarks, one JSON line a picture.
    #[arg(long, value_name = "FILE.jsonl")]
    predictions: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum NormChoice {
    /// Distance of the outer eye corners.
    InterOcular,
    /// Distance of the eyes' middles.
    InterPupil,
    /// Distance of the pupils.
    Pupil,
    /// Square root of the area of the landmarks' box.
    Box,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum BoxChoice {
    /// The box around the true landmarks, times the model's margin.
    Truth,
    /// The detected face that overlaps the true box best; a miss is a failure.
    Detector,
}

impl From<NormChoice> for Norm {
    fn from(choice: NormChoice) -> Self {
        match choice {
            NormChoice::InterOcular => Norm::InterOcular,
            NormChoice::InterPupil => Norm::InterPupil,
            NormChoice::Pupil => Norm::Pupil,
            NormChoice::Box => Norm::Box,
        }
    }
}

pub fn run(arguments: EvalArguments) -> Result<()> {
    if arguments.detection {
        return run_detection(&arguments);
    }
    let model = match &arguments.model {
        Some(path) => Model::load(path)?,
        None => crate::model::default_landmarks()?,
    };
    let mut landmarker = Landmarker::new(&model, Outputs::Decoded, arguments.precision.into())?;
    let mut detector = match (arguments.box_source, &arguments.detector) {
        (BoxChoice::Truth, _) => None,
        (BoxChoice::Detector, Some(path)) => Some(Detector::new(&Model::load(path)?)?),
        (BoxChoice::Detector, None) => Some(Detector::new(&crate::model::default_detector()?)?),
    };
    let mut find = |frame: &Frame| match &mut detector {
        Some(detector) => Ok(detector.detect(frame)?.iter().map(|d| d.rect).collect()),
        None => Ok(Vec::new()),
    };
    let find: Option<&mut FindFaces<'_>> =
        if arguments.box_source == BoxChoice::Detector { Some(&mut find) } else { None };
    let mut samples = Vec::new();
    for path in &arguments.data {
        samples.extend(data::open(path, Format::Auto, Split::Test)?);
    }
    let bar = ProgressBar::new(samples.len() as u64);
    let options = EvalOptions { norm: arguments.norm.into(), threshold: arguments.threshold / 100.0 };
    let evaluation = evaluate(&mut landmarker, find, &samples, &options, || bar.inc(1))?;
    bar.finish_and_clear();
    if let Some(path) = &arguments.plot {
        draw_curve(&evaluation, path)?;
    }
    if let Some(path) = &arguments.predictions {
        crate::files::write_whole(path, predictions(&evaluation.faces)?.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&evaluation)?);
    } else {
        print!("{}", table(&evaluation));
    }
    Ok(())
}

fn run_detection(arguments: &EvalArguments) -> Result<()> {
    let model = arguments.detector.as_deref().map_or_else(crate::model::default_detector, Model::load)?;
    let mut photographs = Vec::new();
    for path in &arguments.data {
        photographs.extend(read_photographs(path, Split::Test)?);
    }
    let bar = ProgressBar::new(photographs.len() as u64);
    let evaluation = evaluate_detector(&mut Detector::new(&model)?, &photographs, || bar.inc(1))?;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string(&evaluation)?);
    } else {
        print!("{}", detection_table(&evaluation));
    }
    Ok(())
}

fn detection_table(evaluation: &DetectionEvaluation) -> String {
    let row = |text: &mut String, name: &str, side: &str, count: &str, values: &mut dyn Iterator<Item = String>| {
        let _ = writeln!(text, "{name:<16} {side:>8} {count:>8}{}", values.collect::<String>());
    };
    let mut text = String::new();
    let head = |unit: &'static str| move |t: &f32| format!(" {:>8}", format!("{unit}>{t}"));
    row(&mut text, "faces", "side, px", "number", &mut evaluation.thresholds.iter().map(head("% ")));
    for r in &evaluation.recall {
        let (from, to) = r.side_px;
        let side = if from == to { format!("{from}") } else { format!("{from}-{to}") };
        let values = &mut r.found_percent.iter().map(|v| format!(" {v:>8.1}"));
        row(&mut text, &r.kind, &side, &r.faces.to_string(), values);
    }
    let _ = writeln!(text, "mean overlap of found boxes with the true ones: {:.3}\n", evaluation.mean_overlap);
    row(&mut text, "invented faces", "", "pictures", &mut evaluation.thresholds.iter().map(head("/100 ")));
    for r in &evaluation.invented {
        let values = &mut r.per_100_pictures.iter().map(|v| format!(" {v:>8.1}"));
        row(&mut text, &r.kind, "", &r.pictures.to_string(), values);
    }
    text
}

fn predictions(faces: &[FaceResult]) -> Result<String> {
    let mut text = String::new();
    for face in faces {
        let line = serde_json::json!({"image": face.image, "landmarks": face.landmarks, "score": face.score});
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

fn table(evaluation: &Evaluation) -> String {
    let percent = 100.0 * evaluation.threshold;
    let mut text = format!(
        "{:<12} {:>6} {:>7} {:>8} {:>8} {:>7} {:>7}\n",
        "data set",
        "faces",
        "missed",
        "NME 68",
        "NME 98",
        format!("FR{percent:.0}"),
        format!("AUC{percent:.0}")
    );
    for s in &evaluation.summaries {
        let _ = writeln!(
            text,
            "{:<12} {:>6} {:>7} {:>7.3}% {:>7.3}% {:>6.2}% {:>7.4}",
            s.dataset, s.faces, s.missed, s.nme68, s.nme98, s.failure_rate, s.area_under_curve
        );
    }
    text
}
