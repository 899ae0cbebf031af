//! The average of the weights of several trainings.
//!
//! In: models of one network, each trained on from another of them, so that the weights between them compute something
//! alike. Out: a model with the mean of every weight and running statistic (Wortsman et al., Model soups, ICML 2022).
//! Fails with a [`ModelError`] that names the first tensor that not all of them have.

use crate::runtime::model::{Model, ModelConfig, ModelError};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The average of `first` and `others`, with the description of `first` and the training records of all. What int8
/// needs is left out, since it belongs to the weights before.
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::Misshapen`] if the networks differ.
pub(crate) fn averaged(first: &Model, others: &[Model]) -> Result<Model, ModelError> {
    let share = 1.0 / (others.len() + 1) as f64;
    let mut tensors = HashMap::new();
    for parameter in first.config().graph().parameters() {
        let of = |model: &Model| -> Result<Vec<f32>, ModelError> {
            let values = model.tensor(&parameter.name);
            let values = values.ok_or_else(|| ModelError::Missing { name: parameter.name.clone() })?;
            if values.len() == parameter.shape.iter().product::<usize>() {
                return Ok(values.to_vec());
            }
            let (actual, expected) = (vec![values.len()], parameter.shape.clone());
            Err(ModelError::Misshapen { name: parameter.name.clone(), actual, expected })
        };
        let mut sums: Vec<f64> = of(first)?.into_iter().map(f64::from).collect();
        for other in others {
            for (sum, value) in sums.iter_mut().zip(of(other)?) {
                *sum += f64::from(value);
            }
        }
        tensors.insert(parameter.name, sums.into_iter().map(|sum| (share * sum) as f32).collect());
    }
    let records = others.iter().chain([first]).map(|model| Value::Object(model.config().training.clone())).collect();
    let training = Map::from_iter([("average_of".to_owned(), Value::Array(records))]);
    Model::new(ModelConfig { quantization: None, training, ..first.config().clone() }, tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::{default_detector, default_landmarks};

    #[test]
    fn every_weight_is_the_mean_and_other_networks_are_refused() {
        let model = default_landmarks().unwrap();
        let tensors = |factor: f32| {
            let parameters = model.config().graph().parameters();
            let scaled = |name: &str| model.tensor(name).unwrap().iter().map(|value| factor * value).collect();
            parameters.into_iter().map(|p| (p.name.clone(), scaled(&p.name))).collect()
        };
        let training = Map::from_iter([("steps".to_owned(), Value::from(2))]);
        let doubled = Model::new(ModelConfig { training, ..model.config().clone() }, tensors(2.0)).unwrap();
        let mean = averaged(&model, &[doubled.clone(), doubled.clone(), model.clone()]).unwrap();
        assert_eq!(mean.config().quantization, None);
        let [one, two] = [&model, &doubled].map(|part| &part.config().training);
        assert_eq!(mean.config().training["average_of"], serde_json::json!([two, two, one, one]));
        for parameter in model.config().graph().parameters() {
            let both = mean.tensor(&parameter.name).unwrap().iter().zip(model.tensor(&parameter.name).unwrap());
            assert!(
                both.into_iter().all(|(mean, one)| (mean - 1.5 * one).abs() <= 1e-6 * one.abs()),
                "{}",
                parameter.name
            );
        }
        let error = averaged(&model, &[default_detector().unwrap()]).unwrap_err();
        assert!(matches!(error, ModelError::Missing { .. } | ModelError::Misshapen { .. }), "{error}");
    }
}
