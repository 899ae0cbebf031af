//! Whole networks in the compiled engine, compared with stock candle and with the candle graph on awing's own
//! convolutions, all with the same weights in the same run.
//!
//! Run `cargo bench --bench networks`; a name after `--` selects some, for example `edge` or `paper-4`. Criterion's
//! "elements" are multiplications and additions, so its Gelem/s are GFLOP/s. The paper's networks have random weights.

use awing::Model;
use awing::Precision;
use awing::internals::ops::Pool;
use awing::internals::{CandleNetwork, Mode, ModelConfig, default_detector, default_landmarks, untrained};
use awing::internals::{Engine, EngineOptions};
use awing::internals::{Graph, Operation};
use candle_core::{Device, Module, ModuleT, Tensor};
use candle_nn::{BatchNorm, Conv2d, Conv2dConfig};
use criterion::{BenchmarkId, Criterion, Throughput};
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

fn paper(stacks: usize) -> Result<Model, Box<dyn Error>> {
    let config: ModelConfig = serde_json::from_value(serde_json::json!({
        "kind": "landmarks", "architecture": {"paper": {"stacks": stacks}}, "input_size": 256,
        "points": 98, "outputs": 99, "crop": {"scale": 1.344}, "decoding": "quarter"
    }))?;
    Ok(untrained(&config, 1)?)
}

/// The graph in candle's own layers, channels first.
fn stock(graph: &Graph, weights: &HashMap<String, Tensor>, picture: &Tensor) -> Result<Tensor, Box<dyn Error>> {
    let mut values: Vec<Tensor> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<&Tensor> = node.inputs.iter().map(|&i| &values[i]).collect();
        let channels = node.channels;
        let weight = |name: &str, suffix: &str| weights[&format!("{name}.{suffix}")].clone();
        let rectified = |x: Tensor, relu: bool| if relu { x.relu() } else { Ok(x) };
        let value = match &node.operation {
            Operation::Input => picture.clone(),
            Operation::Convolution { name, kernel, stride, depthwise, bias } => {
                let groups = if *depthwise { channels } else { 1 };
                let config = Conv2dConfig { padding: kernel / 2, stride: *stride, groups, ..Conv2dConfig::default() };
                Conv2d::new(weight(name, "weight"), bias.then(|| weight(name, "bias")), config).forward(inputs[0])?
            }
            Operation::BatchNorm { name, relu } => {
                let of = |suffix: &str| weight(name, suffix);
                let (mean, variance) = (of("running_mean"), of("running_var"));
                let norm = BatchNorm::new(channels, mean, variance, of("weight"), of("bias"), 1e-5)?;
                rectified(norm.forward_t(inputs[0], false)?, *relu)?
            }
            Operation::Add { relu } => rectified((inputs[0] + inputs[1])?, *relu)?,
            Operation::Upsample => {
                let (_, _, height, width) = inputs[0].dims4()?;
                inputs[0].upsample_nearest2d(2 * height, 2 * width)?
            }
            Operation::AveragePool => inputs[0].avg_pool2d(2)?,
            Operation::Concat => Tensor::cat(&inputs, 1)?,
            // Channels of zeros: only the time matters.
            Operation::Coordinates => {
                let (_, before, height, width) = inputs[0].dims4()?;
                let added = Tensor::zeros((1, channels - before, height, width), picture.dtype(), picture.device())?;
                Tensor::cat(&[inputs[0], &added], 1)?
            }
        };
        values.push(value);
    }
    Ok(values.pop().ok_or("a network has an output")?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    // Height and width of the picture; the detector sees 4:3 frames at its input size.
    let networks = [
        ("edge", default_landmarks()?, 128, 128),
        ("detector", default_detector()?, 256, 320),
        ("paper-1", paper(1)?, 256, 256),
        ("paper-4", paper(4)?, 256, 256),
    ];
    for (name, model, height, width) in networks {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(2 * model.config().graph().multiply_adds(height, width)));
        let pixels: Vec<f32> = (0..height * width * 3).map(|i| (i * 31 % 255) as f32 / 255.0).collect();
        let network = CandleNetwork::from_model(&model, &Device::Cpu)?;
        let picture = Tensor::from_slice(&pixels, (1, height, width, 3), &Device::Cpu)?;
        let graph = model.config().graph();
        let mut weights = HashMap::new();
        for parameter in graph.parameters() {
            let values = model.tensor(&parameter.name).ok_or("a model has every parameter")?;
            weights.insert(parameter.name, Tensor::from_slice(values, parameter.shape, &Device::Cpu)?);
        }
        let planes = picture.permute((0, 3, 1, 2))?.contiguous()?;
        for threads in [1, 2] {
            for (title, precision) in [("engine f32", Precision::F32), ("engine f16", Precision::F16)] {
                let options = EngineOptions { precision, threads, ..EngineOptions::new(height, width) };
                let mut engine = Engine::compile(&model, &options)?;
                engine.input_mut().copy_from_slice(&pixels);
                group.bench_function(BenchmarkId::new(title, threads), |b| b.iter(|| engine.run()));
            }
            let pool = Pool::new(threads);
            let forward = || network.forward(&picture, Mode::Evaluate).map(|maps| maps.len());
            group.bench_function(BenchmarkId::new("candle f32", threads), |b| {
                pool.install(|| b.iter(forward));
            });
            let rayon = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            group.bench_function(BenchmarkId::new("stock candle f32", threads), |b| {
                rayon.install(|| b.iter(|| stock(&graph, &weights, &planes).expect("stock candle runs the graph")));
            });
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
