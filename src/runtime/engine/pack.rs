//! Splits output channels into blocks, and orders weights as the product kernel reads them.

use super::kernels::{most_vectors, tile_cells};
use super::memory::Memory;
use super::plan::{Block, StepPrecision, Weights};
use crate::runtime::simd::{Int8Kernel, Isa, SimdInt8, dispatch_int8};

/// The properties of an instruction set that packing depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    pub lanes: usize,
    pub registers: usize,
    /// [`SimdInt8::LEFT_OFFSET`].
    pub left_offset: i32,
}

impl Vectors {
    pub fn of(isa: Isa) -> Self {
        dispatch_int8(isa, AskVectors)
    }

    /// `values` padded with zeros to whole vectors.
    pub fn pad(self, values: &[f32]) -> Memory {
        let mut padded = values.to_vec();
        padded.resize(values.len().next_multiple_of(self.lanes), 0.0);
        Memory::of(&padded)
    }

    /// Splits `outputs` channels into blocks of vectors, as evenly as the registers allow.
    pub fn blocks(self, outputs: usize) -> Vec<Block> {
        let count = outputs.div_ceil(self.lanes);
        let parts = count.div_ceil(most_vectors(self.registers));
        let mut first_channel = 0;
        let next = |part: usize| {
            let block = Block { vectors: count / parts + usize::from(part < count % parts), first_channel };
            first_channel += block.vectors * self.lanes;
            block
        };
        (0..parts).map(next).collect()
    }

    /// Output cells of the smallest tile that computes `outputs` channels.
    pub fn tile_cells(self, outputs: usize) -> usize {
        self.blocks(outputs).iter().map(|block| tile_cells(self.registers, block.vectors)).min().unwrap_or(1)
    }
}

struct AskVectors;

impl Int8Kernel for AskVectors {
    type Output = Vectors;
    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, _: S) -> Vectors {
        Vectors { lanes: S::LANES, registers: S::REGISTERS, left_offset: S::LEFT_OFFSET }
    }
}

/// Packs the weights for `outputs` channels: for every block and every group of factors in it, the block's vectors; a
/// lane holds the weights of one group. `order` gives, for each left factor, the index of its weight within an output
/// channel, `None` for padding; `weight` takes an output channel and that index.
pub(super) fn pack(
    vectors: Vectors,
    precision: StepPrecision,
    outputs: usize,
    order: &[Option<usize>],
    weight: impl Fn(usize, usize) -> f32,
) -> Weights {
    let group = precision.factor().group();
    debug_assert!(order.len().is_multiple_of(group));
    let count = outputs.div_ceil(vectors.lanes);
    let mut packed: Vec<u8> = Vec::with_capacity(count * vectors.lanes * order.len() / group * 4);
    let mut blocks = Vec::new();
    for block in vectors.blocks(outputs) {
        blocks.push((block, packed.len()));
        let channels = block.first_channel..block.first_channel + block.vectors * vectors.lanes;
        for group in order.chunks_exact(group) {
            for output in channels.clone() {
                for factor in group {
                    let value = factor.filter(|_| output < outputs).map_or(0.0, |factor| weight(output, factor));
                    precision.factor().encode(value, &mut packed);
                }
            }
        }
    }
    Weights { memory: Memory::of_bytes(&packed), blocks }
}
