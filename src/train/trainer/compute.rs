//! Loss and gradients of a batch: on the CPU by [`Backprop`], on a GPU by candle.
//!
//! In: the values of the parameters and a batch. Out: the loss, the gradient of every parameter, and the new running
//! statistics of the norms. Fails with the device's error.

use super::backprop::Backprop;
use super::error::TrainError;
use super::recipe::Adaptation;
use crate::runtime::model::ModelConfig;
use crate::train::data::{Batch, Task};
use crate::train::gpu::{Differentiable, Gpu, Gradients};
use crate::train::network::Norms;

/// A network that can be differentiated.
pub(super) enum Compute {
    Cpu(Box<Backprop>),
    /// The network holds a copy of the values.
    Gpu(Box<dyn Differentiable>),
}

impl Compute {
    /// A network with the parameters `values`, on the CPU without a GPU.
    ///
    /// # Errors
    /// The device's error.
    pub fn new(
        config: &ModelConfig,
        values: &[Vec<f32>],
        adaptation: &Adaptation,
        gpu: Option<&Gpu>,
    ) -> Result<Self, TrainError> {
        let norms = if adaptation.frozen_statistics { Norms::Running } else { Norms::OfTheBatch };
        Ok(match gpu {
            None => Self::Cpu(Box::new(Backprop::new(config.graph(), norms, |name| adaptation.is_frozen(name)))),
            Some(gpu) => Self::Gpu(gpu.differentiable(config, values, norms).map_err(TrainError::Device)?),
        })
    }

    /// Gives a GPU its copy of `values`, the parameters from now on.
    ///
    /// # Errors
    /// The device's error.
    pub fn set(&mut self, values: &[Vec<f32>]) -> Result<(), TrainError> {
        match self {
            Self::Cpu(_) => Ok(()),
            Self::Gpu(network) => network.set(values).map_err(TrainError::Device),
        }
    }

    /// Loss and gradients of the task's objective on `batch`, for the parameters `values`: those of the last
    /// [`Self::set`].
    ///
    /// # Errors
    /// The device's error.
    pub fn gradients(
        &mut self,
        task: &dyn Task,
        values: &[Vec<f32>],
        mut batch: Batch,
    ) -> Result<Gradients, TrainError> {
        match self {
            Self::Cpu(backprop) => {
                let pictures = std::mem::take(&mut batch.input);
                let mut forward = backprop.forward(values, pictures, task.shape().input);
                let (mut loss, mut of_maps) = (0.0, Vec::new());
                for node in backprop.outputs().to_vec() {
                    let maps = forward.value(node);
                    let mut gradient = backprop.buffer(maps.len());
                    loss += task.objective().loss_and_gradient(maps, batch.targets(), &mut gradient);
                    of_maps.push(gradient);
                }
                let of_parameters = backprop.backward(values, &mut forward, of_maps);
                Ok(Gradients { loss, of_parameters, running: backprop.running_statistics(&forward, values) })
            }
            Self::Gpu(network) => network.gradients(task, batch).map_err(TrainError::Device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::graph::Role;
    use crate::runtime::model::{Architecture, CropConvention, Kind, ModelConfig, PaperConfig};
    use crate::train::data::{BatchShape, DataError, ItemMut};
    use crate::train::gpu::candle::ops::tests::as_elsewhere;
    use crate::train::loss::{AdaptiveWing, Objective};
    use crate::train::network::initial_values;
    use crate::train::network::tests::small_edge;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    struct Shapes(BatchShape);

    impl Task for Shapes {
        fn shape(&self) -> BatchShape {
            self.0
        }

        fn fill(&self, _: &mut ChaCha8Rng, _: ItemMut<'_>) -> std::result::Result<(), DataError> {
            Ok(())
        }

        fn objective(&self) -> &dyn Objective {
            &AdaptiveWing
        }
    }

    fn config(architecture: Architecture, outputs: usize) -> ModelConfig {
        ModelConfig {
            kind: Kind::Landmarks,
            architecture,
            input_size: 64,
            points: 4,
            outputs,
            crop: CropConvention { scale: 1.0, box_side: Default::default() },
            decoding: crate::runtime::heatmap::Decoding::Centroid,
            style: None,
            style_fits: Default::default(),
            calibration: Default::default(),
            quantization: None,
            training: Default::default(),
        }
    }

    /// Backprop and candle on two batches each, one after the other, so that buffers are used again. Candle with our
    /// own operations, or with those that other devices use.
    fn agree(architecture: Architecture, elsewhere: bool, adaptation: &Adaptation) {
        let config = config(architecture, 5);
        let graph = config.graph();
        let parameters = graph.parameters();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut values = initial_values(&graph, 3);
        // Gains of 1, means and biases of 0 would hide faults of what is folded.
        for (p, values) in parameters.iter().zip(&mut values) {
            let range = match p.role {
                Role::ConvolutionWeight => continue,
                Role::NormGain | Role::RunningVariance => 0.5..1.5,
                Role::ConvolutionBias | Role::NormBias | Role::RunningMean => -0.3..0.3,
            };
            values.fill_with(|| rng.random_range(range.clone()));
        }
        // Twice as high as wide.
        let width = config.graph().coarsest_stride().max(32);
        let shape = BatchShape { input: (2 * width, width), heatmap: (width / 2, width / 4), channels: 5 };
        let task = Shapes(shape);
        let mut cpu = Compute::new(&config, &values, adaptation, None).unwrap();
        let mut candle = Compute::new(&config, &values, adaptation, Some(&Gpu::on_cpu())).unwrap();
        for images in [3, 2] {
            let mut numbers = |count| (0..count).map(|_| rng.random::<f32>()).collect::<Vec<_>>();
            let batch = Batch {
                input: numbers(images * shape.input_len()),
                target: numbers(images * shape.target_len()),
                weight: numbers(images * shape.target_len()),
                normalizer: 70.0,
                len: images,
            };
            candle.set(&values).unwrap();
            let mut by_candle = || candle.gradients(&task, &values, batch.clone()).unwrap();
            let expected = if elsewhere { as_elsewhere(by_candle) } else { by_candle() };
            let actual = cpu.gradients(&task, &values, batch).unwrap();
            assert!((actual.loss / expected.loss - 1.0).abs() < 1e-5, "{} {}", actual.loss, expected.loss);
            // The gradient of a bias before a norm is 0 but for rounding.
            let all = expected.of_parameters.iter().flatten().flatten();
            let rounding = 1e-4 * all.fold(0.0_f32, |m, v| m.max(v.abs()));
            let close = |name: &str, a: &[f32], e: &[f32]| {
                let largest = e.iter().fold(1e-6_f32, |m, v| m.max(v.abs()));
                let worst = a.iter().zip(e).fold(0.0_f32, |m, (a, e)| m.max((a - e).abs()));
                assert!(
                    a.len() == e.len() && worst < 1e-2 * largest + rounding,
                    "{name}: off by {worst}, largest {largest}"
                );
            };
            let gradients = actual.of_parameters.iter().zip(&expected.of_parameters);
            // Nobody uses the gradient of what is frozen.
            for (p, (a, e)) in parameters.iter().zip(gradients).filter(|(p, _)| !adaptation.is_frozen(&p.name)) {
                assert_eq!(a.is_some(), e.is_some(), "{}", p.name);
                if let (Some(a), Some(e)) = (a, e) {
                    close(&p.name, a, e);
                }
            }
            assert_eq!(actual.running.len(), expected.running.len());
            for ((number, a), (same, e)) in actual.running.iter().zip(&expected.running) {
                assert_eq!(number, same);
                close("running statistics", a, e);
            }
        }
    }

    fn edge() -> Architecture {
        Architecture::Edge(small_edge())
    }

    #[test]
    fn gradients_of_an_edge_network_are_candles() {
        agree(edge(), false, &Adaptation::default());
    }

    #[test]
    fn gradients_with_frozen_statistics_are_candles() {
        let adaptation = Adaptation { frozen_statistics: true, ..Adaptation::default() };
        agree(edge(), false, &adaptation);
        agree(edge(), true, &adaptation);
        agree(Architecture::Paper(PaperConfig { stacks: 2 }), false, &adaptation);
    }

    #[test]
    fn what_is_frozen_changes_no_gradient_of_the_rest() {
        for frozen_statistics in [false, true] {
            let frozen = ["stem", "pointwise.weight", "skip"].map(String::from).to_vec();
            agree(edge(), false, &Adaptation { frozen_statistics, frozen, ..Adaptation::default() });
        }
    }

    #[test]
    fn other_devices_train_with_the_same_gradients() {
        agree(edge(), true, &Adaptation::default());
    }

    #[test]
    fn gradients_of_the_papers_network_are_candles() {
        agree(Architecture::Paper(PaperConfig { stacks: 2 }), false, &Adaptation::default());
    }
}
