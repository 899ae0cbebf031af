//! Additions, up-sampling, average pooling and concatenation that no convolution takes along become sums of maps.

use super::Compiler;
use super::maps::Window;
use crate::runtime::engine::EngineError;
use crate::runtime::engine::fuse::Residual;
use crate::runtime::engine::plan::{Action, Cells, Element, InMap, Sum, Term};
use crate::runtime::model::graph::{NodeId, Operation};
use std::ops::Range;

/// What one step computes.
struct Part {
    terms: Vec<Term<InMap>>,
    /// Of the node's value.
    channels: Range<usize>,
    scale: f32,
}

impl Compiler<'_> {
    /// Adds the steps of a node that only adds maps: one for each input of a concatenation, else a single one.
    pub(super) fn lower_sum(&mut self, node: NodeId) -> Result<(), EngineError> {
        let context = self.context;
        for &input in context.inputs(node) {
            self.lower(input)?;
        }
        let parts = match *context.operation(node) {
            Operation::Concat => self.concatenated(node),
            Operation::AveragePool => vec![self.pooled(node)],
            Operation::Upsample => vec![self.added(node, true, false)],
            Operation::Add { relu } => vec![self.added(node, false, relu)],
            _ => return Err(context.unsupported(node, "it is no sum of maps")),
        };
        for Part { terms, channels, scale } in parts {
            let sum = Sum {
                cells: context.size(node).cells(),
                blocks: context.target.vectors.blocks(channels.len()),
                terms,
                scale,
                stores: self.stores(node, channels),
            };
            self.push_step(context.name(node).to_owned(), context.precision(), Action::Sum(sum));
        }
        Ok(())
    }

    fn concatenated(&mut self, node: NodeId) -> Vec<Part> {
        let context = self.context;
        let size = context.size(node);
        let mut first = 0;
        let part = |&input: &NodeId| {
            let term = self.term(Residual { node: input, upsampled: false, relu: false }, size, 0);
            let channels = first..first + context.channels(input);
            first = channels.end;
            Part { terms: vec![term], channels, scale: 1.0 }
        };
        context.inputs(node).iter().map(part).collect()
    }

    /// The mean of 2x2 cells: their sum, times a quarter.
    fn pooled(&mut self, node: NodeId) -> Part {
        let context = self.context;
        let map = self.map(context.inputs(node)[0], Element::F32);
        let first = self.maps.cells(map, context.size(node), Window { stride: 2, ..Window::SAME });
        let (row, pitch) = (self.maps.get(map).row_bytes(), self.maps.get(map).pitch_bytes());
        let term = |offset: usize| {
            let start = InMap { offset: first.start.offset + offset, ..first.start };
            Term { cells: Cells { start, ..first.clone() }, relu: false }
        };
        let terms = [0, pitch, row, row + pitch].map(term).to_vec();
        Part { terms, channels: 0..context.channels(node), scale: 0.25 }
    }

    /// The sum of the node's inputs, with a ReLU behind the last if `relu`.
    fn added(&mut self, node: NodeId, upsampled: bool, relu: bool) -> Part {
        let context = self.context;
        let size = context.size(node);
        let inputs = context.inputs(node);
        let term = |(i, &input): (usize, &NodeId)| {
            let residual = Residual { node: input, upsampled, relu: relu && i + 1 == inputs.len() };
            self.term(residual, size, 0)
        };
        let terms = inputs.iter().enumerate().map(term).collect();
        Part { terms, channels: 0..context.channels(node), scale: 1.0 }
    }
}
