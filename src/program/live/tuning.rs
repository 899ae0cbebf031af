//! Fine-tuning beside a live session.
//!
//! In: the user's request. Out: progress, messages, and, if accepted, a tuned model, which is added to the library of
//! models and chosen. The faces are the accepted ones of the default collection, the base is the bundled model. The
//! training threads have the lowest priority and leave a core free, so tracking does not wait for them. The session's
//! end stops the training with a checkpoint; the next one continues from there. Errors are messages.

use super::tracker_setup::LandmarkModel;
use crate::program::console::{say, with_causes};
use crate::program::models::{BUNDLED, ModelLibrary, TuningRecord};
use crate::program::places;
use crate::runtime::model::{WeightFormat, default_landmarks};
use crate::train::data::{Split, read_faces};
use crate::train::finetune::{FineTune, FineTuneEnding, FineTuneOptions, Tuned};
use crate::train::trainer::remove_training;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The state shared by the fine-tuning's thread and its displays.
#[derive(Default)]
pub(super) struct Tuning {
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    status: Option<TuningStatus>,
    message: Option<String>,
    accepted: Option<LandmarkModel>,
}

/// The progress of a fine-tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TuningStatus {
    /// Pictures and labels are read and checked.
    Preparing,
    Training {
        /// Steps done, as a share of all.
        done: f32,
        /// Errors on the held-out faces in percent of the eye distance: of the base, and the newest of the tuned model.
        before: f64,
        now: Option<f64>,
        time_left: Duration,
    },
    /// The shares of the trained weights are compared.
    Measuring,
}

impl TuningStatus {
    /// One line, with a bar while it trains.
    #[cfg(feature = "window")]
    pub(super) fn line(&self) -> String {
        const CELLS: usize = 16;
        let Self::Training { done, before, now, time_left } = self else {
            let what = if *self == Self::Preparing { "reading the faces" } else { "measuring the result" };
            return format!("tuning: {what}");
        };
        let full = (done * CELLS as f32).round() as usize;
        let bar = "\u{2588}".repeat(full) + &"\u{2591}".repeat(CELLS - full.min(CELLS));
        let seconds = time_left.as_secs();
        let errors = now.map(|now| format!(", error {before:.1} to {now:.1} %")).unwrap_or_default();
        format!("tuning {bar} {}:{:02} left{errors}", seconds / 60, seconds % 60)
    }
}

/// How long the end of the session waits for the checkpoint.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(400);
/// The name of the unfinished tuning's folder, and of the models that come of it.
const WORK_FOLDER: &str = "tuning";
const MODEL_NAME: &str = "tuned";

impl Tuning {
    /// Starts a fine-tuning, or stops the running one; returns a message.
    pub(super) fn toggle(&self) -> String {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.stop.store(true, Ordering::Relaxed);
            return "stopping the fine-tuning; U continues it".into();
        }
        self.stop.store(false, Ordering::Relaxed);
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        lock(&shared).status = Some(TuningStatus::Preparing);
        let work = move || {
            lower_priority();
            let message = match tune(&shared, &stop) {
                Ok(message) => message,
                Err(error) => format!("the tuning failed: {error:#}"),
            };
            // The message in the window or on the page disappears; the terminal keeps the verdict.
            say(&message);
            let mut shared = lock(&shared);
            shared.status = None;
            shared.message = Some(message);
        };
        match thread::Builder::new().name("tuning".into()).spawn(work) {
            Ok(started) => {
                *thread = Some(started);
                "fine-tuning on the accepted faces".into()
            }
            Err(error) => {
                lock(&self.shared).status = None;
                format!("the fine-tuning can't start: {}", with_causes(&error))
            }
        }
    }

    /// The progress; `None` if none runs.
    pub(super) fn status(&self) -> Option<TuningStatus> {
        lock(&self.shared).status
    }

    /// A message about the events since the last call.
    pub(super) fn news(&self) -> Option<String> {
        lock(&self.shared).message.take()
    }

    /// A model that was accepted since the last call.
    pub(super) fn accepted(&self) -> Option<LandmarkModel> {
        lock(&self.shared).accepted.take()
    }

    /// Stops the training with a checkpoint. It does not wait for anything longer than a step, such as the verdict: the
    /// end of the process ends that, and the next fine-tuning continues from the last checkpoint.
    pub(super) fn finish(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let start = Instant::now();
        while !thread.is_finished() && start.elapsed() < SHUTDOWN_PATIENCE {
            thread::sleep(SHUTDOWN_PATIENCE / 50);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fine-tunes the bundled model; returns a message with the result.
fn tune(shared: &Mutex<Shared>, stop: &Arc<AtomicBool>) -> Result<String> {
    let samples = places::samples().context("there is no home folder to look for faces in")?;
    let models = places::models().context("there is no home folder to keep tuned models in")?;
    if !samples.exists() {
        bail!("no faces are collected yet");
    }
    let faces = read_faces(&samples, Split::Train)?;
    let work = models.join(WORK_FOLDER);
    let options = || {
        let mut options = FineTuneOptions::new(&work);
        options.resume = work.exists();
        options.threads = options.threads.saturating_sub(1).max(1);
        options.stop = stop.clone();
        options
    };
    let base = default_landmarks()?;
    let mut tuning = match FineTune::new(base.clone(), faces.clone(), options()) {
        // More faces were accepted since, or another version of awing wrote it: the unfinished training is obsolete.
        Err(error) if error.cannot_resume() => {
            remove_training(&work)?;
            FineTune::new(base, faces, options())?
        }
        tuning => tuning?,
    };
    let ending = tuning.run(|p| {
        lock(shared).status = Some(match p.step < p.steps {
            true => TuningStatus::Training {
                done: p.step as f32 / p.steps as f32,
                before: p.held_out_before,
                now: p.held_out,
                time_left: p.time_left,
            },
            false => TuningStatus::Measuring,
        });
    })?;
    match ending {
        FineTuneEnding::Paused => Ok("the fine-tuning is stopped; U continues it".into()),
        FineTuneEnding::Finished(tuned) => {
            let Tuned { verdict, .. } = &*tuned;
            let message = if verdict.accepted {
                let (name, model) = keep(&tuned, &models)?;
                lock(shared).accepted = Some(model);
                format!("{name} is in use: {}; D compares it with the bundled model", verdict.reason)
            } else {
                format!("the tuned model is refused: {}", verdict.reason)
            };
            tuning.discard()?;
            Ok(message)
        }
    }
}

/// Adds an accepted model to the library and chooses it.
fn keep(tuned: &Tuned, models: &Path) -> Result<(String, LandmarkModel)> {
    let library = ModelLibrary::at(models.to_owned());
    let record = TuningRecord::of(&tuned.verdict, MODEL_NAME, BUNDLED);
    let registered = library.register(&tuned.model.to_bytes(WeightFormat::default())?, record)?;
    library.choose(Some(&registered.name))?;
    Ok((registered.name, LandmarkModel::open(&registered.file)?))
}

/// Gives this thread, and threads started later, the lowest priority.
fn lower_priority() {
    // On Linux each thread has its own priority; elsewhere this would affect the whole program.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(19) {
        tracing::warn!("the fine-tuning can't lower its priority: {error}");
    }
}

#[cfg(all(test, feature = "window"))]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_tuning_has_a_bar_that_fills() {
        let status = |done| {
            let time_left = Duration::from_secs(65);
            TuningStatus::Training { done, before: 7.21, now: Some(5.0), time_left }
        };
        assert!(status(0.0).line().starts_with("tuning \u{2591}"));
        assert!(status(1.0).line().contains("\u{2588} 1:05 left, error 7.2 to 5.0 %"), "{}", status(1.0).line());
        assert_eq!(status(0.5).line().matches('\u{2588}').count(), 8);
        assert_eq!(TuningStatus::Preparing.line(), "tuning: reading the faces");
    }
}
