//! `--threads N` is a promise: no more than N threads are ever busy.
#![cfg(target_os = "linux")]

use awing::Frame;
use awing::internals::Scene;
use awing::{Tracker, TrackerOptions};
use std::collections::HashMap;

/// The CPU time of each thread of the process so far, in nanoseconds.
fn run_time_ns() -> HashMap<String, u64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let time = |task: std::fs::DirEntry| {
        // A thread that has just ended has no figures.
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let ns = text.split_whitespace().next()?.parse().ok()?;
        Some((task.file_name().to_string_lossy().into_owned(), ns))
    };
    tasks.filter_map(time).collect()
}

/// A thread with a smaller share of the work does not count as busy: it was started, or woken and found nothing to do.
const BUSY_FROM: f64 = 0.02;

// A single test: the threads of another one would be busy at the same time.
#[test]
fn no_more_threads_are_busy_than_requested() {
    let mut frame = Frame::filled(640, 480, [0; 3]);
    for (faces, threads) in [(1, 1), (4, 1), (1, 2), (4, 2), (4, 3)] {
        let mut options = TrackerOptions::default();
        (options.faces, options.threads) = (4, threads);
        let mut tracker = Tracker::new(options).unwrap();
        let scene = Scene::demo(1, faces);
        let mut seen = 0;
        let mut busy: HashMap<String, u64> = HashMap::new();
        for i in 0..60 {
            let time_s = f64::from(i) / 30.0;
            scene.draw(time_s, &mut frame);
            let before = run_time_ns();
            seen = tracker.track_at(&frame, time_s).unwrap().len();
            for (thread, ns) in run_time_ns() {
                let ns = ns - before.get(&thread).copied().unwrap_or(0);
                *busy.entry(thread).or_default() += ns;
            }
        }
        assert!(seen == faces || seen >= 3, "{seen} of {faces} faces were seen");
        let all: u64 = busy.values().sum();
        let count = busy.values().filter(|ns| **ns as f64 > BUSY_FROM * all as f64).count();
        assert!((1..=threads).contains(&count), "{count} of {threads} threads were busy with {faces} faces: {busy:?}");
    }
}
