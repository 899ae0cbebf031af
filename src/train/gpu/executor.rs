//! Inference on a GPU: a picture in, the maps of the last stack out, in single precision.
//!
//! In: a network, then pictures of its input size. Out: maps on the host. Fails with the device's error.

use crate::runtime::engine::{EngineError, Executor};
use crate::runtime::heatmap::HeatmapView;
use crate::runtime::model::ModelConfig;
use crate::train::network::{Maps, Network};

/// A network on a device, for square pictures of one size.
pub(super) struct DeviceExecutor {
    network: Box<dyn Network>,
    size: usize,
    input: Vec<f32>,
    maps: Maps,
}

impl DeviceExecutor {
    pub fn new(network: Box<dyn Network>, config: &ModelConfig) -> Self {
        let size = config.input_size;
        let side = size / config.graph().output_stride();
        let maps = Maps { values: Vec::new(), height: side, width: side, channels: config.outputs };
        Self { network, size, input: vec![0.0; size * size * 3], maps }
    }
}

impl Executor for DeviceExecutor {
    fn input_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    fn run(&mut self) -> Result<(), EngineError> {
        self.maps = self.network.maps(self.input.clone(), (self.size, self.size))?;
        Ok(())
    }

    fn output(&self) -> HeatmapView<'_> {
        let &Maps { ref values, height, width, channels } = &self.maps;
        HeatmapView { values, height, width, channels }
    }

    fn all_maps(&self) -> Option<HeatmapView<'_>> {
        Some(self.output())
    }
}
