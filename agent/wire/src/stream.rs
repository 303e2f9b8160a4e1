//! One data stream: a byte pipe that tells an end from a break.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

/// A stream of a [`crate::Lane`].
///
/// Dropping it resets it: the peer reads an error, not an end. [`AsyncWrite::poll_shutdown`] ends
/// only the sending half, in order.
#[derive(Debug)]
pub struct Stream {
    inner: Compat<yamux::Stream>,
    ended_by_us: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Stream {
    pub(crate) fn new(inner: yamux::Stream, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { inner: inner.compat(), ended_by_us: false, _permit: permit }
    }

    /// Whether the peer or the loss of the lane broke the stream, even if bytes that came before
    /// the break are still to be read. After an end from this side a break cannot be told.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        !self.ended_by_us && self.inner.get_ref().is_closed()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        // The multiplexer reports a reset and a lost connection as a clean end. A response that is
        // delimited by the end of its stream would look complete.
        let nothing = buf.filled().len() == before;
        if nothing && self.is_reset() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.inner).poll_write(cx, bytes)) {
            Err(error) if error.kind() == io::ErrorKind::WriteZero => {
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
            answer => Poll::Ready(answer),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        self.ended_by_us = true;
        Poll::Ready(Ok(()))
    }
}
