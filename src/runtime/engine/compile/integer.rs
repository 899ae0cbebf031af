//! A fused convolution of 8-bit maps becomes an integer product: quantized weights, integer biases, and the scales
//! between the numbers of maps.

use super::Compiler;
use super::context::{DepthwiseNodes, Reads, Size};
use super::convolution::CHUNK_CELLS;
use super::levels::Levels;
use super::maps::Window;
use crate::runtime::engine::fold::Folded;
use crate::runtime::engine::fuse::Fused;
use crate::runtime::engine::memory::Memory;
use crate::runtime::engine::pack::Vectors;
use crate::runtime::engine::plan::{
    Action, Element, InMap, IntegerDepthwise, IntegerFormat, IntegerLeft, IntegerProduct, IntegerStore, IntegerTerm,
    Step, StepPrecision, rows_at_once,
};
use crate::runtime::model::graph::NodeId;
use crate::runtime::model::quantize_row;
use crate::runtime::simd::block_channel;

/// Bytes of a strip at most: it has to stay in the nearest cache beside groups and weights.
const STRIP_BYTES: usize = 16 * 1024;
/// Sums and results stay below this, so that no conversion to 32-bit integers overflows.
const LARGEST: f32 = (1 << 30) as f32;

impl Compiler<'_> {
    /// Adds the step of a fused convolution that [`super::Context::is_integer`].
    pub(super) fn lower_integer(&mut self, fused: &Fused, reads: Reads) {
        let context = self.context;
        let (layer, size) = (context.name(fused.convolution), context.size(fused.convolution));
        let (outputs, inputs) = (self.computed_channels(fused), context.channels(context.inputs(fused.convolution)[0]));
        let norm = fused.norm.map(|norm| context.name(norm));
        let mut folded = Folded::new(context.model, layer, context.channels(fused.convolution), norm);
        let mut name = layer.to_owned();
        let mut multiply_adds = size.cells() * inputs * outputs;
        let Vectors { lanes, left_offset, .. } = context.target.vectors;
        let (left, levels) = match reads.depthwise {
            Some(nodes) => {
                name = format!("{} + {name}", context.name(nodes.convolution));
                multiply_adds += size.cells() * context.filter(nodes.convolution).taps() * inputs;
                let levels = context.strip_levels(layer);
                let centres = context.strip_centres(layer);
                let (depthwise, shift) = self.integer_depthwise(nodes, reads.source, levels, centres, size);
                folded.add_constant_inputs(&shift);
                (IntegerLeft::Depthwise(depthwise), levels)
            }
            None => {
                let map = self.map(reads.source, Element::U8);
                (IntegerLeft::Map(self.maps.cells(map, size, Window::SAME)), context.levels_read(reads.source))
            }
        };
        let chunk = match &left {
            IntegerLeft::Depthwise(depthwise) => depthwise.strip_rows * depthwise.width,
            IntegerLeft::Map(_) => CHUNK_CELLS,
        };
        let written = context.levels(fused.value).filter(|_| self.needs.border(fused.value, Element::U8).is_some());
        let unit = written.map_or(1.0, |levels| levels.scale);

        let (vectors, groups) = (pairs_of_vectors(outputs, lanes), inputs.div_ceil(4));
        let pairs: Vec<(usize, usize)> = (0..inputs / 2).map(|i| (2 * i, 2 * i + 1)).collect();
        let rows = folded.weights.chunks_exact_mut(inputs).zip(&folded.bias).take(outputs);
        let (bias, scales) = rows
            .map(|(row, &bias)| {
                let scale = quantize_row(row, &pairs) * levels.scale;
                (integer_bias(row, bias / scale, levels.zero_point, left_offset), scale / unit)
            })
            .map(|(bias, scale)| {
                (bias, scale.min(LARGEST / (bias.unsigned_abs() as f32 + 255.0 * 128.0 * inputs as f32)))
            })
            .unzip::<i32, f32, Vec<_>, Vec<_>>();
        let weights = by_blocks(vectors, lanes, |channels, packed| {
            for group in 0..groups {
                for &output in channels {
                    for input in 4 * group..4 * group + 4 {
                        let is_real = output < outputs && input < inputs;
                        packed.push(if is_real { folded.weights[output * inputs + input] as i8 as u8 } else { 0 });
                    }
                }
            }
        });

        let mut terms: Vec<IntegerTerm<InMap>> = Vec::new();
        for &residual in &fused.residuals {
            let levels = context.levels_read(residual.node);
            let map = self.map(residual.node, Element::U8);
            let window = Window { upsampled: residual.upsampled, ..Window::SAME };
            terms.push(IntegerTerm {
                cells: self.maps.cells(map, size, window),
                zero_point: f32::from(levels.zero_point),
                scale: (levels.scale / unit).min(LARGEST / 256.0 / 4.0),
                relu: residual.relu,
            });
        }
        let mut relu = fused.relu;
        let stores = self.integer_stores(fused.value, size, written);
        // What clamps to the smallest number needs no ReLU in front.
        if stores.iter().all(|store| store.format == IntegerFormat::Unsigned) {
            *terms.last_mut().map_or(&mut relu, |term| &mut term.relu) = false;
        }
        let product = IntegerProduct {
            cells: size.cells(),
            left,
            groups,
            vectors,
            weights,
            bias: by_channels(vectors, lanes, |channel| bias.get(channel).copied().unwrap_or(0).to_ne_bytes()),
            scales: by_channels(vectors, lanes, |channel| scales.get(channel).copied().unwrap_or(0.0).to_ne_bytes()),
            relu,
            terms,
            stores,
            chunk,
        };
        self.steps.push(Step {
            name,
            precision: StepPrecision::Int8,
            action: Action::Integer(Box::new(product)),
            multiply_adds: multiply_adds as u64,
            depthwise_multiply_adds: 0,
        });
    }

    /// Everything that is written of `value`, whose results are in units of `written`, else as they are.
    fn integer_stores(&mut self, value: NodeId, size: Size, written: Option<Levels>) -> Vec<IntegerStore<InMap>> {
        let mut stores = Vec::new();
        if let Some(levels) = written {
            let map = self.map(value, Element::U8);
            let format = if levels.zero_point == 0 { IntegerFormat::Unsigned } else { IntegerFormat::Signed };
            stores.push(IntegerStore { cells: self.maps.cells(map, size, Window::SAME), format });
        }
        let mut floats = self.results.get(&value).cloned().unwrap_or_default();
        if self.needs.border(value, Element::F32).is_some() {
            floats.push(self.map(value, Element::F32));
        }
        for map in floats {
            let room = self.maps.get(map).channels;
            let format = IntegerFormat::F32 { scale: written.map_or(1.0, |levels| levels.scale), room };
            stores.push(IntegerStore { cells: self.maps.cells(map, size, Window::SAME), format });
        }
        stores
    }

    /// The depthwise part of a step, whose results less `centres` are `levels`, and the constants that are to be added
    /// to what it writes: centres and those of its batch norm.
    fn integer_depthwise(
        &mut self,
        nodes: DepthwiseNodes,
        source: NodeId,
        levels: Levels,
        centres: Option<&[f32]>,
        size: Size,
    ) -> (IntegerDepthwise<InMap>, Vec<f32>) {
        let context = self.context;
        let filter = context.filter(nodes.convolution);
        let channels = context.channels(nodes.convolution);
        let (layer, norm) = (context.name(nodes.convolution), nodes.norm.map(|norm| context.name(norm)));
        let mut folded = Folded::new(context.model, layer, channels, norm);
        let read = context.levels_read(source);
        let Vectors { lanes, left_offset, .. } = context.target.vectors;
        let vectors = pairs_of_vectors(channels, lanes);
        // Which rows share a pair of bytes depends on the output row.
        let pairs: Vec<(usize, usize)> = (0..filter.taps() - filter.side).map(|tap| (tap, tap + filter.side)).collect();
        let centre = |channel: usize| centres.map_or(0.0, |centres| centres[channel]);
        let rows = folded.weights.chunks_exact_mut(filter.taps()).enumerate();
        let (bias, scales) = rows
            .map(|(channel, row)| {
                let scale = quantize_row(row, &pairs) * read.scale;
                let bias = integer_bias(row, -centre(channel) / scale, read.zero_point, left_offset);
                let largest = bias.unsigned_abs() as f32 + 255.0 * 128.0 * filter.taps() as f32;
                (bias, (scale / levels.scale).min(LARGEST / largest))
            })
            .unzip::<i32, f32, Vec<_>, Vec<_>>();
        folded.bias.iter_mut().enumerate().for_each(|(channel, bias)| *bias += centre(channel));
        let weight = |channel: usize, row: Option<usize>, column: usize| match row.filter(|&row| row < filter.side) {
            Some(row) if channel < channels => {
                folded.weights[channel * filter.taps() + row * filter.side + column] as i8 as u8
            }
            _ => 0,
        };
        let weights = by_blocks(vectors, lanes, |block, packed| {
            for output_row in 0..rows_at_once(filter.side, filter.stride) {
                for (group, column) in (0..2).flat_map(|group| (0..filter.side).map(move |column| (group, column))) {
                    for &channel in block {
                        packed.extend((4 * group..4 * group + 4).map(|input_row| {
                            let row = usize::checked_sub(input_row, output_row * filter.stride);
                            weight(channel, row, column)
                        }));
                    }
                }
            }
        });
        let map = self.map(source, Element::U8);
        let at_once = rows_at_once(filter.side, filter.stride);
        let most = STRIP_BYTES / (size.width * vectors * lanes);
        let depthwise = IntegerDepthwise {
            start: self.maps.start(map, Window::of(filter)),
            row_bytes: self.maps.get(map).row_bytes(),
            pitch_bytes: self.maps.get(map).pitch_bytes(),
            kernel: filter.side,
            stride: filter.stride,
            channels: vectors * lanes,
            vectors,
            width: size.width,
            strip_rows: (most / at_once * at_once).clamp(at_once, at_once.max(size.height)).min(size.height),
            weights,
            bias: by_channels(vectors, lanes, |channel| bias.get(channel).copied().unwrap_or(0).to_ne_bytes()),
            scales: by_channels(vectors, lanes, |channel| scales.get(channel).copied().unwrap_or(0.0).to_ne_bytes()),
        };
        (depthwise, folded.bias)
    }
}

/// The number of vectors in as many pairs as hold `channels`.
fn pairs_of_vectors(channels: usize, lanes: usize) -> usize {
    channels.div_ceil(2 * lanes) * 2
}

/// The bytes that `pack` appends for every block of `vectors`, given its channels in order.
fn by_blocks(vectors: usize, lanes: usize, pack: impl Fn(&[usize], &mut Vec<u8>)) -> Memory {
    let mut packed = Vec::new();
    for first in (0..vectors).step_by(4) {
        let in_block = (vectors - first).min(4);
        let channels = (0..in_block)
            .flat_map(|vector| (0..lanes).map(move |lane| first * lanes + block_channel(in_block, vector, lane)));
        pack(&channels.collect::<Vec<_>>(), &mut packed);
    }
    Memory::of_bytes(&packed)
}

/// The four bytes of every channel.
fn by_channels(vectors: usize, lanes: usize, bytes: impl Fn(usize) -> [u8; 4]) -> Memory {
    by_blocks(vectors, lanes, |channels, packed| packed.extend(channels.iter().flat_map(|&channel| bytes(channel))))
}

/// What the sums of one output channel begin with: its bias in units of the sums, less what the zero point of the left
/// factors contributes.
pub(super) fn integer_bias(weights: &[f32], bias: f32, zero_point: u8, left_offset: i32) -> i32 {
    let sum: i32 = weights.iter().map(|&weight| weight as i32).sum();
    bias.round_ties_even().clamp(-LARGEST, LARGEST) as i32 - (i32::from(zero_point) - left_offset) * sum
}
