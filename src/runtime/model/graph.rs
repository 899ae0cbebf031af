//! The network as data: a list of operations in execution order.
//!
//! A network is described once, here. The training pass, the compiled engine, candle and the ONNX writer all read the
//! same list. Activations are (row, column, channel); a node's `stride` is the number of input pixels per cell.

/// Index of a node in [`Graph::nodes`].
pub type NodeId = usize;

/// An operation of the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The picture, RGB in 0..=1.
    Input,
    /// `kernel` x `kernel` convolution with padding `kernel / 2`; weights `[out, in, kernel, kernel]`, or
    /// `[out, 1, kernel, kernel]` if each channel has its own filter.
    Convolution { name: String, kernel: usize, stride: usize, depthwise: bool, bias: bool },
    /// Batch normalization, followed by a ReLU if `relu`.
    BatchNorm { name: String, relu: bool },
    /// Sum of two nodes of the same shape, followed by a ReLU if `relu`.
    Add { relu: bool },
    /// Nearest-neighbour upsampling by two in both directions.
    Upsample,
    /// Average pooling over 2x2 cells.
    AveragePool,
    /// Concatenation of the channels of all inputs.
    Concat,
    /// CoordConv (paper section 4.4; channel order of the official code): the input's channels, then the row and the
    /// column coordinate in -1..=1 and the distance from the centre in 0..=1. With a second input, the previous stack's
    /// heatmaps, two more channels follow: row and column where its last channel, the boundary map, clamped to 0..=1,
    /// is above [`BOUNDARY_GATE`], and 0 elsewhere.
    Coordinates,
}

/// Boundary value above which the gated coordinate channels pass the coordinate (official code).
pub const BOUNDARY_GATE: f32 = 0.05;

/// Added to the variance in every batch normalization (PyTorch's default).
pub const NORM_EPSILON: f64 = 1e-5;

/// An operation, its inputs and the shape of its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub operation: Operation,
    pub inputs: Vec<NodeId>,
    pub channels: usize,
    /// Input pixels per cell, in each direction.
    pub stride: usize,
}

/// The role of a parameter: it determines initialization, weight decay and whether gradients update it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    ConvolutionWeight,
    ConvolutionBias,
    NormGain,
    NormBias,
    RunningMean,
    RunningVariance,
}

impl Role {
    /// Whether gradient descent updates it; running statistics are estimated from the data instead.
    pub fn is_trained(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVariance)
    }
}

/// A named tensor that the network needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub role: Role,
}

/// A network. The inputs of every node come before it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// The heatmaps of every stack, those of the last stack last.
    pub outputs: Vec<NodeId>,
}

impl Graph {
    fn push(&mut self, operation: Operation, inputs: Vec<NodeId>, channels: usize, stride: usize) -> NodeId {
        self.nodes.push(Node { operation, inputs, channels, stride });
        self.nodes.len() - 1
    }

    pub(super) fn input(&mut self, channels: usize) -> NodeId {
        self.push(Operation::Input, vec![], channels, 1)
    }

    pub(super) fn convolution(
        &mut self,
        name: impl Into<String>,
        x: NodeId,
        channels: usize,
        kernel: usize,
        stride: usize,
        bias: bool,
    ) -> NodeId {
        let operation = Operation::Convolution { name: name.into(), kernel, stride, depthwise: false, bias };
        self.push(operation, vec![x], channels, self.nodes[x].stride * stride)
    }

    pub(super) fn depthwise(&mut self, name: impl Into<String>, x: NodeId, kernel: usize, stride: usize) -> NodeId {
        let operation = Operation::Convolution { name: name.into(), kernel, stride, depthwise: true, bias: false };
        self.push(operation, vec![x], self.nodes[x].channels, self.nodes[x].stride * stride)
    }

    pub(super) fn batch_norm(&mut self, name: impl Into<String>, x: NodeId, relu: bool) -> NodeId {
        let node = &self.nodes[x];
        self.push(Operation::BatchNorm { name: name.into(), relu }, vec![x], node.channels, node.stride)
    }

    pub(super) fn add(&mut self, x: NodeId, y: NodeId, relu: bool) -> NodeId {
        let (channels, stride) = (self.nodes[x].channels, self.nodes[x].stride);
        debug_assert_eq!((channels, stride), (self.nodes[y].channels, self.nodes[y].stride));
        self.push(Operation::Add { relu }, vec![x, y], channels, stride)
    }

    pub(super) fn upsample(&mut self, x: NodeId) -> NodeId {
        self.push(Operation::Upsample, vec![x], self.nodes[x].channels, self.nodes[x].stride / 2)
    }

    pub(super) fn average_pool(&mut self, x: NodeId) -> NodeId {
        self.push(Operation::AveragePool, vec![x], self.nodes[x].channels, self.nodes[x].stride * 2)
    }

    pub(super) fn concat(&mut self, inputs: Vec<NodeId>) -> NodeId {
        let channels = inputs.iter().map(|&i| self.nodes[i].channels).sum();
        let stride = self.nodes[inputs[0]].stride;
        self.push(Operation::Concat, inputs, channels, stride)
    }

    pub(super) fn coordinates(&mut self, x: NodeId, heatmaps: Option<NodeId>) -> NodeId {
        let (channels, stride) = (self.nodes[x].channels, self.nodes[x].stride);
        let added = if heatmaps.is_some() { 5 } else { 3 };
        self.push(Operation::Coordinates, std::iter::once(x).chain(heatmaps).collect(), channels + added, stride)
    }

    /// Every parameter, in the order of the nodes.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = Vec::new();
        let mut add = |name: &str, suffix: &str, shape: Vec<usize>, role| {
            all.push(Parameter { name: format!("{name}.{suffix}"), shape, role });
        };
        for node in &self.nodes {
            match &node.operation {
                Operation::Convolution { name, kernel, depthwise, bias, .. } => {
                    let inputs = if *depthwise { 1 } else { self.nodes[node.inputs[0]].channels };
                    let shape = vec![node.channels, inputs, *kernel, *kernel];
                    add(name, "weight", shape, Role::ConvolutionWeight);
                    if *bias {
                        add(name, "bias", vec![node.channels], Role::ConvolutionBias);
                    }
                }
                Operation::BatchNorm { name, .. } => {
                    add(name, "weight", vec![node.channels], Role::NormGain);
                    add(name, "bias", vec![node.channels], Role::NormBias);
                    add(name, "running_mean", vec![node.channels], Role::RunningMean);
                    add(name, "running_var", vec![node.channels], Role::RunningVariance);
                }
                _ => {}
            }
        }
        all
    }

    /// Multiply-adds of the convolutions for one picture of `height` x `width` pixels.
    pub fn multiply_adds(&self, height: usize, width: usize) -> u64 {
        let cells = |node: &Node| (height.div_ceil(node.stride) * width.div_ceil(node.stride)) as u64;
        self.nodes
            .iter()
            .map(|node| match &node.operation {
                Operation::Convolution { kernel, depthwise, .. } => {
                    let inputs = if *depthwise { 1 } else { self.nodes[node.inputs[0]].channels };
                    cells(node) * (kernel * kernel * inputs * node.channels) as u64
                }
                _ => 0,
            })
            .sum()
    }

    /// Input pixels per heatmap cell.
    pub fn output_stride(&self) -> usize {
        self.nodes[*self.outputs.last().expect("a graph has an output")].stride
    }

    /// The coarsest stride: height and width of the input must be multiples of it.
    pub fn coarsest_stride(&self) -> usize {
        self.nodes.iter().map(|n| n.stride).max().unwrap_or(1)
    }
}

/// Row, column and radius planes of a map, `[height, width, 3]`: rows and columns run from -1 to 1, both ends
/// included, and the radius is scaled to 1 in the corners.
pub fn coordinate_planes(height: usize, width: usize) -> Vec<f32> {
    let along = |i: usize, n: usize| if n > 1 { i as f32 / (n - 1) as f32 * 2.0 - 1.0 } else { -1.0 };
    let mut planes = Vec::with_capacity(height * width * 3);
    let longest = along(0, height).hypot(along(0, width));
    for row in 0..height {
        for column in 0..width {
            let (r, c) = (along(row, height), along(column, width));
            planes.extend([r, c, r.hypot(c) / longest]);
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_coordinate_runs_along_the_rows() {
        let planes = coordinate_planes(3, 5);
        assert_eq!(planes[..3], [-1.0, -1.0, 1.0]);
        let at = |row: usize, column: usize| &planes[(row * 5 + column) * 3..][..3];
        assert_eq!(at(2, 0)[..2], [1.0, -1.0]);
        assert_eq!(at(1, 2), [0.0, 0.0, 0.0]);
    }
}
