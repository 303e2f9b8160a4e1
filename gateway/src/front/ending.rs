//! Connections that a policy ends, with nothing said about why.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use socket2::SockRef;
use tokio::{io::DuplexStream, net::TcpStream};
use tokio_rustls::server::TlsStream;

/// RFC 9113 §6.8, without an error: no streams beyond the last possible one, which is all of them.
pub(super) const GOAWAY: &[u8] = &[
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0,
];

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// As connections usually do.
    Orderly,
    /// So that the client cannot take it for anything else.
    Reset,
}

/// Told when a connection is to end, whatever still runs on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending(Arc<State>);

#[derive(Debug, Default)]
struct State {
    wanted: AtomicU8,
    /// Whoever waits for the client's next bytes.
    reader: Mutex<Option<Waker>>,
}

/// What lies below TLS and can be closed in more than one way.
pub(crate) trait Socket {
    /// Closing it resets it, where the system allows that.
    fn reset_when_closed(&self);
}

// === impl Ending ===

impl Ending {
    pub(crate) fn close(&self, closing: Closing) {
        let wanted = match closing {
            Closing::Orderly => 1,
            Closing::Reset => 2,
        };
        self.0.wanted.store(wanted, Ordering::Release);
        let reader = self.0.reader.lock();
        if let Some(reader) = reader.unwrap_or_else(PoisonError::into_inner).take() {
            reader.wake();
        }
    }

    pub(super) fn wanted(&self) -> Option<Closing> {
        match self.0.wanted.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Closing::Orderly),
            _ => Some(Closing::Reset),
        }
    }

    /// Wakes this reader when the end is wanted.
    pub(super) fn wakes(&self, cx: &Context<'_>) {
        let mut reader = self.0.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reader {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *reader = Some(cx.waker().clone()),
        }
    }
}

impl Socket for TcpStream {
    fn reset_when_closed(&self) {
        // A socket that cannot is closed in order.
        drop(SockRef::from(self).set_linger(Some(Duration::ZERO)));
    }
}

impl Socket for Box<TlsStream<TcpStream>> {
    fn reset_when_closed(&self) {
        self.get_ref().0.reset_when_closed();
    }
}

impl Socket for DuplexStream {
    fn reset_when_closed(&self) {}
}
