//! Lines of text to a file or to standard output, each written at once and as a whole, so that another program can read
//! along, also through a named pipe. Fails if they can't be written, naming the file.

use crate::program::console::PrintError;
use anyhow::{Context, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The output of lines.
pub(super) struct Lines {
    out: Box<dyn Write + Send>,
    /// `None` for standard output.
    file: Option<String>,
    line: String,
}

impl Lines {
    /// Lines to the file `path`, or to standard output if it is `-`.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { out: Box::new(io::stdout()), file: None, line: String::new() });
        }
        let name = path.display().to_string();
        let file =
            File::create(path).with_context(|| format!("cannot write {name}: is its folder there and writable?"))?;
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
