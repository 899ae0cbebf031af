//! The matrix product of the plan.
//!
//! A tile of sums stays in registers over all taps and channels of the inputs, and for everything that follows the
//! convolution.

use super::tile::{Tile, each, with_tile};
use super::{Factor, depthwise};
use crate::runtime::engine::memory::Memory;
use crate::runtime::engine::plan::{Address, Block, Element, Product};
use crate::runtime::simd::{Bf16Kernel, Int8Kernel, Kernel, Simd, SimdBf16, SimdInt8, array};
use std::ops::Range;

/// Computes the output cells `part` of `product`.
pub(in crate::runtime::engine) struct RunProduct<'a> {
    pub product: &'a Product<Address>,
    pub tables: &'a [Vec<u32>],
    /// The plan's.
    pub memory: *mut u8,
    /// This thread's own, [`Product::strip_bytes`] long.
    pub strip: *mut u8,
    /// A multiple of [`Product::grain`] at both ends.
    pub part: Range<usize>,
}

impl Kernel for RunProduct<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        // SAFETY: the core has the instruction set by the contract of `Kernel`; product, tables and memory are of one
        // plan.
        unsafe { self.run_in::<S, super::F32Factor>(s) }
    }
}

impl Bf16Kernel for RunProduct<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdBf16>(self, s: S) {
        // SAFETY: as above.
        unsafe { self.run_in::<S, super::Bf16Factor<S>>(s) }
    }
}

impl Int8Kernel for RunProduct<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, s: S) {
        // SAFETY: as above.
        unsafe { self.run_in::<S, super::ByteFactor<S>>(s) }
    }
}

impl RunProduct<'_> {
    /// Multiplies factors `F`, and writes them for the steps that read the results.
    ///
    /// # Safety
    /// The core has the instruction set; product, tables and memory are of one plan.
    #[inline(always)]
    unsafe fn run_in<S: Simd, F: Factor<S>>(&self, s: S) {
        let chunk = self.product.chunk;
        let mut start = self.part.start;
        while start < self.part.end {
            let cells = start..(start + chunk).min(self.part.end);
            // SAFETY: by this function's contract.
            unsafe {
                debug_assert!(!F::IN_INTEGERS || self.product.depthwise.is_none());
                if let Some(d) = self.product.depthwise.as_ref().filter(|_| !F::IN_INTEGERS) {
                    depthwise::depthwise::<S, F>(
                        s,
                        d,
                        self.memory,
                        cells.start / d.width..cells.end / d.width,
                        self.strip,
                    );
                }
                for &(block, weights) in &self.product.weights.blocks {
                    let weights = self.product.weights.memory.pointer().add(weights);
                    with_tile!(S, block.vectors, |M, V| self.block::<S, F, M, V>(s, cells.clone(), block, weights));
                }
            }
            start = cells.end;
        }
    }

    /// Computes a block of `V` vectors of output channels, `M` cells at a time.
    ///
    /// # Safety
    /// As for [`Self::run_in`]; `weights` are the block's.
    #[inline(always)]
    unsafe fn block<S: Simd, F: Factor<S>, const M: usize, const V: usize>(
        &self,
        s: S,
        cells: Range<usize>,
        block: Block,
        weights: *const u8,
    ) {
        let p = self.product;
        let first = block.first_channel;
        // SAFETY: by this function's contract. The compiler makes tables that fit their maps, and pads weights and bias
        // to whole vectors.
        unsafe {
            let mut start = cells.start;
            while start < cells.end {
                let count = M.min(cells.end - start);
                let tile = Tile { tables: self.tables, memory: self.memory, start, count, first };
                let of_channels = |all: &Memory| -> [S::Vector; V] {
                    let all = all.pointer().cast::<f32>().add(first);
                    array(|v| s.load(all.add(v * S::LANES)))
                };
                let integers = p.integers.as_ref().filter(|_| F::IN_INTEGERS);
                let mut sums = match integers {
                    Some(integers) => [of_channels(&integers.starts); M],
                    None => tile.bias(s, &p.bias),
                };
                if p.prefetch {
                    p.terms.iter().for_each(|term| tile.prefetch::<S, M, V>(s, &term.cells, Element::F32));
                    for store in p.inner.iter().chain(&p.stores) {
                        tile.prefetch::<S, M, V>(s, &store.cells, store.element);
                    }
                }
                let mut weights = weights;
                for segment in &p.segments {
                    let from: [*const u8; M] = match &segment.cells {
                        Some(cells) => tile.cells(cells),
                        None => {
                            let bytes = segment.groups * 4;
                            let first_cell = self.strip.add((start - cells.start) * bytes).cast_const();
                            array(|m| first_cell.add(m.min(count - 1) * bytes))
                        }
                    };
                    for &tap in &segment.taps {
                        let from: [*const u8; M] = array(|m| from[m].add(tap));
                        sums = accumulate::<S, F, M, V>(s, from, segment.groups, weights, sums);
                        weights = weights.add(segment.groups * V * S::LANES * 4);
                    }
                }
                if let Some(integers) = integers {
                    let scales = of_channels(&integers.scales);
                    let bias: [[S::Vector; V]; M] = tile.bias(s, &p.bias);
                    each!(M, V, |m, v| sums[m][v] = F::result(s, sums[m][v], scales[v], bias[m][v]));
                }
                if p.relu {
                    let zero = s.splat(0.0);
                    each!(M, V, |m, v| sums[m][v] = s.max(sums[m][v], zero));
                }
                for store in &p.inner {
                    tile.store::<S, F, M, V>(s, store, &sums);
                }
                for term in &p.terms {
                    tile.add::<S, M, V>(s, term, &mut sums);
                }
                for store in &p.stores {
                    tile.store::<S, F, M, V>(s, store, &sums);
                }
                start += count;
            }
        }
    }
}

/// `sums[m][v]` plus the products of `groups` groups of channels from each `from[m]` with `weights[group][v]`.
///
/// # Safety
/// As for [`Simd`]; there are `groups` groups behind every pointer of `from` and `groups * V` vectors of weights.
#[inline(always)]
unsafe fn accumulate<S: Simd, F: Factor<S>, const M: usize, const V: usize>(
    s: S,
    from: [*const u8; M],
    groups: usize,
    weights: *const u8,
    mut sums: [[S::Vector; V]; M],
) -> [[S::Vector; V]; M] {
    // SAFETY: by this function's contract.
    unsafe {
        for group in 0..groups {
            let row = weights.cast::<f32>().add(group * V * S::LANES);
            let row: [S::Vector; V] = array(|v| s.load(row.add(v * S::LANES)));
            for m in 0..M {
                let factor = F::spread(s, from[m].add(group * 4));
                for v in 0..V {
                    sums[m][v] = F::multiply_add(s, factor, row[v], sums[m][v]);
                }
            }
        }
        sums
    }
}
