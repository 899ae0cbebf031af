//! Weights and inputs that anyone can compute from a tensor's name: what reference values of the paper's network were
//! computed with, so that no weights have to be carried.

use awing::model::graph::{Parameter, Role};
use awing::model::{Model, ModelConfig};

/// A SplitMix64 stream that the name seeds (FNV-1a), as multiples of 2^-24 in 0..1.
pub fn uniform(name: &str) -> impl Iterator<Item = f32> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (1_u64..).map(move |i| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    })
}

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
