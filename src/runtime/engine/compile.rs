//! From the network's graph to the plan: which maps there are, in which order the steps write them, where they lie.
//!
//! Steps are made on demand, beginning with the outputs, so that nothing is computed that no output needs; a step that
//! adds a residual comes after the residual's own.

use super::EngineError;
use super::fold;
use super::fuse::{Fused, Fusion, Residual};
use super::memory::Memory;
use super::pack::{Vectors, pack};
use super::place::place;
use super::plan::{
    Action, Affine, Arithmetic, Bias, CHANNEL_MULTIPLE, Cells, Depthwise, Map, MapId, Plan, Product, Segment, Step,
    Store, Term,
};
use crate::runtime::model::graph::{Graph, NodeId, Operation, coordinate_planes};
use crate::runtime::model::{INT8_LIMIT, Model};
use std::collections::{HashMap, HashSet};

/// Bytes of a strip of depthwise output: it has to stay in the nearest cache beside the weights.
const STRIP_BYTES: usize = 24 * 1024;
/// Weights up to so many bytes are read again for every chunk of cells rather than the cells for every block of weights.
const FEW_WEIGHTS_BYTES: usize = 256 * 1024;
/// A map of more bytes does not stay in the near caches from one step to the next.
const NEAR_BYTES: usize = 512 * 1024;
/// Cells of a chunk.
const CHUNK_CELLS: usize = 192;

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    pub vectors: Vectors,
    /// Of all products but those that `bytes` is about.
    pub arithmetic: Arithmetic,
    /// Whether products behind a depthwise convolution of known range are done in bytes.
    pub bytes: bool,
    /// Maps of the last stack that decoding reads.
    pub channels: usize,
    /// Whether all maps of every stack are wanted too.
    pub all: bool,
}

/// Makes the plan of a model.
///
/// # Errors
/// [`EngineError::Unsupported`] for a sequence of operations that no network of this crate has.
pub(super) fn compile(model: &Model, target: &Target) -> Result<Plan, EngineError> {
    let graph = model.config().graph();
    let last = *graph.outputs.last().expect("a network has an output");
    let outputs = if target.all { graph.outputs.clone() } else { vec![last] };
    let fusion = Fusion::new(&graph, &outputs);
    let mut compiler = Compiler {
        model,
        graph: &graph,
        target,
        fusion: &fusion,
        needs: HashMap::new(),
        maps: Vec::new(),
        map_of: HashMap::new(),
        tables: Vec::new(),
        table_of: HashMap::new(),
        results: HashMap::new(),
        constants: Vec::new(),
        planes_of: HashMap::new(),
        steps: Vec::new(),
        done: HashSet::new(),
    };
    let exact = |c: &mut Compiler<'_>, node: NodeId, channels: usize| {
        let (height, width) = c.size(node);
        let map = Map { height, width, channels, pitch: channels, border: 0, bytes_each: 4, pinned: true, start: 0 };
        let id = c.push_map(map);
        c.results.entry(node).or_default().push(id);
        id
    };
    let output = exact(&mut compiler, last, target.channels);
    let mut stacks = Vec::new();
    if target.all {
        for &node in &outputs {
            stacks.push(exact(&mut compiler, node, graph.nodes[node].channels));
        }
    }
    compiler.find_needs()?;
    for &node in &outputs {
        compiler.write(node)?;
    }
    let Compiler { mut maps, tables, mut steps, constants, .. } = compiler;
    let bytes = place(&mut maps, &mut steps);
    for step in &mut steps {
        step.for_each_cells(|cells| cells.start += maps[cells.map].start);
    }
    let mut memory = Memory::new(bytes);
    for (map, values) in constants {
        memory.write(maps[map].start, &values);
    }
    Ok(Plan { steps, maps, tables, output, stacks, memory })
}

/// How a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Form {
    /// In single precision.
    Single,
    /// As factors of matrix products.
    Factors,
}

struct Compiler<'a> {
    model: &'a Model,
    graph: &'a Graph,
    target: &'a Target,
    fusion: &'a Fusion,
    /// Border that the readers of a value in a form need.
    needs: HashMap<(NodeId, Form), usize>,
    maps: Vec<Map>,
    map_of: HashMap<(NodeId, Form), MapId>,
    tables: Vec<Vec<u32>>,
    table_of: HashMap<[usize; 6], usize>,
    /// Maps for the caller that a node's value goes to.
    results: HashMap<NodeId, Vec<MapId>>,
    /// Maps whose values never change.
    constants: Vec<(MapId, Vec<u8>)>,
    /// The coordinates of maps of a size.
    planes_of: HashMap<(usize, usize), MapId>,
    steps: Vec<Step>,
    /// Values and fused convolutions that have their step.
    done: HashSet<Done>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Done {
    Value(NodeId),
    Fused(usize),
}

impl Compiler<'_> {
    fn operation(&self, node: NodeId) -> &Operation {
        &self.graph.nodes[node].operation
    }

    fn channels(&self, node: NodeId) -> usize {
        self.graph.nodes[node].channels
    }

    /// Rows and columns of a node's value.
    fn size(&self, node: NodeId) -> (usize, usize) {
        let stride = self.graph.nodes[node].stride;
        (self.target.height / stride, self.target.width / stride)
    }

    fn name(&self, node: NodeId) -> &str {
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

    fn unsupported(&self, node: NodeId, reason: &'static str) -> EngineError {
        EngineError::Unsupported { layer: self.name(node).to_owned(), reason }
    }

    /// In single-precision arithmetic there is only one form.
    fn factors(&self) -> Form {
        if self.target.arithmetic == Arithmetic::Single { Form::Single } else { Form::Factors }
    }

    fn need(&mut self, node: NodeId, form: Form, border: usize) {
        let known = self.needs.entry((node, form)).or_default();
        *known = (*known).max(border);
    }

    /// What a fused convolution reads: the depthwise convolution in front of it with that one's batch norm, if any, and
    /// the node whose value is read.
    fn depthwise_of(&self, fused: &Fused) -> Option<(NodeId, Option<NodeId>, NodeId)> {
        let input = self.graph.nodes[fused.convolution].inputs[0];
        let (norm, convolution) = match self.operation(input) {
            Operation::BatchNorm { .. } => (Some(input), self.graph.nodes[input].inputs[0]),
            _ => (None, input),
        };
        match self.operation(convolution) {
            Operation::Convolution { depthwise: true, .. } => {
                Some((convolution, norm, self.graph.nodes[convolution].inputs[0]))
            }
            _ => None,
        }
    }

    /// Fills `needs`, from the readers to what they read.
    fn find_needs(&mut self) -> Result<(), EngineError> {
        let fusion = self.fusion;
        for fused in &fusion.fused {
            let &Operation::Convolution { kernel, .. } = self.operation(fused.convolution) else { continue };
            let input = self.graph.nodes[fused.convolution].inputs[0];
            if let Some((depthwise, norm, source)) = self.depthwise_of(fused) {
                let &Operation::Convolution { kernel: side, stride, .. } = self.operation(depthwise) else { continue };
                if kernel != 1 || !matches!((side, stride), (3 | 5, 1 | 2)) {
                    return Err(
                        self.unsupported(depthwise, "depthwise filters are 3x3 or 5x5, a 1x1 convolution follows")
                    );
                }
                if norm.is_some_and(|n| matches!(self.operation(n), Operation::BatchNorm { relu: true, .. })) {
                    return Err(self.unsupported(depthwise, "no ReLU stands between depthwise and 1x1"));
                }
                self.need(source, Form::Single, side / 2);
            } else if *self.operation(input) == Operation::Coordinates {
                let inputs = &self.graph.nodes[input].inputs;
                self.need(inputs[0], self.factors(), kernel / 2);
                if let Some(&heatmaps) = inputs.get(1) {
                    self.need(input, self.factors(), kernel / 2);
                    self.need(heatmaps, Form::Single, 0);
                }
            } else {
                self.need(input, self.factors(), kernel / 2);
            }
            for residual in &fused.residuals {
                self.need(residual.node, Form::Single, 0);
            }
        }
        for node in (0..self.graph.nodes.len()).rev() {
            let part_is_whole = |&part: &NodeId| self.channels(part).is_multiple_of(CHANNEL_MULTIPLE);
            if *self.operation(node) == Operation::Concat
                && let Some(part) = self.graph.nodes[node].inputs.iter().copied().find(|part| !part_is_whole(part))
            {
                return Err(self.unsupported(part, "parts of a concatenation have a multiple of 16 channels"));
            }
            if self.is_combined(node) && self.is_wanted(node) {
                for &input in &self.graph.nodes[node].inputs {
                    self.need(input, Form::Single, 0);
                }
            }
        }
        Ok(())
    }

    /// Whether the node's value needs a step of its own that only adds maps up.
    fn is_combined(&self, node: NodeId) -> bool {
        let combines = matches!(
            self.operation(node),
            Operation::Add { .. } | Operation::Upsample | Operation::AveragePool | Operation::Concat
        );
        combines && self.fusion.needed[node] && !self.fusion.writers.contains_key(&node)
    }

    /// Whether anybody reads the node's value, or that of a batch norm on it, from memory.
    fn is_wanted(&self, node: NodeId) -> bool {
        let read = |n: NodeId| [Form::Single, Form::Factors].iter().any(|&f| self.needs.contains_key(&(n, f)));
        read(node) || self.results.contains_key(&node) || self.norms_of(node).any(read)
    }

    /// Batch norms on a value that the value's own step computes.
    fn norms_of(&self, value: NodeId) -> impl Iterator<Item = NodeId> {
        let is_norm = move |r: &&NodeId| matches!(self.operation(**r), Operation::BatchNorm { .. });
        let is_folded = move |r: &&NodeId| self.fusion.fused.iter().any(|f| f.norm == Some(**r));
        let is_inner = move |r: &&NodeId| self.fusion.fused.iter().any(|f| f.inner.contains(r));
        let readers = self.fusion.readers[value].iter();
        readers.filter(is_norm).filter(move |r| !is_folded(r) && !is_inner(r)).copied()
    }

    fn push_map(&mut self, map: Map) -> MapId {
        self.maps.push(map);
        self.maps.len() - 1
    }

    fn map(&mut self, node: NodeId, form: Form) -> MapId {
        if let Some(&map) = self.map_of.get(&(node, form)) {
            return map;
        }
        let (height, width) = self.size(node);
        // Of coordinates only the gated ones are a map.
        let gated = *self.operation(node) == Operation::Coordinates;
        let channels = if gated { 2 } else { self.channels(node) };
        let exact = *self.operation(node) == Operation::Input;
        let pitch = if exact { channels } else { channels.next_multiple_of(CHANNEL_MULTIPLE) };
        let border = self.needs.get(&(node, form)).copied().unwrap_or(0);
        let bytes_each = if form == Form::Single { 4 } else { self.target.arithmetic.factor_bytes() };
        let map = self.push_map(Map { height, width, channels, pitch, border, bytes_each, pinned: false, start: 0 });
        self.map_of.insert((node, form), map);
        map
    }

    /// The cells of `map` for the cells of an output of `size`: output cell `(r, c)` reads `(r * stride >> up, ...)` plus
    /// `shift` in both directions, from `channel` on.
    fn cells(
        &mut self,
        map: MapId,
        size: (usize, usize),
        stride: usize,
        up: usize,
        shift: isize,
        channel: usize,
    ) -> Cells {
        let m = &self.maps[map];
        let start = m.cell(shift, shift) + channel * m.bytes_each;
        let (row_bytes, pitch_bytes) = (m.row_bytes(), m.pitch_bytes());
        let key = [size.0, size.1, row_bytes, pitch_bytes, stride, up];
        let table = *self.table_of.entry(key).or_insert_with(|| {
            let at = |i: usize, bytes: usize| (((i * stride) >> up) * bytes) as u32;
            let rows = 0..size.0;
            self.tables
                .push(rows.flat_map(|r| (0..size.1).map(move |c| at(r, row_bytes) + at(c, pitch_bytes))).collect());
            self.tables.len() - 1
        });
        Cells { map, start, table }
    }

    /// Sees to it that the node's value is written, in all forms that are needed.
    fn write(&mut self, node: NodeId) -> Result<(), EngineError> {
        if !self.done.insert(Done::Value(node)) {
            return Ok(());
        }
        if let Some(writers) = self.fusion.writers.get(&node) {
            for &writer in writers {
                self.write_fused(writer)?;
            }
            return Ok(());
        }
        match *self.operation(node) {
            Operation::BatchNorm { .. } => self.write(self.graph.nodes[node].inputs[0]),
            Operation::Input => {
                let to = self.map(node, self.factors());
                if self.needs.len() > 1
                    && self.factors() != Form::Single
                    && self.needs.contains_key(&(node, Form::Single))
                {
                    return Err(self.unsupported(node, "the picture is read by dense convolutions only"));
                }
                self.steps.push(Step {
                    name: "picture".into(),
                    action: Action::Picture { to },
                    multiply_adds: 0,
                    clears: Vec::new(),
                });
                Ok(())
            }
            Operation::Coordinates => self.write_gate(node),
            _ if self.is_combined(node) => self.write_combined(node),
            _ => Err(self.unsupported(node, "no step computes it by itself")),
        }
    }

    fn write_gate(&mut self, node: NodeId) -> Result<(), EngineError> {
        let Some(&heatmaps) = self.graph.nodes[node].inputs.get(1) else {
            return Err(self.unsupported(node, "only a convolution reads coordinates"));
        };
        self.write(heatmaps)?;
        let (height, width) = self.size(node);
        let boundary = self.map(heatmaps, Form::Single);
        let boundary = self.cells(boundary, (height, width), 1, 0, 0, self.channels(heatmaps) - 1);
        let to = self.map(node, self.factors());
        let to = self.cells(to, (height, width), 1, 0, 0, 0);
        let coordinates = coordinate_planes(height, width).chunks_exact(3).map(|p| [p[0], p[1]]).collect();
        let action = Action::Gate { boundary, to, coordinates };
        self.steps.push(Step { name: "gated coordinates".into(), action, multiply_adds: 0, clears: Vec::new() });
        Ok(())
    }

    /// Everything that is written of `value`: itself in the forms that are read, for the caller, and its batch norms.
    /// `channel` is the first that the step computes, of `count`.
    fn stores(&mut self, value: NodeId, channel: usize, count: usize) -> Vec<Store> {
        let mut stores = self.forms(value, None, channel, count);
        for map in self.results.get(&value).cloned().unwrap_or_default() {
            let room = (self.maps[map].channels - channel).min(count);
            let cells = self.cells(map, self.size(value), 1, 0, 0, channel);
            stores.push(Store { cells, room, affine: None, narrow: false });
        }
        for norm in self.norms_of(value).collect::<Vec<_>>() {
            stores.extend(self.forms(norm, Some(norm), channel, count));
        }
        stores
    }

    /// A store for every form in which `node` is read; `norm` is the batch norm between the step's value and it.
    fn forms(&mut self, node: NodeId, norm: Option<NodeId>, channel: usize, count: usize) -> Vec<Store> {
        let mut stores = Vec::new();
        for form in [Form::Single, Form::Factors] {
            if !self.needs.contains_key(&(node, form)) {
                continue;
            }
            let map = self.map(node, form);
            let cells = self.cells(map, self.size(node), 1, 0, 0, channel);
            // The parts of a map are whole vectors, and behind its last channel there is room for them.
            let room = self.maps[map].pitch - channel;
            let affine = match norm.map(|n| self.operation(n)) {
                Some(Operation::BatchNorm { name, relu }) => {
                    let (scale, shift) = fold::norm(self.model, name);
                    let part = |all: &[f32]| self.target.vectors.fill_up(&all[channel..channel + count]);
                    Some(Affine { scale: part(&scale), shift: part(&shift), relu: *relu })
                }
                _ => None,
            };
            stores.push(Store { cells, room, affine, narrow: form == Form::Factors });
        }
        stores
    }

    fn term(&mut self, residual: Residual, size: (usize, usize), channel: usize) -> Term {
        let map = self.map(residual.node, Form::Single);
        let cells = self.cells(map, size, 1, usize::from(residual.upsampled), 0, channel);
        Term { cells, relu: residual.relu }
    }

    /// A step, or several, that only add maps up.
    fn write_combined(&mut self, node: NodeId) -> Result<(), EngineError> {
        let inputs = self.graph.nodes[node].inputs.clone();
        for &input in &inputs {
            self.write(input)?;
        }
        let size = self.size(node);
        let mut parts = Vec::new();
        match *self.operation(node) {
            Operation::Concat => {
                let mut channel = 0;
                for &input in &inputs {
                    let residual = Residual { node: input, upsampled: false, relu: false };
                    parts.push((vec![self.term(residual, size, 0)], channel, self.channels(input), 1.0));
                    channel += self.channels(input);
                }
            }
            Operation::AveragePool => {
                let map = self.map(inputs[0], Form::Single);
                let first = self.cells(map, size, 2, 0, 0, 0);
                let (row, pitch) = (self.maps[map].row_bytes(), self.maps[map].pitch_bytes());
                let taps = [0, pitch, row, row + pitch];
                let term = |tap| Term { cells: Cells { start: first.start + tap, ..first.clone() }, relu: false };
                parts.push((taps.map(term).to_vec(), 0, self.channels(node), 0.25));
            }
            ref operation => {
                let upsampled = *operation == Operation::Upsample;
                let with_relu = *operation == Operation::Add { relu: true };
                let last = inputs.len() - 1;
                let residual = |(i, &node)| Residual { node, upsampled, relu: with_relu && i == last };
                let terms = inputs.iter().enumerate().map(residual).map(|r| self.term(r, size, 0)).collect();
                parts.push((terms, 0, self.channels(node), 1.0));
            }
        }
        for (terms, channel, count, scale) in parts {
            let (blocks, weights) = pack(self.target.vectors, self.target.arithmetic, count, &[], |_, _| 0.0);
            let product = Product {
                cells: size.0 * size.1,
                arithmetic: self.target.arithmetic,
                units: None,
                depthwise: None,
                segments: Vec::new(),
                weights,
                blocks,
                bias: Bias::Channels(self.target.vectors.fill_up(&vec![0.0; count])),
                relu: false,
                inner: Vec::new(),
                terms,
                scale,
                stores: self.stores(node, channel, count),
                chunk: CHUNK_CELLS,
                prefetch: false,
            };
            let name = self.name(node).to_owned();
            self.steps.push(Step {
                name,
                action: Action::Product(Box::new(product)),
                multiply_adds: 0,
                clears: Vec::new(),
            });
        }
        Ok(())
    }

    fn write_fused(&mut self, number: usize) -> Result<(), EngineError> {
        if !self.done.insert(Done::Fused(number)) {
            return Ok(());
        }
        let fusion = self.fusion;
        let fused = &fusion.fused[number];
        let &Operation::Convolution { kernel, stride, .. } = self.operation(fused.convolution) else {
            return Err(self.unsupported(fused.convolution, "it is no convolution"));
        };
        let depthwise = self.depthwise_of(fused);
        let input = self.graph.nodes[fused.convolution].inputs[0];
        let coordinates = (*self.operation(input) == Operation::Coordinates).then_some(input);
        let source = match (depthwise, coordinates) {
            (Some((_, _, source)), _) => source,
            (_, Some(coordinates)) => self.graph.nodes[coordinates].inputs[0],
            _ => input,
        };
        let gated = coordinates.filter(|&c| self.graph.nodes[c].inputs.len() == 2);
        self.write(source)?;
        if let Some(gated) = gated {
            self.write(gated)?;
        }
        for residual in &fused.residuals {
            self.write(residual.node)?;
        }

        let size = self.size(fused.convolution);
        // The last stack's boundary map is not computed where nobody reads it.
        let outputs = if self.needs.contains_key(&(fused.value, Form::Single))
            || self.needs.contains_key(&(fused.value, Form::Factors))
        {
            self.channels(fused.convolution)
        } else if let Some(results) = self.results.get(&fused.value) {
            results.iter().map(|&map| self.maps[map].channels).max().unwrap_or(0)
        } else {
            self.channels(fused.convolution)
        };
        let norm = fused.norm.map(|n| self.name(n));
        let name = self.name(fused.convolution);
        let (mut weights, mut bias) = fold::convolution(self.model, name, self.channels(fused.convolution), norm);
        let inputs = self.channels(input);
        let taps = kernel * kernel;
        let mut factors = Vec::new();
        let mut segments = Vec::new();
        let mut terms = Vec::new();
        let mut multiply_adds = (size.0 * size.1 * taps * inputs * outputs) as u64;
        let mut name = name.to_owned();
        let mut first_part = None;
        let (mut arithmetic, mut units) = (self.target.arithmetic, None);
        if let Some((convolution, depthwise_norm, source)) = depthwise {
            let unit = self.unit_of_bytes(&name);
            let (part, shift) = self.depthwise(convolution, depthwise_norm, source, unit.unwrap_or(1.0));
            // A constant before the 1x1 convolution is another one behind it.
            for (bias, weights) in bias.iter_mut().zip(weights.chunks_exact(inputs)) {
                *bias += weights.iter().zip(&shift).map(|(w, s)| w * s).sum::<f32>();
            }
            if let Some(unit) = unit {
                let of_sums = fold::bytes(&mut weights, &mut bias, unit);
                (arithmetic, units) = (Arithmetic::Int8, Some(self.target.vectors.fill_up(&of_sums[..outputs])));
            }
            factors.extend((0..part.channels).map(|c| Some(c).filter(|&c| c < inputs)));
            let groups = part.channels / arithmetic.group();
            segments.push(Segment { cells: None, taps: vec![0], groups });
            multiply_adds += (size.0 * size.1 * part.kernel * part.kernel * inputs) as u64;
            name = format!("{} + {name}", self.name(convolution));
            first_part = Some(part);
        } else {
            let channels = self.channels(source);
            let map = self.map(source, self.factors());
            segments.push(self.segment(map, 0..channels, kernel, stride, size, &mut factors));
        }
        if let Some(gated) = gated {
            let map = self.map(gated, self.factors());
            segments.push(self.segment(map, inputs - 2..inputs, kernel, stride, size, &mut factors));
        }
        // Three more channels cost a 1x1 convolution less than reading a map.
        if let Some(coordinates) = coordinates.filter(|_| kernel == 1) {
            let planes = self.coordinate_factors(self.size(coordinates));
            let first = self.channels(source);
            segments.push(self.segment(planes, first..first + 3, kernel, stride, size, &mut factors));
        }
        let start = match coordinates.filter(|_| kernel > 1) {
            Some(_) => Bias::Cells(self.position_bias(source, fused.convolution, &weights, &bias)),
            None => Bias::Channels(self.target.vectors.fill_up(&bias[..outputs])),
        };
        for &residual in &fused.residuals {
            terms.push(self.term(residual, size, fused.channel));
        }
        let each = inputs * taps;
        let weight = |output: usize, factor: usize| weights[output * each + factor];
        let (blocks, packed) = pack(self.target.vectors, arithmetic, outputs, &factors, weight);
        let mut inner = Vec::new();
        for &norm in &fused.inner {
            inner.extend(self.forms(norm, Some(norm), 0, outputs));
        }
        let cells = size.0 * size.1;
        let tile = self.target.vectors.tile_cells(&blocks);
        let chunk = match &mut first_part {
            Some(part) => {
                part.strip_rows = self.strip_rows(part, size.0, tile);
                part.strip_rows * part.width
            }
            None if packed.bytes() > FEW_WEIGHTS_BYTES => cells,
            None => CHUNK_CELLS,
        };
        let product = Product {
            cells,
            arithmetic,
            units,
            depthwise: first_part,
            segments,
            weights: packed,
            blocks,
            bias: start,
            relu: fused.relu,
            inner,
            terms,
            scale: 1.0,
            stores: self.stores(fused.value, fused.channel, outputs),
            chunk,
            prefetch: cells * outputs * 4 > NEAR_BYTES,
        };
        self.steps.push(Step { name, action: Action::Product(Box::new(product)), multiply_adds, clears: Vec::new() });
        Ok(())
    }

    /// What one counts in the left factor of the 1x1 convolution `layer`, if that is to be done in bytes.
    fn unit_of_bytes(&self, layer: &str) -> Option<f32> {
        let quantization = self.model.config().quantization.as_ref().filter(|_| self.target.bytes)?;
        Some(quantization.input_ranges.get(layer)? / INT8_LIMIT)
    }

    /// The depthwise part of a step, whose results are counted in `unit`s, and the constant that its batch norm adds.
    fn depthwise(
        &mut self,
        convolution: NodeId,
        norm: Option<NodeId>,
        source: NodeId,
        unit: f32,
    ) -> (Depthwise, Vec<f32>) {
        let &Operation::Convolution { kernel, stride, .. } = self.operation(convolution) else {
            unreachable!("a depthwise part is a convolution")
        };
        let channels = self.channels(convolution);
        let (layer, norm) = (self.name(convolution), norm.map(|n| self.name(n)));
        let (weights, shift) = fold::convolution(self.model, layer, channels, norm);
        let padded = channels.next_multiple_of(CHANNEL_MULTIPLE);
        let taps = kernel * kernel;
        let mut by_tap = vec![0.0; taps * padded];
        for (channel, filter) in weights.chunks_exact(taps).enumerate() {
            for (tap, &weight) in filter.iter().enumerate() {
                by_tap[tap * padded + channel] = weight / unit;
            }
        }
        let size = self.size(convolution);
        let map = self.map(source, Form::Single);
        let cells = self.cells(map, size, stride, 0, -(kernel as isize / 2), 0);
        let map = &self.maps[map];
        let part = Depthwise {
            cells,
            row_bytes: map.row_bytes(),
            pitch_bytes: map.pitch_bytes(),
            kernel,
            stride,
            channels: padded,
            width: size.1,
            strip_rows: 1,
            weights: Memory::of(&by_tap),
        };
        (part, shift)
    }

    /// Rows of a strip that fills the tiles best among those that stay in the cache.
    fn strip_rows(&self, part: &Depthwise, height: usize, tile: usize) -> usize {
        let row_bytes = part.width * part.channels * self.target.arithmetic.factor_bytes();
        let most = (STRIP_BYTES / row_bytes).clamp(1, height);
        let tiles = |rows: usize| {
            let of = |rows: usize| (rows * part.width).div_ceil(tile);
            height / rows * of(rows) + of(height % rows)
        };
        (1..=most).rev().min_by_key(|&rows| tiles(rows)).unwrap_or(1)
    }

    /// The part of a convolution's sum that comes from `map`, which holds its input channels `channels`; appends the
    /// weights' numbers in the order of the products to `factors`.
    fn segment(
        &mut self,
        map: MapId,
        channels: std::ops::Range<usize>,
        kernel: usize,
        stride: usize,
        size: (usize, usize),
        factors: &mut Vec<Option<usize>>,
    ) -> Segment {
        let cells = self.cells(map, size, stride, 0, -(kernel as isize / 2), 0);
        let (row_bytes, pitch_bytes) = (self.maps[map].row_bytes(), self.maps[map].pitch_bytes());
        let group = self.target.arithmetic.group();
        // The cells of a filter row are one run of channels if nothing lies between them.
        let runs_on = self.maps[map].pitch == channels.len();
        let mut taps = Vec::new();
        let mut groups = 0;
        for row in 0..kernel {
            let tap_factors =
                |column: usize| channels.clone().map(move |channel| Some((channel * kernel + row) * kernel + column));
            let mut push = |at: usize, mut tap: Vec<Option<usize>>| {
                tap.resize(tap.len().next_multiple_of(group), None);
                groups = tap.len() / group;
                taps.push(at);
                factors.extend(tap);
            };
            if runs_on {
                push(row * row_bytes, (0..kernel).flat_map(tap_factors).collect());
            } else {
                for column in 0..kernel {
                    push(row * row_bytes + column * pitch_bytes, tap_factors(column).collect());
                }
            }
        }
        Segment { cells: Some(cells), taps, groups }
    }

    /// The three constant coordinate channels as factors.
    fn coordinate_factors(&mut self, (height, width): (usize, usize)) -> MapId {
        if let Some(&map) = self.planes_of.get(&(height, width)) {
            return map;
        }
        let (channels, pitch, bytes_each) = (3, 4, self.target.arithmetic.factor_bytes());
        let map = Map { height, width, channels, pitch, border: 0, bytes_each, pinned: true, start: 0 };
        let map = self.push_map(map);
        let cells = coordinate_planes(height, width);
        let cells = cells.chunks_exact(3).flat_map(|cell| [cell[0], cell[1], cell[2], 0.0]);
        let values = cells.flat_map(|value| self.target.arithmetic.factor(value)).collect();
        self.constants.push((map, values));
        self.planes_of.insert((height, width), map);
        map
    }

    /// The bias plus what the three constant coordinate channels, which follow `source`'s channels, add to every cell of the
    /// convolution's output.
    fn position_bias(&mut self, source: NodeId, convolution: NodeId, weights: &[f32], bias: &[f32]) -> Cells {
        let first = self.channels(source);
        let &Operation::Convolution { kernel, stride, .. } = self.operation(convolution) else {
            unreachable!("coordinates are read by a convolution")
        };
        let (in_height, in_width) = self.size(source);
        let planes = coordinate_planes(in_height, in_width);
        let (height, width) = self.size(convolution);
        let channels = self.channels(convolution);
        let pitch = channels.next_multiple_of(CHANNEL_MULTIPLE);
        let each = weights.len() / channels;
        let taps = kernel * kernel;
        let mut values = vec![0.0_f32; height * width * pitch];
        let inside =
            |out: usize, tap: usize, limit: usize| (out * stride + tap).checked_sub(kernel / 2).filter(|&i| i < limit);
        for (cell, values) in values.chunks_exact_mut(pitch).enumerate() {
            values[..channels].copy_from_slice(bias);
            let (row, column) = (cell / width, cell % width);
            for tap in 0..taps {
                let at = inside(row, tap / kernel, in_height).zip(inside(column, tap % kernel, in_width));
                let Some((row, column)) = at else { continue };
                let plane = &planes[(row * in_width + column) * 3..][..3];
                for (output, value) in values[..channels].iter_mut().enumerate() {
                    for (i, coordinate) in plane.iter().enumerate() {
                        *value += coordinate * weights[output * each + (first + i) * taps + tap];
                    }
                }
            }
        }
        let map = Map { height, width, channels, pitch, border: 0, bytes_each: 4, pinned: true, start: 0 };
        let map = self.push_map(map);
        self.constants.push((map, values.iter().flat_map(|v| v.to_ne_bytes()).collect()));
        self.cells(map, (height, width), 1, 0, 0, 0)
    }
}
