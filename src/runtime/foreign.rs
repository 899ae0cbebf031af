//! Errors of other crates.
//!
//! A message of ours leaves its cause to `source()`, so that a chain of errors says everything once. Some crates repeat
//! the cause in the message as well; such an error ends its chain.

use std::error::Error;

/// The message of `error` without its causes.
pub(crate) fn without_causes(error: &impl Error) -> Box<dyn Error + Send + Sync> {
    error.to_string().into()
}
