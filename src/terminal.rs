//! Words on standard output and standard error. A reader that has gone is no reason to panic.

use std::io::{self, Write};

/// Writes to standard output what the user asked for.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Writes a line about what is going on to standard error.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
