//! Where a step's results go, and the maps that are added to them.

use super::Compiler;
use super::context::Size;
use super::levels::Levels;
use super::maps::Window;
use crate::runtime::engine::fold;
use crate::runtime::engine::fuse::Residual;
use crate::runtime::engine::memory::Memory;
use crate::runtime::engine::plan::{Affine, Element, InMap, Store, Term};
use crate::runtime::model::graph::{NodeId, Operation};
use std::ops::Range;

impl Compiler<'_> {
    /// Everything that is written of the channels `channels` of `value`, which a step computes: the value itself as
    /// each element type that is read, its copy for the caller, and its batch norms.
    pub(super) fn stores(&mut self, value: NodeId, channels: Range<usize>) -> Vec<Store<InMap>> {
        let size = self.context.size(value);
        let mut stores = self.stores_of(value, None, channels.clone());
        for map in self.results.get(&value).cloned().unwrap_or_default() {
            let room = (self.maps.get(map).channels - channels.start).min(channels.len());
            let cells = self.maps.cells(map, size, Window { channel: channels.start, ..Window::SAME });
            stores.push(Store { cells, room, affine: None, element: Element::F32 });
        }
        for norm in self.context.norms_of(value) {
            stores.extend(self.stores_of(norm, Some(norm), channels.clone()));
        }
        stores
    }

    /// A store for each element type as which `node` is read. `norm` is the batch norm between what the step computes
    /// and `node`.
    pub(super) fn stores_of(
        &mut self,
        node: NodeId,
        norm: Option<NodeId>,
        channels: Range<usize>,
    ) -> Vec<Store<InMap>> {
        let context = self.context;
        let mut stores = Vec::new();
        for element in Element::ALL {
            if self.needs.border(node, element).is_none() {
                continue;
            }
            let map = self.map(node, element);
            let window = Window { channel: channels.start, ..Window::SAME };
            let cells = self.maps.cells(map, context.size(node), window);
            // The parts of a map are whole vectors, and behind its last channel there is room for them.
            let room = self.maps.get(map).pitch - channels.start;
            let affine = match norm.map(|norm| context.operation(norm)) {
                Some(Operation::BatchNorm { name, relu }) => {
                    let (scale, shift) = fold::norm(context.model, name);
                    let part = |all: &[f32]| context.target.vectors.pad(&all[channels.clone()]);
                    Some(Affine { scale: part(&scale), shift: part(&shift), relu: *relu })
                }
                _ => None,
            };
            let affine = match element {
                Element::U8 => Some(self.in_levels(node, affine, channels.len())),
                Element::F32 | Element::Bf16 => affine,
            };
            stores.push(Store { cells, room, affine, element });
        }
        stores
    }

    /// `affine`, or nothing, and then the conversion to the numbers of the node's 8-bit map.
    fn in_levels(&self, node: NodeId, affine: Option<Affine>, channels: usize) -> Affine {
        let Levels { scale, zero_point } = self.context.levels_read(node);
        let vectors = self.context.target.vectors;
        let map = |values: Option<&Memory>, otherwise: f32, f: &dyn Fn(f32) -> f32| {
            let values = values.map_or(vec![otherwise; channels], |values| values.floats(0, channels).to_vec());
            vectors.pad(&values.into_iter().map(f).collect::<Vec<_>>())
        };
        Affine {
            scale: map(affine.as_ref().map(|affine| &affine.scale), 1.0, &|value| value / scale),
            shift: map(affine.as_ref().map(|affine| &affine.shift), 0.0, &|value| {
                value / scale + f32::from(zero_point)
            }),
            // Bytes clamp at the zero of a map that a ReLU has made.
            relu: false,
        }
    }

    /// What `residual` adds to an output of `size`, from channel `channel` of it on.
    pub(super) fn term(&mut self, residual: Residual, size: Size, channel: usize) -> Term<InMap> {
        let map = self.map(residual.node, Element::F32);
        let window = Window { upsampled: residual.upsampled, channel, ..Window::SAME };
        Term { cells: self.maps.cells(map, size, window), relu: residual.relu }
    }
}
