//! `--vts` before a server that answers as VTube Studio's plugin API documents it: permission, parameters, values
//! compared with the lines of JSON, errors, and a VTube Studio that goes away and comes back.

mod program;

use program::awing;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

/// If something does not happen within this time, it never will.
const DEADLINE: Duration = Duration::from_secs(60);
const DEFAULT_PARAMETERS: [&str; 18] = [
    "FaceAngleX",
    "FaceAngleY",
    "FaceAngleZ",
    "FacePositionX",
    "FacePositionY",
    "FacePositionZ",
    "EyeOpenLeft",
    "EyeOpenRight",
    "EyeLeftX",
    "EyeLeftY",
    "EyeRightX",
    "EyeRightY",
    "MouthOpen",
    "MouthSmile",
    "Brows",
    "BrowLeftY",
    "BrowRightY",
    "MousePositionX",
];

/// VTube Studio, as far as plugins see it.
struct Studio {
    listener: TcpListener,
    /// The token that it gave, if the person allows.
    token: String,
    is_allowed: bool,
    parameters: Vec<String>,
    is_authenticated: bool,
}

impl Studio {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let token = "0b2c5bfae2a8".into();
        Self { listener, token, is_allowed: true, parameters: Vec::new(), is_authenticated: false }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// Answers one plugin until it goes or `end` says so; every request is handed to it.
    fn serve(&mut self, mut end: impl FnMut(&str, &Value) -> bool) {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        self.is_authenticated = false;
        while let Ok(message) = socket.read() {
            let Message::Text(text) = message else { continue };
            let request: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&request["apiName"], &request["apiVersion"]), (&"VTubeStudioPublicAPI".into(), &"1.0".into()));
            let id = request["requestID"].as_str().unwrap();
            assert!(id.len() <= 64 && id.is_ascii());
            let kind = request["messageType"].as_str().unwrap();
            let (kind_of_answer, data) = match self.answer(kind, &request["data"]) {
                Ok(data) => (kind.replace("Request", "Response"), data),
                Err((code, message)) => ("APIError".into(), json!({"errorID": code, "message": message})),
            };
            // Answers to nobody's question are read away.
            answer(&mut socket, &json!({"messageType": "ModelLoadedEvent", "requestID": "", "data": {}}));
            answer(
                &mut socket,
                &json!({"apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "timestamp": 1625405710728_u64,
                "messageType": kind_of_answer, "requestID": id, "data": data}),
            );
            if end(kind, &request["data"]) {
                return;
            }
        }
    }

    fn answer(&mut self, kind: &str, data: &Value) -> Result<Value, (i64, &'static str)> {
        match kind {
            "AuthenticationTokenRequest" => {
                for field in ["pluginName", "pluginDeveloper"] {
                    assert!((3..=32).contains(&data[field].as_str().unwrap().len()), "{data}");
                }
                self.is_allowed
                    .then(|| json!({"authenticationToken": self.token}))
                    .ok_or((50, "User has denied API access for your plugin."))
            }
            "AuthenticationRequest" => {
                self.is_authenticated = data["authenticationToken"] == self.token.as_str();
                let reason =
                    if self.is_authenticated { "Token valid." } else { "Token invalid or has been revoked by user." };
                Ok(json!({"authenticated": self.is_authenticated, "reason": reason}))
            }
            _ if !self.is_authenticated => Err((8, "This request requires authentication.")),
            "InputParameterListRequest" => {
                let list =
                    |names: &[String]| names.iter().map(|name| json!({"name": name, "value": 0})).collect::<Vec<_>>();
                Ok(
                    json!({"defaultParameters": list(&DEFAULT_PARAMETERS.map(str::to_owned)), "customParameters": list(&self.parameters)}),
                )
            }
            "ParameterCreationRequest" => {
                let name = data["parameterName"].as_str().unwrap().to_owned();
                assert!(
                    (4..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                    "{name}"
                );
                assert!(data["min"].is_number() && data["max"].is_number() && data["defaultValue"].is_number());
                self.parameters.push(name);
                Ok(json!({"parameterName": data["parameterName"]}))
            }
            "InjectParameterDataRequest" => {
                assert_eq!((&data["faceFound"], &data["mode"]), (&true.into(), &"set".into()));
                for value in data["parameterValues"].as_array().unwrap() {
                    let name = value["id"].as_str().unwrap();
                    assert!(value["value"].as_f64().unwrap().abs() <= 1e6);
                    if !DEFAULT_PARAMETERS.contains(&name) && !self.parameters.iter().any(|other| other == name) {
                        return Err((453, "Parameter not found."));
                    }
                }
                Ok(json!({}))
            }
            other => panic!("{other} is no request that is documented"),
        }
    }
}

fn answer(socket: &mut WebSocket<TcpStream>, answer: &Value) {
    // A plugin that has gone hears nothing.
    let _ = socket.send(Message::text(answer.to_string()));
}

/// Starts a session of the demo at its own pace, which the page's server sees to.
fn start(folder: &Path, frames: usize, url: &str) -> Child {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    awing(folder)
        .args(["track", "--input", "demo", "--headless", "--model", "bundled", "--json", "faces.jsonl"])
        .args(["--frames", &frames.to_string(), "--serve", &format!("127.0.0.1:{port}"), "--vts", url])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What it said about VTube Studio until it ended, and its lines of JSON.
fn finish(child: Child, folder: &Path) -> (Vec<String>, Vec<Value>) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("panic"), "{said}");
    let lines = std::fs::read_to_string(folder.join("faces.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (said.lines().filter(|line| line.contains("--vts")).map(str::to_owned).collect(), lines)
}

/// A request's type and data.
type Request = (String, Value);

/// Whether a connection ends with a request of this type and data.
type End = Box<dyn FnMut(&str, &Value) -> bool + Send>;

/// Serves plugins one after the other on a thread of its own, and hands over the requests of each connection, which
/// ends when its [`End`] says so.
fn serve(mut studio: Studio, ends: Vec<End>) -> Receiver<Vec<Request>> {
    let (to_test, from_studio): (Sender<Vec<Request>>, _) = mpsc::channel();
    thread::spawn(move || {
        for mut end in ends {
            let mut requests = Vec::new();
            studio.serve(|kind, data| {
                requests.push((kind.to_owned(), data.clone()));
                end(kind, data)
            });
            if to_test.send(requests).is_err() {
                return;
            }
        }
    });
    from_studio
}

fn kinds(requests: &[Request]) -> Vec<&str> {
    let mut kinds: Vec<&str> = requests.iter().map(|(kind, _)| kind.strip_suffix("Request").unwrap()).collect();
    kinds.dedup();
    kinds
}

fn value(request: &Value, name: &str) -> Option<f64> {
    let values = request["parameterValues"].as_array().unwrap();
    values.iter().find(|value| value["id"] == name)?["value"].as_f64()
}

fn never() -> End {
    Box::new(|_, _| false)
}

/// Ends after this number of frames.
fn after_frames(mut frames: usize) -> End {
    Box::new(move |kind, _| {
        frames -= usize::from(kind == "InjectParameterDataRequest");
        frames == 0
    })
}

#[test]
fn vtube_studio_gets_what_lines_of_json_say_once_it_has_allowed_it() {
    let folder = tempfile::tempdir().unwrap();
    let studio = Studio::start();
    let url = studio.url();
    let requests = serve(studio, vec![never()]);
    let began = Instant::now();
    let (said, lines) = finish(start(folder.path(), 150, &url), folder.path());
    let longest_s = began.elapsed().as_secs_f64();
    let requests = requests.recv_timeout(DEADLINE).unwrap();
    let expected =
        ["AuthenticationToken", "Authentication", "InputParameterList", "ParameterCreation", "InjectParameterData"];
    assert_eq!(kinds(&requests), expected);
    assert_eq!(requests.iter().filter(|(kind, _)| kind == "ParameterCreationRequest").count(), 37);
    let values: Vec<&Value> =
        requests.iter().filter(|(kind, _)| kind == "InjectParameterDataRequest").map(|(_, data)| data).collect();
    println!("{} messages for {} frames", values.len(), lines.len());
    assert!(!values.is_empty() && (values.len() as f64) < 64.0 * longest_s);
    for request in values {
        let is_close = |name: &str, wanted: f64, tolerance: f64| {
            value(request, name).is_some_and(|seen| (seen - wanted).abs() <= tolerance)
        };
        let of_frame = |line: &&Value| {
            let signals = &line["faces"][0]["signals"];
            let number = |name: &str| signals[name].as_f64().unwrap_or(f64::NAN);
            is_close("FaceAngleX", -number("yaw_deg"), 0.0051)
                && is_close("FaceAngleY", number("pitch_deg"), 0.0051)
                && is_close("FaceAngleZ", number("roll_deg"), 0.0051)
        };
        let line = lines.iter().find(of_frame).unwrap_or_else(|| panic!("{request} is of no frame"));
        let signals = &line["faces"][0]["signals"];
        let number = |name: &str| signals[name].as_f64().unwrap();
        let shape = |name: &str| signals["shapes"][name].as_f64().unwrap();
        let brow = |side: &str| {
            let up = 0.25 * (shape("browInnerUp") + shape(&format!("browOuterUp{side}")));
            (0.5 + up - 0.5 * shape(&format!("browDown{side}"))).clamp(0.0, 1.0)
        };
        let smile = ["mouthSmileLeft", "mouthSmileRight"].map(shape).iter().sum::<f64>();
        let frown = ["mouthFrownLeft", "mouthFrownRight"].map(shape).iter().sum::<f64>();
        for (name, wanted) in [
            ("FacePositionX", signals["translation_cm"][0].as_f64().unwrap()),
            ("FacePositionY", signals["translation_cm"][1].as_f64().unwrap()),
            ("EyeOpenLeft", number("eye_open_left").min(1.0)),
            ("EyeOpenRight", number("eye_open_right").min(1.0)),
            ("EyeLeftX", number("gaze_yaw_deg") / 30.0),
            ("EyeRightY", number("gaze_pitch_deg") / 25.0),
            ("MouthOpen", number("mouth_open")),
            ("MouthSmile", (0.5 + 0.25 * (smile - frown)).clamp(0.0, 1.0)),
            ("BrowLeftY", brow("Left")),
            ("BrowRightY", brow("Right")),
            ("Brows", 0.5 * (brow("Left") + brow("Right"))),
            ("AwingJawOpen", shape("jawOpen")),
            ("AwingEyeBlinkLeft", shape("eyeBlinkLeft")),
            ("AwingMouthSmileRight", shape("mouthSmileRight")),
        ] {
            assert!(is_close(name, wanted, 0.0055), "{name} is {:?}, not {wanted}", value(request, name));
        }
        assert_eq!(value(request, "MousePositionX"), None, "that is not ours");
    }
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].contains("allow awing there") && said[1].contains("faces are sent"), "{said:#?}");
}

#[test]
fn a_vtube_studio_that_goes_away_and_comes_back_is_sent_to_again_without_asking() {
    let folder = tempfile::tempdir().unwrap();
    let studio = Studio::start();
    let url = studio.url();
    let requests = serve(studio, vec![after_frames(5), never()]);
    let (said, lines) = finish(start(folder.path(), 240, &url), folder.path());
    assert_eq!(lines.len(), 240);
    assert!(kinds(&requests.recv_timeout(DEADLINE).unwrap()).contains(&"AuthenticationToken"));
    let again = requests.recv_timeout(DEADLINE).unwrap();
    assert_eq!(kinds(&again), ["Authentication", "InputParameterList", "InjectParameterData"]);
    let about = |text: &str| said.iter().filter(|line| line.contains(text)).count();
    assert_eq!((about("isn't there"), about("faces are sent"), about("allow awing")), (1, 2, 1), "{said:#?}");
}

#[test]
fn a_token_that_is_refused_is_asked_for_again_with_one_message() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("data/awing/secrets")).unwrap();
    std::fs::write(folder.path().join("data/awing/secrets/vts-token"), "an old one").unwrap();
    let studio = Studio::start();
    let url = studio.url();
    let requests = serve(studio, vec![never()]);
    let (said, _) = finish(start(folder.path(), 60, &url), folder.path());
    let requests = requests.recv_timeout(DEADLINE).unwrap();
    assert_eq!(
        kinds(&requests)[..4],
        ["Authentication", "AuthenticationToken", "Authentication", "InputParameterList"]
    );
    assert_eq!(said.iter().filter(|line| line.contains("asks again")).count(), 1, "{said:#?}");
    let kept = std::fs::read_to_string(folder.path().join("data/awing/secrets/vts-token")).unwrap();
    assert_eq!(kept, "0b2c5bfae2a8");
}

#[test]
fn whoever_does_not_allow_it_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let studio = Studio { is_allowed: false, ..Studio::start() };
    let url = studio.url();
    let requests = serve(studio, vec![never(), never()]);
    let (said, lines) = finish(start(folder.path(), 150, &url), folder.path());
    assert_eq!(kinds(&requests.recv_timeout(DEADLINE).unwrap()), ["AuthenticationToken"]);
    assert!(requests.try_recv().is_err() && lines.len() == 150);
    assert!(said.len() == 2 && said[1].contains("does not allow awing"), "{said:#?}");
}

#[test]
fn without_vtube_studio_or_with_something_else_in_its_place_there_is_one_message_and_tracking_goes_on() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let noisy = TcpListener::bind("127.0.0.1:0").unwrap();
    let noisy_at = noisy.local_addr().unwrap();
    thread::spawn(move || {
        for stream in noisy.incoming() {
            let Ok(mut socket) = tungstenite::accept(stream.unwrap()) else { continue };
            let _ = socket.send(Message::text("\u{1f431}"));
            let _ = socket.read();
        }
    });
    for address in [nobody, silent.local_addr().unwrap(), noisy_at] {
        let folder = tempfile::tempdir().unwrap();
        let (said, lines) = finish(start(folder.path(), 150, &format!("ws://{address}")), folder.path());
        assert_eq!(lines.len(), 150, "{said:#?}");
        assert!(said.iter().filter(|line| line.contains("isn't there")).count() == 1 && said.len() <= 2, "{said:#?}");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_refused_by_name_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["wss://127.0.0.1:8001", "ws://nowhere.invalid:8001", "ws://127.0.0.1:face"] {
        let output = start(folder.path(), 1, address).wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("--vts {address}: ")) && said.lines().count() == 1, "{said}");
        assert!(!folder.path().join("faces.jsonl").exists());
    }
}
