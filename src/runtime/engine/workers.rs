//! The threads of an engine. They sleep until there is a step worth sharing, and again when it is done.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

thread_local! {
    /// Whether this thread is working on a part of a job.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// The job of all threads, called with a thread's number and a range of items.
type Job = *const (dyn Fn(usize, Range<usize>) + Sync);

struct State {
    /// Number of the current job, so that each thread joins it once.
    number: u64,
    job: Option<SendJob>,
    /// Threads working on the job, not counting the caller.
    busy: usize,
    has_panicked: bool,
    stop: bool,
}

#[derive(Clone, Copy)]
struct SendJob {
    job: Job,
    count: usize,
    grain: usize,
}

// SAFETY: the job is `Sync`, and `Workers::split` keeps it alive until every thread has finished it.
unsafe impl Send for SendJob {}

struct Shared {
    state: Mutex<State>,
    begin: Condvar,
    end: Condvar,
    /// The first item not yet taken.
    next: AtomicUsize,
}

/// The calling thread and its helper threads.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// `threads` in all, including the caller's own; at least one.
    pub fn new(threads: usize) -> Self {
        let state = State { number: 0, job: None, busy: 0, has_panicked: false, stop: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            begin: Condvar::new(),
            end: Condvar::new(),
            next: AtomicUsize::new(0),
        });
        let spawn = |worker: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("engine {worker}")).spawn(move || work(&shared, worker)).ok()
        };
        // If the system refuses a thread, the engine works with fewer.
        let threads = (1..threads.max(1)).map_while(spawn).collect();
        Self { shared, threads }
    }

    /// Number of threads, including the caller's own.
    pub fn count(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `job` with the number of a thread, below [`Self::count`], and a range of `0..count`, until all items are
    /// done; the length of a range is a multiple of `grain`, except for the last. Within a part of another job, or if
    /// there is only one part, the caller does all of it: nested jobs never use more threads than the outer one.
    ///
    /// # Panics
    /// If a part panics.
    pub fn split(&mut self, count: usize, grain: usize, job: &(dyn Fn(usize, Range<usize>) + Sync)) {
        if self.threads.is_empty() || count <= grain || AT_WORK.get() {
            job(0, 0..count);
            return;
        }
        // SAFETY: only the lifetime changes; no thread touches the job after `End` is dropped.
        let job: Job = unsafe { std::mem::transmute::<*const (dyn Fn(usize, Range<usize>) + Sync + '_), Job>(job) };
        let job = SendJob { job, count, grain };
        {
            let mut state = lock(&self.shared.state);
            self.shared.next.store(0, Ordering::Relaxed);
            state.has_panicked = false;
            state.number += 1;
            state.job = Some(job);
        }
        self.shared.begin.notify_all();
        // Waits for the other threads, even if a part panics.
        let end = End(&self.shared);
        take_part(&self.shared, job, 0);
        drop(end);
        assert!(!lock(&self.shared.state).has_panicked, "another thread panicked at its part of the work");
    }
}

/// Ends a job when dropped. A thread that has not started by then does not join in: the caller never waits for the
/// system to wake it.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.job = None;
        while state.busy > 0 {
            state = self.0.end.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.begin.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has already reported it.
            let _ = thread.join();
        }
    }
}

fn take_part(shared: &Shared, SendJob { job, count, grain }: SendJob, worker: usize) {
    /// Resets the flag, even if a part panics.
    struct Rest;
    impl Drop for Rest {
        fn drop(&mut self) {
            AT_WORK.set(false);
        }
    }
    AT_WORK.set(true);
    let _rest = Rest;
    loop {
        let start = shared.next.fetch_add(grain, Ordering::Relaxed);
        if start >= count {
            return;
        }
        // SAFETY: `split` has not returned: it waits for every thread that takes part.
        unsafe { (*job)(worker, start..(start + grain).min(count)) };
    }
}

fn work(shared: &Shared, worker: usize) {
    let mut seen = 0;
    let mut state = lock(&shared.state);
    while !state.stop {
        let Some(job) = state.job.filter(|_| state.number != seen) else {
            state = shared.begin.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        seen = state.number;
        state.busy += 1;
        drop(state);
        let leave = Leave(shared);
        take_part(shared, job, worker);
        drop(leave);
        state = lock(&shared.state);
    }
}

/// Marks that a thread is done with the job, even if a part panicked.
struct Leave<'a>(&'a Shared);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.busy -= 1;
        state.has_panicked |= std::thread::panicking();
        if state.busy == 0 {
            self.0.end.notify_one();
        }
    }
}

/// Ignores poisoning: nothing that runs under the locks can panic half-way.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_by_no_more_threads_than_asked_for() {
        for threads in 1..4 {
            let mut workers = Workers::new(threads);
            assert_eq!(workers.count(), threads);
            for round in 0..200 {
                let done: Vec<AtomicUsize> = (0..round).map(|_| AtomicUsize::new(0)).collect();
                workers.split(round, 7, &|worker, range| {
                    assert!(worker < threads);
                    range.for_each(|i| {
                        done[i].fetch_add(1, Ordering::Relaxed);
                    });
                });
                assert!(done.iter().all(|d| d.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn a_job_within_a_part_stays_on_its_thread() {
        let mut outer = Workers::new(3);
        let inner = Mutex::new(Workers::new(3));
        outer.split(20, 1, &|_, _| {
            let here = std::thread::current().id();
            inner.lock().unwrap().split(20, 1, &|worker, range| {
                assert_eq!((worker, range), (0, 0..20));
                assert_eq!(std::thread::current().id(), here);
            });
        });
    }

    #[test]
    fn what_panics_in_a_part_ends_the_call_and_not_the_program() {
        let mut workers = Workers::new(3);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            workers.split(50, 1, &|_, range| assert!(range.start != 20, "this part fails, as it should"));
        }));
        assert!(result.is_err());
        let done = AtomicUsize::new(0);
        workers.split(50, 1, &|_, range| {
            done.fetch_add(range.len(), Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 50, "the next call works");
    }
}
