//! `awing train`: trains a model on data sets, with or without a recipe.
//!
//! In: data sets; without a recipe, training continues from the bundled model ([`OwnFaces`]). Out: one folder with the
//! last and the best model, the log, the curve and the checkpoint; progress on standard error; on standard output
//! whether the model improved. Ctrl-C and --minutes stop with a checkpoint, from which --resume continues.

use super::device::DeviceChoice;
use super::interrupt;
use super::parse::{minutes, threads};
use super::paths::{Content, Overwrite, Paths};
use super::progress::TrainingProgress;
use crate::program::console::{print, say};
use crate::program::models::BUNDLED;
use crate::runtime::counted::counted;
use crate::runtime::model::{Kind, Model, ModelConfig, default_detector, default_landmarks};
use crate::train::data::{LandmarkTask, Sample, Split, Task, read_faces};
use crate::train::detector::{
    DetectorTask, DetectorValidator, is_list_of_faceless, leave_out_faces_of, read_photographs,
};
use crate::train::eval::LandmarkValidator;
use crate::train::finetune::OwnFaces;
use crate::train::trainer::{
    BEST_FILE, Course, Ending, MODEL_FILE, Progress, Recipe, TrainOptions, Trainer, Validator,
};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(clap::Args)]
pub(super) struct TrainArguments {
    /// Annotated faces to train on, files or folders; recipes that draw pictures without faces need a .txt list of
    /// them, too
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    data: Vec<PathBuf>,
    /// Annotated faces to validate on [default: without a recipe, about a fifth of --data is held out; with one, none]
    #[arg(long, num_args = 1.., value_name = "PATH")]
    validation: Vec<PathBuf>,
    /// The recipe of the training (see recipes/) [default: train the bundled model further, all data sets weighted
    /// equally]
    #[arg(long, value_name = "FILE.toml")]
    recipe: Option<PathBuf>,
    /// Folder for the models, the log, the curve and the checkpoint
    #[arg(long, value_name = "DIR", default_value = "training")]
    out: PathBuf,
    /// Continue the training in --out
    #[arg(long)]
    resume: bool,
    /// Start from the weights of this model, a file or `bundled`, which may have fewer channels and blocks than the
    /// recipe's network; --resume needs it only for recipes with adaptation or map_styles [default: without a recipe,
    /// the bundled model; with one, random weights]
    #[arg(long, value_name = "MODEL")]
    start_from: Option<PathBuf>,
    /// The device to compute on
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceChoice,
    /// Number of threads for the network; one more prepares the pictures [default: one per core]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
    /// Stop after this many minutes; --resume continues
    #[arg(long, value_name = "M", value_parser = minutes)]
    minutes: Option<f64>,
    #[command(flatten)]
    overwrite: Overwrite,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing train --data mine.jsonl
  awing train --recipe recipes/edge-98.toml --data train.jsonl --validation val.jsonl";

/// How often a progress line is printed if there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

fn describe(p: &Progress) -> String {
    let validation = p.validation.map(|v| format!(", validation {v:.3}")).unwrap_or_default();
    let left = indicatif::FormattedDuration(p.time_left);
    let Progress { step, steps, images_per_second, loss, .. } = p;
    format!("step {step} of {steps}, {images_per_second:.0} images/s, loss {loss:.4}{validation}, {left} left")
}

/// The parts of a training: task, recipe, starting weights, validation.
struct Plan {
    recipe: Recipe,
    task: Arc<dyn Task>,
    validator: Option<Box<dyn Validator>>,
    /// Random weights, if there is none.
    start: Option<Model>,
}

/// The contents of all files, one after the other.
fn read_all<T, E>(paths: &[PathBuf], read: impl Fn(&Path) -> Result<Vec<T>, E>) -> Result<Vec<T>, E> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read(path)?);
    }
    Ok(all)
}

fn validator_of(held_out: Vec<Sample>, model: &ModelConfig) -> Result<Box<dyn Validator>> {
    let validator = LandmarkValidator::new(held_out, model);
    Ok(Box::new(validator.map_err(|e| anyhow::Error::from_boxed(e).context("cannot prepare the validation"))?))
}

fn landmark_task_of(recipe: &Recipe, samples: Vec<Sample>) -> Result<LandmarkTask> {
    let options = recipe.landmark_options().context("no landmark scheme has as many points as the model")?;
    Ok(LandmarkTask::new(samples, &recipe.datasets, recipe.augmentation.clone(), options)?)
}

/// Without a recipe: continues the training of a model.
fn of_own_faces(arguments: &TrainArguments) -> Result<Plan> {
    let TrainArguments { data, validation, start_from, .. } = arguments;
    let start = model_to_start_from(start_from.as_deref().unwrap_or(Path::new(BUNDLED)), Kind::Landmarks)?;
    let samples = read_all(data, |path| read_faces(path, Split::Train))?;
    let held_out = (!validation.is_empty()).then(|| read_all(validation, |path| read_faces(path, Split::Test)));
    let OwnFaces { recipe, training, held_out } = OwnFaces::new(&start, samples, held_out.transpose()?)?;
    let steps = recipe.schedule.steps;
    let (trained, measured) = (training.len(), held_out.len());
    let (trained, steps) = (counted(trained, "face"), counted(steps, "step"));
    say(&format!("{trained} to train on, {measured} to validate on, {steps}"));
    say("Only these faces count. awing finetune also preserves the accuracy on other faces.");
    let validator = Some(validator_of(held_out, &recipe.model)?);
    Ok(Plan { task: Arc::new(landmark_task_of(&recipe, training)?), validator, start: Some(start), recipe })
}

fn of_recipe(arguments: &TrainArguments, mut recipe: Recipe) -> Result<Plan> {
    let start = arguments.start_from.as_deref().map(|path| model_to_start_from(path, recipe.model.kind)).transpose()?;
    if recipe.map_styles {
        let fits = start.as_ref().map(|start| &start.config().style_fits).filter(|fits| !fits.is_empty());
        let fits =
            fits.context("the recipe's map_styles needs a model with fitted styles: name it with --start-from")?;
        recipe.model.style_fits = fits.clone();
    }
    let (task, validator) = match recipe.model.kind {
        Kind::Landmarks => landmark_task(arguments, &recipe)?,
        Kind::Detector => detector_task(arguments, &recipe)?,
    };
    Ok(Plan { recipe, task, validator, start })
}

fn model_to_start_from(path: &Path, kind: Kind) -> Result<Model> {
    if path.as_os_str() != BUNDLED {
        return Ok(Model::load_as(kind, path)?);
    }
    Ok(match kind {
        Kind::Landmarks => default_landmarks()?,
        Kind::Detector => default_detector()?,
    })
}

/// The training task, and the validator, if any.
type TaskAndValidator = (Arc<dyn Task>, Option<Box<dyn Validator>>);

fn landmark_task(arguments: &TrainArguments, recipe: &Recipe) -> Result<TaskAndValidator> {
    let TrainArguments { data, validation, .. } = arguments;
    let (lists, data): (Vec<PathBuf>, _) = data.iter().cloned().partition(|path| is_list_of_faceless(path));
    let mut samples = read_all(&data, |path| read_faces(path, Split::Train))?;
    samples.retain(|sample| !recipe.hold_out.contains(sample));
    samples.extend(recipe.procedural()?);
    let task = landmark_task_of(recipe, samples)?;
    let task: Arc<dyn Task> = match (lists.is_empty(), recipe.faceless) {
        (true, None) => Arc::new(task),
        (false, Some(items)) => {
            let faceless = read_all(&lists, |path| read_photographs(path, Split::Train))?;
            let images = faceless.iter().map(|photograph| photograph.image().to_owned()).collect();
            Arc::new(task.with_faceless(images, items)?)
        }
        (true, Some(_)) => bail!("the recipe draws pictures without faces: name a .txt list of them in --data, too"),
        (false, None) => bail!(
            "{} lists pictures without faces: the recipe needs `faceless`, share and weight of the items that show none",
            lists[0].display()
        ),
    };
    let held_out = read_all(validation, |path| read_faces(path, Split::Test))?;
    let validator = (!validation.is_empty()).then(|| validator_of(held_out, &recipe.model));
    Ok((task, validator.transpose()?))
}

fn detector_task(arguments: &TrainArguments, recipe: &Recipe) -> Result<TaskAndValidator> {
    let read = |paths: &[PathBuf], split: Split| read_all(paths, |path| read_photographs(path, split));
    let Recipe { model, augmentation, compositions, .. } = recipe;
    let task = |photographs, datasets: &BTreeMap<String, f64>| {
        DetectorTask::new(photographs, model.input_size, augmentation.clone(), *compositions, datasets)
    };
    let mut photographs = read(&arguments.data, Split::Train)?;
    let held_out = read(&arguments.validation, Split::Test)?;
    let left_out = leave_out_faces_of(&held_out, &mut photographs);
    if left_out > 0 {
        let left_out = counted(left_out, "face");
        say(&format!("without {left_out} from photographs of the validation faces"));
    }
    let training = Arc::new(task(photographs, &recipe.datasets)?);
    if held_out.is_empty() {
        return Ok((training, None));
    }
    let validator = DetectorValidator::new(&task(held_out, &BTreeMap::new())?)?;
    Ok((training, Some(Box::new(validator))))
}

pub(super) fn run(arguments: TrainArguments) -> Result<()> {
    let inputs = Paths::default().reads("--data", &arguments.data).reads("--validation", &arguments.validation);
    let inputs = inputs.reads("--recipe", arguments.recipe.as_ref());
    let inputs = inputs.reads("--start-from", arguments.start_from.as_ref().filter(|_| !arguments.resume));
    let out = |name: &str| arguments.out.join(name);
    let paths = inputs.writes("--out", [MODEL_FILE, BEST_FILE].map(out), Content::Model);
    let paths = paths.writes("--out", [out("checkpoint.safetensors")], Content::Tensors);
    let paths = paths.writes("--out", [out("log.csv")], Content::Text);
    paths.writes("--out", [out("curve.png")], Content::Picture).check(arguments.overwrite)?;
    let Plan { recipe, task, mut validator, start } = match &arguments.recipe {
        Some(path) => of_recipe(&arguments, Recipe::load(path)?)?,
        None => of_own_faces(&arguments)?,
    };
    let mut options = TrainOptions::new(&arguments.out);
    let stop = options.stop.clone();
    interrupt::on_interrupt(move || {
        stop.store(true, Ordering::Relaxed);
        say("\nStopping after this step. Ctrl-C again stops at once and loses everything since the last checkpoint.");
    })?;
    options.resume = arguments.resume;
    options.gpu = arguments.device.open()?;
    options.threads = arguments.threads.unwrap_or(options.threads);
    options.limit = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let mut trainer = Trainer::new(recipe, task, options)?;
    if let Some(start) = start {
        let name = arguments.start_from.as_deref().unwrap_or(Path::new(BUNDLED));
        trainer.start_from(&start).with_context(|| format!("cannot start from {}", name.display()))?;
    }
    let mut progress = TrainingProgress::new(LINE_INTERVAL)?;
    let ending = trainer.run(validator.as_deref_mut().map(|v| v as &mut dyn Validator), |p| {
        progress.show(p.step, p.steps, || describe(p));
    })?;
    progress.finish();
    let mut said = conclusion(ending, &out(MODEL_FILE)) + "\n";
    if let Some(course) = trainer.course() {
        let measure = validator.as_deref().map_or("validation", |v| v.measure_name());
        said += &verdict(&course, measure, trainer.step(), &arguments.out);
    }
    print(&said)
}

fn conclusion(ending: Ending, model: &Path) -> String {
    match ending {
        Ending::Finished => format!("Trained: {}", model.display()),
        Ending::Paused => format!("Stopped. Continue with --resume. Latest model: {}", model.display()),
    }
}

/// Whether the model improved, and which one to use.
fn verdict(course: &Course, measure: &str, step: u64, out: &Path) -> String {
    let &Course { start, best: (best_step, best), last, .. } = course;
    let model = out.join(BEST_FILE);
    let model = model.display();
    let mut text = match start {
        Some(start) if best < start => format!("Better: {start:.3} at the start, {last:.3} now"),
        Some(start) => format!("Not better: {start:.3} at the start, {last:.3} now"),
        None => format!("{last:.3} now"),
    };
    if best_step != step && best_step > 0 {
        text += &format!(", {best:.3} at best, after step {best_step}");
    }
    text += &format!(" ({measure})\n");
    text += &match best_step {
        0 => format!("{model} is the model that it started from\n"),
        _ => format!("Use the best one: awing --model {model}\n"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_says_whether_it_became_better_and_which_model_to_use() {
        let said = |start, best, last| verdict(&Course { start, best, last }, "error, %", 90, Path::new("out"));
        assert!(said(Some(5.0), (90, 4.0), 4.0).starts_with("Better: 5.000 at the start, 4.000 now (error, %)\nUse"));
        assert!(said(Some(5.0), (60, 4.0), 6.0).contains("6.000 now, 4.000 at best, after step 60 (error"));
        let worse = said(Some(5.0), (0, 5.0), 6.0);
        assert!(worse.starts_with("Not better: 5.000") && worse.ends_with("is the model that it started from\n"));
        assert!(said(None, (90, 4.0), 4.0).starts_with("4.000 now"));
    }
}
