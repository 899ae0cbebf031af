//! The depthwise convolution in front of a 1x1 convolution becomes the left factor of the product: a strip of rows at a
//! time, which never leaves the near cache.

use super::Compiler;
use super::context::{DepthwiseNodes, Size};
use super::convolution::LeftFactors;
use super::maps::Window;
use crate::runtime::engine::fold::Folded;
use crate::runtime::engine::memory::Memory;
use crate::runtime::engine::plan::{CHANNEL_MULTIPLE, Depthwise, Element, InMap, Segment};
use crate::runtime::model::graph::NodeId;

/// Bytes of a strip at most: it has to stay in the nearest cache beside the weights.
const STRIP_BYTES: usize = 24 * 1024;

impl Compiler<'_> {
    /// The left factors of a 1x1 convolution. `folded` takes over the constant that the batch norm between the two
    /// convolutions adds.
    pub(super) fn depthwise_factors(
        &mut self,
        nodes: DepthwiseNodes,
        source: NodeId,
        folded: &mut Folded,
    ) -> LeftFactors {
        let context = self.context;
        let (depthwise, shift) = self.depthwise(nodes, source);
        folded.add_constant_inputs(&shift);
        let channels = context.channels(nodes.convolution);
        let order = (0..depthwise.channels).map(|c| Some(c).filter(|&c| c < channels)).collect();
        let segment = Segment { cells: None, taps: vec![0], groups: depthwise.channels / context.factor().group() };
        LeftFactors { depthwise: Some(depthwise), segments: vec![segment], order }
    }

    /// The depthwise part of a step, and the constant that its batch norm adds.
    fn depthwise(&mut self, nodes: DepthwiseNodes, source: NodeId) -> (Depthwise<InMap>, Vec<f32>) {
        let context = self.context;
        let filter = context.filter(nodes.convolution);
        let (layer, norm) = (context.name(nodes.convolution), nodes.norm.map(|norm| context.name(norm)));
        let folded = Folded::new(context.model, layer, context.channels(nodes.convolution), norm);
        let channels = context.channels(nodes.convolution).next_multiple_of(CHANNEL_MULTIPLE);
        let mut by_tap = vec![0.0; filter.taps() * channels];
        for (channel, weights) in folded.weights.chunks_exact(filter.taps()).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                by_tap[tap * channels + channel] = weight;
            }
        }
        let map = self.map(source, Element::F32);
        let depthwise = Depthwise {
            start: self.maps.start(map, Window::of(filter)),
            row_bytes: self.maps.get(map).row_bytes(),
            pitch_bytes: self.maps.get(map).pitch_bytes(),
            kernel: filter.side,
            stride: filter.stride,
            channels,
            width: context.size(nodes.convolution).width,
            strip_rows: 1,
            element: context.factor(),
            weights: Memory::of(&by_tap),
        };
        (depthwise, folded.bias)
    }

    /// Rows of a strip that fills the tiles best among those that stay in the cache, for `outputs` channels.
    pub(super) fn strip_rows(&self, depthwise: &Depthwise<InMap>, size: Size, outputs: usize) -> usize {
        let row_bytes = depthwise.width * depthwise.channels * self.context.factor().bytes();
        let most = (STRIP_BYTES / row_bytes).clamp(1, size.height);
        let tile = self.context.target.vectors.tile_cells(outputs);
        let tiles = |rows: usize| {
            let of = |rows: usize| (rows * depthwise.width).div_ceil(tile);
            size.height / rows * of(rows) + of(size.height % rows)
        };
        (1..=most).rev().min_by_key(|&rows| tiles(rows)).unwrap_or(1)
    }
}
