//! The one thread that the command's own work runs on; a gateway brings threads of its own.

use std::future::Future;

use crate::exit::Failure;

/// Runs a command to its end. What it left running is not waited for.
pub(crate) fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::mistake(format_args!("cannot start: {error}")))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}
