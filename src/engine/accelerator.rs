//! Inference on a GPU: candle's operations in the order of the network's graph.
//!
//! For large networks, such as the paper's; a small one is done on the CPU before a GPU has started.

use super::EngineError;
use crate::heatmap::HeatmapView;
use crate::model::{Mode, Model, Network};
use candle_core::{Device, Tensor};

/// A kind of GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// NVIDIA's; the crate has to be built with the feature `cuda`.
    Cuda,
    /// Apple's; the crate has to be built with the feature `metal`.
    Metal,
}

impl Accelerator {
    /// Opens the first one of its kind.
    ///
    /// # Errors
    /// [`EngineError::Accelerator`] if there is none, or none that this build can use.
    pub fn open(self) -> Result<Device, EngineError> {
        let (device, remedy) = match self {
            Self::Cuda => (Device::new_cuda(0), "an NVIDIA GPU with its driver, and a build with --features cuda"),
            Self::Metal => (Device::new_metal(0), "a Mac, and a build with --features metal"),
        };
        device.map_err(|source| EngineError::Accelerator { remedy, source })
    }
}

/// A network on a device, for square pictures of one size.
pub(super) struct DeviceNetwork {
    network: Network,
    size: usize,
    input: Vec<f32>,
    maps: Vec<f32>,
    map_size: usize,
    channels: usize,
}

impl DeviceNetwork {
    pub fn new(model: &Model, device: &Device) -> Result<Self, EngineError> {
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

    pub fn input_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    pub fn run(&mut self) -> Result<(), EngineError> {
        let picture = Tensor::from_slice(&self.input, (1, self.size, self.size, 3), self.network.device())?;
        let mut stacks = self.network.forward(&picture, Mode::Evaluate)?;
        let last = stacks.pop().expect("a network has an output");
        self.maps = last.flatten_all()?.to_vec1()?;
        Ok(())
    }

    /// All maps of the last stack.
    pub fn output(&self) -> HeatmapView<'_> {
        HeatmapView { values: &self.maps, height: self.map_size, width: self.map_size, channels: self.channels }
    }
}
