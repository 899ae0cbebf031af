//! A network in candle, with gradients: trained and measured on GPUs, and the reference for awing's own passes.
//!
//! In: a description or a model, then pictures as tensors. Out: the maps of every stack, as tensors with gradients.
//! Fails with the device's error.

use super::{failed, ops};
use crate::runtime::engine::EngineError;
use crate::runtime::model::graph::{BOUNDARY_GATE, Graph, NORM_EPSILON, Operation, Parameter, coordinate_planes};
use crate::runtime::model::{Model, ModelConfig};
use crate::train::network::{Maps, NORM_MOMENTUM, Network, values_of};
use candle_core::{Device, Result, Tensor, Var};
use std::collections::HashMap;

/// The statistics of the batch norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The batch's; the running ones follow.
    Train,
    /// The running ones; the other parameters still have gradients.
    Frozen,
    /// The running ones. Nothing has gradients.
    Evaluate,
}

/// A network's graph and its parameters on a device.
#[derive(Debug, Clone)]
pub struct CandleNetwork {
    graph: Graph,
    parameters: Vec<(Parameter, Var)>,
    index: HashMap<String, usize>,
    device: Device,
}

impl CandleNetwork {
    /// A network with these values of its parameters, in the order of the graph.
    ///
    /// # Errors
    /// Only what the device reports.
    pub fn new(config: &ModelConfig, values: &[Vec<f32>], device: &Device) -> Result<Self> {
        let graph = config.graph();
        let mut parameters = Vec::new();
        for (p, values) in graph.parameters().into_iter().zip(values) {
            let var = Var::from_tensor(&Tensor::from_slice(values, p.shape.as_slice(), device)?)?;
            parameters.push((p, var));
        }
        let index = parameters.iter().enumerate().map(|(i, (p, _))| (p.name.clone(), i)).collect();
        Ok(Self { graph, parameters, index, device: device.clone() })
    }

    /// The network of a model.
    ///
    /// # Errors
    /// Only what the device reports.
    pub fn from_model(model: &Model, device: &Device) -> Result<Self> {
        Self::new(model.config(), &values_of(model), device)
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Every parameter and its value, in the order of the graph.
    pub fn parameters(&self) -> &[(Parameter, Var)] {
        &self.parameters
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
            Mode::Train | Mode::Frozen => parameter.as_tensor().clone(),
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
                        Mode::Frozen | Mode::Evaluate => ops::NormMode::Evaluate,
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

impl CandleNetwork {
    fn evaluate(&self, pictures: Vec<f32>, (height, width): (usize, usize)) -> Result<Vec<Tensor>> {
        let images = pictures.len() / (height * width * 3);
        self.forward(&Tensor::from_vec(pictures, (images, height, width, 3), &self.device)?, Mode::Evaluate)
    }
}

impl Network for CandleNetwork {
    fn stacks(&mut self, pictures: Vec<f32>, size: (usize, usize)) -> std::result::Result<Vec<Maps>, EngineError> {
        let stacks = self.evaluate(pictures, size).and_then(|stacks| stacks.iter().map(on_host).collect());
        stacks.map_err(failed)
    }

    fn maps(&mut self, pictures: Vec<f32>, size: (usize, usize)) -> std::result::Result<Maps, EngineError> {
        let last = |stacks: Vec<Tensor>| on_host(stacks.last().expect("a network has an output"));
        self.evaluate(pictures, size).and_then(last).map_err(failed)
    }
}

fn on_host(maps: &Tensor) -> Result<Maps> {
    let (_, height, width, channels) = maps.dims4()?;
    Ok(Maps { values: maps.flatten_all()?.to_vec1()?, height, width, channels })
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
