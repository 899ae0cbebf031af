//! Inference of a model on the CPU: a picture in, heatmaps out.
//!
//! In: `height * width * 3` values in 0..=1, RGB interleaved, rows from the top. Out: the heatmaps that decoding reads,
//! (row, column, channel); maps that only help training (the boundary map) are left out.

mod landmarker;

pub use landmarker::{Landmark, LandmarkTimes, Landmarker};

use crate::heatmap::HeatmapView;
use crate::model::{Kind, Mode, Model, Network};
use candle_core::{Device, Tensor};

/// What can go wrong when a model is made ready for inference.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "an input of {width}x{height} pixels does not fit this network: both sides have to be multiples of {multiple}"
    )]
    Size { width: usize, height: usize, multiple: usize },
    #[error("this is not a model of the kind that is needed here ({wanted:?})")]
    Kind { wanted: Kind },
    #[error("inference failed: {0}")]
    Candle(#[from] candle_core::Error),
}

/// Which maps a compiled model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// What decoding reads: the last stack's maps without the boundary map. Nothing else is computed.
    #[default]
    Decoded,
    /// All maps of every stack.
    All,
}

/// The arithmetic of a compiled model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    F32,
    /// Half precision, as the model file has it.
    #[default]
    F16,
}

/// For which input, and how, a model is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    pub outputs: Outputs,
    pub precision: Precision,
}

impl EngineOptions {
    /// For pictures of `height` x `width` pixels, for decoding, in the default precision.
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width, outputs: Outputs::default(), precision: Precision::default() }
    }
}

/// A model ready to run on pictures of one size.
pub struct Engine {
    network: Network,
    options: EngineOptions,
    /// Maps of the last stack that decoding reads.
    channels: usize,
    input: Vec<f32>,
    /// Of the last stack, cut to `channels`.
    output: Vec<f32>,
    /// Of every stack, with [`Outputs::All`].
    stacks: Vec<Vec<f32>>,
    stack_channels: usize,
    output_height: usize,
    output_width: usize,
}

impl Engine {
    /// Makes `model` ready for pictures of the given size.
    ///
    /// # Errors
    /// [`EngineError::Size`] if the network can't take it.
    pub fn compile(model: &Model, options: &EngineOptions) -> Result<Self, EngineError> {
        let &EngineOptions { height, width, .. } = options;
        let graph = model.config().graph();
        let multiple = graph.coarsest_stride();
        if height == 0 || width == 0 || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            return Err(EngineError::Size { width, height, multiple });
        }
        let channels = match model.config().kind {
            Kind::Landmarks => model.config().points,
            Kind::Detector => model.config().outputs,
        };
        let (output_height, output_width) = (height / graph.output_stride(), width / graph.output_stride());
        Ok(Self {
            network: Network::from_model(model, &Device::Cpu)?,
            options: *options,
            channels,
            input: vec![0.0; height * width * 3],
            output: vec![0.0; output_height * output_width * channels],
            stacks: Vec::new(),
            stack_channels: model.config().outputs,
            output_height,
            output_width,
        })
    }

    /// Where the caller writes the picture.
    pub fn input_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    /// Runs the network on what [`Self::input_mut`] holds.
    ///
    /// # Errors
    /// [`EngineError::Candle`].
    pub fn run(&mut self) -> Result<(), EngineError> {
        let EngineOptions { height, width, outputs, .. } = self.options;
        let picture = Tensor::from_slice(&self.input, (1, height, width, 3), &Device::Cpu)?;
        let stacks = self.network.forward(&picture, Mode::Evaluate)?;
        let last = stacks.last().expect("a network has an output").narrow(3, 0, self.channels)?;
        self.output.copy_from_slice(&last.flatten_all()?.to_vec1::<f32>()?);
        if outputs == Outputs::All {
            let values = stacks.iter().map(|maps| maps.flatten_all()?.to_vec1::<f32>());
            self.stacks = values.collect::<candle_core::Result<_>>()?;
        }
        Ok(())
    }

    /// All maps of every stack of the last run, the boundary map last where there is one; the last stack comes last.
    /// Nothing unless the engine was compiled with [`Outputs::All`].
    pub fn stacks(&self) -> impl Iterator<Item = HeatmapView<'_>> {
        self.stacks.iter().map(|values| HeatmapView {
            values,
            height: self.output_height,
            width: self.output_width,
            channels: self.stack_channels,
        })
    }

    /// The heatmaps of the last run that decoding reads.
    pub fn output(&self) -> HeatmapView<'_> {
        HeatmapView {
            values: &self.output,
            height: self.output_height,
            width: self.output_width,
            channels: self.channels,
        }
    }
}
