//! Stands in for candle in builds without a GPU feature: there is no device to run on.

use super::{AnyError, Differentiable, GpuKind};
use crate::runtime::engine::EngineError;
use crate::runtime::model::{Model, ModelConfig};
use crate::train::network::{Network, Norms};

#[derive(Clone, Debug)]
pub(super) enum Device {}

#[derive(Debug, thiserror::Error)]
#[error("this build of awing can't use a GPU")]
pub(super) struct NoGpu;

pub(super) fn open(_: GpuKind) -> Result<Device, NoGpu> {
    Err(NoGpu)
}

pub(super) fn network(_: &Model, device: &Device) -> Result<Box<dyn Network>, EngineError> {
    match *device {}
}

pub(super) fn differentiable(
    _: &ModelConfig,
    _: &[Vec<f32>],
    _: Norms,
    device: &Device,
) -> Result<Box<dyn Differentiable>, AnyError> {
    match *device {}
}
