//! Passes the latest value from one thread to another.
//!
//! A new value replaces the previous one, taken or not: nothing queues, and nothing is copied. The two threads swap
//! their values, so that no memory is allocated for new ones.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The value that was put last.
#[derive(Default)]
pub(super) struct Latest<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot<T> {
    value: T,
    is_fresh: bool,
    is_closed: bool,
}

impl<T> Latest<T> {
    /// Puts `value` there in exchange for the one before it, taken or not.
    pub(super) fn put(&self, value: &mut T) {
        let mut slot = self.lock();
        std::mem::swap(&mut slot.value, value);
        slot.is_fresh = true;
        self.changed.notify_one();
    }

    /// Exchanges `value` for a newer one, if there is one or comes within `timeout`; false if not.
    pub(super) fn take(&self, value: &mut T, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |slot| !slot.is_fresh);
        waited.unwrap_or_else(PoisonError::into_inner).0.exchange(value)
    }

    /// As [`Self::take`], however long it takes; false if none will come any more.
    pub(super) fn wait(&self, value: &mut T) -> bool {
        let waited = self.changed.wait_while(self.lock(), |slot| !slot.is_fresh && !slot.is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).exchange(value)
    }

    /// Whether it is closed: there will be no more values.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Closes it: there will be no more values. The last one can still be taken.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Slot<T> {
    fn exchange(&mut self, value: &mut T) -> bool {
        if self.is_fresh {
            std::mem::swap(&mut self.value, value);
        }
        std::mem::take(&mut self.is_fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_wins_and_is_taken_once() {
        let latest = Latest::default();
        let mut own = 0.0;
        assert!(!latest.take(&mut own, Duration::ZERO));
        for value in [1.0, 2.0, 3.0] {
            own = value;
            latest.put(&mut own);
        }
        assert_eq!(own, 2.0, "a value that nobody took comes back to be filled again");
        let mut taken = 0.0;
        assert!(latest.take(&mut taken, Duration::ZERO));
        assert_eq!(taken, 3.0);
        assert!(!latest.take(&mut taken, Duration::from_millis(1)));
        assert_eq!(taken, 3.0, "a value that was taken stays");
    }

    #[test]
    fn the_last_value_is_taken_after_the_end_and_then_none() {
        let latest = Latest::default();
        latest.put(&mut 5);
        assert!(!latest.is_closed());
        latest.close();
        assert!(latest.is_closed());
        let mut taken = 0;
        assert!(latest.wait(&mut taken));
        assert_eq!(taken, 5);
        assert!(!latest.wait(&mut taken));
    }
}
