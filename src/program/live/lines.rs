//! Lines of text to a file or to standard output, each written at once and as a whole, so that another program can read
//! along, also through a named pipe, whose reader is waited for. Fails if they can't be written, naming the file.

use crate::program::console::{PrintError, say};
use anyhow::{Context, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often to check, without a reader, whether one is still wanted.
const WAIT_INTERVAL: Duration = Duration::from_millis(50);
/// A reader that has not come after this time may have to be started: a message says so.
const READER_PATIENCE: Duration = Duration::from_millis(500);

/// The session was ended before another program read a named pipe.
#[derive(Debug, thiserror::Error)]
#[error("interrupted before another program read {0}")]
pub(crate) struct NoReader(PathBuf);

/// The output of lines.
pub(super) struct Lines {
    out: Box<dyn Write + Send>,
    /// `None` for standard output.
    file: Option<String>,
    line: String,
}

impl Lines {
    /// Lines to the file `path`, or to standard output if it is `-`. Waits for the reader of a named pipe for as long
    /// as `is_wanted` holds.
    ///
    /// # Errors
    /// If the file can't be written; [`NoReader`].
    pub(super) fn create(path: &Path, is_wanted: &dyn Fn() -> bool) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { out: Box::new(io::stdout()), file: None, line: String::new() });
        }
        let name = path.display().to_string();
        let opened = if is_pipe(path) { open_pipe(path, is_wanted)? } else { File::create(path) };
        let file = opened.with_context(|| format!("cannot write {name}: is its folder there and writable?"))?;
        Ok(Self { out: Box::new(file), file: Some(name), line: String::new() })
    }

    /// Writes what `format` makes; one or several lines.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&mut self, format: impl FnOnce(&mut String) -> fmt::Result) -> Result<()> {
        self.line.clear();
        format(&mut self.line).expect("text can be written to memory");
        let written = self.out.write_all(self.line.as_bytes()).and_then(|()| self.out.flush());
        match &self.file {
            None => Ok(written.map_err(PrintError::from)?),
            Some(name) => written.with_context(|| format!("cannot write to {name}")),
        }
    }
}

/// Whether it is a named pipe, which can be opened only while another program reads it.
fn is_pipe(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        std::fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Opens a named pipe in a thread of its own: the system does not let go of a thread that waits for a reader.
fn open_pipe(path: &Path, is_wanted: &dyn Fn() -> bool) -> Result<io::Result<File>> {
    let (to, opened) = mpsc::channel();
    let theirs = path.to_owned();
    // Nobody is there to take the file if it is not wanted any more.
    let open = move || drop(to.send(File::options().write(true).open(theirs)));
    thread::Builder::new().name("pipe".into()).spawn(open).context("cannot start a thread")?;
    let mut waited = Duration::ZERO;
    loop {
        match opened.recv_timeout(WAIT_INTERVAL) {
            Ok(file) => return Ok(file),
            Err(RecvTimeoutError::Timeout) if is_wanted() => {}
            Err(_) => return Err(NoReader(path.to_owned()).into()),
        }
        waited += WAIT_INTERVAL;
        if waited == READER_PATIENCE {
            say(&format!("waiting for a program that reads {}", path.display()));
        }
    }
}
