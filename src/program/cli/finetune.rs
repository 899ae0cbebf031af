//! `awing finetune`: accepted faces in, a tuned model and a verdict out.
//!
//! Out: the model, if it is accepted, and beside it the report as JSON and as a picture; progress on standard error,
//! the report as text on standard output. A refused fine-tuning writes no model, but its exit status is 0: a refusal is
//! a valid result. Ctrl-C stops with a checkpoint, from which --resume continues.

use super::device::DeviceChoice;
use super::interrupt;
use super::parse::{minutes, threads};
use super::paths::{Content, Overwrite, Paths};
use super::progress::TrainingProgress;
use crate::program::console::print;
use crate::program::models::{BUNDLED, ModelLibrary, TuningRecord};
use crate::program::places;
use crate::runtime::counted::counted;
use crate::runtime::files::{Claim, read_text, write_whole};
use crate::runtime::model::{Kind, Model, WeightFormat, default_landmarks};
use crate::train::collection;
use crate::train::data::{Sample, Split, read_faces};
use crate::train::finetune::{
    FineTune, FineTuneEnding, FineTuneError, FineTuneOptions, FineTuneProgress, Tuned, TuningRecipe, Verdict,
};
use crate::train::trainer::TrainError;
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
pub(super) struct FineTuneArguments {
    /// Annotated faces: a folder from `awing capture`, corrected with `awing annotate`, or any format that `awing
    /// train` reads [default: the faces that `awing capture` collected]
    #[arg(long, num_args = 1.., value_name = "PATH")]
    data: Vec<PathBuf>,
    /// The file for the tuned model
    #[arg(long, value_name = "TUNED.safetensors", default_value = "tuned.safetensors")]
    out: PathBuf,
    /// The model to fine-tune; its file stays unchanged [default: the bundled one]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// More annotated faces as guards: the tuned model must not be worse on them
    #[arg(long, num_args = 1.., value_name = "FILE.jsonl")]
    guard: Vec<PathBuf>,
    /// Train for at most this many minutes
    #[arg(long, value_name = "M", value_parser = minutes)]
    minutes: Option<f64>,
    /// Number of threads for the network [default: one per core]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// The device to compute on
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceChoice,
    /// Continue the fine-tuning that was stopped
    #[arg(long)]
    resume: bool,
    /// Save the model even if it is refused
    #[arg(long)]
    accept_anyway: bool,
    /// Use the settings in this file instead of the defaults (see docs/fine-tuning.md)
    #[arg(long, value_name = "FILE.toml")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

/// How often a progress line is printed if there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) const EXAMPLES: &str = "\
Examples:
  awing finetune
  awing finetune --data mine.jsonl --out mine.safetensors";

pub(super) fn run(arguments: &FineTuneArguments) -> Result<()> {
    let FineTuneArguments { out, .. } = arguments;
    let data = match arguments.data.as_slice() {
        [] => {
            let samples =
                places::samples().context("there is no home folder to look for faces in; name them with --data")?;
            if !samples.exists() {
                bail!("no faces are collected yet: collect some with `awing capture`, or name others with --data");
            }
            vec![samples]
        }
        data => data.to_vec(),
    };
    let paths = Paths::default().reads("--model", arguments.model.as_ref()).reads("--data", &data);
    let paths = paths.reads("--guard", &arguments.guard).reads("--recipe", arguments.recipe.as_ref());
    let mut paths = paths
        .writes("--out", [out], Content::Model)
        .writes("the report", [beside(out, "json")], Content::Report)
        .writes("the report", [beside(out, "png")], Content::Picture);
    paths.keep_inputs()?;
    if out.exists() {
        bail!(
            "{} exists already, and a tuned model is never replaced: name another file for --out, or remove it",
            out.display()
        );
    }
    if beside(out, "tuning") == *out {
        bail!("--out {}: the unfinished fine-tuning is kept there; give it another extension", out.display());
    }
    paths.check(arguments.overwrite)?;
    keep_other_reports(out, arguments.overwrite)?;
    let base = match &arguments.model {
        None => default_landmarks()?,
        Some(path) => Model::load_as(Kind::Landmarks, path)?,
    };
    let _claim = Claim::of(out)?;
    let mut samples = Vec::new();
    let mut undetected_faces = 0;
    for path in &data {
        samples.extend(read_faces(path, Split::Train)?);
        undetected_faces += collection::undetected_faces(path)?;
    }
    let mut options = FineTuneOptions::new(beside(out, "tuning"));
    options.resume = arguments.resume;
    options.gpu = arguments.device.open()?;
    options.threads = arguments.threads.unwrap_or(options.threads);
    options.limit = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    if let Some(path) = &arguments.recipe {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        options.recipe = TuningRecipe::parse(&text).with_context(|| format!("cannot use {}", path.display()))?;
    }
    for path in &arguments.guard {
        let faces: Vec<Sample> = read_faces(path, Split::Test)?;
        options.guards.push((format!("faces of {}", path.display()), faces));
    }
    paths = paths.reads("--data", samples.iter().flat_map(Sample::files));
    paths.keep_inputs()?;
    options.stop = interrupt::flag()?;
    let work = options.work.clone();
    let mut tuning = FineTune::new(base, samples, options).map_err(|error| explained(error, &work))?;
    let mut progress = TrainingProgress::new(LINE_INTERVAL)?;
    let ending = tuning.run(|p| progress.show(p.step, p.steps, || describe(p)))?;
    progress.finish();
    match ending {
        FineTuneEnding::Paused => print("Stopped. Continue with --resume.\n"),
        FineTuneEnding::Finished(tuned) => {
            // Printed only when nothing can be lost any more.
            let mut said = finish(arguments, &tuned)?;
            if undetected_faces > 0 {
                said += &format!(
                    "The detector had missed {undetected_faces} of the faces. The landmark model was trained on them; the detector \
                     is unchanged.\n"
                );
            }
            tuning.discard()?;
            print(&said)
        }
    }
}

fn describe(p: &FineTuneProgress) -> String {
    let held_out = p.held_out.map(|v| format!(", held-out error {v:.2} % (before {:.2} %)", p.held_out_before));
    let left = indicatif::FormattedDuration(p.time_left);
    let FineTuneProgress { step, steps, images_per_second, loss, .. } = p;
    let held_out = held_out.unwrap_or_default();
    format!("step {step} of {steps}, {images_per_second:.0} images/s, loss {loss:.4}{held_out}, {left} left")
}

/// Writes the report, and the model if it is accepted. Returns what there is to say.
fn finish(arguments: &FineTuneArguments, tuned: &Tuned) -> Result<String> {
    let FineTuneArguments { out, accept_anyway, .. } = arguments;
    let Tuned { model, verdict, picture, .. } = tuned;
    let mut said = report(verdict);
    let (json, png) = (beside(out, "json"), beside(out, "png"));
    write_whole(&json, &serde_json::to_vec_pretty(verdict)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    picture.save(&png)?;
    if verdict.accepted || *accept_anyway {
        let bytes = model.to_bytes(WeightFormat::default())?;
        write_whole(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
        said += &format!("Saved {}. Try it: awing --model {}\n", out.display(), out.display());
        // The verdict is worth knowing all the same.
        let registered = register(arguments, &bytes, verdict).inspect_err(|_| drop(print(&said)))?;
        if let Some(name) = registered {
            said += &format!("To start with it from now on: awing models use {name}\n");
        }
    } else {
        said += "The model was not saved; --accept-anyway would do it.\n";
    }
    said += &format!("Report: {} and {}\n", json.display(), png.display());
    Ok(said)
}

/// Refuses reports that would replace files of another kind.
fn keep_other_reports(out: &Path, overwrite: Overwrite) -> Result<()> {
    let files = [beside(out, "json"), beside(out, "png")];
    let is_report = || fs::read(&files[0]).is_ok_and(|text| serde_json::from_slice::<Verdict>(&text).is_ok());
    match files.iter().find(|file| file.exists()) {
        Some(file) if !overwrite.overwrite && !is_report() => bail!(
            "the report would replace {}, which is no report: name another file for --out, or use --overwrite",
            file.display()
        ),
        _ => Ok(()),
    }
}

/// Adds the model to the user's library, if there is a home folder for it; returns its name there.
fn register(arguments: &FineTuneArguments, bytes: &[u8], verdict: &Verdict) -> Result<Option<String>> {
    let Some(library) = ModelLibrary::of_user() else { return Ok(None) };
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let base = arguments.model.as_deref().map_or_else(|| BUNDLED.into(), name);
    let record = TuningRecord::of(verdict, &name(&arguments.out), &base);
    Ok(Some(library.register(bytes, record)?.name))
}

/// The verdict as text.
fn report(verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut line = |content: String| text += &format!("{content}\n");
    let title = if verdict.accepted { "Accepted" } else { "Refused" };
    line(format!("{title}: {}.", verdict.reason));
    line(format!(
        "Trained on {}, measured on {} held out ({} in all); {} in {:.0} s; share of the trained weights: \
         {:.0} %.",
        counted(verdict.trained_faces, "face"),
        verdict.held_out.faces,
        counted(verdict.clips, "clip"),
        counted(verdict.steps, "step"),
        verdict.seconds,
        100.0 * verdict.share
    ));
    line(String::new());
    line("error, % of the eye distance       faces  before   after  change  95 % interval of the difference".into());
    for change in std::iter::once(&verdict.held_out).chain(&verdict.guards) {
        let (low, high) = change.interval;
        line(format!(
            "{:33}  {:5}  {:6.2}  {:6.2}  {:+5.1} %  {low:+.2} to {high:+.2}",
            change.name,
            change.faces,
            change.before,
            change.after,
            change.percent()
        ));
    }
    line(String::new());
    line("held-out faces, by part                   before   after".into());
    for part in &verdict.parts {
        line(format!("{:40}  {:6.2}  {:6.2}", part.part, part.before, part.after));
    }
    text
}

/// Says what to do about an unfinished fine-tuning that is in the way.
fn explained(error: FineTuneError, work: &Path) -> anyhow::Error {
    if let FineTuneError::Train(TrainError::Occupied(work)) = &error {
        let work = work.display();
        return anyhow!(
            "an unfinished fine-tuning is in {work}: add --resume to continue it, or name another file for --out"
        );
    }
    let what = if error.is_other_tuning() {
        "has other faces, another model or another recipe"
    } else if error.cannot_resume() {
        "can't be continued"
    } else {
        return error.into();
    };
    let work = work.display();
    anyhow::Error::from(error).context(format!(
        "the unfinished fine-tuning in {work} {what}: remove that folder, or name another file for --out"
    ))
}

/// The path of a file or folder that belongs to `out`.
fn beside(out: &Path, extension: &str) -> PathBuf {
    out.with_extension(extension)
}
