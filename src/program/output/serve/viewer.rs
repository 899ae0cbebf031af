//! A viewer's WebSocket, from its handshake to its end.
//!
//! One thread reads and another writes. Both write whole messages under one lock, since a ping is answered where it is
//! read. A client that takes a message too slowly, sends too much, or breaks the protocol is dropped.

use super::hub::{Action, Complaint, Hub, Next, Subscription, greeting};
use crate::program::output::is_timeout;
use serde::Deserialize;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};

/// The longest message that is read: pages send far less.
const MOST_BYTES: usize = 4096;
/// The most that a client may send in a second.
const MOST_BYTES_A_SECOND: usize = 1 << 16;
/// The time limit for sending a message.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// A client that has not even answered a ping for this long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// The messages of a page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Wish {
    /// The number of a frame that it has painted.
    Painted(u64),
    /// The name of an [`Action`].
    Action(String),
}

/// Answers the handshake with `head` and serves the viewer until it or the session ends.
pub(super) fn serve(
    stream: TcpStream,
    head: &str,
    rest: Vec<u8>,
    viewer: u64,
    subscription: Subscription,
    hub: &Arc<Hub>,
) {
    let result = Client::new(&stream).and_then(|mut client| {
        client.write_all(head.as_bytes())?;
        let (mut writer, for_writer) = (socket(client.try_clone()?, Vec::new()), hub.clone());
        let write = move || {
            if let Err(error) = write_to(&mut writer, viewer, subscription, &for_writer) {
                report(&error, &for_writer);
            }
            for_writer.leave(viewer);
            // Wakes the reader.
            let _ = writer.get_ref().stream.shutdown(Shutdown::Both);
        };
        thread::Builder::new().name("viewer".into()).spawn(write)?;
        Ok(socket(client, rest))
    });
    if let Ok(mut reader) = result
        && let Err(error) = read_from(&mut reader, viewer, hub)
    {
        report(&error, hub);
        let reason = CloseFrame { code: CloseCode::Policy, reason: "awing does not understand this".into() };
        let _ = reader.close(Some(reason)).and_then(|()| reader.flush());
    }
    hub.leave(viewer);
    let _ = stream.shutdown(Shutdown::Both);
}

fn socket(client: Client, rest: Vec<u8>) -> WebSocket<Client> {
    let config = WebSocketConfig::default()
        .read_buffer_size(MOST_BYTES)
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES));
    WebSocket::from_partially_read(client, rest, Role::Server, Some(config))
}

/// Sends the viewer its messages.
fn write_to(socket: &mut WebSocket<Client>, viewer: u64, subscription: Subscription, hub: &Hub) -> Result<(), Error> {
    if subscription.is_page {
        socket.send(Message::Text(greeting()))?;
    }
    loop {
        match hub.next(viewer) {
            Next::Update(update) => {
                socket.write(Message::Text(update.line))?;
                if let Some(jpeg) = update.jpeg {
                    socket.write(Message::Binary(jpeg))?;
                }
                socket.flush()?;
            }
            Next::Text(text) => socket.send(Message::Text(text))?,
            Next::Ping => socket.send(Message::Ping(Bytes::new()))?,
            Next::End => {
                let reason = CloseFrame { code: CloseCode::Away, reason: "awing has ended".into() };
                socket.close(Some(reason))?;
                return socket.flush();
            }
            Next::Gone => return Ok(()),
        }
    }
}

/// Reads what the viewer sends until it ends.
fn read_from(socket: &mut WebSocket<Client>, viewer: u64, hub: &Hub) -> Result<(), Error> {
    let unknown = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(Wish::Painted(number)) => hub.painted(viewer, number),
                Ok(Wish::Action(name)) => match Action::of_name(&name) {
                    Some(action) => hub.ask(action),
                    None => return unknown("there is no such action"),
                },
                Err(_) => return unknown("there is no such message"),
            },
            Ok(Message::Binary(_)) => return unknown("only awing sends pictures"),
            Ok(_) => {}
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Reports why a viewer was dropped, unless it just went.
fn report(error: &Error, hub: &Hub) {
    use io::ErrorKind::{InvalidData, TimedOut};
    match error {
        Error::Io(error) if error.kind() == TimedOut => {
            hub.complain(Complaint::Slow, &"a viewer stopped reading and was dropped");
        }
        Error::Io(error) if error.kind() != InvalidData => {}
        Error::ConnectionClosed | Error::AlreadyClosed => {}
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {}
        error => hub.complain(Complaint::Broken, &format_args!("a viewer was dropped: {error}")),
    }
}

/// A stream with limits.
struct Client {
    stream: TcpStream,
    writing: Arc<Mutex<TcpStream>>,
    /// Since when how much was read.
    second: Instant,
    read: usize,
}

impl Client {
    fn new(stream: &TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let writing = Arc::new(Mutex::new(stream.try_clone()?));
        Ok(Self { stream: stream.try_clone()?, writing, second: Instant::now(), read: 0 })
    }

    /// Another handle on the same stream.
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, writing: self.writing.clone(), ..*self })
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        if self.second.elapsed() > Duration::from_secs(1) {
            (self.second, self.read) = (Instant::now(), 0);
        }
        self.read += count;
        if self.read > MOST_BYTES_A_SECOND {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it sends too much"));
        }
        Ok(count)
    }
}

impl Write for Client {
    /// Writes all of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = Instant::now();
        let mut stream = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = bytes;
        while !rest.is_empty() {
            let left = TIME_LIMIT.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
            let left = left.ok_or(io::ErrorKind::TimedOut)?;
            stream.set_write_timeout(Some(left))?;
            match stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
