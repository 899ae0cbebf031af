//! Weights in the order in which the product kernel reads them.

use super::kernels::{most_vectors, tile_cells};
use super::memory::Memory;
use super::plan::{Arithmetic, Block};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};

/// What packing has to know of an instruction set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    pub lanes: usize,
    pub registers: usize,
}

impl Vectors {
    pub fn of(isa: Isa) -> Self {
        struct Ask;
        impl Kernel for Ask {
            type Output = Vectors;
            #[inline(always)]
            unsafe fn run<S: Simd>(self, _: S) -> Vectors {
                Vectors { lanes: S::LANES, registers: S::REGISTERS }
            }
        }
        dispatch(isa, Ask)
    }

    /// `values` filled up with zeros to whole vectors.
    pub fn fill_up(self, values: &[f32]) -> Memory {
        let mut filled = values.to_vec();
        filled.resize(values.len().next_multiple_of(self.lanes), 0.0);
        Memory::of(&filled)
    }

    /// Output cells that a tile of `blocks` is made for.
    pub fn tile_cells(self, blocks: &[Block]) -> usize {
        blocks.iter().map(|b| tile_cells(self.registers, b.vectors)).min().unwrap_or(1)
    }
}

/// Packs the weights for `outputs` channels: blocks of vectors as even as the registers allow; in a block, for every group
/// of factors, its vectors; in a lane the weights of a group. `factors` says which weights of an output channel the rows
/// are, `None` for zeros.
pub(super) fn pack(
    vectors: Vectors,
    arithmetic: Arithmetic,
    outputs: usize,
    factors: &[Option<usize>],
    weight: impl Fn(usize, usize) -> f32,
) -> (Vec<Block>, Memory) {
    let group = arithmetic.group();
    debug_assert!(factors.len().is_multiple_of(group));
    let count = outputs.div_ceil(vectors.lanes);
    let parts = count.div_ceil(most_vectors(vectors.registers));
    let mut packed: Vec<u8> = Vec::with_capacity(count * vectors.lanes * factors.len() / group * 4);
    let mut blocks = Vec::new();
    let mut first_channel = 0;
    for part in 0..parts {
        let block =
            Block { vectors: count / parts + usize::from(part < count % parts), first_channel, weights: packed.len() };
        let end = first_channel + block.vectors * vectors.lanes;
        for group in factors.chunks_exact(group) {
            for output in first_channel..end {
                for factor in group {
                    let value = factor.filter(|_| output < outputs).map_or(0.0, |f| weight(output, f));
                    packed.extend(arithmetic.factor(value));
                }
            }
        }
        first_channel = end;
        blocks.push(block);
    }
    (blocks, Memory::of_bytes(&packed))
}
