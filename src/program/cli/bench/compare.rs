//! `awing bench --compare`: every instruction set and precision that this core can run, in one table.
//!
//! In: a landmark model and, with `--data`, annotated faces. Out: for each row the core's peak rate (measured in
//! registers), the median time of a run of the network, its share of the peak and, with faces, the error. The rows are
//! timed in turn. The picture is noise: the time does not depend on it.

use crate::program::cli::interrupt;
use crate::program::cli::measure::{Spread, error_percent};
use crate::program::live::TrackerSetup;
use crate::runtime::engine::{Engine, EngineOptions, Landmarker, Precision};
use crate::runtime::model::{Kind, Model};
use crate::runtime::named::Named;
use crate::runtime::simd::{Isa, Rates};
use crate::train::data::{self, Format, Sample, Split};
use anyhow::{Result, bail};
use rand::{Rng, SeedableRng};
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The rows are timed in turn, this many times ...
const ROUNDS: u64 = 6;
/// ... after this many untimed runs, which fill caches and raise clock frequencies.
const WARM_UP: u64 = 5;
/// Runs whose steps are timed, for the share of the peak.
const PROFILED_RUNS: usize = 20;

#[derive(Serialize)]
struct Report {
    processor: String,
    model: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    instructions: &'static str,
    precision: &'static str,
    /// The core's rate in registers with the number type of the matrix products; `None` where the compiler chooses the
    /// instructions.
    peak_gflops: Option<f64>,
    ms: Spread,
    /// The time of the same work in registers, in percent of the steps' time.
    peak_percent: Option<f64>,
    /// On the faces of `--data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_percent: Option<f64>,
    /// Whether `--precision auto` chooses this precision in this instruction set.
    is_auto: bool,
    /// Whether awing uses this row by default.
    is_default: bool,
}

/// Compares with `frames` runs of each row. The text is the report.
///
/// # Errors
/// If a model or the faces can't be read, or the network is to run on a GPU.
pub(super) fn run(setup: &TrackerSetup, data: Option<&Path>, frames: u64, as_json: bool) -> Result<String> {
    let stop = interrupt::flag()?;
    if setup.gpu.is_some() {
        bail!("--compare runs on the CPU only: leave out --device");
    }
    let (model_name, model) = setup.landmark_model()?;
    if model.config().kind != Kind::Landmarks {
        bail!("{model_name} is a detector; a landmark model is needed");
    }
    let faces = data.map(|path| data::open(path, Format::Auto, Split::Test)).transpose()?;
    let size = model.config().input_size;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let picture: Vec<f32> = (0..size * size * 3).map(|_| random.random()).collect();

    let mut engines = Vec::new();
    for isa in Isa::available() {
        let auto = Engine::compile(&model, &options(&model, isa, Precision::Auto))?.choice().precision;
        for precision in precisions(&model, isa) {
            let mut engine = Engine::compile(&model, &options(&model, isa, precision))?;
            engine.input_mut().copy_from_slice(&picture);
            engines.push((isa, precision, precision == auto, engine, Vec::new()));
        }
    }
    let each = frames.div_ceil(ROUNDS);
    for _ in 0..ROUNDS {
        for (.., engine, times_ms) in &mut engines {
            for run in 0..each + WARM_UP {
                if stop.load(Ordering::Relaxed) {
                    bail!("stopped before everything was measured");
                }
                let start = Instant::now();
                engine.run();
                if run >= WARM_UP {
                    times_ms.push(start.elapsed().as_secs_f32() * 1000.0);
                }
            }
        }
    }
    let mut rows = Vec::new();
    for (isa, precision, is_auto, mut engine, times_ms) in engines {
        let rates = Rates::measure(isa);
        let steps = engine.profile(PROFILED_RUNS, &rates);
        let sum = |of: fn(&_) -> f64| -> f64 { steps.iter().map(of).sum() };
        let has_peak = isa != Isa::Portable;
        let peak = match precision {
            Precision::F16 => rates.bf16,
            Precision::Int8 => rates.int8,
            Precision::Auto | Precision::F32 => None,
        };
        rows.push(Row {
            instructions: isa.name(),
            precision: precision.name(),
            peak_gflops: has_peak.then_some(peak.unwrap_or(rates.f32)),
            ms: Spread::of(times_ms).unwrap_or_default(),
            peak_percent: has_peak.then(|| 100.0 * sum(|step| step.limit_ms) / sum(|step| step.ms)),
            error_percent: faces.as_deref().map(|faces| error(&model, isa, precision, faces)).transpose()?,
            is_auto,
            is_default: is_auto && isa == Isa::active(),
        });
    }
    let report = Report { processor: processor(), model: model_name, rows };
    if as_json { Ok(format!("{}\n", serde_json::to_string(&report)?)) } else { Ok(table(&report)) }
}

fn options(model: &Model, isa: Isa, precision: Precision) -> EngineOptions {
    let size = model.config().input_size;
    EngineOptions { isa, precision, ..EngineOptions::new(size, size) }
}

/// The precisions of `isa` that differ for `model`.
fn precisions(model: &Model, isa: Isa) -> Vec<Precision> {
    let mut precisions = vec![Precision::F32];
    precisions.extend(isa.has_bf16().then_some(Precision::F16));
    precisions.extend(model.config().quantization.is_some().then_some(Precision::Int8));
    precisions
}

fn error(model: &Model, isa: Isa, precision: Precision, faces: &[Sample]) -> Result<f64> {
    error_percent(&mut Landmarker::compiled(model, &options(model, isa, precision))?, faces)
}

/// The system's name for the processor, or at least its family.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
    };
    let keys = ["model name", "cpu family", "model", "stepping", "CPU implementer", "CPU part"];
    let known = keys.into_iter().filter_map(|key| {
        let value = value(key)?;
        Some(if key == "model name" { value } else { format!("{key} {value}") })
    });
    let known: Vec<String> =
        known.chain([std::env::consts::ARCH.to_owned(), std::env::consts::OS.to_owned()]).collect();
    known.join(", ")
}

fn table(report: &Report) -> String {
    let Report { processor, model, rows } = report;
    let mut text = format!(
        "{processor}\nawing {}, {model}, one thread; the network alone\n\n\
         instructions precision  peak G/s  median ms    95 %  % of peak",
        env!("CARGO_PKG_VERSION")
    );
    let with_error = rows.iter().any(|row| row.error_percent.is_some());
    text += if with_error { "  error %\n" } else { "\n" };
    for Row { instructions, precision, peak_gflops, ms, peak_percent, error_percent, is_auto, is_default } in rows {
        let whole = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        let (peak_gflops, peak_percent) = (whole(peak_gflops), whole(peak_percent));
        text += &format!(
            "{instructions:<12} {precision:<9} {peak_gflops:>9} {:>10.4} {:>7.4} {peak_percent:>10}",
            ms.median, ms.p95
        );
        if let Some(error) = error_percent {
            text += &format!("  {error:>7.3}");
        }
        text += match (is_default, is_auto) {
            (true, _) => "  default here\n",
            (false, true) => "  auto\n",
            (false, false) => "\n",
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_processor_and_every_figure() {
        let row = |precision, is_default| Row {
            instructions: "avx512",
            precision,
            peak_gflops: Some(512.0),
            ms: Spread { median: 0.4, p95: 0.5 },
            peak_percent: Some(61.0),
            error_percent: Some(4.05),
            is_auto: is_default,
            is_default,
        };
        let rows = vec![row("f32", false), row("f16", true)];
        let text = table(&Report { processor: "a core".into(), model: "a model".into(), rows });
        for part in ["a core", "a model", "512", "0.4000", "0.5000", "61", "4.050", "default here"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(processor().contains(std::env::consts::ARCH));
    }
}
