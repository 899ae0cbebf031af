//! The models inside the program, checked when it was built.

use super::{Model, ModelError};

/// The landmark model that awing ships.
///
/// # Errors
/// None that a build whose tests pass can have.
pub fn default_landmarks() -> Result<Model, ModelError> {
    Model::from_bytes(include_bytes!(env!("AWING_LANDMARK_MODEL")))
}

/// The detector that awing ships.
///
/// # Errors
/// None that a build whose tests pass can have.
pub fn default_detector() -> Result<Model, ModelError> {
    Model::from_bytes(include_bytes!(env!("AWING_DETECTOR_MODEL")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::Kind;

    #[test]
    fn the_models_inside_are_whole() {
        assert_eq!(default_landmarks().unwrap().config().points, 98);
        assert_eq!(default_detector().unwrap().config().kind, Kind::Detector);
    }
}
