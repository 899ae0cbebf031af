//! Whole networks in the compiled engine, beside the candle graph of the same weights in the same run.
//!
//! `cargo bench --bench networks`; a name after `--` picks some, `edge` or `paper-4` for example. Criterion's "elements"
//! are multiplications and additions, so its Gelem/s are GFLOP/s. The networks of the paper have random weights.

use awing::engine::{Engine, EngineOptions, Precision};
use awing::model::{Mode, Model, ModelConfig, Network, default_detector, default_landmarks};
use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput};
use std::error::Error;
use std::time::Duration;

fn paper(stacks: usize) -> Result<Model, Box<dyn Error>> {
    let config: ModelConfig = serde_json::from_value(serde_json::json!({
        "kind": "landmarks", "architecture": {"paper": {"stacks": stacks}}, "input_size": 256,
        "points": 98, "outputs": 99, "crop": {"scale": 1.344}, "decoding": "quarter"
    }))?;
    Ok(Network::random(&config, 1, &Device::Cpu)?.to_model()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    // Height and width of the picture; the detector sees frames of 4:3 at its input size.
    let networks = [
        ("edge", default_landmarks()?, 128, 128),
        ("detector", default_detector()?, 160, 192),
        ("paper-1", paper(1)?, 256, 256),
        ("paper-4", paper(4)?, 256, 256),
    ];
    for (name, model, height, width) in networks {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(2 * model.config().graph().multiply_adds(height, width)));
        let pixels: Vec<f32> = (0..height * width * 3).map(|i| (i * 31 % 255) as f32 / 255.0).collect();
        let network = Network::from_model(&model, &Device::Cpu)?;
        let picture = Tensor::from_slice(&pixels, (1, height, width, 3), &Device::Cpu)?;
        for threads in [1, 2] {
            for (title, precision) in [("engine f32", Precision::F32), ("engine f16", Precision::F16)] {
                let options = EngineOptions { precision, threads, ..EngineOptions::new(height, width) };
                let mut engine = Engine::compile(&model, &options)?;
                engine.input_mut().copy_from_slice(&pixels);
                group.bench_function(BenchmarkId::new(title, threads), |b| b.iter(|| engine.run()));
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let forward = || network.forward(&picture, Mode::Evaluate).map(|maps| maps.len());
            group.bench_function(BenchmarkId::new("candle f32", threads), |b| {
                pool.install(|| b.iter(forward));
            });
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
