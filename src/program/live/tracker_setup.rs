//! The setup of a tracker: its options, the model files, and the GPU for the landmark network.

use crate::runtime::engine::Precision;
use crate::runtime::files::read_whole;
use crate::runtime::model::{Kind, Model, ModelError, default_detector, default_landmarks};
use crate::runtime::simd::Isa;
use crate::runtime::track::{Models, Tracker, TrackerOptions};
use crate::train::gpu::{Gpu, GpuKind};
use anyhow::Result;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A landmark model, in memory, so that its file may be replaced while a session runs.
#[derive(Clone, PartialEq)]
pub(crate) enum LandmarkModel {
    /// The bundled one.
    Bundled,
    File {
        path: PathBuf,
        bytes: Arc<[u8]>,
    },
}

impl LandmarkModel {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`ModelError::Read`]; what is in it is checked by [`Self::model`].
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let bytes = read_whole(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        Ok(Self::File { path: path.to_owned(), bytes: bytes.into() })
    }

    /// The model itself.
    ///
    /// # Errors
    /// [`ModelError::InFile`] with what is wrong as its source.
    pub(crate) fn model(&self) -> Result<Model, ModelError> {
        match self {
            Self::Bundled => default_landmarks(),
            Self::File { path, bytes } => Model::from_bytes(bytes)
                .map_err(|source| ModelError::InFile { path: path.clone(), source: Box::new(source) }),
        }
    }
}

impl fmt::Debug for LandmarkModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundled => f.write_str("Bundled"),
            Self::File { path, .. } => path.fmt(f),
        }
    }
}

/// The precision of the landmark network.
pub(super) struct PrecisionInUse {
    pub name: String,
    /// Why it is not the requested one.
    pub reason: Option<&'static str>,
}

/// The values of `--model`, `--detector`, `--device` and the options of the tracker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackerSetup {
    pub options: TrackerOptions,
    pub model: LandmarkModel,
    /// The detector's file; `None`: the bundled one.
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
        let detector =
            self.detector.as_deref().map_or_else(default_detector, |path| Model::load_as(Kind::Detector, path));
        let landmarks = match &self.model {
            LandmarkModel::Bundled => self.model.model(),
            LandmarkModel::File { path, .. } => self.model.model().and_then(|m| m.of_kind(Kind::Landmarks, path)),
        };
        let models = Models { landmarks: landmarks?, detector: detector? };
        let options = self.options.clone();
        Ok(match self.gpu {
            Some(kind) => Tracker::on_backend(options, &models, &Gpu::open(kind)?)?,
            None => Tracker::with_models(options, &models)?,
        })
    }

    /// The actual precision of the tracker's landmark network.
    pub(super) fn precision_in_use(&self, tracker: &Tracker) -> PrecisionInUse {
        let asked = self.options.precision;
        let chosen = tracker.precision().unwrap_or(asked);
        // A model that fails to load is an error elsewhere.
        let (used, reason) = self.model.model().map_or((chosen, None), |model| chosen.in_use(&model, Isa::active()));
        let name = if asked == Precision::Auto { format!("auto ({used})") } else { used.to_string() };
        PrecisionInUse { name, reason }
    }

    /// The landmark model and its name in a report.
    ///
    /// # Errors
    /// If it can't be loaded.
    pub fn landmark_model(&self) -> Result<(String, Model), ModelError> {
        let name = match &self.model {
            LandmarkModel::File { path, .. } => path.display().to_string(),
            LandmarkModel::Bundled => "the bundled landmark model".into(),
        };
        Ok((name, self.model.model()?))
    }
}
