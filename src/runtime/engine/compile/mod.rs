//! The compiler: from a model's graph to the draft of a plan.
//!
//! In: a [`Model`] and a [`Target`]. Out: a [`Draft`]: which maps there are, with which borders and element types, and
//! the steps that write them, in order. [`super::place`] then gives the maps their memory.
//!
//! Steps are added on demand, beginning with the outputs, so that nothing is computed that no output needs; the steps
//! that write what a step reads come before it. Each kind of node has a file of its own:
//!
//! | file | lowers |
//! |---|---|
//! | `convolution` | a fused convolution to a product |
//! | `depthwise` | the depthwise convolution in front of a 1x1 convolution to the product's left factor |
//! | `integer` | both to one product in 8-bit integers, where `levels` knows the ranges of all maps |
//! | `coordinates` | coordinate channels to a gate, to constant factors or to a bias that depends on the position |
//! | `sums` | additions, up-sampling, pooling and concatenation that no convolution does along the way |
//!
//! `context` answers questions about the network, `needs` lists what is read from memory, `maps` makes maps and tables,
//! `stores` says where a step's results go.

mod context;
mod convolution;
mod coordinates;
mod depthwise;
mod integer;
mod levels;
mod maps;
mod needs;
mod stores;
mod sums;

use super::EngineError;
use super::fuse::Fusion;
use super::pack::Vectors;
use super::plan::{Action, Draft, Element, InMap, Map, MapId, Picture, Step, StepPrecision};
use crate::runtime::model::Model;
use crate::runtime::model::graph::{NodeId, Operation};
use context::Context;
use maps::{Maps, Window};
use needs::Needs;
use std::collections::{HashMap, HashSet};

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    pub vectors: Vectors,
    /// Of the products. In int8, those that [`levels`] names; the others are in f32.
    pub precision: StepPrecision,
    /// Maps of the last stack that decoding reads.
    pub channels: usize,
    /// Whether all maps of every stack are requested too.
    pub all: bool,
}

/// Makes the draft of a model's plan.
///
/// # Errors
/// [`EngineError::Unsupported`] for a sequence of operations that no network of this crate has.
pub(super) fn compile(model: &Model, target: &Target) -> Result<Draft, EngineError> {
    let graph = model.config().graph();
    let last = *graph.outputs.last().expect("a network has an output");
    let outputs = if target.all { graph.outputs.clone() } else { vec![last] };
    let fusion = Fusion::new(&graph, &outputs);
    let context = Context { model, graph: &graph, fusion: &fusion, outputs: &outputs, target: *target };
    let mut compiler = Compiler {
        context,
        needs: Needs::find(context)?,
        maps: Maps::default(),
        results: HashMap::new(),
        steps: Vec::new(),
        lowered: HashSet::new(),
    };
    let output = compiler.result_map(last, target.channels);
    let mut stacks = Vec::new();
    if target.all {
        for &node in &outputs {
            stacks.push(compiler.result_map(node, context.channels(node)));
        }
    }
    for &node in &outputs {
        compiler.lower(node)?;
    }
    let Compiler { maps, steps, .. } = compiler;
    let Maps { maps, tables, constants, .. } = maps;
    Ok(Draft { steps, maps, tables, constants, output, stacks })
}

struct Compiler<'a> {
    context: Context<'a>,
    needs: Needs,
    maps: Maps,
    /// Maps for the caller that a node's value is written to.
    results: HashMap<NodeId, Vec<MapId>>,
    steps: Vec<Step<InMap>>,
    /// Values and fused convolutions that have their steps.
    lowered: HashSet<Lowered>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Lowered {
    Value(NodeId),
    /// By its number in [`Fusion::fused`].
    Convolution(usize),
}

impl Compiler<'_> {
    /// Makes sure that steps write the node's value, in all element types that are read.
    fn lower(&mut self, node: NodeId) -> Result<(), EngineError> {
        if !self.lowered.insert(Lowered::Value(node)) {
            return Ok(());
        }
        let context = self.context;
        if let Some(writers) = context.fusion.writers.get(&node) {
            return writers.iter().try_for_each(|&writer| self.lower_convolution(writer));
        }
        match *context.operation(node) {
            Operation::BatchNorm { .. } => self.lower(context.inputs(node)[0]),
            Operation::Input => self.lower_input(node),
            Operation::Coordinates => self.lower_gate(node),
            _ if context.is_sum(node) => self.lower_sum(node),
            _ => Err(context.unsupported(node, "no step computes it by itself")),
        }
    }

    fn lower_input(&mut self, node: NodeId) -> Result<(), EngineError> {
        let context = self.context;
        if context.factor() != Element::F32 && self.needs.border(node, Element::F32).is_some() {
            return Err(context.unsupported(node, "the picture is read by dense convolutions only"));
        }
        for precision in [context.precision(), StepPrecision::Int8] {
            if self.needs.border(node, precision.factor()).is_none() {
                continue;
            }
            let map = self.map(node, precision.factor());
            let &Map { width, channels, .. } = self.maps.get(map);
            let picture = Picture {
                start: self.maps.start(map, Window::SAME),
                row_bytes: self.maps.get(map).row_bytes(),
                row_values: width * channels,
            };
            self.push_step("picture".to_owned(), precision, Action::Picture(picture));
        }
        Ok(())
    }

    /// Adds a step without multiplications.
    fn push_step(&mut self, name: String, precision: StepPrecision, action: Action<InMap>) {
        self.steps.push(Step { name, precision, action, multiply_adds: 0, depthwise_multiply_adds: 0 });
    }

    /// A map for the caller: f32, without padding or border. The steps write the first `channels` of the node's value
    /// to it.
    fn result_map(&mut self, node: NodeId, channels: usize) -> MapId {
        let size = self.context.size(node);
        let map = self.maps.push(Map::pinned(size, channels, channels, Element::F32));
        self.results.entry(node).or_default().push(map);
        map
    }
}
