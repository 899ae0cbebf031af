//! Splits work over the threads of the current rayon pool. To use fewer threads, run the work in a smaller pool
//! (`rayon::ThreadPool::install`); nothing here bypasses it.

use rayon::prelude::*;
use std::ops::Range;

/// How many threads work is split over.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Calls `body` for disjoint ranges that together cover `0..count`. Ranges are at least `grain` long (but for the
/// last), so `grain` is the amount of work that is worth a hand-over to another thread; with one thread in the pool, or
/// no more than `grain` items, everything runs in one call on the calling thread.
pub fn split(count: usize, grain: usize, body: impl Fn(Range<usize>) + Sync) {
    let threads = threads();
    let parts = count.div_ceil(grain.max(1)).min(threads * PARTS_PER_THREAD);
    if threads == 1 || parts <= 1 {
        if count > 0 {
            body(0..count);
        }
        return;
    }
    let length = count.div_ceil(parts);
    (0..count.div_ceil(length)).into_par_iter().for_each(|part| {
        let start = part * length;
        body(start..(start + length).min(count));
    });
}

/// More parts than threads, so that a thread that the system holds up does not hold up all others.
const PARTS_PER_THREAD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_item_is_visited_once() {
        for (count, grain) in [(0, 1), (1, 1), (7, 2), (1000, 1), (1001, 400)] {
            let seen: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            split(count, grain, |range| {
                for i in range {
                    seen[i].fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(seen.iter().all(|s| s.load(Ordering::Relaxed) == 1));
        }
    }
}
