//! The plan: the steps of a compiled network and their memory.
//!
//! All maps lie in one memory, (row, column, channel), each with a border of zeros as wide as the widest filter that
//! reads it, so that no kernel handles the edges of the picture. A step visits the cells of its output in order; for
//! each map that it reads or writes, a table made in advance holds the offset of the cell that belongs to each of them.
//!
//! The compiler writes a [`Draft`], in which positions are relative to their maps ([`InMap`]). Placing the maps turns
//! it into a [`Plan`], with positions in memory ([`Address`]). Kernels take steps of a plan only.

mod action;
mod integer;
mod map;

pub(super) use action::{
    Action, Affine, Bias, Block, Cells, Depthwise, Gate, IntegerSums, Picture, Product, Segment, Store, Sum, Term,
    Weights,
};
pub(super) use integer::{
    IntegerDepthwise, IntegerFormat, IntegerLeft, IntegerProduct, IntegerStore, IntegerTerm, ROW_TILE, rows_at_once,
};
pub(super) use map::{Element, Map, PlacedMap};

use super::memory::Memory;
use std::ops::Range;

/// Number of a map in [`Draft::maps`].
pub(super) type MapId = usize;

/// Number of a table in [`Draft::tables`] and [`Plan::tables`].
pub(super) type TableId = usize;

/// Cells are padded to a multiple of this number of channels: the lanes of the widest vector.
pub(super) const CHANNEL_MULTIPLE: usize = 16;

/// A position before the maps are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InMap {
    pub map: MapId,
    /// Bytes from the map's start.
    pub offset: usize,
}

/// A position in a plan's memory: bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(pub usize);

/// Converts positions to addresses once the maps are placed.
type Placement<'a> = &'a dyn Fn(InMap) -> Address;

/// The number types that a step multiplies and adds, which select the instructions of its kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StepPrecision {
    F32,
    /// Factors of products in bf16, sums and everything else in f32.
    Bf16,
    /// Maps and weights in 8-bit integers, sums in 32-bit ones ([`Action::Integer`]). Also for the picture and the
    /// [`Action::Product`] that reads its bytes.
    Int8,
}

impl StepPrecision {
    /// The type of a product's left factors.
    pub fn factor(self) -> Element {
        match self {
            StepPrecision::F32 => Element::F32,
            StepPrecision::Bf16 => Element::Bf16,
            StepPrecision::Int8 => Element::U8,
        }
    }
}

/// One step of a run.
pub(super) struct Step<A> {
    /// The layers that it computes.
    pub name: String,
    pub precision: StepPrecision,
    pub action: Action<A>,
    /// Multiplications of the convolutions.
    pub multiply_adds: u64,
    /// Those of them in a depthwise convolution in f32.
    pub depthwise_multiply_adds: u64,
}

/// A compiled network whose maps have no memory yet.
pub(super) struct Draft {
    pub steps: Vec<Step<InMap>>,
    pub maps: Vec<Map>,
    /// For every output cell of a step, bytes from the first one's cell.
    pub tables: Vec<Vec<u32>>,
    /// Maps whose contents never change, with their bytes.
    pub constants: Vec<(MapId, Vec<u8>)>,
    /// The maps that decoding reads.
    pub output: MapId,
    /// All maps of every stack, if requested.
    pub stacks: Vec<MapId>,
}

/// A step whose maps have their memory.
pub(super) struct PlacedStep {
    pub step: Step<Address>,
    /// Bytes of memory to set to zero before the step: borders that other maps have overwritten.
    pub clears: Vec<Range<usize>>,
}

/// A compiled network, ready to run.
pub(super) struct Plan {
    pub steps: Vec<PlacedStep>,
    /// As [`Draft::tables`].
    pub tables: Vec<Vec<u32>>,
    /// The maps that decoding reads.
    pub output: PlacedMap,
    /// All maps of every stack, if requested.
    pub stacks: Vec<PlacedMap>,
    /// All maps of a run; the constant ones are written.
    pub memory: Memory,
}

impl Plan {
    pub fn actions(&self) -> impl Iterator<Item = &Action<Address>> {
        self.steps.iter().map(|step| &step.step.action)
    }
}
