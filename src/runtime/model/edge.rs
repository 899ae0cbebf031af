//! The edge hourglass: a small network of depthwise blocks with few channels, for phones and laptops.
//!
//! A block is `y = 1x1(depthwise(x))`, with batch normalization after both convolutions, plus `x` if the shape is
//! unchanged, then a ReLU. The stem reduces the picture to a quarter of its size. The hourglass goes down by strided
//! blocks and up again by nearest-neighbour upsampling, adding a skip block's output on every level.

use super::config_error::{ConfigError, MOST_CHANNELS, MOST_LEVELS, MOST_REPEATS, at_most, from_one};
use super::graph::{Graph, NodeId};
use serde::{Deserialize, Serialize};

/// The size of an edge hourglass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// Channels at half of the input size.
    pub stem_channels: usize,
    /// Blocks at a quarter of the input size, before the hourglass.
    pub stem_blocks: usize,
    /// Channels at 1/4, 1/8, 1/16 ... of the input size, one number per level.
    pub widths: Vec<usize>,
    /// Side of the depthwise filters: 3 or 5. The coarsest level always uses 3.
    pub kernel: usize,
    /// Blocks at the coarsest level.
    pub middle_blocks: usize,
    /// Blocks after each upsampling, one number per level from the finest (one fewer than `widths`).
    pub up_blocks: Vec<usize>,
    /// Number of hourglasses in sequence, each with its own heatmaps.
    pub stacks: usize,
    /// Whether the stem gets coordinate channels in addition to the picture (CoordConv).
    pub coordinates: bool,
}

impl EdgeConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first field that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        from_one("stacks", self.stacks, MOST_REPEATS)?;
        at_most("stem_blocks", self.stem_blocks, MOST_REPEATS)?;
        at_most("middle_blocks", self.middle_blocks, MOST_REPEATS)?;
        at_most("the number of widths", self.widths.len(), MOST_LEVELS)?;
        self.up_blocks.iter().try_for_each(|&blocks| at_most("up_blocks", blocks, MOST_REPEATS))?;
        from_one("stem_channels", self.stem_channels, MOST_CHANNELS)?;
        self.widths.iter().try_for_each(|&width| from_one("widths", width, MOST_CHANNELS))?;
        if self.widths.len() < 2 {
            return Err(ConfigError::TooFewLevels(self.widths.len()));
        }
        let (actual, expected) = (self.up_blocks.len(), self.widths.len() - 1);
        if actual != expected {
            return Err(ConfigError::UpBlocks { actual, expected });
        }
        if !matches!(self.kernel, 3 | 5) {
            return Err(ConfigError::Kernel(self.kernel));
        }
        Ok(())
    }

    /// The network with `outputs` maps per stack.
    pub fn graph(&self, outputs: usize) -> Graph {
        let mut g = Graph::default();
        let mut x = g.input(3);
        if self.coordinates {
            x = g.coordinates(x, None);
        }
        x = g.convolution("stem.0.conv", x, self.stem_channels, 3, 2, false);
        x = g.batch_norm("stem.0.norm", x, true);
        x = block(&mut g, "stem.1", x, self.widths[0], 3, 2);
        for i in 0..self.stem_blocks {
            x = block(&mut g, &format!("stem.{}", i + 2), x, self.widths[0], self.kernel, 1);
        }
        for stack in 0..self.stacks {
            let y = self.hourglass(&mut g, &format!("stack.{stack}"), x, 0);
            let name = format!("stack.{stack}.features");
            let features = g.convolution(format!("{name}.conv"), y, self.widths[0], 1, 1, false);
            let features = g.batch_norm(format!("{name}.norm"), features, true);
            let heatmaps = g.convolution(format!("stack.{stack}.head"), features, outputs, 1, 1, true);
            g.outputs.push(heatmaps);
            if stack + 1 < self.stacks {
                let back = g.convolution(format!("stack.{stack}.from_features"), features, self.widths[0], 1, 1, true);
                let again = g.convolution(format!("stack.{stack}.from_heatmaps"), heatmaps, self.widths[0], 1, 1, true);
                x = g.add(x, back, false);
                x = g.add(x, again, false);
            }
        }
        g
    }

    fn hourglass(&self, g: &mut Graph, name: &str, x: NodeId, level: usize) -> NodeId {
        let width = self.widths[level];
        let skip = block(g, &format!("{name}.skip.{level}"), x, width, self.kernel, 1);
        let below = self.widths[level + 1];
        let mut y = block(g, &format!("{name}.down.{level}"), x, below, self.kernel, 2);
        if level + 2 < self.widths.len() {
            y = self.hourglass(g, name, y, level + 1);
        } else {
            for i in 0..self.middle_blocks {
                y = block(g, &format!("{name}.middle.{i}"), y, below, 3, 1);
            }
        }
        let reduce = format!("{name}.reduce.{level}");
        y = g.convolution(format!("{reduce}.conv"), y, width, 1, 1, false);
        y = g.batch_norm(format!("{reduce}.norm"), y, false);
        y = g.upsample(y);
        y = g.add(y, skip, true);
        for i in 0..self.up_blocks[level] {
            y = block(g, &format!("{name}.up.{level}.{i}"), y, width, self.kernel, 1);
        }
        y
    }
}

fn block(g: &mut Graph, name: &str, x: NodeId, channels: usize, kernel: usize, stride: usize) -> NodeId {
    let same_shape = stride == 1 && g.nodes[x].channels == channels;
    let y = g.depthwise(format!("{name}.depthwise"), x, kernel, stride);
    let y = g.batch_norm(format!("{name}.depthwise_norm"), y, false);
    let y = g.convolution(format!("{name}.pointwise"), y, channels, 1, 1, false);
    let y = g.batch_norm(format!("{name}.pointwise_norm"), y, !same_shape);
    if same_shape { g.add(y, x, true) } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> EdgeConfig {
        EdgeConfig {
            stem_channels: 16,
            stem_blocks: 1,
            widths: vec![48, 80, 128, 160],
            kernel: 5,
            middle_blocks: 4,
            up_blocks: vec![1, 2, 2],
            stacks: 1,
            coordinates: true,
        }
    }

    #[test]
    fn the_cost_is_that_of_the_study() {
        // The sizing study gave 38.8 million for this network.
        let graph = small().graph(99);
        let millions = graph.multiply_adds(128, 128) as f64 / 1e6;
        assert!((millions - 38.8).abs() < 0.3, "{millions}");
        let weights: usize =
            graph.parameters().iter().filter(|p| p.role.is_trained()).map(|p| p.shape.iter().product::<usize>()).sum();
        assert!((weights as f64 / 1e6 - 0.295).abs() < 0.01, "{weights}");
    }

    #[test]
    fn every_stack_gives_heatmaps_of_a_quarter_of_the_input() {
        let graph = EdgeConfig { stacks: 3, ..small() }.graph(99);
        assert_eq!(graph.outputs.len(), 3);
        assert!(graph.outputs.iter().all(|&o| graph.nodes[o].stride == 4 && graph.nodes[o].channels == 99));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let refused = |config: EdgeConfig| config.check().unwrap_err();
        assert_eq!(
            refused(EdgeConfig { up_blocks: vec![1], ..small() }),
            ConfigError::UpBlocks { actual: 1, expected: 3 }
        );
        assert_eq!(refused(EdgeConfig { kernel: 4, ..small() }), ConfigError::Kernel(4));
        assert_eq!(refused(EdgeConfig { widths: vec![48], ..small() }), ConfigError::TooFewLevels(1));
        assert_eq!(refused(EdgeConfig { stacks: 0, ..small() }), ConfigError::Zero { field: "stacks" });
        small().check().unwrap();
    }
}
