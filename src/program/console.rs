//! Messages to the terminal.

use std::error::Error;
use std::io::{self, Write};

/// Writes a line to standard error; ignores a closed standard error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
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
