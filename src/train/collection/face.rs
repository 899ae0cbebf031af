//! One collected face, as a row of `faces.jsonl`.

use serde::{Deserialize, Serialize};

/// A person's decision about the landmarks of a face.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Review {
    /// Nobody has reviewed them: they are the model's own. Not used as labels.
    #[default]
    Pending,
    /// Right or corrected. Used as labels.
    Accepted,
    /// The face must not be used at all.
    Rejected,
}

/// A face in a picture of a recording. Coordinates are pixels of the picture; an integer is the centre of a pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectedFace {
    /// The picture, relative to the recording's folder.
    pub image: String,
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// The 98 landmarks as they are now: [x, y].
    pub points: Vec<[f32; 2]>,
    /// The weight of each landmark, in 0..=1; 1 each if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Vec<f32>>,
    pub review: Review,
    /// The clip that the picture belongs to. Pictures of one clip are alike, so they are never split between training
    /// and held-out faces.
    pub clip: String,
    /// The landmarks that the model predicted; none if the detector did not find the face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Vec<[f32; 2]>>,
    /// The model's confidence in each of its landmarks, in 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Vec<f32>>,
    /// The tracker's score of the face, in 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// The source of the picture: a camera's name, a file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The capture time, in seconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_s: Option<f64>,
    /// Keys of other programs, preserved.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl CollectedFace {
    /// Whether the detector found the face.
    pub fn is_detected(&self) -> bool {
        self.predicted.is_some()
    }
}
