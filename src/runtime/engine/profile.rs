//! The time of every step of a run.

use super::Engine;
use super::plan::{PlacedStep, StepPrecision};
use crate::runtime::simd::Rates;
use std::time::Instant;

/// The cost of one step of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct StepProfile {
    /// The layers that the step computes.
    pub layers: String,
    /// Milliseconds, the median of the runs.
    pub ms: f64,
    /// Billions of multiplications and additions of its convolutions per second.
    pub gflops: f64,
    /// Milliseconds that the multiplications and additions would take at the rates that the core reaches in registers.
    pub limit_ms: f64,
}

impl Engine {
    /// Runs the network `runs` times on what [`Self::input_mut`] holds and times every step. `rates` are those of the
    /// engine's instruction set.
    pub fn profile(&mut self, runs: usize, rates: &Rates) -> Vec<StepProfile> {
        let steps = self.plan.steps.len();
        let mut times_ms = vec![Vec::with_capacity(runs); steps];
        for _ in 0..runs.max(1) {
            for (step, times_ms) in times_ms.iter_mut().enumerate() {
                let start = Instant::now();
                self.run_step(step);
                times_ms.push(start.elapsed().as_secs_f64() * 1000.0);
            }
        }
        let profile = |(PlacedStep { step, .. }, times_ms): (&PlacedStep, &mut Vec<f64>)| {
            times_ms.sort_by(f64::total_cmp);
            let ms = times_ms[times_ms.len() / 2];
            let millions = 2.0 * step.multiply_adds as f64 / 1e6;
            let in_f32 = 2.0 * step.depthwise_multiply_adds as f64 / 1e6;
            let rate = match step.precision {
                StepPrecision::F32 => None,
                StepPrecision::Bf16 => rates.bf16,
                StepPrecision::Int8 => rates.int8,
            };
            let limit_ms = in_f32 / rates.f32 + (millions - in_f32) / rate.unwrap_or(rates.f32);
            StepProfile { layers: step.name.clone(), ms, gflops: millions / ms, limit_ms }
        };
        self.plan.steps.iter().zip(&mut times_ms).map(profile).collect()
    }
}
