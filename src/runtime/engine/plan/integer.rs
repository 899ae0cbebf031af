//! A convolution in 8-bit integers, as data for its kernel.
//!
//! Everything per output channel is in blocks of vectors: quads, and at the end a pair if that is enough
//! ([`crate::runtime::simd::SimdInt8`]).

use super::Placement;
use super::action::Cells;
use super::{Address, InMap};
use crate::runtime::engine::memory::Memory;

/// A 1x1 convolution whose left factors, weights and results are 8-bit integers, with everything that follows it: the
/// integer sums times `scales`, with a ReLU if `relu`, plus `terms`, written to `stores`.
pub(in crate::runtime::engine) struct IntegerProduct<A> {
    /// Output cells.
    pub cells: usize,
    pub left: IntegerLeft<A>,
    /// Groups of four input channels.
    pub groups: usize,
    /// Vectors of output channels, an even number.
    pub vectors: usize,
    /// `[block][group][vector][lane][input channel]`, i8.
    pub weights: Memory,
    /// Initial value of the sums, i32.
    pub bias: Memory,
    /// Factors from sums to results, f32.
    pub scales: Memory,
    pub relu: bool,
    pub terms: Vec<IntegerTerm<A>>,
    pub stores: Vec<IntegerStore<A>>,
    /// Output cells that are computed for all channels before the next ones.
    pub chunk: usize,
}

/// The left factors of an [`IntegerProduct`].
pub(in crate::runtime::engine) enum IntegerLeft<A> {
    Map(Cells<A>),
    /// Written a strip at a time.
    Depthwise(IntegerDepthwise<A>),
}

/// A depthwise convolution of an 8-bit map, in integers.
///
/// Eight rows of the input become two rows of groups: the four bytes of a lane are one channel of four rows. A dot
/// product then sums a column of the filter. Several output rows use the same groups, with their weights at different
/// positions in the groups.
pub(in crate::runtime::engine) struct IntegerDepthwise<A> {
    /// The upper left tap of the first output cell.
    pub start: A,
    /// Bytes between rows and between cells of the input.
    pub row_bytes: usize,
    pub pitch_bytes: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Channels of a strip's cell: whole vectors.
    pub channels: usize,
    /// Vectors of channels, an even number.
    pub vectors: usize,
    /// Cells in a row of the output.
    pub width: usize,
    /// Output rows in a strip.
    pub strip_rows: usize,
    /// `[block][output row][row of groups][tap in a row][vector][lane][input row]`, i8, for [`rows_at_once`]
    /// rows.
    pub weights: Memory,
    /// Initial value of the sums, i32.
    pub bias: Memory,
    /// Factors from sums to the strip's integers, f32.
    pub scales: Memory,
}

/// Input rows in the two rows of groups.
pub(in crate::runtime::engine) const GROUPED_ROWS: usize = 8;

/// The most output cells of a row that are computed at once. Where fewer are left, the others are computed too: they
/// come after the row, where the strip's next row is written later.
pub(in crate::runtime::engine) const ROW_TILE: usize = 8;

/// Output rows that can be computed from [`GROUPED_ROWS`] input rows.
pub(in crate::runtime::engine) const fn rows_at_once(kernel: usize, stride: usize) -> usize {
    (GROUPED_ROWS - kernel) / stride + 1
}

/// An 8-bit map that is added to the results.
pub(in crate::runtime::engine) struct IntegerTerm<A> {
    pub cells: Cells<A>,
    /// The zero point.
    pub zero_point: f32,
    /// The scale: from the map's integers minus the zero point to results.
    pub scale: f32,
    /// Whether a ReLU follows the addition.
    pub relu: bool,
}

/// A destination of results.
pub(in crate::runtime::engine) struct IntegerStore<A> {
    pub cells: Cells<A>,
    pub format: IntegerFormat,
}

/// The number format of an [`IntegerStore`]'s map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::runtime::engine) enum IntegerFormat {
    /// Rounded and clamped to 0..=255.
    Unsigned,
    /// Rounded, clamped to -128..=127, plus 128.
    Signed,
    /// Times `scale`, in f32; at most `room` channels.
    F32 { scale: f32, room: usize },
}

impl<A> IntegerProduct<A> {
    /// Output cells that must stay together when threads share the step.
    pub fn grain(&self) -> usize {
        self.depthwise().map_or(1, |d| d.width)
    }

    /// Bytes that a thread needs for a strip of the depthwise part and the groups that it is made from, with vectors of
    /// `lanes`.
    pub fn strip_bytes(&self, lanes: usize) -> usize {
        self.depthwise().map_or(0, |d| d.groups_at() + 2 * d.grouped() * 16 * lanes)
    }

    pub fn depthwise(&self) -> Option<&IntegerDepthwise<A>> {
        match &self.left {
            IntegerLeft::Depthwise(depthwise) => Some(depthwise),
            IntegerLeft::Map(_) => None,
        }
    }

    /// Positions in every map that the step reads or writes.
    pub fn starts(&self) -> impl Iterator<Item = &A> {
        let left = match &self.left {
            IntegerLeft::Map(cells) => &cells.start,
            IntegerLeft::Depthwise(depthwise) => &depthwise.start,
        };
        let terms = self.terms.iter().map(|term| &term.cells.start);
        [left].into_iter().chain(terms).chain(self.stores.iter().map(|store| &store.cells.start))
    }
}

impl<A> IntegerDepthwise<A> {
    /// Input cells in a row that the taps of an output row cover.
    pub fn window(&self) -> usize {
        (self.width - 1) * self.stride + self.kernel
    }

    /// Cells in a row of groups: those of the window, and those that a last [`ROW_TILE`] reads beyond it.
    pub fn grouped(&self) -> usize {
        (self.width + ROW_TILE - 2) * self.stride + self.kernel
    }

    /// The byte offset of the groups in a strip's memory.
    pub fn groups_at(&self) -> usize {
        ((self.strip_rows * self.width + ROW_TILE - 1) * self.channels).next_multiple_of(64)
    }
}

impl IntegerProduct<InMap> {
    pub fn place(self, at: Placement<'_>) -> IntegerProduct<Address> {
        let Self { cells, left, groups, vectors, weights, bias, scales, relu, terms, stores, chunk } = self;
        let left = match left {
            IntegerLeft::Map(cells) => IntegerLeft::Map(cells.place(at)),
            IntegerLeft::Depthwise(depthwise) => IntegerLeft::Depthwise(depthwise.place(at)),
        };
        let place_term = |IntegerTerm { cells, zero_point, scale, relu }: IntegerTerm<InMap>| IntegerTerm {
            cells: cells.place(at),
            zero_point,
            scale,
            relu,
        };
        let place_store =
            |IntegerStore { cells, format }: IntegerStore<InMap>| IntegerStore { cells: cells.place(at), format };
        IntegerProduct {
            cells,
            left,
            groups,
            vectors,
            weights,
            bias,
            scales,
            relu,
            terms: terms.into_iter().map(place_term).collect(),
            stores: stores.into_iter().map(place_store).collect(),
            chunk,
        }
    }
}

impl IntegerDepthwise<InMap> {
    fn place(self, at: Placement<'_>) -> IntegerDepthwise<Address> {
        let Self {
            start,
            row_bytes,
            pitch_bytes,
            kernel,
            stride,
            channels,
            vectors,
            width,
            strip_rows,
            weights,
            bias,
            scales,
        } = self;
        let start = at(start);
        IntegerDepthwise {
            start,
            row_bytes,
            pitch_bytes,
            kernel,
            stride,
            channels,
            vectors,
            width,
            strip_rows,
            weights,
            bias,
            scales,
        }
    }
}
