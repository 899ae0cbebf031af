//! `awing models`: the tuned models of this computer.
//!
//! Out, on standard output: a table of the models, or what was done. `use` and `rollback` change the model that awing
//! starts with, `remove` deletes one; `compare` evaluates two on annotated faces; `average` writes a file with the mean
//! of several.

use super::comparison::comparison_table;
use super::paths::{Content, Overwrite, Paths};
use crate::program::console::print;
use crate::program::models::{BUNDLED, ModelLibrary, TuningRecord};
use crate::runtime::engine::{Landmarker, Outputs, Precision};
use crate::runtime::model::{Kind, Model, default_landmarks};
use crate::train::data::{Sample, Split, read_faces};
use crate::train::eval::metrics::Norm;
use crate::train::eval::{BoxSource, EvalOptions, Evaluation, compare, evaluate};
use crate::train::network::averaged;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Errors above this count as failures, as a fraction of the norm.
const FAILURE: f64 = 0.1;

#[derive(clap::Args)]
pub(super) struct ModelsArguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the models (the default)
    List,
    /// Choose the model that awing starts with
    Use {
        /// A model from the list, or `bundled`
        name: String,
    },
    /// Go back to the previously chosen model
    Rollback,
    /// Delete a model that is not in use
    Remove {
        /// A model from the list
        name: String,
    },
    /// Compare two models on annotated faces: the differences, second minus first, with 95 % confidence intervals
    Compare {
        /// A model from the list, `bundled`, or a model file
        first: String,
        /// The same for the second
        second: String,
        /// Annotated faces, files or folders; faces that a model was tuned on favour that model
        #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
        data: Vec<PathBuf>,
    },
    /// Average the weights of trainings that followed one another: often better than each of them
    Average {
        /// Model files of one network; one that is named twice counts twice. The description is that of the last
        #[arg(required = true, num_args = 2.., value_name = "MODEL")]
        models: Vec<PathBuf>,
        /// The model file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing models
  awing models use mine
  awing models compare bundled mine --data faces/val.jsonl
  awing models average first/model.safetensors second/model.safetensors --out mean.safetensors";

/// Runs the command.
pub(super) fn run(arguments: &ModelsArguments) -> Result<()> {
    let library = ModelLibrary::of_user().context("there is no home folder to keep tuned models in")?;
    let text = match arguments.action.as_ref().unwrap_or(&Action::List) {
        Action::List => table(&library)?,
        Action::Use { name } => {
            library.choose((name != BUNDLED).then_some(name))?;
            now_starts_with(&library)?
        }
        Action::Rollback => {
            library.roll_back()?;
            now_starts_with(&library)?
        }
        Action::Remove { name } => {
            library.remove(name)?;
            format!("removed {name}\n")
        }
        Action::Compare { first, second, data } => compare_models(&library, first, second, data)?,
        Action::Average { models, out, overwrite } => average(models, out, *overwrite)?,
    };
    print(&text)
}

fn now_starts_with(library: &ModelLibrary) -> Result<String> {
    let Some(name) = library.chosen()? else { return Ok("awing now starts with the bundled model\n".into()) };
    let TuningRecord { accepted, verdict, .. } = library.record(&name)?;
    let doubt = if accepted { "" } else { "\nIts fine-tuning was not accepted; awing models rollback goes back." };
    Ok(format!("awing now starts with {name}: {verdict}{doubt}\n"))
}

fn average(models: &[PathBuf], out: &Path, overwrite: Overwrite) -> Result<String> {
    Paths::default().reads("MODEL", models).writes("--out", [out], Content::Model).check(overwrite)?;
    let mut read = models.iter().map(|path| Model::load(path)).collect::<Result<Vec<_>, _>>()?;
    let last = read.pop().context("two models are needed")?;
    averaged(&last, &read).context("only models of the same network have an average")?.save(out)?;
    Ok(format!("wrote {}\n", out.display()))
}

/// A row for each model, the chosen one with a star.
fn table(library: &ModelLibrary) -> Result<String> {
    let chosen = library.chosen()?;
    let star = |name: Option<&str>| if chosen.as_deref() == name { '*' } else { ' ' };
    let errors = |before: Option<f64>, after: Option<f64>| match (before, after) {
        (Some(before), Some(after)) => format!("{before:.2} to {after:.2}"),
        _ => "-".into(),
    };
    let names = library.names()?;
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(BUNDLED.len());
    let mut text = format!(
        "  {:<width$}  {:<10}  {:>5}  {:>5}  {:<13}  {:<13}  {:<12}  verdict\n{} {BUNDLED}\n",
        "model",
        "tuned",
        "faces",
        "clips",
        "held-out, %",
        "guard, %",
        "from",
        star(None)
    );
    for name in &names {
        let _ = match library.record(name) {
            Ok(record) => {
                let TuningRecord { base, samples, clips, accepted, verdict, .. } = &record;
                let refused = if *accepted { "" } else { "not accepted: " };
                let held_out = errors(record.held_out_before, record.held_out_after);
                let guard = errors(record.guard_before, record.guard_after);
                let base: String = base.chars().take(12).collect();
                writeln!(
                    text,
                    "{} {name:<width$}  {:<10}  {samples:>5}  {clips:>5}  {held_out:<13}  {guard:<13}  {base:<12}  {refused}{verdict}",
                    star(Some(name)),
                    record.date()
                )
            }
            Err(error) => writeln!(text, "{} {name:<width$}  {error:#}", star(Some(name))),
        };
    }
    let note = match names.is_empty() {
        true => "awing finetune makes tuned models.",
        false => "* awing starts with this model. Errors before and after fine-tuning, in % of the eye distance.",
    };
    let _ = writeln!(text, "{note}");
    Ok(text)
}

fn compare_models(library: &ModelLibrary, first: &str, second: &str, data: &[PathBuf]) -> Result<String> {
    let models = [first, second].map(|name| model(library, name));
    let mut samples = Vec::new();
    for path in data {
        samples.extend(read_faces(path, Split::Test)?);
    }
    let bar = ProgressBar::new(2 * samples.len() as u64);
    let mut evaluations = Vec::new();
    for model in models {
        evaluations.push(measure(&model?, &samples, &bar)?);
    }
    bar.finish_and_clear();
    let comparisons = compare(&evaluations[0], &evaluations[1])?;
    Ok(format!("first: {first}, second: {second}\n{}", comparison_table(&comparisons)))
}

fn model(library: &ModelLibrary, name: &str) -> Result<Model> {
    if name == BUNDLED {
        return Ok(default_landmarks()?);
    }
    match library.file(name) {
        Ok(file) => Ok(Model::load_as(Kind::Landmarks, &file)?),
        // A file elsewhere.
        Err(_) if Path::new(name).exists() => Ok(Model::load_as(Kind::Landmarks, Path::new(name))?),
        Err(unknown) => Err(unknown),
    }
}

fn measure(model: &Model, samples: &[Sample], bar: &ProgressBar) -> Result<Evaluation> {
    let mut landmarker = Landmarker::new(model, Outputs::Decoded, Precision::default())?;
    let options = EvalOptions {
        norm: Norm::InterOcular,
        thresholds: vec![FAILURE],
        box_source: BoxSource::Truth,
        second_look: false,
    };
    Ok(evaluate(&mut landmarker, &mut |_| Ok(Vec::new()), samples, &options, || bar.inc(1))?)
}
