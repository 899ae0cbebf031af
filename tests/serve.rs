//! What `--serve` serves: lines of JSON over a WebSocket, compared with those of `--json`; the page's pictures, states
//! and wishes; who is let in; and what hostile clients do to it, which is nothing.

mod browser;
mod program;

use program::{awing, said};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// If something does not happen within this time, it never will.
const DEADLINE: Duration = Duration::from_secs(60);

/// A port that nobody listens to.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running session of the demo, stopped when dropped.
struct Session {
    folder: TempDir,
    child: Child,
    port: u16,
    /// What it says on standard error, until it ends.
    said: Option<JoinHandle<String>>,
    /// The address of the page.
    url: String,
}

impl Session {
    fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1", arguments, tempfile::tempdir().unwrap())
    }

    fn start_at(host: &str, arguments: &[&str], folder: TempDir) -> Self {
        let port = free_port();
        let mut command = awing(folder.path());
        command.args(["track", "--input", "demo", "--headless", "--model", "bundled"]).args(arguments);
        command.args(["--json", "faces.jsonl", "--serve", &format!("{host}:{port}")]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let url = first.trim().strip_prefix("the page is ").unwrap_or_else(|| panic!("{first}")).to_owned();
        let said = thread::spawn(move || {
            let mut all = String::new();
            lines.read_to_string(&mut all).unwrap();
            all
        });
        Self { folder, child, port, said: Some(said), url }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// A WebSocket; `query` says what it wants.
    fn viewer(&self, query: &str) -> WebSocket<TcpStream> {
        let url = format!("ws://127.0.0.1:{}/ws{query}", self.port);
        tungstenite::client(url, self.connect()).unwrap_or_else(|error| panic!("{error}")).0
    }

    /// The answer to these bytes.
    fn answer(&self, request: &str) -> String {
        let mut stream = self.connect();
        // Some are answered, and dropped, before they have sent everything.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(&self, path: &str, headers: &str) -> String {
        self.answer(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n"))
    }

    /// Waits until it ends by itself: its lines of JSON as written, and what it said.
    fn finish(mut self) -> (Vec<String>, String) {
        let status = self.child.wait().unwrap();
        let said = self.said.take().unwrap().join().unwrap();
        assert!(status.success(), "{said}");
        (self.lines(), said)
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("faces.jsonl")).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next text that is JSON.
fn text(viewer: &mut WebSocket<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = viewer.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// Sends what a page sends.
fn send(viewer: &mut WebSocket<TcpStream>, message: &Value) {
    viewer.send(Message::text(message.to_string())).unwrap();
}

#[test]
fn the_websocket_sends_the_lines_of_json_up_to_the_last() {
    let session = Session::start(&["--frames", "90", "--faces", "2"]);
    let mut viewer = session.viewer("");
    let mut seen = Vec::new();
    let farewell = loop {
        match viewer.read().unwrap() {
            Message::Text(line) => seen.push(line.to_string()),
            Message::Close(farewell) => break farewell,
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(farewell.unwrap().code, CloseCode::Away);
    let (lines, said) = session.finish();
    println!("{} lines of {}", seen.len(), lines.len());
    assert_eq!(lines.len(), 90);
    assert_eq!(seen.last(), lines.last());
    let mut rest = lines.iter();
    for line in &seen {
        assert!(rest.any(|other| other == line), "not a line of --json, or not in order: {line}");
    }
    assert!(!said.contains("--serve"), "{said}");
}

#[test]
fn a_page_gets_pictures_of_its_lines_as_fast_as_it_paints_them() {
    let session = Session::start(&[]);
    let mut page = session.viewer("?page&picture");
    let greeting = text(&mut page);
    assert_eq!(greeting["schemes"]["wflw98"].as_array().unwrap().len(), 9, "{greeting}");
    let mut line = Value::Null;
    let (mut pictures, mut delays, mut statuses) = (0, 0, 0);
    while pictures < 20 || delays == 0 {
        match page.read().unwrap() {
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["version"].is_u64() {
                    assert!(line.is_null() && message["faces"][0]["signals"].is_object());
                    line = message;
                } else if let Some(delay_ms) = message["delay_ms"].as_f64() {
                    assert!(delay_ms > 0.0);
                    delays += 1;
                } else {
                    assert_eq!(message["status"]["source"], "the built-in demo");
                    statuses += 1;
                }
            }
            Message::Binary(jpeg) => {
                let picture = image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap();
                assert_eq!(
                    [picture.width(), picture.height()].map(Value::from),
                    [&line["width"], &line["height"]].map(Value::clone)
                );
                pictures += 1;
                send(&mut page, &json!({"painted": line["frame"]}));
                line = Value::Null;
            }
            _ => {}
        }
    }
    assert!(statuses >= 1);
    // A page that stops painting gets two more, and then nothing until it goes on.
    page.get_ref().set_read_timeout(Some(Duration::from_millis(800))).unwrap();
    let (mut unpainted, mut last) = (0, 0);
    while let Ok(message) = page.read() {
        match message {
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                last = message["frame"].as_u64().unwrap_or(last);
            }
            Message::Binary(_) => unpainted += 1,
            _ => {}
        }
    }
    assert_eq!(unpainted, 2);
    page.get_ref().set_read_timeout(Some(DEADLINE)).unwrap();
    send(&mut page, &json!({"painted": last}));
    let next = std::iter::repeat_with(|| text(&mut page)).find(|message| message["version"].is_u64()).unwrap();
    assert!(next["frame"].as_u64().unwrap() > last + 10, "the newest frame comes, not those that were missed");
}

#[test]
fn a_page_shows_the_states_of_a_session_without_a_window_and_changes_them() {
    let session = Session::start(&["--neutral"]);
    let mut page = session.viewer("?page");
    let mut wait_for = |wish: &Value, holds: &dyn Fn(&Value) -> bool| {
        if !wish.is_null() {
            send(&mut page, wish);
        }
        let start = Instant::now();
        loop {
            let message = text(&mut page);
            if message["version"].is_u64() {
                send(&mut page, &json!({"painted": message["frame"]}));
            } else if holds(&message["status"]) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "after {wish}: {message}");
        }
    };
    let said = |status: &Value, text: &str| status["message"]["text"].as_str().is_some_and(|said| said.contains(text));
    wait_for(&Value::Null, &|status| status["neutral"] == "awaited" || status["neutral"] == "set");
    wait_for(&Value::Null, &|status| status["neutral"] == "set");
    wait_for(&json!({"action": "neutral"}), &|status| said(status, "count as neutral"));
    wait_for(&json!({"action": "keep"}), &|status| status["kept"] == 1);
    wait_for(&json!({"action": "collect"}), &|status| status["is_collecting"] == true);
    wait_for(&json!({"action": "collect"}), &|status| {
        status["is_collecting"] == false && said(status, "collecting off")
    });
    wait_for(&json!({"action": "other-model"}), &|status| {
        said(status, "no tuned model yet") && status["is_tuned"].is_null()
    });
    // Nothing was corrected, so there is nothing to learn from.
    wait_for(&json!({"action": "tune"}), &|status| said(status, "the tuning failed") && status["tuning"].is_null());
    let recording =
        std::fs::read_dir(session.folder.path().join("data/awing/samples")).unwrap().next().unwrap().unwrap();
    let names: Vec<_> = std::fs::read_dir(recording.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().any(|name| Path::new(name).extension().is_some_and(|ending| ending == "png")), "{names:?}");
}

#[test]
fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
    let session = Session::start(&[]);
    let host = format!("Host: 127.0.0.1:{}\r\n", session.port);
    let page = session.get("/", &host);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("default-src 'none'"), "{page}");
    assert!(!page.contains("unsafe-inline") && !page.contains("//"), "{page}");
    for (path, kind) in [("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg+xml")] {
        assert!(page.contains(&path[1..]), "the page uses {path}");
        let file = session.get(path, &host);
        assert!(file.starts_with("HTTP/1.1 200 OK\r\n") && file.contains(kind), "{file}");
    }
    assert!(session.get("/../Cargo.toml", &host).starts_with("HTTP/1.1 404 "));
    assert!(session.get("/ws", &host).starts_with("HTTP/1.1 426 "));
    assert!(session.answer(&format!("POST / HTTP/1.1\r\n{host}\r\n")).starts_with("HTTP/1.1 405 "));
    let head = session.answer(&format!("HEAD / HTTP/1.1\r\n{host}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
}

/// The head of a handshake.
fn handshake(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\n{headers}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[test]
fn other_sites_and_names_that_lead_here_are_refused() {
    let session = Session::start(&[]);
    let host = format!("127.0.0.1:{}", session.port);
    for headers in [
        "Host: evil.example\r\n".into(),
        format!("Host: evil.example:{}\r\nOrigin: http://evil.example:{}\r\n", session.port, session.port),
        format!("Host: {host}\r\nOrigin: http://evil.example\r\n"),
        format!("Host: {host}\r\nOrigin: null\r\n"),
        String::new(),
    ] {
        for answer in [session.get("/", &headers), session.answer(&handshake("/ws", &headers))] {
            assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("<html"), "{headers}: {answer}");
        }
    }
    let twice = session.answer(&handshake("/ws", &format!("Host: {host}\r\nHost: evil.example\r\n")));
    assert!(twice.starts_with("HTTP/1.1 400 "), "{twice}");
    let mut own = session.connect();
    own.write_all(handshake("/ws", &format!("Host: {host}\r\nOrigin: http://{host}\r\n")).as_bytes()).unwrap();
    let mut answer = [0; 12];
    own.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[test]
fn other_computers_need_the_token_that_is_printed_and_stays_the_same() {
    let session = Session::start_at("0.0.0.0", &[], tempfile::tempdir().unwrap());
    let (_, token) = session.url.split_once("/?token=").unwrap_or_else(|| panic!("{}", session.url));
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    let headers = "Host: 192.168.1.7\r\n";
    let wrong = token.replace(|digit: char| digit != '0', "0");
    for query in [String::new(), "?token=".into(), format!("?token={wrong}"), format!("?token={}", &token[1..])] {
        for answer in
            [session.get(&format!("/{query}"), headers), session.answer(&handshake(&format!("/ws{query}"), headers))]
        {
            assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("token"), "{query}: {answer}");
        }
    }
    assert!(session.get(&format!("/?token={token}"), headers).starts_with("HTTP/1.1 200 "));
    assert!(text(&mut session.viewer(&format!("?token={token}")))["version"].is_u64());
    let (token, mut session) = (token.to_owned(), session);
    let folder = std::mem::replace(&mut session.folder, tempfile::tempdir().unwrap());
    drop(session);
    let again = Session::start_at("0.0.0.0", &[], folder);
    assert!(again.url.ends_with(&token), "{} has another token than {token}", again.url);
}

#[test]
fn a_port_in_use_and_addresses_that_are_none_are_refused_with_the_remedy_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = taken.local_addr().unwrap().to_string();
    for (address, remedy) in [
        (in_use.as_str(), "another program listens there"),
        ("192.0.2.1:8098", "no address of this computer"),
        ("nowhere.invalid", "cannot find the host"),
        ("8098", "127.0.0.1:8098"),
        ("demo", "put it before --serve"),
        ("127.0.0.1:99999", "is no port"),
    ] {
        let mut command = awing(folder.path());
        command.args(["--input", "demo", "--headless", "--json", "faces.jsonl", "--serve", address]);
        let output = command.output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("--serve {address}: ")) && said.contains(remedy), "{said}");
        assert!(said.lines().count() == 1 && !folder.path().join("faces.jsonl").exists(), "{said}");
    }
}

/// The head and the payload of a frame from a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[test]
fn hostile_clients_are_dropped_with_one_message_and_tracking_goes_on() {
    let session = Session::start(&["--frames", "600"]);
    let mut friend = session.viewer("");
    let friend = thread::spawn(move || {
        let texts = std::iter::from_fn(|| friend.read().ok()).filter(Message::is_text);
        texts.map(|line| line.to_string()).collect::<Vec<_>>()
    });
    let host = format!("Host: 127.0.0.1:{}\r\n", session.port);
    // What is no request.
    for noise in ["\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "hello\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        assert!(session.answer(noise).starts_with("HTTP/1.1 400 "));
    }
    let endless = session.get("/", &"X-Header: of many bytes\r\n".repeat(10_000));
    assert!(endless.is_empty() || endless.starts_with("HTTP/1.1 4"), "{endless}");
    // Messages that are none.
    let mut floods = Vec::new();
    (0..3000).for_each(|_| floods.extend(frame(0x89, b"a ping of many that nobody asked for")));
    let messages: [(&str, Vec<u8>); 9] = [
        ("text that is not UTF-8", frame(0x81, &[0xff, 0xfe, 0xc0])),
        ("more than a message may have", frame(0x81, &[b'a'; 5000])),
        ("the head of a frame of 2^62 bytes", [&[0x82, 0xff][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat()),
        ("a frame without a mask", vec![0x81, 0x02, b'{', b'}']),
        ("an unknown kind of frame", frame(0x8b, b"?")),
        ("bytes", frame(0x82, b"picture")),
        ("an unknown wish", frame(0x81, br#"{"action": "rm -rf"}"#)),
        ("deep JSON", frame(0x81, "[".repeat(4000).as_bytes())),
        ("a flood", floods),
    ];
    for (what, bytes) in &messages {
        let mut stream = session.connect();
        stream.write_all(handshake("/ws?page", &host).as_bytes()).unwrap();
        // A flood is cut off while it is sent.
        let _ = stream.write_all(bytes);
        let start = Instant::now();
        // Dropped, not just left alone: the stream ends.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        assert!(start.elapsed() < DEADLINE / 2, "{what} is dropped");
    }
    // Viewers that never read, and more than there is room for.
    let deaf: Vec<WebSocket<TcpStream>> = std::iter::from_fn(|| {
        let url = format!("ws://127.0.0.1:{}/ws?page&picture", session.port);
        tungstenite::client(url, session.connect()).ok().map(|(viewer, _)| viewer)
    })
    .take(100)
    .collect();
    assert!((1..50).contains(&deaf.len()), "{} viewers", deaf.len());
    // Requests that never end, and thousands of connections.
    let mut slow: Vec<TcpStream> = (0..100).map(|_| session.connect()).collect();
    slow.iter_mut().for_each(|stream| drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: ")));
    for _ in 0..3000 {
        drop(TcpStream::connect(("127.0.0.1", session.port)));
    }
    let seen = friend.join().unwrap();
    let (lines, said) = session.finish();
    assert_eq!(lines.len(), 600, "{said}");
    assert_eq!(seen.last(), lines.last(), "a friend got everything up to the end");
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("--serve")).collect();
    println!("{} lines of 600 for a friend; {warnings:#?}", seen.len());
    assert!((1..=3).contains(&warnings.len()), "one of each kind: {warnings:#?}");
    assert!(warnings.iter().all(|warning| warning.contains("tracking goes on")) && !said.contains("panic"), "{said}");
}

/// `cargo test --release --test serve -- --ignored --nocapture figures`
#[test]
#[ignore = "prints figures"]
fn figures_of_tracking_with_all_outputs_while_receivers_hang() {
    // The first frames, which look for the face, are left out.
    let figures = |session: Session| {
        let (lines, _) = session.finish();
        let lines = lines.iter().skip(10).map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut times_ms: Vec<f64> = lines.map(|line| line["ms"]["total"].as_f64().unwrap()).collect();
        times_ms.sort_by(f64::total_cmp);
        format!("median {:.2} ms, slowest {:.2} ms", times_ms[times_ms.len() / 2], times_ms.last().unwrap())
    };
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let [udp, vts] = [deaf.local_addr(), silent.local_addr()].map(|address| address.unwrap().to_string());
    for _ in 0..3 {
        println!("no receiver: {}", figures(Session::start(&["--frames", "240"])));
        let all = ["--frames", "240", "--osf", &udp, "--vmc", &udp, "--ifacialmocap", &udp, "--vts", &vts];
        let session = Session::start(&all);
        let _hanging = [session.viewer("?page&picture"), session.viewer("")];
        let mut page = session.viewer("?page&picture");
        let watching = thread::spawn(move || {
            while let Ok(message) = page.read() {
                if let Message::Text(text) = message
                    && let Some(frame) = serde_json::from_str::<Value>(&text).unwrap()["frame"].as_u64()
                {
                    send(&mut page, &json!({"painted": frame}));
                }
            }
        });
        println!("all outputs, with hanging receivers: {}", figures(session));
        drop(watching.join());
    }
}

/// `cargo test --release --test serve -- --ignored --nocapture`; with `AWING_SCREENSHOTS=FOLDER` the pictures are kept.
#[test]
#[ignore = "needs Chromium"]
fn in_chromium_the_page_loads_points_move_and_nothing_goes_wrong() {
    let Some(program) = browser::program() else {
        println!("left out: there is no Chromium in the PATH (Debian: sudo apt install chromium)");
        return;
    };
    let session = Session::start(&[]);
    let mut browser = browser::Browser::start(program);
    for (name, query, size) in [
        ("page", "", [1280, 800]),
        ("phone", "", [390, 844]),
        ("plain", "?plain", [640, 480]),
        ("transparent", "?transparent", [640, 480]),
    ] {
        browser.open(&format!("{}{query}", session.url), size);
        browser.wait_for("document.readyState === 'complete' && shown !== null && shown.line.faces.length === 1");
        let landmarks = "JSON.stringify([shown.line.frame, shown.line.faces[0].landmarks])";
        let before = browser.value(landmarks);
        browser.wait_for(&format!(
            "shown.line.faces.length === 1 && {landmarks} !== {before:?}",
            before = before.as_str().unwrap()
        ));
        // What is seen moves, too.
        browser.value("globalThis.before = $('picture').toDataURL(); 0");
        browser.wait_for("$('picture').toDataURL() !== before");
        assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), true, "{name} fits its width");
        if query.is_empty() {
            browser.wait_for("$('yaw').textContent !== '' && !$('rate').hidden");
            assert_eq!(browser.value("$('source').textContent"), "the built-in demo");
            browser.value("document.querySelector('[data-action=neutral]').click()");
            browser.wait_for("$('neutral').textContent === 'set' && $('notice').textContent.includes('neutral')");
            let mut delays = std::iter::repeat_with(|| {
                browser.value("delayMs = null");
                browser.wait_for("delayMs !== null");
                browser.value("delayMs").as_f64().unwrap()
            })
            .take(10)
            .collect::<Vec<_>>();
            delays.sort_by(f64::total_cmp);
            println!(
                "{name}: median {:.0} ms from the frame to the painted page, of {delays:?}",
                delays[delays.len() / 2]
            );
        }
        if let Some(folder) = std::env::var_os("AWING_SCREENSHOTS") {
            let path = Path::new(&folder).join(format!("{name}.png"));
            std::fs::write(path, browser.screenshot()).unwrap();
        }
        assert!(browser.complaints.is_empty(), "{name}: {:#?}", browser.complaints);
    }
}
