//! The training loop.
//!
//! In: a recipe, a task and an output folder. Out: in that folder the last model (the average of the weights), the best
//! model by validation, a log, a learning curve and a checkpoint, each of them complete at any moment; in memory the
//! progress after every step. Fails with [`TrainError`]; files written before stay.

use super::checkpoint::{self, Position, TrainingState};
use super::compute::Compute;
use super::error::{CheckpointError, TrainError};
use super::log::{self, LogRow};
use super::optimizer::{Moments, global_norm, update};
use super::recipe::Recipe;
use crate::runtime::files::{Claim, Claimed, Staged, target_of_unfinished};
use crate::runtime::model::graph::Parameter;
use crate::runtime::model::{Model, WeightFormat};
use crate::runtime::workers::MOST_THREADS;
use crate::train::data::{Batch, Loader, Task};
use crate::train::gpu::{Gpu, Gradients};
use crate::train::network::{CpuNetwork, Network, grown, initial_values};
use crate::train::ops::parallel::Pool;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Measures a model during training.
pub trait Validator: Send {
    /// The name of the measure, for the log and the curve: "validation NME, %".
    fn measure_name(&self) -> &str;

    /// The measure of `model`, whose weights are the averages so far; lower is better. `network` runs it on the
    /// training's device.
    ///
    /// # Errors
    /// Any error; it ends the training.
    fn measure(
        &mut self,
        model: &Model,
        network: &mut dyn Network,
    ) -> Result<f64, Box<dyn std::error::Error + Send + Sync>>;
}

/// The output folder, duration and device of a training; the recipe has the rest. [`Self::new`] has the defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainOptions {
    /// Folder for checkpoint, log, curve and model; created if missing.
    pub out: PathBuf,
    /// Continue the training in `out`, if there is one (default: no, and a folder with a training is refused).
    pub resume: bool,
    /// The GPU that computes forward and backward passes (default: none, the CPU does).
    pub gpu: Option<Gpu>,
    /// Threads for the network on the CPU, at least one; the loader has its own (default: all cores). The model
    /// depends on their number, bit for bit.
    pub threads: usize,
    /// Stop, with a checkpoint, after this long (default: never).
    pub limit: Option<Duration>,
    /// Time between two checkpoints (default: two minutes).
    pub checkpoint_interval: Duration,
    /// Set from outside to stop, with a checkpoint, after the current step.
    pub stop: Arc<AtomicBool>,
}

impl TrainOptions {
    /// A new training into `out` on all cores of the CPU, to the end of the schedule.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            resume: false,
            gpu: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            limit: None,
            checkpoint_interval: Duration::from_secs(120),
            stop: Arc::default(),
        }
    }
}

/// The progress of a training, after every step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Steps done, of `steps`.
    pub step: u64,
    /// Steps of the schedule.
    pub steps: u64,
    /// Pictures a second since this session began.
    pub images_per_second: f64,
    /// Mean loss since the last line of the log.
    pub loss: f64,
    /// The newest validation measure, in the validator's unit.
    pub validation: Option<f64>,
    /// Until the schedule or the time limit ends, at the pace of this session.
    pub time_left: Duration,
}

/// The validation measures of a training; lower is better.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Course {
    /// Before the first step.
    pub start: Option<f64>,
    /// The lowest, and after how many steps.
    pub best: (u64, f64),
    /// The newest.
    pub last: f64,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps of the schedule are done.
    Finished,
    /// Stopped before, by the time limit or from outside; it can be resumed.
    Paused,
}

/// Steps for one line of the log.
const LOG_STEPS: u64 = 50;
/// The average forgets faster in the beginning: its decay is `(t + 1) / (t + AVERAGE_WARMUP)` while that is less.
const AVERAGE_WARMUP: f64 = 20.0;

/// A training under way.
///
/// The same recipe, data, seed and number of threads train the same model, bit for bit, whether it was stopped in
/// between or not.
pub struct Trainer {
    recipe: Recipe,
    options: TrainOptions,
    task: Arc<dyn Task>,
    compute: Compute,
    parameters: Vec<Parameter>,
    position: Position,
    state: TrainingState,
    /// The weights that the training started from, if they are those of a model.
    start: Option<Vec<Vec<f32>>>,
    rows: Vec<LogRow>,
    /// The lock that keeps other trainings out of the folder.
    _claim: Option<Claim>,
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("recipe", &self.recipe)
            .field("options", &self.options)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// The trained model, in the output folder.
pub const MODEL_FILE: &str = "model.safetensors";
/// The model that was best in validation, beside it.
pub const BEST_FILE: &str = "best.safetensors";

/// What a training writes.
fn files(folder: &Path) -> [PathBuf; 5] {
    let [model, best] = [MODEL_FILE, BEST_FILE].map(|name| folder.join(name));
    [model, best, log::path(folder), log::curve_path(folder), checkpoint::path(folder)]
}

/// Removes what a training has written to its folder, and the folder if nothing else is in it.
///
/// # Errors
/// [`TrainError::Write`].
pub fn remove_training(folder: &Path) -> Result<(), TrainError> {
    remove_unfinished(folder)?;
    files(folder).iter().try_for_each(|path| remove_file(path))?;
    match std::fs::remove_dir(folder) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {
            Err(TrainError::Write { path: folder.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Removes what killed trainings left of files that they were writing.
fn remove_unfinished(folder: &Path) -> Result<(), TrainError> {
    let own = files(folder);
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let target = name.to_str().and_then(target_of_unfinished);
        if target.is_some_and(|target| own.contains(&folder.join(target))) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<(), TrainError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(TrainError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

impl Trainer {
    /// Prepares a training: a new one with random weights, or the one in the output folder where it stopped.
    ///
    /// # Errors
    /// [`TrainError::InUse`] if another training is at work in `out`, [`TrainError::Occupied`] if `out` holds a
    /// training and `resume` is off, [`TrainError::Unresumable`] if it holds a file that a training would overwrite, but no
    /// checkpoint, [`TrainError::Checkpoint`] if its checkpoint is of another recipe or damaged; what
    /// the device and the file system report.
    pub fn new(recipe: Recipe, task: Arc<dyn Task>, options: TrainOptions) -> Result<Self, TrainError> {
        std::fs::create_dir_all(&options.out)
            .map_err(|source| TrainError::Write { path: options.out.clone(), source })?;
        let claim = Claim::of(&options.out).map_err(|Claimed { path, holder }| TrainError::InUse { path, holder })?;
        remove_unfinished(&options.out)?;
        let graph = recipe.model.graph();
        let parameters = graph.parameters();
        let there = checkpoint::path(&options.out).exists();
        if there && !options.resume {
            return Err(TrainError::Occupied(options.out));
        }
        if !there {
            let [model, best, log, curve, _] = files(&options.out);
            // Log and curve without a model are what a training leaves that is killed in its first checkpoint.
            let is_own_log = log::read_log(&log).is_ok();
            let others = [model, best].into_iter().chain([log, curve].into_iter().filter(|_| !is_own_log));
            if let Some(path) = others.into_iter().find(|path| path.exists()) {
                return Err(TrainError::Unresumable(path));
            }
        }
        if !there && options.resume {
            tracing::warn!("there is no training in {} to go on with: a new one begins", options.out.display());
        }
        let data = task.fingerprint();
        let (mut position, state, rows) = if there {
            let (position, state) = checkpoint::load(&options.out, &recipe, &data, &parameters)?;
            let mut rows = log::read_log(&log::path(&options.out))?;
            rows.retain(|r| r.step <= position.step);
            (position, state, rows)
        } else {
            let values = initial_values(&graph, recipe.seed);
            let moments = values.iter().map(|v| Moments::zero(v.len())).collect();
            let state = TrainingState { averages: values.clone(), values, moments };
            (Position { step: 0, seconds: 0.0, data: None, start: None }, state, Vec::new())
        };
        position.data = Some(data);
        let compute = Compute::new(&recipe.model, &state.values, &recipe.adaptation, options.gpu.as_ref())?;
        Ok(Self { recipe, options, task, compute, parameters, position, state, start: None, rows, _claim: claim })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.position.step
    }

    /// Time spent training, over all sessions.
    pub fn seconds(&self) -> f64 {
        self.position.seconds
    }

    /// The results of the validations so far; `None` before the first.
    pub fn course(&self) -> Option<Course> {
        let measured = || self.rows.iter().filter_map(|row| Some((row.step, row.validation?)));
        let best = measured().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let start = measured().next().filter(|(step, _)| *step == 0).map(|(_, measure)| measure);
        Some(Course { start, best, last: measured().next_back()?.1 })
    }

    /// Starts a new training from the weights of a model; a continued one uses them only for its recipe's
    /// `adaptation`. A model with fewer channels or blocks than the recipe's network starts it with the same output.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] if the recipe holds the weights to those of another model, from which the continued
    /// training started; [`TrainError::Model`] with the first tensor that does not fit if the model is larger or of another architecture;
    /// what the device reports.
    pub fn start_from(&mut self, model: &Model) -> Result<(), TrainError> {
        let graph = self.recipe.model.graph();
        let values = grown(&graph, initial_values(&graph, self.recipe.seed), model)?;
        let hash = checkpoint::hash(&values);
        if self.recipe.adaptation.anchor > 0.0 && self.position.start.as_ref().is_some_and(|old| *old != hash) {
            let path = checkpoint::path(&self.options.out);
            return Err(TrainError::Checkpoint { path, source: CheckpointError::OtherStart });
        }
        if self.position.step == 0 {
            self.position.start = Some(hash);
            self.state.averages.clone_from(&values);
            self.state.values.clone_from(&values);
            self.compute.set(&self.state.values)?;
        }
        self.start = Some(values);
        Ok(())
    }

    /// Trains until the schedule or the time limit ends, or until `stop` is set. The model (the average of the weights)
    /// is then in `out/model.safetensors`, and the one with the lowest validation measure in `out/best.safetensors`.
    /// Validation runs before the first step, at intervals, and at the end of the schedule or the time limit.
    /// `on_progress` is called after every step.
    ///
    /// # Errors
    /// [`TrainError`]; the files of the last checkpoint stay whole.
    pub fn run(
        &mut self,
        validator: Option<&mut dyn Validator>,
        mut on_progress: impl FnMut(&Progress),
    ) -> Result<Ending, TrainError> {
        Pool::new(self.options.threads.clamp(1, MOST_THREADS)).install(|| self.steps(validator, &mut on_progress))
    }

    fn steps(
        &mut self,
        mut validator: Option<&mut (dyn Validator + '_)>,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Ending, TrainError> {
        if self.recipe.adaptation.anchor > 0.0 && self.start.is_none() {
            return Err(TrainError::NoStart);
        }
        let steps = self.recipe.schedule.last_step();
        // The last session may have been killed between checkpoint and models.
        if self.position.step == steps {
            self.model()?.save(&self.options.out.join(MODEL_FILE))?;
        }
        if self.is_best() {
            self.model()?.save(&self.options.out.join(BEST_FILE))?;
        }
        let mut loader =
            Loader::new(self.task.clone(), self.recipe.batch_size, self.recipe.seed, self.position.step, 1)?;
        let (started, seconds_before, step_before) = (Instant::now(), self.position.seconds, self.position.step);
        let mut last_checkpoint = Instant::now();
        let (mut loss_sum, mut loss_count) = (0.0, 0_u64);
        if self.position.step == 0
            && self.rows.is_empty()
            && let Some(validator) = validator.as_deref_mut()
        {
            // The baseline for everything after it.
            let start = self.validate(validator)?;
            self.log(None, Some(start));
            self.save(validator.measure_name())?;
        }
        let mut validation = self.rows.iter().rev().find_map(|r| r.validation);
        while self.position.step < steps {
            loss_sum += self.train_on(loader.next()?)?;
            loss_count += 1;
            self.position.seconds = seconds_before + started.elapsed().as_secs_f64();
            let step = self.position.step;
            let is_last = step == steps;
            let time_is_up = self.options.limit.is_some_and(|limit| started.elapsed() >= limit);
            let mut measured = None;
            if (step.is_multiple_of(self.recipe.validate_every) || is_last || time_is_up)
                && let Some(validator) = validator.as_deref_mut()
            {
                measured = Some(self.validate(validator)?);
                validation = measured;
            }
            let steps_per_second = (step - step_before) as f64 / started.elapsed().as_secs_f64().max(1e-9);
            let until_limit = self.options.limit.map(|limit| limit.saturating_sub(started.elapsed()));
            let until_end = Duration::try_from_secs_f64((steps - step) as f64 / steps_per_second);
            let until_end = until_end.unwrap_or(Duration::MAX);
            let progress = Progress {
                step,
                steps,
                images_per_second: steps_per_second * self.recipe.batch_size as f64,
                loss: loss_sum / loss_count as f64,
                validation,
                time_left: until_limit.map_or(until_end, |limit| limit.min(until_end)),
            };
            on_progress(&progress);
            if step.is_multiple_of(LOG_STEPS) || is_last || measured.is_some() {
                self.log(Some(progress.loss), measured);
                (loss_sum, loss_count) = (0.0, 0);
            }
            let stop = !is_last && (time_is_up || self.options.stop.load(Ordering::Relaxed));
            if last_checkpoint.elapsed() >= self.options.checkpoint_interval || is_last || stop || measured.is_some() {
                let name = validator.as_deref().map_or("", |v| v.measure_name());
                self.save(name)?;
                last_checkpoint = Instant::now();
            }
            if stop {
                return Ok(Ending::Paused);
            }
        }
        Ok(Ending::Finished)
    }

    /// The learning rate of the next step after `step` steps.
    fn learning_rate(&self, step: u64) -> f64 {
        self.recipe.optimizer.learning_rate * self.recipe.schedule.factor(step)
    }

    /// Adds a line to the log.
    fn log(&mut self, loss: Option<f64>, validation: Option<f64>) {
        let Position { step, seconds, .. } = self.position;
        self.rows.push(LogRow {
            step,
            images: step * self.recipe.batch_size as u64,
            seconds,
            learning_rate: self.learning_rate(step.saturating_sub(1)),
            loss,
            validation,
        });
    }

    /// The next step of the schedule, on a given batch and in the current thread pool; returns the loss, summed over
    /// the stacks. [`Self::run`] does the same with the batches of the task, and writes log and checkpoints.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if loss or gradient are not finite; the weights are then as before the step. What the
    /// device reports for a batch of another shape than the task's.
    pub fn train_on(&mut self, batch: Batch) -> Result<f64, TrainError> {
        let step = self.position.step;
        let rate = self.learning_rate(step);
        let Gradients { loss, mut of_parameters, running } =
            self.compute.gradients(&*self.task, &self.state.values, batch)?;
        let adaptation = &self.recipe.adaptation;
        // Before the norm, so that what is frozen does not clip the rest.
        for (gradient, p) in of_parameters.iter_mut().zip(&self.parameters) {
            gradient.take_if(|_| adaptation.is_frozen(&p.name));
        }
        let norm = global_norm(of_parameters.iter().flatten().map(Vec::as_slice));
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(TrainError::Diverged { step, out: self.options.out.clone() });
        }
        let scale = self.recipe.optimizer.clip_norm.map_or(1.0, |longest| (longest / norm.max(1e-12)).min(1.0));
        let decay = self.recipe.average_decay.min((step + 1) as f64 / (step as f64 + AVERAGE_WARMUP)) as f32;
        for (number, value) in running.into_iter().filter(|(i, _)| !adaptation.is_frozen(&self.parameters[*i].name)) {
            self.state.values[number] = value;
        }
        for (i, p) in self.parameters.iter().enumerate() {
            let value = &mut self.state.values[i];
            if let Some(gradient) = &of_parameters[i] {
                let moments = &mut self.state.moments[i];
                update(&self.recipe.optimizer, p.role, step, rate, scale, value, gradient, moments);
                if let Some(start) = self.start.as_ref().filter(|_| adaptation.anchor > 0.0) {
                    pull((rate * adaptation.anchor) as f32, &start[i], value);
                }
            }
            for (average, v) in self.state.averages[i].iter_mut().zip(value.iter()) {
                *average = decay * *average + (1.0 - decay) * v;
            }
        }
        self.compute.set(&self.state.values)?;
        self.position.step += 1;
        Ok(loss)
    }

    fn validate(&self, validator: &mut dyn Validator) -> Result<f64, TrainError> {
        let average = self.model()?;
        let mut network: Box<dyn Network> = match &self.options.gpu {
            None => Box::new(CpuNetwork::new(&average)),
            Some(gpu) => gpu.network(&average).map_err(|error| TrainError::Device(error.into()))?,
        };
        let measure = validator.measure(&average, &mut *network).map_err(TrainError::Validation)?;
        if measure.is_finite() {
            Ok(measure)
        } else {
            Err(TrainError::Diverged { step: self.position.step, out: self.options.out.clone() })
        }
    }

    /// The average of the weights so far as a model. Its training record has the steps, pictures and seconds, and the
    /// last validation measure.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`](crate::ModelError::NotFinite) if the training has diverged.
    pub fn model(&self) -> Result<Model, TrainError> {
        let tensors = self.parameters.iter().map(|p| p.name.clone()).zip(self.state.averages.iter().cloned());
        let mut config = self.recipe.model.clone();
        config.training.insert("steps".into(), self.position.step.into());
        config.training.insert("images".into(), (self.position.step * self.recipe.batch_size as u64).into());
        config.training.insert("seconds".into(), (self.position.seconds.round() as u64).into());
        if let Some(v) = self.rows.iter().rev().find_map(|r| r.validation) {
            config.training.insert("validation".into(), v.into());
        }
        Ok(Model::new(config, tensors.collect())?)
    }

    /// Whether the last validation was now, and the best one.
    fn is_best(&self) -> bool {
        self.course().is_some_and(|course| course.best.0 == self.position.step)
    }

    fn save(&self, measure: &str) -> Result<(), TrainError> {
        let Self { options, recipe, position, parameters, state, rows, .. } = self;
        let written = |path: PathBuf| move |source: std::io::Error| TrainError::Write { path, source };
        let model_path = options.out.join(MODEL_FILE);
        // The large ones first and beside their places: a training that has diverged, or a full disk, leaves what was
        // there.
        let model = self.model()?.to_bytes(WeightFormat::default())?;
        let best_path = options.out.join(BEST_FILE);
        let best = self
            .is_best()
            .then(|| Staged::write(&best_path, &model))
            .transpose()
            .map_err(written(best_path.clone()))?;
        let model = Staged::write(&model_path, &model).map_err(written(model_path.clone()))?;
        let checkpoint = checkpoint::stage(&options.out, recipe, position, parameters, state)?;
        log::write(&options.out, rows)?;
        log::draw_curve(&options.out, rows, measure)?;
        checkpoint.place().map_err(written(checkpoint::path(&options.out)))?;
        // At last, so that a model never lies there without a checkpoint.
        best.map_or(Ok(()), Staged::place).map_err(written(best_path))?;
        model.place().map_err(written(model_path))
    }
}

/// Moves every value to `target` by a share of its distance.
fn pull(share: f32, target: &[f32], values: &mut [f32]) {
    values.iter_mut().zip(target).for_each(|(value, target)| *value += share * (target - *value));
}
