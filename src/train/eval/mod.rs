//! Evaluation on data sets with known landmarks: normalized error, failures and error curves of a landmark model;
//! accuracy of a detector; calibration of confidences; comparison of two models.
//!
//! [`metrics`] and [`compare()`] work on plain numbers; [`evaluate`], [`evaluate_detector`] and [`calibrate`] run
//! models on pictures.

mod calibration;
mod compare;
mod detection;
mod eyes;
pub mod metrics;
mod report;
mod style_fit;
mod validator;

pub use calibration::{Reliability, calibrate};
pub(in crate::train) use compare::paired_bootstrap;
pub use compare::{Comparison, compare};
pub use detection::{DetectionEvaluation, evaluate_detector};
pub use report::{BoxSource, EvalOptions, Evaluation, FaceResult, Summary, draw_curve, evaluate};
pub use style_fit::{FittedStyle, fit_styles};
pub use validator::LandmarkValidator;
