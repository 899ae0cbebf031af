//! HTTP requests and answers, one per connection.
//!
//! In: a stream. Out: the head of its request, if it is complete, in time and not too large; answers that tell browsers
//! to load nothing from elsewhere and not to show the page in another site's frame.

use crate::program::output::is_timeout;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The time limit for receiving a request, and for sending an answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The longest head; browsers send a tenth of it.
const MOST_BYTES: usize = 8192;
const MOST_HEADERS: usize = 64;
/// How long a client may keep sending after its answer: closing earlier would lose the answer.
const LINGER: Duration = Duration::from_millis(500);

/// The head of a request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    query: String,
    pub host: Option<String>,
    pub origin: Option<String>,
    /// Of a WebSocket; `None`: it asks for none.
    pub websocket_key: Option<String>,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum NoRequest {
    /// Nothing can be answered: the client has gone, or sends nothing.
    Silence,
    /// It took too long.
    Late,
    /// It is not a valid request; the status for the answer.
    Bad(&'static str),
}

impl Request {
    /// Reads a request, and the bytes sent after it.
    ///
    /// # Errors
    /// [`NoRequest`].
    pub(super) fn read(stream: &mut TcpStream) -> Result<(Self, Vec<u8>), NoRequest> {
        let start = Instant::now();
        let mut head = Vec::new();
        let mut chunk = [0; 2048];
        loop {
            let left = TIME_LIMIT.checked_sub(start.elapsed()).filter(|left| !left.is_zero()).ok_or(NoRequest::Late)?;
            stream.set_read_timeout(Some(left)).map_err(|_| NoRequest::Silence)?;
            let count = match stream.read(&mut chunk) {
                Ok(0) => return Err(NoRequest::Silence),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => return Err(NoRequest::Late),
                Err(_) => return Err(NoRequest::Silence),
            };
            head.extend_from_slice(&chunk[..count]);
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = head.split_off(end + 4);
                let request = Self::parse(&head).ok_or(NoRequest::Bad("400 Bad Request"))?;
                return Ok((request, rest));
            }
            if head.len() > MOST_BYTES {
                return Err(NoRequest::Bad("431 Request Header Fields Too Large"));
            }
        }
    }

    /// The request in a head; `None` if it is invalid or contradicts itself.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        if !parsed.parse(head).ok()?.is_complete() {
            return None;
        }
        let (path, query) = parsed.path?.split_once('?').unwrap_or((parsed.path?, ""));
        let mut request =
            Self { method: parsed.method?.into(), path: path.into(), query: query.into(), ..Self::default() };
        let (mut is_upgrade, mut version, mut key) = (false, None, None);
        for header in parsed.headers {
            let once = |slot: &mut Option<String>| {
                slot.is_none().then_some(())?;
                *slot = Some(std::str::from_utf8(header.value).ok()?.to_owned());
                Some(())
            };
            match header.name.to_ascii_lowercase().as_str() {
                "host" => once(&mut request.host)?,
                "origin" => once(&mut request.origin)?,
                "sec-websocket-key" => once(&mut key)?,
                "sec-websocket-version" => once(&mut version)?,
                "upgrade" => is_upgrade |= header.value.eq_ignore_ascii_case(b"websocket"),
                _ => {}
            }
        }
        request.websocket_key = key.filter(|_| is_upgrade && version.as_deref() == Some("13"));
        Some(request)
    }

    /// The value of a parameter in the query; empty if it has none.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|parameter| {
            let (other, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (other == name).then_some(value)
        })
    }
}

/// Answers with a body and ends the connection.
pub(super) fn answer(mut stream: TcpStream, status: &str, kind: &str, body: &[u8], is_head: bool) {
    let head = format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: {kind}\r\n\
         Content-Length: {}\r\n\
         Connection: close\r\n\
         Cache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\
         X-Frame-Options: DENY\r\n\r\n",
        body.len()
    );
    let written = stream.set_write_timeout(Some(TIME_LIMIT)).and_then(|()| {
        stream.write_all(head.as_bytes())?;
        if is_head { Ok(()) } else { stream.write_all(body) }
    });
    if written.and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        let (start, mut unread) = (Instant::now(), [0; 4096]);
        while let Some(left) = LINGER.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            let count = stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut unread));
            if !matches!(count, Ok(1..)) {
                break;
            }
        }
    }
}

/// Answers with a line of text.
pub(super) fn answer_in_words(stream: TcpStream, status: &str, text: &str) {
    answer(stream, status, "text/plain; charset=utf-8", format!("awing: {text}\n").as_bytes(), false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_contradict_themselves_are_none() {
        let parse = |lines: &str| Request::parse(format!("GET /a?b=c&d HTTP/1.1\r\n{lines}\r\n").as_bytes());
        let request = parse("Host: x\r\n").unwrap();
        assert_eq!(
            (request.path.as_str(), request.parameter("b"), request.parameter("d")),
            ("/a", Some("c"), Some(""))
        );
        assert_eq!(request.parameter("c"), None);
        assert!(parse("Host: x\r\nHost: y\r\n").is_none());
        assert!(parse("Origin: x\r\norigin: x\r\n").is_none());
        assert!(parse("Host: \u{fffd}\r\n").is_some());
        assert!(Request::parse(b"GET / HTTP/1.1\r\nHost: \xff\xff\r\n\r\n").is_none());
        assert!(Request::parse(b"\x16\x03\x01\x02\x00 GET / HTTP/1.1\r\n\r\n").is_none(), "a browser that tries TLS");
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        assert!(
            parse(&format!("{key}Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"))
                .unwrap()
                .websocket_key
                .is_some()
        );
        assert!(
            parse(&format!("{key}Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n")).unwrap().websocket_key.is_none()
        );
        assert!(parse(key).unwrap().websocket_key.is_none());
        assert!(parse(&"X: y\r\n".repeat(MOST_HEADERS + 1)).is_none());
    }
}
