//! Every convolution of the shipped networks, forward and backward, beside stock candle in the same run.
//!
//! `cargo bench --bench convolutions`; a name after `--` picks some, `landmarks` or `detector` for example. Four pictures
//! a call; the shapes come from the models inside, so none is forgotten.

use awing::model::graph::Operation;
use awing::model::{Model, default_detector, default_landmarks};
use awing::ops;
use candle_core::{Device, Result, Tensor, Var};
use criterion::{BenchmarkId, Criterion};
use std::collections::BTreeSet;
use std::time::Duration;

const PICTURES: usize = 4;

/// Rows, columns, channels in and out, filter, stride, and whether each channel has its own filter.
type Shape = (usize, usize, usize, usize, usize, usize, bool);

fn shapes(model: &Model) -> BTreeSet<Shape> {
    let graph = model.config().graph();
    let size = model.config().input_size;
    let shape = |node: &awing::model::graph::Node| {
        let Operation::Convolution { kernel, stride, depthwise, .. } = node.operation else { return None };
        let input = &graph.nodes[node.inputs[0]];
        let side = size / input.stride;
        Some((side, side, input.channels, node.channels, kernel, stride, depthwise))
    };
    graph.nodes.iter().filter_map(shape).collect()
}

fn ours(x: &Tensor, weight: &Tensor, kernel: usize, stride: usize, depthwise: bool) -> Result<Tensor> {
    if depthwise {
        ops::depthwise_conv2d(x, weight, None, stride, kernel / 2)
    } else {
        ops::conv2d(x, weight, None, stride, kernel / 2)
    }
}

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .configure_from_args();
    let device = Device::Cpu;
    let models = [("landmarks", default_landmarks()), ("detector", default_detector())];
    for (name, model) in models {
        let model = model.map_err(|e| candle_core::Error::Msg(e.to_string()))?;
        for (height, width, inputs, outputs, kernel, stride, depthwise) in shapes(&model) {
            let kind = if depthwise { "depthwise" } else { "dense" };
            let title = format!("{name}/{kind} {kernel}x{kernel} s{stride} {inputs}-{outputs} at {height}x{width}");
            let filter = if depthwise { (outputs, 1, kernel, kernel) } else { (outputs, inputs, kernel, kernel) };
            let groups = if depthwise { inputs } else { 1 };
            let weight = Var::randn(0.0_f32, 0.1, filter, &device)?;
            let x = Var::randn(0.0_f32, 1.0, (PICTURES, height, width, inputs), &device)?;
            let nchw = Var::from_tensor(&x.permute((0, 3, 1, 2))?.contiguous()?)?;
            let theirs = || nchw.conv2d(&weight, kernel / 2, stride, 1, groups);
            let mut group = criterion.benchmark_group(title);
            group.bench_function(BenchmarkId::new("forward", "awing"), |b| {
                b.iter(|| ours(&x, &weight, kernel, stride, depthwise).map(|y| y.elem_count()));
            });
            group.bench_function(BenchmarkId::new("forward", "candle"), |b| {
                b.iter(|| theirs().map(|y| y.elem_count()));
            });
            group.bench_function(BenchmarkId::new("both ways", "awing"), |b| {
                b.iter(|| ours(&x, &weight, kernel, stride, depthwise)?.backward().map(|g| g.get(&weight).is_some()));
            });
            group.bench_function(BenchmarkId::new("both ways", "candle"), |b| {
                b.iter(|| theirs()?.backward().map(|g| g.get(&weight).is_some()));
            });
            group.finish();
        }
    }
    criterion.final_summary();
    Ok(())
}
