//! Loss and gradients of a batch: on the CPU by [`Backprop`], elsewhere by candle.
//!
//! In: the values of the parameters and a batch. Out: the loss, the gradient of every parameter, and the new running
//! statistics of the norms. Fails with what the device reports.

use super::backprop::Backprop;
use super::recipe::Adaptation;
use crate::runtime::model::graph::Role;
use crate::train::data::{Batch, Task};
use crate::train::loss::loss_tensor;
use crate::train::network::{Mode, Network};
use candle_core::{Device, Result, Tensor};

/// Loss and gradients of one batch.
pub(super) struct Gradients {
    /// Summed over the stacks.
    pub loss: f64,
    /// In the order of the parameters; none for the running statistics.
    pub of_parameters: Vec<Option<Vec<f32>>>,
    /// Numbers, in the order of the parameters, and new values of the running statistics.
    pub running: Vec<(usize, Vec<f32>)>,
}

/// A network that can be differentiated.
pub(super) enum Compute {
    Cpu(Box<Backprop>),
    /// The network holds a copy of the values; the mode says which statistics its norms use.
    Device(Box<Network>, Mode),
}

impl Compute {
    /// Computes where `network` lies.
    pub fn new(network: Network, adaptation: &Adaptation) -> Self {
        let frozen_statistics = adaptation.frozen_statistics;
        if network.device().is_cpu() {
            let graph = network.config().graph();
            Self::Cpu(Box::new(Backprop::new(graph, frozen_statistics, |name| adaptation.is_frozen(name))))
        } else {
            Self::Device(Box::new(network), if frozen_statistics { Mode::Evaluate } else { Mode::Train })
        }
    }

    /// Gives a device its copy of `values`, the parameters from now on.
    pub fn set(&mut self, values: &[Vec<f32>]) -> Result<()> {
        let Self::Device(network, _) = self else { return Ok(()) };
        for ((p, var), values) in network.parameters().iter().zip(values) {
            var.set(&Tensor::from_slice(values, p.shape.as_slice(), network.device())?)?;
        }
        Ok(())
    }

    /// Loss and gradients of the task's objective on `batch`, for the parameters `values`: those of the last [`Self::set`].
    ///
    /// # Errors
    /// What the device reports.
    pub fn gradients(&mut self, task: &dyn Task, values: &[Vec<f32>], mut batch: Batch) -> Result<Gradients> {
        match self {
            Self::Cpu(backprop) => {
                let pictures = std::mem::take(&mut batch.input);
                let mut forward = backprop.forward(values, pictures, batch.len, task.shape().input);
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
            Self::Device(network, mode) => by_candle(network, *mode, task, batch),
        }
    }
}

fn by_candle(network: &Network, mode: Mode, task: &dyn Task, mut batch: Batch) -> Result<Gradients> {
    let (height, width) = task.shape().input;
    let device: &Device = network.device();
    let pictures = std::mem::take(&mut batch.input);
    let pictures = Tensor::from_vec(pictures, (batch.len, height, width, 3), device)?;
    let mut loss = Tensor::zeros((), candle_core::DType::F32, device)?;
    for maps in network.forward(&pictures, mode)? {
        loss = (loss + loss_tensor(task.objective(), &maps, batch.targets())?)?;
    }
    let gradients = loss.backward()?;
    let (mut of_parameters, mut running) = (Vec::new(), Vec::new());
    for (number, (p, var)) in network.parameters().iter().enumerate() {
        let gradient = gradients.get(var).filter(|_| p.role.is_trained());
        of_parameters.push(gradient.map(|g| g.flatten_all()?.to_vec1::<f32>()).transpose()?);
        if mode == Mode::Train && matches!(p.role, Role::RunningMean | Role::RunningVariance) {
            running.push((number, var.flatten_all()?.to_vec1()?));
        }
    }
    Ok(Gradients { loss: f64::from(loss.to_scalar::<f32>()?), of_parameters, running })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::{Architecture, CropConvention, EdgeConfig, Kind, ModelConfig, PaperConfig};
    use crate::train::data::{BatchShape, DataError, ItemMut};
    use crate::train::loss::{AdaptiveWing, Objective};
    use crate::train::ops::tests::as_elsewhere;
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
            ibug_fit: None,
            calibration: Default::default(),
            quantization: None,
            training: Default::default(),
        }
    }

    /// Backprop and candle on two batches each, one after the other, so that buffers are used again. Candle with our own
    /// operations, or with those that other devices use.
    fn agree(architecture: Architecture, elsewhere: bool, mode: Mode) {
        let config = config(architecture, 5);
        let network = Network::random(&config, 3, &Device::Cpu).unwrap();
        let values: Vec<Vec<f32>> =
            network.parameters().iter().map(|(_, var)| var.flatten_all().unwrap().to_vec1().unwrap()).collect();
        // Twice as high as wide.
        let width = config.graph().coarsest_stride().max(32);
        let shape = BatchShape { input: (2 * width, width), heatmap: (width / 2, width / 4), channels: 5 };
        let task = Shapes(shape);
        let adaptation = Adaptation { frozen_statistics: mode == Mode::Evaluate, ..Adaptation::default() };
        let mut cpu = Compute::new(network.clone(), &adaptation);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for images in [3, 2] {
            let mut numbers = |count| (0..count).map(|_| rng.random::<f32>()).collect::<Vec<_>>();
            let batch = Batch {
                input: numbers(images * shape.input_len()),
                target: numbers(images * shape.target_len()),
                weight: numbers(images * shape.target_len()),
                normalizer: 70.0,
                len: images,
            };
            Compute::Device(Box::new(network.clone()), mode).set(&values).unwrap();
            let expected = if elsewhere {
                as_elsewhere(|| by_candle(&network, mode, &task, batch.clone())).unwrap()
            } else {
                by_candle(&network, mode, &task, batch.clone()).unwrap()
            };
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
            for ((p, _), (a, e)) in
                network.parameters().iter().zip(actual.of_parameters.iter().zip(&expected.of_parameters))
            {
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
        Architecture::Edge(EdgeConfig {
            stem_channels: 8,
            stem_blocks: 1,
            widths: vec![20, 24, 32],
            kernel: 5,
            middle_blocks: 1,
            up_blocks: vec![1, 2],
            stacks: 2,
            coordinates: true,
        })
    }

    #[test]
    fn gradients_of_an_edge_network_are_candles() {
        agree(edge(), false, Mode::Train);
    }

    #[test]
    fn gradients_with_frozen_statistics_are_candles() {
        agree(edge(), false, Mode::Evaluate);
    }

    #[test]
    fn other_devices_train_with_the_same_gradients() {
        agree(edge(), true, Mode::Train);
    }

    #[test]
    fn gradients_of_the_papers_network_are_candles() {
        agree(Architecture::Paper(PaperConfig { stacks: 2 }), false, Mode::Train);
    }
}
