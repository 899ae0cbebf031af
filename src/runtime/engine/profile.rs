//! Where the time of a run goes.

use super::Engine;
use super::plan::PlacedStep;
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
}

impl Engine {
    /// Runs the network `runs` times on what [`Self::input_mut`] holds and times every step.
    pub fn profile(&mut self, runs: usize) -> Vec<StepProfile> {
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
            StepProfile { layers: step.name.clone(), ms, gflops: 2.0 * step.multiply_adds as f64 / 1e6 / ms }
        };
        self.plan.steps.iter().zip(&mut times_ms).map(profile).collect()
    }
}
