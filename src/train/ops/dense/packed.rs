//! Weights in the order in which the tiles of a dense convolution read them.

use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};

/// Vectors of output channels in one tile, at most.
const MAX_VECTORS: usize = 4;

/// Weights in the order in which a tile reads them: blocks of up to four vectors of output channels; in a block, for
/// each tap and input channel, those channels' weights, zeros behind the last.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pub(super) isa: Isa,
    pub(super) lanes: usize,
    pub(super) outputs: usize,
    /// Rows of a block: taps times input channels.
    pub(super) rows: usize,
    /// Vectors of each block.
    pub(super) blocks: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// Vectors for each block: as even as four registers allow.
pub(in crate::train::ops) fn blocks(channels: usize, lanes: usize) -> impl Iterator<Item = usize> {
    let vectors = channels.div_ceil(lanes);
    let count = vectors.div_ceil(MAX_VECTORS);
    (0..count).map(move |i| vectors / count + usize::from(i < vectors % count))
}

/// How many lanes a vector has.
pub(super) struct Lanes;

impl Kernel for Lanes {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

impl PackedWeights {
    /// Packs `[outputs, inputs, kernel, kernel]` weights.
    ///
    /// # Panics
    /// If `weight` has another length.
    pub fn new(isa: Isa, weight: &[f32], outputs: usize, inputs: usize, kernel: usize) -> Self {
        assert_eq!(weight.len(), outputs * inputs * kernel * kernel);
        Self::pack(isa, outputs, inputs, kernel * kernel, |tap, input, output| {
            weight[(output * inputs + input) * kernel * kernel + tap]
        })
    }

    /// The weights of the input gradient: transposed, and every filter rotated by 180 degrees.
    pub(super) fn transposed(isa: Isa, weight: &[f32], outputs: usize, inputs: usize, kernel: usize) -> Self {
        let last = kernel * kernel - 1;
        Self::pack(isa, inputs, outputs, kernel * kernel, |tap, output, input| {
            weight[(output * inputs + input) * kernel * kernel + last - tap]
        })
    }

    /// `weight` gives the weight of a tap, an input and an output.
    fn pack(isa: Isa, outputs: usize, inputs: usize, taps: usize, weight: impl Fn(usize, usize, usize) -> f32) -> Self {
        let lanes = dispatch(isa, Lanes);
        let blocks: Vec<usize> = blocks(outputs, lanes).collect();
        let rows = taps * inputs;
        let mut values = vec![0.0; rows * blocks.iter().sum::<usize>() * lanes];
        let (mut rest, mut first) = (values.as_mut_slice(), 0);
        for vectors in &blocks {
            let length = vectors * lanes;
            let (block, others) = rest.split_at_mut(rows * length);
            let count = length.min(outputs - first);
            for input in 0..inputs {
                for tap in 0..taps {
                    let to = &mut block[(tap * inputs + input) * length..][..count];
                    for (i, to) in to.iter_mut().enumerate() {
                        *to = weight(tap, input, first + i);
                    }
                }
            }
            (rest, first) = (others, first + length);
        }
        Self { isa, lanes, outputs, rows, blocks, values }
    }
}
