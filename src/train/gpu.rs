//! Inference on a GPU: candle's operations in the order of the network's graph, in single precision.
//!
//! In: a model, then pictures of its input size. Out: the maps of the last stack, on the host. Fails with what the device
//! reports. Worth it for large networks such as the paper's; the CPU finishes a small one before a GPU has started.

use crate::runtime::engine::{Backend, EngineError, Executor};
use crate::runtime::heatmap::HeatmapView;
use crate::runtime::model::Model;
use crate::train::network::{Mode, Network};
use candle_core::{Device, Tensor};

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
    source: candle_core::Error,
}

/// A GPU that networks run on: a [`Backend`] for tracking, a [`device`](Self::device) for training.
#[derive(Clone, Debug)]
pub struct Gpu(Device);

impl Gpu {
    /// Opens the first GPU of this kind.
    ///
    /// # Errors
    /// [`GpuError`] if there is none, or if this build can't use it.
    pub fn open(kind: GpuKind) -> Result<Self, GpuError> {
        let (device, remedy) = match kind {
            GpuKind::Cuda => (Device::new_cuda(0), "an NVIDIA GPU with its driver, and a build with --features cuda"),
            GpuKind::Metal => (Device::new_metal(0), "a Mac, and a build with --features metal"),
        };
        device.map(Self).map_err(|source| GpuError { remedy, source })
    }

    /// The device as candle names it, for [`TrainOptions`](crate::train::TrainOptions).
    pub fn device(&self) -> &Device {
        &self.0
    }
}

impl Backend for Gpu {
    fn executor(&self, model: &Model) -> Result<Box<dyn Executor>, EngineError> {
        Ok(Box::new(DeviceNetwork::new(model, &self.0).map_err(failed)?))
    }
}

fn failed(error: candle_core::Error) -> EngineError {
    EngineError::Executor(Box::new(error))
}

/// A network on a device, for square pictures of one size.
struct DeviceNetwork {
    network: Network,
    size: usize,
    input: Vec<f32>,
    maps: Vec<f32>,
    map_size: usize,
    channels: usize,
}

impl DeviceNetwork {
    fn new(model: &Model, device: &Device) -> candle_core::Result<Self> {
        let config = model.config();
        let size = config.input_size;
        Ok(Self {
            network: Network::from_model(model, device)?,
            size,
            input: vec![0.0; size * size * 3],
            maps: Vec::new(),
            map_size: size / config.graph().output_stride(),
            channels: config.outputs,
        })
    }

    fn forward(&mut self) -> candle_core::Result<()> {
        let picture = Tensor::from_slice(&self.input, (1, self.size, self.size, 3), self.network.device())?;
        let mut stacks = self.network.forward(&picture, Mode::Evaluate)?;
        let last = stacks.pop().expect("a network has an output");
        self.maps = last.flatten_all()?.to_vec1()?;
        Ok(())
    }
}

impl Executor for DeviceNetwork {
    fn input_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    fn run(&mut self) -> Result<(), EngineError> {
        self.forward().map_err(failed)
    }

    fn output(&self) -> HeatmapView<'_> {
        HeatmapView { values: &self.maps, height: self.map_size, width: self.map_size, channels: self.channels }
    }

    fn all_maps(&self) -> Option<HeatmapView<'_>> {
        Some(self.output())
    }
}

#[cfg(test)]
impl Gpu {
    /// The executor of GPUs, on the CPU: what a test can run.
    pub(crate) fn on_cpu() -> Self {
        Self(Device::Cpu)
    }
}
