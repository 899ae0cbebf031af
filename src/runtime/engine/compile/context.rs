//! What is compiled and for what: the network's nodes as the compiler asks about them. Nothing here changes.

use super::Target;
use crate::runtime::engine::EngineError;
use crate::runtime::engine::fuse::{Fused, Fusion};
use crate::runtime::engine::plan::{Element, StepPrecision};
use crate::runtime::model::Model;
use crate::runtime::model::graph::{Graph, NodeId, Operation};

#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub model: &'a Model,
    pub graph: &'a Graph,
    pub fusion: &'a Fusion,
    /// Nodes whose values the caller wants.
    pub outputs: &'a [NodeId],
    pub target: Target,
}

/// Rows and columns of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Size {
    pub height: usize,
    pub width: usize,
}

impl Size {
    pub fn cells(self) -> usize {
        self.height * self.width
    }
}

/// The filter of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter {
    /// Taps in a row and in a column.
    pub side: usize,
    pub stride: usize,
}

impl Filter {
    pub fn taps(self) -> usize {
        self.side * self.side
    }
}

/// A depthwise convolution in front of a 1x1 convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct DepthwiseNodes {
    pub convolution: NodeId,
    /// The batch norm between the two.
    pub norm: Option<NodeId>,
}

/// What a fused convolution reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads {
    /// The value that its first input channels are, or that the depthwise convolution in front reads.
    pub source: NodeId,
    pub depthwise: Option<DepthwiseNodes>,
    /// The node that adds coordinates to `source`.
    pub coordinates: Option<NodeId>,
}

impl<'a> Context<'a> {
    pub fn operation(self, node: NodeId) -> &'a Operation {
        &self.graph.nodes[node].operation
    }

    pub fn inputs(self, node: NodeId) -> &'a [NodeId] {
        &self.graph.nodes[node].inputs
    }

    pub fn channels(self, node: NodeId) -> usize {
        self.graph.nodes[node].channels
    }

    pub fn size(self, node: NodeId) -> Size {
        let stride = self.graph.nodes[node].stride;
        Size { height: self.target.height / stride, width: self.target.width / stride }
    }

    pub fn name(self, node: NodeId) -> &'a str {
        match self.operation(node) {
            Operation::Convolution { name, .. } | Operation::BatchNorm { name, .. } => name,
            Operation::Input => "picture",
            Operation::Add { .. } => "sum",
            Operation::Upsample => "up-sampling",
            Operation::AveragePool => "pooling",
            Operation::Concat => "concatenation",
            Operation::Coordinates => "coordinates",
        }
    }

    pub fn unsupported(self, node: NodeId, reason: &'static str) -> EngineError {
        EngineError::Unsupported { layer: self.name(node).to_owned(), reason }
    }

    /// Of all steps but those that are done in integers.
    pub fn precision(self) -> StepPrecision {
        match self.target.precision {
            StepPrecision::Bf16 => StepPrecision::Bf16,
            StepPrecision::F32 | StepPrecision::Int8 => StepPrecision::F32,
        }
    }

    /// The element type of maps whose values are factors of products. In f32 it is that of all maps.
    pub fn factor(self) -> Element {
        self.precision().factor()
    }

    /// # Panics
    /// If the node is no convolution.
    pub fn filter(self, node: NodeId) -> Filter {
        match *self.operation(node) {
            Operation::Convolution { kernel, stride, .. } => Filter { side: kernel, stride },
            _ => unreachable!("{} is no convolution", self.name(node)),
        }
    }

    pub fn reads(self, fused: &Fused) -> Reads {
        let input = self.inputs(fused.convolution)[0];
        if *self.operation(input) == Operation::Coordinates {
            return Reads { source: self.inputs(input)[0], depthwise: None, coordinates: Some(input) };
        }
        let (norm, convolution) = match self.operation(input) {
            Operation::BatchNorm { .. } => (Some(input), self.inputs(input)[0]),
            _ => (None, input),
        };
        match self.operation(convolution) {
            Operation::Convolution { depthwise: true, .. } => {
                let depthwise = Some(DepthwiseNodes { convolution, norm });
                Reads { source: self.inputs(convolution)[0], depthwise, coordinates: None }
            }
            _ => Reads { source: input, depthwise: None, coordinates: None },
        }
    }

    /// The heatmaps whose boundary map gates two of the coordinate channels of the node `coordinates`, if any.
    pub fn gating_heatmaps(self, coordinates: NodeId) -> Option<NodeId> {
        self.inputs(coordinates).get(1).copied()
    }

    /// Whether the node's value needs a step that only adds maps.
    pub fn is_sum(self, node: NodeId) -> bool {
        let adds = matches!(
            self.operation(node),
            Operation::Add { .. } | Operation::Upsample | Operation::AveragePool | Operation::Concat
        );
        adds && self.fusion.needed[node] && !self.fusion.writers.contains_key(&node)
    }

    /// Batch norms on a value that the step which computes the value writes too.
    pub fn norms_of(self, value: NodeId) -> impl Iterator<Item = NodeId> {
        let is_norm = move |reader: NodeId| matches!(self.operation(reader), Operation::BatchNorm { .. });
        let is_fused = move |reader: NodeId| {
            self.fusion.fused.iter().any(|fused| fused.norm == Some(reader) || fused.inner.contains(&reader))
        };
        let readers = self.fusion.readers[value].iter().copied();
        readers.filter(move |&reader| is_norm(reader) && !is_fused(reader))
    }
}
