//! A connection whose first bytes are kept besides being read: rustls does not tell all of a ClientHello.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// More of a ClientHello is not kept; rustls takes up to 64 KiB of one, which no honest client sends.
const KEPT: usize = 16 * 1024;

/// A socket, and what was read from it.
pub(super) struct Overheard {
    pub(super) socket: TcpStream,
    pub(super) heard: Vec<u8>,
}

impl Overheard {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            heard: Vec::new(),
        }
    }
}

impl AsyncRead for Overheard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let this = &mut *self;
        let polled = Pin::new(&mut this.socket).poll_read(cx, out);
        let fresh = out.filled().get(before..).unwrap_or_default();
        let room = KEPT.saturating_sub(this.heard.len());
        let kept = fresh.get(..fresh.len().min(room)).unwrap_or_default();
        this.heard.extend_from_slice(kept);
        polled
    }
}

impl AsyncWrite for Overheard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
