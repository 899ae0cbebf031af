//! Emulated cameras, and the program that reads them.
//!
//! A [`Rig`] is a folder that the preloaded `emulator.c` presents as `/dev`; an [`Awing`] is the real program running
//! with it.

use awing::Frame;
use awing::internals::Scene;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A program that takes longer than this is stuck.
const DEADLINE: Duration = Duration::from_secs(60);
const FRAMES: usize = 30;
pub const SIZE: (usize, usize) = (640, 480);
/// A camera that supports every format.
pub const MODES: &str = "mode YUYV 640 480 1 30\nmode NV12 640 480 1 30\nmode MJPG 640 480 1 30\n";

/// Shared by all rigs of this process.
struct Shared {
    folder: TempDir,
}

fn shared() -> &'static Path {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/camera/emulator.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o"])
            .arg(folder.path().join("emulator.so"))
            .arg(&source)
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("a C compiler builds the emulator, as it links Rust");
        assert!(compiled.success(), "{} does not compile", source.display());
        fs::create_dir(folder.path().join("demo")).unwrap();
        write_frames(&folder.path().join("demo"), &demo().map(|(frame, _)| frame).collect::<Vec<_>>());
        let real = real_frames();
        if !real.is_empty() {
            fs::create_dir(folder.path().join("real")).unwrap();
            write_frames(&folder.path().join("real"), &real);
        }
        Shared { folder }
    };
    SHARED.get_or_init(make).folder.path()
}

/// The frames that cameras show, and their landmarks.
pub fn demo() -> impl Iterator<Item = (Frame, Vec<(f32, f32)>)> {
    let scene = Scene::demo(1, 1);
    (0..FRAMES).map(move |i| {
        let mut frame = Frame::filled(SIZE.0, SIZE.1, [0; 3]);
        let faces = scene.draw(i as f64 / 30.0, &mut frame);
        (frame, faces[0].iter().map(|p| (p.x, p.y)).collect())
    })
}

/// Frames of the video that `AWING_TEST_VIDEO` names, if ffmpeg is installed to read it.
fn real_frames() -> Vec<Frame> {
    let Some(video) = std::env::var_os("AWING_TEST_VIDEO") else { return Vec::new() };
    let (width, height) = SIZE;
    let fitted = format!("scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}");
    let read = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(video)
        .args(["-vf", &fitted, "-frames:v", &FRAMES.to_string(), "-pix_fmt", "rgb24", "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .output();
    let bytes = read.map_or_else(|_| Vec::new(), |output| output.stdout);
    let frames = bytes.chunks_exact(width * height * 3);
    frames.map(|rgb| Frame::from_rgb(width, height, rgb.to_vec()).unwrap()).collect()
}

fn write_frames(folder: &Path, frames: &[Frame]) {
    let write = |name: &str, encode: &dyn Fn(&Frame) -> Vec<u8>| {
        let mut file = fs::File::create(folder.join(name)).unwrap();
        for frame in frames {
            let bytes = encode(frame);
            file.write_all(&(bytes.len() as u32).to_le_bytes()).unwrap();
            file.write_all(&bytes).unwrap();
        }
    };
    write("YUYV-640x480", &yuyv);
    write("NV12-640x480", &nv12);
    write("MJPG-640x480", &|frame| jpeg(frame, SIZE));
    write("MJPG-640x480-other", &|frame| jpeg(frame, (320, 240)));
}

/// BT.601 in limited range, by its textbook formula.
fn yuv(rgb: &[u8]) -> [u8; 3] {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(f32::from);
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    let chroma = |difference: f32, scale: f32| (128.5 + 112.0 * difference / (255.0 * scale)) as u8;
    [(16.5 + y * 219.0 / 255.0) as u8, chroma(b - y, 0.886), chroma(r - y, 0.701)]
}

/// Pairs of pixels with the colour of the first.
pub fn yuyv(frame: &Frame) -> Vec<u8> {
    let pairs = frame.rgb().chunks_exact(6);
    pairs
        .flat_map(|pair| {
            let ([y0, u, v], [y1, ..]) = (yuv(&pair[..3]), yuv(&pair[3..]));
            [y0, u, y1, v]
        })
        .collect()
}

fn nv12(frame: &Frame) -> Vec<u8> {
    let mut bytes: Vec<u8> = frame.rgb().chunks_exact(3).map(|pixel| yuv(pixel)[0]).collect();
    for row in frame.rgb().chunks_exact(frame.width() * 3).step_by(2) {
        bytes.extend(row.chunks_exact(6).flat_map(|pair| {
            let [_, u, v] = yuv(&pair[..3]);
            [u, v]
        }));
    }
    bytes
}

/// The upper left part of the frame as JPEG.
fn jpeg(frame: &Frame, (width, height): (usize, usize)) -> Vec<u8> {
    let rows = frame.rgb().chunks_exact(frame.width() * 3).take(height);
    let rgb: Vec<u8> = rows.flat_map(|row| &row[..width * 3]).copied().collect();
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85)
        .encode(&rgb, width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// A folder with emulated cameras.
pub struct Rig {
    folder: TempDir,
}

impl Rig {
    /// A rig without cameras; those added later show the demo.
    pub fn new() -> Self {
        Self::showing("demo")
    }

    /// A rig whose cameras show a real video, if there is one.
    pub fn of_real_video() -> Self {
        Self::showing(if shared().join("real").exists() { "real" } else { "demo" })
    }

    fn showing(frames: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dev")).unwrap();
        symlink(shared().join(frames), folder.path().join("frames")).unwrap();
        Self { folder }
    }

    /// A rig with one camera that supports every format, plus `settings`.
    pub fn with_camera(settings: &str) -> Self {
        let rig = Self::new();
        rig.add(0, &format!("{MODES}{settings}"));
        rig
    }

    /// A file in the folder in which the program runs.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn node(&self, number: u32) -> PathBuf {
        self.path(&format!("dev/video{number}"))
    }

    /// Connects a camera.
    pub fn add(&self, number: u32, settings: &str) {
        self.set(number, settings);
        fs::write(self.node(number), "").unwrap();
    }

    /// Replaces a camera's settings atomically.
    pub fn set(&self, number: u32, settings: &str) {
        let path = self.folder.path().join(format!("video{number}"));
        let beside = path.with_extension("new");
        fs::write(&beside, settings).unwrap();
        fs::rename(beside, path).unwrap();
    }

    /// Installs a program that takes precedence over others of its name.
    pub fn add_program(&self, name: &str, script: &str) {
        let path = self.path("programs").join(name);
        fs::create_dir_all(self.path("programs")).unwrap();
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn unplug(&self, number: u32) {
        fs::rename(self.node(number), self.away(number)).unwrap();
    }

    pub fn plug_in(&self, number: u32) {
        self.plug_in_as(number, number);
    }

    /// Reconnects a camera under another number.
    pub fn plug_in_as(&self, before: u32, number: u32) {
        fs::rename(self.away(before), self.node(number)).unwrap();
    }

    fn away(&self, number: u32) -> PathBuf {
        self.path(&format!("away{number}"))
    }

    /// Runs the program with these cameras.
    pub fn awing(&self, arguments: &str) -> Awing {
        self.awing_logging("warn,tiny_skia=error", arguments)
    }

    /// A command that sees these cameras and no display, in its own folder.
    pub fn command(&self, program: &Path) -> Command {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::iter::once(self.path("programs")).chain(std::env::split_paths(&usual));
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("LD_PRELOAD", shared().join("emulator.so"))
            .env("EMULATED_CAMERAS", self.folder.path())
            .env("PATH", std::env::join_paths(programs).unwrap())
            // Nobody's own choice of a model.
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null());
        command
    }

    pub fn awing_logging(&self, log: &str, arguments: &str) -> Awing {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_awing")));
        command.env("AWING_LOG", log).args(arguments.split_whitespace());
        Self::run(command)
    }

    /// Runs the program in a window on this display.
    #[cfg(feature = "window")]
    pub fn awing_in_window(&self, display: &str, arguments: &str) -> Awing {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_awing")));
        command.env("DISPLAY", display).env("AWING_LOG", "info").args(arguments.split_whitespace());
        Self::run(command)
    }

    fn run(mut command: Command) -> Awing {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Awing { child, out: Lines::read(out), err: Lines::read(err) }
    }
}

/// The lines that a program has written so far.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Lines {
    fn read(from: impl std::io::Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let theirs = lines.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                theirs.lock().unwrap().push(line);
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// The running program; killed when dropped.
pub struct Awing {
    child: Child,
    out: Lines,
    err: Lines,
}

impl Awing {
    /// What it wrote to standard error.
    pub fn said(&self) -> String {
        self.err.so_far().join("\n")
    }

    pub fn written(&self) -> Vec<String> {
        self.out.so_far()
    }

    /// Its lines of JSON so far.
    pub fn frames(&self) -> Vec<Value> {
        self.out.so_far().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn frame_count(&self) -> usize {
        self.out.lines.lock().unwrap().len()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the condition holds.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < DEADLINE, "timed out waiting for {what}; the program said:\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn wait_until_said(&self, text: &str) {
        self.wait_until(text, |awing| awing.said().contains(text));
    }

    /// Waits for `count` more frames.
    pub fn wait_for_frames(&self, count: usize) {
        let wanted = self.frame_count() + count;
        self.wait_until("frames", |awing| awing.frame_count() >= wanted);
    }

    /// Waits for the program to end; it is expected to end soon.
    pub fn end(&mut self) -> ExitStatus {
        self.end_within(DEADLINE)
    }

    /// Waits for the program to end.
    pub fn end_within(&mut self, deadline: Duration) -> ExitStatus {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < deadline, "the program does not end; it said:\n{}", self.said());
            thread::sleep(Duration::from_millis(2));
        };
        for lines in [&mut self.out, &mut self.err] {
            lines.reader.take().map(|reader| reader.join());
        }
        let said = self.said();
        assert!(!said.contains("panicked"), "{said}");
        status
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// Presses Ctrl-C and returns how long ending took.
    pub fn interrupt(&mut self) -> Duration {
        let start = Instant::now();
        self.signal("INT");
        self.end_in_order(start)
    }

    /// Ends the program by `ending` and returns how long that took.
    #[cfg(feature = "window")]
    pub fn end_by(&mut self, ending: impl FnOnce()) -> Duration {
        let start = Instant::now();
        ending();
        self.end_in_order(start)
    }

    fn end_in_order(&mut self, start: Instant) -> Duration {
        assert!(self.end().success(), "{}", self.said());
        start.elapsed()
    }

    /// The number of its threads and open files, and its memory in kilobytes.
    pub fn resources(&self) -> (usize, usize, u64) {
        let process = PathBuf::from(format!("/proc/{}", self.id()));
        let count = |folder: &str| fs::read_dir(process.join(folder)).unwrap().count();
        let status = fs::read_to_string(process.join("status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        (count("task"), count("fd"), memory.trim().trim_end_matches("kB").trim().parse().unwrap())
    }
}

impl Drop for Awing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
