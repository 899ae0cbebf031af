//! The maps of a draft and the tables that lead from output cells to cells of maps.

use super::Compiler;
use super::context::{Filter, Size};
use crate::runtime::engine::plan::{CHANNEL_MULTIPLE, Cells, Element, InMap, Map, MapId, TableId};
use crate::runtime::model::graph::{NodeId, Operation};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Maps {
    pub maps: Vec<Map>,
    pub tables: Vec<Vec<u32>>,
    /// Maps whose contents never change, with their bytes.
    pub constants: Vec<(MapId, Vec<u8>)>,
    of_value: HashMap<(NodeId, Element), MapId>,
    table_of: HashMap<TableKey, TableId>,
    /// The coordinates of maps of a size.
    pub planes_of: HashMap<Size, MapId>,
}

/// Which cell of a map belongs to an output cell: `(r, c)` reads `(r * stride, c * stride)`, halved if `upsampled`,
/// plus `shift` in both directions, from channel `channel` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub stride: usize,
    /// Whether the map is half as high and as wide as what is read, so that each of its cells is read four times.
    pub upsampled: bool,
    pub shift: isize,
    pub channel: usize,
}

impl Window {
    /// The same cell of a map of the same size.
    pub const SAME: Self = Self { stride: 1, upsampled: false, shift: 0, channel: 0 };

    /// The upper left tap of a filter that is padded by half its side.
    pub fn of(filter: Filter) -> Self {
        Self { stride: filter.stride, shift: -(filter.side as isize / 2), ..Self::SAME }
    }
}

/// What a table depends on.
#[derive(PartialEq, Eq, Hash)]
struct TableKey {
    size: Size,
    row_bytes: usize,
    pitch_bytes: usize,
    stride: usize,
    upsampled: bool,
}

impl Map {
    /// A map without border that keeps its memory for itself.
    pub(super) fn pinned(Size { height, width }: Size, channels: usize, pitch: usize, element: Element) -> Self {
        Self { height, width, channels, pitch, border: 0, element, pinned: true }
    }
}

impl Maps {
    pub fn push(&mut self, map: Map) -> MapId {
        self.maps.push(map);
        self.maps.len() - 1
    }

    pub fn push_constant(&mut self, map: Map, contents: Vec<u8>) -> MapId {
        let map = self.push(map);
        self.constants.push((map, contents));
        map
    }

    pub fn get(&self, map: MapId) -> &Map {
        &self.maps[map]
    }

    /// What the first output cell reads.
    pub fn start(&self, map: MapId, window: Window) -> InMap {
        let shape = &self.maps[map];
        InMap { map, offset: shape.cell(window.shift, window.shift) + window.channel * shape.element.bytes() }
    }

    /// What the cells of an output of `size` read.
    pub fn cells(&mut self, map: MapId, size: Size, window: Window) -> Cells<InMap> {
        let Window { stride, upsampled, .. } = window;
        let (row_bytes, pitch_bytes) = (self.maps[map].row_bytes(), self.maps[map].pitch_bytes());
        let key = TableKey { size, row_bytes, pitch_bytes, stride, upsampled };
        let table = *self.table_of.entry(key).or_insert_with(|| {
            let at = |i: usize, bytes: usize| (((i * stride) >> usize::from(upsampled)) * bytes) as u32;
            let row = |r| (0..size.width).map(move |c| at(r, row_bytes) + at(c, pitch_bytes));
            self.tables.push((0..size.height).flat_map(row).collect());
            self.tables.len() - 1
        });
        Cells { start: self.start(map, window), table }
    }
}

impl Compiler<'_> {
    /// The map of a node's value as `element`.
    pub(super) fn map(&mut self, node: NodeId, element: Element) -> MapId {
        if let Some(&map) = self.maps.of_value.get(&(node, element)) {
            return map;
        }
        let context = self.context;
        let Size { height, width } = context.size(node);
        let (channels, pitch) = match context.operation(node) {
            // The picture is copied row by row.
            Operation::Input => (context.channels(node), context.channels(node)),
            // Only the gated coordinates are a map.
            Operation::Coordinates => (2, CHANNEL_MULTIPLE),
            _ => (context.channels(node), context.channels(node).next_multiple_of(element.cell_multiple())),
        };
        let border = self.needs.border(node, element).unwrap_or(0);
        let map = self.maps.push(Map { height, width, channels, pitch, border, element, pinned: false });
        self.maps.of_value.insert((node, element), map);
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets of the cells that `window` shows of a map of `from` cells with a border of one.
    fn offsets(from: Size, to: Size, window: Window) -> Vec<usize> {
        let mut maps = Maps::default();
        let Size { height, width } = from;
        let map = Map { height, width, channels: 3, pitch: 4, border: 1, element: Element::Bf16, pinned: false };
        let map = maps.push(map);
        let cells = maps.cells(map, to, window);
        maps.tables[cells.table].iter().map(|&at| cells.start.offset + at as usize).collect()
    }

    #[test]
    fn windows_show_strided_upsampled_and_shifted_cells() {
        // Two bytes per element, four elements per cell, six cells per row.
        let cell = |row: usize, column: usize| ((row + 1) * 6 + column + 1) * 8;
        let (large, small) = (Size { height: 4, width: 4 }, Size { height: 2, width: 2 });
        let strided = Window { stride: 2, channel: 1, ..Window::SAME };
        assert_eq!(offsets(large, small, strided), [(0, 0), (0, 2), (2, 0), (2, 2)].map(|(r, c)| cell(r, c) + 2));
        let filter = Window::of(Filter { side: 3, stride: 2 });
        assert_eq!(
            offsets(large, small, filter),
            [(0, 0), (0, 2), (2, 0), (2, 2)].map(|(r, c)| cell(r, c) - cell(0, 0))
        );
        let upsampled = Window { upsampled: true, ..Window::SAME };
        let row = |r: usize| [0, 0, 1, 1].map(|c| cell(r, c));
        assert_eq!(
            offsets(Size { height: 1, width: 4 }, Size { height: 2, width: 4 }, upsampled),
            [row(0), row(0)].concat()
        );
    }
}
