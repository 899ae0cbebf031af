//! A fused convolution becomes a product: segments that multiply left factors with packed weights, and what follows.

use super::context::{Filter, Reads, Size};
use super::integer::integer_bias;
use super::levels::Levels;
use super::maps::Window;
use super::{Compiler, Lowered};
use crate::runtime::engine::EngineError;
use crate::runtime::engine::fold::Folded;
use crate::runtime::engine::fuse::Fused;
use crate::runtime::engine::pack::{Vectors, pack};
use crate::runtime::engine::plan::{
    Action, Bias, Depthwise, InMap, IntegerSums, MapId, Product, Segment, Step, StepPrecision,
};
use crate::runtime::model::quantize_row;
use std::ops::Range;

/// Packed weights up to this size are read again for every chunk of cells; for larger ones, the cells are read again
/// for every block of weights.
const FEW_WEIGHTS_BYTES: usize = 256 * 1024;
/// A larger output does not stay in the near caches from one step to the next.
const NEAR_BYTES: usize = 512 * 1024;
/// Cells of a chunk.
pub(super) const CHUNK_CELLS: usize = 192;

/// The left side of a product.
pub(super) struct LeftFactors {
    pub depthwise: Option<Depthwise<InMap>>,
    pub segments: Vec<Segment<InMap>>,
    /// For each factor in the order of the segments, the index of its weight within an output channel; `None` for
    /// padding.
    pub order: Vec<Option<usize>>,
}

impl Compiler<'_> {
    /// Adds the step of the fused convolution `number`, after those of what it reads.
    pub(super) fn lower_convolution(&mut self, number: usize) -> Result<(), EngineError> {
        if !self.lowered.insert(Lowered::Convolution(number)) {
            return Ok(());
        }
        let context = self.context;
        let fused = &context.fusion.fused[number];
        let reads = context.reads(fused);
        let gated = reads.coordinates.filter(|&c| context.gating_heatmaps(c).is_some());
        let residuals = fused.residuals.iter().map(|residual| residual.node);
        for node in [reads.source].into_iter().chain(gated).chain(residuals) {
            self.lower(node)?;
        }

        if context.is_integer(fused, reads) {
            self.lower_integer(fused, reads);
            return Ok(());
        }
        let precision = context.precision_of(reads);
        let (layer, filter) = (context.name(fused.convolution), context.filter(fused.convolution));
        let (size, outputs) = (context.size(fused.convolution), self.computed_channels(fused));
        let inputs = context.channels(context.inputs(fused.convolution)[0]);
        let norm = fused.norm.map(|norm| context.name(norm));
        let mut folded = Folded::new(context.model, layer, context.channels(fused.convolution), norm);
        let mut left = match reads.depthwise {
            Some(depthwise) => self.depthwise_factors(depthwise, reads.source, &mut folded),
            None => self.map_factors(reads, filter, size),
        };
        let each = inputs * filter.taps();
        let integers = (precision == StepPrecision::Int8)
            .then(|| integer_weights(&mut folded.weights, each, &left.order, context.target.vectors));
        let bias = match reads.coordinates.filter(|_| filter.side > 1) {
            Some(_) => Bias::Cells(self.position_bias(reads.source, fused.convolution, &folded)),
            None => Bias::Channels(context.target.vectors.pad(&folded.bias[..outputs])),
        };
        let terms = fused.residuals.iter().map(|&residual| self.term(residual, size, fused.channel)).collect();
        let weight = |output: usize, factor: usize| folded.weights[output * each + factor];
        let weights = pack(context.target.vectors, precision, outputs, &left.order, weight);
        let inner = fused.inner.iter().flat_map(|&norm| self.stores_of(norm, Some(norm), 0..outputs)).collect();
        let chunk = match &mut left.depthwise {
            Some(depthwise) => {
                depthwise.strip_rows = self.strip_rows(depthwise, size, outputs);
                depthwise.strip_rows * depthwise.width
            }
            None if weights.memory.bytes() > FEW_WEIGHTS_BYTES => size.cells(),
            None => CHUNK_CELLS,
        };

        let mut name = layer.to_owned();
        let mut depthwise_multiply_adds = 0;
        if let Some(depthwise) = reads.depthwise {
            name = format!("{} + {name}", context.name(depthwise.convolution));
            depthwise_multiply_adds = size.cells() * context.filter(depthwise.convolution).taps() * inputs;
        }
        let product = Product {
            cells: size.cells(),
            depthwise: left.depthwise,
            segments: left.segments,
            weights,
            integers,
            bias,
            relu: fused.relu,
            inner,
            terms,
            stores: self.stores(fused.value, fused.channel..fused.channel + outputs),
            chunk,
            prefetch: size.cells() * outputs * 4 > NEAR_BYTES,
        };
        self.steps.push(Step {
            name,
            precision,
            action: Action::Product(Box::new(product)),
            multiply_adds: (size.cells() * each * outputs + depthwise_multiply_adds) as u64,
            depthwise_multiply_adds: depthwise_multiply_adds as u64,
        });
        Ok(())
    }

    /// Channels that the convolution computes. What only the caller reads is computed as far as it asks for: decoding
    /// does not read the last stack's boundary map.
    pub(super) fn computed_channels(&self, fused: &Fused) -> usize {
        match self.results.get(&fused.value).filter(|_| !self.needs.is_read(fused.value)) {
            Some(results) => results.iter().map(|&map| self.maps.get(map).channels).max().unwrap_or(0),
            None => self.context.channels(fused.convolution),
        }
    }

    /// Left factors that are read from maps: the source's channels, then coordinates.
    fn map_factors(&mut self, reads: Reads, filter: Filter, size: Size) -> LeftFactors {
        let context = self.context;
        let mut left = LeftFactors { depthwise: None, segments: Vec::new(), order: Vec::new() };
        let channels = context.channels(reads.source);
        let map = self.map(reads.source, context.precision_of(reads).factor());
        self.push_segment(&mut left, map, 0..channels, filter, size);
        let Some(coordinates) = reads.coordinates else { return left };
        if context.gating_heatmaps(coordinates).is_some() {
            let map = self.map(coordinates, context.factor());
            let inputs = context.channels(coordinates);
            self.push_segment(&mut left, map, inputs - 2..inputs, filter, size);
        }
        // For a larger filter the ungated coordinates are in the bias; here three more channels cost less than to read
        // a map of biases.
        if filter.side == 1 {
            let planes = self.coordinate_factors(context.size(coordinates));
            self.push_segment(&mut left, planes, channels..channels + 3, filter, size);
        }
        left
    }

    /// Adds the part of a convolution's sum that comes from `map`, which holds its input channels `channels`.
    fn push_segment(&mut self, left: &mut LeftFactors, map: MapId, channels: Range<usize>, filter: Filter, size: Size) {
        let cells = self.maps.cells(map, size, Window::of(filter));
        let map = self.maps.get(map);
        let (row_bytes, pitch_bytes) = (map.row_bytes(), map.pitch_bytes());
        let group = map.element.group();
        let side = filter.side;
        let mut taps = Vec::new();
        let mut groups = 0;
        for row in 0..side {
            let factors_at =
                |column: usize| channels.clone().map(move |channel| Some((channel * side + row) * side + column));
            let mut push = |at: usize, mut factors: Vec<Option<usize>>| {
                factors.resize(factors.len().next_multiple_of(group), None);
                groups = factors.len() / group;
                taps.push(at);
                left.order.extend(factors);
            };
            // The cells of a filter row are one run of channels if nothing lies between them.
            if map.pitch == channels.len() {
                push(row * row_bytes, (0..side).flat_map(factors_at).collect());
            } else {
                for column in 0..side {
                    push(row * row_bytes + column * pitch_bytes, factors_at(column).collect());
                }
            }
        }
        left.segments.push(Segment { cells: Some(cells), taps, groups });
    }
}

/// Makes integers of the weights of a convolution of a picture's bytes, whose factors are in this `order`; each output
/// channel has `each` of them.
fn integer_weights(weights: &mut [f32], each: usize, order: &[Option<usize>], vectors: Vectors) -> IntegerSums {
    let neighbours = order.as_chunks::<2>().0.iter();
    let pairs: Vec<(usize, usize)> = neighbours.filter_map(|&[a, b]| Some((a?, b?))).collect();
    let (starts, scales): (Vec<f32>, Vec<f32>) = weights
        .chunks_exact_mut(each)
        .map(|row| {
            let scale = quantize_row(row, &pairs) * Levels::OF_PICTURE.scale;
            // The bias is added to results, in f32.
            let start = integer_bias(row, 0.0, Levels::OF_PICTURE.zero_point, vectors.left_offset);
            (f32::from_bits(start.cast_unsigned()), scale)
        })
        .unzip();
    IntegerSums { starts: vectors.pad(&starts), scales: vectors.pad(&scales) }
}
