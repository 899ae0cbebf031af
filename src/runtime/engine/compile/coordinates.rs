//! Coordinate channels: the gated ones are a map, the constant ones are factors of a 1x1 convolution or part of the
//! bias of a larger one.

use super::Compiler;
use super::context::Size;
use super::maps::Window;
use crate::runtime::engine::EngineError;
use crate::runtime::engine::fold::Folded;
use crate::runtime::engine::plan::{Action, CHANNEL_MULTIPLE, Cells, Element, Gate, InMap, Map, MapId};
use crate::runtime::model::graph::{NodeId, coordinate_planes};

impl Compiler<'_> {
    /// Adds the step that writes the gated coordinates.
    pub(super) fn lower_gate(&mut self, node: NodeId) -> Result<(), EngineError> {
        let context = self.context;
        let Some(heatmaps) = context.gating_heatmaps(node) else {
            return Err(context.unsupported(node, "only a convolution reads coordinates"));
        };
        self.lower(heatmaps)?;
        let size = context.size(node);
        let boundary = self.map(heatmaps, Element::F32);
        let boundary_map = Window { channel: context.channels(heatmaps) - 1, ..Window::SAME };
        let boundary = self.maps.cells(boundary, size, boundary_map);
        let to = self.map(node, context.factor());
        let to = self.maps.cells(to, size, Window::SAME);
        let planes = coordinate_planes(size.height, size.width);
        let coordinates = planes.chunks_exact(3).map(|cell| [cell[0], cell[1]]).collect();
        let action = Action::Gate(Gate { boundary, to, coordinates });
        self.push_step("gated coordinates".to_owned(), context.precision(), action);
        Ok(())
    }

    /// The three constant coordinate channels as factors.
    pub(super) fn coordinate_factors(&mut self, size: Size) -> MapId {
        if let Some(&map) = self.maps.planes_of.get(&size) {
            return map;
        }
        let element = self.context.factor();
        let map = Map::pinned(size, 3, 4, element);
        let mut contents = Vec::new();
        for cell in coordinate_planes(size.height, size.width).chunks_exact(3) {
            for &value in cell.iter().chain(&[0.0]) {
                element.encode(value, &mut contents);
            }
        }
        let map = self.maps.push_constant(map, contents);
        self.maps.planes_of.insert(size, map);
        map
    }

    /// A map of the convolution's bias plus what the three constant coordinate channels, which follow those of
    /// `source`, add to each cell of its output.
    pub(super) fn position_bias(&mut self, source: NodeId, convolution: NodeId, folded: &Folded) -> Cells<InMap> {
        let context = self.context;
        let first = context.channels(source);
        let filter = context.filter(convolution);
        let from = context.size(source);
        let planes = coordinate_planes(from.height, from.width);
        let size = context.size(convolution);
        let channels = context.channels(convolution);
        let pitch = channels.next_multiple_of(CHANNEL_MULTIPLE);
        let each = folded.weights.len() / channels;
        let mut values = vec![0.0_f32; size.cells() * pitch];
        let inside = |out: usize, tap: usize, limit: usize| {
            (out * filter.stride + tap).checked_sub(filter.side / 2).filter(|&i| i < limit)
        };
        for (cell, values) in values.chunks_exact_mut(pitch).enumerate() {
            values[..channels].copy_from_slice(&folded.bias);
            let (row, column) = (cell / size.width, cell % size.width);
            for tap in 0..filter.taps() {
                let row = inside(row, tap / filter.side, from.height);
                let Some((row, column)) = row.zip(inside(column, tap % filter.side, from.width)) else { continue };
                let plane = &planes[(row * from.width + column) * 3..][..3];
                for (output, value) in values[..channels].iter_mut().enumerate() {
                    for (i, coordinate) in plane.iter().enumerate() {
                        *value += coordinate * folded.weights[output * each + (first + i) * filter.taps() + tap];
                    }
                }
            }
        }
        let map = Map::pinned(size, channels, pitch, Element::F32);
        let map = self.maps.push_constant(map, values.iter().flat_map(|v| v.to_ne_bytes()).collect());
        self.maps.cells(map, size, Window::SAME)
    }
}
