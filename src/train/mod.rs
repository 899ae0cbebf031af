//! The training layer: data sets in, model files out, and the measurements of both.
//!
//! Above the runtime, below the program. candle lives here: as the tensors of the operations that training differentiates,
//! and as the executor of a GPU ([`gpu`]).
//!
//! | room | holds |
//! |---|---|
//! | [`ops`] | kernels as candle operations: dense and depthwise convolutions, norms, element-wise operations |
//! | [`network`] | a network in candle, with gradients |
//! | [`gpu`] | the executor for CUDA and Metal |
//! | [`targets`] | target heatmaps, the boundary map and the weight map |
//! | [`loss`] | Adaptive Wing |
//! | [`data`] | readers, augmentation, tasks and the batch loader |
//! | [`trainer`] | recipe, forward and backward passes, optimizer, checkpoints |
//! | [`detector`] | data, targets, loss and validation of the face detector |
//! | [`quantize`] | int8 models |
//! | [`eval`] | NME, failure rate, AUC, error curves, comparison, calibration |
//! | [`interchange`] | PyTorch checkpoints in, ONNX out |
//! | [`plot`], [`text`] | line plots and text in pictures |

pub(crate) mod data;
pub(crate) mod detector;
pub(crate) mod eval;
pub(crate) mod gpu;
pub(crate) mod interchange;
pub(crate) mod loss;
pub(crate) mod network;
pub mod ops;
pub(crate) mod plot;
pub(crate) mod quantize;
pub(crate) mod targets;
pub(crate) mod text;
pub(crate) mod trainer;

pub use data::{DataError, LandmarkTask, LandmarkTaskOptions};
pub use gpu::{Gpu, GpuError, GpuKind};
pub use interchange::{ImportError, import_pytorch, import_pytorch_bytes, to_onnx};
pub use loss::adaptive_wing;
pub use trainer::{
    CheckpointError, Ending, LogError, Progress, Recipe, RecipeError, TrainError, TrainOptions, Trainer, Validator,
};
