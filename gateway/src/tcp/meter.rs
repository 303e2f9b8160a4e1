//! How much a connection has carried, and since when it carries nothing.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until},
};

/// What is known of a connection's traffic. One task writes it down.
#[derive(Debug)]
pub(super) struct Meter {
    began: Instant,
    came: AtomicU64,
    went: AtomicU64,
    /// Microseconds from the beginning to the last byte either way.
    last: AtomicU64,
}

/// A client's socket whose traffic is measured.
pub(super) struct Metered<'a> {
    socket: &'a mut TcpStream,
    meter: &'a Meter,
}

// === impl Meter ===

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            came: AtomicU64::new(0),
            went: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// Bytes from the client and bytes to the client.
    pub(super) fn so_far(&self) -> (u64, u64) {
        let so_far = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        (so_far(&self.came), so_far(&self.went))
    }

    /// Since the connection was accepted.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until nothing has passed either way for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
            let Some(due) = self.began.checked_add(last.saturating_add(limit)) else {
                return std::future::pending().await;
            };
            if Instant::now() >= due {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn passed(&self, counter: &AtomicU64, bytes: usize) {
        // Nobody else counts.
        let sum = counter.load(Ordering::Relaxed) + bytes as u64;
        counter.store(sum, Ordering::Relaxed);
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

// === impl Metered ===

impl<'a> Metered<'a> {
    pub(super) fn new(socket: &'a mut TcpStream, meter: &'a Meter) -> Self {
        Self { socket, meter }
    }
}

impl AsyncRead for Metered<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut *self.socket).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            self.meter.passed(&self.meter.came, read);
        }
        polled
    }
}

impl AsyncWrite for Metered<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut *self.socket).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.meter.passed(&self.meter.went, written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_counts_is_the_last_byte() {
        let meter = Meter::new();
        let limit = Duration::from_secs(60);
        let mut idle = std::pin::pin!(meter.idle(limit));
        assert!(futures_util::poll!(&mut idle).is_pending());
        advance(Duration::from_secs(59)).await;
        meter.passed(&meter.came, 5);
        advance(Duration::from_secs(59)).await;
        assert!(futures_util::poll!(&mut idle).is_pending());
        meter.passed(&meter.went, 7);
        let before = Instant::now();
        idle.await;
        assert_eq!(before.elapsed().as_secs(), 60);
        assert_eq!(meter.so_far(), (5, 7));
    }
}
