//! What `--osf`, `--vmc` and `--ifacialmocap` send, decoded by the published layouts and compared with the line of JSON
//! of the same frame, and what happens where nobody listens.

use serde_json::Value;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// A receiver, and its address.
fn receiver() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

/// What has arrived.
fn packets(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut packet = [0; 65536];
    std::iter::from_fn(|| socket.recv(&mut packet).ok().map(|size| packet[..size].to_vec())).collect()
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.args(["track", "--input", "demo", "--headless", "--model", "bundled"]).args(arguments).output().unwrap()
}

/// The lines of JSON of a run that succeeds, and what it says beside.
fn track(arguments: &[&str]) -> (Vec<Value>, String) {
    let output = run(&[arguments, &["--json", "-"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), said)
}

#[track_caller]
fn close(seen: f64, wanted: f64, tolerance: f64) {
    assert!((seen - wanted).abs() <= tolerance, "{seen} for {wanted}");
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    std::array::from_fn(|i| number(&value[i]))
}

type Matrix = [[f64; 3]; 3];

fn product(a: Matrix, b: Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

fn times(a: Matrix, v: [f64; 3]) -> [f64; 3] {
    a.map(|row| (0..3).map(|k| row[k] * v[k]).sum())
}

/// A rotation as AFLW2000 writes it: in a frame with x to the right in the picture, y up, z towards the viewer.
fn rotation(signals: &Value) -> Matrix {
    let [pitch, yaw, roll] = ["pitch_deg", "yaw_deg", "roll_deg"].map(|angle| number(&signals[angle]).to_radians());
    let ((sp, cp), (sy, cy), (sr, cr)) = (pitch.sin_cos(), yaw.sin_cos(), roll.sin_cos());
    let x = [[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]];
    let y = [[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]];
    let z = [[cr, sr, 0.0], [-sr, cr, 0.0], [0.0, 0.0, 1.0]];
    product(product(x, y), z)
}

fn of_quaternion([x, y, z, w]: [f64; 4]) -> Matrix {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

/// Reads little-endian values one after the other.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *bytes
    }

    fn floats<const N: usize>(&mut self) -> [f64; N] {
        std::array::from_fn(|_| f32::from_le_bytes(self.bytes()).into())
    }

    fn points<const N: usize, const AXES: usize>(&mut self) -> [[f64; AXES]; N] {
        std::array::from_fn(|_| self.floats())
    }
}

/// A face as a receiver of OpenSeeFace reads it.
struct OsfFace {
    unix_s: f64,
    number: i32,
    size: [f64; 2],
    eyes: [f64; 2],
    success: u8,
    error: f64,
    quaternion: [f64; 4],
    euler_deg: [f64; 3],
    translation: [f64; 3],
    confidences: [f64; 68],
    points: [[f64; 2]; 68],
    points_3d: [[f64; 3]; 70],
    features: [f64; 14],
}

fn osf_face(record: &[u8]) -> OsfFace {
    let mut record = Record(record);
    let face = OsfFace {
        unix_s: f64::from_le_bytes(record.bytes()),
        number: i32::from_le_bytes(record.bytes()),
        size: record.floats(),
        eyes: record.floats(),
        success: record.bytes::<1>()[0],
        error: record.floats::<1>()[0],
        quaternion: record.floats(),
        euler_deg: record.floats(),
        translation: record.floats(),
        confidences: record.floats(),
        points: record.points(),
        points_3d: record.points(),
        features: record.floats(),
    };
    assert!(record.0.is_empty());
    face
}

/// The landmarks of some of OpenSeeFace's points: jaw, brows, nose, lids, lips, pupils.
const LANDMARKS: [(usize, usize); 18] = [
    (0, 0),
    (8, 16),
    (16, 32),
    (17, 33),
    (26, 46),
    (27, 51),
    (30, 54),
    (36, 60),
    (38, 63),
    (41, 67),
    (45, 72),
    (46, 73),
    (50, 79),
    (55, 85),
    (58, 76),
    (62, 82),
    (66, 96),
    (67, 97),
];

fn matches(face: &OsfFace, json: &Value) -> bool {
    LANDMARKS.iter().all(|&(point, landmark)| {
        let wanted: [f64; 2] = numbers(&json["landmarks"][landmark]);
        (0..2).all(|axis| (face.points[point][axis] - wanted[axis]).abs() < 0.0051)
    })
}

#[test]
fn openseeface_packets_say_what_lines_of_json_say() {
    let (socket, address) = receiver();
    let (lines, said) = track(&["--frames", "40", "--faces", "2", "--osf", &address]);
    assert!(!said.contains("--osf"), "{said}");
    let packets = packets(&socket);
    let last_faces = lines.last().unwrap()["faces"].as_array().unwrap();
    let last = packets.last().unwrap();
    assert_eq!(last.len(), 1785 * last_faces.len(), "all faces of the last frame in one packet");
    let (mut before_s, mut compared) = (0.0_f64, 0);
    for packet in &packets {
        assert!(!packet.is_empty() && packet.len() % 1785 == 0, "{}", packet.len());
        let faces: Vec<OsfFace> = packet.chunks(1785).map(osf_face).collect();
        let of_frame = |line: &&Value| {
            let json = line["faces"].as_array().unwrap();
            json.len() == faces.len() && faces.iter().zip(json).all(|(face, json)| matches(face, json))
        };
        let line = lines.iter().find(of_frame).expect("every packet is of a tracked frame");
        assert!(faces[0].unix_s > before_s.max(1.7e9), "{} after {before_s}", faces[0].unix_s);
        before_s = faces[0].unix_s;
        for (place, face) in faces.iter().enumerate() {
            assert_eq!(usize::try_from(face.number).unwrap(), place);
            assert_eq!(face.size, [number(&line["width"]), number(&line["height"])]);
            compare_with_json(face, &line["faces"][place], face.size);
            compared += 1;
        }
    }
    println!("{} packets for {} frames, {compared} faces", packets.len(), lines.len());
    assert!(compared > 0);
}

fn compare_with_json(face: &OsfFace, json: &Value, size: [f64; 2]) {
    let signals = &json["signals"];
    assert_eq!(face.success, 1);
    assert!((0.1..100.0).contains(&face.error), "{}", face.error);
    for (seen, name) in face.eyes.into_iter().zip(["eye_open_right", "eye_open_left"]) {
        close(seen, number(&signals[name]).min(1.0), 0.001);
    }
    // Rows and columns of the picture are swapped, and x of the face runs to the left.
    let q = rotation(signals);
    let swapped = [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]];
    let m = product(product(swapped, q), [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
    let euler = [m[2][1].atan2(m[2][2]), (-m[2][0]).asin(), m[1][0].atan2(m[0][0])];
    for (seen, wanted) in face.euler_deg.into_iter().zip(euler.map(f64::to_degrees)) {
        close((seen - wanted + 540.0).rem_euclid(360.0), 180.0, 0.03);
    }
    let [x, y, z, w] = face.quaternion;
    for (seen, wanted) in of_quaternion([x, y, z, -w]).as_flattened().iter().zip(m.as_flattened()) {
        close(*seen, *wanted, 0.001);
    }
    let translation_cm: [f64; 3] = numbers(&signals["translation_cm"]);
    let [right, up, away] = translation_cm;
    for (seen, wanted) in face.translation.into_iter().zip([up, -right, -away]) {
        close(14.07 * seen, wanted, 0.006);
    }
    for (point, landmark) in LANDMARKS {
        close(face.confidences[point], number(&json["confidence"][landmark]), 0.00051);
    }
    let shape = |name: &str| number(&signals["shapes"][name]);
    for (feature, wanted) in [
        (3, 0.5 * (shape("browInnerUp") + shape("browOuterUpLeft")) - shape("browDownLeft")),
        (8, shape("mouthFrownLeft") - shape("mouthSmileLeft")),
        (10, shape("mouthFrownRight") - shape("mouthSmileRight")),
        (12, number(&signals["mouth_open"])),
        (13, number(&signals["mouth_wide"])),
    ] {
        close(face.features[feature], wanted.clamp(-1.0, 1.0), 0.002);
    }
    // The face in three dimensions, turned and moved by the pose of the JSON, lies on the landmarks but for a common
    // shift: where the tip of the nose lies in the head is the person's own.
    let focal_px = 0.5 * size[0] / 32.0_f64.to_radians().tan();
    let shifts: Vec<[f64; 2]> = (0..66)
        .map(|i| {
            let [left, down, far] = face.points_3d[i].map(|length| 14.07 * length);
            let [x, y, z] = times(q, [-left, -0.846 - down, 7.541 - far]);
            let (x, y, z) = (x + right, y + up, away - z);
            let seen = [size[0] / 2.0 + focal_px * x / z, size[1] / 2.0 - focal_px * y / z];
            std::array::from_fn(|axis| face.points[i][axis] - seen[axis])
        })
        .collect();
    let mean: [f64; 2] = std::array::from_fn(|axis| shifts.iter().map(|shift| shift[axis]).sum::<f64>() / 66.0);
    for shift in &shifts {
        (0..2).for_each(|axis| close(shift[axis], mean[axis], 0.7));
    }
    (0..2).for_each(|axis| close(mean[axis], 0.0, 4.0));
    assert_eq!(face.points_3d[30], [0.0; 3], "the tip of the nose is the origin");
    // Receivers take the gaze from an eyeball's centre to its pupil; the gaze of the JSON is a mean of both eyes.
    let gazes = [(66, 68), (67, 69)].map(|(pupil, centre)| {
        let d: [f64; 3] = std::array::from_fn(|axis| face.points_3d[pupil][axis] - face.points_3d[centre][axis]);
        [d[0].atan2(-d[2]).to_degrees(), -d[1].atan2(d[0].hypot(d[2])).to_degrees()]
    });
    for (i, name) in ["gaze_yaw_deg", "gaze_pitch_deg"].into_iter().enumerate() {
        let (low, high) = (gazes[0][i].min(gazes[1][i]), gazes[0][i].max(gazes[1][i]));
        let wanted = number(&signals[name]);
        assert!((low - 0.01..=high + 0.01).contains(&wanted), "{name} {wanted} of {low}..{high}");
    }
}

/// An argument of a message of OSC.
#[derive(Clone, Debug, PartialEq)]
enum Argument {
    Int(i32),
    Float(f64),
    Text(String),
}

type Message = (String, Vec<Argument>);

/// A text of OSC, which fills words of four bytes, and what follows it.
fn osc_text(bytes: &[u8]) -> (String, &[u8]) {
    let length = bytes.iter().position(|&byte| byte == 0).unwrap();
    let (text, rest) = bytes.split_at(length.next_multiple_of(4) + if length % 4 == 0 { 4 } else { 0 });
    assert!(text[length..].iter().all(|&byte| byte == 0));
    (String::from_utf8(text[..length].to_vec()).unwrap(), rest)
}

/// The messages of a bundle.
fn osc_messages(packet: &[u8]) -> Vec<Message> {
    let mut rest = packet.strip_prefix(b"#bundle\0\0\0\0\0\0\0\0\x01").expect("a bundle for at once");
    let mut messages = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        let (address, message) = osc_text(message);
        let (types, mut message) = osc_text(message);
        let arguments = types.strip_prefix(',').unwrap().chars().map(|kind| {
            if kind == 's' {
                let (text, after) = osc_text(message);
                message = after;
                return Argument::Text(text);
            }
            let (word, after) = message.split_first_chunk().unwrap();
            message = after;
            match kind {
                'i' => Argument::Int(i32::from_be_bytes(*word)),
                'f' => Argument::Float(f32::from_be_bytes(*word).into()),
                other => panic!("receivers ignore arguments of type {other}"),
            }
        });
        messages.push((address, arguments.collect()));
        assert!(message.is_empty());
        rest = after;
    }
    messages
}

/// The numbers of a message.
fn floats(arguments: &[Argument]) -> Vec<f64> {
    let number = |argument: &Argument| match argument {
        Argument::Float(number) => *number,
        other => panic!("{other:?} is no float"),
    };
    arguments.iter().map(number).collect()
}

/// The messages of each frame, and how many packets they came in.
fn vmc_frames(packets: &[Vec<u8>]) -> Vec<(Vec<Message>, usize)> {
    let mut frames: Vec<(Vec<Message>, usize)> = Vec::new();
    for packet in packets {
        assert!(packet.len() <= 1472, "{}", packet.len());
        let messages = osc_messages(packet);
        match frames.last_mut() {
            Some((frame, packets)) if messages[0].0 != "/VMC/Ext/OK" => {
                frame.extend(messages);
                *packets += 1;
            }
            _ => frames.push((messages, 1)),
        }
    }
    frames
}

/// Compares the messages of a frame with a line of JSON, and returns the blend shapes.
fn compare_vmc(messages: &[Message], line: &Value) -> Vec<(String, f64)> {
    let addresses: Vec<&str> = messages.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(addresses[..2], ["/VMC/Ext/OK", "/VMC/Ext/T"]);
    assert_eq!(messages[0].1, [1, 3, 0].map(Argument::Int));
    let Some(face) = line["faces"].as_array().unwrap().iter().min_by_key(|face| face["id"].as_u64()) else {
        assert_eq!(addresses.len(), 2, "a frame without a face says nothing of one");
        return Vec::new();
    };
    assert_eq!(*addresses.last().unwrap(), "/VMC/Ext/Blend/Apply");
    let signals = &face["signals"];
    let named = |address: &str| -> Vec<(String, Vec<f64>)> {
        let messages = messages.iter().filter(|(other, _)| other == address);
        let named = messages.map(|(_, arguments)| match &arguments[0] {
            Argument::Text(name) => (name.clone(), floats(&arguments[1..])),
            other => panic!("{other:?} is no name"),
        });
        named.collect()
    };
    let bones = named("/VMC/Ext/Bone/Pos");
    let turn = |bone: &str| {
        let (_, numbers) = bones.iter().find(|(name, _)| name == bone).unwrap_or_else(|| panic!("no {bone}"));
        assert_eq!(numbers.len(), 7);
        of_quaternion(std::array::from_fn(|i| numbers[3 + i]))
    };
    // In Unity, x runs to the left in the picture and z to the viewer, so a turn is mirrored at x.
    let q = rotation(signals);
    let mirror = [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let wanted = product(product(mirror, q), mirror);
    for (seen, wanted) in product(turn("Neck"), turn("Head")).as_flattened().iter().zip(wanted.as_flattened()) {
        close(*seen, *wanted, 0.001);
    }
    for eye in ["LeftEye", "RightEye"] {
        let [x, y, z] = times(turn(eye), [0.0, 0.0, 1.0]);
        close(x.atan2(z).to_degrees(), number(&signals["gaze_yaw_deg"]), 0.02);
        close(y.asin().to_degrees(), number(&signals["gaze_pitch_deg"]), 0.02);
    }
    named("/VMC/Ext/Blend/Val").into_iter().map(|(name, value)| (name, value[0])).collect()
}

/// The line of JSON of a frame that VMC tells the time of.
fn line_at<'a>(messages: &[Message], lines: &'a [Value]) -> &'a Value {
    let time_s = floats(&messages[1].1)[0];
    lines.iter().find(|line| (number(&line["time_s"]) - time_s).abs() < 1e-4).expect("packets are of tracked frames")
}

#[test]
fn vmc_bundles_say_what_lines_of_json_say() {
    let (socket, address) = receiver();
    let (lines, said) = track(&["--frames", "40", "--faces", "2", "--vmc", &address]);
    assert!(!said.contains("--vmc"), "{said}");
    let frames = vmc_frames(&packets(&socket));
    println!("{} frames of {}", frames.len(), lines.len());
    assert_eq!(line_at(&frames.last().unwrap().0, &lines)["frame"], 39);
    for (messages, packets) in &frames {
        assert_eq!(*packets, 1);
        let line = line_at(messages, &lines);
        let values = compare_vmc(messages, line);
        let signals = &line["faces"][0]["signals"];
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Blink_L", "Blink_R", "A", "I", "U", "E", "O"]);
        close(values[0].1, (1.0 - number(&signals["eye_open_left"])).clamp(0.0, 1.0), 0.001);
        close(values[1].1, (1.0 - number(&signals["eye_open_right"])).clamp(0.0, 1.0), 0.001);
        for (name, value) in &values[2..] {
            close(*value, number(&signals["visemes"][name]), 0.001);
        }
    }
}

#[test]
fn vmc_sends_the_shapes_of_arkit_in_as_few_bundles_as_fit_if_asked_to() {
    let (socket, address) = receiver();
    let (lines, _) = track(&["--frames", "30", "--vmc", &address, "--vmc-shapes", "perfect-sync"]);
    for (messages, packets) in vmc_frames(&packets(&socket)) {
        let line = line_at(&messages, &lines);
        let values = compare_vmc(&messages, line);
        let Some(shapes) = line["faces"][0]["signals"]["shapes"].as_object() else { continue };
        assert_eq!(packets, 2);
        let known: Vec<(&String, &Value)> = shapes.iter().filter(|(_, value)| !value.is_null()).collect();
        assert_eq!(values.len(), known.len());
        for (name, value) in values {
            assert!(name.starts_with(|first: char| first.is_ascii_uppercase()), "{name}");
            let (_, wanted) = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)).unwrap();
            close(value, number(wanted), 0.001);
        }
    }
}

#[test]
fn ifacialmocap_texts_say_what_lines_of_json_say() {
    let (socket, address) = receiver();
    let (lines, said) = track(&["--frames", "40", "--faces", "2", "--ifacialmocap", &address]);
    assert!(!said.contains("--ifacialmocap"), "{said}");
    let packets = packets(&socket);
    println!("{} texts for {} frames", packets.len(), lines.len());
    assert!(!packets.is_empty());
    for packet in packets {
        assert!(packet.len() <= 1472, "{}", packet.len());
        let text = String::from_utf8(packet).unwrap();
        let (shapes, turns) = text.split_once("|=").unwrap();
        let shapes: Vec<(&str, u8)> = shapes
            .split('|')
            .map(|shape| shape.split_once('-').unwrap())
            .map(|(name, value)| (name, value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))))
            .collect();
        assert!(shapes.len() == 52 && shapes.iter().all(|(_, value)| *value <= 100), "{text}");
        let turns: Vec<(&str, Vec<f64>)> = turns
            .strip_suffix('|')
            .unwrap()
            .split('|')
            .map(|turn| turn.split_once('#').unwrap())
            .map(|(name, numbers)| (name, numbers.split(',').map(|number| number.parse().unwrap()).collect()))
            .collect();
        let names: Vec<&str> = turns.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["head", "rightEye", "leftEye"]);
        let [head, right_eye, left_eye] = [0, 1, 2].map(|i| &turns[i].1);
        let first = |line: &'static str| move |signals: &Value| number(&signals[line]);
        let (pitch, yaw, roll) = (first("pitch_deg"), first("yaw_deg"), first("roll_deg"));
        let of_frame = |signals: &&Value| {
            let wanted = [-pitch(signals), -yaw(signals), -roll(signals)];
            head.iter().zip(wanted).all(|(seen, wanted)| (seen - wanted).abs() < 0.0052)
        };
        let faces = lines.iter().filter_map(|line| line["faces"].as_array().unwrap().first());
        let mut signals = faces.map(|face| &face["signals"]);
        let signals =
            signals.find(of_frame).expect("every text is of a tracked frame, with the turns of the head negated");
        let [right, up, away] = numbers(&signals["translation_cm"]);
        for (seen, wanted) in head[3..].iter().zip([right, up, -away]) {
            close(100.0 * seen, wanted, 0.011);
        }
        for eye in [right_eye, left_eye] {
            close(eye[0], -number(&signals["gaze_pitch_deg"]), 0.0052);
            close(eye[1], -number(&signals["gaze_yaw_deg"]), 0.0052);
            assert_eq!(eye[2], 0.0);
        }
        let value = |name: &str| shapes.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name}")).1;
        for (name, shape) in [
            ("browInnerUp", "browInnerUp"),
            ("eyeBlink_L", "eyeBlinkLeft"),
            ("eyeBlink_R", "eyeBlinkRight"),
            ("eyeLookOut_L", "eyeLookOutLeft"),
            ("jawOpen", "jawOpen"),
            ("jawLeft", "jawLeft"),
            ("mouthRight", "mouthRight"),
            ("mouthSmile_L", "mouthSmileLeft"),
            ("mouthSmile_R", "mouthSmileRight"),
        ] {
            close(value(name).into(), 100.0 * number(&signals["shapes"][shape]), 0.56);
        }
        for name in ["cheekPuff", "jawForward", "mouthDimple_L", "noseSneer_R", "tongueOut"] {
            assert_eq!(value(name), 0, "landmarks don't carry {name}");
        }
    }
}

#[test]
fn receivers_that_do_not_read_and_ports_without_one_do_not_stop_tracking() {
    let (_never_read, deaf) = receiver();
    let (lines, said) = track(&["--frames", "300", "--osf", &deaf, "--vmc", &deaf, "--ifacialmocap", &deaf]);
    assert_eq!(lines.len(), 300, "{said}");
    let (socket, unused) = receiver();
    drop(socket);
    let (lines, said) = track(&["--frames", "60", "--osf", &unused, "--vmc", &unused, "--ifacialmocap", &unused]);
    assert_eq!(lines.len(), 60);
    for option in ["--osf", "--vmc", "--ifacialmocap"] {
        let warning = format!("{option} {unused}: a packet could not be sent");
        assert_eq!(said.matches(&warning).count(), usize::from(cfg!(target_os = "linux")), "{said}");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_refused_by_name_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    for option in ["--osf", "--vmc", "--ifacialmocap"] {
        let mut addresses = vec!["nowhere.invalid:1", "127.0.0.1:0", "127.0.0.1:face", ":1"];
        // Other systems refuse it only when a packet is sent.
        addresses.extend(cfg!(target_os = "linux").then_some("255.255.255.255:1"));
        for address in addresses {
            let output = run(&["--frames", "1", option, address, "--json", path.to_str().unwrap()]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{option} {address}: {said}");
            assert!(said.contains(&format!("{option} {address}: ")) && said.lines().count() == 1, "{said}");
            assert!(!Path::new(&path).exists());
        }
    }
}
