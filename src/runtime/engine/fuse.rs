//! Fuses operations of the graph into steps: each dense convolution together with what follows it.
//!
//! In: the graph and the requested nodes. Out: the fused convolutions, and the readers and writers of each value.

use crate::runtime::model::graph::{Graph, NodeId, Operation};
use std::collections::{HashMap, HashSet};

/// A term that a step adds to its convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Residual {
    pub node: NodeId,
    /// Whether the term has half the height and width, so that each of its cells is added to four.
    pub upsampled: bool,
    /// Whether a ReLU follows the addition.
    pub relu: bool,
}

/// A dense convolution, and the operations on its result before it leaves the registers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fused {
    pub convolution: NodeId,
    /// The batch norm that is folded into it.
    pub norm: Option<NodeId>,
    /// Whether a ReLU follows them.
    pub relu: bool,
    /// Batch norms of the result before the residuals are added, each a value of its own.
    pub inner: Vec<NodeId>,
    pub residuals: Vec<Residual>,
    /// The node to whose value it writes, beginning at channel `channel`.
    pub value: NodeId,
    pub channel: usize,
}

/// The graph in terms of its fused convolutions.
pub(super) struct Fusion {
    /// Nodes that the wanted outputs depend on.
    pub needed: Vec<bool>,
    /// Needed nodes that read each node.
    pub readers: Vec<Vec<NodeId>>,
    pub fused: Vec<Fused>,
    /// For each value or inner batch norm: the convolutions that write it, by number in `fused`.
    pub writers: HashMap<NodeId, Vec<usize>>,
}

impl Fusion {
    /// Fuses the convolutions that `outputs` depend on.
    pub fn new(graph: &Graph, outputs: &[NodeId]) -> Self {
        let mut needed = vec![false; graph.nodes.len()];
        outputs.iter().for_each(|&o| needed[o] = true);
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for id in (0..graph.nodes.len()).rev().filter(|&id| graph.nodes[id].operation != Operation::Input) {
            if needed[id] {
                for &input in &graph.nodes[id].inputs {
                    needed[input] = true;
                    readers[input].push(id);
                }
            }
        }
        let mut fusion = Self { needed, readers, fused: Vec::new(), writers: HashMap::new() };
        let mut claims = HashMap::new();
        for id in 0..graph.nodes.len() {
            if fusion.needed[id]
                && let Operation::Convolution { depthwise: false, .. } = graph.nodes[id].operation
            {
                let fused = fusion.follow(graph, outputs, id, &mut claims);
                let number = fusion.fused.len();
                for &value in fused.inner.iter().chain([&fused.value]) {
                    fusion.writers.entry(value).or_default().push(number);
                }
                fusion.fused.push(fused);
            }
        }
        fusion
    }

    /// Follows the result of `convolution` as far as it can stay in registers. `claims` holds, for each addition, the
    /// input whose convolution computes it.
    fn follow(
        &self,
        graph: &Graph,
        outputs: &[NodeId],
        convolution: NodeId,
        claims: &mut HashMap<NodeId, NodeId>,
    ) -> Fused {
        let operation = |id: NodeId| &graph.nodes[id].operation;
        let mut fused = Fused {
            convolution,
            norm: None,
            relu: false,
            inner: Vec::new(),
            residuals: Vec::new(),
            value: convolution,
            channel: 0,
        };
        if outputs.contains(&convolution) {
            return fused;
        }
        if let [norm] = self.readers[convolution][..]
            && let Operation::BatchNorm { relu, .. } = *operation(norm)
        {
            (fused.norm, fused.relu, fused.value) = (Some(norm), relu, norm);
        }
        let mut concatenated = false;
        while !outputs.contains(&fused.value) {
            let (norms, others): (Vec<NodeId>, Vec<NodeId>) =
                self.readers[fused.value].iter().partition(|&&r| matches!(operation(r), Operation::BatchNorm { .. }));
            let &[reader] = &others[..] else { break };
            // Batch norms beside the reader can be computed only from the value before any residual is added.
            if !norms.is_empty() && (concatenated || !fused.residuals.is_empty()) {
                break;
            }
            match *operation(reader) {
                Operation::Concat if !concatenated && fused.residuals.is_empty() => {
                    let parts = &graph.nodes[reader].inputs;
                    if !parts.iter().all(|&part| self.is_only_concatenated(graph, part, reader)) {
                        break;
                    }
                    let before = parts.iter().take_while(|&&part| part != fused.value);
                    fused.channel = before.map(|&part| graph.nodes[part].channels).sum();
                    concatenated = true;
                    fused.value = reader;
                }
                Operation::Add { relu } => {
                    let inputs = &graph.nodes[reader].inputs;
                    let other = if inputs[0] == fused.value { inputs[1] } else { inputs[0] };
                    let mine = *claims.entry(reader).or_insert(fused.value) == fused.value;
                    if !mine || other == fused.value || self.depends(graph, other, convolution) {
                        break;
                    }
                    fused.residuals.push(match operation(other) {
                        Operation::Upsample => Residual { node: graph.nodes[other].inputs[0], upsampled: true, relu },
                        _ => Residual { node: other, upsampled: false, relu },
                    });
                    fused.value = reader;
                }
                _ => break,
            }
            fused.inner.extend(norms);
        }
        fused
    }

    /// Whether `part` is a bare convolution that nothing but `concat` and batch norms read.
    fn is_only_concatenated(&self, graph: &Graph, part: NodeId, concat: NodeId) -> bool {
        let is_norm = |r: NodeId| matches!(graph.nodes[r].operation, Operation::BatchNorm { .. });
        matches!(graph.nodes[part].operation, Operation::Convolution { depthwise: false, .. })
            && self.readers[part].iter().filter(|&&r| r == concat).count() == 1
            && self.readers[part].iter().all(|&r| r == concat || is_norm(r))
    }

    fn depends(&self, graph: &Graph, node: NodeId, on: NodeId) -> bool {
        let (mut open, mut seen) = (vec![node], HashSet::new());
        while let Some(id) = open.pop() {
            if id == on {
                return true;
            }
            if id > on && seen.insert(id) {
                open.extend(&graph.nodes[id].inputs);
            }
        }
        false
    }
}
