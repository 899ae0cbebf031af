//! What can carry out a network: the compiled [`Engine`] here, others above the runtime (candle on a GPU).

use super::{Engine, EngineError};
use crate::runtime::heatmap::HeatmapView;
use crate::runtime::model::Model;

/// A network that is ready for pictures of one size.
pub trait Executor: Send {
    /// Where the caller writes the picture: `height * width * 3` values in 0..=1, RGB interleaved, rows from the top.
    fn input_mut(&mut self) -> &mut [f32];

    /// Runs the network on what [`Self::input_mut`] holds.
    ///
    /// # Errors
    /// [`EngineError::Executor`] with what the device reports. The compiled engine never fails.
    fn run(&mut self) -> Result<(), EngineError>;

    /// The maps of the last stack of the last run, the landmarks' first.
    fn output(&self) -> HeatmapView<'_>;

    /// As [`Self::output`], with the maps that decoding does not read (the boundary map last); `None` if they are not
    /// computed.
    fn all_maps(&self) -> Option<HeatmapView<'_>>;
}

/// Where landmark networks run instead of the CPU's compiled engine.
pub trait Backend {
    /// Makes `model` ready for square pictures of its input size.
    ///
    /// # Errors
    /// [`EngineError::Executor`] with what the device reports.
    fn executor(&self, model: &Model) -> Result<Box<dyn Executor>, EngineError>;
}

impl Executor for Engine {
    fn input_mut(&mut self) -> &mut [f32] {
        self.input_mut()
    }

    fn run(&mut self) -> Result<(), EngineError> {
        self.run();
        Ok(())
    }

    fn output(&self) -> HeatmapView<'_> {
        self.output()
    }

    fn all_maps(&self) -> Option<HeatmapView<'_>> {
        self.stacks().last()
    }
}
