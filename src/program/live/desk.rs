//! Connects the session and its pages.
//!
//! In: requests from pages. Out: the same actions as by keys, and the state of the session, a few times a second. Runs
//! on its own thread until the server ends.

use super::controls::NeutralStatus;
use super::session::Session;
use super::tuning::TuningStatus;
use crate::program::output::serve::{Desk, Notice, PageStatus, TuningProgress};
use std::time::Duration;

/// How often pages get the state of the session.
const INTERVAL: Duration = Duration::from_millis(100);

/// Serves the pages until the server ends.
pub(super) fn attend(session: &Session, desk: &Desk) {
    while let Some(actions) = desk.wait(INTERVAL) {
        for action in actions {
            session.perform(action);
        }
        desk.show(status_of(session));
    }
}

fn status_of(session: &Session) -> PageStatus {
    session.gather_news();
    let collecting = session.collecting.status();
    let tuning = session.tuning.status();
    let message = session.notices.after(0);
    let status = session.controls.status();
    PageStatus {
        source: status.source.clone(),
        is_live: status.is_live,
        trouble: status.trouble.clone(),
        neutral: match status.neutral {
            NeutralStatus::Estimated => "estimated",
            NeutralStatus::Awaited => "awaited",
            NeutralStatus::Set => "set",
        },
        is_collecting: collecting.is_choosing,
        kept: collecting.faces,
        tuning: tuning.map(progress),
        is_tuned: session.models.is_tuned(),
        message: message.map(|notice| Notice {
            number: notice.number,
            text: notice.text,
            shown_s: notice.shown.as_secs_f32(),
        }),
    }
}

fn progress(status: TuningStatus) -> TuningProgress {
    let waiting = |stage| TuningProgress { stage, done: None, left_s: None, before: None, now: None };
    match status {
        TuningStatus::Preparing => waiting("reading the faces"),
        TuningStatus::Measuring => waiting("measuring the result"),
        TuningStatus::Training { done, before, now, time_left } => TuningProgress {
            stage: "training",
            done: Some(done),
            left_s: Some(time_left.as_secs()),
            before: Some(before),
            now,
        },
    }
}
