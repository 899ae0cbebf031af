//! Weights and inputs that are computed from a tensor's name. The reference values of the paper's network were computed
//! with them, so no weights have to be stored.

mod uniform;

use awing::Model;
use awing::internals::ModelConfig;
use awing::internals::{Parameter, Role};
pub use uniform::uniform;

fn values(parameter: &Parameter) -> Vec<f32> {
    let Parameter { name, shape, role } = parameter;
    let count = shape.iter().product();
    let of: Box<dyn Fn(f32) -> f32> = match role {
        Role::ConvolutionWeight => {
            let scale = (0.75 * (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt()) as f32;
            Box::new(move |u| (2.0 * u - 1.0) * scale)
        }
        Role::NormGain | Role::RunningVariance => Box::new(|u| 0.5 + u),
        Role::ConvolutionBias | Role::NormBias | Role::RunningMean => Box::new(|u| (2.0 * u - 1.0) * 0.1),
    };
    uniform(name).take(count).map(of).collect()
}

/// The paper's network with 98 points and weights from the formula.
pub fn paper(stacks: usize) -> Model {
    let config: ModelConfig = serde_json::from_value(serde_json::json!({
        "kind": "landmarks", "architecture": {"paper": {"stacks": stacks}}, "input_size": 256,
        "points": 98, "outputs": 99, "crop": {"scale": 1.344}, "decoding": "quarter"
    }))
    .expect("this is a description");
    let tensors = config.graph().parameters().iter().map(|p| (p.name.clone(), values(p))).collect();
    Model::new(config, tensors).expect("the formula fills every parameter")
}
