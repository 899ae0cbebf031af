//! A source that is read by its own thread, because reading may block for ever: standard input, a pipe, a stream.
//!
//! In: how to open the source. Out: its frames. A consumer can stop waiting at any time. A few frames are read ahead;
//! those of a live source replace older ones instead. Dropping it ends the process that the source reads from; a thread
//! still blocked on standard input ends with the program.

use super::ffmpeg::Leash;
use super::{CaptureError, Source, Tally, Waited};
use crate::runtime::image::Frame;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Frames that are read ahead.
const QUEUE_LENGTH: usize = 3;
/// How often to check whether a consumer still waits for the first frame.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the next frame of a source with a time limit may take.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How frames of a source are fetched.
#[derive(Clone)]
pub(super) struct Manner {
    pub name: String,
    /// Whether newer frames replace older ones.
    pub is_live: bool,
    /// Whether it may be silent only for [`TIME_LIMIT`], as for the network.
    pub is_limited: bool,
}

pub(super) struct Fetched {
    manner: Manner,
    shared: Arc<Shared>,
    leash: Leash,
    /// Of the frame that was taken last.
    arrived: Option<Instant>,
    frames_per_second: Option<f64>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_open: bool,
    frames_per_second: Option<f64>,
    ready: VecDeque<Fresh>,
    /// Frames for reuse.
    spare: Vec<Frame>,
    /// Since when the thread has been waiting for its source.
    waiting_since: Option<Instant>,
    /// How the source ended.
    end: Option<Result<(), CaptureError>>,
    is_unwanted: bool,
    tally: Tally,
}

struct Fresh {
    frame: Frame,
    time_s: f64,
    arrived: Instant,
}

impl Fetched {
    /// Opens a source in its thread and waits until it is open.
    ///
    /// # Errors
    /// Those of `open`; [`CaptureError::Interrupted`] once `is_wanted` returns false.
    pub(super) fn open<S: Source + 'static>(
        manner: Manner,
        is_wanted: &dyn Fn() -> bool,
        open: impl FnOnce(&Leash) -> Result<S, CaptureError> + Send + 'static,
    ) -> Result<Self, CaptureError> {
        let (shared, leash) = (Arc::<Shared>::default(), Leash::new());
        let (read, held, of) = (shared.clone(), leash.clone(), manner.clone());
        let thread = thread::Builder::new().name("capture".into()).spawn(move || {
            read.lock().waiting_since = Some(Instant::now());
            // A waiting consumer has to learn of a panic, too.
            let reading = AssertUnwindSafe(|| open(&held).and_then(|source| read.fill(source, of.is_live)));
            let fault =
                || CaptureError::Undecodable { name: of.name.clone(), reason: "awing failed to read it".into() };
            let end = catch_unwind(reading).unwrap_or_else(|_| Err(fault()));
            let mut state = read.lock();
            state.waiting_since = None;
            state.end = Some(end);
            drop(state);
            read.changed.notify_all();
        });
        thread.map_err(CaptureError::Thread)?;
        let mut fetched = Self { manner, shared, leash, arrived: None, frames_per_second: None };
        fetched.wait_until_open(is_wanted)?;
        Ok(fetched)
    }

    fn wait_until_open(&mut self, is_wanted: &dyn Fn() -> bool) -> Result<(), CaptureError> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        while !state.is_open {
            if let Some(Err(error)) = state.end.take() {
                return Err(error);
            }
            if !is_wanted() {
                return Err(CaptureError::Interrupted(self.manner.name.clone()));
            }
            if self.is_too_late(&state) {
                return Err(CaptureError::Undecodable { name: self.manner.name.clone(), reason: silence() });
            }
            state = shared.changed.wait_timeout(state, POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.frames_per_second = state.frames_per_second;
        Ok(())
    }

    fn is_too_late(&self, state: &State) -> bool {
        self.manner.is_limited && state.waiting_since.is_some_and(|since| since.elapsed() > TIME_LIMIT)
    }
}

/// Why a source with a time limit was given up.
pub(super) fn silence() -> String {
    format!("nothing came for {} s", TIME_LIMIT.as_secs())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of the thread: reads until the source ends or nobody wants its frames.
    fn fill(&self, mut source: impl Source, is_live: bool) -> Result<(), CaptureError> {
        let mut state = self.lock();
        state.is_open = true;
        state.frames_per_second = source.frames_per_second();
        loop {
            while state.ready.len() >= QUEUE_LENGTH && !is_live && !state.is_unwanted {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_unwanted {
                return Ok(());
            }
            let mut frame = state.spare.pop().unwrap_or_default();
            state.waiting_since = Some(Instant::now());
            drop(state);
            self.changed.notify_all();
            let read = source.next(&mut frame)?;
            state = self.lock();
            state.waiting_since = None;
            let Some(time_s) = read else { return Ok(()) };
            let arrived = Instant::now();
            state.tally.first.get_or_insert(arrived);
            state.tally.delivered += 1;
            if is_live && let Some(old) = state.ready.pop_front() {
                state.spare.push(old.frame);
                state.tally.replaced += 1;
            }
            state.ready.push_back(Fresh { frame, time_s, arrived });
        }
    }
}

impl Source for Fetched {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        loop {
            match self.wait(frame, TIME_LIMIT)? {
                Waited::Frame(time_s) => return Ok(Some(time_s)),
                Waited::Nothing => {}
                Waited::End => return Ok(None),
            }
        }
    }

    fn wait(&mut self, frame: &mut Frame, timeout: Duration) -> Result<Waited, CaptureError> {
        let mut state = self.shared.lock();
        let due = Instant::now() + timeout;
        loop {
            if let Some(mut fresh) = state.ready.pop_front() {
                std::mem::swap(frame, &mut fresh.frame);
                state.spare.push(fresh.frame);
                self.arrived = Some(fresh.arrived);
                self.shared.changed.notify_all();
                return Ok(Waited::Frame(fresh.time_s));
            }
            match state.end.take() {
                Some(Ok(())) => {
                    state.end = Some(Ok(()));
                    return Ok(Waited::End);
                }
                Some(Err(error)) => {
                    state.end = Some(Ok(()));
                    return Err(error);
                }
                None => {}
            }
            if self.is_too_late(&state) {
                // It ends, and so does the reading from it; a live stream is then opened again.
                state.waiting_since = Some(Instant::now());
                self.leash.give_up_process();
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Waited::Nothing);
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn arrived(&self) -> Option<Instant> {
        self.arrived.filter(|_| self.manner.is_live)
    }

    fn tally(&self) -> Option<Tally> {
        self.manner.is_live.then(|| self.shared.lock().tally)
    }

    fn trouble(&self) -> Option<String> {
        let since = self.shared.lock().waiting_since.filter(|_| self.manner.is_live)?;
        let seconds = since.elapsed().as_secs();
        (seconds >= 2).then(|| format!("No picture for {seconds} s"))
    }

    fn frames_per_second(&self) -> Option<f64> {
        self.frames_per_second
    }

    fn describe(&self) -> String {
        self.manner.name.clone()
    }

    fn is_live(&self) -> bool {
        self.manner.is_live
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.shared.lock().is_unwanted = true;
        self.shared.changed.notify_all();
        self.leash.cut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// Delivers the times that it is sent.
    struct Sent(Receiver<f64>);

    impl Source for Sent {
        fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
            frame.resize(2, 2);
            Ok(self.0.recv().ok())
        }

        fn frames_per_second(&self) -> Option<f64> {
            Some(25.0)
        }

        fn describe(&self) -> String {
            "a test".into()
        }
    }

    fn manner(is_live: bool) -> Manner {
        Manner { name: "a test".into(), is_live, is_limited: false }
    }

    #[test]
    fn frames_come_in_order_and_silence_does_not_block() {
        let (sender, receiver) = channel();
        let mut fetched = Fetched::open(manner(false), &|| true, move |_| Ok(Sent(receiver))).unwrap();
        let mut frame = Frame::default();
        assert_eq!(fetched.wait(&mut frame, Duration::from_millis(1)).unwrap(), Waited::Nothing);
        (0..20).for_each(|i| sender.send(f64::from(i)).unwrap());
        drop(sender);
        for i in 0..20 {
            assert_eq!(fetched.next(&mut frame).unwrap(), Some(f64::from(i)));
        }
        assert_eq!((fetched.next(&mut frame).unwrap(), fetched.next(&mut frame).unwrap()), (None, None));
        assert_eq!(fetched.frames_per_second(), Some(25.0));
    }

    #[test]
    fn of_a_live_source_the_newest_frame_is_taken() {
        let (sender, receiver) = channel();
        let mut fetched = Fetched::open(manner(true), &|| true, move |_| Ok(Sent(receiver))).unwrap();
        (0..20).for_each(|i| sender.send(f64::from(i)).unwrap());
        let due = Instant::now() + Duration::from_secs(60);
        while fetched.tally().unwrap().delivered < 20 {
            assert!(Instant::now() < due, "the thread stopped: {:?}", fetched.tally());
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(fetched.next(&mut Frame::default()).unwrap(), Some(19.0));
        assert_eq!(fetched.tally().unwrap().replaced, 19);
    }

    #[test]
    fn a_fault_while_reading_ends_the_source_with_an_error() {
        struct Faulty;

        impl Source for Faulty {
            fn next(&mut self, _: &mut Frame) -> Result<Option<f64>, CaptureError> {
                panic!("a fault");
            }

            fn frames_per_second(&self) -> Option<f64> {
                None
            }

            fn describe(&self) -> String {
                "a test".into()
            }
        }

        let mut fetched = Fetched::open(manner(false), &|| true, |_| Ok(Faulty)).unwrap();
        assert!(matches!(fetched.next(&mut Frame::default()), Err(CaptureError::Undecodable { .. })));
        assert_eq!(fetched.next(&mut Frame::default()).unwrap(), None);
    }

    #[test]
    fn opening_can_be_given_up() {
        let (sender, receiver) = channel::<()>();
        let opened = Fetched::open(manner(false), &|| false, move |_| {
            let _ = receiver.recv();
            Err::<Sent, _>(CaptureError::Interrupted("a test".into()))
        });
        assert!(matches!(opened.err(), Some(CaptureError::Interrupted(_))));
        drop(sender);
    }
}
