//! The description of a model in its file.

use super::config_error::{ConfigError, MOST_CHANNELS, MOST_OPERATIONS, MOST_PIXELS, at_most};
use super::graph::Graph;
use super::{EdgeConfig, PaperConfig, Quantization};
use crate::runtime::geometry::{Rect, Space};
use crate::runtime::heatmap::{Calibration, Decoding};
use crate::runtime::landmarks::{Style, StyleFits, WFLW_POINTS};
use serde::{Deserialize, Serialize};

/// The task of a model, which determines the meaning of its heatmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One map per landmark of the face in the crop, then the boundary map.
    Landmarks,
    /// Centres, sizes and offsets of faces in the whole picture.
    Detector,
}

impl Kind {
    /// The name of this kind of model in messages.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Landmarks => "landmark model",
            Self::Detector => "detector",
        }
    }
}

/// The network family, with its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    Edge(EdgeConfig),
    Paper(PaperConfig),
}

/// The part of the picture that the network sees: a square around the centre of the box around the landmarks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropConvention {
    /// Side of the crop relative to that of the box.
    pub scale: f32,
    /// How the side of a box that is not square is measured.
    #[serde(default, skip_serializing_if = "BoxSide::is_longer")]
    pub box_side: BoxSide,
}

/// How the side of a box is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxSide {
    #[default]
    Longer,
    /// The mean of width and height, as in the paper's official code.
    Mean,
}

impl BoxSide {
    /// The side of `rect`, in its pixels.
    pub fn of<S: Space>(self, rect: &Rect<S>) -> f32 {
        match self {
            Self::Longer => rect.side(),
            Self::Mean => 0.5 * (rect.width + rect.height),
        }
    }

    fn is_longer(&self) -> bool {
        *self == Self::Longer
    }
}

impl CropConvention {
    /// Side of the crop around a box around landmarks, in the box's pixels.
    pub fn side<S: Space>(&self, landmark_box: &Rect<S>) -> f32 {
        self.scale * self.box_side.of(landmark_box)
    }
}

fn is_default(calibration: &Calibration) -> bool {
    *calibration == Calibration::default()
}

/// A model's description, stored in the metadata of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    pub kind: Kind,
    pub architecture: Architecture,
    /// Side of the input in pixels (for a detector, the longer side).
    pub input_size: usize,
    /// Number of landmarks; 0 for a detector.
    pub points: usize,
    /// Maps per stack: the landmarks and the boundary map, or the detector's channels.
    pub outputs: usize,
    pub crop: CropConvention,
    pub decoding: Decoding,
    /// The annotation style of its 98 points; `None` if its data had several and it learned a mixture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Style>,
    /// The fits from its points to the styles of data sets, each measured on faces of that style.
    #[serde(default, alias = "ibug_fit", skip_serializing_if = "StyleFits::is_empty")]
    pub style_fits: StyleFits,
    /// The calibration from a heatmap's maximum to a confidence.
    #[serde(default, skip_serializing_if = "is_default")]
    pub calibration: Calibration,
    /// What int8 needs beside the weights; `None` if the model has no int8 ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// Training data, steps and results, as recorded by the trainer.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub training: serde_json::Map<String, serde_json::Value>,
}

/// Number of a detector's maps: the centre, then size and offset, two each.
pub const DETECTOR_OUTPUTS: usize = 5;

impl ModelConfig {
    /// Checks the whole description.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first thing that is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self { outputs, points, input_size, .. } = *self;
        at_most("outputs", outputs, MOST_CHANNELS)?;
        at_most("input_size", input_size, MOST_PIXELS)?;
        if self.kind == Kind::Detector && (outputs, points) != (DETECTOR_OUTPUTS, 0) {
            return Err(ConfigError::NotADetector { outputs, points });
        }
        match &self.architecture {
            Architecture::Edge(edge) => edge.check()?,
            Architecture::Paper(paper) => paper.check()?,
        }
        if outputs == 0 || points > outputs {
            return Err(ConfigError::TooFewMaps { outputs, points });
        }
        let graph = self.graph();
        at_most("the number of operations", graph.nodes.len(), MOST_OPERATIONS)?;
        let multiple = graph.coarsest_stride();
        if input_size == 0 || !input_size.is_multiple_of(multiple) {
            return Err(ConfigError::InputSize { size: input_size, multiple });
        }
        if !(self.crop.scale.is_finite() && self.crop.scale > 0.0) {
            return Err(ConfigError::CropScale(self.crop.scale));
        }
        if let Some(style) = self.style
            && (self.points != WFLW_POINTS || !matches!(style, Style::Wflw | Style::Ibug))
        {
            return Err(ConfigError::Style { points, style: format!("{style:?}").to_lowercase() });
        }
        self.style_fits.check().map_err(ConfigError::StyleFits)?;
        if !self.calibration.is_valid() {
            return Err(ConfigError::Calibration);
        }
        if let Some(quantization) = &self.quantization {
            quantization.check(&graph)?;
        }
        Ok(())
    }

    /// The network.
    pub fn graph(&self) -> Graph {
        match &self.architecture {
            Architecture::Edge(edge) => edge.graph(self.outputs),
            Architecture::Paper(paper) => paper.graph(self.outputs),
        }
    }

    /// Side of the heatmaps of a square input, in cells.
    pub fn heatmap_size(&self) -> usize {
        self.input_size / self.graph().output_stride()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::default_landmarks;

    #[test]
    fn a_calibration_has_finite_maxima_that_increase_and_shares() {
        for (pairs, is_right) in [
            (vec![(0.1, 0.0), (0.9, 1.0)], true),
            (vec![(0.9, 0.1), (0.1, 0.9)], false),
            (vec![(0.0, f32::NEG_INFINITY), (f32::INFINITY, 1.0)], false),
            (vec![(f32::NAN, 0.5)], false),
            (vec![(0.5, 1.5)], false),
        ] {
            let config =
                ModelConfig { calibration: Calibration(pairs), ..default_landmarks().unwrap().config().clone() };
            assert_eq!(config.check().is_ok(), is_right, "{:?}", config.calibration);
        }
    }

    #[test]
    fn networks_of_more_operations_or_levels_than_anything_useful_are_refused() {
        let mut config = default_landmarks().unwrap().config().clone();
        let refusal = |config: &ModelConfig| config.check().unwrap_err().to_string();
        let Architecture::Edge(edge) = &mut config.architecture else {
            panic!("the bundled network is an edge network")
        };
        (edge.stacks, edge.up_blocks) = (64, vec![64; 3]);
        assert!(refusal(&config).contains("the number of operations"), "{}", refusal(&config));
        let Architecture::Edge(edge) = &mut config.architecture else { unreachable!() };
        (edge.widths, edge.up_blocks) = (vec![8; 64], vec![1; 63]);
        assert!(refusal(&config).contains("the number of widths"), "{}", refusal(&config));
    }
}
