//! A training on a person's own faces without a recipe: the settings follow from the starting model and the number of
//! faces.
//!
//! In: the starting model, and faces of 98 points or of its scheme. Out: an [`OwnFaces`]: a [`Recipe`], the faces to
//! train on and those to validate on. Every data set is drawn alike. The training is that of a fine-tuning, with more
//! steps for more faces, but without guards and without interpolation, for which there is [`super::FineTune`]. Fails
//! with [`FineTuneError`].

use super::error::FineTuneError;
use super::labels::{self, Split};
use super::recipe::TuningRecipe;
use crate::runtime::model::{Kind, Model};
use crate::train::data::Sample;
use crate::train::trainer::Recipe;

/// A training, its faces and its validation faces.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnFaces {
    pub recipe: Recipe,
    /// To train on.
    pub training: Vec<Sample>,
    /// To validate on.
    pub held_out: Vec<Sample>,
}

impl OwnFaces {
    /// Trains `start` on the samples; without `held_out`, about a fifth of them is held out, but hardly more than 500, by
    /// clip, person or photograph.
    ///
    /// # Errors
    /// [`FineTuneError`]: too few faces, labels that can't be right, a start that can't be trained.
    pub fn new(start: &Model, samples: Vec<Sample>, held_out: Option<Vec<Sample>>) -> Result<Self, FineTuneError> {
        let mut config = start.config().clone();
        if config.kind != Kind::Landmarks {
            return Err(FineTuneError::Base);
        }
        // They belong to the starting model, not to the result.
        config.quantization = None;
        config.training = Default::default();
        let tuning = TuningRecipe::default();
        let (training, held_out) = match held_out {
            Some(held_out) => {
                labels::check(&samples)?;
                labels::check(&held_out)?;
                (samples, held_out)
            }
            None => {
                let Split { training, held_out, .. } = labels::split(samples, &config.crop, tuning.seed)?;
                (training, held_out)
            }
        };
        let recipe = tuning.of_own_faces(config, training.len())?;
        Ok(Self { recipe, training, held_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::default_landmarks;
    use crate::train::synth::portraits;

    #[test]
    fn every_set_is_drawn_alike_and_a_fifth_of_the_faces_is_held_out() {
        let start = default_landmarks().unwrap();
        let faces = portraits(20, 7).unwrap();
        let OwnFaces { recipe, training, held_out } = OwnFaces::new(&start, faces.clone(), None).unwrap();
        assert!(recipe.datasets.is_empty() && recipe.model.architecture == start.config().architecture);
        assert!((3..=6).contains(&held_out.len()) && training.len() + held_out.len() == 20, "{}", held_out.len());
        let given = OwnFaces::new(&start, faces.clone(), Some(faces)).unwrap();
        assert_eq!((given.training.len(), given.held_out.len()), (20, 20));
    }

    #[test]
    fn more_faces_are_learned_in_more_steps() {
        let config = default_landmarks().unwrap().config().clone();
        let steps = |faces| TuningRecipe::default().of_own_faces(config.clone(), faces).unwrap().schedule.steps;
        assert_eq!([10, 40, 60, 600, 1_000_000].map(steps), [200, 500, 750, 7500, 20_000]);
    }
}
