//! Sends the signals of faces to other programs, over the network.
//!
//! In: the faces of each tracked frame and their [`Signals`](crate::runtime::signals::Signals). Out: UDP packets in the
//! formats of other trackers, so that programs for those also work with awing, and a page for browsers
//! (`docs/outputs.md`).
//!
//! | file | holds |
//! |---|---|
//! | `address` | parsing of hosts and ports |
//! | `receiver` | receivers, resolved by name and port before a session starts |
//! | `senders` | a thread for each receiver |
//! | `snapshot` | the copy of a frame for them |
//! | `osf` | OpenSeeFace's packets |
//! | `vmc` | VMC's messages |
//! | `ifacialmocap` | iFacialMocap's texts |
//! | `vts` | VTube Studio's plugin API |
//! | `serve` | a page for browsers, and a WebSocket with JSON lines |
//! | `secret` | secrets that are kept from one start to the next |
//!
//! Tracking never waits: while a packet is being sent, the newest frame replaces older ones. Errors: an unusable
//! address, before the session starts. Later on, a packet that can't be sent is lost, and the first one of each
//! receiver is reported as a warning.

mod address;
mod ifacialmocap;
mod osf;
mod receiver;
mod secret;
mod senders;
pub(super) mod serve;
mod snapshot;
mod vmc;
mod vts;

pub(super) use receiver::{Protocol, Receiver};
pub(super) use senders::Senders;
pub(super) use vmc::VmcShapes;
pub(super) use vts::VtsAddress;

/// Whether a read or write ended because it took too long.
fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
