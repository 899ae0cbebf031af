//! `awing bench --profile`: how long every layer of a network takes.
//!
//! In: a landmark model or a detector. Out: for every step of the compiled plan its median time, its share of the
//! whole, its multiplications and additions per second and their share of the core's peak in registers; then median and
//! 95th percentile of whole runs. The picture is noise: the time does not depend on it.

use crate::program::cli::interrupt;
use crate::program::cli::measure::Spread;
use crate::program::live::TrackerSetup;
use crate::runtime::engine::{Engine, EngineOptions, StepProfile};
use crate::runtime::model::{Kind, Model};
use crate::runtime::named::Named;
use crate::runtime::simd::Rates;
use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng};
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The most runs in which the layers are timed.
const MAX_PROFILED_RUNS: u64 = 200;

#[derive(Serialize)]
struct Report {
    model: String,
    /// The validation measure recorded in the model file: for landmarks the error, in %.
    recorded_validation: Option<f64>,
    width: usize,
    height: usize,
    /// The precision in use.
    precision: &'static str,
    /// Why, if awing chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    precision_reason: Option<String>,
    /// The core's peak rates in registers.
    peak_gflops: Rates,
    threads: usize,
    million_multiply_adds: f64,
    /// Of whole runs.
    ms: Spread,
    runs: usize,
    weights_mb: f64,
    working_memory_mb: f64,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    layers: String,
    ms: f64,
    gflops: f64,
    /// The time of the same work in registers, in percent of this step's time.
    peak_percent: f64,
}

impl Layer {
    fn of(StepProfile { layers, ms, gflops, limit_ms }: StepProfile) -> Self {
        Self { layers, ms, gflops, peak_percent: 100.0 * limit_ms / ms }
    }
}

/// Measures `frames` runs. The text is the report.
///
/// # Errors
/// If the model can't be loaded or compiled, or a GPU was requested.
pub(super) fn run(setup: &TrackerSetup, frames: u64, as_json: bool) -> Result<String> {
    let stop = interrupt::flag()?;
    if setup.gpu.is_some() {
        bail!("--profile runs on the CPU only: leave out --device");
    }
    let (name, model) = setup.landmark_model()?;
    let options = &setup.options;
    let (width, height) = input_size(&model);
    let threads = options.threads;
    let engine_options = EngineOptions { precision: options.precision, threads, ..EngineOptions::new(height, width) };
    let mut engine = Engine::compile(&model, &engine_options)?;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    engine.input_mut().fill_with(|| random.random());

    let mut times_ms = Vec::new();
    let warm_up = frames / 4 + 1;
    for run in 0..frames + warm_up {
        let start = Instant::now();
        engine.run();
        if run >= warm_up {
            times_ms.push(start.elapsed().as_secs_f32() * 1000.0);
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    let rates = *Rates::of_this_core();
    let layers = engine.profile(frames.min(MAX_PROFILED_RUNS) as usize, &rates);
    let choice = engine.choice();
    let (weights, working_memory) = engine.memory_bytes();
    let report = Report {
        model: name,
        recorded_validation: model.config().training.get("validation").and_then(serde_json::Value::as_f64),
        width,
        height,
        precision: choice.precision.name(),
        precision_reason: choice.reason.clone(),
        peak_gflops: rates,
        threads,
        million_multiply_adds: model.config().graph().multiply_adds(height, width) as f64 / 1e6,
        runs: times_ms.len(),
        ms: Spread::of(times_ms).context("stopped before the first timed run")?,
        weights_mb: weights as f64 / 1e6,
        working_memory_mb: working_memory as f64 / 1e6,
        layers: layers.into_iter().map(Layer::of).collect(),
    };
    if as_json { Ok(format!("{}\n", serde_json::to_string(&report)?)) } else { Ok(table(&report)) }
}

/// Width and height of the network's input in pixels; a detector's for a frame of 640x480.
fn input_size(model: &Model) -> (usize, usize) {
    let config = model.config();
    match config.kind {
        Kind::Landmarks => (config.input_size, config.input_size),
        Kind::Detector => {
            let multiple = config.graph().coarsest_stride();
            let fit = |pixels: usize| pixels.next_multiple_of(multiple);
            (fit(config.input_size), fit(config.input_size * 480 / 640))
        }
    }
}

/// The rates as text.
fn described(rates: &Rates) -> String {
    let others = [("bf16", rates.bf16), ("int8", rates.int8)];
    let others = others.into_iter().filter_map(|(name, rate)| Some(format!(", {name} {:.0}", rate?)));
    format!("f32 {:.0} G/s{}", rates.f32, others.collect::<String>())
}

fn table(report: &Report) -> String {
    let Report { model, width, height, precision, threads, runs, layers, ms, .. } = report;
    let widest = layers.iter().map(|l| l.layers.len()).max().unwrap_or(0);
    let sum: f64 = layers.iter().map(|l| l.ms).sum();
    let mut text = format!(
        "{model}: {width}x{height}, {precision}, {threads} thread{}\n\n{:<widest$}       ms      %  GFLOP/s  % of peak\n",
        if *threads == 1 { "" } else { "s" },
        "layers"
    );
    for Layer { layers, ms, gflops, peak_percent } in layers {
        text += &format!("{layers:<widest$} {ms:>8.4} {:>6.1} {gflops:>8.0} {peak_percent:>10.0}\n", 100.0 * ms / sum);
    }
    let limit: f64 = layers.iter().map(|layer| layer.ms * layer.peak_percent).sum();
    text += &format!(
        "{:<widest$} {sum:>8.4}  100.0          {:>10.0}\n\nwhole runs ({runs}): median {:.4} ms, 95 % {:.4} ms; {:.1} million multiply-adds, {:.0} GFLOP/s\n\
         {:.1} MB of weights, {:.1} MB of working memory\n",
        "sum",
        limit / sum,
        ms.median,
        ms.p95,
        report.million_multiply_adds,
        2.0 * report.million_multiply_adds / f64::from(ms.median),
        report.weights_mb,
        report.working_memory_mb,
    );
    text += &format!("peak, measured in registers: {}\n", described(&report.peak_gflops));
    if let Some(reason) = &report.precision_reason {
        text += &format!("{precision} was chosen: {reason}\n");
    }
    if let Some(error) = report.recorded_validation {
        text += &format!("{error:.3}: the validation measure that the model file records\n");
    }
    text
}
