//! A thread for each receiver.
//!
//! In: the faces of each frame. Out: packets, one frame after the other. While a thread is busy, the newest frame
//! replaces older ones, so the caller never waits. A packet that can't be sent is lost; the first one of each receiver
//! is reported.

use super::receiver::{Protocol, Receiver};
use super::snapshot::Snapshot;
use super::vts::{self, VtsAddress};
use super::{ifacialmocap, osf, vmc};
use crate::program::latest::Latest;
use crate::runtime::signals::Signals;
use crate::runtime::track::Face;
use anyhow::{Context, Result};
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Converts frames to packets.
pub(super) trait Encoder: Send {
    /// Gives the packets of a frame to `send`.
    ///
    /// # Errors
    /// Those of `send`; the remaining packets of the frame are then left out.
    fn send(&mut self, snapshot: &Snapshot, send: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>;
}

/// How long the end waits for a thread that sends: a connection may just be in the making.
const PATIENCE: Duration = Duration::from_millis(300);

/// All threads that send. They send the last frame and end when this is dropped.
pub(crate) struct Senders {
    senders: Vec<Sender>,
    /// Whether faces without signals were reported.
    has_warned: bool,
}

struct Sender {
    latest: Arc<Latest<Snapshot>>,
    /// The snapshot that is filled next.
    next: Snapshot,
    thread: JoinHandle<()>,
}

impl Senders {
    /// Starts a thread for each of `receivers`, and for VTube Studio.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(receivers: &[Receiver], vts: Option<&VtsAddress>) -> Result<Self> {
        let over_udp =
            receivers.iter().cloned().map(|receiver| Sender::start(move |latest| send_all(&receiver, latest)));
        let to_vts = vts.cloned().map(|address| Sender::start(move |latest| vts::run(&address, latest)));
        let senders = over_udp.chain(to_vts).collect::<Result<_>>()?;
        Ok(Self { senders, has_warned: false })
    }

    /// Passes a frame of this size (width and height) to all of them.
    pub(crate) fn send(
        &mut self,
        time_s: f64,
        captured: Option<Instant>,
        size: [usize; 2],
        faces: &[Face],
        signals: &[Signals],
    ) {
        for Sender { latest, next, .. } in &mut self.senders {
            next.fill(time_s, captured, size, faces, signals);
            if next.faces.is_empty()
                && let Some(face) = faces.first()
                && !std::mem::replace(&mut self.has_warned, true)
            {
                let points = face.landmarks.len();
                tracing::warn!("nothing is sent: signals need a model with 98 landmarks, and this one has {points}");
            }
            latest.put(next);
        }
    }
}

impl Sender {
    fn start(send: impl FnOnce(&Latest<Snapshot>) + Send + 'static) -> Result<Self> {
        let latest = Arc::new(Latest::default());
        let from_tracking = latest.clone();
        let thread = thread::Builder::new().name("sending".into()).spawn(move || send(&from_tracking));
        Ok(Self { latest, next: Snapshot::default(), thread: thread.context("cannot start a thread")? })
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.latest.close();
        let start = Instant::now();
        while !self.thread.is_finished() && start.elapsed() < PATIENCE {
            thread::sleep(PATIENCE / 100);
        }
    }
}

fn send_all(receiver: &Receiver, latest: &Latest<Snapshot>) {
    let mut encoder: Box<dyn Encoder> = match receiver.protocol {
        Protocol::OpenSeeFace => Box::new(osf::Packets::default()),
        Protocol::Vmc(shapes) => Box::new(vmc::Bundles::new(shapes)),
        Protocol::IFacialMocap => Box::new(ifacialmocap::Texts::default()),
    };
    let mut snapshot = Snapshot::default();
    let mut has_warned = false;
    while latest.wait(&mut snapshot) {
        let sent = encoder.send(&snapshot, &mut |packet| receiver.socket.send(packet).map(drop));
        if let Err(error) = sent
            && !std::mem::replace(&mut has_warned, true)
        {
            let remedy = match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => " (does a receiver run there?)",
                _ => "",
            };
            tracing::warn!("{receiver}: a packet could not be sent{remedy}: {error}; tracking goes on");
        }
    }
}
