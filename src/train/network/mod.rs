//! A network while it is trained: initial values of its parameters, and its forward pass on batches of pictures.
//!
//! In: a description or a model, then pictures (image, row, column, RGB) in 0..=1. Out: the maps of every stack. On the
//! CPU nothing fails; other implementations of [`Network`] fail with their device's error.

mod average;
mod buffers;
mod fold;
mod forward;
mod grow;

pub(crate) use average::averaged;
pub(crate) use buffers::BufferPool;
pub(crate) use fold::Folded;
pub(crate) use forward::{Forward, ForwardPass, Norms, norm_of};
pub(crate) use grow::grown;

use crate::runtime::engine::EngineError;
use crate::runtime::heatmap::HeatmapView;
use crate::runtime::model::Model;
use crate::runtime::model::graph::{Graph, NodeId, Role};
#[cfg(feature = "internals")]
use crate::runtime::model::{ModelConfig, ModelError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Weight of a new batch in the running statistics (PyTorch's default).
pub(crate) const NORM_MOMENTUM: f64 = 0.1;

/// Random values of every parameter, in the order of [`Graph::parameters`]: convolutions uniform in +-1/sqrt(fan-in)
/// (PyTorch's default), norms at identity.
pub(crate) fn initial_values(graph: &Graph, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // A bias comes behind its weight and has the same bound.
    let mut bound = 1.0;
    let mut values = Vec::new();
    for p in graph.parameters() {
        let count = p.shape.iter().product();
        values.push(match p.role {
            Role::ConvolutionWeight | Role::ConvolutionBias => {
                if p.role == Role::ConvolutionWeight {
                    bound = 1.0 / (p.shape[1..].iter().product::<usize>() as f32).sqrt();
                }
                (0..count).map(|_| rng.random_range(-bound..bound)).collect()
            }
            Role::NormGain | Role::RunningVariance => vec![1.0; count],
            Role::NormBias | Role::RunningMean => vec![0.0; count],
        });
    }
    values
}

/// The values of every parameter, in the order of [`Graph::parameters`].
pub(crate) fn values_of(model: &Model) -> Vec<Vec<f32>> {
    let value = |name: &str| model.tensor(name).expect("a model has every parameter").to_vec();
    model.config().graph().parameters().iter().map(|p| value(&p.name)).collect()
}

/// A model with the initial values of a training with this seed.
///
/// # Errors
/// A description that can't be.
#[cfg(feature = "internals")]
pub fn untrained(config: &ModelConfig, seed: u64) -> Result<Model, ModelError> {
    let graph = config.graph();
    let names = graph.parameters().into_iter().map(|p| p.name);
    Model::new(config.clone(), names.zip(initial_values(&graph, seed)).collect())
}

/// The maps of one stack for a batch: (image, row, column, map).
#[derive(Clone, Debug, PartialEq)]
pub struct Maps {
    pub values: Vec<f32>,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Maps {
    /// The maps of each picture.
    pub fn views(&self) -> impl Iterator<Item = HeatmapView<'_>> {
        let &Self { ref values, height, width, channels } = self;
        values.chunks_exact(height * width * channels).map(move |v| HeatmapView { values: v, height, width, channels })
    }
}

/// A network with fixed parameters on some device, for measuring it: norms use the running statistics.
pub trait Network: Send {
    /// The maps of every stack, the last stack's last. `pictures` of `size` rows and columns, one after the other, both
    /// sides multiples of the coarsest stride.
    ///
    /// # Errors
    /// [`EngineError::Executor`] with what the device reports.
    fn stacks(&mut self, pictures: Vec<f32>, size: (usize, usize)) -> Result<Vec<Maps>, EngineError>;

    /// As [`Self::stacks`], of the last stack only.
    ///
    /// # Errors
    /// As [`Self::stacks`].
    fn maps(&mut self, pictures: Vec<f32>, size: (usize, usize)) -> Result<Maps, EngineError>;
}

/// A network on the CPU, run by the kernels and threads that train it.
pub struct CpuNetwork {
    values: Vec<Vec<f32>>,
    pass: ForwardPass,
}

impl CpuNetwork {
    pub fn new(model: &Model) -> Self {
        Self { values: values_of(model), pass: ForwardPass::new(model.config().graph(), Norms::Running) }
    }

    /// As [`Network::stacks`]; calls `see` with every node and its value.
    pub(crate) fn stacks_seen(
        &mut self,
        pictures: Vec<f32>,
        size: (usize, usize),
        see: impl FnMut(NodeId, &[f32]),
    ) -> Vec<Maps> {
        self.pass.evaluate(&self.values, pictures, size, see)
    }
}

impl Network for CpuNetwork {
    fn stacks(&mut self, pictures: Vec<f32>, size: (usize, usize)) -> Result<Vec<Maps>, EngineError> {
        Ok(self.stacks_seen(pictures, size, |_, _| {}))
    }

    fn maps(&mut self, pictures: Vec<f32>, size: (usize, usize)) -> Result<Maps, EngineError> {
        Ok(self.stacks(pictures, size)?.pop().expect("a network has an output"))
    }
}

#[cfg(test)]
pub(in crate::train) mod tests {
    use super::*;
    use crate::runtime::model::EdgeConfig;
    use crate::train::gpu::Gpu;

    /// Two small stacks whose channels don't fill whole vectors.
    pub fn small_edge() -> EdgeConfig {
        EdgeConfig {
            stem_channels: 8,
            stem_blocks: 1,
            widths: vec![20, 24, 32],
            kernel: 5,
            middle_blocks: 1,
            up_blocks: vec![1, 2],
            stacks: 2,
            coordinates: true,
        }
    }

    #[test]
    fn the_cpu_and_candle_give_the_same_maps() {
        let config = |architecture: serde_json::Value| -> ModelConfig {
            serde_json::from_value(serde_json::json!({
                "kind": "landmarks", "architecture": architecture, "input_size": 64, "points": 4, "outputs": 5,
                "crop": {"scale": 1.35}, "decoding": "centroid"
            }))
            .unwrap()
        };
        let edge = config(serde_json::json!({"edge": small_edge()}));
        let paper = config(serde_json::json!({"paper": {"stacks": 2}}));
        for (config, size) in [(edge, (64, 96)), (paper, (128, 64))] {
            let model = untrained(&config, 3).unwrap();
            let mut cpu = CpuNetwork::new(&model);
            let mut candle = Gpu::on_cpu().network(&model).unwrap();
            // Fewer pictures the second time: buffers are used again.
            for images in [3, 1] {
                let pictures = crate::train::ops::tests::random_numbers(images * size.0 * size.1 * 3, 4);
                let stacks = cpu.stacks(pictures.clone(), size).unwrap();
                assert_eq!(stacks.len(), 2);
                assert!(stacks.iter().all(|maps| maps.views().count() == images));
                assert_eq!(candle.stacks(pictures.clone(), size).unwrap(), stacks);
                assert_eq!(candle.maps(pictures.clone(), size).unwrap(), stacks[1]);
                assert_eq!(cpu.maps(pictures, size).unwrap(), stacks[1]);
            }
        }
    }
}
