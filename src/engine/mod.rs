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

/// For which input a model is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

/// A model ready to run on pictures of one size.
pub struct Engine {
    network: Network,
    options: EngineOptions,
    channels: usize,
    input: Vec<f32>,
    output: Vec<f32>,
    output_height: usize,
    output_width: usize,
}

impl Engine {
    /// Makes `model` ready for pictures of the given size.
    ///
    /// # Errors
    /// [`EngineError::Size`] if the network can't take it.
    pub fn compile(model: &Model, options: &EngineOptions) -> Result<Self, EngineError> {
        let &EngineOptions { height, width } = options;
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
        let EngineOptions { height, width } = self.options;
        let picture = Tensor::from_slice(&self.input, (1, height, width, 3), &Device::Cpu)?;
        let stacks = self.network.forward(&picture, Mode::Evaluate)?;
        let last = stacks.last().expect("a network has an output").narrow(3, 0, self.channels)?;
        self.output.copy_from_slice(&last.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }

    /// The heatmaps of the last run.
    pub fn output(&self) -> HeatmapView<'_> {
        HeatmapView {
            values: &self.output,
            height: self.output_height,
            width: self.output_width,
            channels: self.channels,
        }
    }
}
