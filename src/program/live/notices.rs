//! Temporary messages from any thread, shown by the window and by pages.
//!
//! Each notice has a rising number that tells displays which are new. Only the last one is kept.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a notice is shown.
const SHOWN: Duration = Duration::from_secs(4);

/// The notices of a session.
#[derive(Default)]
pub(super) struct Notices(Mutex<Option<Notice>>);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    /// The first has 1.
    pub number: u64,
    pub text: String,
    pub shown: Duration,
}

impl Notices {
    pub(super) fn say(&self, text: String) {
        self.say_for(text, SHOWN);
    }

    /// How long to show it.
    pub(super) fn say_for(&self, text: String, shown: Duration) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = last.as_ref().map_or(1, |last| last.number + 1);
        *last = Some(Notice { number, text, shown });
    }

    /// The last one, if it is newer than number `heard`.
    pub(super) fn after(&self, heard: u64) -> Option<Notice> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|last| last.number > heard).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_hears_the_last_notice_once() {
        let notices = Notices::default();
        assert_eq!(notices.after(0), None);
        (0..100).for_each(|i| notices.say(format!("notice {i}")));
        let last = notices.after(0).unwrap();
        assert_eq!((last.number, last.text.as_str(), last.shown), (100, "notice 99", SHOWN));
        assert_eq!(notices.after(7), Some(last));
        assert_eq!(notices.after(100), None);
    }
}
