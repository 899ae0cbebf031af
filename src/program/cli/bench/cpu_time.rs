//! CPU usage of this process's threads, where the system reports it (Linux).

use serde::Serialize;
use std::fs;

/// CPU time of the threads of a session in seconds, or shares of one core.
#[derive(Clone, Copy, Serialize)]
pub(super) struct CpuTimes {
    pub capture: f64,
    pub tracking: f64,
    pub display: f64,
}

impl CpuTimes {
    /// From the start of each thread until now; `None` where the system does not report it.
    pub(super) fn now() -> Option<Self> {
        let mut times = Self { capture: 0.0, tracking: 0.0, display: 0.0 };
        for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
            let of = |file: &str| fs::read_to_string(thread.path().join(file));
            let (Ok(name), Ok(schedule)) = (of("comm"), of("schedstat")) else { continue };
            let nanoseconds: f64 = schedule.split(' ').next()?.parse().ok()?;
            let is_main = thread.file_name().to_str() == Some(&std::process::id().to_string());
            match name.trim() {
                "capture" => times.capture += nanoseconds * 1e-9,
                "tracking" => times.tracking += nanoseconds * 1e-9,
                _ if is_main => times.display += nanoseconds * 1e-9,
                _ => {}
            }
        }
        Some(times)
    }

    /// Shares of one core since `start`, `seconds` ago.
    pub(super) fn share_since(&self, start: &Self, seconds: f64) -> Self {
        Self {
            capture: (self.capture - start.capture) / seconds,
            tracking: (self.tracking - start.tracking) / seconds,
            display: (self.display - start.display) / seconds,
        }
    }
}

/// How long this thread has been ready without a core, in milliseconds; `None` where the system does not report it.
pub(super) fn waiting_ms() -> Option<f64> {
    let schedule = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = schedule.split_whitespace().nth(1)?.parse().ok()?;
    Some(nanoseconds * 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_work_of_a_thread_is_counted_under_its_name() {
        let work = || {
            let start = CpuTimes::now().unwrap();
            let mut sum = 0_u64;
            while CpuTimes::now().unwrap().tracking - start.tracking < 0.02 {
                sum = std::hint::black_box(sum + 1);
            }
        };
        thread::Builder::new().name("tracking".into()).spawn(work).unwrap().join().unwrap();
    }
}
