//! The fine-tuning itself: training, interpolation with the base, verdict.
//!
//! In: a base model, accepted faces and [`FineTuneOptions`]. Out: progress after every step, and at the end [`Tuned`].
//! The folder of the options holds the unfinished training. Fails with [`FineTuneError`].

use super::error::FineTuneError;
use super::labels::{Split, split};
use super::measure::{Faces, Measured, mean_percent, part_percent};
use super::picture;
use super::recipe::TuningRecipe;
use super::verdict::{Change, MOST_PROCEDURAL_RISE, PartChange, Tried, Verdict, judge};
use crate::runtime::engine::Precision;
use crate::runtime::image::Frame;
use crate::runtime::landmarks::{Part, Scheme};
use crate::runtime::model::{Kind, Model, ModelConfig};
use crate::train::data::{LandmarkTask, Sample};
use crate::train::fnv::Fnv1a;
use crate::train::gpu::Gpu;
use crate::train::network::Network;
use crate::train::quantize::quantize;
use crate::train::synth::{self, portraits};
use crate::train::trainer::{
    CheckpointError, Ending, Recipe, TrainError, TrainOptions, Trainer, Validator, remove_training,
};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The folder, duration and device of a fine-tuning. [`Self::new`] has the defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FineTuneOptions {
    /// Folder of the training; made if it is not there, and removed by [`FineTune::discard`].
    pub work: PathBuf,
    /// Continue the unfinished training in `work`, if there is one (default: no, and such a folder is refused).
    pub resume: bool,
    /// How to tune (default: [`TuningRecipe::default`]).
    pub recipe: TuningRecipe,
    /// Named sets of annotated faces on which the tuned model must not be worse, beside the procedural ones (default:
    /// none).
    pub guards: Vec<(String, Vec<Sample>)>,
    /// The GPU that computes forward and backward passes (default: none, the CPU does).
    pub gpu: Option<Gpu>,
    /// Threads for the network (default: all cores). The model depends on their number, bit for bit.
    pub threads: usize,
    /// Train for at most this long, then give the verdict (default: until the schedule ends).
    pub limit: Option<Duration>,
    /// Set from outside to stop, with a checkpoint, after the current step.
    pub stop: Arc<AtomicBool>,
}

impl FineTuneOptions {
    /// A new tuning on all cores of the CPU, guarded by procedural faces.
    pub fn new(work: impl Into<PathBuf>) -> Self {
        let TrainOptions { out: work, resume, gpu, threads, limit, stop, .. } = TrainOptions::new(work);
        let recipe = TuningRecipe::default();
        Self { work, resume, recipe, guards: Vec::new(), gpu, threads, limit, stop }
    }
}

/// The progress of a fine-tuning, after every step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FineTuneProgress {
    /// Steps done, of `steps`.
    pub step: u64,
    pub steps: u64,
    pub images_per_second: f64,
    /// Mean loss of the last steps.
    pub loss: f64,
    /// The base's error on the held-out faces, in percent of the eye distance.
    pub held_out_before: f64,
    /// The newest error there, at half the interpolation between base and trained weights.
    pub held_out: Option<f64>,
    pub time_left: Duration,
}

/// The result of a fine-tuning.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tuned {
    /// The tuned model. Use it only if the verdict accepts it.
    pub model: Model,
    pub verdict: Verdict,
    /// Errors before and after, and six held-out faces with both predictions.
    pub picture: Frame,
}

/// How a fine-tuning ended.
#[derive(Debug)]
pub enum FineTuneEnding {
    /// With a verdict.
    Finished(Box<Tuned>),
    /// Stopped before from outside; it can be resumed.
    Paused,
}

/// A fine-tuning under way.
///
/// ```no_run
/// use awing::Models;
/// use awing::train::{FineTune, FineTuneEnding, FineTuneOptions, Split, read_faces};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let base = Models::bundled()?.landmarks;
/// let faces = read_faces("samples".as_ref(), Split::Train)?;
/// let mut tuning = FineTune::new(base, faces, FineTuneOptions::new("tuning"))?;
/// let ending = tuning.run(|p| println!("step {} of {}: held-out error {:?} %", p.step, p.steps, p.held_out))?;
/// if let FineTuneEnding::Finished(tuned) = ending {
///     println!("{}", tuned.verdict.reason);
///     if tuned.verdict.accepted {
///         tuned.model.save("tuned.safetensors".as_ref())?;
///     }
///     tuning.discard()?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct FineTune {
    base: Model,
    recipe: TuningRecipe,
    options: FineTuneOptions,
    trainer: Trainer,
    held_out: Faces,
    guards: Vec<Guard>,
    /// For the ranges of int8, if the base has them.
    calibration: Option<Faces>,
    trained_faces: usize,
    clips: usize,
}

impl fmt::Debug for FineTune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FineTune")
            .field("recipe", &self.recipe)
            .field("work", &self.options.work)
            .field("trained_faces", &self.trained_faces)
            .field("held_out", &self.held_out.len())
            .field("clips", &self.clips)
            .finish_non_exhaustive()
    }
}

/// Faces on which the error may hardly rise.
struct Guard {
    name: String,
    faces: Faces,
    /// Rise that is allowed in any case, in percent of the eye distance.
    rise: f64,
}

/// Procedural faces as a guard.
const GUARD_FACES: usize = 60;
const GUARD_SEED: u64 = 1_000_000;
/// Procedural faces to train on, of other people.
const TRAINED_PROCEDURAL_FACES: usize = 60;
const TRAINED_SEED: u64 = 2_000_000;
/// Faces that the ranges of int8 are measured on at most, of those that are trained on.
const MOST_CALIBRATION_FACES: usize = 200;
/// The names under which the trainer draws the faces.
const LABELLED: &str = "labelled";
/// Time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

impl FineTune {
    /// Prepares a fine-tuning of `base` on accepted faces.
    ///
    /// # Errors
    /// [`FineTuneError`] for labels, pictures and settings that can't be used; [`TrainError::Occupied`] if `work` holds
    /// an unfinished tuning and `resume` is off, [`CheckpointError::OtherRecipe`] if that is of other faces or
    /// settings.
    pub fn new(base: Model, samples: Vec<Sample>, options: FineTuneOptions) -> Result<Self, FineTuneError> {
        let config = base.config();
        let scheme = Scheme::of_points(config.points).filter(|_| config.kind == Kind::Landmarks);
        let scheme = scheme.ok_or(FineTuneError::Base)?;
        let recipe = options.recipe.clone();
        let fingerprint = fingerprint(&base, &samples);
        let Split { mut training, held_out, clips } = split(samples, &config.crop, recipe.seed)?;
        let trained_faces = training.len();
        let held_out = Faces::new(held_out, config)?;
        let mut guards = Vec::new();
        if scheme == Scheme::Wflw98 {
            let faces = portraits(GUARD_FACES, GUARD_SEED)?;
            let faces = Faces::new(faces, config)?;
            guards.push(Guard { name: "procedural faces".to_owned(), faces, rise: MOST_PROCEDURAL_RISE });
        }
        for (name, samples) in &options.guards {
            guards.push(Guard { name: name.clone(), faces: Faces::new(samples.clone(), config)?, rise: 0.0 });
        }

        let calibration = match config.quantization {
            Some(_) => {
                let every = training.len().div_ceil(MOST_CALIBRATION_FACES).max(1);
                Some(Faces::new(training.iter().step_by(every).cloned().collect(), config)?)
            }
            None => None,
        };
        training.iter_mut().for_each(|sample| sample.dataset = LABELLED.into());
        let mut datasets = BTreeMap::from([(LABELLED.to_owned(), 1.0)]);
        if recipe.procedural > 0.0 && scheme == Scheme::Wflw98 {
            let faces = portraits(TRAINED_PROCEDURAL_FACES, TRAINED_SEED)?;
            let faces = Faces::new(faces, config)?.labelled_by(&base, options.threads)?;
            let of_each = recipe.procedural * trained_faces as f64 / faces.len() as f64;
            datasets.insert(synth::DATASET.to_owned(), of_each);
            training.extend(faces);
        }
        let mut training_recipe = recipe.training(start_of(config, &fingerprint), trained_faces)?;
        training_recipe.datasets = datasets;
        let mut trainer = trainer(training_recipe, training, &options)?;
        trainer.start_from(&base)?;
        Ok(Self { base, recipe, options, trainer, held_out, guards, calibration, trained_faces, clips })
    }

    /// Trains to the end of the schedule or the time limit, and gives a verdict; or pauses when `stop` is set.
    /// `on_progress` is called after every step, in a thread of the training's pool.
    ///
    /// # Errors
    /// [`FineTuneError`]; the last checkpoint stays whole.
    pub fn run(
        &mut self,
        mut on_progress: impl FnMut(&FineTuneProgress) + Send,
    ) -> Result<FineTuneEnding, FineTuneError> {
        let Self { base, options, trainer, held_out, .. } = self;
        let before = held_out.measure(base, options.threads)?;
        let held_out_before = mean_percent(&before).unwrap_or(0.0);
        let mut validator = HeldOut { base, faces: held_out, threads: options.threads };
        let started = Instant::now();
        let ending = trainer.run(Some(&mut validator), |p| {
            on_progress(&FineTuneProgress {
                step: p.step,
                steps: p.steps,
                images_per_second: p.images_per_second,
                loss: p.loss,
                held_out_before,
                held_out: p.validation,
                time_left: p.time_left,
            });
        })?;
        let is_out_of_time = options.limit.is_some_and(|limit| started.elapsed() >= limit);
        if ending == Ending::Paused && !is_out_of_time {
            return Ok(FineTuneEnding::Paused);
        }
        Ok(FineTuneEnding::Finished(Box::new(self.judge(&before)?)))
    }

    /// Removes the files of the training, and its folder if nothing else is in it, once the result is stored. Until then, a fine-tuning that was killed after
    /// its verdict repeats the verdict without training.
    ///
    /// # Errors
    /// [`TrainError::Write`].
    pub fn discard(self) -> Result<(), FineTuneError> {
        let Self { options, trainer, .. } = self;
        // It holds the folder.
        drop(trainer);
        Ok(remove_training(&options.work)?)
    }

    /// Chooses the share of the trained weights and measures the result.
    fn judge(&self, before: &[Measured]) -> Result<Tuned, FineTuneError> {
        let Self { base, recipe, options, trainer, held_out, guards, calibration, .. } = self;
        let threads = options.threads;
        let trained = trainer.model()?;
        let of_guards = guards.iter().map(|guard| guard.faces.measure(base, threads)).collect::<Result<Vec<_>, _>>()?;
        let mut best: Option<Candidate> = None;
        let mut tried = Vec::new();
        for share in recipe.safe_shares(self.trained_faces) {
            let model = interpolated(base, &trained, share)?;
            let after = held_out.measure(&model, threads)?;
            let mut changes = Vec::new();
            for (Guard { name, faces, rise }, before) in guards.iter().zip(&of_guards) {
                let change = Change::of(name, before, &faces.measure(&model, threads)?);
                changes.push(change.of_guard(*rise));
            }
            let held_out = Change::of("held-out faces", before, &after);
            let is_safe = !changes.iter().any(Change::is_harmful);
            tried.push(Tried {
                share,
                held_out: held_out.after,
                guards: changes.iter().map(|change| change.after).collect(),
            });
            let candidate = Candidate { share, is_safe, model, after, held_out, guards: changes };
            if best.as_ref().is_none_or(|best| candidate.is_better_than(best)) {
                best = Some(candidate);
            }
        }
        let best = best.ok_or(FineTuneError::Recipe(crate::train::trainer::RecipeError::Zero { field: "shares" }))?;
        let (accepted, reason) = judge(&best.held_out, &best.guards);
        let scheme = Scheme::of_points(base.config().points).ok_or(FineTuneError::Base)?;
        let parts = Part::ALL.iter().filter_map(|&part| {
            let before = part_percent(before, scheme, part)?;
            Some(PartChange { part: part.name().into(), before, after: part_percent(&best.after, scheme, part)? })
        });
        let verdict = Verdict {
            accepted,
            reason,
            share: best.share,
            tried,
            held_out: best.held_out,
            guards: best.guards,
            parts: parts.collect(),
            trained_faces: self.trained_faces,
            clips: self.clips,
            steps: trainer.step(),
            seconds: trainer.seconds(),
        };
        let picture = picture::draw(&verdict, held_out, before, &best.after);
        let mut record = base.config().training.clone();
        record.insert("fine_tuned".into(), serde_json::to_value(&verdict).unwrap_or_default());
        let model = match calibration {
            Some(faces) => self.quantized(&best.model, faces)?,
            None => best.model,
        };
        Ok(Tuned { model: model.with_training_record(record), verdict, picture })
    }

    /// The model with ranges of int8 and their measured loss: those of the base are not its own.
    fn quantized(&self, model: &Model, faces: &Faces) -> Result<Model, FineTuneError> {
        let quantized = quantize(model, &faces.pictures())?;
        let error = |precision| -> Result<f64, FineTuneError> {
            let sets = std::iter::once(&self.held_out).chain(self.guards.iter().map(|guard| &guard.faces));
            let mut errors = Vec::new();
            for faces in sets {
                errors.extend(faces.measure_in(precision, &quantized, self.options.threads)?);
            }
            Ok(mean_percent(&errors).unwrap_or(0.0))
        };
        let (single, int8) = (error(Precision::F32)?, error(Precision::Int8)?);
        Ok(if single > 0.0 { quantized.with_int8_loss(int8 / single - 1.0) } else { quantized })
    }
}

/// A share of the trained weights and its errors.
struct Candidate {
    share: f64,
    /// Whether it keeps the error on every guard within the limit.
    is_safe: bool,
    model: Model,
    after: Vec<Measured>,
    held_out: Change,
    guards: Vec<Change>,
}

impl Candidate {
    /// The best of the safe ones by held-out error; if none is safe, the one nearest to the base.
    fn is_better_than(&self, other: &Self) -> bool {
        match (self.is_safe, other.is_safe) {
            (true, true) => self.held_out.after < other.held_out.after,
            (false, false) => self.share < other.share,
            (is_safe, _) => is_safe,
        }
    }
}

/// The held-out faces, while it is trained.
struct HeldOut<'a> {
    base: &'a Model,
    faces: &'a Faces,
    threads: usize,
}

impl Validator for HeldOut<'_> {
    fn measure_name(&self) -> &str {
        "error on the held-out faces, %"
    }

    fn measure(&mut self, model: &Model, _: &mut dyn Network) -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
        let half_way = interpolated(self.base, model, 0.5)?;
        let measured = self.faces.measure(&half_way, self.threads)?;
        mean_percent(&measured).ok_or_else(|| "there are no held-out faces".into())
    }
}

fn trainer(recipe: Recipe, samples: Vec<Sample>, options: &FineTuneOptions) -> Result<Trainer, FineTuneError> {
    let landmarks = recipe.landmark_options().ok_or(FineTuneError::Base)?;
    let task = LandmarkTask::new(samples, &recipe.datasets, recipe.augmentation.clone(), landmarks)?;
    let mut training = TrainOptions::new(&options.work);
    training.resume = options.resume;
    training.gpu = options.gpu.clone();
    training.threads = options.threads;
    training.limit = options.limit;
    training.checkpoint_interval = CHECKPOINT_INTERVAL;
    training.stop = options.stop.clone();
    Ok(Trainer::new(recipe, Arc::new(task), training)?)
}

/// The description of the model in training: that of the base in f32, marked with what it learns from, so that a
/// training of other faces is never resumed.
fn start_of(base: &ModelConfig, fingerprint: &str) -> ModelConfig {
    let mut config = base.clone();
    config.quantization = None;
    config.training = serde_json::Map::from_iter([("fine_tuning_of".to_owned(), fingerprint.into())]);
    config
}

/// Identifies base and faces.
fn fingerprint(base: &Model, samples: &[Sample]) -> String {
    let mut hash = Fnv1a::new();
    for parameter in base.config().graph().parameters() {
        let values = base.tensor(&parameter.name).unwrap_or_default();
        values.iter().for_each(|v| hash.add(&v.to_le_bytes()));
    }
    for sample in samples {
        hash.add(sample.image.to_string_lossy().as_bytes());
        sample.points.iter().for_each(|p| hash.add(&[p.x.to_le_bytes(), p.y.to_le_bytes()].concat()));
        sample.weight.iter().for_each(|w| hash.add(&w.to_le_bytes()));
    }
    hash.text()
}

/// The weights interpolated by `share` from the base's to the trained ones.
fn interpolated(base: &Model, trained: &Model, share: f64) -> Result<Model, FineTuneError> {
    let share = share as f32;
    let mut tensors = HashMap::new();
    for parameter in base.config().graph().parameters() {
        let from = base.tensor(&parameter.name).unwrap_or_default();
        let to = trained.tensor(&parameter.name).unwrap_or_default();
        let between = from.iter().zip(to).map(|(a, b)| a + share * (b - a)).collect();
        tensors.insert(parameter.name, between);
    }
    let mut config = base.config().clone();
    // The ranges of int8 were measured on the base.
    config.quantization = None;
    Ok(Model::new(config, tensors)?)
}

impl FineTuneError {
    /// Whether `work` holds an unfinished tuning of another model, or with other faces or settings.
    pub fn is_other_tuning(&self) -> bool {
        matches!(
            self,
            Self::Train(TrainError::Checkpoint {
                source: CheckpointError::OtherRecipe | CheckpointError::OtherData | CheckpointError::OtherStart,
                ..
            })
        )
    }

    /// Whether the unfinished tuning in `work` can't be continued: it is another one, damaged, or of another version.
    pub fn cannot_resume(&self) -> bool {
        match self {
            Self::Train(TrainError::Checkpoint { source, .. }) => !matches!(source, CheckpointError::Read(_)),
            Self::Train(TrainError::Log { .. } | TrainError::Unresumable(_)) => true,
            _ => false,
        }
    }
}
