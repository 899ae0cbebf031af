//! The signals of faces on their way to other programs, over the network.
//!
//! In: the faces of each tracked frame and their [`Signals`](crate::runtime::signals::Signals). Out: UDP packets in the formats
//! of other trackers, so that programs which understand those understand awing, and a page for browsers (`docs/outputs.md`).
//!
//! | file | holds |
//! |---|---|
//! | `address` | hosts and ports as people type them |
//! | `receiver` | who is sent to, found by name and port before a session starts |
//! | `senders` | a thread for each receiver |
//! | `snapshot` | what is copied of a frame for them |
//! | `osf` | OpenSeeFace's packets |
//! | `vmc` | VMC's messages |
//! | `ifacialmocap` | iFacialMocap's texts |
//! | `vts` | VTube Studio's plugin API |
//! | `serve` | a page for browsers, and a WebSocket with lines of JSON |
//! | `secret` | secrets that are kept from one start to the next |
//!
//! Tracking never waits: of the frames that come while a packet is being sent, the newest wins. Errors: an address that can't
//! be used, before the session starts. Later on, what can't be sent is lost, and the first of each receiver is reported as a
//! warning.

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
