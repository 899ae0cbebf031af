//! The capture thread: opens a camera, delivers its frames, and reopens it when it fails.
//!
//! In: a camera's number, or none for the first that can capture, and a [`Wish`]. Out, in the [`Shared`] state: the
//! newest frame, the problem while there is none, and the counts of frames. Ends on request, or if the camera cannot be
//! opened the first time.

use super::UNPLUGGED;
use super::decode::Decoder;
use super::{CaptureError, Damage, Device, Raw, SILENCE_TIMEOUT, Shared, Trouble, Wish, list, name_of, nodes, remedy};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How long a camera that was just opened may take for its first frame before it is reopened.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(4);
/// Time between two attempts to open a camera that was lost.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How often the thread checks whether it is to stop.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A camera that was opened once, to be found again.
struct Known {
    index: u32,
    name: String,
    /// The numbers of the other cameras that were there when it was lost and have been there ever since.
    others: Vec<u32>,
}

impl Known {
    /// The number that it has now.
    fn find(&mut self) -> io::Result<u32> {
        let numbers = nodes()?;
        self.others.retain(|other| numbers.contains(other));
        let here = name_of(self.index);
        if here.as_ref().is_ok_and(|name| *name == self.name) {
            return Ok(self.index);
        }
        let mut new = numbers.into_iter().filter(|number| *number != self.index && !self.others.contains(number));
        if let Some(number) = new.find(|number| name_of(*number).is_ok_and(|name| name == self.name)) {
            return Ok(number);
        }
        let other = here?;
        Err(io::Error::other(format!("{UNPLUGGED}, and {other} has its number")))
    }
}

/// Captures until it is time to stop.
pub(super) fn capture(wished: Option<u32>, wish: &Wish, shared: &Shared) {
    let mut decoder = Decoder::default();
    let mut known = None;
    while !shared.should_stop() {
        // The consumer has to learn of a panic, too.
        let ended = catch_unwind(AssertUnwindSafe(|| capture_once(wished, wish, &mut known, &mut decoder, shared)));
        let ended = ended.unwrap_or_else(|_| {
            let reason = "an internal error of awing stopped it".into();
            Err(CaptureError::Camera { index: wished.unwrap_or(0), reason })
        });
        let mut state = shared.lock();
        match ended {
            Ok(None) => return,
            Ok(Some(trouble)) => state.trouble = Some(trouble),
            Err(error) if !state.was_opened => {
                state.failed = Some(error);
                drop(state);
                shared.changed.notify_all();
                return;
            }
            Err(CaptureError::Camera { reason, .. }) => state.trouble = Some(Trouble::Failed(reason)),
            // The trouble before stays: there is no camera at all, or the system cannot tell.
            Err(error) => tracing::debug!("{error}"),
        }
        if let Some(trouble) = &state.trouble {
            tracing::debug!("{}: {trouble}", state.describe());
        }
        drop(state);
        shared.changed.notify_all();
        let retry = Instant::now() + RETRY_INTERVAL;
        while !shared.should_stop() && Instant::now() < retry {
            std::thread::sleep(STOP_POLL_INTERVAL);
        }
    }
}

/// Opens the camera and delivers its frames. `None` when it is time to stop, the reason when no frame came for too
/// long, an error when the camera failed.
fn capture_once(
    wished: Option<u32>,
    wish: &Wish,
    known: &mut Option<Known>,
    decoder: &mut Decoder,
    shared: &Shared,
) -> Result<Option<Trouble>, CaptureError> {
    let was_there = known.is_some();
    let failed = |index: u32| {
        move |error: io::Error| CaptureError::Camera { index, reason: remedy::explain(index, &error, was_there) }
    };
    let index = match (&mut *known, wished) {
        (Some(known), _) => known.find().map_err(failed(known.index))?,
        (None, Some(wished)) => wished,
        // If none can be used, opening the first tells why.
        (None, None) => {
            let usable = list()?.first().map(|camera| camera.index);
            let there = || nodes().ok().and_then(|nodes| nodes.first().copied());
            usable.or_else(there).ok_or(CaptureError::NoCamera)?
        }
    };
    shared.change(|state| state.index = Some(index));
    let mut device = Device::open(index, wish).map_err(failed(index))?;
    let name = device.name().to_owned();
    shared.change(|state| {
        (state.name, state.rate, state.was_opened) = (name.clone(), Some(device.rate()), true);
    });
    let known = known.insert(Known { index, name, others: Vec::new() });
    let delivered = deliver(&mut device, decoder, shared);
    known.others = nodes().unwrap_or_default().into_iter().filter(|other| *other != index).collect();
    delivered.map_err(failed(index))
}

/// Delivers frames. `None` when it is time to stop, the reason when no frame came for too long.
fn deliver(device: &mut Device, decoder: &mut Decoder, shared: &Shared) -> io::Result<Option<Trouble>> {
    let layout = device.layout();
    let mut last_good = Instant::now();
    let mut limit = WARM_UP_TIMEOUT;
    let mut damage = None;
    while !shared.should_stop() {
        let without = last_good.elapsed();
        if without >= SILENCE_TIMEOUT {
            let trouble = damage.map_or(Trouble::Silent, Trouble::Damaged);
            if without >= limit {
                return Ok(Some(trouble));
            }
            shared.change(|state| state.trouble = Some(trouble));
        }
        let Some(raw) = device.next(STOP_POLL_INTERVAL)? else { continue };
        let Raw { bytes, captured, lost, is_flagged } = raw;
        let mut frame = shared.lock().spare.pop().unwrap_or_default();
        let decoded = if is_flagged { Err(Damage::Flagged) } else { decoder.decode(&layout, bytes, &mut frame) };
        let mut state = shared.lock();
        state.tally.lost += lost;
        match decoded {
            Ok(()) => {
                (last_good, limit, damage) = (Instant::now(), SILENCE_TIMEOUT, None);
                state.trouble = None;
                state.tally.delivered += 1;
                state.tally.first.get_or_insert(captured);
                if let Some((unused, _)) = state.newest.replace((frame, captured)) {
                    state.tally.replaced += 1;
                    state.spare.push(unused);
                }
                drop(state);
                shared.changed.notify_all();
            }
            Err(what) => {
                state.tally.damaged += 1;
                tracing::debug!("dropped a damaged frame, {} so far: {what}", state.tally.damaged);
                state.spare.push(frame);
                damage = Some(what);
            }
        }
    }
    Ok(None)
}
