//! Connections, each on its own thread: a request, and its answer or a WebSocket.

use super::guard::Refusal;
use super::http::{NoRequest, Request, answer, answer_in_words};
use super::hub::{Complaint, Hub, Subscription};
use super::listener::Listener;
use super::viewer;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tungstenite::handshake::derive_accept_key;

/// The most connections whose request has not been answered.
const MOST_WAITING: usize = 64;
/// How long nobody is accepted after that failed: the system has no room for more connections.
const PAUSE: Duration = Duration::from_millis(100);
/// The path of the WebSocket.
const WEBSOCKET: &str = "/ws";

/// The page, by path.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("/", "text/html; charset=utf-8", include_bytes!("page/page.html")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("page/page.js")),
    ("/icon.svg", "image/svg+xml", include_bytes!("page/icon.svg")),
];

/// Accepts connections as long as the process runs.
pub(super) fn accept_all(listener: &Listener, hub: &Arc<Hub>) {
    let waiting = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => {
                hub.complain(Complaint::TooMany, &format_args!("a connection could not be accepted: {error}"));
                thread::sleep(PAUSE);
                continue;
            }
        };
        let place = Place::take(&waiting);
        let (listener, for_client) = (listener.clone(), hub.clone());
        let started = place.map(|place| {
            let serve = move || serve(stream, &listener, &for_client, place);
            thread::Builder::new().name("connection".into()).spawn(serve)
        });
        if !matches!(started, Some(Ok(_))) {
            hub.complain(Complaint::TooMany, &"there are too many connections at once; further ones are refused");
        }
    }
}

/// One of the places of connections whose request has not been answered.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(taken.clone());
        (taken.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(mut stream: TcpStream, listener: &Listener, hub: &Arc<Hub>, place: Place) {
    let (request, rest) = match Request::read(&mut stream) {
        Ok(read) => read,
        Err(NoRequest::Silence) => return,
        Err(NoRequest::Late) => {
            hub.complain(Complaint::Slow, &"a client did not end its request and was dropped");
            return answer_in_words(stream, "408 Request Timeout", "the request took too long");
        }
        Err(NoRequest::Bad(status)) => {
            hub.complain(
                Complaint::Broken,
                &format_args!("a client sent no valid HTTP request and was dropped ({status})"),
            );
            return answer_in_words(stream, status, "this is not a valid HTTP request");
        }
    };
    let guard = &listener.guard;
    let shows_faces = ["/", WEBSOCKET].contains(&request.path.as_str());
    let of_faces = || if shows_faces { guard.refusal_of_faces(&request) } else { None };
    if let Some(Refusal { status, reason }) = guard.refusal(&request).or_else(of_faces) {
        let whose = request.origin.as_ref().or(request.host.as_ref()).map_or("", String::as_str).escape_debug();
        hub.complain(Complaint::Refused, &format_args!("a request was refused ({whose}): {reason}"));
        return answer_in_words(stream, status, reason);
    }
    if request.path == WEBSOCKET {
        return start_viewer(stream, rest, &request, hub, place);
    }
    let is_head = request.method == "HEAD";
    if !is_head && request.method != "GET" {
        return answer_in_words(stream, "405 Method Not Allowed", "only GET is understood");
    }
    match FILES.iter().find(|(path, ..)| *path == request.path) {
        Some((_, kind, body)) => answer(stream, "200 OK", kind, body, is_head),
        None => answer_in_words(stream, "404 Not Found", "there is nothing here; the page is /"),
    }
}

fn start_viewer(stream: TcpStream, rest: Vec<u8>, request: &Request, hub: &Arc<Hub>, place: Place) {
    let Some(key) = request.websocket_key.as_ref().filter(|_| request.method == "GET") else {
        return answer_in_words(stream, "426 Upgrade Required", "this is a WebSocket; the page is /");
    };
    let asks_for = |name| request.parameter(name).is_some();
    let is_page = asks_for("page");
    let subscription = Subscription { is_page, with_picture: is_page && asks_for("picture") };
    let Some(viewer) = hub.join(subscription) else {
        hub.complain(Complaint::TooMany, &"there are too many viewers at once; further ones are refused");
        return answer_in_words(stream, "503 Service Unavailable", "there are too many viewers: close some pages");
    };
    drop(place);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    viewer::serve(stream, &head, rest, viewer, subscription, hub);
}
