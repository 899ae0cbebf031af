//! What runs a network: the compiled [`Engine`], or a [`Backend`] outside the runtime (candle on a GPU).

use super::{Engine, EngineError};
use crate::runtime::heatmap::HeatmapView;
use crate::runtime::model::Model;

/// A network, ready for pictures of one size.
pub trait Executor: Send {
    /// The buffer for the picture: `height * width * 3` values in 0..=1, RGB interleaved, top row first.
    fn input_mut(&mut self) -> &mut [f32];

    /// Runs the network on the contents of [`Self::input_mut`].
    ///
    /// # Errors
    /// [`EngineError::Executor`] with the device's error. The compiled engine never fails.
    fn run(&mut self) -> Result<(), EngineError>;

    /// The last stack's maps from the last run, landmark maps first.
    fn output(&self) -> HeatmapView<'_>;

    /// As [`Self::output`], with the maps that decoding does not read (the boundary map last); `None` if those are
    /// not computed.
    fn all_maps(&self) -> Option<HeatmapView<'_>>;
}

/// Runs landmark networks in place of the compiled engine.
pub trait Backend {
    /// Prepares `model` for square pictures of its input size.
    ///
    /// # Errors
    /// [`EngineError::Executor`] with the device's error.
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
