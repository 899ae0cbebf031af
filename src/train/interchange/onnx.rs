//! Writes a model as an ONNX file, for ONNX Runtime, TensorRT and others.
//!
//! In: a model. Out: the bytes of a file of opset 17 that has one input, `input` (`[batch, 3, height, width]`, RGB in
//! 0..=1), and one output per stack, `stack0`, `stack1` ... (`[batch, maps, height / 4, width / 4]`, the same numbers
//! as from [`crate::train::network::Network`]). The batch size is dynamic unless the caller fixes it; height and width
//! are dynamic unless the network has coordinate channels, whose planes are constants of the model's input size. No
//! shape is computed at run time. Weights are in single precision. The model's description is in the file's metadata
//! under `awing`.
//!
//! Field numbers are those of `onnx.proto` of the ONNX project, IR version 8.

use crate::runtime::model::graph::{BOUNDARY_GATE, Graph, NORM_EPSILON, Node, NodeId, Operation, coordinate_planes};
use crate::runtime::model::{Model, ModelConfig, ModelError};
use std::collections::BTreeSet;

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A protocol-buffers message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field << 3));
        self.varint(value as u64);
        self
    }

    fn float(mut self, field: u32, value: f32) -> Self {
        self.varint(u64::from(field << 3 | 5));
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field << 3 | 2));
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }
}

/// `AttributeProto`s by the type that they hold.
fn integer(name: &str, value: i64) -> Message {
    Message::default().text(1, name).integer(3, value).integer(20, 2)
}

fn float(name: &str, value: f32) -> Message {
    Message::default().text(1, name).float(2, value).integer(20, 1)
}

fn string(name: &str, value: &str) -> Message {
    Message::default().text(1, name).text(4, value).integer(20, 3)
}

fn integers(name: &str, values: &[usize]) -> Message {
    values.iter().fold(Message::default().text(1, name), |m, &v| m.integer(8, v as i64)).integer(20, 7)
}

/// A `TensorProto`.
fn tensor(name: &str, data_type: i64, shape: &[usize], bytes: &[u8]) -> Message {
    let dimensions = shape.iter().fold(Message::default(), |m, &d| m.integer(1, d as i64));
    dimensions.integer(2, data_type).text(8, name).bytes(9, bytes)
}

/// One dimension of a tensor: known, or dynamic under a name.
enum Side<'a> {
    Known(usize),
    Free(&'a str),
}

/// A `ValueInfoProto`: the name and shape of an input or output.
fn value(name: &str, shape: &[Side<'_>]) -> Message {
    let shape = shape.iter().fold(Message::default(), |m, side| {
        let side = match side {
            Side::Known(size) => Message::default().integer(1, *size as i64),
            Side::Free(name) => Message::default().text(2, name),
        };
        m.message(1, &side)
    });
    let of_floats = Message::default().integer(1, FLOAT).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &of_floats))
}

/// A `GraphProto` being written, field by field.
#[derive(Default)]
struct Writer {
    /// Pictures that constants are written for: one, which is added to any number, or as many as the network takes.
    batch: usize,
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    constants: BTreeSet<String>,
}

impl Writer {
    fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) {
        let node = inputs.iter().fold(Message::default(), |m, input| m.text(1, input));
        let node = node.text(2, output).text(3, output).text(4, operator);
        self.nodes.push(attributes.iter().fold(node, |m, a| m.message(5, a)));
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        if self.constants.insert(name.to_owned()) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.initializers.push(tensor(name, FLOAT, shape, &bytes));
        }
    }

    fn numbers(&mut self, name: &str, values: &[i64]) {
        if self.constants.insert(name.to_owned()) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.initializers.push(tensor(name, INT64, &[values.len()], &bytes));
        }
    }

    /// The operator, or the operator and a ReLU after it.
    fn activated(&mut self, relu: bool, operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) {
        if relu {
            let before = format!("{output}.sum");
            self.node(operator, inputs, &before, attributes);
            self.node("Relu", &[&before], output, &[]);
        } else {
            self.node(operator, inputs, output, attributes);
        }
    }

    /// The first `channels` of the coordinate planes of a map of `size` x `size` cells, for every picture of the batch,
    /// and their name. `like` is a map of that size, and its channels.
    ///
    /// A convolution of zeros gives as many maps of zeros as there are pictures, to which the planes are added. An
    /// `Expand` would say it in fewer words, but then shapes are computed at run time, which OpenCV 4 refuses; and
    /// constants beside maps in a `Concat` it reads wrongly for a batch of one.
    fn planes(&mut self, size: usize, channels: usize, like: (&str, usize)) -> String {
        let name = format!("planes{size}.{channels}");
        if self.constants.insert(name.clone()) {
            let (source, source_channels) = like;
            let planes = coordinate_planes(size, size);
            let by_channel: Vec<f32> = (0..channels).flat_map(|c| planes.iter().skip(c).step_by(3).copied()).collect();
            let [one, weight, zeros] = ["one", "weight", "zeros"].map(|part| format!("{name}.{part}"));
            self.floats(&one, &[self.batch, channels, size, size], &by_channel.repeat(self.batch));
            self.floats(&weight, &[channels, source_channels, 1, 1], &vec![0.0; channels * source_channels]);
            self.node("Conv", &[source, &weight], &zeros, &[integers("kernel_shape", &[1; 2])]);
            self.node("Add", &[&zeros, &one], &name, &[]);
        }
        name
    }

    fn coordinates(&mut self, inputs: &[String], like: usize, heatmaps: Option<usize>, size: usize, output: &str) {
        let planes = self.planes(size, 3, (&inputs[0], like));
        let Some(maps) = heatmaps else {
            self.node("Concat", &[&inputs[0], &planes], output, &[integer("axis", 1)]);
            return;
        };
        let part = |suffix: &str| format!("{output}.{suffix}");
        let (boundary, open, gate, gated) = (part("boundary"), part("open"), part("gate"), part("gated"));
        self.numbers("axis", &[1]);
        self.numbers("boundary.start", &[maps as i64 - 1]);
        self.numbers("boundary.end", &[maps as i64]);
        self.node("Slice", &[&inputs[1], "boundary.start", "boundary.end", "axis"], &boundary, &[]);
        self.floats("boundary.gate", &[1], &[BOUNDARY_GATE]);
        self.node("Greater", &[&boundary, "boundary.gate"], &open, &[]);
        self.node("Cast", &[&open], &gate, &[integer("to", FLOAT)]);
        let both = self.planes(size, 2, (&inputs[0], like));
        self.node("Mul", &[&both, &gate], &gated, &[]);
        self.node("Concat", &[&inputs[0], &planes, &gated], output, &[integer("axis", 1)]);
    }

    /// The nodes of one operation of the network.
    fn operation(&mut self, graph: &Graph, id: NodeId, input_size: usize) {
        let Node { operation, inputs: sources, channels, stride } = &graph.nodes[id];
        let inputs: Vec<String> = sources.iter().map(|&input| value_name(graph, input)).collect();
        let output = value_name(graph, id);
        match operation {
            Operation::Input => {}
            Operation::Convolution { name, kernel, stride, depthwise, bias } => {
                let (weight, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
                let mut all = vec![inputs[0].as_str(), &weight];
                if *bias {
                    all.push(&bias_name);
                }
                let attributes = [
                    integers("kernel_shape", &[*kernel; 2]),
                    integers("strides", &[*stride; 2]),
                    integers("pads", &[*kernel / 2; 4]),
                    integer("group", if *depthwise { *channels as i64 } else { 1 }),
                ];
                self.node("Conv", &all, &output, &attributes);
            }
            Operation::BatchNorm { name, relu } => {
                let parts = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
                let all: Vec<&str> = inputs.iter().chain(&parts).map(String::as_str).collect();
                let epsilon = float("epsilon", NORM_EPSILON as f32);
                self.activated(*relu, "BatchNormalization", &all, &output, &[epsilon]);
            }
            Operation::Add { relu } => self.activated(*relu, "Add", &[&inputs[0], &inputs[1]], &output, &[]),
            Operation::Upsample => {
                self.floats("twice", &[4], &[1.0, 1.0, 2.0, 2.0]);
                let attributes = [
                    string("mode", "nearest"),
                    string("coordinate_transformation_mode", "asymmetric"),
                    string("nearest_mode", "floor"),
                ];
                self.node("Resize", &[&inputs[0], "", "twice"], &output, &attributes);
            }
            Operation::AveragePool => {
                let attributes = [integers("kernel_shape", &[2; 2]), integers("strides", &[2; 2])];
                self.node("AveragePool", &[&inputs[0]], &output, &attributes);
            }
            Operation::Concat => {
                let all: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.node("Concat", &all, &output, &[integer("axis", 1)]);
            }
            Operation::Coordinates => {
                let maps = sources.get(1).map(|&heatmaps| graph.nodes[heatmaps].channels);
                let like = graph.nodes[sources[0]].channels;
                self.coordinates(&inputs, like, maps, input_size / stride, &output);
            }
        }
    }
}

/// The name of a node's value in the file.
fn value_name(graph: &Graph, id: NodeId) -> String {
    match graph.outputs.iter().position(|&output| output == id) {
        Some(stack) => format!("stack{stack}"),
        None if graph.nodes[id].operation == Operation::Input => "input".into(),
        None => format!("node{id}"),
    }
}

/// A model as the bytes of an ONNX file (opset 17), for ONNX Runtime, OpenCV, TensorRT and others. `batch`: how many
/// pictures it takes at once; `None`: any number.
///
/// Input `input`: `[batch, 3, height, width]`, RGB in 0..=1. Outputs `stack0`, `stack1` ...: the heatmaps of each
/// stack, `[batch, maps, height / 4, width / 4]`. Weights are in single precision.
///
/// # Errors
/// [`ModelError::Missing`] for a model that lacks a parameter, [`ModelError::BadDescription`] if its description can't
/// be written as JSON. Neither happens to a model that was read from a file or made by [`Model::new`].
pub fn to_onnx(model: &Model, batch: Option<usize>) -> Result<Vec<u8>, ModelError> {
    let config = model.config();
    let graph = config.graph();
    let mut writer = Writer { batch: batch.unwrap_or(1), ..Writer::default() };
    for parameter in graph.parameters() {
        let missing = || ModelError::Missing { name: parameter.name.clone() };
        let values = model.tensor(&parameter.name).ok_or_else(missing)?;
        writer.floats(&parameter.name, &parameter.shape, values);
    }
    for id in 0..graph.nodes.len() {
        writer.operation(&graph, id, config.input_size);
    }
    let fixed = graph.nodes.iter().any(|node| node.operation == Operation::Coordinates);
    let shape = |channels: usize, size: usize, height, width| {
        let side = |name| if fixed { Side::Known(size) } else { Side::Free(name) };
        let batch = batch.map_or(Side::Free("batch"), Side::Known);
        [batch, Side::Known(channels), side(height), side(width)]
    };
    let mut message = Message::default();
    for node in &writer.nodes {
        message = message.message(1, node);
    }
    message = message.text(2, "awing");
    for initializer in &writer.initializers {
        message = message.message(5, initializer);
    }
    message = message.message(11, &value("input", &shape(3, config.input_size, "height", "width")));
    for (stack, _) in graph.outputs.iter().enumerate() {
        let shape = shape(config.outputs, config.heatmap_size(), "map_height", "map_width");
        message = message.message(12, &value(&format!("stack{stack}"), &shape));
    }
    // The ranges of int8 are of the engine's own kernels.
    let description = serde_json::to_string(&ModelConfig { quantization: None, ..config.clone() })?;
    let file = Message::default()
        .integer(1, IR_VERSION)
        .text(2, "awing")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, &message)
        .message(8, &Message::default().text(1, "").integer(2, OPSET))
        .message(14, &Message::default().text(1, "awing").text(2, &description));
    Ok(file.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::default_landmarks;

    fn holds(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn no_shape_is_computed_at_run_time() {
        // OpenCV 4 refuses a file that does.
        let model = default_landmarks().unwrap();
        assert!(model.config().graph().nodes.iter().any(|node| node.operation == Operation::Coordinates));
        for batch in [None, Some(1)] {
            let bytes = to_onnx(&model, batch).unwrap();
            for operator in ["Shape", "Expand", "Reshape", "ConstantOfShape", "Tile"] {
                let named = Message::default().text(4, operator);
                assert!(!holds(&bytes, &named.0), "{operator}");
            }
        }
    }

    #[test]
    fn what_int8_needs_changes_nothing() {
        let model = default_landmarks().unwrap();
        let single = model.clone().with_quantization(None).unwrap();
        assert_ne!(model, single);
        assert_eq!(to_onnx(&model, None).unwrap(), to_onnx(&single, None).unwrap());
    }

    #[test]
    fn the_batch_is_free_unless_it_is_asked_for() {
        let model = default_landmarks().unwrap();
        let (free, one) = (Message::default().text(2, "batch"), Message::default().integer(1, 1));
        let begins =
            |side: &Message| Message::default().message(1, side).message(1, &Message::default().integer(1, 3)).0;
        let of = |batch| {
            let bytes = to_onnx(&model, batch).unwrap();
            (holds(&bytes, &begins(&free)), holds(&bytes, &begins(&one)))
        };
        assert_eq!([of(None), of(Some(1))], [(true, false), (false, true)]);
    }
}
