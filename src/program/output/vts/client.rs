//! Requests to VTube Studio and their answers, one after the other.
//!
//! In: the kind and the data of a request. Out: the data of its answer; other messages are skipped. Every wait has a
//! timeout and ends with the session.

use super::address::VtsAddress;
use crate::program::output::is_timeout;
use serde_json::{Value, json};
use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// How often to check for the end of the session.
const POLL: Duration = Duration::from_millis(100);
/// The time limit for connecting, and for answers that need no decision by the user.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Its longest answer is the list of parameters.
const MOST_BYTES: usize = 1 << 20;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// VTube Studio has gone, or was never there.
    Gone(String),
    /// It answered with an error.
    Refused { code: i64, message: String },
    /// The session is over.
    Over,
}

/// A connection.
pub(super) struct Client<'a> {
    socket: WebSocket<TcpStream>,
    requests: u64,
    is_over: &'a dyn Fn() -> bool,
}

impl<'a> Client<'a> {
    pub(super) fn connect(address: &VtsAddress, is_over: &'a dyn Fn() -> bool) -> Result<Self, Failure> {
        let mut stream = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for socket in &address.sockets {
            stream = TcpStream::connect_timeout(socket, PATIENCE);
            if stream.is_ok() {
                break;
            }
        }
        let stream = stream.and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(POLL))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = stream.map_err(|error| Failure::Gone(error.to_string()))?;
        let config = WebSocketConfig::default().max_message_size(Some(MOST_BYTES)).max_frame_size(Some(MOST_BYTES));
        let start = Instant::now();
        let mut shaking = tungstenite::client::client_with_config(&address.url, stream, Some(config));
        loop {
            shaking = match shaking {
                Ok((socket, _)) => return Ok(Self { socket, requests: 0, is_over }),
                Err(HandshakeError::Failure(error)) => return Err(Failure::Gone(error.to_string())),
                Err(HandshakeError::Interrupted(_)) if is_over() => return Err(Failure::Over),
                Err(HandshakeError::Interrupted(_)) if start.elapsed() > PATIENCE => {
                    return Err(Failure::Gone("no WebSocket answers there".into()));
                }
                Err(HandshakeError::Interrupted(unfinished)) => unfinished.handshake(),
            };
        }
    }

    /// The data that answers a request of this kind, such as `APIState`, within `patience`.
    pub(super) fn ask(&mut self, kind: &str, data: &Value, patience: Duration) -> Result<Value, Failure> {
        self.requests += 1;
        let id = format!("awing-{}", self.requests);
        let request = json!({
            "apiName": "VTubeStudioPublicAPI",
            "apiVersion": "1.0",
            "requestID": id,
            "messageType": format!("{kind}Request"),
            "data": data,
        });
        self.socket.send(Message::text(request.to_string())).map_err(gone)?;
        let start = Instant::now();
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let mut answer: Value =
                        serde_json::from_str(&text).map_err(|_| Failure::Gone("its answer is not JSON".into()))?;
                    if answer["requestID"] == id {
                        return data_of(&mut answer);
                    }
                }
                Ok(_) => {}
                Err(Error::Io(error)) if is_timeout(&error) => {}
                Err(error) => return Err(gone(error)),
            }
            if (self.is_over)() {
                return Err(Failure::Over);
            }
            if start.elapsed() > patience {
                return Err(Failure::Gone("it does not answer".into()));
            }
        }
    }
}

/// The data of an answer, or why the request was refused.
fn data_of(answer: &mut Value) -> Result<Value, Failure> {
    let data = answer["data"].take();
    if answer["messageType"] == "APIError" {
        let code = data["errorID"].as_i64().unwrap_or(-1);
        let message = data["message"].as_str().unwrap_or("without a reason").to_owned();
        return Err(Failure::Refused { code, message });
    }
    Ok(data)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands for a closure")]
fn gone(error: Error) -> Failure {
    Failure::Gone(error.to_string())
}
