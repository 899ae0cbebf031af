//! How often the data sets of a training are drawn, relative to each other.
//!
//! In: the recipe's weights by name, and the names that occur. Fails for weights that are no such numbers, and for data
//! sets without one.

use super::DataError;
use std::collections::{BTreeMap, BTreeSet};

/// The weight of the data set `name`; all weigh the same if `weights` is empty.
pub(in crate::train) fn weight_of(weights: &BTreeMap<String, f64>, name: &str) -> f64 {
    weights.get(name).copied().unwrap_or(1.0)
}

/// Checks that every weight is a number of at least 0 and, unless there are no weights, that every data set has one.
///
/// # Errors
/// [`DataError::Options`] naming the data sets.
pub(in crate::train) fn check_weights<'a>(
    weights: &BTreeMap<String, f64>,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), DataError> {
    if let Some((name, weight)) = weights.iter().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
        return Err(DataError::Options(format!("the weight of data set {name} is {weight}, it must be at least 0")));
    }
    let unnamed: BTreeSet<&str> = names.filter(|name| !weights.contains_key(*name)).collect();
    if weights.is_empty() || unnamed.is_empty() {
        return Ok(());
    }
    let unnamed = unnamed.into_iter().collect::<Vec<_>>().join(", ");
    Err(DataError::Options(format!(
        "no weight is given for the data sets {unnamed}: name them under [datasets], with 0 to leave them out"
    )))
}
