//! VTube Studio's plugin API: JSON over a WebSocket that VTube Studio serves.
//!
//! In: the faces of each frame, of which the first is sent: the one with the lowest id. Out: values of VTube Studio's parameters
//! and of some that awing creates there, 30 to 60 times a second (`docs/outputs.md`).
//!
//! | file | holds |
//! |---|---|
//! | `address` | where VTube Studio is |
//! | `client` | requests and their answers |
//! | `parameters` | what is sent |
//! | `plugin` | the thread: connection, permission, parameters, values |
//!
//! VTube Studio may start later, end and come back: awing keeps trying. The person allows awing once in VTube Studio, and the token
//! that it then gives is kept. A request is sent when the one before was answered; of the frames that come meanwhile, the newest
//! wins.

mod address;
mod client;
mod parameters;
mod plugin;

pub(crate) use address::VtsAddress;
pub(super) use plugin::run;
