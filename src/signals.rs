//! The wishes of whoever started the process: stop, and stop at once.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a process to end, taken over from the moment this is made.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Hang-up and quit.
    terminals: Option<(Signal, Signal)>,
}

#[cfg(unix)]
impl Signals {
    /// Takes over SIGINT and SIGTERM. Needs a running runtime.
    pub(crate) fn take_over() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            terminals: None,
        })
    }

    /// Takes over SIGHUP and SIGQUIT, too, for a terminal that has to be given back. Without one
    /// they stay as they are, so that `nohup` works.
    pub(crate) fn take_over_the_terminals(&mut self) -> io::Result<()> {
        self.terminals = Some((signal(SignalKind::hangup())?, signal(SignalKind::quit())?));
        Ok(())
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        let terminals = async {
            match &mut self.terminals {
                Some((hangup, quit)) => tokio::select! {
                    _ = hangup.recv() => {}
                    _ = quit.recv() => {}
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = terminals => {}
        }
    }
}

/// Ctrl+C, where there are no signals.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Nothing to take over: Ctrl+C is asked for each time.
    pub(crate) fn take_over() -> io::Result<Self> {
        Ok(Self)
    }

    /// There are none.
    pub(crate) fn take_over_the_terminals(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Waits for Ctrl+C.
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
