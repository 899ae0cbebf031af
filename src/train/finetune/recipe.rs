//! The settings of a fine-tuning.
//!
//! In: TOML. Out: a [`TuningRecipe`], and with a base model the [`Recipe`] of its training. Fails with [`RecipeError`].

use crate::runtime::model::ModelConfig;
use crate::train::data::Augmentation;
use crate::train::trainer::{
    Adaptation, OptimizerConfig, OptimizerKind, Recipe, RecipeError, Schedule, ScheduleShape, parse,
};
use serde::{Deserialize, Serialize};

/// Everything that determines the result of a fine-tuning besides the base and the faces. Measurements chose
/// [`Self::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TuningRecipe {
    /// For sixty faces and more; fewer faces get fewer steps.
    pub steps: u64,
    /// Pictures per step.
    pub batch_size: usize,
    /// After the warm-up; it falls in half a cosine to a hundredth.
    pub learning_rate: f64,
    pub warmup_steps: u64,
    /// Decay per step of the moving average of the weights.
    pub average_decay: f64,
    /// Standard deviation of the target Gaussians, in heatmap cells.
    pub sigma_cells: f32,
    /// Procedural faces, labelled by the base, that are drawn for every labelled face.
    pub procedural: f64,
    /// The interpolation shares to try, from the base (0) to the trained weights (1).
    pub shares: Vec<f64>,
    pub seed: u64,
    #[serde(default)]
    pub adaptation: Adaptation,
    pub augmentation: Augmentation,
}

impl Default for TuningRecipe {
    fn default() -> Self {
        Self::parse(include_str!("defaults.toml")).expect("a test reads the defaults")
    }
}

/// The number of faces for which all steps are done. A dozen faces shown a thousand times each harm the base and teach
/// little more.
const FULL_FACES: u64 = 60;
/// The number of faces at which the share is at most [`MOST_SHARE_OF_FEW`]; at [`FULL_FACES`] it is unlimited.
const FEW_FACES: u64 = 12;
const MOST_SHARE_OF_FEW: f64 = 0.4;
/// Fewest steps, unless all are fewer.
const FEWEST_STEPS: u64 = 200;

/// Limits the gradient of a step that meets a label far from what the base predicts.
const CLIP_NORM: f64 = 20.0;

/// Steps of a training on own faces at most: further ones change little without a recipe made for the data.
const MOST_STEPS_OF_OWN: u64 = 20_000;

impl TuningRecipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// [`RecipeError::Syntax`], or the field that is out of range.
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        let recipe: Self = parse(text)?;
        let Self { procedural, .. } = recipe;
        if procedural.is_nan() || procedural < 0.0 {
            return Err(RecipeError::Negative { field: "procedural", value: procedural });
        }
        if recipe.shares.is_empty() {
            return Err(RecipeError::Zero { field: "the number of shares" });
        }
        if let Some(&value) = recipe.shares.iter().find(|share| !(**share > 0.0 && **share <= 1.0)) {
            return Err(RecipeError::NotAShare { field: "shares", value });
        }
        Ok(recipe)
    }

    /// The shares to try after training on `faces` faces: with few faces, the procedural guard accepts larger shares
    /// than are safe (docs/engineering/fine-tuning.md). The smallest is always among them.
    pub(super) fn safe_shares(&self, faces: usize) -> Vec<f64> {
        let (few, full) = (FEW_FACES as f64, FULL_FACES as f64);
        let many = ((faces as f64 - few) / (full - few)).clamp(0.0, 1.0);
        let smallest = self.shares.iter().copied().fold(1.0, f64::min);
        let most = (MOST_SHARE_OF_FEW + many * (1.0 - MOST_SHARE_OF_FEW)).max(smallest);
        self.shares.iter().copied().filter(|share| *share <= most).collect()
    }

    /// The training of a model with this description on `faces` labelled faces.
    ///
    /// # Errors
    /// [`RecipeError`] for the field that is out of range.
    pub(super) fn training(&self, model: ModelConfig, faces: usize) -> Result<Recipe, RecipeError> {
        let steps = self.steps_for(faces).max(FEWEST_STEPS).min(self.steps);
        self.training_of(model, steps)
    }

    /// The training of a model with this description on `faces` of a person's own, however many.
    ///
    /// # Errors
    /// As [`Self::training`].
    pub(super) fn of_own_faces(&self, model: ModelConfig, faces: usize) -> Result<Recipe, RecipeError> {
        self.training_of(model, self.steps_for(faces).clamp(FEWEST_STEPS, MOST_STEPS_OF_OWN))
    }

    /// In proportion to the number of faces.
    fn steps_for(&self, faces: usize) -> u64 {
        self.steps.saturating_mul(faces as u64) / FULL_FACES
    }

    fn training_of(&self, model: ModelConfig, steps: u64) -> Result<Recipe, RecipeError> {
        let recipe = Recipe {
            model,
            datasets: Default::default(),
            hold_out: Default::default(),
            procedural_faces: 0,
            faceless: None,
            map_styles: true,
            emphasis: Default::default(),
            sigma_cells: self.sigma_cells,
            targets: Default::default(),
            augmentation: self.augmentation.clone(),
            adaptation: self.adaptation.clone(),
            compositions: Default::default(),
            optimizer: OptimizerConfig {
                kind: OptimizerKind::AdamW { beta1: 0.9, beta2: 0.99 },
                learning_rate: self.learning_rate,
                weight_decay: 0.0,
                clip_norm: Some(CLIP_NORM),
            },
            schedule: Schedule {
                steps,
                end: None,
                warmup_steps: self.warmup_steps,
                shape: ScheduleShape::Cosine { final_fraction: 0.01 },
            },
            batch_size: self.batch_size,
            average_decay: self.average_decay,
            validate_every: (steps / 6).max(1),
            seed: self.seed,
        };
        recipe.check()?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_read() {
        assert!(TuningRecipe::default().steps > 0);
    }

    #[test]
    fn few_faces_are_learned_in_fewer_steps() {
        let recipe = TuningRecipe { steps: 750, ..TuningRecipe::default() };
        let model = crate::runtime::model::default_landmarks().unwrap();
        let steps = |faces| recipe.training(model.config().clone(), faces).unwrap().schedule.steps;
        assert_eq!([6, 30, 60, 200].map(steps), [200, 375, 750, 750]);
    }

    #[test]
    fn few_faces_lead_a_smaller_share_of_the_way() {
        let recipe = TuningRecipe::default();
        let most = |faces| recipe.safe_shares(faces).into_iter().fold(0.0, f64::max);
        assert_eq!([6, 12, 36, 60, 200].map(most), [0.4, 0.4, 0.7, 0.9, 0.9]);
        let whole = TuningRecipe { shares: vec![1.0], ..recipe };
        assert_eq!(whole.safe_shares(6), [1.0]);
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let defaults = include_str!("defaults.toml");
        let refused = |field: &str, value: &str| {
            let lines = defaults.lines().map(|line| match line.split_once(" = ") {
                Some((key, _)) if key == field => format!("{field} = {value}\n"),
                _ => format!("{line}\n"),
            });
            TuningRecipe::parse(&lines.collect::<String>()).unwrap_err()
        };
        assert!(matches!(refused("shares", "[1.5]"), RecipeError::NotAShare { field: "shares", .. }));
        assert!(matches!(refused("shares", "[]"), RecipeError::Zero { .. }));
        assert!(matches!(refused("procedural", "-1.0"), RecipeError::Negative { field: "procedural", .. }));
        assert!(matches!(refused("steps", "\"many\""), RecipeError::Syntax(_)));
    }
}
