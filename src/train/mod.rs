//! Training: data sets in, model files out; and evaluation.
//!
//! A [`Recipe`] (a TOML file, see `recipes/`) defines a training. A [`Trainer`] runs it on the CPU or on a [`Gpu`], and
//! writes the model, a log, a learning curve and a checkpoint into one folder. The same recipe, data, seed and number
//! of threads give the same model, bit for bit, however often the training was interrupted.
//!
//! ```no_run
//! use awing::train::{LandmarkTask, LandmarkValidator, Recipe, Split, TrainOptions, Trainer, read_faces};
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let recipe = Recipe::load(Path::new("recipes/edge-98.toml"))?;
//! let options = recipe.landmark_options().ok_or("not a recipe for landmarks")?;
//! let mut faces = read_faces(Path::new("faces/train.jsonl"), Split::Train)?;
//! faces.retain(|face| !recipe.hold_out.contains(face));
//! faces.extend(recipe.procedural()?);
//! let task = LandmarkTask::new(faces, &recipe.datasets, recipe.augmentation.clone(), options)?;
//! let held_out = read_faces(Path::new("faces/val.jsonl"), Split::Test)?;
//! let mut validator = LandmarkValidator::new(held_out, &recipe.model)?;
//!
//! let mut trainer = Trainer::new(recipe, Arc::new(task), TrainOptions::new("out"))?;
//! trainer.run(Some(&mut validator), |progress| println!("step {}: {:.4}", progress.step, progress.loss))?;
//! let model = trainer.model()?; // also in out/model.safetensors
//! # Ok(())
//! # }
//! ```
//!
//! A [`FineTune`] adapts a model to a few faces on the device it runs on, and accepts the result only if it is better.
//!
//! Errors are typed; a message says what failed, its cause is in `source()` only. Everything here is [`Send`].
//!
//! On the CPU everything runs on awing's own kernels. The features `cuda` and `metal` add candle, which runs the same
//! networks on a [`Gpu`], and `adaptive_wing`, the loss as an operation on candle's tensors.
// The modules, for contributors. This layer is above the runtime and below the program.
//
// | room | holds |
// |---|---|
// | `ops` | kernels: dense and depthwise convolutions, norms, element-wise operations |
// | `network` | initial values and forward pass of a network |
// | `targets` | target heatmaps, the boundary map and the weight map |
// | `loss` | the interface of an objective, the Adaptive Wing loss |
// | `data` | readers, augmentation, tasks and the batch loader |
// | `collection` | faces collected on the device, on disk |
// | `finetune` | fine-tuning on the device: checks, training, verdict |
// | `synth` | procedural faces with exact landmarks |
// | `gpu` | CUDA and Metal; the only room with candle |
// | `trainer` | recipe, forward and backward pass, optimizer, checkpoints |
// | `detector` | data, targets, loss and validation of the face detector |
// | `quantize` | int8 models |
// | `eval` | NME, failure rate, AUC, error curves, comparison, calibration |
// | `interchange` | PyTorch checkpoints in, ONNX out |
// | `fnv` | a hash for checksums and choices |
// | `thumbnail` | a measure of how different two pictures are |
// | `plot`, `text` | line plots and text in pictures |

pub(crate) mod collection;
pub(crate) mod data;
pub(crate) mod detector;
pub(crate) mod eval;
pub(crate) mod finetune;
mod fnv;
pub(crate) mod gpu;
pub(crate) mod interchange;
pub(crate) mod loss;
pub(crate) mod network;
pub(crate) mod ops;
pub(crate) mod plot;
pub(crate) mod quantize;
pub(crate) mod synth;
pub(crate) mod targets;
pub(crate) mod text;
pub(crate) mod thumbnail;
pub(crate) mod trainer;

pub use data::{DataError, LandmarkTask, LandmarkTaskOptions, Sample, Split, read_faces};
pub use eval::LandmarkValidator;
pub use finetune::{
    Change, FineTune, FineTuneEnding, FineTuneError, FineTuneOptions, FineTuneProgress, OwnFaces, PartChange, Tried,
    Tuned, TuningRecipe, Verdict,
};
#[cfg(feature = "gpu")]
pub use gpu::candle::adaptive_wing;
pub use gpu::{Gpu, GpuError, GpuKind};
pub use interchange::{ImportError, import_pytorch, import_pytorch_bytes, to_onnx};
pub use quantize::QuantizeError;
pub use trainer::{
    CheckpointError, Course, Ending, LogError, Progress, Recipe, RecipeError, TrainError, TrainOptions, Trainer,
    Validator,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_sent_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Trainer>();
        is_send::<FineTune>();
        is_send::<FineTuneOptions>();
        is_send::<Tuned>();
        is_send::<TrainOptions>();
        is_send::<Recipe>();
        is_send::<Progress>();
        is_send::<Ending>();
        is_send::<Sample>();
        is_send::<LandmarkTask>();
        is_send::<LandmarkValidator>();
        is_send::<Box<dyn Validator>>();
        is_send::<Gpu>();
    }

    #[test]
    fn errors_go_wherever_errors_go() {
        fn is_an_error<T: std::error::Error + Send + Sync + 'static>() {}
        is_an_error::<TrainError>();
        is_an_error::<RecipeError>();
        is_an_error::<CheckpointError>();
        is_an_error::<LogError>();
        is_an_error::<DataError>();
        is_an_error::<FineTuneError>();
        is_an_error::<ImportError>();
        is_an_error::<GpuError>();
    }
}
