//! The bundled models; their checksums are verified at build time.

use super::{Model, ModelError};

/// The bundled landmark model.
///
/// # Errors
/// Never in a build that passes its tests.
pub fn default_landmarks() -> Result<Model, ModelError> {
    Model::from_bytes(include_bytes!(env!("AWING_LANDMARK_MODEL")))
}

/// The bundled detector.
///
/// # Errors
/// Never in a build that passes its tests.
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
