//! The settings of a training, as a TOML file.
//!
//! In: the file. Out: a [`Recipe`] whose fields are within their ranges. Fails with [`TrainError::Recipe`].

use super::error::{RecipeError, TrainError};
use super::optimizer::OptimizerConfig;
use crate::runtime::files::read_text;
use crate::runtime::image::ImageError;
use crate::runtime::landmarks::{Scheme, WFLW_POINTS};
use crate::runtime::model::{Kind, ModelConfig};
use crate::train::data::{Augmentation, Compositions, Emphasis, FacelessItems, HoldOut, LandmarkTaskOptions, Sample};
use crate::train::synth::portraits;
use crate::train::targets::TargetStyle;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::slice;

/// Memory for the pictures of one batch. Several batches are prepared at once, and the maps of a network take ten times
/// as much.
const MOST_BATCH_BYTES: usize = 1 << 30;

/// Procedural faces are kept in memory, 0.15 MB each.
const MOST_PROCEDURAL_FACES: usize = 10_000;
/// Decides over the procedural faces; tests and tunings draw other people.
const PROCEDURAL_SEED: u64 = 3_000_000;

/// Everything but the data that determines the result of a training: network, targets, augmentation, optimizer,
/// schedule, seed. See `recipes/` for examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recipe {
    pub model: ModelConfig,
    /// How often the faces of a data set are drawn, relative to the others'. Data sets of weight 0 are left out, those
    /// that are not named are refused; if the map is empty, all faces are drawn alike. A detector draws scenes and
    /// pictures without faces by its compositions instead.
    #[serde(default)]
    pub datasets: BTreeMap<String, f64>,
    /// Held-out faces: for each data set named here, one photograph in the given number.
    #[serde(default)]
    pub hold_out: HoldOut,
    /// Procedural faces that a landmark training also draws from, as the data set `procedural`.
    #[serde(default)]
    pub procedural_faces: usize,
    /// A landmark training's items without a face, if there are any, for
    /// [`LandmarkTask::with_faceless`](crate::train::LandmarkTask::with_faceless).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faceless: Option<FacelessItems>,
    /// Whether a landmark training maps faces of other annotation styles to the model's by the fits of the model that
    /// it starts from. Without it only 300-W's are mapped, by the known shifts.
    #[serde(default)]
    pub map_styles: bool,
    /// Faces and points that a landmark training emphasizes.
    #[serde(default)]
    pub emphasis: Emphasis,
    /// Standard deviation of the target Gaussians, in heatmap cells.
    pub sigma_cells: f32,
    /// How the targets of landmarks are drawn; a detector's are always continuous.
    #[serde(default)]
    pub targets: TargetStyle,
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Limits on how the weights change from the starting ones.
    #[serde(default, skip_serializing_if = "Adaptation::is_free")]
    pub adaptation: Adaptation,
    /// The composition of a detector's items.
    #[serde(default)]
    pub compositions: Compositions,
    pub optimizer: OptimizerConfig,
    pub schedule: Schedule,
    /// Pictures per step.
    pub batch_size: usize,
    /// Decay per step of the moving average of the weights, which becomes the model.
    pub average_decay: f64,
    /// Steps between two validations; the last step is always validated.
    pub validate_every: u64,
    /// Seed of the random weights and of the order and augmentation of the data.
    pub seed: u64,
}

/// Limits on how the weights change from the starting ones. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adaptation {
    /// The norms use the running statistics of the starting model and don't change them.
    pub frozen_statistics: bool,
    /// Parameters whose names contain one of these don't change.
    pub frozen: Vec<String>,
    /// In every step each weight moves back towards its starting value by this share of its distance, times the
    /// learning rate.
    pub anchor: f64,
}

impl Adaptation {
    /// Whether the parameter of this name keeps its value.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.frozen.iter().any(|part| name.contains(part.as_str()))
    }

    fn is_free(&self) -> bool {
        *self == Self::default()
    }
}

/// How long to train, and the learning rate over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Steps of the whole training.
    pub steps: u64,
    /// The step at which the training stops, before the learning rate has fallen completely: another training continues
    /// from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    pub shape: ScheduleShape,
}

/// The learning rate after the warm-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ScheduleShape {
    /// Half a cosine from the full rate to `final_fraction` of it.
    Cosine { final_fraction: f64 },
    /// Divided by ten at each of these fractions of the training (the paper: 1/3 and 2/3).
    Steps { at: Vec<f64> },
}

impl Schedule {
    /// The number of steps that are done.
    pub fn last_step(&self) -> u64 {
        self.end.map_or(self.steps, |end| end.min(self.steps))
    }

    /// The factor on the learning rate in step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let length = self.steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = ((step - self.warmup_steps) as f64 / length).min(1.0);
        match &self.shape {
            ScheduleShape::Cosine { final_fraction } => {
                final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            ScheduleShape::Steps { at } => 0.1_f64.powi(at.iter().filter(|share| done >= **share).count() as i32),
        }
    }
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] with the file, and as its source the line or the field that is wrong.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        Self::read(path).map_err(|source| TrainError::Recipe { path: path.to_owned(), source })
    }

    /// The options of a [`LandmarkTask`](crate::train::LandmarkTask); `None` for a detector.
    pub fn landmark_options(&self) -> Option<LandmarkTaskOptions> {
        Some(LandmarkTaskOptions {
            scheme: Scheme::of_points(self.model.points)?,
            style: self.model.style,
            style_fits: self.model.style_fits.clone(),
            emphasis: self.emphasis.clone(),
            input_size: self.model.input_size,
            heatmap_size: self.model.heatmap_size(),
            crop: self.model.crop,
            sigma_cells: self.sigma_cells,
            targets: self.targets,
        })
    }

    /// The procedural faces that the training draws from.
    ///
    /// # Errors
    /// None: the pictures are never empty.
    pub fn procedural(&self) -> Result<Vec<Sample>, ImageError> {
        portraits(self.procedural_faces, PROCEDURAL_SEED)
    }

    fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = read_text(path).map_err(RecipeError::Read)?;
        let recipe: Self = parse(&text)?;
        recipe.check()?;
        Ok(recipe)
    }

    pub(in crate::train) fn check(&self) -> Result<(), RecipeError> {
        self.model.check()?;
        let counts = [
            ("schedule.steps", self.schedule.steps),
            ("schedule.end", self.schedule.last_step()),
            ("batch_size", self.batch_size as u64),
            ("validate_every", self.validate_every),
        ];
        if let Some(&(field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(RecipeError::Zero { field });
        }
        let side = self.model.input_size;
        let bytes = self.batch_size.saturating_mul(side * side * 3 * size_of::<f32>());
        if bytes > MOST_BATCH_BYTES {
            let most = MOST_BATCH_BYTES / (side * side * 3 * size_of::<f32>());
            return Err(RecipeError::BatchTooLarge { batch_size: self.batch_size, side, most });
        }
        if !(0.0..1.0).contains(&self.average_decay) {
            return Err(RecipeError::NotBelowOne { field: "average_decay", value: self.average_decay });
        }
        if let Some(FacelessItems { share, weight }) = self.faceless {
            if !(0.0..1.0).contains(&share) {
                return Err(RecipeError::NotBelowOne { field: "faceless.share", value: share.into() });
            }
            if weight.is_nan() || weight <= 0.0 {
                return Err(RecipeError::NotPositive { field: "faceless.weight", value: weight.into() });
            }
        }
        match self.model.kind {
            Kind::Landmarks if self.compositions != Compositions::default() => {
                return Err(RecipeError::DetectorOnly { field: "compositions" });
            }
            Kind::Landmarks => {
                let ModelConfig { points, outputs, .. } = self.model;
                if self.procedural_faces > 0 && points != WFLW_POINTS {
                    return Err(RecipeError::NoProceduralFaces { points });
                }
                if self.procedural_faces > MOST_PROCEDURAL_FACES {
                    let (field, most) = ("procedural_faces", MOST_PROCEDURAL_FACES);
                    return Err(RecipeError::TooMany { field, count: self.procedural_faces, most });
                }
                if Scheme::of_points(points).is_none() || outputs != points + 1 {
                    return Err(RecipeError::Untrainable { points, outputs });
                }
            }
            Kind::Detector if self.targets != TargetStyle::Continuous => return Err(RecipeError::DetectorTargets),
            Kind::Detector if self.hold_out != HoldOut::default() => {
                return Err(RecipeError::LandmarksOnly { field: "hold_out" });
            }
            Kind::Detector if self.procedural_faces > 0 => {
                return Err(RecipeError::LandmarksOnly { field: "procedural_faces" });
            }
            Kind::Detector if self.map_styles => return Err(RecipeError::LandmarksOnly { field: "map_styles" }),
            Kind::Detector if self.faceless.is_some() => {
                return Err(RecipeError::LandmarksOnly { field: "faceless" });
            }
            Kind::Detector if self.emphasis != Emphasis::default() => {
                return Err(RecipeError::LandmarksOnly { field: "emphasis" });
            }
            Kind::Detector => self.compositions.check().map_err(RecipeError::Compositions)?,
        }
        if self.sigma_cells.is_nan() || self.sigma_cells <= 0.0 {
            return Err(RecipeError::NotPositive { field: "sigma_cells", value: self.sigma_cells.into() });
        }
        let (field, shares) = match &self.schedule.shape {
            ScheduleShape::Cosine { final_fraction } => {
                ("schedule.shape.cosine.final_fraction", slice::from_ref(final_fraction))
            }
            ScheduleShape::Steps { at } => ("schedule.shape.steps.at", at.as_slice()),
        };
        if let Some(&value) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(RecipeError::OutsideOfOne { field, value });
        }
        let anchor = self.adaptation.anchor;
        if anchor.is_nan() || anchor < 0.0 {
            return Err(RecipeError::Negative { field: "adaptation.anchor", value: anchor });
        }
        self.optimizer.check()
    }
}

/// Parses the text of a recipe.
///
/// # Errors
/// [`RecipeError::Syntax`]; [`RecipeError::NotFinite`] for the first number that is not finite, which TOML can hold and
/// nothing here can use.
pub(in crate::train) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, RecipeError> {
    let table: toml::Table = toml::from_str(text).map_err(RecipeError::Syntax)?;
    match table.iter().find_map(|(name, value)| not_finite(name, value)) {
        Some(field) => Err(RecipeError::NotFinite { field }),
        // From the text again, so that an error names the line.
        None => toml::from_str(text).map_err(RecipeError::Syntax),
    }
}

/// The path of the first number in `value` that is not finite.
fn not_finite(path: &str, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Float(number) => (!number.is_finite()).then(|| path.to_owned()),
        toml::Value::Array(items) => items.iter().find_map(|item| not_finite(path, item)),
        toml::Value::Table(table) => {
            table.iter().find_map(|(name, value)| not_finite(&format!("{path}.{name}"), value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_warms_up_and_then_falls_to_its_end() {
        let s = Schedule {
            steps: 1000,
            end: None,
            warmup_steps: 100,
            shape: ScheduleShape::Cosine { final_fraction: 0.01 },
        };
        assert!((s.factor(0) - 0.01).abs() < 1e-9);
        assert!((s.factor(99) - 1.0).abs() < 1e-9);
        assert!((s.factor(550) - 0.505).abs() < 1e-3);
        assert!((s.factor(1000) - 0.01).abs() < 1e-9);
        let early = Schedule { end: Some(550), ..s.clone() };
        assert_eq!((early.last_step(), s.last_step(), early.factor(549)), (550, 1000, s.factor(549)));
        assert!((100..999).all(|t| s.factor(t) >= s.factor(t + 1)));
    }

    #[test]
    fn steps_divide_by_ten() {
        let shape = ScheduleShape::Steps { at: vec![1.0 / 3.0, 2.0 / 3.0] };
        let s = Schedule { steps: 240, end: None, warmup_steps: 0, shape };
        assert_eq!([s.factor(0), s.factor(79)], [1.0, 1.0]);
        assert!((s.factor(80) - 0.1).abs() < 1e-12 && (s.factor(200) - 0.01).abs() < 1e-12);
    }

    fn repository() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes")
    }

    #[test]
    fn a_field_out_of_range_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let whole = std::fs::read_to_string(repository().join("edge-98.toml")).unwrap();
        let refused = |field: &str, value: &str| {
            let lines = whole.lines().map(|line| match line.split_once('=') {
                Some((key, _)) if key.trim() == field => format!("{field} = {value}\n"),
                _ => format!("{line}\n"),
            });
            let file = folder.path().join("recipe.toml");
            std::fs::write(&file, lines.collect::<String>()).unwrap();
            match Recipe::load(&file) {
                Err(TrainError::Recipe { path, source }) if path == file => source,
                other => panic!("{field} = {value}: {other:?}"),
            }
        };
        assert!(matches!(refused("batch_size", "0"), RecipeError::Zero { field: "batch_size" }));
        assert!(matches!(
            refused("batch_size", "100000000"),
            RecipeError::BatchTooLarge { batch_size: 100_000_000, .. }
        ));
        assert!(matches!(refused("validate_every", "0"), RecipeError::Zero { field: "validate_every" }));
        assert!(matches!(refused("procedural_faces", "20000"), RecipeError::TooMany { count: 20_000, .. }));
        let faceless =
            |share: &str, weight: &str| refused("faceless", &format!("{{ share = {share}, weight = {weight} }}"));
        assert!(matches!(faceless("1.0", "3.0"), RecipeError::NotBelowOne { field: "faceless.share", .. }));
        assert!(matches!(faceless("0.1", "0.0"), RecipeError::NotPositive { field: "faceless.weight", .. }));
        assert!(matches!(refused("average_decay", "1.0"), RecipeError::NotBelowOne { field: "average_decay", .. }));
        assert!(matches!(refused("sigma_cells", "-1.0"), RecipeError::NotPositive { field: "sigma_cells", .. }));
        for number in ["nan", "inf", "-inf"] {
            let refused = refused("learning_rate", number).to_string();
            assert_eq!(refused, "optimizer.learning_rate is not a finite number");
        }
        assert!(matches!(refused("learning_rate", "0.0"), RecipeError::NotPositive { field: "learning_rate", .. }));
        assert!(matches!(refused("weight_decay", "-1.0"), RecipeError::Negative { field: "weight_decay", .. }));
        let range = |shape: &str| refused("shape.cosine", shape).to_string();
        assert!(range("{ final_fraction = -50.0 }").starts_with("schedule.shape.cosine.final_fraction is -50"));
        assert!(matches!(refused("outputs", "98"), RecipeError::Untrainable { points: 98, outputs: 98 }));
        assert!(matches!(refused("input_size", "100"), RecipeError::Model(_)));
        assert!(matches!(refused("seed", "\"two\""), RecipeError::Syntax(_)));
    }

    #[test]
    fn the_recipes_of_the_repository_are_readable() {
        let folder = repository();
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            Recipe::load(&entry.unwrap().path()).unwrap();
            count += 1;
        }
        assert!(count > 0);
    }
}
