//! Connections that are ended before their client ends them.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Poll, Waker},
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
    /// HTTP/1: the client is not listened to any longer; what is to be said to it still can be.
    Deaf,
    /// Now, whatever is still to be said, and all that is at work for it is dropped.
    Torn,
}

/// Told when a connection is to end, whatever still runs on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending(Arc<State>);

#[derive(Debug, Default)]
struct State {
    wanted: AtomicU8,
    /// The gateway goes.
    leaving: AtomicBool,
    /// The task that serves the connection.
    task: OnceLock<Waker>,
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
            Closing::Deaf => 1,
            Closing::Orderly => 2,
            Closing::Reset => 3,
            Closing::Torn => 4,
        };
        // What was wanted before is not taken back.
        self.0.wanted.fetch_max(wanted, Ordering::Release);
        if let Some(task) = self.0.task.get() {
            task.wake_by_ref();
        }
    }

    /// The gateway goes: what runs goes on, and who is silent for too long is not waited for.
    pub(super) fn leave(&self) {
        self.0.leaving.store(true, Ordering::Release);
        // Whoever waits for a request looks again, and begins to count the time.
        if let Some(task) = self.0.task.get() {
            task.wake_by_ref();
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire)
    }

    pub(super) fn wanted(&self) -> Option<Closing> {
        match self.0.wanted.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Closing::Deaf),
            2 => Some(Closing::Orderly),
            3 => Some(Closing::Reset),
            _ => Some(Closing::Torn),
        }
    }

    /// Serves the connection until it has ended or is torn.
    pub(crate) async fn unless_torn<T>(&self, served: impl Future<Output = T>) {
        let mut served = pin!(served);
        poll_fn(|cx| {
            self.0.task.get_or_init(|| cx.waker().clone());
            match self.wanted() {
                Some(Closing::Torn) => Poll::Ready(()),
                _ => served.as_mut().poll(cx).map(drop),
            }
        })
        .await;
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
