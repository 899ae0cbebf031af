//! Inference on the CPU: a picture in, heatmaps out.
//!
//! In: `height * width * 3` values in 0..=1, RGB interleaved, top row first. Out: the heatmaps that decoding reads,
//! (row, column, channel), in f32; maps that only help training (the boundary map) are left out unless requested.
//!
//! [`Engine::compile`] makes a plan of the network once: it fuses operations (`fuse`), lists maps and steps
//! (`compile`), assigns memory to the maps (`place`), and puts the weights into the order of the kernels (`fold`,
//! `pack`). A run executes the steps of the plan (`plan`, `kernels`) and allocates nothing.

mod choice;
mod compile;
mod executor;
mod fold;
mod fuse;
mod kernels;
mod landmarker;
mod memory;
mod pack;
mod place;
mod plan;
mod profile;
// candle is the reference.
#[cfg(all(test, feature = "train"))]
mod tests;

pub use choice::{Choice, MOST_LOSS};
pub use executor::{Backend, Executor};
pub use landmarker::{LandmarkTimes, Landmarker};
pub use profile::StepProfile;

use crate::runtime::heatmap::HeatmapView;
use crate::runtime::model::{Kind, Model};
use crate::runtime::named::named;
use crate::runtime::simd::{Isa, Rates, dispatch, dispatch_bf16, dispatch_int8};
use crate::runtime::workers::Workers;
use kernels::{RunInteger, RunProduct, RunWhole};
use memory::Memory;
use plan::{Action, PlacedMap, Plan, StepPrecision};
use std::ops::Range;

/// Errors of compiling or running a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The network can't take an input of this size, in pixels.
    #[error("the network cannot take {width}x{height} pixels: both sides must be positive multiples of {multiple}")]
    Size { width: usize, height: usize, multiple: usize },
    /// A landmark model where a detector is needed, or the other way round.
    #[error("wrong kind of model: a {wanted} is needed")]
    Kind { wanted: &'static str },
    #[error("the frame is empty: it has {width}x{height} pixels")]
    EmptyFrame { width: usize, height: usize },
    /// The network has a sequence of operations that no kernel computes.
    #[error("cannot compile the layer {layer}: {reason}")]
    Unsupported { layer: String, reason: &'static str },
    /// The device of a [`Backend`] failed; the compiled engine never does.
    #[error("inference failed on the device")]
    Executor(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The maps that a compiled model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// Those that decoding reads: the last stack's without the boundary map.
    #[default]
    Decoded,
    /// All maps of every stack.
    All,
}

/// The precision of a compiled model's matrix products, in int8 also of its depthwise convolutions and residuals.
/// Heatmaps are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The fastest on this core among those that are accurate enough: single and half precision always are, int8 if the
    /// model file says that it raises the error by at most 1 %. The core is measured once per process.
    #[default]
    Auto,
    F32,
    /// Weights and inputs in bf16, sums in f32, on cores with AVX512-BF16. On other cores the same as [`Self::F32`].
    F16,
    /// Weights and maps in 8-bit integers, sums in 32-bit integers, for the layers that `awing quantize --to int8` has
    /// prepared, and for a detector's first. Other layers as [`Self::F32`].
    Int8,
}

impl Precision {
    /// The precision that a network runs in on a CPU, and the reason if it is not the requested one.
    pub(crate) fn in_use(self, model: &Model, isa: Isa) -> (Self, Option<&'static str>) {
        match self {
            Self::F16 if !isa.has_bf16() => (Self::F32, Some("this CPU has no AVX512-BF16")),
            Self::Int8 if model.config().quantization.is_none() => {
                (Self::F32, Some("the file of this model has no ranges for int8; awing quantize measures them"))
            }
            _ => (self, None),
        }
    }
}

named!(Precision {
    Auto = "auto": "The fastest on this CPU that costs no accuracy, or next to none",
    F32 = "f32": "Single precision",
    F16 = "f16": "Half precision; falls back to f32 if the CPU does not support it",
    Int8 = "int8": "8-bit integers, for the bundled model and those that `awing quantize` has prepared; others run in f32",
});

/// The input size that a model is compiled for, and how it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    pub outputs: Outputs,
    pub precision: Precision,
    /// The running core must support it.
    pub isa: Isa,
    /// The maximum number of threads, including the caller's. Only long steps are shared.
    pub threads: usize,
}

impl EngineOptions {
    /// For pictures of `height` x `width` pixels: the maps that decoding reads, the default precision and instruction
    /// set, one thread.
    pub fn new(height: usize, width: usize) -> Self {
        let (outputs, precision) = (Outputs::default(), Precision::default());
        Self { height, width, outputs, precision, isa: Isa::active(), threads: 1 }
    }
}

/// Threads share a step with at least this many multiplications: waking a thread takes as long as some hundred thousand
/// of them.
const SHARED_FROM: u64 = 8_000_000;
/// Parts per thread: several, so that a thread interrupted by the system does not hold up the others.
const PARTS_PER_THREAD: usize = 4;

/// A model ready to run on pictures of one size.
pub struct Engine {
    isa: Isa,
    choice: Choice,
    plan: Plan,
    workers: Workers,
    /// A strip of depthwise output for each thread.
    strips: Memory,
    strip_bytes: usize,
    input: Vec<f32>,
    /// Threads share a step with at least this many multiplications.
    shared_from: u64,
}

impl Engine {
    /// Compiles `model` for pictures of the given size.
    ///
    /// # Errors
    /// [`EngineError::Size`] if the network can't take it; [`EngineError::Unsupported`].
    pub fn compile(model: &Model, options: &EngineOptions) -> Result<Self, EngineError> {
        let isa = options.isa;
        let choice = match options.precision {
            Precision::Auto if isa == Isa::active() => {
                choice::choose(model.config().quantization.as_ref(), Rates::of_this_core())
            }
            Precision::Auto => choice::choose(model.config().quantization.as_ref(), &Rates::measure(isa)),
            precision => Choice { precision, reason: None },
        };
        let precision = match choice.precision.in_use(model, isa).0 {
            Precision::Int8 => StepPrecision::Int8,
            Precision::F16 => StepPrecision::Bf16,
            Precision::Auto | Precision::F32 => StepPrecision::F32,
        };
        Ok(Self { choice, ..Self::compile_for(model, options, isa, precision)? })
    }

    /// The precision of this plan, and why it was chosen.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    fn compile_for(
        model: &Model,
        options: &EngineOptions,
        isa: Isa,
        precision: StepPrecision,
    ) -> Result<Self, EngineError> {
        let &EngineOptions { height, width, outputs, threads, .. } = options;
        let multiple = model.config().graph().coarsest_stride();
        if height == 0 || width == 0 || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            return Err(EngineError::Size { width, height, multiple });
        }
        let channels = match model.config().kind {
            Kind::Landmarks => model.config().points,
            Kind::Detector => model.config().outputs,
        };
        let balanced = (precision == StepPrecision::Int8).then(|| model.balanced());
        let model = balanced.as_ref().unwrap_or(model);
        let vectors = pack::Vectors::of(isa);
        let all = outputs == Outputs::All;
        let target = compile::Target { height, width, vectors, precision, channels, all };
        let plan = place::place(compile::compile(model, &target)?);
        let workers = Workers::new(threads);
        let strip_bytes = plan.actions().map(|action| action.strip_bytes(vectors.lanes)).max().unwrap_or(0);
        let strip_bytes = strip_bytes.next_multiple_of(memory::LINE_BYTES);
        let strips = Memory::new(strip_bytes * workers.count());
        let input = vec![0.0; height * width * 3];
        let choice = Choice { precision: options.precision, reason: None };
        Ok(Self { isa, choice, plan, workers, strips, strip_bytes, input, shared_from: SHARED_FROM })
    }

    /// The buffer for the picture.
    pub fn input_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    /// Runs the network on what [`Self::input_mut`] holds.
    pub fn run(&mut self) {
        for step in 0..self.plan.steps.len() {
            self.run_step(step);
        }
    }

    fn run_step(&mut self, step: usize) {
        let Self { isa, plan, workers, strips, strip_bytes, input, shared_from, .. } = self;
        let Plan { steps, tables, memory, .. } = plan;
        for gap in &steps[step].clears {
            memory.clear(gap.clone());
        }
        let memory = Shared(memory.pointer_mut());
        let strips = Shared(strips.pointer_mut());
        let step = &steps[step].step;
        let (cells, grain) = match &step.action {
            Action::Product(product) => (product.cells, product.grain()),
            Action::Integer(product) => (product.cells, product.grain()),
            action => {
                let whole = RunWhole { action, picture: input, tables, memory: memory.pointer() };
                return match step.precision {
                    StepPrecision::F32 => dispatch(*isa, whole),
                    StepPrecision::Bf16 => dispatch_bf16(*isa, whole),
                    StepPrecision::Int8 => dispatch_int8(*isa, whole),
                };
            }
        };
        let part = |worker: usize, part: Range<usize>| {
            // SAFETY: there is a strip for every thread.
            let strip = unsafe { strips.pointer().add(worker * *strip_bytes) };
            let memory = memory.pointer();
            match &step.action {
                Action::Product(product) => {
                    let run = RunProduct { product, tables, memory, strip, part };
                    match step.precision {
                        StepPrecision::F32 => dispatch(*isa, run),
                        StepPrecision::Bf16 => dispatch_bf16(*isa, run),
                        StepPrecision::Int8 => dispatch_int8(*isa, run),
                    }
                }
                Action::Integer(product) => {
                    dispatch_int8(*isa, RunInteger { product, tables, memory, strip, part });
                }
                Action::Picture(_) | Action::Gate(_) | Action::Sum(_) => (),
            }
        };
        if workers.count() == 1 || step.multiply_adds < *shared_from {
            part(0, 0..cells);
        } else {
            let length = cells.div_ceil(workers.count() * PARTS_PER_THREAD);
            workers.split(cells, length.next_multiple_of(grain), &part);
        }
    }

    /// All maps of each stack from the last run, in order; in each, the boundary map comes last if there is one. Empty
    /// unless the engine was compiled with [`Outputs::All`].
    pub fn stacks(&self) -> impl Iterator<Item = HeatmapView<'_>> {
        self.plan.stacks.iter().map(|map| self.view(map))
    }

    /// The heatmaps from the last run that decoding reads.
    pub fn output(&self) -> HeatmapView<'_> {
        self.view(&self.plan.output)
    }

    fn view(&self, PlacedMap { map, start }: &PlacedMap) -> HeatmapView<'_> {
        let values = self.plan.memory.floats(*start, map.height * map.width * map.channels);
        HeatmapView { values, height: map.height, width: map.width, channels: map.channels }
    }

    /// Bytes of packed weights, and of everything that a run writes.
    pub fn memory_bytes(&self) -> (usize, usize) {
        let weights = self.plan.actions().map(Action::weight_bytes);
        let maps = self.plan.memory.bytes() + self.strips.bytes() + size_of_val(self.input.as_slice());
        (weights.sum(), maps)
    }
}

/// Memory that several threads write to, each to its own cells.
#[derive(Clone, Copy)]
struct Shared(*mut u8);

// SAFETY: threads that work on the same step write different cells and use different strips.
unsafe impl Sync for Shared {}

impl Shared {
    fn pointer(self) -> *mut u8 {
        self.0
    }
}
