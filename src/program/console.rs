//! Lines for the person at the terminal.

use std::io::{self, Write};

/// Writes a line to standard error; if that is closed, the program goes on without it.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
