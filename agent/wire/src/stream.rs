//! One data stream: a byte pipe that tells an end from a break.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{AsyncWrite as _, Stream as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::CancellationToken;
use yamux::Packet;

/// A packet of this size is probably followed by more, which one read then takes together.
const BULK: usize = 8 * 1024;

/// A stream of a [`crate::Lane`].
///
/// Dropping it resets it: the peer reads an error, not an end. [`AsyncWrite::poll_shutdown`] ends
/// only the sending half, in order.
#[derive(Debug)]
pub struct Stream {
    inner: yamux::Stream,
    /// What arrived and was not read yet, from the given position on. Taken as a whole, because
    /// the multiplexer's own reading would have the reader's buffer zeroed first.
    arrived: Option<(Packet, usize)>,
    ended_by_us: bool,
    /// Cancelled when the lane breaks.
    lane_broken: CancellationToken,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Stream {
    pub(crate) fn new(
        inner: yamux::Stream,
        permit: Option<OwnedSemaphorePermit>,
        lane_broken: CancellationToken,
    ) -> Self {
        Self {
            inner,
            arrived: None,
            ended_by_us: false,
            lane_broken,
            _permit: permit,
        }
    }

    /// Whether the peer or the loss of the lane broke the stream, even if bytes that came before
    /// the break are still to be read. After an end from this side only the loss of the lane can be told.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.inner.is_closed() && (!self.ended_by_us || self.lane_broken.is_cancelled())
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
        let (mut packet, mut position) = match self.arrived.take() {
            Some(rest) => rest,
            None => match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                Some(packet) => (packet?, 0),
                // The multiplexer reports a reset and a lost connection as a clean end. A response
                // that is delimited by the end of its stream would look complete.
                None if self.is_reset() => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                None => return Poll::Ready(Ok(())),
            },
        };
        loop {
            let rest = packet.as_ref().get(position..).unwrap_or_default();
            let n = rest.len().min(buf.remaining());
            buf.put_slice(rest.get(..n).unwrap_or_default());
            if n < rest.len() {
                self.arrived = Some((packet, position + n));
                return Poll::Ready(Ok(()));
            }
            if packet.as_ref().len() < BULK || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            // Ends and errors are told again by the next read.
            match Pin::new(&mut self.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(next))) => (packet, position) = (next, 0),
                _ => return Poll::Ready(Ok(())),
            }
        }
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
        ready!(Pin::new(&mut self.inner).poll_close(cx))?;
        self.ended_by_us = true;
        Poll::Ready(Ok(()))
    }
}
