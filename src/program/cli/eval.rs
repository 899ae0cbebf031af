//! `awing eval`: evaluation of a landmark model or a detector on annotated faces, comparison of two evaluations, and
//! calibration of a model's confidences.
//!
//! In: models, and data sets or reports. Out: a table or one JSON object on standard output, and the requested files.

use super::comparison::comparison_table;
use super::parse::{named, percent};
use super::paths::{Content, Overwrite, Paths};
use crate::program::console::{print, say};
use crate::runtime::counted::counted;
use crate::runtime::detect::{Detection, Detector, Search};
use crate::runtime::engine::{Landmarker, Outputs, Precision};
use crate::runtime::files::read_text;
use crate::runtime::image::Frame;
use crate::runtime::model::{Kind, Model, WeightFormat, default_detector, default_landmarks};
use crate::train::data::{self, Format, Sample, Split};
use crate::train::detector::{Photograph, read_photographs};
use crate::train::eval::metrics::{Counted, Norm};
use crate::train::eval::{
    BoxSource, DetectionEvaluation, EvalOptions, Evaluation, FaceResult, FittedStyle, Reliability, Summary, calibrate,
    compare, draw_curve, evaluate, evaluate_detector, fit_styles,
};
use crate::train::trainer::Recipe;
use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct EvalArguments {
    /// The landmark model [default: the bundled one]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Precision of the networks
    #[arg(long, value_parser = named::<Precision>(), default_value_t = Precision::Auto)]
    precision: Precision,
    /// The detector for `--box detector` and `--detection` [default: the bundled one]
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// The box that the crop is cut around
    #[arg(long = "box", value_parser = named::<BoxSource>(), default_value_t = BoxSource::Truth)]
    box_source: BoxSource,
    /// Find the landmarks again in a crop around the first ones, with the head upright, as the tracker does with a new
    /// face
    #[arg(long, conflicts_with_all = ["detection", "calibrate", "fit_style", "compare"])]
    second_look: bool,
    /// Annotated faces, files or folders
    #[arg(long, required_unless_present = "compare", num_args = 1.., value_name = "PATH")]
    data: Vec<PathBuf>,
    /// The format of --data
    #[arg(long, value_parser = named::<Format>(), default_value_t = Format::Auto)]
    format: Format,
    /// The length that errors are divided by
    #[arg(long, value_parser = named::<Norm>(), default_value_t = Norm::InterOcular)]
    norm: Norm,
    /// Thresholds of the failure rate and of the area under the error curve, in percent of the norm
    #[arg(long, num_args = 1.., default_values_t = [8.0, 10.0], value_name = "PERCENT", value_parser = percent)]
    threshold: Vec<f64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Draw the cumulative error curve
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// Write the predicted landmarks, one line of JSON per face; with --detection the detections, one per picture
    #[arg(long, value_name = "FILE.jsonl")]
    predictions: Option<PathBuf>,
    /// Compare two reports that --json printed: the differences, second minus first, with 95 % confidence intervals
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], conflicts_with_all = ["data", "detection", "calibrate"])]
    compare: Option<Vec<PathBuf>>,
    /// Evaluate the detector instead: recall by face size, and false positives. --data then takes what detectors are
    /// trained on: pictures with face boxes, single faces, and lists of pictures without faces
    #[arg(long, conflicts_with_all = ["model", "plot", "calibrate"])]
    detection: bool,
    /// Calibrate the confidences of the model's points on --data and --faceless, and write the calibrated model
    #[arg(long, value_name = "MODEL", requires = "faceless", conflicts_with_all = ["plot", "predictions"])]
    calibrate: Option<PathBuf>,
    /// Fit maps from the model's points to the other annotation styles in --data, and write the model with them;
    /// --data should not contain the faces that you evaluate on
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["plot", "predictions", "calibrate", "detection"])]
    fit_style: Option<PathBuf>,
    /// Evaluate only on the faces that a training with this recipe holds out
    #[arg(long, value_name = "RECIPE.toml", conflicts_with = "detection")]
    held_out_of: Option<PathBuf>,
    /// A list of pictures without faces, for --calibrate
    #[arg(long, value_name = "FILE.txt", requires = "calibrate")]
    faceless: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing eval --data faces/val.jsonl
  awing eval --model mine.safetensors --data 300W/ --box detector --plot errors.png";

pub(super) fn run(arguments: EvalArguments) -> Result<()> {
    paths(&arguments).check(arguments.overwrite)?;
    if let Some(reports) = &arguments.compare {
        print(&compare_reports(reports, arguments.json)?)
    } else if arguments.detection {
        measure_detector(&arguments)
    } else if let Some(out) = &arguments.fit_style {
        write_with_style(&arguments, out)
    } else if let Some(out) = &arguments.calibrate {
        print(&write_calibrated(&arguments, out)?)
    } else {
        measure_landmarks(&arguments)
    }
}

fn paths(arguments: &EvalArguments) -> Paths {
    let paths = Paths::default().reads("--model", arguments.model.as_ref());
    let paths = paths.reads("--detector", arguments.detector.as_ref()).reads("--data", &arguments.data);
    let paths = paths.reads("--compare", arguments.compare.iter().flatten());
    let paths = paths.reads("--held-out-of", arguments.held_out_of.as_ref());
    let paths = paths.reads("--faceless", arguments.faceless.as_ref());
    let paths = paths.writes("--plot", arguments.plot.as_ref(), Content::Picture);
    let paths = paths.writes("--predictions", arguments.predictions.as_ref(), Content::Predictions);
    let paths = paths.writes("--calibrate", arguments.calibrate.as_ref(), Content::Model);
    paths.writes("--fit-style", arguments.fit_style.as_ref(), Content::Model)
}

/// Refuses an output that can't be written before the work starts, not after it.
fn check_target(path: Option<&Path>) -> Result<()> {
    let folder = path.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    match (path, folder) {
        (Some(path), Some(folder)) if !folder.is_dir() => {
            bail!("cannot write {}: there is no folder {}", path.display(), folder.display())
        }
        _ => Ok(()),
    }
}

fn landmark_model(arguments: &EvalArguments) -> Result<Model> {
    Ok(arguments.model.as_deref().map_or_else(default_landmarks, |path| Model::load_as(Kind::Landmarks, path))?)
}

fn detector(arguments: &EvalArguments) -> Result<Detector> {
    let model =
        arguments.detector.as_deref().map_or_else(default_detector, |path| Model::load_as(Kind::Detector, path))?;
    Ok(Detector::new(&model, arguments.precision)?)
}

fn samples(arguments: &EvalArguments) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for path in &arguments.data {
        samples.extend(data::open(path, arguments.format, Split::Test)?);
    }
    if let Some(recipe) = &arguments.held_out_of {
        let hold_out = Recipe::load(recipe)?.hold_out;
        samples.retain(|sample| hold_out.contains(sample));
        if samples.is_empty() {
            bail!("--held-out-of {}: the recipe holds out none of these faces", recipe.display());
        }
    }
    Ok(samples)
}

fn measure_landmarks(arguments: &EvalArguments) -> Result<()> {
    check_target(arguments.plot.as_deref())?;
    check_target(arguments.predictions.as_deref())?;
    let is_png = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    if let Some(plot) = arguments.plot.as_deref().filter(|plot| !is_png(plot)) {
        bail!("--plot {}: a name that ends in .png is needed", plot.display());
    }
    let mut landmarker = Landmarker::new(&landmark_model(arguments)?, Outputs::Decoded, arguments.precision)?;
    let mut detector = detector(arguments)?;
    let mut find = |frame: &Frame| {
        // As a tracker that follows nobody searches for upright heads.
        for search in [Search::UPRIGHT, Search::AT_HALF_SIZE] {
            let found = detector.search(&frame.into(), search)?;
            if !found.is_empty() {
                return Ok(found.iter().map(|d| d.rect).collect());
            }
        }
        Ok(Vec::new())
    };
    let samples = samples(arguments)?;
    paths(arguments).reads("--data", samples.iter().flat_map(Sample::files)).keep_inputs()?;
    let bar = ProgressBar::new(samples.len() as u64);
    let options = EvalOptions {
        norm: arguments.norm,
        thresholds: arguments.threshold.iter().map(|percent| percent / 100.0).collect(),
        box_source: arguments.box_source,
        second_look: arguments.second_look,
    };
    let evaluation = evaluate(&mut landmarker, &mut find, &samples, &options, || bar.inc(1))?;
    bar.finish_and_clear();
    // Printed before files are written, so that a failed write does not lose the report.
    let printed = print(&if arguments.json { json(&evaluation)? } else { landmark_table(&evaluation) });
    if let Some(path) = &arguments.plot {
        draw_curve(&evaluation, path)?;
    }
    if let Some(path) = &arguments.predictions {
        write_predictions(path, &predictions(&evaluation.faces)?)?;
    }
    printed
}

fn measure_detector(arguments: &EvalArguments) -> Result<()> {
    check_target(arguments.predictions.as_deref())?;
    let mut photographs = Vec::new();
    for path in &arguments.data {
        photographs.extend(read_photographs(path, Split::Test)?);
    }
    paths(arguments).reads("--data", photographs.iter().map(Photograph::image)).keep_inputs()?;
    let bar = ProgressBar::new(photographs.len() as u64);
    let mut lines = String::new();
    let evaluation = evaluate_detector(&mut detector(arguments)?, &photographs, |seen| {
        if let Some((image, found)) = seen {
            let face = |Detection { rect, score }: &Detection| {
                let sides = [rect.x, rect.y, rect.width, rect.height];
                serde_json::json!({"box": sides, "score": score})
            };
            let faces: Vec<_> = found.iter().map(face).collect();
            let line = serde_json::json!({"image": image.to_string_lossy(), "faces": faces});
            let _ = writeln!(lines, "{line}");
        }
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let printed = print(&if arguments.json { json(&evaluation)? } else { detection_table(&evaluation) });
    if let Some(path) = &arguments.predictions {
        write_predictions(path, &lines)?;
    }
    printed
}

fn write_predictions(path: &Path, lines: &str) -> Result<()> {
    crate::runtime::files::write_whole(path, lines.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write_calibrated(arguments: &EvalArguments, out: &Path) -> Result<String> {
    check_target(Some(out))?;
    let model = landmark_model(arguments)?;
    let mut faceless = Vec::new();
    let path = arguments.faceless.as_deref().context("--calibrate needs --faceless")?;
    for photograph in read_photographs(path, Split::Test)? {
        match photograph {
            Photograph::Background { image } => faceless.push(image),
            _ => bail!("--faceless {}: a .txt list of pictures without faces is needed", path.display()),
        }
    }
    let samples = samples(arguments)?;
    let bar = ProgressBar::new(samples.len() as u64);
    let (calibration, reliability) = calibrate(&model, &samples, &faceless, || bar.inc(1))?;
    bar.finish_and_clear();
    save_alike(&model.with_calibration(calibration), out)?;
    Ok(if arguments.json { json(&reliability)? } else { reliability_table(&reliability) })
}

fn write_with_style(arguments: &EvalArguments, out: &Path) -> Result<()> {
    check_target(Some(out))?;
    let model = landmark_model(arguments)?;
    let mut landmarker = Landmarker::new(&model, Outputs::Decoded, arguments.precision)?;
    let samples = samples(arguments)?;
    let bar = ProgressBar::new(samples.len() as u64);
    let fitted = fit_styles(&mut landmarker, model.config().style, &samples, || bar.inc(1))?;
    bar.finish_and_clear();
    let mut fits = model.config().style_fits.clone();
    for FittedStyle { style, fit, faces } in fitted {
        say(&format!("{}: fitted on {}", style.data_sets(), counted(faces, "face")));
        fits = fits.with(style, fit);
    }
    save_alike(&model.with_style_fits(fits), out)
}

/// Writes a model whose description has changed; single-precision weights stay in single precision.
fn save_alike(model: &Model, out: &Path) -> Result<()> {
    let is_half = |bytes: &[u8]| Model::from_bytes(bytes).is_ok_and(|half| half == *model);
    let format = match model.to_bytes(WeightFormat::F16) {
        Ok(bytes) if is_half(&bytes) => WeightFormat::F16,
        _ => WeightFormat::F32,
    };
    model.save_as(out, format)?;
    say(&format!("wrote {}", out.display()));
    Ok(())
}

fn compare_reports(reports: &[PathBuf], as_json: bool) -> Result<String> {
    let read = |path: &PathBuf| -> Result<Evaluation> {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report of `awing eval --json`", path.display()))
    };
    let [first, second] = reports else { bail!("--compare needs two reports") };
    let comparisons = compare(&read(first)?, &read(second)?)
        .with_context(|| format!("cannot compare {} with {}", first.display(), second.display()))?;
    Ok(if as_json { json(&comparisons)? } else { comparison_table(&comparisons) })
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

fn predictions(faces: &[FaceResult]) -> Result<String> {
    let mut text = String::new();
    for face in faces {
        let mut line = serde_json::json!({"image": face.image, "landmarks": face.landmarks, "score": face.score});
        if let Some(landmarks68) = &face.landmarks68 {
            line["landmarks68"] = serde_json::json!(landmarks68);
        }
        if let Some(landmarks98) = &face.landmarks98 {
            line["landmarks98"] = serde_json::json!(landmarks98);
        }
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

fn landmark_table(evaluation: &Evaluation) -> String {
    let number = |value: Option<f64>, digits: usize| value.map_or("-".into(), |v| format!("{v:.digits$}"));
    let table = |title: &str, summaries: &[Summary]| {
        let Some(first) = summaries.first() else { return String::new() };
        let mut text = format!("{title:<14} {:>6} {:>7} {:>8} {:>8}", "faces", "missed", "NME", "NME 68");
        for at in &first.at {
            text +=
                &format!(" {:>7} {:>7}", format!("FR{}", at.threshold_percent), format!("AUC{}", at.threshold_percent));
        }
        text.push('\n');
        for s in summaries {
            let (nme, nme68) = (number(s.nme_percent, 3), number(s.nme68_percent, 3));
            text += &format!("{:<14} {:>6} {:>7} {nme:>8} {nme68:>8}", s.name, s.faces, s.missed);
            for at in &s.at {
                let (failures, area) = (number(at.failure_rate_percent, 2), number(at.area_under_curve, 4));
                text += &format!(" {failures:>7} {area:>7}");
            }
            text.push('\n');
        }
        text
    };
    let mut text = table("data set", &evaluation.summaries);
    if !evaluation.subsets.is_empty() {
        text += &format!("\n{}", table("subset", &evaluation.subsets));
    }
    let unmeasured: usize = evaluation.summaries.iter().filter(|s| s.name != "all").map(|s| s.unmeasured).sum();
    if unmeasured > 0 {
        let faces = counted(unmeasured, "face");
        text += &format!("\ncounted but not measured: {faces}, since the norm needs points that are unknown.\n");
    }
    if evaluation.not_numbers > 0 {
        let faces = counted(evaluation.not_numbers, "face");
        text += &format!("\nfor {faces} the model's landmarks are not numbers: they count as missed.\n");
    }
    if let Some(eyes) = &evaluation.eyes {
        text += &format!(
            "\neyes: {} shut, at {} of their width; {} open, at {}; shut over open {}, correlation with ground truth {}\n",
            eyes.shut,
            number(eyes.predicted_shut, 3),
            eyes.open,
            number(eyes.predicted_open, 3),
            number(eyes.shut_over_open, 2),
            number(eyes.correlation, 3)
        );
    }
    let expressed = evaluation.faces.iter().filter(|f| f.landmarks68.is_some() || f.landmarks98.is_some()).count();
    if expressed > 0 {
        let faces = counted(expressed, "face");
        text += &format!("\nannotated in another style than the model's, to which its points were mapped: {faces}.\n");
    }
    text += match evaluation.counted {
        Counted::Known => "\nNME and FR in percent; NME, FR and AUC over all points.\n",
        Counted::Ibug68 => "\nNME and FR in percent; NME over all known points, FR and AUC over the 68 of iBUG.\n",
    };
    text
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
    if let Some(overlap) = evaluation.mean_overlap {
        let _ = writeln!(text, "mean intersection over union of found and true boxes: {overlap:.3}");
    }
    if let Some(scenes) = &evaluation.scenes {
        let _ = writeln!(
            text,
            "scenes: average precision {:.1}; at one false positive in 100 pictures (score {:.2}) {:.1} % of {} found",
            scenes.average_precision,
            scenes.score_at_one_invented,
            scenes.recall_at_one_invented,
            counted(scenes.faces, "face")
        );
    }
    text.push('\n');
    row(&mut text, "false positives", "", "pictures", &mut evaluation.thresholds.iter().map(head("/100 ")));
    for r in &evaluation.invented {
        let values = &mut r.per_100_pictures.iter().map(|v| format!(" {v:>8.1}"));
        row(&mut text, &r.kind, "", &r.pictures.to_string(), values);
    }
    text
}

fn reliability_table(rows: &[Reliability]) -> String {
    let mut text = format!("{:<10} {:>8} {:>10} {:>7}\n", "confidence", "points", "mean", "right");
    for r in rows {
        let range = format!("{:.1}-{:.1}", r.from, r.to);
        let _ = writeln!(text, "{range:<10} {:>8} {:>10.3} {:>7.3}", r.points, r.confidence, r.right);
    }
    text
}
