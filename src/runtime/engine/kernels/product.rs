//! The matrix product of the plan: a tile of a few output cells times a few vectors of output channels stays in registers
//! while the taps and channels of the inputs pass; then everything that follows the convolution is done in registers too.

use super::{Factor, depthwise};
use crate::runtime::engine::memory::{LINE_BYTES, Memory};
use crate::runtime::engine::plan::{Bias, Block, Cells, Product, Store};
use crate::runtime::simd::{Bf16Kernel, Int8Kernel, Kernel, Simd, SimdBf16, SimdInt8};
use std::ops::Range;

/// Does something for every place of a tile, by numbers that the compiler knows: the sums then stay in registers. The same with
/// iterators over the arrays cost a tenth of a network's time.
macro_rules! each {
    ($rows:expr, $columns:expr, |$m:ident, $v:ident| $body:expr) => {
        for $m in 0..$rows {
            for $v in 0..$columns {
                $body;
            }
        }
    };
}

/// Does the output cells `part` of `product`.
pub(in crate::runtime::engine) struct RunProduct<'a> {
    pub product: &'a Product,
    pub tables: &'a [Vec<u32>],
    /// The plan's.
    pub memory: *mut u8,
    /// This thread's, of [`Product::strip_bytes`].
    pub strip: *mut u8,
    /// A multiple of [`Product::grain`] at both ends.
    pub part: Range<usize>,
}

impl Kernel for RunProduct<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        // SAFETY: by the contract of `Kernel`; the plan's maker sees to sizes.
        unsafe { self.run_in::<S, super::Single, super::Single>(s) }
    }
}

impl Bf16Kernel for RunProduct<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdBf16>(self, s: S) {
        // SAFETY: as above.
        unsafe { self.run_in::<S, super::Brain<S>, super::Brain<S>>(s) }
    }
}

impl Int8Kernel for RunProduct<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, s: S) {
        // SAFETY: as above.
        unsafe { self.run_in::<S, super::Byte<S>, super::Brain<S>>(s) }
    }
}

/// Vectors of output channels in a tile at most, for a core of so many registers.
pub(in crate::runtime::engine) fn most_vectors(registers: usize) -> usize {
    if registers >= 32 { 4 } else { 2 }
}

/// Output cells of a tile with so many vectors.
pub(in crate::runtime::engine) fn tile_cells(registers: usize, vectors: usize) -> usize {
    match (registers >= 32, vectors) {
        (true, 4) => 6,
        (true, _) => 8,
        (false, _) => 6,
    }
}

impl RunProduct<'_> {
    /// With factors `F` and factors `N` for the steps that read the results.
    #[inline(always)]
    unsafe fn run_in<S: Simd, F: Factor<S>, N: Factor<S>>(&self, s: S) {
        let chunk = self.product.chunk;
        let mut start = self.part.start;
        while start < self.part.end {
            let cells = start..(start + chunk).min(self.part.end);
            // SAFETY: by the contract of `Kernel`.
            unsafe {
                if let Some(d) = &self.product.depthwise {
                    depthwise::depthwise::<S, F>(
                        s,
                        d,
                        self.memory,
                        cells.start / d.width..cells.end / d.width,
                        self.strip,
                    );
                }
                for block in &self.product.blocks {
                    match (block.vectors, S::REGISTERS >= 32) {
                        (1, true) => self.block::<S, F, N, 8, 1>(s, cells.clone(), block),
                        (2, true) => self.block::<S, F, N, 8, 2>(s, cells.clone(), block),
                        (3, true) => self.block::<S, F, N, 8, 3>(s, cells.clone(), block),
                        (_, true) => self.block::<S, F, N, 6, 4>(s, cells.clone(), block),
                        (1, false) => self.block::<S, F, N, 6, 1>(s, cells.clone(), block),
                        (_, false) => self.block::<S, F, N, 6, 2>(s, cells.clone(), block),
                    }
                }
            }
            start = cells.end;
        }
    }

    /// `M` cells at a time, all of `V` vectors of output channels.
    #[inline(always)]
    unsafe fn block<S: Simd, F: Factor<S>, N: Factor<S>, const M: usize, const V: usize>(
        &self,
        s: S,
        cells: Range<usize>,
        block: &Block,
    ) {
        let p = self.product;
        let first = block.first_channel;
        // SAFETY: tables and maps fit each other, weights and bias fill whole vectors, by the plan's maker.
        unsafe {
            let mut start = cells.start;
            while start < cells.end {
                let count = M.min(cells.end - start);
                let tile = Tile { tables: self.tables, memory: self.memory, start, count, first };
                let mut sums = [[s.splat(0.0); V]; M];
                if !F::SUMS_INTEGERS {
                    sums = tile.start::<S, M, V>(s, &p.bias);
                }
                if p.prefetch {
                    p.terms.iter().for_each(|t| tile.prefetch::<S, M, V>(s, &t.cells, 4));
                    for store in p.inner.iter().chain(&p.stores) {
                        tile.prefetch::<S, M, V>(s, &store.cells, if store.narrow { N::BYTES } else { 4 });
                    }
                }
                let mut weights = p.weights.pointer().add(block.weights);
                for segment in &p.segments {
                    let from: [*const u8; M] = match &segment.cells {
                        Some(cells) => tile.cells(cells),
                        None => {
                            let bytes = segment.groups * 4;
                            let first_cell = self.strip.add((start - cells.start) * bytes).cast_const();
                            std::array::from_fn(|m| first_cell.add(m.min(count - 1) * bytes))
                        }
                    };
                    for &tap in &segment.taps {
                        let from: [*const u8; M] = std::array::from_fn(|m| from[m].add(tap));
                        sums = accumulate::<S, F, M, V>(s, from, segment.groups, weights, sums);
                        weights = weights.add(segment.groups * V * S::LANES * 4);
                    }
                }
                if let Some(units) = p.units.as_ref().filter(|_| F::SUMS_INTEGERS) {
                    let bias = tile.start::<S, M, V>(s, &p.bias);
                    for v in 0..V {
                        let unit = s.load(units.pointer().cast::<f32>().add(first + v * S::LANES));
                        for m in 0..M {
                            sums[m][v] = s.mul_add(F::floats(s, sums[m][v]), unit, bias[m][v]);
                        }
                    }
                }
                let zero = s.splat(0.0);
                if p.relu {
                    each!(M, V, |m, v| sums[m][v] = s.max(sums[m][v], zero));
                }
                for store in &p.inner {
                    tile.store::<S, N, M, V>(s, store, &sums);
                }
                for term in &p.terms {
                    let from: [*const u8; M] = tile.cells(&term.cells);
                    each!(M, V, |m, v| {
                        let from = from[m].cast::<f32>().add(first + v * S::LANES);
                        sums[m][v] = s.add(sums[m][v], s.load(from));
                    });
                    if term.relu {
                        each!(M, V, |m, v| sums[m][v] = s.max(sums[m][v], zero));
                    }
                }
                if p.scale != 1.0 {
                    let scale = s.splat(p.scale);
                    each!(M, V, |m, v| sums[m][v] = s.mul(sums[m][v], scale));
                }
                for store in &p.stores {
                    tile.store::<S, N, M, V>(s, store, &sums);
                }
                start += count;
            }
        }
    }
}

/// The output cells and channels that are in registers.
struct Tile<'a> {
    tables: &'a [Vec<u32>],
    memory: *mut u8,
    start: usize,
    /// At most as many as the tile has places.
    count: usize,
    /// Channel.
    first: usize,
}

impl Tile<'_> {
    /// Where the cells are; the last one for places without a cell.
    #[inline(always)]
    unsafe fn cells<const M: usize>(&self, cells: &Cells) -> [*const u8; M] {
        // SAFETY: `start + count` cells are in the table, which leads into `memory`.
        unsafe {
            let table = self.tables.get_unchecked(cells.table).as_ptr().add(self.start);
            let base = self.memory.add(cells.start).cast_const();
            std::array::from_fn(|m| base.add(*table.add(m.min(self.count - 1)) as usize))
        }
    }

    /// Calls for the lines of all channels of the tile.
    #[inline(always)]
    unsafe fn prefetch<S: Simd, const M: usize, const V: usize>(&self, s: S, cells: &Cells, bytes_each: usize) {
        // SAFETY: as `cells`; addresses that are called for need not be valid.
        unsafe {
            for from in self.cells::<M>(cells) {
                let from = from.wrapping_add(self.first * bytes_each);
                for line in 0..(V * S::LANES * bytes_each).div_ceil(LINE_BYTES) {
                    s.prefetch(from.wrapping_add(line * LINE_BYTES));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn start<S: Simd, const M: usize, const V: usize>(&self, s: S, bias: &Bias) -> [[S::Vector; V]; M] {
        // SAFETY: by the contract of `block`.
        unsafe {
            let row = |from: *const f32| std::array::from_fn(|v| s.load(from.add(self.first + v * S::LANES)));
            match bias {
                Bias::Channels(bias) => [row(bias.pointer().cast()); M],
                Bias::Cells(cells) => self.cells::<M>(cells).map(|from| row(from.cast())),
            }
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd, F: Factor<S>, const M: usize, const V: usize>(
        &self,
        s: S,
        store: &Store,
        sums: &[[S::Vector; V]; M],
    ) {
        // SAFETY: by the contract of `block`; no more than `room` channels are written, and only maps for the caller have room
        // for less than whole vectors.
        unsafe {
            let to: [*const u8; M] = self.cells(&store.cells);
            let bytes_each = if store.narrow { F::BYTES } else { 4 };
            let whole = self.first + V * S::LANES <= store.room;
            let at = |m: usize, v: usize| to[m].cast_mut().add((self.first + v * S::LANES) * bytes_each);
            let left = |v: usize| store.room.saturating_sub(self.first + v * S::LANES).min(S::LANES);
            // One small loop for each frequent case: a large one the compiler would not unroll.
            match (&store.affine, store.narrow, whole) {
                (None, false, true) => each!(M, V, |m, v| {
                    if m < self.count {
                        s.store(at(m, v).cast(), sums[m][v]);
                    }
                }),
                (None, true, _) => each!(M, V, |m, v| {
                    if m < self.count {
                        F::store(s, at(m, v), sums[m][v]);
                    }
                }),
                (None, false, false) => each!(M, V, |m, v| {
                    if m < self.count {
                        s.store_partial(at(m, v).cast(), sums[m][v], left(v));
                    }
                }),
                (Some(affine), narrow, _) => {
                    let channel =
                        |all: &Memory, v: usize| s.load(all.pointer().cast::<f32>().add(self.first + v * S::LANES));
                    let scale: [S::Vector; V] = std::array::from_fn(|v| channel(&affine.scale, v));
                    let shift: [S::Vector; V] = std::array::from_fn(|v| channel(&affine.shift, v));
                    let floor = s.splat(if affine.relu { 0.0 } else { f32::NEG_INFINITY });
                    if narrow {
                        each!(M, V, |m, v| {
                            if m < self.count {
                                F::store(s, at(m, v), s.max(s.mul_add(sums[m][v], scale[v], shift[v]), floor));
                            }
                        });
                    } else {
                        each!(M, V, |m, v| {
                            if m < self.count {
                                s.store(at(m, v).cast(), s.max(s.mul_add(sums[m][v], scale[v], shift[v]), floor));
                            }
                        });
                    }
                }
            }
        }
    }
}

/// `sums[m][v]` plus the products of `groups` groups of channels from each `from[m]` with `weights[group][v]`.
#[inline(always)]
unsafe fn accumulate<S: Simd, F: Factor<S>, const M: usize, const V: usize>(
    s: S,
    from: [*const u8; M],
    groups: usize,
    weights: *const u8,
    mut sums: [[S::Vector; V]; M],
) -> [[S::Vector; V]; M] {
    // SAFETY: the caller has `groups` groups behind every pointer and as many times `V` vectors of weights.
    unsafe {
        for group in 0..groups {
            let row = weights.cast::<f32>().add(group * V * S::LANES);
            let row: [S::Vector; V] = std::array::from_fn(|v| s.load(row.add(v * S::LANES)));
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
