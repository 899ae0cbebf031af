//! Worker threads that prepare batches ahead of the trainer.
//!
//! In: a [`Task`], a seed and the index of the first batch. Out: batches in order. Item `i` of batch `k` is drawn from
//! its own random stream, so a batch depends only on the seed and `k`: neither the number of workers nor an
//! interruption of training changes it. An error of the task is returned in place of its batch.

use super::{Batch, DataError, ItemMut, Task};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Finished batches queued per worker; together with the batch in progress this hides a picture that is slow to decode.
const BATCHES_AHEAD: usize = 2;

/// Delivers batches in order; dropping it stops its threads.
pub struct Loader {
    workers: Vec<Worker>,
    next: usize,
    stop: Arc<AtomicBool>,
}

struct Worker {
    batches: Option<Receiver<Result<Batch, DataError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts `workers` threads (at least one) that prepare the batches `first_step`, `first_step + 1`, ..., each of
    /// `batch_size` items.
    ///
    /// # Errors
    /// [`DataError::Options`] if the batch size is 0, [`DataError::Threads`] if a thread can't be started.
    pub fn new(
        task: Arc<dyn Task>,
        batch_size: usize,
        seed: u64,
        first_step: u64,
        workers: usize,
    ) -> Result<Self, DataError> {
        if batch_size == 0 {
            return Err(DataError::Options("the batch size must be at least 1".into()));
        }
        let count = workers.max(1);
        let stop = Arc::new(AtomicBool::new(false));
        let mut loader = Self { workers: Vec::new(), next: 0, stop: stop.clone() };
        for worker in 0..count as u64 {
            let (sender, receiver) = sync_channel(BATCHES_AHEAD);
            let steps = (first_step.saturating_add(worker)..).step_by(count);
            let (task, stop) = (task.clone(), stop.clone());
            let thread = thread::Builder::new()
                .name(format!("loader {worker}"))
                .spawn(move || work(&*task, batch_size, seed, steps, &sender, &stop))
                .map_err(|source| DataError::Threads { count, source })?;
            loader.workers.push(Worker { batches: Some(receiver), thread: Some(thread) });
        }
        Ok(loader)
    }

    /// The next batch; blocks until it is ready. After an error, the next call continues with the batch after the
    /// failed one.
    ///
    /// # Errors
    /// The task's error for an item of this batch.
    pub fn next(&mut self) -> Result<Batch, DataError> {
        let worker = &self.workers[self.next];
        self.next = (self.next + 1) % self.workers.len();
        worker.batches.as_ref().and_then(|b| b.recv().ok()).unwrap_or(Err(DataError::Worker))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in &mut self.workers {
            worker.batches = None; // wakes a worker that is blocked on a full queue
        }
        for thread in self.workers.iter_mut().filter_map(|w| w.thread.take()) {
            let _ = thread.join(); // a panic has already been printed
        }
    }
}

fn work(
    task: &dyn Task,
    batch_size: usize,
    seed: u64,
    steps: impl Iterator<Item = u64>,
    batches: &SyncSender<Result<Batch, DataError>>,
    stop: &AtomicBool,
) {
    for step in steps {
        let Some(batch) = prepare(task, batch_size, seed, step, stop) else { return };
        if batches.send(batch).is_err() {
            return;
        }
    }
}

/// Prepares batch number `step`; `None` if told to stop.
fn prepare(task: &dyn Task, len: usize, seed: u64, step: u64, stop: &AtomicBool) -> Option<Result<Batch, DataError>> {
    let shape = task.shape();
    let (input_len, target_len) = (shape.input_len(), shape.target_len());
    let mut batch = Batch {
        input: vec![0.0; len * input_len],
        target: vec![0.0; len * target_len],
        weight: vec![0.0; len * target_len],
        normalizer: 0.0,
        len,
    };
    let buffers = batch.input.chunks_exact_mut(input_len).zip(batch.target.chunks_exact_mut(target_len));
    for (i, ((input, target), weight)) in buffers.zip(batch.weight.chunks_exact_mut(target_len)).enumerate() {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step.wrapping_mul(len as u64).wrapping_add(i as u64));
        let mut normalizer = 0.0;
        if let Err(e) = task.fill(&mut rng, ItemMut { input, target, weight, normalizer: &mut normalizer }) {
            return Some(Err(e));
        }
        batch.normalizer += normalizer;
    }
    Some(Ok(batch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::data::BatchShape;
    use crate::train::loss::{AdaptiveWing, Objective};
    use rand::Rng;
    use std::sync::atomic::AtomicU64;
    use std::time::{Duration, Instant};

    /// Random numbers; the item whose first number is among the highest `fails` of a million fails.
    struct Numbers {
        fails: u32,
        filled: AtomicU64,
    }

    impl Numbers {
        fn new(fails: u32) -> Arc<Self> {
            Arc::new(Self { fails, filled: AtomicU64::new(0) })
        }
    }

    impl Task for Numbers {
        fn shape(&self) -> BatchShape {
            BatchShape { input: (2, 3), heatmap: (1, 2), channels: 2 }
        }

        fn fill(&self, rng: &mut ChaCha8Rng, item: ItemMut<'_>) -> Result<(), DataError> {
            self.filled.fetch_add(1, Ordering::Relaxed);
            if rng.random_range(0..1_000_000) >= 1_000_000 - self.fails {
                return Err(DataError::Options("picture 17 is broken".into()));
            }
            item.input.fill_with(|| rng.random());
            item.target.fill_with(|| rng.random());
            item.weight.fill_with(|| rng.random());
            *item.normalizer = 0.5;
            Ok(())
        }

        fn objective(&self) -> &dyn Objective {
            &AdaptiveWing
        }
    }

    fn batches(seed: u64, first: u64, workers: usize, count: usize) -> Vec<Batch> {
        let mut loader = Loader::new(Numbers::new(0), 3, seed, first, workers).unwrap();
        (0..count).map(|_| loader.next().unwrap()).collect()
    }

    #[test]
    fn the_number_of_workers_does_not_change_the_batches() {
        let one = batches(7, 0, 1, 10);
        assert_eq!(one, batches(7, 0, 4, 10));
        assert_eq!(one[0].normalizer, 1.5);
        assert_ne!(one[0], one[1]);
        assert_ne!(one, batches(8, 0, 1, 10));
    }

    #[test]
    fn resuming_equals_running_through() {
        assert_eq!(batches(7, 0, 2, 10)[6..], batches(7, 6, 3, 4));
    }

    #[test]
    fn an_error_comes_with_its_own_batch_and_the_next_one_follows() {
        let run = |workers| {
            let mut loader = Loader::new(Numbers::new(200_000), 2, 1, 0, workers).unwrap();
            (0..20).map(|_| loader.next().map_err(|e| e.to_string())).collect::<Vec<_>>()
        };
        let results = run(1);
        assert!(results.iter().any(|r| r == &Err("picture 17 is broken".into())));
        assert!(results.iter().any(Result::is_ok));
        assert_eq!(results, run(3));
    }

    #[test]
    fn dropping_the_loader_ends_its_threads_at_once() {
        let task = Numbers::new(0);
        let mut loader = Loader::new(task.clone(), 3, 1, 0, 4).unwrap();
        loader.next().unwrap();
        let start = Instant::now();
        drop(loader);
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(Arc::strong_count(&task), 1);
    }

    #[test]
    fn workers_wait_when_nobody_takes_their_batches() {
        let task = Numbers::new(0);
        let _loader = Loader::new(task.clone(), 1, 1, 0, 2).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let most = 2 * (BATCHES_AHEAD as u64 + 1);
        assert!(task.filled.load(Ordering::Relaxed) <= most);
    }
}
