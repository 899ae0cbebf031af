//! `awing quantize`: prepares a model for int8, or takes that back.
//!
//! In: a landmark model or a detector, and pictures for calibration and validation. Out: a model file with the same
//! weights and what int8 needs beside them (or without), and a table of error, size and time before and after. On
//! failure nothing is written.

use super::measure::{Spread, error_percent};
use super::parse::{named_if, positive};
use super::paths::{Content, Overwrite, Paths};
use crate::program::console::print;
use crate::runtime::counted::counted;
use crate::runtime::detect::{Detector, square_input};
use crate::runtime::engine::{Engine, EngineOptions, Landmarker, MOST_LOSS, Outputs, Precision};
use crate::runtime::image::Frame;
use crate::runtime::model::{Kind, Model, WeightFormat, default_landmarks};
use crate::train::data::{self, Format, Sample, Split, crop_for_eval};
use crate::train::detector::{Photograph, read_photographs};
use crate::train::eval::evaluate_detector;
use crate::train::quantize::quantize;
use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use std::path::PathBuf;
use std::time::Instant;

#[derive(clap::Args)]
pub(super) struct QuantizeArguments {
    /// The landmark model or detector [default: the bundled landmark model]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// int8 measures ranges and writes them into the file, f16 leaves them out
    #[arg(long, value_parser = named_if::<Precision>(|precision| matches!(precision, Precision::F16 | Precision::Int8)))]
    to: Precision,
    /// Annotated faces to measure the ranges of the maps on; for a detector, pictures with face boxes and lists of
    /// pictures without faces
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    calibrate: Vec<PathBuf>,
    /// Use N of them, evenly spread
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = positive::<usize>)]
    pictures: usize,
    /// Pictures to measure the error on, before and after [default: those for calibration]
    #[arg(long, num_args = 1.., value_name = "FILE")]
    validation: Vec<PathBuf>,
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
  awing quantize detector.safetensors --to int8 --calibrate boxes.jsonl --out int8.safetensors
  awing quantize int8.safetensors --to f16 --calibrate faces/train.jsonl --out f16.safetensors";

pub(super) fn run(arguments: &QuantizeArguments) -> Result<()> {
    let paths = Paths::default().reads("MODEL", arguments.model.as_ref()).reads("--calibrate", &arguments.calibrate);
    let paths = paths.reads("--validation", &arguments.validation);
    paths.writes("--out", [&arguments.out], Content::Model).check(arguments.overwrite)?;
    let model = match &arguments.model {
        Some(path) => Model::load(path)?,
        None => default_landmarks()?,
    };
    let kind = model.config().kind;
    let pictures = Pictures::read(kind, &arguments.calibrate, Split::Train)?;
    let measured = match arguments.validation.as_slice() {
        [] => pictures.clone(),
        paths => Pictures::read(kind, paths, Split::Test)?,
    };
    let measured = measured.measurable()?;
    let precision = arguments.to;
    let quantized = match precision {
        Precision::Int8 => quantize(&model, &pictures.inputs(&model, arguments.pictures)?)?,
        _ => model.clone().with_quantization(None)?,
    };
    // The file is measured, not the model before rounding.
    let quantized = Model::from_bytes(&quantized.to_bytes(WeightFormat::F16)?)?;
    let before = measured.error_percent(&model, Precision::F16)?;
    let after = measured.error_percent(&quantized, precision)?;
    // A detector can be without error on a few pictures.
    let loss = if after == before { 0.0 } else { after / before - 1.0 };
    let quantized = quantized.with_int8_loss(loss);
    let bytes = quantized.to_bytes(WeightFormat::F16)?;
    let [single, half, now] = times_ms(&[(&model, Precision::F32), (&model, Precision::F16), (&quantized, precision)])?;
    let old = match &arguments.model {
        Some(path) => std::fs::metadata(path).map_or(0, |file| file.len()),
        None => model.to_bytes(WeightFormat::F16)?.len() as u64,
    };
    crate::runtime::files::write_whole(&arguments.out, &bytes)
        .with_context(|| format!("cannot write {}", arguments.out.display()))?;

    let files = if arguments.validation.is_empty() { &arguments.calibrate } else { &arguments.validation };
    let names: Vec<_> = files.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy()).collect();
    let mut said = format!(
        "wrote {}\nerror   {before:.3} % before, {after:.3} % after ({:+.2} % of it), {} of {}\n",
        arguments.out.display(),
        100.0 * loss,
        measured.described(),
        names.join(", ")
    );
    said += &format!("size    {:.3} MB before, {:.3} MB after\n", old as f64 / 1e6, bytes.len() as f64 / 1e6);
    said += &format!(
        "time    {single:.3} ms in f32, {half:.3} ms in f16 before, {now:.3} ms after: {:.2} times as fast as f32\n",
        single / now
    );
    if precision == Precision::Int8 && loss > MOST_LOSS {
        let most = 100.0 * MOST_LOSS;
        said += &format!("--precision auto will not choose int8: it raises the error by more than {most:.0} %\n");
    }
    print(&said)
}

/// Annotated pictures for a kind of model.
#[derive(Clone)]
enum Pictures {
    Faces(Vec<Sample>),
    Photographs(Vec<Photograph>),
}

impl Pictures {
    fn read(kind: Kind, paths: &[PathBuf], split: Split) -> Result<Self> {
        let (mut faces, mut photographs) = (Vec::new(), Vec::new());
        for path in paths {
            match kind {
                Kind::Landmarks => faces.extend(data::open(path, Format::Auto, split)?),
                Kind::Detector => photographs.extend(read_photographs(path, split)?),
            }
        }
        Ok(match kind {
            Kind::Landmarks => Self::Faces(faces),
            Kind::Detector => Self::Photographs(photographs),
        })
    }

    /// Those that [`Self::error_percent`] is measured on. Single faces are no part of a detector's average precision.
    fn measurable(mut self) -> Result<Self> {
        if let Self::Photographs(photographs) = &mut self {
            photographs.retain(|photograph| !matches!(photograph, Photograph::Face { .. }));
            if !photographs.iter().any(|photograph| matches!(photograph, Photograph::Scene { .. })) {
                bail!("there is no picture with face boxes to measure the detector on; name some with --validation");
            }
        }
        Ok(self)
    }

    /// What the network sees of `count` pictures, evenly spread, one after the other.
    fn inputs(&self, model: &Model, count: usize) -> Result<Vec<f32>> {
        let config = model.config();
        let size = config.input_size;
        let inputs: Vec<Vec<f32>> = match self {
            Self::Faces(faces) => evenly(faces, count)
                .map(|face| Ok(crop_for_eval(face, &face.open()?, &config.crop, size)?.0))
                .collect::<Result<_>>()?,
            Self::Photographs(photographs) => evenly(photographs, count)
                .map(|photograph| Ok(square_input(&Frame::open(photograph.image())?, size)))
                .collect::<Result<_>>()?,
        };
        Ok(inputs.concat())
    }

    /// The mean error of landmarks over the distance between the eyes, or what a detector's average precision lacks.
    fn error_percent(&self, model: &Model, precision: Precision) -> Result<f64> {
        match self {
            Self::Faces(faces) => error_percent(&mut Landmarker::new(model, Outputs::Decoded, precision)?, faces),
            Self::Photographs(photographs) => {
                let bar = ProgressBar::new(photographs.len() as u64);
                let evaluation = evaluate_detector(&mut Detector::new(model, precision)?, photographs, |_| bar.inc(1))?;
                bar.finish_and_clear();
                let scenes = evaluation.scenes.context("no face is large enough to measure the detector on")?;
                Ok(100.0 - scenes.average_precision)
            }
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Faces(faces) => counted(faces.len(), "face"),
            Self::Photographs(photographs) => counted(photographs.len(), "picture"),
        }
    }
}

fn evenly<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |i| &all[i * all.len() / count])
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
