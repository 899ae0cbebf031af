//! GPUs, through candle: networks for tracking, evaluation and training.
//!
//! In: a kind of GPU, then a model or a description. Out: an [`Executor`] for tracking, a [`Network`] for measuring, or
//! a [`Differentiable`] for training. Only [`candle`] uses the crate candle, with the features `cuda` and `metal`; in
//! other builds [`Gpu::open`] fails and names the feature. A GPU pays for large networks such as the paper's; the CPU
//! finishes a small one before a GPU has started.

#[cfg(feature = "gpu")]
pub(crate) mod candle;
#[cfg(not(feature = "gpu"))]
#[path = "none.rs"]
mod candle;
mod executor;

use crate::runtime::engine::{Backend, EngineError, Executor};
use crate::runtime::model::{Model, ModelConfig};
use crate::train::data::{Batch, Task};
use crate::train::network::{Network, Norms};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A kind of GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GpuKind {
    /// NVIDIA's, in a build with the feature `cuda`.
    Cuda,
    /// Apple's, in a build with the feature `metal`.
    Metal,
}

/// There is no such GPU, or this build can't use it; the message says what is needed.
#[derive(Debug, thiserror::Error)]
#[error("no usable GPU: this needs {remedy}")]
pub struct GpuError {
    remedy: &'static str,
    source: AnyError,
}

/// A GPU that networks run on: a [`Backend`] for tracking, the `gpu` of [`TrainOptions`](crate::train::TrainOptions)
/// for training.
#[derive(Clone, Debug)]
pub struct Gpu(candle::Device);

impl Gpu {
    /// Opens the first GPU of this kind.
    ///
    /// # Errors
    /// [`GpuError`] if there is none, or if this build can't use it.
    pub fn open(kind: GpuKind) -> Result<Self, GpuError> {
        let remedy = match kind {
            GpuKind::Cuda => "an NVIDIA GPU with its driver, and a build with --features cuda",
            GpuKind::Metal => "a Mac, and a build with --features metal",
        };
        candle::open(kind).map(Self).map_err(|source| GpuError { remedy, source: source.into() })
    }

    /// The network of `model`, for measuring.
    ///
    /// # Errors
    /// The device's error.
    pub(crate) fn network(&self, model: &Model) -> Result<Box<dyn Network>, EngineError> {
        candle::network(model, &self.0)
    }

    /// A network for training, with these values of its parameters and these statistics in its norms.
    ///
    /// # Errors
    /// The device's error.
    pub(crate) fn differentiable(
        &self,
        config: &ModelConfig,
        values: &[Vec<f32>],
        norms: Norms,
    ) -> Result<Box<dyn Differentiable>, AnyError> {
        candle::differentiable(config, values, norms, &self.0)
    }
}

impl Backend for Gpu {
    fn executor(&self, model: &Model) -> Result<Box<dyn Executor>, EngineError> {
        Ok(Box::new(executor::DeviceExecutor::new(self.network(model)?, model.config())))
    }
}

/// Loss and gradients of one batch.
pub(crate) struct Gradients {
    /// Summed over the stacks.
    pub loss: f64,
    /// In the order of the parameters; none for the running statistics.
    pub of_parameters: Vec<Option<Vec<f32>>>,
    /// Numbers, in the order of the parameters, and new values of the running statistics; none where those are frozen.
    pub running: Vec<(usize, Vec<f32>)>,
}

/// A network on a GPU that is trained; it holds a copy of the parameters' values.
pub(crate) trait Differentiable: Send {
    /// Replaces the values.
    ///
    /// # Errors
    /// The device's error.
    fn set(&mut self, values: &[Vec<f32>]) -> Result<(), AnyError>;

    /// Loss and gradients of the task's objective on `batch`.
    ///
    /// # Errors
    /// The device's error.
    fn gradients(&mut self, task: &dyn Task, batch: Batch) -> Result<Gradients, AnyError>;
}

#[cfg(test)]
impl Gpu {
    /// The GPU code on the CPU, for tests.
    pub(crate) fn on_cpu() -> Self {
        Self(candle::Device::Cpu)
    }
}
