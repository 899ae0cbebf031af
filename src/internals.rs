//! Private modules, exposed to this package's own benches, integration tests and developers' examples. Nothing here is
//! stable API.

pub use crate::program::capture;
pub use crate::runtime::engine::{Engine, EngineOptions, Outputs};
pub use crate::runtime::geometry::crop_from_frame;
pub use crate::runtime::image::yuv::{Range, Yuv};
pub use crate::runtime::image::{Border, crop_into};
pub use crate::runtime::landmarks::WFLW98_OF_IBUG68;
pub use crate::runtime::model::graph::{Graph, Node, Operation, Parameter, Role};
pub use crate::runtime::model::{ModelConfig, default_detector, default_landmarks};
pub use crate::runtime::signals::fit;
pub use crate::runtime::simd::Isa;
pub use crate::train::data::{Batch, BatchShape, DataError, ItemMut, Task};
pub use crate::train::detector::stage;
pub use crate::train::gpu::candle::{CandleNetwork, Mode};
pub use crate::train::loss::{AdaptiveWing, Objective};
pub use crate::train::network::{CpuNetwork, Network, untrained};
pub use crate::train::synth::{Portrait, Scene};
pub use crate::train::trainer::read_log;

/// Kernels and candle operations of training.
pub mod ops {
    pub use crate::train::gpu::candle::ops::{
        NormMode, add, avg_pool2x, batch_norm, conv2d, depthwise_conv2d, upsample2x,
    };
    pub use crate::train::ops::parallel::Pool;
    pub use crate::train::ops::{bias_gradient, dense, depthwise};
}
