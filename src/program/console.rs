//! Messages to the terminal, and results on standard output.

use std::error::Error;
use std::io::{self, Write};

/// Writes a line to standard error; ignores a closed standard error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Standard output can't be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct PrintError(#[from] io::Error);

impl PrintError {
    /// Whether its reader has closed it, because it has what it wanted.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes text to standard output.
///
/// # Errors
/// [`PrintError`].
pub(crate) fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    Ok(written.map_err(PrintError::from)?)
}

/// An error and its causes in one line, in the format of an error that ends the program.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::capture::CaptureError;

    #[test]
    fn a_cause_is_said_once() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let expected = format!("cannot read a.png: {source}");
        let error = CaptureError::Read { path: "a.png".into(), source };
        assert_eq!(with_causes(&error), expected);
        assert_eq!(format!("{:#}", anyhow::Error::new(error)), expected);
    }
}
