//! VTube Studio's plugin API: JSON over a WebSocket that VTube Studio serves.
//!
//! In: the faces of each frame; the one with the lowest id is sent. Out: values of VTube Studio's parameters and of
//! some that awing creates there, 30 to 60 times a second (`docs/outputs.md`).
//!
//! | file | holds |
//! |---|---|
//! | `address` | the address of VTube Studio |
//! | `client` | requests and their answers |
//! | `parameters` | the values to send |
//! | `plugin` | the thread: connection, permission, parameters, values |
//!
//! VTube Studio may start later, end and come back: awing keeps trying. The user allows awing once in VTube Studio, and
//! awing stores the token. A request is sent when the previous one was answered; meanwhile, the newest frame replaces
//! older ones.

mod address;
mod client;
mod parameters;
mod plugin;

pub(crate) use address::VtsAddress;
pub(super) use plugin::run;
