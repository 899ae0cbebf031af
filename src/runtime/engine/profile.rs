//! Where the time of a run goes.

use super::Engine;
use std::time::Instant;

/// What a step of the plan costs.
#[derive(Clone, Debug, PartialEq)]
pub struct StepProfile {
    /// The layers that the step does together.
    pub layers: String,
    /// Median over the runs.
    pub ms: f64,
    /// Multiplications and additions of its convolutions, in thousand millions a second.
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
        let profile = |(step, times_ms): (&super::plan::Step, &mut Vec<f64>)| {
            times_ms.sort_by(f64::total_cmp);
            let ms = times_ms[times_ms.len() / 2];
            StepProfile { layers: step.name.clone(), ms, gflops: 2.0 * step.multiply_adds as f64 / 1e6 / ms }
        };
        self.plan.steps.iter().zip(&mut times_ms).map(profile).collect()
    }
}
