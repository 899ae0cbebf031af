//! Which values are read from memory, as which element type, and with how wide a border.

use super::context::Context;
use crate::runtime::engine::EngineError;
use crate::runtime::engine::plan::{CHANNEL_MULTIPLE, Element};
use crate::runtime::model::graph::{NodeId, Operation};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Needs {
    /// In cells.
    borders: HashMap<(NodeId, Element), usize>,
}

impl Needs {
    /// Goes from the readers to what they read.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if there is no kernel for what reads.
    pub fn find(context: Context<'_>) -> Result<Self, EngineError> {
        let mut needs = Self::default();
        needs.add_convolutions(context)?;
        needs.add_sums(context)?;
        Ok(needs)
    }

    /// The border that the readers of a value need; `None` if nobody reads it as that element type.
    pub fn border(&self, node: NodeId, element: Element) -> Option<usize> {
        self.borders.get(&(node, element)).copied()
    }

    /// Whether anybody reads the node's own value.
    pub fn is_read(&self, node: NodeId) -> bool {
        Element::ALL.iter().any(|&element| self.border(node, element).is_some())
    }

    fn add(&mut self, node: NodeId, element: Element, border: usize) {
        let known = self.borders.entry((node, element)).or_default();
        *known = (*known).max(border);
    }

    fn add_convolutions(&mut self, context: Context<'_>) -> Result<(), EngineError> {
        for fused in &context.fusion.fused {
            let side = context.filter(fused.convolution).side;
            let border = side / 2;
            let reads = context.reads(fused);
            if context.is_integer(fused, reads) {
                let border = reads.depthwise.map_or(0, |nodes| context.filter(nodes.convolution).side / 2);
                self.add(reads.source, Element::U8, border);
                fused.residuals.iter().for_each(|residual| self.add(residual.node, Element::U8, 0));
                continue;
            }
            if let Some(depthwise) = reads.depthwise {
                let filter = context.filter(depthwise.convolution);
                if side != 1 || !matches!((filter.side, filter.stride), (3 | 5, 1 | 2)) {
                    let reason = "depthwise filters are 3x3 or 5x5, a 1x1 convolution follows";
                    return Err(context.unsupported(depthwise.convolution, reason));
                }
                let has_relu = |norm| matches!(context.operation(norm), Operation::BatchNorm { relu: true, .. });
                if depthwise.norm.is_some_and(has_relu) {
                    let reason = "no ReLU stands between depthwise and 1x1";
                    return Err(context.unsupported(depthwise.convolution, reason));
                }
                self.add(reads.source, Element::F32, filter.side / 2);
            } else {
                self.add(reads.source, context.precision_of(reads).factor(), border);
            }
            if let Some(coordinates) = reads.coordinates
                && let Some(heatmaps) = context.gating_heatmaps(coordinates)
            {
                self.add(coordinates, context.factor(), border);
                self.add(heatmaps, Element::F32, 0);
            }
            for residual in &fused.residuals {
                self.add(residual.node, Element::F32, 0);
            }
        }
        Ok(())
    }

    fn add_sums(&mut self, context: Context<'_>) -> Result<(), EngineError> {
        for node in (0..context.graph.nodes.len()).rev() {
            let is_whole = |part: NodeId| context.channels(part).is_multiple_of(CHANNEL_MULTIPLE);
            if *context.operation(node) == Operation::Concat
                && let Some(&part) = context.inputs(node).iter().find(|&&part| !is_whole(part))
            {
                return Err(context.unsupported(part, "parts of a concatenation have a multiple of 16 channels"));
            }
            if context.is_sum(node) && self.is_wanted(context, node) {
                for &input in context.inputs(node) {
                    self.add(input, Element::F32, 0);
                }
            }
        }
        Ok(())
    }

    /// Whether anybody reads the node's value, or that of a batch norm on it.
    fn is_wanted(&self, context: Context<'_>, node: NodeId) -> bool {
        self.is_read(node) || context.outputs.contains(&node) || context.norms_of(node).any(|norm| self.is_read(norm))
    }
}
