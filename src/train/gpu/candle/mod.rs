//! Everything that calls candle: networks on its devices, and the operations and losses that it differentiates.
//!
//! In: models, descriptions and batches on the host. Out: maps, losses and gradients on the host. Fails with candle's
//! or the device's error. The features `cuda` and `metal` enable this module; tests and benches run it on the CPU as
//! the reference for awing's own kernels, gradients and engine.
//!
//! | file | holds |
//! |---|---|
//! | `network` | a network in candle, with gradients |
//! | `gradients` | loss and gradients of a batch |
//! | `loss` | objectives as differentiable tensors |
//! | `ops` | the operations of a network, with gradients |

mod gradients;
mod loss;
mod network;
pub(crate) mod ops;

pub use candle_core::Device;
pub use loss::adaptive_wing;
pub use network::CandleNetwork;
#[cfg(feature = "internals")]
pub use network::Mode;

use gradients::TrainedNetwork;

use super::{AnyError, Differentiable, GpuKind};
use crate::runtime::engine::EngineError;
use crate::runtime::model::{Model, ModelConfig};
use crate::train::network::{Network, Norms};
use candle_core::{Error, Result};

pub(super) fn open(kind: GpuKind) -> Result<Device> {
    match kind {
        GpuKind::Cuda => Device::new_cuda(0),
        GpuKind::Metal => Device::new_metal(0),
    }
}

pub(super) fn network(model: &Model, device: &Device) -> std::result::Result<Box<dyn Network>, EngineError> {
    Ok(Box::new(CandleNetwork::from_model(model, device).map_err(failed)?))
}

pub(super) fn differentiable(
    config: &ModelConfig,
    values: &[Vec<f32>],
    norms: Norms,
    device: &Device,
) -> std::result::Result<Box<dyn Differentiable>, AnyError> {
    Ok(Box::new(TrainedNetwork::new(CandleNetwork::new(config, values, device)?, norms)))
}

fn failed(error: Error) -> EngineError {
    EngineError::Executor(Box::new(error))
}
