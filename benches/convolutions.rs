//! Every convolution of the bundled networks, forward and backward, compared with stock candle in the same run.
//!
//! Run `cargo bench --bench convolutions`; a name after `--` selects some, for example `detector` or `depthwise`. The
//! shapes come from the recipes, so none is forgotten. At the end it prints a table of how many times longer candle
//! takes.
//!
//! "Backward" covers the gradients of input, weights and bias. "Kernels" are called as `awing train` calls them;
//! "operation" is the same through candle's `backward`, where candle's bookkeeping (a tensor of zeros and a sum for
//! every gradient) takes the larger part of the time. Both are compared with stock candle's `backward`.
//! `CANDLE_NUM_THREADS=1` keeps candle's own threads for that bookkeeping from disturbing either side; its convolutions
//! still use rayon's two threads.

use awing::internals::Isa;
use awing::internals::Operation;
use awing::internals::ops::bias_gradient;
use awing::internals::ops::dense::{self, ConvShape};
use awing::internals::ops::depthwise::{self, DepthwiseShape};
use awing::train::Recipe;
use candle_core::{Device, Result, Tensor, Var};
use criterion::{BenchmarkId, Criterion};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A recipe for each bundled network, and the pictures per call: as many as keep stock candle below a second.
const NETWORKS: [(&str, &str, usize); 3] =
    [("edge", "edge-98", 4), ("detector", "detector", 4), ("paper", "paper-wflw", 1)];

/// One convolution.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    depthwise: bool,
    kernel: usize,
    stride: usize,
    /// Rows and columns of the input.
    side: usize,
    inputs: usize,
    outputs: usize,
}

impl Shape {
    fn title(&self, network: &str) -> String {
        let Self { depthwise, kernel, stride, side, inputs, outputs } = self;
        let kind = if *depthwise { "depthwise" } else { "dense" };
        format!("{network}, {kind} {kernel}x{kernel} stride {stride}, {inputs} to {outputs} channels at {side}x{side}")
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn shapes(recipe: &str) -> Result<BTreeSet<Shape>> {
    let recipe = Recipe::load(&root(&format!("recipes/{recipe}.toml"))).map_err(candle_core::Error::wrap)?;
    let graph = recipe.model.graph();
    let shape = |node: &awing::internals::Node| {
        let Operation::Convolution { kernel, stride, depthwise, .. } = node.operation else { return None };
        let input = &graph.nodes[node.inputs[0]];
        let side = recipe.model.input_size / input.stride;
        Some(Shape { depthwise, kernel, stride, side, inputs: input.channels, outputs: node.channels })
    };
    Ok(graph.nodes.iter().filter_map(shape).collect())
}

fn bench(criterion: &mut Criterion, title: &str, shape: &Shape, pictures: usize) -> Result<()> {
    let &Shape { depthwise, kernel, stride, side, inputs, outputs } = shape;
    let device = Device::Cpu;
    let filter = if depthwise { (outputs, 1, kernel, kernel) } else { (outputs, inputs, kernel, kernel) };
    let groups = if depthwise { inputs } else { 1 };
    let weight = Var::randn(0.0_f32, 0.1, filter, &device)?;
    let bias = Var::randn(0.0_f32, 0.1, outputs, &device)?;
    let x = Var::randn(0.0_f32, 1.0, (pictures, side, side, inputs), &device)?;
    let nchw = Var::from_tensor(&x.permute((0, 3, 1, 2))?.contiguous()?)?;
    let ours = || {
        let convolve = if depthwise { awing::internals::ops::depthwise_conv2d } else { awing::internals::ops::conv2d };
        convolve(&x, &weight, Some(&bias), stride, kernel / 2)
    };
    let theirs = || {
        let y = nchw.conv2d(&weight, kernel / 2, stride, 1, groups)?;
        y.broadcast_add(&bias.reshape((1, outputs, 1, 1))?)
    };
    let (our_y, their_y) = (ours()?, theirs()?);
    let mut group = criterion.benchmark_group(title);
    let forward = |name| BenchmarkId::new("forward", name);
    let backward = |name| BenchmarkId::new("backward", name);
    group.bench_function(forward("awing"), |b| b.iter(|| ours().map(|y| y.elem_count())));
    group.bench_function(forward("candle"), |b| b.iter(|| theirs().map(|y| y.elem_count())));
    let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
    let (x_values, weights, dy) = (values(&x)?, values(&weight)?, values(&our_y)?);
    let (isa, padding, mut dx) = (Isa::active(), kernel / 2, Vec::new());
    group.bench_function(backward("kernels"), |b| {
        b.iter(|| {
            if depthwise {
                let shape = DepthwiseShape { height: side, width: side, channels: inputs, kernel, stride, padding };
                depthwise::input_gradient(isa, &shape, pictures, &dy, &weights, None, &mut dx);
                (depthwise::weight_gradient(isa, &shape, pictures, &x_values, &dy), bias_gradient(isa, outputs, &dy))
            } else {
                let shape = ConvShape { height: side, width: side, inputs, outputs, kernel, stride, padding };
                dense::input_gradient(isa, &shape, pictures, &dy, &weights, None, &mut dx);
                (dense::weight_gradient(isa, &shape, pictures, &x_values, &dy), bias_gradient(isa, outputs, &dy))
            }
        });
    });
    group.bench_function(backward("operation"), |b| b.iter(|| our_y.backward().map(|g| g.get(&bias).is_some())));
    group.bench_function(backward("candle"), |b| b.iter(|| their_y.backward().map(|g| g.get(&bias).is_some())));
    group.finish();
    Ok(())
}

/// The median, in milliseconds, of a benchmark that has finished since `start`, from criterion's folder.
fn median_ms(title: &str, pass: &str, who: &str, start: SystemTime) -> Option<f64> {
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root("target"), PathBuf::from);
    let file = target.join("criterion").join(title).join(pass).join(who).join("new/estimates.json");
    if file.metadata().ok()?.modified().ok()? < start {
        return None;
    }
    let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(estimates["median"]["point_estimate"].as_f64()? / 1e6)
}

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .configure_from_args();
    let mut titles = Vec::new();
    let start = SystemTime::now();
    for (network, recipe, pictures) in NETWORKS {
        for shape in shapes(recipe)? {
            let title = shape.title(network);
            bench(&mut criterion, &title, &shape, pictures)?;
            titles.push(title);
        }
    }
    criterion.final_summary();
    println!("| convolution | forward, ms | candle | times | backward, ms | candle | times | operation, ms | times |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for title in titles {
        let all = [("forward", "awing"), ("forward", "candle")];
        let all = all.into_iter().chain(["kernels", "candle", "operation"].map(|who| ("backward", who)));
        let all: Option<Vec<f64>> = all.map(|(pass, who)| median_ms(&title, pass, who, start)).collect();
        let Some(&[forward, candle_forward, kernels, candle_backward, operation]) = all.as_deref() else { continue };
        let cells = |ours: f64, theirs: f64| format!("{ours:.3} | {theirs:.2} | {:.1}", theirs / ours);
        let columns = [cells(forward, candle_forward), cells(kernels, candle_backward)];
        println!("| {title} | {} | {operation:.3} | {:.1} |", columns.join(" | "), candle_backward / operation);
    }
    Ok(())
}
