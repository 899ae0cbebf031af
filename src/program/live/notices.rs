//! Temporary messages from any thread, shown by the window and by pages.
//!
//! Each notice has a rising number that tells displays which are new. Only the last one is kept. News of what happened
//! by itself wait until the answer to a request has been shown for a moment.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a notice is shown.
const SHOWN: Duration = Duration::from_secs(4);
/// How long news wait after an answer.
const ANSWER_ALONE: Duration = Duration::from_secs(1);

/// The notices of a session.
#[derive(Default)]
pub(super) struct Notices(Mutex<Board>);

#[derive(Default)]
struct Board {
    last: Option<Notice>,
    /// Until when news wait.
    news_wait_until: Option<Instant>,
    /// The last news that wait, and how long to show them.
    news: Option<(String, Duration)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    /// The first has 1.
    pub number: u64,
    pub text: String,
    pub shown: Duration,
}

impl Notices {
    /// Answers a request, or says what the user has to know at once.
    pub(super) fn say(&self, text: String) {
        let mut board = self.board();
        board.show(text, SHOWN);
        board.news_wait_until = Some(Instant::now() + ANSWER_ALONE);
    }

    /// Says what happened by itself.
    pub(super) fn say_news(&self, text: String) {
        self.say_news_for(text, SHOWN);
    }

    /// How long to show them.
    pub(super) fn say_news_for(&self, text: String, shown: Duration) {
        self.board().news = Some((text, shown));
    }

    /// The last one, if it is newer than number `heard`.
    pub(super) fn after(&self, heard: u64) -> Option<Notice> {
        self.after_at(heard, Instant::now())
    }

    fn after_at(&self, heard: u64, now: Instant) -> Option<Notice> {
        let mut board = self.board();
        if board.news_wait_until.is_none_or(|until| now >= until)
            && let Some((text, shown)) = board.news.take()
        {
            board.show(text, shown);
        }
        board.last.as_ref().filter(|last| last.number > heard).cloned()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn show(&mut self, text: String, shown: Duration) {
        let number = self.last.as_ref().map_or(1, |last| last.number + 1);
        self.last = Some(Notice { number, text, shown });
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

    #[test]
    fn news_come_at_once_but_not_in_place_of_an_answer_that_nobody_could_read() {
        let notices = Notices::default();
        let text_at = |now| notices.after_at(0, now).unwrap().text;
        notices.say_news("kept".into());
        assert_eq!(text_at(Instant::now()), "kept");
        notices.say("no tuned model".into());
        notices.say_news("kept again".into());
        notices.say_news("and again".into());
        assert_eq!(text_at(Instant::now()), "no tuned model");
        assert_eq!(text_at(Instant::now() + ANSWER_ALONE), "and again");
    }
}
