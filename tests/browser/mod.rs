//! A Chromium without a screen, driven over its DevTools protocol.

use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// If the browser is not ready within this time, it never will be.
const DEADLINE: Duration = Duration::from_secs(60);
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser with a tab, stopped when dropped.
pub struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    commands: u64,
    /// The session of the tab.
    tab: Option<String>,
    /// What went wrong on the page: exceptions, messages of the console and of the browser.
    pub complaints: Vec<Value>,
    _profile: TempDir,
}

/// The browser of this computer, if it has one.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

impl Browser {
    pub fn start(program: PathBuf) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        // It writes its port and its path there once it listens.
        let (port, path) = loop {
            let text = std::fs::read_to_string(profile.path().join("DevToolsActivePort")).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n') {
                break (port.to_owned(), path.trim().to_owned());
            }
            assert!(start.elapsed() < DEADLINE, "the browser does not start");
            std::thread::sleep(Duration::from_millis(50));
        };
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        let mut browser = Self { child, socket, commands: 0, tab: None, complaints: Vec::new(), _profile: profile };
        let tab = browser.command("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": tab["targetId"], "flatten": true});
        browser.tab = browser.command("Target.attachToTarget", &attach)["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Page"] {
            browser.command(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Opens a page in a window of this size; a telephone's has twice the pixels.
    pub fn open(&mut self, url: &str, [width, height]: [u32; 2]) {
        let is_phone = width < 600;
        let density = if is_phone { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": density, "mobile": is_phone});
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
        let opened = self.command("Page.navigate", &json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{opened}");
    }

    /// The value of an expression on the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let evaluate = json!({"expression": expression, "returnByValue": true});
        let result = self.command("Runtime.evaluate", &evaluate);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression on the page is true.
    pub fn wait_for(&mut self, expression: &str) {
        let start = Instant::now();
        while self.value(expression) != true {
            assert!(start.elapsed() < DEADLINE, "{expression} never holds; {:#?}", self.complaints);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A picture of the page as PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let screenshot = self.command("Page.captureScreenshot", &json!({"format": "png"}));
        of_base64(screenshot["data"].as_str().unwrap())
    }

    fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.commands += 1;
        let mut command = json!({"id": self.commands, "method": method, "params": parameters});
        if let Some(tab) = &self.tab {
            command["sessionId"] = tab.as_str().into();
        }
        self.socket.send(Message::text(command.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let mut message: Value = serde_json::from_str(&text).unwrap();
            if message["id"] == self.commands {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            if ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"]
                .iter()
                .any(|m| message["method"] == *m)
            {
                self.complaints.push(message["params"].take());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn of_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let word = (0..4).fold(0_u32, |word, i| word << 6 | u32::from(four.get(i).copied().unwrap_or(0)));
        word.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}
