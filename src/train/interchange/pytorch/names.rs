//! A model's weights under PyTorch's names, for `load_state_dict`.
//!
//! In: a model. Out: the bytes of a safetensors file.

use crate::runtime::model::graph::Role;
use crate::runtime::model::{Model, ModelError};
use safetensors::tensor::{Dtype, TensorView};

/// The counter that PyTorch keeps beside a batch norm's statistics.
pub(super) const COUNTER: &str = "num_batches_tracked";

/// The bytes of a safetensors file that `load_state_dict` of the same network in PyTorch takes as it is: every
/// parameter in single precision, and the batch norms' counters (`num_batches_tracked`, 0). The names of a paper
/// network are those of the official code; an edge network's are awing's own.
///
/// # Errors
/// [`ModelError::NotSafetensors`] if the format can't hold the tensors.
pub fn to_pytorch_names(model: &Model) -> Result<Vec<u8>, ModelError> {
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for parameter in model.config().graph().parameters() {
        let values = model.tensor(&parameter.name).unwrap_or_default();
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        if parameter.role == Role::RunningVariance {
            let layer = parameter.name.trim_end_matches("running_var");
            tensors.push((format!("{layer}{COUNTER}"), Dtype::I64, Vec::new(), 0_i64.to_le_bytes().to_vec()));
        }
        tensors.push((parameter.name, Dtype::F32, parameter.shape, bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(safetensors::serialize(views, None)?)
}
