//! The program `ffmpeg`, which reads and writes videos for us.
//!
//! Whether it is installed, how it is started, and the last line that it wrote to standard error.

use std::env::{self, consts::EXE_SUFFIX};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::thread::{self, JoinHandle};

/// Whether it is installed.
pub(super) fn is_there() -> bool {
    let name = format!("ffmpeg{EXE_SUFFIX}");
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(&name).is_file())
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

/// The error messages of a process, read in a thread so that a full pipe never blocks it.
pub(super) struct Complaints(Option<JoinHandle<Option<String>>>);

impl Complaints {
    /// Those of a process whose standard error is piped.
    pub(super) fn of(process: &mut Child) -> Self {
        let Some(errors) = process.stderr.take() else { return Self(None) };
        let last = move || {
            let lines = BufReader::new(errors).split(b'\n').map_while(Result::ok);
            let texts = lines.map(|line| String::from_utf8_lossy(&line).trim().to_owned());
            texts.filter(|text| !text.is_empty()).last()
        };
        Self(thread::Builder::new().name("ffmpeg".into()).spawn(last).ok())
    }

    /// The last line, once the process has ended.
    pub(super) fn last(&mut self) -> Option<String> {
        self.0.take()?.join().ok().flatten()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn a_process_with_many_messages_is_read_to_the_last() {
        let mut command = Command::new("sh");
        let script =
            "i=0; while [ $i -lt 4000 ]; do echo \"frame $i is damaged, which is a pity\"; i=$((i+1)); done >&2";
        let mut process = command.args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap();
        let mut complaints = Complaints::of(&mut process);
        assert!(process.wait().unwrap().success());
        assert_eq!(complaints.last().unwrap(), "frame 3999 is damaged, which is a pity");
        assert_eq!(complaints.last(), None);
    }
}
