//! Copies both ways between a stream and a connection outside the tunnel until both are done or one breaks.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// One read. The multiplexer cuts it into frames of 16 KiB.
const CHUNK: usize = 64 * 1024;

/// How often a stream whose other side takes no more bytes is looked at for a reset, which would
/// otherwise stand behind those bytes for ever.
const STALLED_LOOK: Duration = Duration::from_secs(5);

/// A stream that can tell a break although nobody reads from it.
pub trait Breakable: AsyncRead + AsyncWrite + Unpin {
    /// Whether it is broken, even if bytes that came before the break are still to be read.
    fn is_broken(&self) -> bool;
}

impl Breakable for crate::Stream {
    fn is_broken(&self) -> bool {
        self.is_reset()
    }
}

/// Copies until both sides have ended. While nothing passes it holds no buffers.
///
/// The end of one side is passed on as an end of that half only.
///
/// # Errors
/// An error of either side is an error of the whole: the caller resets both.
pub async fn splice<S, L>(stream: &mut S, local: &mut L) -> io::Result<()>
where
    S: Breakable,
    L: AsyncRead + AsyncWrite + Unpin,
{
    let (mut inward, mut outward) = (Half::new(), Half::new());
    let mut watch = StalledWatch::default();
    poll_fn(move |cx| {
        let inward_done = inward.poll(cx, stream, local)?.is_ready();
        let outward_done = outward.poll(cx, local, stream)?.is_ready();
        if inward_done && outward_done {
            return Poll::Ready(Ok(()));
        }
        if inward.is_stalled() && watch.poll(cx).is_ready() && stream.is_broken() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Pending
    })
    .await
}

/// One direction. It holds memory only for bytes that were read and could not be written.
struct Half {
    unsent: Vec<u8>,
    sent: usize,
    flush: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Copying,
    Ending,
    Ended,
}

// === impl Half ===

impl Half {
    fn new() -> Self {
        Self {
            unsent: Vec::new(),
            sent: 0,
            flush: false,
            state: State::Copying,
        }
    }

    fn is_stalled(&self) -> bool {
        !self.unsent.is_empty()
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                State::Copying => {
                    ready!(self.poll_unsent(cx, to))?;
                    match self.poll_chunk(cx, from, to)? {
                        Poll::Ready(()) => {}
                        Poll::Pending => {
                            if self.flush {
                                ready!(Pin::new(&mut *to).poll_flush(cx))?;
                                self.flush = false;
                            }
                            return Poll::Pending;
                        }
                    }
                }
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Moves what one read gives. Pending only if nothing was read.
    fn poll_chunk<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        // On the stack: a stream that waits, as a kept-alive one mostly does, holds no buffer.
        let mut space = [MaybeUninit::uninit(); CHUNK];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(from).poll_read(cx, &mut read))?;
        let mut rest = read.filled();
        if rest.is_empty() {
            self.state = State::Ending;
            return Poll::Ready(Ok(()));
        }
        self.flush = true;
        while !rest.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, rest)? {
                Poll::Ready(n) => rest = after(rest, n)?,
                Poll::Pending => {
                    self.unsent.extend_from_slice(rest);
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_unsent<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let n = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            after(rest, n)?;
            self.sent += n;
        }
        self.unsent = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

/// What is left of `bytes` after `n` were written.
fn after(bytes: &[u8], n: usize) -> io::Result<&[u8]> {
    match n {
        0 => Err(io::ErrorKind::WriteZero.into()),
        n => Ok(bytes.get(n..).unwrap_or_default()),
    }
}

/// A timer that exists only for streams that ever stalled, and is set only while they do.
#[derive(Default)]
struct StalledWatch {
    timer: Option<Pin<Box<Sleep>>>,
}

impl StalledWatch {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(STALLED_LOOK)));
        let mut due = Poll::Pending;
        // Again after it was set anew, for the waker of the next look.
        while timer.as_mut().poll(cx).is_ready() {
            timer.as_mut().reset(Instant::now() + STALLED_LOOK);
            due = Poll::Ready(());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::{Side, lane};

    #[tokio::test(start_paused = true)]
    async fn a_reset_is_noticed_though_the_service_takes_no_more_bytes() {
        let (near, far) = tokio::io::duplex(1024 * 1024);
        let (gateway, _, drive) = lane(near, Side::Gateway);
        tokio::spawn(drive);
        let (_agent, mut incoming, drive) = lane(far, Side::Agent);
        tokio::spawn(drive);
        let mut cancelled = gateway.open().await.unwrap();
        cancelled.write_all(&[7; 100_000]).await.unwrap();
        let mut stream = incoming.accept().await.unwrap();
        let (mut local, _never_reads) = tokio::io::duplex(16);
        drop(cancelled);
        let error = splice(&mut stream, &mut local).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
