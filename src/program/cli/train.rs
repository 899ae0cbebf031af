//! `awing train`: a recipe and data sets in, a model file out.
//!
//! Out, besides: the log, the curve and the checkpoint in the same folder, progress on standard error. Ctrl-C and --minutes
//! stop it with a checkpoint, from which --resume continues.

use super::device::DeviceChoice;
use super::interrupt;
use super::parse::{minutes, threads};
use super::paths::{Content, Overwrite, Paths};
use super::progress::TrainingProgress;
use crate::program::console::say;
use crate::runtime::model::{Kind, Model};
use crate::train::data::{LandmarkTask, Split, Task, read_faces};
use crate::train::detector::{DetectorTask, DetectorValidator, leave_out_faces_of, read_photographs};
use crate::train::eval::LandmarkValidator;
use crate::train::trainer::{Ending, Progress, Recipe, TrainOptions, Trainer, Validator};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(clap::Args)]
pub(super) struct TrainArguments {
    /// Annotated faces to train on; may be given several times
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Annotated faces to validate on; may be given several times
    #[arg(long, num_args = 1.., value_name = "FILE")]
    validation: Vec<PathBuf>,
    /// The recipe (see recipes/)
    #[arg(long, value_name = "FILE.toml")]
    recipe: PathBuf,
    /// Folder for the model, the log, the curve and the checkpoint
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Continue the training in --out
    #[arg(long)]
    resume: bool,
    /// Start from the weights of this model instead of random ones; ignored when a training is continued
    #[arg(long, value_name = "MODEL")]
    start_from: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceChoice,
    /// Number of threads for the network; the loader has one of its own [default: one per core]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Stop after this many minutes, with a checkpoint
    #[arg(long, value_name = "M", value_parser = minutes)]
    minutes: Option<f64>,
    #[command(flatten)]
    overwrite: Overwrite,
}

/// How often a line of progress is printed where there is no terminal to draw a bar in.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

fn describe(p: &Progress) -> String {
    let validation = p.validation.map(|v| format!(", validation {v:.3}")).unwrap_or_default();
    let left = indicatif::FormattedDuration(p.time_left);
    let Progress { step, steps, images_per_second, loss, .. } = p;
    format!("step {step} of {steps}, {images_per_second:.0} images/s, loss {loss:.4}{validation}, {left} left")
}

/// What is trained, and what is validated on, if anything.
type TaskAndValidator = (Arc<dyn Task>, Option<Box<dyn Validator>>);

/// What all the files hold, one after the other.
fn read_all<T, E>(paths: &[PathBuf], read: impl Fn(&Path) -> Result<Vec<T>, E>) -> Result<Vec<T>, E> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read(path)?);
    }
    Ok(all)
}

fn landmark_task(arguments: &TrainArguments, recipe: &Recipe) -> Result<TaskAndValidator> {
    let TrainArguments { data, validation, .. } = arguments;
    let options = recipe.landmark_options().context("no landmark scheme has as many points as the model")?;
    let mut samples = read_all(data, |path| read_faces(path, Split::Train))?;
    samples.retain(|sample| !recipe.hold_out.contains(sample));
    let task = LandmarkTask::new(samples, &recipe.datasets, recipe.augmentation.clone(), options)?;
    if validation.is_empty() {
        return Ok((Arc::new(task), None));
    }
    let held_out = read_all(validation, |path| read_faces(path, Split::Test))?;
    let validator = LandmarkValidator::new(held_out, &recipe.model)
        .map_err(|e| anyhow::Error::from_boxed(e).context("cannot prepare the validation"))?;
    Ok((Arc::new(task), Some(Box::new(validator))))
}

fn detector_task(arguments: &TrainArguments, recipe: &Recipe) -> Result<TaskAndValidator> {
    let read = |paths: &[PathBuf], split: Split| read_all(paths, |path| read_photographs(path, split));
    let task = |photographs| {
        DetectorTask::new(photographs, recipe.model.input_size, recipe.augmentation.clone(), recipe.compositions)
    };
    let mut photographs = read(&arguments.data, Split::Train)?;
    let held_out = read(&arguments.validation, Split::Test)?;
    let left_out = leave_out_faces_of(&held_out, &mut photographs);
    if left_out > 0 {
        say(&format!("{left_out} faces are left out: they are cut from photographs of the validation"));
    }
    let training = Arc::new(task(photographs)?);
    if held_out.is_empty() {
        return Ok((training, None));
    }
    let validator = DetectorValidator::new(&task(held_out)?)?;
    Ok((training, Some(Box::new(validator))))
}

pub(super) fn run(arguments: TrainArguments) -> Result<()> {
    let inputs = Paths::default().reads("--data", &arguments.data).reads("--validation", &arguments.validation);
    let inputs = inputs.reads("--recipe", [&arguments.recipe]);
    let inputs = inputs.reads("--start-from", arguments.start_from.as_ref().filter(|_| !arguments.resume));
    let out = |name: &str| [arguments.out.join(name)];
    let paths = inputs.writes("--out", out("model.safetensors"), Content::Model);
    let paths = paths.writes("--out", out("checkpoint.safetensors"), Content::Model);
    let paths = paths.writes("--out", out("log.csv"), Content::Text);
    paths.writes("--out", out("curve.png"), Content::Picture).check(arguments.overwrite)?;
    let recipe = Recipe::load(&arguments.recipe)?;
    let (task, mut validator) = match recipe.model.kind {
        Kind::Landmarks => landmark_task(&arguments, &recipe)?,
        Kind::Detector => detector_task(&arguments, &recipe)?,
    };
    let limit = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let mut options = TrainOptions::new(&arguments.out);
    let stop = options.stop.clone();
    interrupt::on_interrupt(move || {
        stop.store(true, Ordering::Relaxed);
        say("\nstopping with a checkpoint after this step (Ctrl-C again: at once, without one)");
    })?;
    options.resume = arguments.resume;
    options.gpu = arguments.device.open()?;
    options.threads = arguments.threads.unwrap_or(options.threads);
    options.limit = limit;
    let kind = recipe.model.kind;
    let mut trainer = Trainer::new(recipe, task, options)?;
    if let Some(path) = &arguments.start_from {
        let start = Model::load_as(kind, path)?;
        trainer.start_from(&start).with_context(|| format!("cannot start from {}", path.display()))?;
    }
    let mut progress = TrainingProgress::new(LINE_INTERVAL)?;
    let ending = trainer.run(validator.as_deref_mut().map(|v| v as &mut dyn Validator), |p| {
        progress.show(p.step, p.steps, || describe(p));
    })?;
    progress.finish();
    let model = arguments.out.join("model.safetensors");
    match ending {
        Ending::Finished => println!("trained: {}", model.display()),
        Ending::Paused => println!("stopped; continue with --resume. Latest model: {}", model.display()),
    }
    Ok(())
}
