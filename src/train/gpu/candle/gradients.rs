//! Loss and gradients of a batch, by candle's backward pass.
//!
//! In: a batch on the host. Out: the loss, the gradient of every parameter, and the new running statistics of the
//! norms, on the host. Fails with the device's error.

use super::loss::loss_tensor;
use super::network::{CandleNetwork, Mode};
use crate::runtime::model::graph::Role;
use crate::train::data::{Batch, Task};
use crate::train::gpu::{AnyError, Differentiable, Gradients};
use crate::train::network::Norms;
use candle_core::{DType, Result, Tensor};

/// A network in training.
pub(super) struct TrainedNetwork {
    network: CandleNetwork,
    mode: Mode,
}

impl TrainedNetwork {
    pub fn new(network: CandleNetwork, norms: Norms) -> Self {
        let mode = match norms {
            Norms::OfTheBatch => Mode::Train,
            Norms::Running => Mode::Frozen,
        };
        Self { network, mode }
    }
}

impl Differentiable for TrainedNetwork {
    fn set(&mut self, values: &[Vec<f32>]) -> std::result::Result<(), AnyError> {
        for ((p, var), values) in self.network.parameters().iter().zip(values) {
            var.set(&Tensor::from_slice(values, p.shape.as_slice(), self.network.device())?)?;
        }
        Ok(())
    }

    fn gradients(&mut self, task: &dyn Task, batch: Batch) -> std::result::Result<Gradients, AnyError> {
        Ok(gradients(&self.network, self.mode, task, batch)?)
    }
}

fn gradients(network: &CandleNetwork, mode: Mode, task: &dyn Task, mut batch: Batch) -> Result<Gradients> {
    let (height, width) = task.shape().input;
    let device = network.device();
    let pictures = std::mem::take(&mut batch.input);
    let pictures = Tensor::from_vec(pictures, (batch.len, height, width, 3), device)?;
    let mut loss = Tensor::zeros((), DType::F32, device)?;
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
