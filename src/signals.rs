//! The wishes of whoever started the process: stop, stop at once, and read the files again.

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

/// SIGHUP, taken over as the wish to read the configuration again.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

#[cfg(unix)]
impl Hangups {
    /// Takes it over. Needs a running runtime.
    pub(crate) fn take_over() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
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

/// There is no SIGHUP here.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    /// Nothing to take over.
    pub(crate) fn take_over() -> io::Result<Self> {
        Ok(Self)
    }

    /// Never.
    pub(crate) async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}
