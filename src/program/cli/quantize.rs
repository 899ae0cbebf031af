//! `awing quantize`: prepares a landmark model for int8, or takes that back.
//!
//! In: a model, and faces for calibration and validation. Out: a model file with the same weights and what int8 needs
//! beside them (or without), and a table of error, size and time before and after. On failure nothing is written.

use super::measure::{Spread, error_percent};
use super::parse::named_if;
use super::paths::{Content, Overwrite, Paths};
use crate::runtime::engine::{Engine, EngineOptions, Landmarker, MOST_LOSS, Outputs, Precision};
use crate::runtime::model::{Kind, Model, WeightFormat, default_landmarks};
use crate::train::data::{self, Format, Sample, Split, crop_for_eval};
use crate::train::quantize::quantize;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub(super) struct QuantizeArguments {
    /// The landmark model [default: the bundled one]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// int8 measures ranges and writes them into the file, f16 leaves them out
    #[arg(long, value_parser = named_if::<Precision>(|precision| matches!(precision, Precision::F16 | Precision::Int8)))]
    to: Precision,
    /// Annotated faces for calibration: the ranges of the maps, for int8
    #[arg(long, value_name = "FILE.jsonl")]
    calibrate: PathBuf,
    /// Use N of them, evenly spread
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    faces: u64,
    /// Annotated faces to measure the error on, before and after [default: the calibration faces]
    #[arg(long, value_name = "FILE.jsonl")]
    validation: Option<PathBuf>,
    /// The model file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: Overwrite,
}

/// The models are timed in turn, this many times each ...
const ROUNDS: usize = 6;
/// ... with this many runs of the network, because one model's weights drive the others' out of the caches.
const RUNS_PER_ROUND: usize = 60;

pub(super) const EXAMPLES: &str = "\
Examples:
  awing quantize --to int8 --calibrate faces/train.jsonl --out int8.safetensors
  awing quantize int8.safetensors --to f16 --calibrate faces/train.jsonl --out f16.safetensors";

pub(super) fn run(arguments: &QuantizeArguments) -> Result<()> {
    let paths = Paths::default().reads("MODEL", arguments.model.as_ref()).reads("--calibrate", [&arguments.calibrate]);
    let paths = paths.reads("--validation", arguments.validation.as_ref());
    paths.writes("--out", [&arguments.out], Content::Model).check(arguments.overwrite)?;
    let model = match &arguments.model {
        Some(path) => Model::load_as(Kind::Landmarks, path)?,
        None => default_landmarks()?,
    };
    let faces = data::open(&arguments.calibrate, Format::Auto, Split::Test)?;
    let precision = arguments.to;
    let quantized = match precision {
        Precision::Int8 => quantize(&model, &crops(&model, &faces, arguments.faces as usize)?)?,
        _ => model.clone().with_quantization(None)?,
    };
    // The file is measured, not the model before rounding.
    let quantized = Model::from_bytes(&quantized.to_bytes(WeightFormat::F16)?)?;
    let faces = match &arguments.validation {
        Some(path) => data::open(path, Format::Auto, Split::Test)?,
        None => faces,
    };
    let error = |model: &Model, precision: Precision| {
        error_percent(&mut Landmarker::new(model, Outputs::Decoded, precision)?, &faces)
    };
    let (before, after) = (error(&model, Precision::F16)?, error(&quantized, precision)?);
    let loss = after / before - 1.0;
    let quantized = quantized.with_int8_loss(loss);
    let bytes = quantized.to_bytes(WeightFormat::F16)?;
    let [single, half, now] = times_ms(&[(&model, Precision::F32), (&model, Precision::F16), (&quantized, precision)])?;
    let old = match &arguments.model {
        Some(path) => std::fs::metadata(path).map_or(0, |file| file.len()),
        None => model.to_bytes(WeightFormat::F16)?.len() as u64,
    };
    crate::runtime::files::write_whole(&arguments.out, &bytes)
        .with_context(|| format!("cannot write {}", arguments.out.display()))?;

    let measured = arguments.validation.as_deref().unwrap_or(&arguments.calibrate);
    println!("wrote {}", arguments.out.display());
    println!(
        "error   {before:.3} % before, {after:.3} % after ({:+.2} % of it), {} faces of {}",
        100.0 * loss,
        faces.len(),
        name(measured)
    );
    println!("size    {:.3} MB before, {:.3} MB after", old as f64 / 1e6, bytes.len() as f64 / 1e6);
    println!(
        "time    {single:.3} ms in f32, {half:.3} ms in f16 before, {now:.3} ms after: {:.2} times as fast as f32",
        single / now
    );
    if precision == Precision::Int8 && loss > MOST_LOSS {
        println!("--precision auto will not choose int8: it raises the error by more than {:.0} %", 100.0 * MOST_LOSS);
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Crops of `count` faces, evenly spread, one after the other.
fn crops(model: &Model, faces: &[Sample], count: usize) -> Result<Vec<f32>> {
    let count = count.min(faces.len());
    let config = model.config();
    let mut crops = Vec::with_capacity(count * config.input_size * config.input_size * 3);
    for i in 0..count {
        let face = &faces[i * faces.len() / count];
        crops.extend(crop_for_eval(face, &face.open()?, &config.crop, config.input_size)?.0);
    }
    Ok(crops)
}

/// The median time of a run of each model.
fn times_ms<const N: usize>(models: &[(&Model, Precision); N]) -> Result<[f32; N]> {
    let mut engines = Vec::with_capacity(N);
    for (model, precision) in models {
        let size = model.config().input_size;
        engines
            .push(Engine::compile(model, &EngineOptions { precision: *precision, ..EngineOptions::new(size, size) })?);
    }
    let mut times = vec![Vec::new(); N];
    for _ in 0..ROUNDS {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            for _ in 0..RUNS_PER_ROUND {
                let start = Instant::now();
                engine.run();
                times.push(start.elapsed().as_secs_f32() * 1000.0);
            }
        }
    }
    let mut times = times.into_iter();
    Ok(std::array::from_fn(|_| times.next().and_then(Spread::of).map_or(0.0, |spread| spread.median)))
}
