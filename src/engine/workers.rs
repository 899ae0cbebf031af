//! The threads of an engine: they sleep until a step is worth sharing, and again when it is done.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// What all threads work at: parts are handed out by number.
type Job = *const (dyn Fn(usize, Range<usize>) + Sync);

struct State {
    /// Counts the jobs, so that a thread takes part in each once.
    number: u64,
    job: Option<SendJob>,
    /// Threads that have not finished the job.
    busy: usize,
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
    /// The first item that nobody has taken.
    next: AtomicUsize,
}

/// The calling thread and some more.
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// `threads` in all, at least one: the caller's own.
    pub fn new(threads: usize) -> Self {
        let state = State { number: 0, job: None, busy: 0, stop: false };
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
        // A thread that the system does not give is done without.
        let threads = (1..threads.max(1)).map_while(spawn).collect();
        Self { shared, threads }
    }

    /// Threads that work, with the caller's own.
    pub fn count(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `job` with the number of a thread, under [`Self::count`], and a range of `0..count`, until all is done; ranges
    /// are multiples of `grain` long but for the last.
    pub fn split(&mut self, count: usize, grain: usize, job: &(dyn Fn(usize, Range<usize>) + Sync)) {
        if self.threads.is_empty() {
            job(0, 0..count);
            return;
        }
        // SAFETY: only the lifetime changes; no thread touches the job after `busy` is zero again, which is waited for.
        let job: Job = unsafe { std::mem::transmute::<*const (dyn Fn(usize, Range<usize>) + Sync + '_), Job>(job) };
        let job = SendJob { job, count, grain };
        {
            let mut state = self.shared.state.lock().unwrap_or_else(|e| e.into_inner());
            self.shared.next.store(0, Ordering::Relaxed);
            state.number += 1;
            state.job = Some(job);
            state.busy = self.threads.len();
        }
        self.shared.begin.notify_all();
        take_part(&self.shared, job, 0);
        let mut state = self.shared.state.lock().unwrap_or_else(|e| e.into_inner());
        while state.busy > 0 {
            state = self.shared.end.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        state.job = None;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(|e| e.into_inner()).stop = true;
        self.shared.begin.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that has panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn take_part(shared: &Shared, SendJob { job, count, grain }: SendJob, worker: usize) {
    loop {
        let start = shared.next.fetch_add(grain, Ordering::Relaxed);
        if start >= count {
            return;
        }
        // SAFETY: `split` has not returned, because this thread has not said that it is done.
        unsafe { (*job)(worker, start..(start + grain).min(count)) };
    }
}

fn work(shared: &Shared, worker: usize) {
    let mut seen = 0;
    let mut state = shared.state.lock().unwrap_or_else(|e| e.into_inner());
    loop {
        if state.stop {
            return;
        }
        match state.job {
            Some(job) if state.number != seen => {
                seen = state.number;
                drop(state);
                take_part(shared, job, worker);
                state = shared.state.lock().unwrap_or_else(|e| e.into_inner());
                state.busy -= 1;
                if state.busy == 0 {
                    shared.end.notify_one();
                }
            }
            _ => state = shared.begin.wait(state).unwrap_or_else(|e| e.into_inner()),
        }
    }
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
}
