//! Inference of a model on the CPU: a picture in, heatmaps out.
//!
//! In: `height * width * 3` values in 0..=1, RGB interleaved, rows from the top. Out: the heatmaps that decoding reads,
//! (row, column, channel); maps that only help training (the boundary map) are left out.
//!
//! [`Engine::compile`] makes a plan of the network once: which operations one step does (`fuse`), which maps there are and
//! where they lie (`compile`, `place`, `plan`), the weights in the order of the kernels (`fold`, `pack`). A run carries out the steps
//! (`kernels`) without allocating anything.

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
mod workers;

pub use executor::{Backend, Executor};
pub use landmarker::{LandmarkTimes, Landmarker};
pub use profile::StepProfile;

use crate::runtime::heatmap::HeatmapView;
use crate::runtime::model::{Kind, Model};
use crate::runtime::named::named;
use crate::runtime::simd::{Bf16Kernel, Isa, Kernel, Simd, SimdBf16, dispatch, dispatch_bf16, dispatch_int8};
use kernels::{Brain, Factor, RunProduct, Single, gate, picture};
use memory::Memory;
use plan::{Action, Arithmetic, MapId, Plan, Step};
pub(crate) use workers::Workers;

/// What can go wrong when a model is made ready for inference.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "an input of {width}x{height} pixels does not fit this network: both sides have to be multiples of {multiple}"
    )]
    Size { width: usize, height: usize, multiple: usize },
    #[error("this is not a model of the kind that is needed here ({wanted:?})")]
    Kind { wanted: Kind },
    #[error("the frame is empty: it has {width}x{height} pixels")]
    EmptyFrame { width: usize, height: usize },
    #[error("the layer {layer} can't be compiled: {reason}")]
    Unsupported { layer: String, reason: &'static str },
    #[error("inference outside the compiled engine failed")]
    Executor(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Which maps a compiled model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// What decoding reads: the last stack's maps without the boundary map. Nothing else is computed.
    #[default]
    Decoded,
    /// All maps of every stack.
    All,
}

/// The arithmetic of a compiled model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    F32,
    /// Weights and factors of matrix products in half the bits where the core multiplies such numbers faster, sums,
    /// depthwise convolutions and everything else in single precision: bfloat16 with AVX512-BF16. On other cores the same
    /// as [`Self::F32`].
    #[default]
    F16,
    /// Bytes in the matrix products of a model that was made for it (`awing quantize --to int8`), with AVX512-VNNI and
    /// AVX512-BF16; everything else, and everything on other cores or of other models, as [`Self::F16`].
    Int8,
}

named!(Precision {
    F32 = "f32": "Single precision",
    F16 = "f16": "Half precision, or whatever is faster on this CPU at the same accuracy",
    Int8 = "int8": "8-bit integers; falls back to f16 if the model or CPU does not support it",
});

/// For which input, and how, a model is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    pub outputs: Outputs,
    pub precision: Precision,
    /// Threads that work at the same time at most, the caller's own among them. Only steps that are long enough are shared.
    pub threads: usize,
}

impl EngineOptions {
    /// For pictures of `height` x `width` pixels, for decoding, in the default precision, on one thread.
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width, outputs: Outputs::default(), precision: Precision::default(), threads: 1 }
    }
}

/// Multiplications of a step from which on it is shared by threads: waking one costs what a core does in the time of some
/// hundred thousand of them.
const SHARED_FROM: u64 = 8_000_000;
/// Parts for each thread, so that one that the system holds up does not hold up the others.
const PARTS_PER_THREAD: usize = 4;

/// A model ready to run on pictures of one size.
pub struct Engine {
    isa: Isa,
    arithmetic: Arithmetic,
    plan: Plan,
    workers: Workers,
    /// For each thread, the strip of depthwise output that it works at.
    strips: Memory,
    strip_bytes: usize,
    input: Vec<f32>,
    /// Multiplications of a step from which on it is shared.
    shared_from: u64,
}

impl Engine {
    /// Makes `model` ready for pictures of the given size.
    ///
    /// # Errors
    /// [`EngineError::Size`] if the network can't take it; [`EngineError::Unsupported`].
    pub fn compile(model: &Model, options: &EngineOptions) -> Result<Self, EngineError> {
        let isa = Isa::active();
        let arithmetic = match options.precision {
            Precision::Int8 if isa.has_int8() => Arithmetic::Int8,
            Precision::F16 | Precision::Int8 if isa.has_bf16() => Arithmetic::Bf16,
            _ => Arithmetic::Single,
        };
        Self::compile_for(model, options, isa, arithmetic)
    }

    fn compile_for(
        model: &Model,
        options: &EngineOptions,
        isa: Isa,
        arithmetic: Arithmetic,
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
        let vectors = pack::Vectors::of(isa);
        let all = outputs == Outputs::All;
        let bytes = arithmetic == Arithmetic::Int8;
        // What is not done in bytes.
        let arithmetic = if bytes { Arithmetic::Bf16 } else { arithmetic };
        let target = compile::Target { height, width, vectors, arithmetic, bytes, channels, all };
        let plan = compile::compile(model, &target)?;
        let workers = Workers::new(threads);
        let strip_bytes = |step: &Step| match &step.action {
            Action::Product(product) => product.strip_bytes(),
            _ => 0,
        };
        let strip_bytes = plan.steps.iter().map(strip_bytes).max().unwrap_or(0);
        let strip_bytes = strip_bytes.next_multiple_of(memory::LINE_BYTES);
        let strips = Memory::new(strip_bytes * workers.count());
        let input = vec![0.0; height * width * 3];
        Ok(Self { isa, arithmetic, plan, workers, strips, strip_bytes, input, shared_from: SHARED_FROM })
    }

    /// Where the caller writes the picture.
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
        let Self { isa, arithmetic, plan, workers, strips, strip_bytes, input, shared_from } = self;
        let Plan { steps, maps, tables, memory, .. } = plan;
        for &map in &steps[step].clears {
            maps[map].for_each_gap(|gap| memory.clear(gap));
        }
        let memory = Shared(memory.pointer_mut());
        let strips = Shared(strips.pointer_mut());
        let step = &steps[step];
        let Action::Product(product) = &step.action else {
            let small = RunSmall { action: &step.action, picture: input, maps, tables, memory: memory.pointer() };
            return match arithmetic {
                Arithmetic::Single => dispatch(*isa, small),
                Arithmetic::Bf16 | Arithmetic::Int8 => dispatch_bf16(*isa, small),
            };
        };
        let part = |worker: usize, part: std::ops::Range<usize>| {
            // SAFETY: every thread has a strip of its own.
            let strip = unsafe { strips.pointer().add(worker * *strip_bytes) };
            let run = RunProduct { product, tables, memory: memory.pointer(), strip, part };
            match product.arithmetic {
                Arithmetic::Single => dispatch(*isa, run),
                Arithmetic::Bf16 => dispatch_bf16(*isa, run),
                Arithmetic::Int8 => dispatch_int8(*isa, run),
            }
        };
        if workers.count() == 1 || step.multiply_adds < *shared_from {
            part(0, 0..product.cells);
        } else {
            let length = product.cells.div_ceil(workers.count() * PARTS_PER_THREAD);
            workers.split(product.cells, length.next_multiple_of(product.grain()), &part);
        }
    }

    /// All maps of every stack of the last run, the boundary map last where there is one; the last stack comes last.
    /// Nothing unless the engine was compiled with [`Outputs::All`].
    pub fn stacks(&self) -> impl Iterator<Item = HeatmapView<'_>> {
        self.plan.stacks.iter().map(|&map| self.view(map))
    }

    /// The heatmaps of the last run that decoding reads.
    pub fn output(&self) -> HeatmapView<'_> {
        self.view(self.plan.output)
    }

    fn view(&self, map: MapId) -> HeatmapView<'_> {
        let map = &self.plan.maps[map];
        let values = self.plan.memory.floats(map.start, map.height * map.width * map.channels);
        HeatmapView { values, height: map.height, width: map.width, channels: map.channels }
    }

    /// Bytes of packed weights, and of maps and everything else that a run writes.
    pub fn memory_bytes(&self) -> (usize, usize) {
        let weights = |step: &Step| match &step.action {
            Action::Product(p) => p.weights.bytes() + p.depthwise.as_ref().map_or(0, |d| d.weights.bytes()),
            _ => 0,
        };
        let maps = self.plan.memory.bytes() + self.strips.bytes() + size_of_val(self.input.as_slice());
        (self.plan.steps.iter().map(weights).sum(), maps)
    }
}

/// Memory that threads write to, each its own cells.
#[derive(Clone, Copy)]
struct Shared(*mut u8);

// SAFETY: the parts of a step that threads do at the same time write different cells.
unsafe impl Sync for Shared {}

impl Shared {
    fn pointer(self) -> *mut u8 {
        self.0
    }
}

/// A step that is not a product.
struct RunSmall<'a> {
    action: &'a Action,
    picture: &'a [f32],
    maps: &'a [plan::Map],
    tables: &'a [Vec<u32>],
    memory: *mut u8,
}

impl RunSmall<'_> {
    #[inline(always)]
    unsafe fn run_in<S: Simd, F: Factor<S>>(self, s: S) {
        // SAFETY: memory, maps and tables are those of one plan; the core has the instruction set by the callers' contract.
        unsafe {
            match self.action {
                Action::Picture { to } => picture::<S, F>(s, self.picture, &self.maps[*to], self.memory),
                Action::Gate { boundary, to, coordinates } => {
                    gate::<S, F>(boundary, to, coordinates, self.tables, self.memory);
                }
                Action::Product(_) => {}
            }
        }
    }
}

impl Kernel for RunSmall<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        // SAFETY: by the contract of `Kernel`.
        unsafe { self.run_in::<S, Single>(s) }
    }
}

impl Bf16Kernel for RunSmall<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdBf16>(self, s: S) {
        // SAFETY: by the contract of `Bf16Kernel`.
        unsafe { self.run_in::<S, Brain<S>>(s) }
    }
}
