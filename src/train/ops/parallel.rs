//! Splits work over the threads of a [`Pool`].
//!
//! The pool is that in which the calling thread was [installed](Pool::install), else one of all cores. It does one job
//! at a time: work within a job, or beside one of another thread, stays on the thread that asks for it. Sums are in an
//! order that depends on the pool's number of threads alone, unless a job splits work itself, which none does.

use crate::runtime::workers::Workers;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, TryLockError};

/// Threads for training and what belongs to it.
pub struct Pool {
    workers: Mutex<Workers>,
    threads: usize,
}

thread_local! {
    static INSTALLED: RefCell<Option<Arc<Pool>>> = const { RefCell::new(None) };
}

impl Pool {
    /// A pool of `threads`, at least one, the caller's.
    pub fn new(threads: usize) -> Arc<Self> {
        let workers = Workers::eager(threads);
        if workers.count() < threads {
            tracing::warn!("the system gives only {} of {threads} threads", workers.count());
        }
        Arc::new(Self { threads: workers.count(), workers: Mutex::new(workers) })
    }

    /// Runs `body` on this thread; its work is split over this pool.
    pub fn install<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        /// Restores the pool before, even after a panic.
        struct Before(Option<Arc<Pool>>);
        impl Drop for Before {
            fn drop(&mut self) {
                INSTALLED.set(self.0.take());
            }
        }
        let _before = Before(INSTALLED.replace(Some(Arc::clone(self))));
        body()
    }

    fn current() -> Arc<Self> {
        static OF_ALL_CORES: OnceLock<Arc<Pool>> = OnceLock::new();
        let all_cores = || Self::new(std::thread::available_parallelism().map_or(1, usize::from));
        let installed = INSTALLED.with_borrow(Option::clone);
        installed.unwrap_or_else(|| Arc::clone(OF_ALL_CORES.get_or_init(all_cores)))
    }

    /// Calls `job` for every number below `count`.
    fn run(&self, count: usize, job: impl Fn(usize) + Sync) {
        let mut workers = match self.workers.try_lock() {
            Ok(workers) => workers,
            // A job has panicked; the threads are there for the next one.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return (0..count).for_each(job),
        };
        workers.split(count, 1, &|_, range| range.for_each(&job));
    }
}

/// How many threads work is split over.
pub fn threads() -> usize {
    Pool::current().threads
}

/// Calls `body` for disjoint ranges that together cover `0..count`. Ranges are at least `grain` long (but for the
/// last), so `grain` is the amount of work that is worth a hand-over to another thread; with one thread in the pool, or
/// no more than `grain` items, everything runs in one call on the calling thread.
pub fn split(count: usize, grain: usize, body: impl Fn(Range<usize>) + Sync) {
    let pool = Pool::current();
    let parts = count.div_ceil(grain.max(1)).min(pool.threads * PARTS_PER_THREAD);
    if pool.threads == 1 || parts <= 1 {
        if count > 0 {
            body(0..count);
        }
        return;
    }
    let length = count.div_ceil(parts);
    pool.run(count.div_ceil(length), |part| {
        let start = part * length;
        body(start..(start + length).min(count));
    });
}

/// The results of `part` for every number below `count`, in order.
pub fn map<T: Send + Sync>(count: usize, part: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let results: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    Pool::current().run(count, |i| {
        // Every number comes once.
        let _ = results[i].set(part(i));
    });
    results.into_iter().map(|result| result.into_inner().expect("all parts are done")).collect()
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

    #[test]
    fn results_come_in_order_from_pools_within_pools() {
        let (outer, inner) = (Pool::new(3), Pool::new(2));
        let expected: Vec<usize> = (0..50).map(|i| i * i).collect();
        outer.install(|| {
            assert_eq!(threads(), 3);
            inner.install(|| assert_eq!(threads(), 2));
            assert_eq!(threads(), 3);
            let all = map(20, |_| map(50, |i| i * i));
            assert!(all.iter().all(|squares| *squares == expected));
        });
    }

    #[test]
    fn a_pool_works_on_after_a_panic() {
        let pool = Pool::new(2);
        let failed = std::panic::catch_unwind(|| {
            pool.install(|| split(10, 1, |range| assert!(range.start != 4, "this part fails on purpose")));
        });
        assert!(failed.is_err());
        assert_eq!(pool.install(|| map(3, |i| i)), [0, 1, 2]);
    }
}
