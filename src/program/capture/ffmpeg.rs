//! The program `ffmpeg`, which reads and writes videos for us.
//!
//! Finds, starts, holds and ends it, and translates its error messages into plain words.

use std::env::{self, consts::EXE_SUFFIX};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often to check whether a process has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The number of error lines to keep: the first ones and the last.
const MOST_LINES: usize = 40;

/// Whether it is installed.
pub(super) fn is_there() -> bool {
    let name = format!("ffmpeg{EXE_SUFFIX}");
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(&name).is_file())
}

/// The option for the time stamps of frames, and its name in versions before 5.1.
pub(super) const FRAME_TIMES: &str = "-fps_mode";
pub(super) const OLD_FRAME_TIMES: &str = "-vsync";

/// A path in a form that ffmpeg takes for a file, whatever its name: not for an address, an option or a device.
pub(super) fn file(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

/// Keeps Ctrl-C from the process that `command` will start: awing itself ends the video in order.
pub(super) fn shield_from_ctrl_c(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
    }
    #[cfg(not(any(unix, windows)))]
    let _ = command;
}

/// Holds a decoding process, so that other threads than its reader can end it.
#[derive(Clone, Default)]
pub(super) struct Leash(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    process: Option<Child>,
    /// Whether it was ended because it took too long.
    is_too_slow: bool,
    /// Whether no further process may be started.
    is_cut: bool,
}

/// All that hold a process, for the end of the program.
static LEASHES: Mutex<Vec<Weak<Mutex<Held>>>> = Mutex::new(Vec::new());

/// Ends all processes that decode; no further one starts.
pub(crate) fn end_decoders() {
    let leashes = std::mem::take(&mut *LEASHES.lock().unwrap_or_else(PoisonError::into_inner));
    leashes.iter().filter_map(Weak::upgrade).for_each(|held| Leash(held).cut());
}

impl Leash {
    pub(super) fn new() -> Self {
        let leash = Self::default();
        LEASHES.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&leash.0));
        leash
    }

    /// Starts a process and hands it to `set_up`, which takes its pipes.
    pub(super) fn start<T>(&self, command: &mut Command, set_up: impl FnOnce(&mut Child) -> T) -> io::Result<T> {
        let mut held = self.held();
        if held.is_cut {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut process = command.spawn()?;
        let pipes = set_up(&mut process);
        held.process = Some(process);
        held.is_too_slow = false;
        Ok(pipes)
    }

    /// Waits for the end of the process; `None` if there is none.
    pub(super) fn wait(&self) -> Option<ExitStatus> {
        loop {
            let mut held = self.held();
            let ended = held.process.as_mut()?.try_wait();
            if let Ok(None) = ended {
                drop(held);
                thread::sleep(POLL_INTERVAL);
                continue;
            }
            held.process = None;
            return ended.ok().flatten();
        }
    }

    /// Ends the process.
    pub(super) fn end_process(&self) {
        if let Some(process) = &mut self.held().process {
            let _ = process.kill();
        }
    }

    /// Ends the process because it is silent.
    pub(super) fn give_up_process(&self) {
        self.held().is_too_slow = true;
        self.end_process();
    }

    /// Whether the last process was given up.
    pub(super) fn has_given_up(&self) -> bool {
        self.held().is_too_slow
    }

    /// Ends the process; no further one starts.
    pub(super) fn cut(&self) {
        let mut held = self.held();
        held.is_cut = true;
        if let Some(mut process) = held.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error messages of a process, read in a thread so that a full pipe never blocks it.
pub(super) struct Complaints(Option<JoinHandle<Complaint>>);

/// The standard error of a process: the first lines and the last.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Complaint(Vec<String>);

impl Complaints {
    /// Those of a process whose standard error is piped.
    pub(super) fn of(process: &mut Child) -> Self {
        let Some(errors) = process.stderr.take() else { return Self(None) };
        let read = move || {
            let lines = BufReader::new(errors).split(b'\n').map_while(Result::ok);
            let texts = lines.map(|line| String::from_utf8_lossy(&line).trim().to_owned());
            let mut kept = Vec::new();
            for text in texts.filter(|text| !text.is_empty()) {
                kept.truncate(MOST_LINES - 1);
                kept.push(text);
            }
            Complaint(kept)
        };
        Self(thread::Builder::new().name("ffmpeg".into()).spawn(read).ok())
    }

    /// All, once the process has ended.
    pub(super) fn all(&mut self) -> Complaint {
        self.0.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

/// The meanings of ffmpeg's messages about what it reads, the more specific first.
const MEANINGS: [(&str, &str); 16] = [
    ("matches no streams", "it has no picture stream: it may be a sound recording"),
    ("moov atom not found", "it is no video, or its end is missing: the recording, or a copy of it, was cut off"),
    ("partial file", "it ends too early: the recording, or a copy of it, was cut off"),
    ("ended prematurely", "it ends too early: the recording, or a copy of it, was cut off"),
    ("No such file or directory", "there is no such file"),
    ("Permission denied", "you may not read it"),
    ("Connection refused", "nothing answers at this address"),
    ("No route to host", "there is no route to this address"),
    ("Failed to resolve hostname", "there is no computer with this name"),
    ("timed out", "it did not answer in time"),
    ("401 Unauthorized", "it needs a name and a password: rtsp://NAME:PASSWORD@..."),
    ("403 Forbidden", "access is refused"),
    ("404 Not Found", "there is nothing at this address"),
    ("not on whitelist", "it refers to other addresses, which awing does not follow from a file"),
    ("Unknown decoder", "this ffmpeg cannot decode it"),
    ("Invalid data found when processing input", "it is not a video, or it is damaged"),
];
/// The meanings of its messages about what it writes.
const MEANINGS_IN_WRITING: [(&str, &str); 6] = [
    ("No such file or directory", "its folder is not there"),
    ("Permission denied", "you may not write there"),
    ("Read-only file system", "nothing can be written there"),
    ("No space left on device", "the disk is full"),
    ("File too large", "the disk takes no file of this size"),
    ("Unknown encoder", "this ffmpeg cannot encode it"),
];
/// Messages after which frames are missing at the end, although ffmpeg reports success.
const CUT_SHORT: [&str; 4] = ["partial file", "ended prematurely", "Error during demuxing", "Input/output error"];

impl Complaint {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is about this option.
    pub(super) fn mentions(&self, option: &str) -> bool {
        self.0.iter().any(|line| line.contains(option.trim_start_matches('-')))
    }

    /// Whether the input ended before its time.
    pub(super) fn is_of_cut_input(&self) -> bool {
        self.0.iter().any(|line| CUT_SHORT.iter().any(|message| line.contains(message)))
    }

    /// The meaning for an input, in plain words; an unknown message is quoted.
    pub(super) fn in_words(&self) -> String {
        self.meaning(&MEANINGS)
    }

    /// The same for an output.
    pub(super) fn of_writing_in_words(&self) -> String {
        self.meaning(&MEANINGS_IN_WRITING)
    }

    fn meaning(&self, meanings: &[(&str, &str)]) -> String {
        let known = meanings.iter().find(|(message, _)| self.0.iter().any(|line| line.contains(message)));
        match (known, self.0.last()) {
            (Some((_, meaning)), _) => (*meaning).into(),
            (None, Some(last)) => format!("ffmpeg says: {last}"),
            (None, None) => "ffmpeg gave no reason".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_said_in_words() {
        let said = |lines: &[&str]| Complaint(lines.iter().map(ToString::to_string).collect());
        let audio = said(&["Stream map '0:v:0' matches no streams.", "To ignore this, add a trailing '?' to the map."]);
        assert!(audio.in_words().contains("no picture stream") && !audio.is_of_cut_input());
        let cut = said(&["[mov @ 0x1] stream 0, offset 0x2: partial file", "Invalid data found when processing input"]);
        assert!(cut.in_words().contains("cut off") && cut.is_of_cut_input());
        let denied = said(&["[out#0/mp4 @ 0x1] Error opening output file:x.mp4: Permission denied"]);
        assert_eq!(
            (denied.in_words().as_str(), denied.of_writing_in_words().as_str()),
            ("you may not read it", "you may not write there")
        );
        assert_eq!(said(&["something new"]).in_words(), "ffmpeg says: something new");
    }

    #[cfg(unix)]
    #[test]
    fn a_process_with_many_messages_is_read_to_the_last() {
        let mut command = Command::new("sh");
        let script =
            "i=0; while [ $i -lt 4000 ]; do echo \"frame $i is damaged, which is a pity\"; i=$((i+1)); done >&2";
        let mut process = command.args(["-c", script]).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut complaints = Complaints::of(&mut process);
        assert!(process.wait().unwrap().success());
        let Complaint(lines) = complaints.all();
        assert_eq!(lines.len(), MOST_LINES);
        assert!(lines[0].starts_with("frame 0 ") && lines[MOST_LINES - 1].starts_with("frame 3999 "), "{lines:?}");
        assert!(complaints.all().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_leash_ends_its_process_and_lets_no_other_start() {
        let leash = Leash::new();
        leash.start(Command::new("sleep").arg("600"), |_| ()).unwrap();
        leash.end_process();
        assert!(!leash.wait().unwrap().success());
        leash.cut();
        assert!(leash.start(Command::new("sleep").arg("600"), |_| ()).is_err());
        assert!(leash.wait().is_none());
    }
}
