//! The buffers between the multiplexer and its connection.
//!
//! The multiplexer writes a header, a body and a flush per frame and reads headers of 12 bytes.
//! Over TLS each of these would be a record and a system call. [`Buffered`] takes them in memory;
//! only the lane's driver flushes for real, once for all that was written since.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use futures_util::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

/// One read of the connection.
const READ: usize = 64 * 1024;

/// Bytes that may wait for a flush; at this many the multiplexer has to wait.
const WRITE_LIMIT: usize = 64 * 1024;

/// A write buffer that grew beyond this is given back at the next small flush, a heartbeat's at the
/// latest, so that an idle lane holds little memory.
const WRITE_KEPT: usize = 16 * 1024;

/// The connection as the multiplexer sees it.
pub(crate) struct Buffered<IO>(Arc<Mutex<Buffers<IO>>>);

/// The driver's hold on the same connection.
pub(crate) struct Flusher<IO>(Arc<Mutex<Buffers<IO>>>);

struct Buffers<IO> {
    io: IO,
    unread: BytesMut,
    unsent: Vec<u8>,
    sent: usize,
}

pub(crate) fn buffered<IO>(io: IO) -> (Buffered<IO>, Flusher<IO>) {
    let buffers = Buffers {
        io,
        unread: BytesMut::new(),
        unsent: Vec::new(),
        sent: 0,
    };
    let shared = Arc::new(Mutex::new(buffers));
    (Buffered(Arc::clone(&shared)), Flusher(shared))
}

// Nothing panics while it holds the lock, so a poisoned one is still whole.
fn lock<IO>(shared: &Mutex<Buffers<IO>>) -> MutexGuard<'_, Buffers<IO>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Flusher<IO> {
    /// Whether anything waits to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        !lock(&self.0).unsent.is_empty()
    }

    /// Sends what waits.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_send(cx)
    }

    /// Ends the sending half of the connection.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).io).poll_shutdown(cx)
    }
}

impl<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Buffers<IO> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        let was_busy = self.unsent.len() > WRITE_KEPT;
        self.sent = 0;
        self.unsent.clear();
        if !was_busy {
            self.unsent.shrink_to(WRITE_KEPT);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.unread.is_empty() {
            self.unread.reserve(READ);
            match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.unread) {
                Poll::Ready(Ok(_)) => {}
                unready => {
                    // A lane that waits for bytes holds no buffer.
                    self.unread = BytesMut::new();
                    return unready;
                }
            }
        }
        let n = self.unread.len().min(out.len());
        if let Some(out) = out.get_mut(..n) {
            self.unread.copy_to_slice(out);
        }
        Poll::Ready(Ok(n))
    }
}

// === impl Buffered ===

impl<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> AsyncRead for Buffered<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_receive(cx, out)
    }
}

impl<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> AsyncWrite for Buffered<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffers = lock(&self.0);
        if buffers.unsent.len() >= WRITE_LIMIT {
            ready!(buffers.poll_send(cx))?;
        }
        buffers.unsent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Does nothing: the driver flushes, once per turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffers = lock(&self.0);
        ready!(buffers.poll_send(cx))?;
        Pin::new(&mut buffers.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn small_reads_are_served_from_one_read_and_keep_no_memory_afterwards() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut mux, driver) = buffered(near);
        far.write_all(b"0123456789").await.unwrap();
        let mut four = [0; 4];
        mux.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"0123");
        assert_eq!(lock(&driver.0).unread.len(), 10 - 4);
        let mut six = [0; 6];
        mux.read_exact(&mut six).await.unwrap();
        assert_eq!(&six, b"456789");
        let mut more = [0; 1];
        let waits = tokio::task::unconstrained(mux.read(&mut more));
        assert!(futures_util::FutureExt::now_or_never(waits).is_none());
        assert_eq!(lock(&driver.0).unread.capacity(), 0);
    }

    #[tokio::test]
    async fn writes_wait_for_the_driver_and_then_leave_together() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut mux, driver) = buffered(near);
        mux.write_all(b"head").await.unwrap();
        mux.flush().await.unwrap();
        mux.write_all(b"body").await.unwrap();
        assert!(driver.is_waiting());
        std::future::poll_fn(|cx| driver.poll_flush(cx))
            .await
            .unwrap();
        assert!(!driver.is_waiting());
        let mut got = [0; 8];
        tokio::io::AsyncReadExt::read_exact(&mut far, &mut got)
            .await
            .unwrap();
        assert_eq!(&got, b"headbody");
    }

    #[tokio::test]
    async fn a_full_buffer_waits_for_the_connection() {
        let (near, _far) = tokio::io::duplex(16);
        let (mut mux, _driver) = buffered(near);
        mux.write_all(&vec![0; WRITE_LIMIT]).await.unwrap();
        let more = tokio::task::unconstrained(mux.write_all(b"x"));
        assert!(futures_util::FutureExt::now_or_never(more).is_none());
    }
}
