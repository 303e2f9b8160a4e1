//! A lane: one connection between agent and gateway, carrying many streams.
//!
//! [`lane`] gives three things. The [`Lane`] opens streams and may be cloned freely. [`Incoming`]
//! yields the streams the peer opens. The [`Driver`] is a future that must be polled for anything
//! to move; it alone touches the multiplexer.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::{
    Stream,
    buffered::{Buffered, Flusher, buffered},
    limits::{MULTIPLEXER_STREAMS, STREAM_WINDOW, STREAMS_PER_LANE, WINDOW_GROWTH},
};

/// How long a lane that was told to close may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that dialled.
    Agent,
    /// The one that accepted.
    Gateway,
}

/// Makes a lane of a connection that has passed its greeting.
pub fn lane<IO>(io: IO, side: Side) -> (Lane, Incoming, Driver<IO>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (io, flusher) = buffered(io);
    let mode = match side {
        Side::Agent => yamux::Mode::Client,
        Side::Gateway => yamux::Mode::Server,
    };
    let (ask, asked) = mpsc::unbounded_channel();
    let (arrive, arrived) = mpsc::channel(MULTIPLEXER_STREAMS);
    let (close, ended) = (CancellationToken::new(), CancellationToken::new());
    let driver = Driver {
        connection: yamux::Connection::new(io, config(), mode),
        flusher,
        asked,
        next: None,
        arrive,
        asked_to_close: Box::pin(close.clone().cancelled_owned()),
        goodbye: None,
        let_others_write: true,
        broken: CancellationToken::new(),
        _ended: ended.clone().drop_guard(),
    };
    let permits = Arc::new(Semaphore::new(STREAMS_PER_LANE));
    (
        Lane {
            ask,
            permits,
            close,
            ended,
        },
        Incoming { arrived },
        driver,
    )
}

fn config() -> yamux::Config {
    let mut config = yamux::Config::default();
    // The order matters: each setter asserts that the window holds all the streams.
    config.set_max_connection_receive_window(None);
    config.set_max_num_streams(MULTIPLEXER_STREAMS);
    config.set_max_connection_receive_window(Some(
        MULTIPLEXER_STREAMS * STREAM_WINDOW + WINDOW_GROWTH,
    ));
    config
}

/// The opening half of a lane.
#[derive(Clone)]
pub struct Lane {
    ask: mpsc::UnboundedSender<Asked>,
    permits: Arc<Semaphore>,
    close: CancellationToken,
    ended: CancellationToken,
}

/// Why a stream could not be opened. Nothing was sent, so another lane may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The lane carries as many streams as it may.
    #[error("{STREAMS_PER_LANE} streams are open on this lane, no more are allowed")]
    Busy,
    /// The lane has ended.
    #[error("the connection to the agent is gone")]
    Closed,
}

// === impl Lane ===

impl Lane {
    /// Opens a stream. It costs no round trip, but waits while the peer has not acknowledged 256
    /// earlier ones: give it a deadline.
    ///
    /// # Errors
    /// When the lane is full or has ended.
    pub async fn open(&self) -> Result<Stream, OpenError> {
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| OpenError::Busy)?;
        let (give, given) = oneshot::channel();
        self.ask
            .send(Asked { permit, give })
            .map_err(|_| OpenError::Closed)?;
        given.await.map_err(|_| OpenError::Closed)
    }

    /// Streams that this side has open.
    #[must_use]
    pub fn streams(&self) -> usize {
        STREAMS_PER_LANE - self.permits.available_permits()
    }

    /// Ends the lane and every stream on it.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Whether the lane has ended, or was told to.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ended.is_cancelled() || self.close.is_cancelled()
    }

    /// Waits for the lane's end.
    pub async fn closed(&self) {
        self.ended.cancelled().await;
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("streams", &self.streams())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// The accepting half of a lane.
#[derive(Debug)]
pub struct Incoming {
    /// Boxed, because a queue holds room for many before the first one comes.
    arrived: mpsc::Receiver<Box<Stream>>,
}

impl Incoming {
    /// The next stream the peer opens, or `None` once the lane has ended.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.arrived.recv().await.map(|stream| *stream)
    }
}

struct Asked {
    permit: OwnedSemaphorePermit,
    give: oneshot::Sender<Stream>,
}

/// Moves a lane's bytes. Ends with the lane: `Ok` after a goodbye, else what broke.
#[must_use = "a lane does nothing unless its driver is polled"]
pub struct Driver<IO> {
    connection: yamux::Connection<Buffered<IO>>,
    flusher: Flusher<IO>,
    asked: mpsc::UnboundedReceiver<Asked>,
    next: Option<Asked>,
    arrive: mpsc::Sender<Box<Stream>>,
    asked_to_close: Pin<Box<WaitForCancellationFutureOwned>>,
    goodbye: Option<Pin<Box<Sleep>>>,
    let_others_write: bool,
    /// Told to streams: what they miss will not come.
    broken: CancellationToken,
    _ended: DropGuard,
}

/// What ended a lane.
#[derive(Debug, thiserror::Error)]
#[error("the tunnel connection broke: {0}")]
pub struct LaneError(String);

// === impl Driver ===

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Driver<IO> {
    type Output = Result<(), LaneError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = this.poll_lane(cx);
        if matches!(polled, Poll::Ready(Err(_))) {
            this.broken.cancel();
        }
        polled
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    fn poll_lane(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if self.goodbye.is_none() && self.asked_to_close.as_mut().poll(cx).is_ready() {
            self.goodbye = Some(Box::pin(sleep(GOODBYE)));
        }
        if let Some(deadline) = &mut self.goodbye {
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            return self.poll_goodbye(cx);
        }
        if let Poll::Ready(ended) = self.poll_streams(cx) {
            return Poll::Ready(ended);
        }
        self.poll_flush_late(cx)
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_open(cx) {
                return Poll::Ready(Err(error));
            }
            match self.connection.poll_next_inbound(cx) {
                // A peer that opens streams faster than they are taken has them reset.
                Poll::Ready(Some(Ok(stream))) => {
                    let stream = Stream::new(stream, None, self.broken.clone());
                    drop(self.arrive.try_send(Box::new(stream)));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(broken(error))),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        loop {
            if self
                .next
                .as_ref()
                .is_none_or(|asked| asked.give.is_closed())
            {
                match self.asked.poll_recv(cx) {
                    Poll::Ready(Some(asked)) => self.next = Some(asked),
                    Poll::Ready(None) | Poll::Pending => {
                        self.next = None;
                        return Poll::Pending;
                    }
                }
                continue;
            }
            match self.connection.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => {
                    if let Some(Asked { permit, give }) = self.next.take() {
                        let broken = self.broken.clone();
                        drop(give.send(Stream::new(stream, Some(permit), broken)));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends what streams have said so far, and the end of the connection. The multiplexer's own
    /// way to close would leave streams that wait for bytes waiting for ever; dropping it, as
    /// happens after this, breaks them.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if let Poll::Ready(ended) = self.poll_streams(cx) {
            return Poll::Ready(ended);
        }
        ready!(self.flusher.poll_flush(cx)).map_err(unsent)?;
        self.flusher.poll_shutdown(cx).map_err(unsent)
    }

    /// Flushes on the turn after the one that found bytes to send, so that all tasks that are
    /// ready by then share one TLS record and one system call. Waking ourselves puts us behind
    /// them; without it a multi-thread runtime would run the driver after each single one.
    fn poll_flush_late(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        if !self.flusher.is_waiting() {
            self.let_others_write = true;
        } else if self.let_others_write {
            self.let_others_write = false;
            cx.waker().wake_by_ref();
        } else {
            match self.flusher.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.let_others_write = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(unsent(error))),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

impl<IO> fmt::Debug for Driver<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

fn broken(error: yamux::ConnectionError) -> LaneError {
    LaneError(error.to_string())
}

fn unsent(error: io::Error) -> LaneError {
    LaneError(error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A connection whose end is a break, as it is with TLS when nobody says goodbye.
    struct Abrupt(tokio::io::DuplexStream);

    impl AsyncRead for Abrupt {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
            Poll::Ready(match buf.filled().len() > before {
                true => Ok(()),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            })
        }
    }

    impl AsyncWrite for Abrupt {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn a_lost_lane_is_no_end_for_a_stream_that_has_ended_its_own_half() {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (gateway, _, drive) = lane(Abrupt(near), Side::Gateway);
        tokio::spawn(drive);
        let (_agent, mut incoming, drive) = lane(far, Side::Agent);
        let agent = tokio::spawn(drive);
        let mut opened = gateway.open().await.unwrap();
        opened.write_all(b"x").await.unwrap();
        let mut seen = incoming.accept().await.unwrap();
        opened.shutdown().await.unwrap();
        seen.write_all(b"half of").await.unwrap();
        let mut said = [0; 7];
        opened.read_exact(&mut said).await.unwrap();
        agent.abort();
        let broken = opened.read(&mut [0]).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn closing_a_lane_breaks_the_streams_that_wait_and_delivers_what_was_said() {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (gateway, _, drive) = lane(near, Side::Gateway);
        tokio::spawn(drive);
        let (agent, mut incoming, drive) = lane(far, Side::Agent);
        tokio::spawn(drive);
        let mut opened = gateway.open().await.unwrap();
        opened.write_all(b"x").await.unwrap();
        let mut seen = incoming.accept().await.unwrap();
        assert_eq!(seen.read_u8().await.unwrap(), b'x');
        let waiting = tokio::spawn(async move { opened.read(&mut [0; 8]).await });
        seen.write_all(b"last words").await.unwrap();
        agent.close();
        let broken = seen.read(&mut [0]).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(waiting.await.unwrap().unwrap(), 8);
        gateway.closed().await;
    }
}
