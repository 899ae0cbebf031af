//! Which convolutions are done in 8-bit integers, and what the integers of a map stand for.
//!
//! The model's file names the layers and the ranges of their inputs. A convolution is done in integers if everything
//! that it reads and adds has a range; the first of a detector reads its picture, 0..=1, as bytes. All others are done
//! in f32.

use super::context::{Context, Reads};
use crate::runtime::engine::fuse::Fused;
use crate::runtime::engine::plan::StepPrecision;
use crate::runtime::model::graph::{NodeId, Operation};
use crate::runtime::model::{INT8_LIMIT, Kind, Quantization};

/// What the bytes of a map stand for: `(byte - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub scale: f32,
    pub zero_point: u8,
}

impl Levels {
    /// What the bytes of a picture stand for: 0..=1.
    pub const OF_PICTURE: Self = Self { scale: 1.0 / u8::MAX as f32, zero_point: 0 };

    fn new(range: f32, is_positive: bool) -> Self {
        match is_positive {
            true => Self { scale: range / f32::from(u8::MAX), zero_point: 0 },
            false => Self { scale: range / INT8_LIMIT, zero_point: 128 },
        }
    }
}

impl Context<'_> {
    fn quantization(&self) -> Option<&Quantization> {
        self.model.config().quantization.as_ref().filter(|_| self.target.precision == StepPrecision::Int8)
    }

    /// Of the product that a fused convolution becomes unless it [is integer](Self::is_integer). In int8 a detector's
    /// picture is read as bytes. A landmark network's is not: what its first convolution would round moves the
    /// landmarks of a face at rest.
    pub fn precision_of(self, reads: Reads) -> StepPrecision {
        let is_of_picture = *self.operation(reads.source) == Operation::Input
            && reads.depthwise.is_none()
            && reads.coordinates.is_none();
        match self.quantization() {
            Some(_) if is_of_picture && self.model.config().kind == Kind::Detector => StepPrecision::Int8,
            _ => self.precision(),
        }
    }

    /// Of the map of a node's value; `None` if the file does not say its range.
    pub fn levels(self, node: NodeId) -> Option<Levels> {
        let quantization = self.model.config().quantization.as_ref()?;
        let nodes = self.graph.nodes.iter().filter(|reader| reader.inputs.first() == Some(&node));
        let read = nodes.filter_map(|reader| match &reader.operation {
            Operation::Convolution { name, .. } => quantization.input_ranges.get(name).copied(),
            _ => None,
        });
        let written = match self.operation(node) {
            Operation::BatchNorm { .. } => quantization.output_ranges.get(self.name(self.inputs(node)[0])).copied(),
            _ => None,
        };
        let is_positive =
            matches!(self.operation(node), Operation::BatchNorm { relu: true, .. } | Operation::Add { relu: true });
        Some(Levels::new(read.chain(written).reduce(f32::max)?, is_positive))
    }

    /// Of a map that an integer product reads.
    ///
    /// # Panics
    /// If [`Self::is_integer`] is not true of the product.
    pub fn levels_read(self, node: NodeId) -> Levels {
        self.levels(node).expect("an integer product reads maps of known range")
    }

    /// Of what a depthwise convolution writes for the 1x1 convolution `layer`.
    pub fn strip_levels(self, layer: &str) -> Levels {
        let range = self.quantization().and_then(|quantization| quantization.input_ranges.get(layer));
        Levels::new(*range.expect("an integer product has a range"), false)
    }

    /// What is subtracted from every channel of what a depthwise convolution writes for the 1x1 convolution `layer`.
    pub fn strip_centres(&self, layer: &str) -> Option<&[f32]> {
        self.quantization()?.centres.get(layer).map(Vec::as_slice)
    }

    /// Whether the convolution becomes an integer product.
    pub fn is_integer(self, fused: &Fused, reads: Reads) -> bool {
        let Some(quantization) = self.quantization() else { return false };
        let filter = self.filter(fused.convolution);
        let is_known = |node: NodeId| self.levels(node).is_some();
        // The border of a map is zero bytes.
        let takes_border = |nodes: super::context::DepthwiseNodes| {
            let filter = self.filter(nodes.convolution);
            matches!((filter.side, filter.stride), (3 | 5, 1 | 2))
                && self.levels(reads.source).is_some_and(|levels| levels.zero_point == 0)
        };
        (filter.side, filter.stride) == (1, 1)
            && quantization.input_ranges.contains_key(self.name(fused.convolution))
            && is_known(reads.source)
            && reads.coordinates.is_none()
            && reads.depthwise.is_none_or(takes_border)
            && fused.residuals.iter().all(|residual| is_known(residual.node))
            && fused.channel == 0
            && fused.inner.is_empty()
            && self.norms_of(fused.value).next().is_none()
    }
}
