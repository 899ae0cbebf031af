//! Maps: their shape, their element type and, once placed, their memory.
//!
//! A map is (row, column, channel). A cell is all channels at one row and column; its elements are padded with zeros
//! up to the pitch. Borders are zeros on every side.

use crate::runtime::engine::memory::LINE_BYTES;
use std::ops::Range;

/// The number type of a map's or a strip's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::runtime::engine) enum Element {
    F32,
    Bf16,
    /// Unsigned 8-bit integers.
    U8,
}

impl Element {
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::U8];

    pub fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::Bf16 => 2,
            Element::U8 => 1,
        }
    }

    /// Neighbouring channels that one lane multiplies and adds at once: as many as fill 32 bits.
    pub fn group(self) -> usize {
        4 / self.bytes()
    }

    /// Cells are padded to a multiple of this number of channels.
    pub fn cell_multiple(self) -> usize {
        match self {
            Element::F32 | Element::Bf16 => super::CHANNEL_MULTIPLE,
            // A pair of the widest vectors (`SimdInt8`).
            Element::U8 => 32,
        }
    }

    /// Appends the bytes that represent `value`, a factor of a product, to `to`. Beside bytes that is a weight, already
    /// a whole number.
    pub fn encode(self, value: f32, to: &mut Vec<u8>) {
        match self {
            Element::F32 => to.extend(value.to_ne_bytes()),
            Element::Bf16 => to.extend(half::bf16::from_f32(value).to_ne_bytes()),
            Element::U8 => to.push(value as i8 as u8),
        }
    }
}

/// The shape of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime::engine) struct Map {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Elements from one cell to the next.
    pub pitch: usize,
    /// Cells of zeros on every side.
    pub border: usize,
    pub element: Element,
    /// Whether the map shares its memory with no other and keeps its contents from run to run.
    pub pinned: bool,
}

impl Map {
    pub fn pitch_bytes(&self) -> usize {
        self.pitch * self.element.bytes()
    }

    pub fn row_bytes(&self) -> usize {
        (self.width + 2 * self.border) * self.pitch_bytes()
    }

    /// The map's size in bytes, with one line of padding, because kernels read whole groups of channels.
    pub fn bytes(&self) -> usize {
        let all = (self.height + 2 * self.border) * self.row_bytes();
        all.next_multiple_of(LINE_BYTES) + LINE_BYTES
    }

    /// Bytes from the map's start to the cell `(row, column)`. Rows and columns of the border are negative.
    pub fn cell(&self, row: isize, column: isize) -> usize {
        let border = self.border as isize;
        let (row, column) = (row + border, column + border);
        debug_assert!(row >= 0 && column >= 0);
        row as usize * self.row_bytes() + column as usize * self.pitch_bytes()
    }

    /// Maps with equal layouts have their cells and borders at the same offsets.
    fn layout(&self) -> (usize, usize, usize, usize, Element) {
        (self.height, self.width, self.pitch, self.border, self.element)
    }
}

/// A map with its memory.
#[derive(Clone, Debug)]
pub(in crate::runtime::engine) struct PlacedMap {
    pub map: Map,
    /// Bytes from the start of the plan's memory.
    pub start: usize,
}

impl PlacedMap {
    /// The map's bytes, from the start of the plan's memory.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.map.bytes()
    }

    /// Whether writing the cells of `other` leaves this map's borders zero. The two share memory.
    pub fn has_borders_of(&self, other: &PlacedMap) -> bool {
        self.start == other.start && self.map.layout() == other.map.layout()
    }

    /// All ranges of bytes that belong to no cell, from the start of the plan's memory: the border and the padding
    /// behind the last row.
    pub fn gaps(&self) -> Vec<Range<usize>> {
        let row_bytes = self.map.width * self.map.pitch_bytes();
        let mut gaps = Vec::with_capacity(self.map.height + 1);
        let mut from = self.start;
        for row in 0..self.map.height {
            let cells = self.start + self.map.cell(row as isize, 0);
            gaps.push(from..cells);
            from = cells + row_bytes;
        }
        gaps.push(from..self.range().end);
        gaps
    }
}
