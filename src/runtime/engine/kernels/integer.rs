//! The product of 8-bit integers, with the depthwise convolution in front of it.
//!
//! In: 8-bit maps. Out: 8-bit or f32 maps. All sums are integers, and every instruction set rounds the conversions
//! alike, so all give the same results, bit for bit.

use super::tile::Tile;
use crate::runtime::engine::plan::{
    Address, Cells, IntegerDepthwise, IntegerFormat, IntegerLeft, IntegerProduct, ROW_TILE, rows_at_once,
};
use crate::runtime::simd::{Int8Kernel, SimdInt8, array, output_of_tap};
use std::ops::Range;

/// Repeats an expression for the first `count` of at most six quads; `count` is a constant. The code after the sums of
/// a tile is too long for the compiler to unroll a loop, and a variable index would put the sums on the stack.
macro_rules! quads {
    ($count:expr, |$q:ident| $body:expr) => {
        quads!(@ $count, $q, $body, 0 1 2 3 4 5)
    };
    (@ $count:expr, $q:ident, $body:expr, $($number:literal)*) => {
        $({
            let $q: usize = $number;
            if $q < $count {
                $body;
            }
        })*
    };
}

/// Computes the output cells `part` of `product`.
pub(in crate::runtime::engine) struct RunInteger<'a> {
    pub product: &'a IntegerProduct<Address>,
    pub tables: &'a [Vec<u32>],
    /// The plan's.
    pub memory: *mut u8,
    /// This thread's own, [`IntegerProduct::strip_bytes`] long.
    pub strip: *mut u8,
    /// A multiple of [`IntegerProduct::grain`] at both ends.
    pub part: Range<usize>,
}

impl Int8Kernel for RunInteger<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, s: S) {
        let p = self.product;
        let mut start = self.part.start;
        while start < self.part.end {
            let cells = start..(start + p.chunk).min(self.part.end);
            // SAFETY: the core has the instruction set by the contract of `Int8Kernel`; product, tables and memory are
            // of one plan.
            unsafe {
                if let IntegerLeft::Depthwise(d) = &p.left {
                    depthwise(s, d, self.memory, cells.start / d.width..cells.end / d.width, self.strip);
                }
                for vector in (0..p.vectors).step_by(4) {
                    match (p.vectors - vector, S::REGISTERS >= 32) {
                        (2, true) => self.block::<S, 8, 2>(s, cells.clone(), vector),
                        (2, false) => self.block::<S, 4, 2>(s, cells.clone(), vector),
                        (_, true) => self.block::<S, 6, 4>(s, cells.clone(), vector),
                        (_, false) => self.block::<S, 3, 4>(s, cells.clone(), vector),
                    }
                }
            }
            start = cells.end;
        }
    }
}

impl RunInteger<'_> {
    /// Computes `V` vectors of output channels from `vector` on, a quad or a pair, `M` cells at a time.
    ///
    /// # Safety
    /// As for [`SimdInt8`]; product, tables and memory are of one plan.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "iterators put the sums on the stack")]
    unsafe fn block<S: SimdInt8, const M: usize, const V: usize>(&self, s: S, cells: Range<usize>, vector: usize) {
        let p = self.product;
        let first = vector * S::LANES;
        // SAFETY: by this function's contract. The compiler pads bias and weights to whole vectors and makes tables
        // that fit their maps; a cell of an 8-bit map has room for whole pairs.
        unsafe {
            let mut start = cells.start;
            while start < cells.end {
                let count = M.min(cells.end - start);
                let tile = Tile { tables: self.tables, memory: self.memory, start, count, first };
                let from: [*const u8; M] = match &p.left {
                    IntegerLeft::Map(cells) => tile.cells(cells),
                    IntegerLeft::Depthwise(d) => {
                        let first_cell = self.strip.add((start - cells.start) * d.channels).cast_const();
                        array(|m| first_cell.add(m.min(count - 1) * d.channels))
                    }
                };
                let bias = p.bias.pointer().cast::<f32>().add(first);
                let mut sums: [[S::Vector; V]; M] = [array(|v| s.load(bias.add(v * S::LANES))); M];
                for group in 0..p.groups {
                    let factors: [S::Vector; M] =
                        array(|m| s.splat(from[m].add(group * 4).cast::<f32>().read_unaligned()));
                    let weights = p.weights.pointer().cast::<f32>().add((vector * p.groups + group * V) * S::LANES);
                    for v in 0..V {
                        let weight = s.load(weights.add(v * S::LANES));
                        for m in 0..M {
                            sums[m][v] = s.dot_int8(factors[m], weight, sums[m][v]);
                        }
                    }
                }
                let cells_in_quad = 4 / V;
                quads!(M / cells_in_quad, |q| if q * cells_in_quad < count {
                    let [cell, last] = [q * cells_in_quad, (q * cells_in_quad + cells_in_quad - 1).min(count - 1)];
                    let quad = array(|i| sums[q * cells_in_quad + i / V][i % V]);
                    self.finish::<S, V>(s, [start + cell, start + last], first, quad);
                });
                start += count;
            }
        }
    }

    /// Computes everything after the sums of one cell, from channel `first` on. The sums of pairs, where `V` is 2, are
    /// those of two cells.
    ///
    /// # Safety
    /// As for [`Self::block`].
    #[inline(always)]
    unsafe fn finish<S: SimdInt8, const V: usize>(
        &self,
        s: S,
        cells: [usize; 2],
        first: usize,
        [a, b, c, d]: [S::Vector; 4],
    ) {
        let p = self.product;
        // SAFETY: by this function's contract.
        unsafe {
            let at = |map: &Cells<Address>| -> [*mut u8; 2] {
                let table = self.tables.get_unchecked(map.table);
                array(|i| self.memory.add(map.start.0 + *table.get_unchecked(cells[i]) as usize))
            };
            let zero = s.splat(0.0);
            // A product and a sum are never contracted, so that every set rounds alike.
            let scales = p.scales.pointer().cast::<f32>().add(first);
            let result = |sum, i: usize| s.mul(s.int_to_f32(sum), s.load(scales.add(i % V * S::LANES)));
            let (mut a, mut b, mut c, mut d) = (result(a, 0), result(b, 1), result(c, 2), result(d, 3));
            if p.relu {
                (a, b, c, d) = (s.max(a, zero), s.max(b, zero), s.max(c, zero), s.max(d, zero));
            }
            for term in &p.terms {
                let [from, last] = at(&term.cells);
                let bytes = load_quad::<S, V>(s, [from, last].map(|cell| cell.add(first).cast_const()));
                let (zero_point, scale) = (s.splat(term.zero_point), s.splat(term.scale));
                let levels = s.widen(bytes);
                let mut numbers: [S::Vector; 4] = array(|i| s.int_to_f32(levels[i]));
                if term.zero_point != 0.0 {
                    numbers = array(|i| s.sub(numbers[i], zero_point));
                }
                let add = |value, number| s.add(value, s.mul(number, scale));
                (a, b, c, d) = (add(a, numbers[0]), add(b, numbers[1]), add(c, numbers[2]), add(d, numbers[3]));
                if term.relu {
                    (a, b, c, d) = (s.max(a, zero), s.max(b, zero), s.max(c, zero), s.max(d, zero));
                }
            }
            for store in &p.stores {
                let [to, last] = at(&store.cells);
                match store.format {
                    IntegerFormat::Unsigned | IntegerFormat::Signed => {
                        let integers = [s.f32_to_int(a), s.f32_to_int(b), s.f32_to_int(c), s.f32_to_int(d)];
                        let bytes = match store.format {
                            IntegerFormat::Unsigned => s.narrow_unsigned(integers),
                            _ => s.narrow_signed(integers),
                        };
                        store_quad::<S, V>(s, [to.add(first), last.add(first)], bytes);
                    }
                    IntegerFormat::F32 { scale, room } => {
                        let scale = s.splat(scale);
                        let values = [s.mul(a, scale), s.mul(b, scale), s.mul(c, scale), s.mul(d, scale)];
                        if V == 4 {
                            store_f32(s, to, first, room, s.quad_in_channel_order(values));
                        } else {
                            let [a, b, c, d] = values;
                            store_f32(s, to, first, room, s.pair_in_channel_order([a, b]));
                            store_f32(s, last, first, room, s.pair_in_channel_order([c, d]));
                        }
                    }
                }
            }
        }
    }
}

/// Loads the bytes of a quad: those of the first cell, or where `V` is 2 the pairs of both.
///
/// # Safety
/// As for [`SimdInt8`].
#[inline(always)]
unsafe fn load_quad<S: SimdInt8, const V: usize>(s: S, cells: [*const u8; 2]) -> S::Vector {
    // SAFETY: passed on.
    unsafe { if V == 4 { s.load(cells[0].cast()) } else { s.load_in_turn(cells) } }
}

/// Writes what [`load_quad`] loads.
///
/// # Safety
/// As for [`SimdInt8`].
#[inline(always)]
unsafe fn store_quad<S: SimdInt8, const V: usize>(s: S, cells: [*mut u8; 2], bytes: S::Vector) {
    // SAFETY: passed on.
    unsafe { if V == 4 { s.store(cells[0].cast(), bytes) } else { s.store_in_turn(cells, bytes) } }
}

/// Writes the channels from `first` on of the cell at `to`, which has `room` for that many.
///
/// # Safety
/// As for [`SimdInt8`]; the cell belongs to the caller.
#[inline(always)]
unsafe fn store_f32<S: SimdInt8, const V: usize>(s: S, to: *mut u8, first: usize, room: usize, values: [S::Vector; V]) {
    for (v, value) in values.into_iter().enumerate() {
        let channel = first + v * S::LANES;
        let to = to.cast::<f32>().wrapping_add(channel);
        // SAFETY: by this function's contract; no more than `room` channels are written.
        unsafe {
            match room.saturating_sub(channel) {
                0 => (),
                left if left < S::LANES => s.store_partial(to, value, left),
                _ => s.store(to, value),
            }
        }
    }
}

/// Writes output `rows` to `strip`.
///
/// # Safety
/// As for [`SimdInt8`]; `d` and `memory` are of one plan, `strip` has room for the rows and the groups.
#[inline(always)]
unsafe fn depthwise<S: SimdInt8>(
    s: S,
    d: &IntegerDepthwise<Address>,
    memory: *const u8,
    rows: Range<usize>,
    strip: *mut u8,
) {
    for vector in (0..d.vectors).step_by(4) {
        // SAFETY: by this function's contract.
        unsafe {
            match d.vectors - vector {
                2 => depthwise_block::<S, 2>(s, d, memory, rows.clone(), strip, vector),
                _ => depthwise_block::<S, 4>(s, d, memory, rows.clone(), strip, vector),
            }
        }
    }
}

/// The `V` vectors of channels from `vector` on, a quad or a pair.
///
/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn depthwise_block<S: SimdInt8, const V: usize>(
    s: S,
    d: &IntegerDepthwise<Address>,
    memory: *const u8,
    rows: Range<usize>,
    strip: *mut u8,
    vector: usize,
) {
    let (at_once, first) = (rows_at_once(d.kernel, d.stride), vector * S::LANES);
    // SAFETY: by this function's contract.
    unsafe {
        let groups = strip.add(d.groups_at());
        let mut row = rows.start;
        while row < rows.end {
            let count = at_once.min(rows.end - row);
            let top = memory.add(d.start.0 + row * d.stride * d.row_bytes + first);
            group_rows::<S, V>(s, d, top, (count - 1) * d.stride + d.kernel, groups);
            for j in 0..count {
                let cell = (row + j - rows.start) * d.width * d.channels + first;
                let part = Part::<V> { d, groups, vector, row: j, to: strip.add(cell) };
                match (d.kernel, d.stride, S::REGISTERS >= 32) {
                    (3, 1, true) => part.row_of::<S, 3, 1, 8, 4>(s),
                    (5, 1, true) => part.row_of::<S, 5, 1, 8, 4>(s),
                    (3, 1, false) => part.row_of::<S, 3, 1, 4, 2>(s),
                    (5, 1, false) => part.row_of::<S, 5, 1, 4, 2>(s),
                    (3, 2, _) => part.row_of::<S, 3, 2, 4, 2>(s),
                    (5, 2, _) => part.row_of::<S, 5, 2, 4, 2>(s),
                    (kernel, stride, _) => {
                        unreachable!("{kernel}x{kernel} with stride {stride} is refused by the compiler")
                    }
                }
            }
            row += count;
        }
    }
}

/// Writes `rows` input rows, starting at `top`, as one or two rows of groups. Missing rows repeat the last one: their
/// weights are zero.
///
/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn group_rows<S: SimdInt8, const V: usize>(
    s: S,
    d: &IntegerDepthwise<Address>,
    top: *const u8,
    rows: usize,
    groups: *mut u8,
) {
    let (window, cells_in_quad) = (d.window(), 4 / V);
    for group in 0..rows.div_ceil(4) {
        // SAFETY: by `depthwise`'s contract; the map's border is as wide as the filter needs, and a row of groups has
        // room for more cells than the window.
        unsafe {
            let from: [*const u8; 4] = array(|i| top.add((group * 4 + i).min(rows - 1) * d.row_bytes));
            let to = groups.cast::<f32>().add(group * d.grouped() * V * S::LANES);
            for cell in (0..window).step_by(cells_in_quad) {
                let last = (cell + cells_in_quad - 1).min(window - 1);
                let row = |i: usize| load_quad::<S, V>(s, [cell, last].map(|cell| from[i].add(cell * d.pitch_bytes)));
                for (i, group) in s.interleave(array(row)).into_iter().enumerate() {
                    s.store(to.add((cell * V + i) * S::LANES), group);
                }
            }
        }
    }
}

/// One block of channels of an output row.
struct Part<'a, const V: usize> {
    d: &'a IntegerDepthwise<Address>,
    groups: *const u8,
    /// The block's first.
    vector: usize,
    /// Among those that the groups are enough for.
    row: usize,
    /// The row's first cell in the strip.
    to: *mut u8,
}

impl<const V: usize> Part<'_, V> {
    /// Computes the row, `T` cells at a time, or `HALF` as many if that is enough.
    ///
    /// # Safety
    /// As for [`depthwise`].
    #[inline(always)]
    unsafe fn row_of<S: SimdInt8, const K: usize, const STRIDE: usize, const T: usize, const HALF: usize>(&self, s: S) {
        const { assert!(T <= ROW_TILE) };
        let mut column = 0;
        while column < self.d.width {
            // SAFETY: by this function's contract.
            unsafe {
                if self.d.width - column > HALF {
                    self.tile::<S, K, STRIDE, T>(s, column);
                    column += T;
                } else {
                    self.tile::<S, K, STRIDE, HALF>(s, column);
                    column += HALF;
                }
            }
        }
    }

    /// `T` neighbouring cells, from `column` on.
    ///
    /// # Safety
    /// As for [`depthwise`].
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "iterators put the sums on the stack")]
    unsafe fn tile<S: SimdInt8, const K: usize, const STRIDE: usize, const T: usize>(&self, s: S, column: usize) {
        let &Self { d, vector, row, .. } = self;
        // SAFETY: by this function's contract.
        unsafe {
            let load = |memory: *const u8, vector: usize| s.load(memory.cast::<f32>().add(vector * S::LANES));
            let weights_at = (vector * rows_at_once(K, STRIDE) + row * V) * 2 * K;
            let rows_of_groups = row * STRIDE / 4..(row * STRIDE + K - 1) / 4 + 1;
            let mut out = [[s.splat(0.0); V]; T];
            for v in 0..V {
                let mut sums = [load(d.bias.pointer(), vector + v); T];
                for group in rows_of_groups.clone() {
                    let weights: [S::Vector; K] =
                        array(|tap| load(d.weights.pointer(), weights_at + (group * K + tap) * V + v));
                    let cells = (group * d.grouped() + column * STRIDE) * V + v;
                    for i in 0..(T - 1) * STRIDE + K {
                        let cell = load(self.groups, cells + i * V);
                        for tap in 0..K {
                            if let Some(t) = output_of_tap(i, tap, STRIDE, T) {
                                sums[t] = s.dot_int8(cell, weights[tap], sums[t]);
                            }
                        }
                    }
                }
                let scale = load(d.scales.pointer(), vector + v);
                for t in 0..T {
                    out[t][v] = s.f32_to_int(s.mul(s.int_to_f32(sums[t]), scale));
                }
            }
            let cells_in_quad = 4 / V;
            for q in 0..T / cells_in_quad {
                let bytes = s.narrow_signed(array(|i| out[q * cells_in_quad + i / V][i % V]));
                let to = self.to.add((column + q * cells_in_quad) * d.channels);
                store_quad::<S, V>(s, [to, to.add(d.channels)], bytes);
            }
        }
    }
}
