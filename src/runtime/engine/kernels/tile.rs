//! A tile: a few output cells times a few vectors of output channels, which stay in registers from the first load to
//! the last store of a step.

use super::Factor;
use crate::runtime::engine::memory::{LINE_BYTES, Memory};
use crate::runtime::engine::plan::{Address, Bias, Cells, Element, Store, Term};
use crate::runtime::simd::{Simd, array};

/// Repeats a statement for every position of a tile. The indices are constants after unrolling, so the sums stay in
/// registers. Iterators over the arrays would add a tenth to a network's time.
macro_rules! each {
    ($rows:expr, $columns:expr, |$m:ident, $v:ident| $body:expr) => {
        for $m in 0..$rows {
            for $v in 0..$columns {
                $body;
            }
        }
    };
}

/// Evaluates an expression with a tile's size as constants: `M` output cells and `V` vectors of output channels.
macro_rules! with_tile {
    ($simd:ty, $vectors:expr, |$m:ident, $v:ident| $body:expr) => {
        match ($vectors, <$simd>::REGISTERS >= 32) {
            (1, true) => with_tile!(@ 32, 1, $m, $v, $body),
            (2, true) => with_tile!(@ 32, 2, $m, $v, $body),
            (3, true) => with_tile!(@ 32, 3, $m, $v, $body),
            (_, true) => with_tile!(@ 32, 4, $m, $v, $body),
            (1, false) => with_tile!(@ 16, 1, $m, $v, $body),
            (_, false) => with_tile!(@ 16, 2, $m, $v, $body),
        }
    };
    (@ $registers:literal, $vectors:literal, $m:ident, $v:ident, $body:expr) => {{
        const $m: usize = $crate::runtime::engine::kernels::tile_cells($registers, $vectors);
        const $v: usize = $vectors;
        $body
    }};
}

pub(super) use {each, with_tile};

/// The most vectors of output channels in a tile, given the core's number of registers.
pub(in crate::runtime::engine) fn most_vectors(registers: usize) -> usize {
    if registers >= 32 { 4 } else { 2 }
}

/// Output cells of a tile with this number of vectors.
pub(in crate::runtime::engine) const fn tile_cells(registers: usize, vectors: usize) -> usize {
    match (registers >= 32, vectors) {
        (true, 4) => 6,
        (true, _) => 8,
        (false, _) => 6,
    }
}

/// The output cells and channels in registers.
pub(super) struct Tile<'a> {
    /// The plan's.
    pub tables: &'a [Vec<u32>],
    /// The plan's.
    pub memory: *mut u8,
    /// The first output cell.
    pub start: usize,
    /// Output cells; at the end of a row of cells fewer than the tile holds.
    pub count: usize,
    /// The first channel.
    pub first: usize,
}

impl Tile<'_> {
    /// The positions of the cells; missing cells repeat the last one.
    ///
    /// # Safety
    /// `cells` belongs to the plan whose tables and memory these are, and its table has `start + count` entries.
    #[inline(always)]
    pub unsafe fn cells<const M: usize>(&self, cells: &Cells<Address>) -> [*const u8; M] {
        // SAFETY: `start + count` cells are in the table, which leads into `memory`.
        unsafe {
            let table = self.tables.get_unchecked(cells.table).as_ptr().add(self.start);
            let base = self.memory.add(cells.start.0).cast_const();
            array(|m| base.add(*table.add(m.min(self.count - 1)) as usize))
        }
    }

    /// Prefetches the lines of all channels of the tile in a map of `element`s.
    ///
    /// # Safety
    /// As for [`Self::cells`] and [`Simd`].
    #[inline(always)]
    pub unsafe fn prefetch<S: Simd, const M: usize, const V: usize>(
        &self,
        s: S,
        cells: &Cells<Address>,
        element: Element,
    ) {
        let bytes_each = element.bytes();
        // SAFETY: by this function's contract; prefetched addresses need not be valid.
        unsafe {
            for from in self.cells::<M>(cells) {
                let from = from.wrapping_add(self.first * bytes_each);
                for line in 0..(V * S::LANES * bytes_each).div_ceil(LINE_BYTES) {
                    s.prefetch(from.wrapping_add(line * LINE_BYTES));
                }
            }
        }
    }

    /// The bias of every position.
    ///
    /// # Safety
    /// As for [`Self::cells`] and [`Simd`]; the bias has whole vectors.
    #[inline(always)]
    pub unsafe fn bias<S: Simd, const M: usize, const V: usize>(
        &self,
        s: S,
        bias: &Bias<Address>,
    ) -> [[S::Vector; V]; M] {
        // SAFETY: by this function's contract.
        unsafe {
            let row = |from: *const f32| array(|v| s.load(from.add(self.first + v * S::LANES)));
            match bias {
                Bias::Channels(bias) => [row(bias.pointer().cast()); M],
                Bias::Cells(cells) => {
                    let from = self.cells::<M>(cells);
                    array(|m| row(from[m].cast()))
                }
            }
        }
    }

    /// Adds a map to `sums`, with a ReLU if the term has one.
    ///
    /// # Safety
    /// As for [`Self::cells`] and [`Simd`]; the map has f32 elements and whole vectors.
    #[inline(always)]
    pub unsafe fn add<S: Simd, const M: usize, const V: usize>(
        &self,
        s: S,
        term: &Term<Address>,
        sums: &mut [[S::Vector; V]; M],
    ) {
        // SAFETY: by this function's contract.
        unsafe {
            let from: [*const u8; M] = self.cells(&term.cells);
            each!(M, V, |m, v| {
                let from = from[m].cast::<f32>().add(self.first + v * S::LANES);
                sums[m][v] = s.add(sums[m][v], s.load(from));
            });
            if term.relu {
                let zero = s.splat(0.0);
                each!(M, V, |m, v| sums[m][v] = s.max(sums[m][v], zero));
            }
        }
    }

    /// Writes `sums`, as f32, as `F` or as bytes, whichever the map holds.
    ///
    /// # Safety
    /// As for [`Self::cells`] and [`Simd`]; the map holds f32, elements of `F`, or bytes, and then the store is affine.
    #[inline(always)]
    pub unsafe fn store<S: Simd, F: Factor<S>, const M: usize, const V: usize>(
        &self,
        s: S,
        store: &Store<Address>,
        sums: &[[S::Vector; V]; M],
    ) {
        // SAFETY: by this function's contract; no more than `room` channels are written, and only maps for the caller,
        // which are f32, have room for less than whole vectors.
        unsafe {
            let to: [*const u8; M] = self.cells(&store.cells);
            let is_factor = store.element != Element::F32;
            let bytes_each = store.element.bytes();
            let whole = self.first + V * S::LANES <= store.room;
            let at = |m: usize, v: usize| to[m].cast_mut().add((self.first + v * S::LANES) * bytes_each);
            let left = |v: usize| store.room.saturating_sub(self.first + v * S::LANES).min(S::LANES);
            // A small loop for each frequent case: the compiler would not unroll one large loop.
            match (&store.affine, is_factor, whole) {
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
                (Some(affine), is_factor, _) => {
                    let channel =
                        |all: &Memory, v: usize| s.load(all.pointer().cast::<f32>().add(self.first + v * S::LANES));
                    let scale: [S::Vector; V] = array(|v| channel(&affine.scale, v));
                    let shift: [S::Vector; V] = array(|v| channel(&affine.shift, v));
                    let floor = s.splat(if affine.relu { 0.0 } else { f32::NEG_INFINITY });
                    if store.element == Element::U8 {
                        each!(M, V, |m, v| {
                            if m < self.count {
                                s.store_u8(at(m, v), s.mul_add(sums[m][v], scale[v], shift[v]));
                            }
                        });
                    } else if is_factor {
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
