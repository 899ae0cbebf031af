//! The messages to and requests from viewers, under one mutex.
//!
//! In: lines, pictures and the state of the session; from viewers, the frames that they painted and their requests.
//! Out: the next message for each viewer: the newest of each kind, and for pages no more frames than they can paint.

use crate::runtime::landmarks::Scheme;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tungstenite::{Bytes, Utf8Bytes};

/// The most WebSockets at a time.
const MOST_VIEWERS: usize = 16;
/// The most queued requests.
const MOST_ACTIONS: usize = 16;
/// The most unpainted frames of a page: one is painted while the other is being sent.
const FRAMES_AHEAD: usize = 2;
/// How often viewers are pinged.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How often a page gets the latency of its frames.
const DELAY_INTERVAL: Duration = Duration::from_millis(500);

/// The actions of a page: the same as keys of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    SetNeutral,
    KeepFace,
    ToggleCollecting,
    ToggleTuning,
    OtherModel,
}

impl Action {
    /// The action of this name, as sent by pages.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "neutral" => Self::SetNeutral,
            "keep" => Self::KeepFace,
            "collect" => Self::ToggleCollecting,
            "tune" => Self::ToggleTuning,
            "other-model" => Self::OtherModel,
            _ => return None,
        })
    }
}

/// The state of the session for the page.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct PageStatus {
    /// The source of frames, and whether it is a camera.
    pub source: String,
    pub is_live: bool,
    /// Why there is no frame.
    pub trouble: Option<String>,
    /// `"estimated"`, `"awaited"` or `"set"`.
    pub neutral: &'static str,
    /// Whether collecting is on, and the number of kept faces.
    pub is_collecting: bool,
    pub kept: usize,
    pub tuning: Option<TuningProgress>,
    /// Whether the tuned model is in use; `None`: there is none.
    pub is_tuned: Option<bool>,
    /// The last message.
    pub message: Option<Notice>,
}

/// The progress of a fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TuningProgress {
    /// As text.
    pub stage: &'static str,
    /// A share, and the seconds that are left, while it trains.
    pub done: Option<f32>,
    pub left_s: Option<u64>,
    /// Errors on held-out faces in percent of the eye distance: of the base and of the tuned model.
    pub before: Option<f64>,
    pub now: Option<f64>,
}

/// A temporary message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Notice {
    /// Rises from one to the next.
    pub number: u64,
    pub text: String,
    pub shown_s: f32,
}

/// A frame for viewers.
#[derive(Clone)]
pub(super) struct Update {
    pub number: u64,
    pub captured: Option<Instant>,
    /// The line of JSON.
    pub line: Utf8Bytes,
    pub jpeg: Option<Bytes>,
}

/// The subscription of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    /// Whether it is the page: it gets the state of the session, and reports the frames that it painted.
    pub is_page: bool,
    pub with_picture: bool,
}

/// The next message for a viewer.
pub(super) enum Next {
    Update(Update),
    /// A text for the page: the state of the session, or the latency of its frames.
    Text(Utf8Bytes),
    Ping,
    /// The session is over.
    End,
    /// The viewer has gone.
    Gone,
}

/// Problems that are reported once.
#[derive(Clone, Copy)]
pub(super) enum Complaint {
    TooMany,
    Refused,
    Broken,
    Slow,
}

pub(super) struct Hub {
    state: Mutex<State>,
    /// Signals a new message, or the end of a viewer.
    changed: Condvar,
    /// Signals a request.
    asked: Condvar,
    complaints: [AtomicBool; 4],
}

#[derive(Default)]
struct State {
    line: Option<Update>,
    picture: Option<Update>,
    status: PageStatus,
    status_text: Utf8Bytes,
    /// Rises with every change of the status.
    status_version: u64,
    actions: Vec<Action>,
    viewers: BTreeMap<u64, Flow>,
    next_viewer: u64,
    is_closed: bool,
}

/// The sending state of a viewer.
struct Flow {
    subscription: Subscription,
    /// The newest frame that was sent.
    last: Option<u64>,
    /// Frames that the page has not painted yet.
    unpainted: VecDeque<(u64, Option<Instant>)>,
    /// From the capture to the painted page, in milliseconds, since the page was told last.
    delays_ms: Vec<f32>,
    told: Instant,
    status_version: u64,
    pinged: Instant,
}

/// The first message to every page: the curves to draw, by scheme.
pub(super) fn greeting() -> Utf8Bytes {
    let schemes: serde_json::Map<String, serde_json::Value> = Scheme::ALL
        .into_iter()
        .filter_map(|scheme| {
            let name = serde_json::json!(scheme).as_str()?.to_owned();
            let curves = scheme.outlines().iter().map(|curve| (curve.points, curve.closed));
            Some((name, serde_json::json!(curves.collect::<Vec<_>>())))
        })
        .collect();
    serde_json::json!({ "awing": env!("CARGO_PKG_VERSION"), "schemes": schemes }).to_string().into()
}

impl Hub {
    pub(super) fn new() -> Self {
        let (changed, asked) = (Condvar::new(), Condvar::new());
        Self { state: Mutex::default(), changed, asked, complaints: Default::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_viewers(&self) -> bool {
        !self.state().viewers.is_empty()
    }

    /// Whether a viewer of pictures is ready for the next one.
    pub(super) fn wants_picture(&self) -> bool {
        self.state().viewers.values().any(|flow| flow.subscription.with_picture && flow.has_room())
    }

    /// A new line, or the picture of one.
    pub(super) fn publish(&self, update: Update) {
        let mut state = self.state();
        if update.jpeg.is_some() {
            state.picture = Some(update);
        } else {
            state.line = Some(update);
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn show(&self, status: PageStatus) {
        let mut state = self.state();
        if state.status_version > 0 && state.status == status {
            return;
        }
        state.status_text = serde_json::json!({ "status": status }).to_string().into();
        state.status = status;
        state.status_version += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// A new viewer; `None` if there are too many, or the session is over.
    pub(super) fn join(&self, subscription: Subscription) -> Option<u64> {
        let mut state = self.state();
        if state.viewers.len() >= MOST_VIEWERS || state.is_closed {
            return None;
        }
        let (id, now) = (state.next_viewer, Instant::now());
        state.next_viewer += 1;
        let flow = Flow {
            subscription,
            last: None,
            unpainted: VecDeque::new(),
            delays_ms: Vec::new(),
            told: now,
            status_version: 0,
            pinged: now,
        };
        state.viewers.insert(id, flow);
        Some(id)
    }

    pub(super) fn leave(&self, viewer: u64) {
        let mut state = self.state();
        state.viewers.remove(&viewer);
        // Nobody keeps these up to date for the next viewer.
        if state.viewers.is_empty() {
            state.line = None;
        }
        if !state.viewers.values().any(|flow| flow.subscription.with_picture) {
            state.picture = None;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the next message to this viewer.
    pub(super) fn next(&self, viewer: u64) -> Next {
        let mut state = self.state();
        loop {
            let State { line, picture, status_text, status_version, viewers, is_closed, .. } = &mut *state;
            let Some(flow) = viewers.get_mut(&viewer) else { return Next::Gone };
            let newest = if flow.subscription.with_picture { picture } else { line };
            if let Some(update) = newest
                && flow.has_room()
                && flow.last.is_none_or(|last| last < update.number)
            {
                flow.last = Some(update.number);
                if flow.subscription.is_page {
                    flow.unpainted.push_back((update.number, update.captured));
                }
                return Next::Update(update.clone());
            }
            if *is_closed {
                return Next::End;
            }
            if flow.subscription.is_page {
                if flow.status_version < *status_version {
                    flow.status_version = *status_version;
                    return Next::Text(status_text.clone());
                }
                if let Some(delay_ms) = flow.delay_ms() {
                    return Next::Text(format!("{{\"delay_ms\": {delay_ms:.1}}}").into());
                }
            }
            let since_ping = flow.pinged.elapsed();
            if since_ping >= PING_INTERVAL {
                flow.pinged = Instant::now();
                return Next::Ping;
            }
            let waited = self.changed.wait_timeout(state, PING_INTERVAL - since_ping);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A page has painted this frame.
    pub(super) fn painted(&self, viewer: u64, number: u64) {
        let mut state = self.state();
        let Some(flow) = state.viewers.get_mut(&viewer) else { return };
        while let Some((sent, captured)) = flow.unpainted.front().copied() {
            if sent > number {
                break;
            }
            flow.unpainted.pop_front();
            if let Some(captured) = captured.filter(|_| sent == number) {
                flow.delays_ms.push(1e3 * captured.elapsed().as_secs_f32());
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A viewer asks for something.
    pub(super) fn ask(&self, action: Action) {
        let mut state = self.state();
        if state.actions.len() < MOST_ACTIONS {
            state.actions.push(action);
        }
        self.asked.notify_all();
    }

    pub(super) fn wait_for_actions(&self, timeout: Duration) -> Option<Vec<Action>> {
        let holds = |state: &mut State| state.actions.is_empty() && !state.is_closed;
        let waited = self.asked.wait_timeout_while(self.state(), timeout, holds);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        (!state.is_closed).then(|| std::mem::take(&mut state.actions))
    }

    /// Ends the hub. Waits up to `patience` until viewers have the last frame.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.state();
        state.is_closed = true;
        self.changed.notify_all();
        self.asked.notify_all();
        drop(self.changed.wait_timeout_while(state, patience, |state| !state.viewers.is_empty()));
    }

    /// Reports a client's fault, unless the same was reported before.
    pub(super) fn complain(&self, complaint: Complaint, what: &dyn std::fmt::Display) {
        if !self.complaints[complaint as usize].swap(true, Ordering::Relaxed) {
            tracing::warn!("--serve: {what}; tracking goes on, and more of this is not reported");
        }
    }
}

impl Flow {
    fn has_room(&self) -> bool {
        !self.subscription.is_page || self.unpainted.len() < FRAMES_AHEAD
    }

    /// The median since the last call, if that was long enough ago.
    fn delay_ms(&mut self) -> Option<f32> {
        if self.delays_ms.is_empty() || self.told.elapsed() < DELAY_INTERVAL {
            return None;
        }
        self.told = Instant::now();
        self.delays_ms.sort_by(f32::total_cmp);
        let median = self.delays_ms[self.delays_ms.len() / 2];
        self.delays_ms.clear();
        Some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Subscription = Subscription { is_page: true, with_picture: false };
    const LINES: Subscription = Subscription { is_page: false, with_picture: false };

    fn publish(hub: &Hub, number: u64) {
        hub.publish(Update { number, captured: Some(Instant::now()), line: number.to_string().into(), jpeg: None });
    }

    fn number(next: &Next) -> Option<u64> {
        match next {
            Next::Update(update) => Some(update.number),
            _ => None,
        }
    }

    #[test]
    fn a_viewer_gets_the_newest_line_once_and_the_last_one_before_the_end() {
        let hub = Hub::new();
        let viewer = hub.join(LINES).unwrap();
        (0..3).for_each(|number| publish(&hub, number));
        assert_eq!(number(&hub.next(viewer)), Some(2));
        publish(&hub, 3);
        hub.close(Duration::ZERO);
        assert_eq!(number(&hub.next(viewer)), Some(3));
        assert!(matches!(hub.next(viewer), Next::End));
        hub.leave(viewer);
        assert!(matches!(hub.next(viewer), Next::Gone));
        assert!(hub.join(LINES).is_none() && hub.wait_for_actions(Duration::ZERO).is_none());
    }

    #[test]
    fn a_page_that_does_not_paint_gets_no_more_frames_until_it_does() {
        let hub = Hub::new();
        let page = hub.join(PAGE).unwrap();
        for frame in 0..FRAMES_AHEAD as u64 {
            publish(&hub, frame);
            assert_eq!(number(&hub.next(page)), Some(frame));
        }
        (10..20).for_each(|number| publish(&hub, number));
        hub.show(PageStatus::default());
        assert!(matches!(hub.next(page), Next::Text(_)), "the state of the session comes all the same");
        hub.painted(page, 0);
        assert_eq!(number(&hub.next(page)), Some(19));
    }

    #[test]
    fn pictures_are_wanted_only_for_a_page_that_is_ready_for_one() {
        let hub = Hub::new();
        hub.join(LINES).unwrap();
        assert!(hub.has_viewers() && !hub.wants_picture());
        let page = hub.join(Subscription { is_page: true, with_picture: true }).unwrap();
        for frame in 0..FRAMES_AHEAD as u64 {
            assert!(hub.wants_picture());
            publish(&hub, frame);
            let line = Utf8Bytes::from_static("{}");
            hub.publish(Update { number: frame, captured: None, line, jpeg: Some(Bytes::new()) });
            assert!(matches!(hub.next(page), Next::Update(update) if update.jpeg.is_some()));
        }
        assert!(!hub.wants_picture());
    }

    #[test]
    fn what_was_published_for_others_is_not_shown_to_who_comes_after_they_left() {
        let hub = Hub::new();
        let page = hub.join(Subscription { is_page: true, with_picture: true }).unwrap();
        let line = Utf8Bytes::from_static("{}");
        hub.publish(Update { number: 1, captured: None, line, jpeg: Some(Bytes::new()) });
        assert!(matches!(hub.next(page), Next::Update(_)));
        hub.leave(page);
        let later = hub.join(Subscription { is_page: true, with_picture: true }).unwrap();
        hub.show(PageStatus::default());
        assert!(matches!(hub.next(later), Next::Text(_)));
    }

    #[test]
    fn there_are_as_many_viewers_and_wishes_as_there_is_room_for() {
        let hub = Hub::new();
        let viewers: Vec<u64> = std::iter::from_fn(|| hub.join(PAGE)).collect();
        assert_eq!(viewers.len(), MOST_VIEWERS);
        hub.leave(viewers[3]);
        assert!(hub.join(PAGE).is_some());
        (0..100).for_each(|_| hub.ask(Action::KeepFace));
        assert_eq!(hub.wait_for_actions(Duration::ZERO).unwrap().len(), MOST_ACTIONS);
        assert_eq!(hub.wait_for_actions(Duration::ZERO).unwrap(), []);
    }

    #[test]
    fn pages_are_told_the_curves_of_every_scheme() {
        let greeting: serde_json::Value = serde_json::from_str(&greeting()).unwrap();
        for scheme in ["wflw98", "ibug68", "cofw29", "aflw19"] {
            assert!(greeting["schemes"][scheme][0][0][0].is_u64(), "{scheme}: {greeting}");
        }
    }
}
