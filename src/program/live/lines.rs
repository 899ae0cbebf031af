//! Lines of text to a file or to standard output, each written at once and as a whole, so that another program can read
//! along, also through a named pipe. Fails if they can't be written, naming the file.

use anyhow::{Context, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The output of lines.
pub(super) struct Lines {
    out: Box<dyn Write + Send>,
    name: String,
    line: String,
}

impl Lines {
    /// Lines to the file `path`, or to standard output if it is `-`.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let (out, name): (Box<dyn Write + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdout()), "standard output".to_owned())
        } else {
            let file = File::create(path)
                .with_context(|| format!("cannot write {}: is its folder there and writable?", path.display()))?;
            (Box::new(file), path.display().to_string())
        };
        Ok(Self { out, name, line: String::new() })
    }

    /// Writes what `format` makes; one or several lines.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&mut self, format: impl FnOnce(&mut String) -> fmt::Result) -> Result<()> {
        self.line.clear();
        format(&mut self.line).expect("text can be written to memory");
        self.out
            .write_all(self.line.as_bytes())
            .and_then(|()| self.out.flush())
            .with_context(|| format!("cannot write to {}", self.name))
    }
}
