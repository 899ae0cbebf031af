//! `awing heatmaps`: the raw heatmaps of a network, for debugging, teaching and parity checks with other
//! implementations.
//!
//! In: a model and a picture, or the network's input as a tensor. Out: the raw maps of every stack.

use super::device::DeviceChoice;
use super::paths::{Content, Overwrite, Paths};
use crate::program::console::{print, say};
use crate::program::view::sheet;
use crate::runtime::detect::Detector;
use crate::runtime::engine::{Engine, EngineOptions, Outputs, Precision};
use crate::runtime::files::{read_whole, write_whole};
use crate::runtime::geometry::{Point, crop_from_frame};
use crate::runtime::heatmap::HeatmapView;
use crate::runtime::image::{Border, Frame, crop_into};
use crate::runtime::model::{Kind, Model, ModelConfig, default_detector, default_landmarks};
use crate::train::gpu::Gpu;
use crate::train::network::{CpuNetwork, Maps, Network};
use crate::train::synth::front_view;
use anyhow::{Context, Result, bail};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct HeatmapsArguments {
    /// The landmark model or detector [default: the bundled landmark model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// A picture; the input is its most confident face, or without a face, and for a detector, the square in its middle
    /// [default: a drawn face]
    #[arg(long, value_name = "FILE", conflicts_with = "tensor")]
    image: Option<PathBuf>,
    /// The network's input instead of a picture: a tensor `input` of 1 x 3 x height x width numbers in f32 from 0 to 1
    #[arg(long, value_name = "FILE.safetensors")]
    tensor: Option<PathBuf>,
    /// Write the maps as f32 tensors `stack0`, `stack1`, ... of 1 x maps x height x width
    #[arg(long, value_name = "FILE.safetensors", required_unless_present = "plot")]
    out: Option<PathBuf>,
    /// Draw the maps as a picture
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// The device to compute on; `--engine compiled` runs on the CPU only
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceChoice,
    /// The implementation that computes the maps, in f32
    #[arg(long, value_enum, default_value = "training")]
    engine: EngineChoice,
    #[command(flatten)]
    overwrite: Overwrite,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum EngineChoice {
    /// The compiled engine, as in tracking.
    Compiled,
    /// The training's forward pass: on the CPU with awing's own kernels, on a GPU with candle.
    #[value(alias = "candle")]
    Training,
}

/// The side of the picture of the drawn face, in pixels.
const DRAWN_SIDE: usize = 320;

pub(super) const EXAMPLES: &str = "\
Examples:
  awing heatmaps --plot maps.png
  awing heatmaps --image face.jpg --out maps.safetensors";

/// The input of a network: (row, column, RGB) in 0..=1.
struct Input {
    values: Vec<f32>,
    height: usize,
    width: usize,
}

pub(super) fn run(arguments: &HeatmapsArguments) -> Result<()> {
    let paths = Paths::default().reads("--model", arguments.model.as_ref());
    let paths = paths.reads("--image", arguments.image.as_ref()).reads("--tensor", arguments.tensor.as_ref());
    let paths = paths.writes("--out", arguments.out.as_ref(), Content::Tensors);
    paths.writes("--plot", arguments.plot.as_ref(), Content::Picture).check(arguments.overwrite)?;
    let model = arguments.model.as_deref().map_or_else(default_landmarks, Model::load)?;
    let input = match (&arguments.image, &arguments.tensor) {
        (Some(image), _) => from_frame(&Frame::open(image)?, &image.display().to_string(), model.config())?,
        (None, Some(tensor)) => from_tensor(tensor).with_context(|| format!("{}", tensor.display()))?,
        (None, None) => from_frame(&drawn_face(), "the drawn picture", model.config())?,
    };
    let stacks = match arguments.engine {
        EngineChoice::Compiled => {
            if !matches!(arguments.device, DeviceChoice::Auto | DeviceChoice::Cpu) {
                bail!("the compiled engine runs on the CPU only: leave out --device, or use --engine training");
            }
            compiled(&model, &input)?
        }
        EngineChoice::Training => trained(&model, &input, arguments.device.open()?)?,
    };
    let mut said = String::new();
    if let Some(path) = &arguments.out {
        save(&stacks, path)?;
        let maps = stacks.first().map_or(0, |maps| maps.channels);
        said += &format!("wrote {}: {} x {maps} heatmaps, as stack0 and so on\n", path.display(), stacks.len());
    }
    if let Some(path) = &arguments.plot {
        let views: Vec<_> = stacks.iter().flat_map(Maps::views).collect();
        sheet(&input.values, input.height, input.width, &views, model.config().points).save(path)?;
        said += &format!("wrote {}\n", path.display());
    }
    print(&said)
}

/// The picture if none was named.
fn drawn_face() -> Frame {
    let mut frame = Frame::filled(DRAWN_SIDE, DRAWN_SIDE, [0; 3]);
    front_view(&mut frame);
    frame
}

fn from_frame(frame: &Frame, name: &str, config: &ModelConfig) -> Result<Input> {
    if frame.width() == 0 || frame.height() == 0 {
        bail!("{name} has no pixels");
    }
    let faces = match config.kind {
        Kind::Landmarks => Detector::new(&default_detector()?, Precision::Auto)?.detect(frame)?.to_vec(),
        Kind::Detector => Vec::new(),
    };
    let (center, side) = match faces.first() {
        Some(face) => (face.rect.center(), config.crop.side(&face.rect)),
        None => {
            if config.kind == Kind::Landmarks {
                say(&format!("No face was found in {name}: showing the middle of the picture"));
            }
            let middle = Point::new(0.5 * (frame.width() as f32 - 1.0), 0.5 * (frame.height() as f32 - 1.0));
            (middle, frame.width().min(frame.height()) as f32)
        }
    };
    let size = config.input_size;
    let mut values = vec![0.0; size * size * 3];
    crop_into(frame, &crop_from_frame(center, side, 0.0, size), size, Border::Replicate, &mut values);
    Ok(Input { values, height: size, width: size })
}

fn from_tensor(path: &Path) -> Result<Input> {
    let bytes = read_whole(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let tensor = file.tensor("input")?;
    let &[1, 3, height, width] = tensor.shape() else {
        bail!("`input` has the shape {:?}, it should be 1 x 3 x height x width", tensor.shape());
    };
    if tensor.dtype() != Dtype::F32 {
        bail!("`input` is of type {:?}, it should be F32", tensor.dtype());
    }
    let planes: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    if let Some(value) = planes.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        bail!("`input` holds {value}: values lie in 0..=1");
    }
    let cells = height * width;
    let values = (0..cells).flat_map(|cell| [planes[cell], planes[cells + cell], planes[2 * cells + cell]]).collect();
    Ok(Input { values, height, width })
}

fn compiled(model: &Model, input: &Input) -> Result<Vec<Maps>> {
    let options = EngineOptions {
        outputs: Outputs::All,
        precision: Precision::F32,
        ..EngineOptions::new(input.height, input.width)
    };
    let mut engine = Engine::compile(model, &options)?;
    engine.input_mut().copy_from_slice(&input.values);
    engine.run();
    let own = |maps: HeatmapView<'_>| Maps {
        values: maps.values.to_vec(),
        height: maps.height,
        width: maps.width,
        channels: maps.channels,
    };
    Ok(engine.stacks().map(own).collect())
}

fn trained(model: &Model, input: &Input, gpu: Option<Gpu>) -> Result<Vec<Maps>> {
    let &Input { ref values, height, width } = input;
    let multiple = model.config().graph().coarsest_stride();
    if height == 0 || width == 0 || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
        bail!("the input has {width}x{height} pixels: both sides have to be multiples of {multiple}");
    }
    let mut network: Box<dyn Network> = match gpu {
        None => Box::new(CpuNetwork::new(model)),
        Some(gpu) => gpu.network(model)?,
    };
    Ok(network.stacks(values.clone(), (height, width))?)
}

fn save(stacks: &[Maps], path: &Path) -> Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (i, maps) in stacks.iter().enumerate() {
        let plane = |channel: usize| maps.values.iter().skip(channel).step_by(maps.channels);
        let bytes = (0..maps.channels).flat_map(plane).flat_map(|v| v.to_le_bytes()).collect();
        tensors.push((format!("stack{i}"), vec![1, maps.channels, maps.height, maps.width], bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view)))
        .collect::<Result<Vec<_>, _>>()?;
    let bytes = safetensors::serialize(views, None)?;
    write_whole(path, &bytes).with_context(|| format!("cannot write {}", path.display()))
}
