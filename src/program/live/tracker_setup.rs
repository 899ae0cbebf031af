//! What a tracker is made from: its options, the model files, and the GPU that runs the landmark network.

use crate::runtime::model::{Model, ModelError};
use crate::runtime::track::{Models, Tracker, TrackerOptions};
use crate::train::gpu::{Gpu, GpuKind};
use anyhow::Result;
use std::path::PathBuf;

/// What `--model`, `--detector`, `--device` and the options of the tracker say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackerSetup {
    pub options: TrackerOptions,
    /// The landmark model's file; `None`: the built-in one.
    pub model: Option<PathBuf>,
    /// The detector's file; `None`: the built-in one.
    pub detector: Option<PathBuf>,
    /// The GPU for the landmark network; `None`: the CPU. The detector always runs on the CPU.
    pub gpu: Option<GpuKind>,
}

impl TrackerSetup {
    /// Loads the models and compiles them.
    ///
    /// # Errors
    /// If a model can't be loaded or the GPU not used.
    pub fn tracker(&self) -> Result<Tracker> {
        let mut models = Models::bundled()?;
        if let Some(path) = &self.model {
            models.landmarks = Model::load(path)?;
        }
        if let Some(path) = &self.detector {
            models.detector = Model::load(path)?;
        }
        let options = self.options.clone();
        Ok(match self.gpu {
            Some(kind) => Tracker::on_backend(options, &models, &Gpu::open(kind)?)?,
            None => Tracker::with_models(options, &models)?,
        })
    }

    /// The landmark model and its name in a report.
    ///
    /// # Errors
    /// If it can't be loaded.
    pub fn landmark_model(&self) -> Result<(String, Model), ModelError> {
        Ok(match &self.model {
            Some(path) => (path.display().to_string(), Model::load(path)?),
            None => ("the bundled landmark model".into(), Models::bundled()?.landmarks),
        })
    }
}
