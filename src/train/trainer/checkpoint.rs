//! The state of a training on disk: a killed training resumes from the last complete checkpoint.
//!
//! In and out: a safetensors file with, for every parameter, its value, its average and the optimizer's moments in f32;
//! the position and the recipe as JSON and a checksum in its metadata. Fails with [`TrainError`] and the file's name.

use super::error::{CheckpointError, TrainError};
use super::optimizer::Moments;
use super::recipe::Recipe;
use crate::runtime::files::{Staged, read_whole};
use crate::runtime::model::graph::Parameter;
use crate::train::fnv::Fnv1a;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const STATE_KEY: &str = "awing_training";
/// Metadata key of the checksum over description and tensors.
const CHECKSUM_KEY: &str = "awing_checksum_2";

/// The position of a training.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Position {
    /// Steps done.
    pub step: u64,
    /// Time spent training, over all sessions.
    pub seconds: f64,
    /// [`Task::fingerprint`](crate::train::data::Task) of the data; missing in older checkpoints.
    #[serde(default)]
    pub data: Option<String>,
    /// Hash of the weights that the training started from; missing in older checkpoints and without a start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// Hash of weights.
pub(super) fn hash(values: &[Vec<f32>]) -> String {
    let mut hash = Fnv1a::new();
    values.iter().for_each(|values| hash.add(&bytes(values)));
    hash.text()
}

/// The tensors of a training: for every parameter its value, its average and the optimizer's moments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrainingState {
    pub values: Vec<Vec<f32>>,
    pub averages: Vec<Vec<f32>>,
    pub moments: Vec<Moments>,
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Writes a checkpoint beside the one in `folder`, to be put in its place.
pub(super) fn stage(
    folder: &Path,
    recipe: &Recipe,
    position: &Position,
    parameters: &[Parameter],
    state: &TrainingState,
) -> Result<Staged, TrainError> {
    let file = path(folder);
    let whole = encode(recipe, position, parameters, state)
        .map_err(|source| TrainError::Encode { path: file.clone(), source })?;
    Staged::write(&file, &whole).map_err(|source| TrainError::Write { path: file.clone(), source })
}

fn encode(
    recipe: &Recipe,
    position: &Position,
    parameters: &[Parameter],
    state: &TrainingState,
) -> Result<Vec<u8>, CheckpointError> {
    let mut stored = Vec::new();
    for (i, p) in parameters.iter().enumerate() {
        stored.push((format!("value/{}", p.name), bytes(&state.values[i])));
        stored.push((format!("average/{}", p.name), bytes(&state.averages[i])));
        stored.push((format!("first/{}", p.name), bytes(&state.moments[i].first)));
        stored.push((format!("second/{}", p.name), bytes(&state.moments[i].second)));
    }
    let text = serde_json::to_string(&(position, recipe))?;
    // Over the description and the bytes of all tensors, in the order of the parameters.
    let mut checksum = Fnv1a::new();
    checksum.add(text.as_bytes());
    stored.iter().for_each(|(_, bytes)| checksum.add(bytes));
    let views = stored
        .iter()
        .map(|(name, bytes)| {
            TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map(|view| (name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let metadata = HashMap::from([(STATE_KEY.to_owned(), text), (CHECKSUM_KEY.to_owned(), checksum.text())]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Reads the checkpoint of `folder`, which has to be of this recipe and this data.
pub(super) fn load(
    folder: &Path,
    recipe: &Recipe,
    data: &str,
    parameters: &[Parameter],
) -> Result<(Position, TrainingState), TrainError> {
    let file = path(folder);
    let whole = read_whole(&file).map_err(CheckpointError::Read);
    whole
        .and_then(|whole| decode(&whole, recipe, data, parameters))
        .map_err(|source| TrainError::Checkpoint { path: file, source })
}

fn decode(
    whole: &[u8],
    recipe: &Recipe,
    data: &str,
    parameters: &[Parameter],
) -> Result<(Position, TrainingState), CheckpointError> {
    let (_, metadata) = SafeTensors::read_metadata(whole)?;
    let entry = |key| metadata.metadata().as_ref().and_then(|m| m.get(key));
    let text = entry(STATE_KEY).ok_or(CheckpointError::NotACheckpoint)?;
    let (position, old): (Position, Recipe) = serde_json::from_str(text)?;
    if old != *recipe {
        return Err(CheckpointError::OtherRecipe);
    }
    if position.data.as_deref().is_some_and(|old| old != data) {
        return Err(CheckpointError::OtherData);
    }
    let tensors = SafeTensors::deserialize(whole)?;
    let mut checksum = Fnv1a::new();
    checksum.add(text.as_bytes());
    let mut read = |group: &str, p: &Parameter| -> Result<Vec<f32>, CheckpointError> {
        let name = format!("{group}/{}", p.name);
        let view = tensors.tensor(&name)?;
        checksum.add(view.data());
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if values.len() != p.shape.iter().product::<usize>() {
            return Err(CheckpointError::Misshapen { name, actual: values.len(), expected: p.shape.clone() });
        }
        Ok(values)
    };
    let mut state = TrainingState { values: Vec::new(), averages: Vec::new(), moments: Vec::new() };
    for p in parameters {
        state.values.push(read("value", p)?);
        state.averages.push(read("average", p)?);
        state.moments.push(Moments { first: read("first", p)?, second: read("second", p)? });
    }
    match entry(CHECKSUM_KEY) {
        None => Err(CheckpointError::OtherVersion),
        Some(expected) if *expected != checksum.text() => Err(CheckpointError::Checksum),
        Some(_) => Ok((position, state)),
    }
}
