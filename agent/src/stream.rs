//! One stream as a program sees it: bytes both ways, and its place in the count of running ones.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use adit_wire::Breakable;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, watch},
};

/// A connection that the gateway passed on.
///
/// Dropping it resets it: the gateway sees a break, not an end. Shutting it down ends the sending
/// half in order.
#[derive(Debug)]
pub struct Stream {
    pub(crate) inner: adit_wire::Stream,
    early: Vec<u8>,
    _place: Place,
}

/// How many streams run, over all sessions of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<watch::Sender<usize>>);

/// Counts its stream as running until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    running: Running,
    _of_lane: OwnedSemaphorePermit,
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(inner: adit_wire::Stream, place: Place) -> Self {
        Self {
            inner,
            early: Vec::new(),
            _place: place,
        }
    }

    /// Waits until the gateway has no more use for the stream. What arrives meanwhile is kept.
    pub(crate) async fn gone(&mut self) {
        let mut space = [0; 1024];
        while self.early.len() < space.len() {
            let mut read = ReadBuf::new(&mut space);
            let done =
                std::future::poll_fn(|cx| Pin::new(&mut self.inner).poll_read(cx, &mut read));
            if done.await.is_err() || read.filled().is_empty() {
                return;
            }
            self.early.extend_from_slice(read.filled());
        }
        std::future::pending().await
    }
}

impl Breakable for Stream {
    fn is_broken(&self) -> bool {
        self.inner.is_reset()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let n = self.early.len().min(buf.remaining());
        let later = self.early.split_off(n);
        buf.put_slice(&self.early);
        self.early = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

// === impl Running ===

impl Running {
    pub(crate) fn begin(&self, of_lane: OwnedSemaphorePermit) -> Place {
        self.0.send_modify(|running| *running += 1);
        Place {
            running: self.clone(),
            _of_lane: of_lane,
        }
    }

    /// Waits until no stream runs.
    pub(crate) async fn none(&self) {
        // Only an error if the sender were gone, and `self` holds it.
        drop(self.0.subscribe().wait_for(|running| *running == 0).await);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running
            .0
            .send_modify(|running| *running = running.saturating_sub(1));
    }
}
