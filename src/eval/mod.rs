//! How exact a model is: normalized error, failures and error curves on data sets with known landmarks.
//!
//! Numbers only in [`metrics`]; running a model over samples and the report in [`evaluate`].

mod detection;
pub mod metrics;
mod report;
mod validator;

pub use detection::{DetectionEvaluation, Invented, Recall, evaluate_detector};
pub use report::{BoxSource, EvalError, EvalOptions, Evaluation, FaceResult, FindFaces, Summary, draw_curve, evaluate};
pub use validator::LandmarkValidator;
