//! Imports official checkpoints of the paper's network.
//!
//! In: a checkpoint. Out: a model with the same names and weights, with the official crop and decoding. The tensors
//! determine the number of stacks and points. Fails with [`ImportError`].

use super::checkpoint::{Checkpoint, listed};
use super::error::ImportError;
use super::names::COUNTER;
use super::pickle::Tensor;
use crate::runtime::files::read_whole;
use crate::runtime::heatmap::{Calibration, Decoding};
use crate::runtime::landmarks::Scheme;
use crate::runtime::model::graph::Parameter;
use crate::runtime::model::{
    Architecture, BoxSide, CropConvention, Kind, MOST_REPEATS, Model, ModelConfig, ModelError, PaperConfig,
};
use std::collections::HashMap;
use std::path::Path;

/// Pixels a side of the official network's input.
const INPUT_SIZE: usize = 256;
/// The official converter and loader of WFLW cut a square of 0.8 x 1.05 x 360 / 450 x (width + height) of the face box.
const CROP: CropConvention = CropConvention { scale: 1.344, box_side: BoxSide::Mean };
/// Layers that every stack has, by what stands before the stack's number.
const STACK_LAYERS: [&str; 5] = ["m", "top_m_", "conv_last", "bn_end", "l"];

/// Reads a PyTorch checkpoint of the paper's network (its authors' code, class `FAN`) as a model: 98, 68, 29 or 19
/// points, any number of stacks, in PyTorch's zip format or the older one. The model has the official crop and
/// decoding.
///
/// Nothing in the file is executed.
///
/// # Errors
/// [`ImportError`], naming the file, and the first tensor that is missing, superfluous or misshapen.
pub fn import_pytorch(path: &Path) -> Result<Model, ImportError> {
    let bytes = read_whole(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    import_pytorch_bytes(&bytes)
        .map_err(|source| ImportError::InFile { path: path.to_owned(), source: Box::new(source) })
}

/// As [`import_pytorch`], from the bytes of the file.
///
/// # Errors
/// [`ImportError`] without the file's name.
pub fn import_pytorch_bytes(bytes: &[u8]) -> Result<Model, ImportError> {
    let checkpoint = Checkpoint::read(bytes)?;
    let by_name: HashMap<&str, &Tensor> = checkpoint.tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    let (stacks, points) = (stacks(&by_name), points(&by_name)?);
    let config = ModelConfig {
        kind: Kind::Landmarks,
        architecture: Architecture::Paper(PaperConfig { stacks }),
        input_size: INPUT_SIZE,
        points,
        outputs: points + 1,
        crop: CROP,
        decoding: Decoding::Quarter,
        style: None,
        style_fits: Default::default(),
        calibration: Calibration::default(),
        quantization: None,
        training: serde_json::Map::new(),
    };
    config.check().map_err(ModelError::from)?;
    let parameters = config.graph().parameters();
    if let Some(first) = parameters.first()
        && !parameters.iter().any(|p| by_name.contains_key(p.name.as_str()))
    {
        let names = listed(checkpoint.tensors.iter().map(|(name, _)| name.as_str()));
        return Err(ImportError::OtherNetwork { missing: first.name.clone(), names });
    }
    for Parameter { name, shape, .. } in &parameters {
        let tensor = by_name.get(name.as_str()).ok_or_else(|| ModelError::Missing { name: name.clone() })?;
        if tensor.shape != *shape {
            let (name, actual, expected) = (name.clone(), tensor.shape.clone(), shape.clone());
            return Err(ModelError::Misshapen { name, actual, expected }.into());
        }
    }
    let mut known: HashMap<&str, bool> = parameters.iter().map(|p| (p.name.as_str(), false)).collect();
    for (name, _) in &checkpoint.tensors {
        let is_counter =
            name.strip_suffix(COUNTER).is_some_and(|layer| known.contains_key(format!("{layer}running_mean").as_str()));
        let first = known.get_mut(name.as_str()).is_some_and(|seen| !std::mem::replace(seen, true));
        if !first && !is_counter {
            return Err(ModelError::Superfluous { name: name.clone() }.into());
        }
    }
    let values = |p: &Parameter| Ok((p.name.clone(), checkpoint.values(&p.name, by_name[p.name.as_str()])?));
    let tensors = parameters.iter().map(values).collect::<Result<_, ImportError>>()?;
    Ok(Model::new(config, tensors)?)
}

/// Number of stacks from the first on that have a tensor: at least 1, and at most one more than a network can have.
fn stacks(tensors: &HashMap<&str, &Tensor>) -> usize {
    let belongs = |name: &str, stack: usize| {
        STACK_LAYERS.iter().any(|layer| {
            name.strip_prefix(layer).and_then(|rest| rest.split('.').next()) == Some(stack.to_string().as_str())
        })
    };
    (0..=MOST_REPEATS).take_while(|&stack| tensors.keys().any(|name| belongs(name, stack))).count().max(1)
}

/// Number of landmarks that the first stack has maps of; 98 if it has no maps at all, which is reported later.
fn points(tensors: &HashMap<&str, &Tensor>) -> Result<usize, ImportError> {
    let Some(maps) = tensors.get("l0.weight").and_then(|t| t.shape.first()) else { return Ok(98) };
    let points = maps.checked_sub(1).filter(|&points| Scheme::of_points(points).is_some());
    points.ok_or_else(|| {
        ImportError::not_a_checkpoint(format!(
            "l0.weight makes {maps} maps; the paper's networks have 99, 69, 30 or 20, one for each of 98, 68, 29 or 19 \
             points and the boundary map"
        ))
    })
}
