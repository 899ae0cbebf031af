//! A network in candle, with gradients: trained on GPUs, used for validation and as the reference for the compiled engine.
//!
//! In: a description or a model, then pictures as tensors. Out: the maps of every stack, as tensors with gradients. Fails
//! with what the device reports.

use crate::runtime::model::graph::{
    BOUNDARY_GATE, Graph, NORM_EPSILON, NodeId, Operation, Parameter, Role, coordinate_planes,
};
use crate::runtime::model::{Model, ModelConfig, ModelError};
use crate::train::ops;
use candle_core::{Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// Weight of a new batch in the running statistics (PyTorch's default).
pub(crate) const NORM_MOMENTUM: f64 = 0.1;

/// Why a network can't be made a model.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("the device failed")]
    Device(#[from] candle_core::Error),
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Which statistics the batch norms use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The batch's; the running ones follow.
    Train,
    /// The running ones.
    Evaluate,
}

/// A network's graph and its parameters on a device.
#[derive(Debug, Clone)]
pub struct Network {
    config: ModelConfig,
    graph: Graph,
    parameters: Vec<(Parameter, Var)>,
    index: HashMap<String, usize>,
    device: Device,
}

impl Network {
    /// A network with random weights: convolutions uniform in +-1/sqrt(fan-in) (PyTorch's default), norms at identity.
    ///
    /// # Errors
    /// Only what the device reports.
    pub fn random(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = config.graph();
        let mut bound = 1.0;
        let values = |p: &Parameter| -> Vec<f32> {
            let count = p.shape.iter().product();
            match p.role {
                Role::ConvolutionWeight | Role::ConvolutionBias => {
                    if p.role == Role::ConvolutionWeight {
                        bound = 1.0 / (p.shape[1..].iter().product::<usize>() as f32).sqrt();
                    }
                    (0..count).map(|_| rng.random_range(-bound..bound)).collect()
                }
                Role::NormGain | Role::RunningVariance => vec![1.0; count],
                Role::NormBias | Role::RunningMean => vec![0.0; count],
            }
        };
        Self::build(config, graph, values, device)
    }

    /// The network of a model.
    ///
    /// # Errors
    /// Only what the device reports.
    pub fn from_model(model: &Model, device: &Device) -> Result<Self> {
        let graph = model.config().graph();
        let values = |p: &Parameter| model.tensor(&p.name).expect("a model has every parameter").to_vec();
        Self::build(model.config(), graph, values, device)
    }

    fn build(
        config: &ModelConfig,
        graph: Graph,
        mut values: impl FnMut(&Parameter) -> Vec<f32>,
        device: &Device,
    ) -> Result<Self> {
        let mut parameters = Vec::new();
        for p in graph.parameters() {
            let var = Var::from_tensor(&Tensor::from_vec(values(&p), p.shape.as_slice(), device)?)?;
            parameters.push((p, var));
        }
        let index = parameters.iter().enumerate().map(|(i, (p, _))| (p.name.clone(), i)).collect();
        Ok(Self { config: config.clone(), graph, parameters, index, device: device.clone() })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Every parameter and its value, in the order of the graph.
    pub fn parameters(&self) -> &[(Parameter, Var)] {
        &self.parameters
    }

    /// The values as a model.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] if training has diverged; what the device reports.
    pub fn to_model(&self) -> std::result::Result<Model, NetworkError> {
        let mut tensors = HashMap::new();
        for (p, var) in &self.parameters {
            tensors.insert(p.name.clone(), var.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(Model::new(self.config.clone(), tensors)?)
    }

    fn tensor(&self, layer: &str, part: &str) -> Option<&Var> {
        self.index.get(&format!("{layer}.{part}")).map(|&i| &self.parameters[i].1)
    }

    fn required(&self, layer: &str, part: &str) -> Result<&Var> {
        self.tensor(layer, part)
            .ok_or_else(|| candle_core::Error::Msg(format!("the network has no parameter {layer}.{part}")))
    }

    /// Heatmaps of every stack, `[images, height / 4, width / 4, outputs]` each, the last stack's last.
    ///
    /// `pictures`: `[images, height, width, 3]`, RGB in 0..=1, sides multiples of the coarsest stride.
    ///
    /// # Errors
    /// Shapes that don't fit, and what the device reports.
    pub fn forward(&self, pictures: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        self.forward_seen(pictures, mode, |_, _| Ok(()))
    }

    /// As [`Self::forward`]; calls `see` with every node and its value.
    ///
    /// # Errors
    /// As [`Self::forward`], and those of `see`.
    pub fn forward_seen(
        &self,
        pictures: &Tensor,
        mode: Mode,
        mut see: impl FnMut(NodeId, &Tensor) -> Result<()>,
    ) -> Result<Vec<Tensor>> {
        let mut last_use = vec![0; self.graph.nodes.len()];
        for (id, node) in self.graph.nodes.iter().enumerate() {
            for &input in &node.inputs {
                last_use[input] = id;
            }
        }
        for &output in &self.graph.outputs {
            last_use[output] = usize::MAX;
        }
        // Detached for evaluation: candle keeps every value that has a gradient until the end.
        let of = |parameter: &Var| match mode {
            Mode::Train => parameter.as_tensor().clone(),
            Mode::Evaluate => parameter.as_detached_tensor(),
        };
        let mut values: Vec<Option<Tensor>> = vec![None; self.graph.nodes.len()];
        for (id, node) in self.graph.nodes.iter().enumerate() {
            let inputs: Vec<Tensor> = node
                .inputs
                .iter()
                .map(|&i| values[i].clone().expect("a node's inputs come before it and live until their last use"))
                .collect();
            let value = match &node.operation {
                Operation::Input => pictures.clone(),
                Operation::Convolution { name, kernel, stride, depthwise, .. } => {
                    let weight = of(self.required(name, "weight")?);
                    let bias = self.tensor(name, "bias").map(of);
                    let convolve = if *depthwise { ops::depthwise_conv2d } else { ops::conv2d };
                    convolve(&inputs[0], &weight, bias.as_ref(), *stride, kernel / 2)?
                }
                Operation::BatchNorm { name, relu } => {
                    let norm_mode = match mode {
                        Mode::Train => ops::NormMode::Train { momentum: NORM_MOMENTUM },
                        Mode::Evaluate => ops::NormMode::Evaluate,
                    };
                    ops::batch_norm(
                        &inputs[0],
                        &of(self.required(name, "weight")?),
                        &of(self.required(name, "bias")?),
                        self.required(name, "running_mean")?,
                        self.required(name, "running_var")?,
                        norm_mode,
                        NORM_EPSILON,
                        *relu,
                    )?
                }
                Operation::Add { relu } => ops::add(&inputs[0], &inputs[1], *relu)?,
                Operation::Upsample => ops::upsample2x(&inputs[0])?,
                Operation::AveragePool => ops::avg_pool2x(&inputs[0])?,
                Operation::Concat => Tensor::cat(&inputs, 3)?,
                Operation::Coordinates => add_coordinates(&inputs[0], inputs.get(1))?,
            };
            see(id, &value)?;
            values[id] = Some(value);
            for &input in &node.inputs {
                if last_use[input] == id {
                    values[input] = None;
                }
            }
        }
        Ok(self.graph.outputs.iter().map(|&o| values[o].clone().expect("outputs are kept")).collect())
    }
}

fn add_coordinates(x: &Tensor, heatmaps: Option<&Tensor>) -> Result<Tensor> {
    let (n, h, w, _) = x.dims4()?;
    let planes = Tensor::from_vec(coordinate_planes(h, w), (1, h, w, 3), x.device())?.broadcast_as((n, h, w, 3))?;
    let planes = planes.contiguous()?;
    let Some(heatmaps) = heatmaps else { return Tensor::cat(&[x, &planes], 3) };
    let boundary = heatmaps.narrow(3, heatmaps.dim(3)? - 1, 1)?.detach();
    let open = boundary.gt(f64::from(BOUNDARY_GATE))?.broadcast_as((n, h, w, 2))?;
    let coordinates = planes.narrow(3, 0, 2)?.contiguous()?;
    let gated = open.contiguous()?.where_cond(&coordinates, &coordinates.zeros_like()?)?;
    Tensor::cat(&[x, &planes, &gated], 3)
}
