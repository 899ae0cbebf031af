//! Threads that help the calling one with a job. They sleep until there is a job, and when it is done.
//!
//! In: a job, split into ranges of items. Every item is done exactly once, by the caller or another thread; the call
//! returns when all are done.
//!
//! To wake a thread takes longer than many a job, most of all in a virtual machine. Where jobs follow closely,
//! [eager](Workers::eager) threads spin for a moment before they sleep.

use std::cell::Cell;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

thread_local! {
    /// Whether this thread is working on a part of a job.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// More than any computer has cores for. Far more threads than cores take memory and minutes to start, and then slow
/// each other down.
pub const MOST_THREADS: usize = 512;

/// How long eager threads spin: longer than what a training step does between two jobs, shorter than what the system
/// gives a thread before another one's turn.
const EAGER_FOR: Duration = Duration::from_micros(200);

/// The work of all threads: called with the number of the thread and a range of items.
type Job = *const (dyn Fn(usize, Range<usize>) + Sync);

/// The current job and the threads that take part in it.
struct Board {
    /// Counts the jobs, so that a thread takes part in each only once.
    number: u64,
    job: Option<SendJob>,
    /// Threads that take part in the job, without the caller.
    busy: usize,
    /// Threads that wait for [`Shared::begin`].
    asleep: usize,
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
    board: Mutex<Board>,
    begin: Condvar,
    end: Condvar,
    /// The first item that no thread has taken.
    next: AtomicUsize,
    /// How long threads spin before they sleep.
    eager_for: Duration,
    /// [`Board::number`], to look at without the lock.
    number: AtomicU64,
    /// [`Board::busy`], to look at without the lock.
    busy: AtomicUsize,
}

impl Shared {
    /// Looks out for `change`, but not for long. Returns whether it has come.
    fn look_out(&self, change: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..16 {
                if change() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= self.eager_for {
                return false;
            }
        }
    }
}

/// The calling thread and others that help it.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// `threads` in all, at least one, the caller's, and at most [`MOST_THREADS`].
    pub fn new(threads: usize) -> Self {
        Self::waiting(threads, Duration::ZERO)
    }

    /// As [`Self::new`], for jobs that follow closely. More threads than cores are not eager: those that spin would
    /// hold up those that work.
    pub fn eager(threads: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::waiting(threads, if threads <= cores { EAGER_FOR } else { Duration::ZERO })
    }

    fn waiting(threads: usize, eager_for: Duration) -> Self {
        let board = Board { number: 0, job: None, busy: 0, asleep: 0, has_panicked: false, stop: false };
        let shared = Arc::new(Shared {
            board: Mutex::new(board),
            begin: Condvar::new(),
            end: Condvar::new(),
            next: AtomicUsize::new(0),
            eager_for,
            number: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
        });
        let spawn = |worker: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("worker {worker}")).spawn(move || work(&shared, worker)).ok()
        };
        // If the system refuses a thread, the others do its work.
        let threads = (1..threads.min(MOST_THREADS)).map_while(spawn).collect();
        Self { shared, threads }
    }

    /// Threads that work, including the caller's.
    pub fn count(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `job` with the number of a thread, less than [`Self::count`], and a range of `0..count`, until all items
    /// are done. Every range but the last is `grain` long. If there is only one range, or if the caller is itself
    /// working on a part of a job, it does all items: nested jobs never keep more threads busy than the outer one.
    ///
    /// # Panics
    /// If `job` panics on any thread.
    pub fn split(&mut self, count: usize, grain: usize, job: &(dyn Fn(usize, Range<usize>) + Sync)) {
        if self.threads.is_empty() || count <= grain || AT_WORK.get() {
            job(0, 0..count);
            return;
        }
        // SAFETY: only the lifetime changes; no thread touches the job after `End` is dropped.
        let job: Job = unsafe { std::mem::transmute::<*const (dyn Fn(usize, Range<usize>) + Sync + '_), Job>(job) };
        let job = SendJob { job, count, grain };
        let some_sleep = {
            let mut board = lock(&self.shared.board);
            self.shared.next.store(0, Ordering::Relaxed);
            board.has_panicked = false;
            board.number += 1;
            board.job = Some(job);
            self.shared.number.store(board.number, Ordering::Relaxed);
            board.asleep > 0
        };
        if some_sleep {
            self.shared.begin.notify_all();
        }
        // Waits for the other threads, even if the caller's part panics.
        let end = End(&self.shared);
        take_part(&self.shared, job, 0);
        drop(end);
        assert!(!lock(&self.shared.board).has_panicked, "another thread panicked in its part of the work");
    }
}

/// Ends a job when it is dropped: waits for the threads that have begun, not for the system to wake those that have
/// not.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut board = lock(&self.0.board);
        board.job = None;
        if board.busy > 0 && !self.0.eager_for.is_zero() {
            drop(board);
            self.0.look_out(|| self.0.busy.load(Ordering::Relaxed) == 0);
            board = lock(&self.0.board);
        }
        while board.busy > 0 {
            board = self.0.end.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.shared.board).stop = true;
        self.shared.begin.notify_all();
        for thread in self.threads.drain(..) {
            // A panic has been reported by the call in which it happened.
            let _ = thread.join();
        }
    }
}

fn take_part(shared: &Shared, SendJob { job, count, grain }: SendJob, worker: usize) {
    /// Resets [`AT_WORK`], even if a part panics.
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
    let mut board = lock(&shared.board);
    while !board.stop {
        let Some(job) = board.job.filter(|_| board.number != seen) else {
            let number = board.number;
            if !shared.eager_for.is_zero() {
                drop(board);
                shared.look_out(|| shared.number.load(Ordering::Relaxed) != number);
                board = lock(&shared.board);
            }
            if board.number == number && !board.stop {
                board.asleep += 1;
                board = shared.begin.wait(board).unwrap_or_else(PoisonError::into_inner);
                board.asleep -= 1;
            }
            continue;
        };
        seen = board.number;
        board.busy += 1;
        shared.busy.store(board.busy, Ordering::Relaxed);
        drop(board);
        // The caller reports the panic; this thread is there for the next job.
        let part = std::panic::catch_unwind(AssertUnwindSafe(|| take_part(shared, job, worker)));
        board = lock(&shared.board);
        board.busy -= 1;
        shared.busy.store(board.busy, Ordering::Relaxed);
        board.has_panicked |= part.is_err();
        if board.busy == 0 {
            shared.end.notify_one();
        }
    }
}

/// A poisoned lock is usable: nothing that holds it can panic.
fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_by_no_more_threads_than_asked_for() {
        for (threads, start) in
            [1, 2, 3].into_iter().flat_map(|n| [(n, Workers::new as fn(_) -> _), (n, Workers::eager)])
        {
            let mut workers = start(threads);
            assert_eq!(workers.count(), threads);
            for round in 0..200 {
                if round % 50 == 49 {
                    // Long enough for all to fall asleep.
                    std::thread::sleep(10 * EAGER_FOR);
                }
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
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
            workers.split(50, 1, &|_, range| assert!(range.start != 20, "this part fails on purpose"));
        }));
        assert!(result.is_err());
        let done = AtomicUsize::new(0);
        workers.split(50, 1, &|_, range| {
            done.fetch_add(range.len(), Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 50, "the next call works");
    }
}
