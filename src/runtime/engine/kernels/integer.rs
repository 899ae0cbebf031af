//! The product of 8-bit integers, with the depthwise convolution in front of it.
//!
//! In: 8-bit maps. Out: 8-bit or f32 maps. All sums are integers, and every instruction set rounds the conversions
//! alike, so all give the same results, bit for bit.

use super::tile::Tile;
use crate::runtime::engine::plan::{
    Address, Cells, IntegerDepthwise, IntegerFormat, IntegerLeft, IntegerProduct, rows_at_once,
};
use crate::runtime::simd::{Int8Kernel, SimdInt8, array};
use std::ops::Range;

/// Repeats an expression for the first `count` of at most six cells; `count` is a constant. The code after the sums of
/// a tile is too long for the compiler to unroll a loop, and a variable index would put the sums on the stack.
macro_rules! cells {
    ($count:expr, |$m:ident| $body:expr) => {
        cells!(@ $count, $m, $body, 0 1 2 3 4 5)
    };
    (@ $count:expr, $m:ident, $body:expr, $($number:literal)*) => {
        $({
            let $m: usize = $number;
            if $m < $count {
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
                for block in 0..p.blocks {
                    if S::REGISTERS >= 32 {
                        self.block::<S, 6>(s, cells.clone(), block);
                    } else {
                        self.block::<S, 3>(s, cells.clone(), block);
                    }
                }
            }
            start = cells.end;
        }
    }
}

impl RunInteger<'_> {
    /// Computes four vectors of output channels, `M` cells at a time.
    ///
    /// # Safety
    /// As for [`SimdInt8`]; product, tables and memory are of one plan.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "iterators put the sums on the stack")]
    unsafe fn block<S: SimdInt8, const M: usize>(&self, s: S, cells: Range<usize>, block: usize) {
        let p = self.product;
        let first = block * 4 * S::LANES;
        let quad = |memory: *const u8, at: usize| -> [S::Vector; 4] {
            // SAFETY: the compiler pads weights, bias and scales to whole blocks.
            array(|v| unsafe { s.load(memory.cast::<f32>().add((at * 4 + v) * S::LANES)) })
        };
        // SAFETY: by this function's contract. The compiler makes tables that fit their maps; a cell of an 8-bit map
        // has room for whole blocks.
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
                let mut sums = [quad(p.bias.pointer(), block); M];
                for group in 0..p.groups {
                    let factors: [S::Vector; M] =
                        array(|m| s.splat(from[m].add(group * 4).cast::<f32>().read_unaligned()));
                    let weights = p.weights.pointer().cast::<f32>().add((block * p.groups + group) * 4 * S::LANES);
                    for v in 0..4 {
                        let weight = s.load(weights.add(v * S::LANES));
                        for m in 0..M {
                            sums[m][v] = s.dot_int8(factors[m], weight, sums[m][v]);
                        }
                    }
                }
                cells!(M.min(count), |m| self.finish(s, start + m, first, sums[m]));
                start += count;
            }
        }
    }

    /// Computes everything after the sums of one cell, from channel `first` on.
    ///
    /// # Safety
    /// As for [`Self::block`].
    #[inline(always)]
    unsafe fn finish<S: SimdInt8>(&self, s: S, cell: usize, first: usize, [a, b, c, d]: [S::Vector; 4]) {
        let p = self.product;
        // SAFETY: by this function's contract.
        unsafe {
            let at = |cells: &Cells<Address>| {
                let offset = *self.tables.get_unchecked(cells.table).get_unchecked(cell) as usize;
                self.memory.add(cells.start.0 + offset)
            };
            let zero = s.splat(0.0);
            // A product and a sum are never contracted, so that every set rounds alike.
            let scales = p.scales.pointer().cast::<f32>().add(first);
            let result = |sum, v: usize| s.mul(s.int_to_f32(sum), s.load(scales.add(v * S::LANES)));
            let (mut a, mut b, mut c, mut d) = (result(a, 0), result(b, 1), result(c, 2), result(d, 3));
            if p.relu {
                (a, b, c, d) = (s.max(a, zero), s.max(b, zero), s.max(c, zero), s.max(d, zero));
            }
            for term in &p.terms {
                let (zero_point, scale) = (s.splat(term.zero_point), s.splat(term.scale));
                let add = |value, level| s.add(value, s.mul(s.sub(s.int_to_f32(level), zero_point), scale));
                let levels = s.interleave([s.load(at(&term.cells).add(first).cast()), zero, zero, zero]);
                (a, b, c, d) = (add(a, levels[0]), add(b, levels[1]), add(c, levels[2]), add(d, levels[3]));
                if term.relu {
                    (a, b, c, d) = (s.max(a, zero), s.max(b, zero), s.max(c, zero), s.max(d, zero));
                }
            }
            for store in &p.stores {
                let to = at(&store.cells);
                match store.format {
                    IntegerFormat::Unsigned | IntegerFormat::Signed => {
                        let integers = [s.f32_to_int(a), s.f32_to_int(b), s.f32_to_int(c), s.f32_to_int(d)];
                        let bytes = match store.format {
                            IntegerFormat::Unsigned => s.narrow_unsigned(integers),
                            _ => s.narrow_signed(integers),
                        };
                        s.store(to.add(first).cast(), bytes);
                    }
                    IntegerFormat::F32 { scale, room } => {
                        let scale = s.splat(scale);
                        let values = [s.mul(a, scale), s.mul(b, scale), s.mul(c, scale), s.mul(d, scale)];
                        for (v, value) in s.in_channel_order(values).into_iter().enumerate() {
                            let channel = first + v * S::LANES;
                            let to = to.cast::<f32>().wrapping_add(channel);
                            match room.saturating_sub(channel) {
                                0 => (),
                                left if left < S::LANES => s.store_partial(to, value, left),
                                _ => s.store(to, value),
                            }
                        }
                    }
                }
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
    let at_once = rows_at_once(d.kernel, d.stride);
    // SAFETY: by this function's contract.
    unsafe {
        let groups = strip.add(d.groups_at());
        for block in 0..d.blocks {
            let mut row = rows.start;
            while row < rows.end {
                let count = at_once.min(rows.end - row);
                let top = memory.add(d.start.0 + row * d.stride * d.row_bytes + block * 4 * S::LANES);
                group_rows(s, d, top, (count - 1) * d.stride + d.kernel, groups);
                for j in 0..count {
                    let cell = (row + j - rows.start) * d.width * d.channels + block * 4 * S::LANES;
                    let part = Part { d, groups, block, row: j, to: strip.add(cell) };
                    match (d.kernel, d.stride, S::REGISTERS >= 32) {
                        (3, 1, true) => part.row_of::<S, 3, 1, 4, 6>(s),
                        (3, 2, true) => part.row_of::<S, 3, 2, 4, 9>(s),
                        (5, 1, true) => part.row_of::<S, 5, 1, 4, 8>(s),
                        (5, 2, true) => part.row_of::<S, 5, 2, 4, 11>(s),
                        (3, 1, false) => part.row_of::<S, 3, 1, 2, 4>(s),
                        (3, 2, false) => part.row_of::<S, 3, 2, 2, 5>(s),
                        (5, 1, false) => part.row_of::<S, 5, 1, 2, 6>(s),
                        (5, 2, false) => part.row_of::<S, 5, 2, 2, 7>(s),
                        (kernel, stride, _) => {
                            unreachable!("{kernel}x{kernel} with stride {stride} is refused by the compiler")
                        }
                    }
                }
                row += count;
            }
        }
    }
}

/// Writes `rows` input rows, starting at `top`, as one or two rows of groups. Missing rows repeat the last one: their
/// weights are zero.
///
/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn group_rows<S: SimdInt8>(s: S, d: &IntegerDepthwise<Address>, top: *const u8, rows: usize, groups: *mut u8) {
    let window = d.window();
    for group in 0..rows.div_ceil(4) {
        // SAFETY: by `depthwise`'s contract; the map's border is as wide as the filter needs.
        unsafe {
            let from: [*const u8; 4] = array(|i| top.add((group * 4 + i).min(rows - 1) * d.row_bytes));
            let to = groups.cast::<f32>().add(group * window * 4 * S::LANES);
            for cell in 0..window {
                let row = |i: usize| s.load(from[i].add(cell * d.pitch_bytes).cast());
                for (v, group) in s.interleave(array(row)).into_iter().enumerate() {
                    s.store(to.add((cell * 4 + v) * S::LANES), group);
                }
            }
        }
    }
}

/// One block of channels of an output row.
struct Part<'a> {
    d: &'a IntegerDepthwise<Address>,
    groups: *const u8,
    block: usize,
    /// Among those that the groups are enough for.
    row: usize,
    /// The row's first cell in the strip.
    to: *mut u8,
}

impl Part<'_> {
    /// Computes the row, `T` cells at a time, whose windows cover `N` input cells.
    ///
    /// # Safety
    /// As for [`depthwise`].
    #[inline(always)]
    unsafe fn row_of<S: SimdInt8, const K: usize, const STRIDE: usize, const T: usize, const N: usize>(&self, s: S) {
        let d = self.d;
        // SAFETY: by this function's contract.
        unsafe {
            let mut column = 0;
            while column + T <= d.width {
                let cells = self.tile::<S, K, STRIDE, T, N>(s, column);
                for (i, bytes) in cells.into_iter().enumerate() {
                    s.store(self.to.add((column + i) * d.channels).cast(), bytes);
                }
                column += T;
            }
            while column < d.width {
                let [bytes] = self.tile::<S, K, STRIDE, 1, K>(s, column);
                s.store(self.to.add(column * d.channels).cast(), bytes);
                column += 1;
            }
        }
    }

    /// `T` neighbouring cells, from `column` on.
    ///
    /// # Safety
    /// As for [`depthwise`].
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "iterators put the sums on the stack")]
    unsafe fn tile<S: SimdInt8, const K: usize, const STRIDE: usize, const T: usize, const N: usize>(
        &self,
        s: S,
        column: usize,
    ) -> [S::Vector; T] {
        let Self { d, block, row, .. } = *self;
        // SAFETY: by this function's contract.
        unsafe {
            let load = |memory: *const u8, vector: usize| s.load(memory.cast::<f32>().add(vector * S::LANES));
            let weights_at = (block * rows_at_once(K, STRIDE) + row) * 2 * K * 4;
            let rows_of_groups = row * STRIDE / 4..(row * STRIDE + K - 1) / 4 + 1;
            let mut out = [[s.splat(0.0); 4]; T];
            for v in 0..4 {
                let mut sums = [load(d.bias.pointer(), block * 4 + v); T];
                for group in rows_of_groups.clone() {
                    let cell = group * d.window() + column * STRIDE;
                    let cells: [S::Vector; N] = array(|i| load(self.groups, (cell + i) * 4 + v));
                    for tap in 0..K {
                        let weight = load(d.weights.pointer(), weights_at + (group * K + tap) * 4 + v);
                        for (i, sum) in sums.iter_mut().enumerate() {
                            *sum = s.dot_int8(cells[i * STRIDE + tap], weight, *sum);
                        }
                    }
                }
                let scale = load(d.scales.pointer(), block * 4 + v);
                for (i, sum) in sums.into_iter().enumerate() {
                    out[i][v] = s.f32_to_int(s.mul(s.int_to_f32(sum), scale));
                }
            }
            array(|i| s.narrow_signed(out[i]))
        }
    }
}
