//! How exact a model is: normalized error, failures and error curves on data sets with known landmarks; how well a
//! detector finds faces; what a confidence is worth; whether one model is better than another.
//!
//! Numbers only in [`metrics`] and [`compare()`]; models run over pictures in [`evaluate`], [`evaluate_detector`] and
//! [`calibrate`].

mod calibration;
mod compare;
mod detection;
mod eyes;
pub mod metrics;
mod report;
mod style_fit;
mod validator;

pub use calibration::{Reliability, calibrate};
pub use compare::{Comparison, compare};
pub use detection::{DetectionEvaluation, evaluate_detector};
pub use report::{BoxSource, EvalOptions, Evaluation, FaceResult, Summary, draw_curve, evaluate};
pub use style_fit::fit_ibug_style;
pub use validator::LandmarkValidator;
