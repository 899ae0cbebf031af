//! Convolutions and batch normalizations match PyTorch's results and gradients.
//!
//! Reference: `tests/reference/operation_vectors.json`, made by the script beside it: odd sizes, strides up to 3, every
//! kind of padding, maps that are not square, batches of 1 to 5; inputs from the formula.

#[path = "formula/uniform.rs"]
mod formula;

use awing::internals::ops::{self, NormMode};
use candle_core::{Device, Tensor, Var};
use formula::uniform;
use std::collections::HashMap;

#[derive(serde::Deserialize)]
struct Reference {
    convolutions: Vec<Case<ConvolutionShape>>,
    norms: Vec<Case<NormShape>>,
}

#[derive(serde::Deserialize)]
struct Case<S> {
    name: String,
    shape: S,
    results: HashMap<String, Places>,
}

/// `outputs` is 0 if every channel has its own filter.
#[derive(Debug, serde::Deserialize)]
struct ConvolutionShape {
    images: usize,
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

#[derive(Debug, serde::Deserialize)]
struct NormShape {
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    relu: bool,
}

/// Sampled values of a tensor.
#[derive(serde::Deserialize)]
struct Places {
    length: usize,
    at: Vec<usize>,
    values: Vec<f32>,
}

impl Places {
    fn check(&self, tensor: &Tensor, what: &str) {
        let actual = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(actual.len(), self.length, "{what}");
        for (&at, &expected) in self.at.iter().zip(&self.values) {
            let actual = actual[at];
            let off = (actual - expected).abs();
            assert!(off < 1e-4 * expected.abs().max(1.0), "{what} at {at}: {actual} instead of {expected}");
        }
    }
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/operation_vectors.json")).unwrap()
}

fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let values = uniform(name).take(shape.iter().product()).map(|u| 2.0 * u - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn var(name: &str, shape: &[usize]) -> Var {
    Var::from_tensor(&tensor(name, shape)).unwrap()
}

/// Compares an output, and the gradients of its inputs.
fn check(name: &str, results: &HashMap<String, Places>, y: &Tensor, inputs: &[(&str, &Var)]) {
    results["y"].check(y, &format!("{name}, output"));
    let dy = tensor(&format!("{name} dy"), y.dims());
    let gradients = (y * dy).unwrap().sum_all().unwrap().backward().unwrap();
    for (key, input) in inputs {
        results[*key].check(gradients.get(input).unwrap(), &format!("{name}, {key}"));
    }
}

#[test]
fn convolutions_match_pytorch_forward_and_backward() {
    let reference = reference().convolutions;
    assert_eq!(reference.len(), 24);
    for Case { name, shape, results } in reference {
        let &ConvolutionShape { images, height, width, inputs, outputs, kernel, stride, padding } = &shape;
        let (is_depthwise, of) = (outputs == 0, |part: &str| format!("{name} {part}"));
        let filters = if is_depthwise { [inputs, 1] } else { [outputs, inputs] };
        let x = var(&of("x"), &[images, height, width, inputs]);
        let weight = var(&of("weight"), &[filters[0], filters[1], kernel, kernel]);
        let bias = var(&of("bias"), &[filters[0]]);
        let convolve = if is_depthwise { ops::depthwise_conv2d } else { ops::conv2d };
        let y = convolve(&x, &weight, Some(&bias), stride, padding).unwrap();
        check(&name, &results, &y, &[("dx", &x), ("dweight", &weight), ("dbias", &bias)]);
    }
}

#[test]
fn batch_norms_match_pytorch_forward_and_backward() {
    let reference = reference().norms;
    assert_eq!(reference.len(), 4);
    for Case { name, shape: NormShape { images, height, width, channels, relu }, results } in reference {
        let of = |part: &str| format!("{name} {part}");
        let x = var(&of("x"), &[images, height, width, channels]);
        let (gamma, beta) = (var(&of("gamma"), &[channels]), var(&of("beta"), &[channels]));
        let mean = var(&of("mean"), &[channels]);
        let variance = (tensor(&of("variance"), &[channels]).abs().unwrap() + 0.5).unwrap();
        let variance = Var::from_tensor(&variance).unwrap();
        let mode = NormMode::Train { momentum: 0.1 };
        let y = ops::batch_norm(&x, &gamma, &beta, &mean, &variance, mode, 1e-5, relu).unwrap();
        results["mean"].check(&mean, &format!("{name}, running mean"));
        results["variance"].check(&variance, &format!("{name}, running variance"));
        check(&name, &results, &y, &[("dx", &x), ("dgamma", &gamma), ("dbeta", &beta)]);
    }
}
