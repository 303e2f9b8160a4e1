//! Words on standard output and standard error. A reader that has gone is no reason to panic.

use std::io::{self, Write};

use crate::exit::Failure;

/// Writes to standard output what the user asked for.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        // `adit completion bash | head` has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => {
            written.map_err(|error| Failure::mistake(format_args!("standard output: {error}")))
        }
    }
}

/// Writes a line about what is going on to standard error.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
