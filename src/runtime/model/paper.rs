//! The paper's network: stacked hourglasses with CoordConv and a boundary map, identical to the official one in every
//! tensor.
//!
//! Structure and names follow the official evaluation code (class `FAN`; paper section 4 and its supplement), so that
//! its checkpoints load by name. Convolutions have no bias unless the code below says so.

use super::config_error::{ConfigError, MOST_REPEATS, from_one};
use super::graph::{Graph, NodeId};
use serde::{Deserialize, Serialize};

/// Levels of every hourglass below the first: 64, 32, 16, 8 and 4 cells a side.
const DEPTH: usize = 4;
/// Channels inside the hourglasses.
const CHANNELS: usize = 256;

/// The size of a paper network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperConfig {
    /// Number of hourglasses, 1 to 4 in the paper.
    pub stacks: usize,
}

impl PaperConfig {
    /// Checks the number of stacks.
    ///
    /// # Errors
    /// [`ConfigError`] if it is 0 or more than [`MOST_REPEATS`].
    pub fn check(&self) -> Result<(), ConfigError> {
        from_one("stacks", self.stacks, MOST_REPEATS)
    }

    /// The network with `outputs` maps per stack, of which the last is the boundary map.
    pub fn graph(&self, outputs: usize) -> Graph {
        let mut g = Graph::default();
        let mut x = g.input(3);
        x = g.coordinates(x, None);
        x = g.convolution("conv1.conv", x, 64, 7, 2, true);
        x = g.batch_norm("bn1", x, true);
        x = block(&mut g, "conv2", x, 128);
        x = g.average_pool(x);
        x = block(&mut g, "conv3", x, 128);
        x = block(&mut g, "conv4", x, CHANNELS);
        let mut heatmaps = None;
        for stack in 0..self.stacks {
            let name = format!("m{stack}");
            let y = g.coordinates(x, heatmaps);
            let y = g.convolution(format!("{name}.coordconv.conv"), y, CHANNELS, 1, 1, true);
            let y = hourglass(&mut g, &name, y, DEPTH);
            let y = block(&mut g, &format!("top_m_{stack}"), y, CHANNELS);
            let y = g.convolution(format!("conv_last{stack}"), y, CHANNELS, 1, 1, true);
            let y = g.batch_norm(format!("bn_end{stack}"), y, true);
            let maps = g.convolution(format!("l{stack}"), y, outputs, 1, 1, true);
            g.outputs.push(maps);
            heatmaps = Some(maps);
            if stack + 1 < self.stacks {
                let from_features = g.convolution(format!("bl{stack}"), y, CHANNELS, 1, 1, true);
                let from_heatmaps = g.convolution(format!("al{stack}"), maps, CHANNELS, 1, 1, true);
                x = g.add(x, from_features, false);
                x = g.add(x, from_heatmaps, false);
            }
        }
        g
    }
}

/// Pre-activation block: three 3x3 convolutions with 1/2, 1/4 and 1/4 of the channels, each applied to the last one's
/// output; their outputs are concatenated and added to the input.
fn block(g: &mut Graph, name: &str, x: NodeId, channels: usize) -> NodeId {
    let mut parts = Vec::new();
    let mut y = x;
    for (i, part) in [channels / 2, channels / 4, channels / 4].into_iter().enumerate() {
        y = g.batch_norm(format!("{name}.bn{}", i + 1), y, true);
        y = g.convolution(format!("{name}.conv{}", i + 1), y, part, 3, 1, false);
        parts.push(y);
    }
    let y = g.concat(parts);
    let residual = if g.nodes[x].channels == channels {
        x
    } else {
        let r = g.batch_norm(format!("{name}.downsample.0"), x, true);
        g.convolution(format!("{name}.downsample.2"), r, channels, 1, 1, false)
    };
    g.add(y, residual, false)
}

fn hourglass(g: &mut Graph, name: &str, x: NodeId, level: usize) -> NodeId {
    let skip = block(g, &format!("{name}.b1_{level}"), x, CHANNELS);
    let y = g.average_pool(x);
    let y = block(g, &format!("{name}.b2_{level}"), y, CHANNELS);
    let y = if level > 1 {
        hourglass(g, name, y, level - 1)
    } else {
        block(g, &format!("{name}.b2_plus_{level}"), y, CHANNELS)
    };
    let y = block(g, &format!("{name}.b3_{level}"), y, CHANNELS);
    let y = g.upsample(y);
    g.add(y, skip, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_and_size_are_those_of_the_official_network() {
        // Parameters in millions and multiply-adds in billions of the official code with 98 points.
        for (stacks, millions, cost) in [(1, 6.334, 8.73), (2, 12.273, 14.72), (3, 18.213, 20.72), (4, 24.153, 26.71)] {
            let graph = PaperConfig { stacks }.graph(99);
            let parameters: usize = graph
                .parameters()
                .iter()
                .filter(|p| p.role.is_trained())
                .map(|p| p.shape.iter().product::<usize>())
                .sum();
            assert!((parameters as f64 / 1e6 - millions).abs() < 0.001, "{stacks} stacks: {parameters}");
            let actual = graph.multiply_adds(256, 256) as f64 / 1e9;
            assert!((actual - cost).abs() < 0.01, "{stacks} stacks: {actual}");
        }
    }

    /// FNV-1a hash of `name [shape]` lines.
    fn fingerprint(lines: &[String]) -> u64 {
        let bytes = lines.iter().flat_map(|line| line.bytes().chain(std::iter::once(b'\n')));
        bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }

    fn listing(stacks: usize, points: usize) -> Vec<String> {
        let parameters = PaperConfig { stacks }.graph(points + 1).parameters();
        let mut lines: Vec<String> = parameters.iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect();
        // Counters that PyTorch's batch normalizations store beside their statistics.
        let norms = parameters.iter().filter_map(|p| p.name.strip_suffix("running_mean"));
        lines.extend(norms.map(|layer| format!("{layer}num_batches_tracked []")));
        lines.sort();
        lines
    }

    #[test]
    fn four_stacks_have_the_names_and_shapes_of_the_official_checkpoint() {
        // The fingerprint covers the sorted names and shapes of the official network's 1137 tensors in PyTorch.
        let lines = listing(4, 98);
        assert_eq!(lines.len(), 1137);
        assert_eq!(fingerprint(&lines), 0x5aab_ba97_a98d_d76c);
    }

    #[test]
    fn other_stacks_and_points_change_the_stacks_tensors_and_the_maps_only() {
        let four = listing(4, 98);
        for stacks in 1..=4 {
            for points in [19, 29, 68] {
                let maps = points + 1;
                // The last stack feeds no other, so it has no `bl` and `al`.
                let belongs = |line: &&String| {
                    let layer = line.split('.').next().unwrap_or_default();
                    let stack = layer.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap_or(0);
                    match layer.trim_end_matches(|c: char| c.is_ascii_digit()) {
                        "m" | "top_m_" | "conv_last" | "bn_end" | "l" => stack < stacks,
                        "bl" | "al" => stack + 1 < stacks,
                        _ => true,
                    }
                };
                let expected: Vec<String> =
                    four.iter().filter(belongs).map(|line| line.replace("99", &maps.to_string())).collect();
                assert_eq!(listing(stacks, points), expected, "{stacks} stacks, {points} points");
            }
        }
    }
}
