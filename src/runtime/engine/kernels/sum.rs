//! The sum of maps, without a product.

use super::Factor;
use super::tile::{Tile, each, with_tile};
use crate::runtime::engine::plan::{Address, Block, Sum};
use crate::runtime::simd::Simd;

/// Computes all cells of `sum`, with `F` as the factors of the steps that read them.
///
/// # Safety
/// As for [`Simd`]; sum, tables and memory are of one plan.
#[inline(always)]
pub(in crate::runtime::engine) unsafe fn sum<S: Simd, F: Factor<S>>(
    s: S,
    sum: &Sum<Address>,
    tables: &[Vec<u32>],
    memory: *mut u8,
) {
    for &block in &sum.blocks {
        // SAFETY: by this function's contract.
        unsafe {
            with_tile!(S, block.vectors, |M, V| sum_block::<S, F, M, V>(s, sum, block, tables, memory));
        }
    }
}

/// Computes `V` vectors of channels, `M` cells at a time.
///
/// # Safety
/// As for [`sum`].
#[inline(always)]
unsafe fn sum_block<S: Simd, F: Factor<S>, const M: usize, const V: usize>(
    s: S,
    sum: &Sum<Address>,
    block: Block,
    tables: &[Vec<u32>],
    memory: *mut u8,
) {
    let mut start = 0;
    while start < sum.cells {
        let count = M.min(sum.cells - start);
        let tile = Tile { tables, memory, start, count, first: block.first_channel };
        // SAFETY: by this function's contract. The compiler makes tables that fit their maps.
        unsafe {
            let mut sums = [[s.splat(0.0); V]; M];
            for term in &sum.terms {
                tile.add::<S, M, V>(s, term, &mut sums);
            }
            if sum.scale != 1.0 {
                let scale = s.splat(sum.scale);
                each!(M, V, |m, v| sums[m][v] = s.mul(sums[m][v], scale));
            }
            for store in &sum.stores {
                tile.store::<S, F, M, V>(s, store, &sums);
            }
        }
        start += count;
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::engine::kernels::RunWhole;
    use crate::runtime::engine::pack::Vectors;
    use crate::runtime::engine::place::place;
    use crate::runtime::engine::plan::{
        Action, Cells, Draft, Element, InMap, Map, MapId, Plan, Step, StepPrecision, Store, Sum, Term,
    };
    use crate::runtime::simd::{Isa, dispatch_bf16};

    const CHANNELS: usize = 80;
    const SIDE: usize = 5;

    fn value(map: MapId, cell: usize, channel: usize) -> f32 {
        ((map * 37 + cell * 11 + channel * 5) % 29) as f32 - 14.0
    }

    /// `relu(a + b) * 0.5` in an f32 and a bf16 map.
    fn plan(vectors: Vectors) -> Plan {
        let map = |element| Map {
            height: SIDE,
            width: SIDE,
            channels: CHANNELS,
            pitch: CHANNELS,
            border: 0,
            element,
            pinned: true,
        };
        let cells = |map, table| Cells { start: InMap { map, offset: 0 }, table };
        let terms = [(0, false), (1, true)].map(|(map, relu)| Term { cells: cells(map, 0), relu }).to_vec();
        let store = |map, table, element| Store { cells: cells(map, table), room: CHANNELS, affine: None, element };
        let stores = vec![store(2, 0, Element::F32), store(3, 1, Element::Bf16)];
        let sum = Sum { cells: SIDE * SIDE, blocks: vectors.blocks(CHANNELS), terms, scale: 0.5, stores };
        let step = Step {
            name: String::new(),
            precision: StepPrecision::Bf16,
            action: Action::Sum(sum),
            multiply_adds: 0,
            depthwise_multiply_adds: 0,
        };
        let table = |element: Element| (0..SIDE * SIDE).map(|i| (i * CHANNELS * element.bytes()) as u32).collect();
        let contents = |map| {
            let places = (0..SIDE * SIDE).flat_map(|cell| (0..CHANNELS).map(move |channel| (cell, channel)));
            let values = places.flat_map(|(cell, channel)| value(map, cell, channel).to_ne_bytes());
            (map, values.collect())
        };
        place(Draft {
            steps: vec![step],
            maps: [Element::F32, Element::F32, Element::F32, Element::Bf16].map(map).to_vec(),
            tables: [Element::F32, Element::Bf16].map(table).to_vec(),
            constants: [0, 1].map(contents).to_vec(),
            output: 2,
            stacks: vec![3],
        })
    }

    #[test]
    fn every_cell_is_the_scaled_sum_of_its_terms_in_every_map() {
        for isa in Isa::available().into_iter().filter(|isa| isa.has_bf16() || *isa == Isa::Portable) {
            let mut plan = plan(Vectors::of(isa));
            let memory = plan.memory.pointer_mut();
            let action = &plan.steps[0].step.action;
            dispatch_bf16(isa, RunWhole { action, picture: &[], tables: &plan.tables, memory });
            let (sums, rounded) = (plan.output.start, plan.stacks[0].start);
            for cell in 0..SIDE * SIDE {
                for channel in 0..CHANNELS {
                    let expected = (value(0, cell, channel) + value(1, cell, channel)).max(0.0) * 0.5;
                    let at = cell * CHANNELS + channel;
                    assert_eq!(plan.memory.floats(sums + at * 4, 1), [expected], "{} at {at}", isa.name());
                    let pair = plan.memory.floats(rounded + at / 2 * 4, 1)[0].to_bits();
                    let rounded = f32::from_bits(if at.is_multiple_of(2) { pair << 16 } else { pair & 0xffff_0000 });
                    assert_eq!(rounded, expected, "{} at {at}, bf16", isa.name());
                }
            }
        }
    }
}
