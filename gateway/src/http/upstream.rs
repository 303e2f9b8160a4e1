//! A stream to an agent as a connection that Pingora can use.
//!
//! Pingora keeps idle connections by file descriptor, which a stream has not, so it would park each
//! finished stream and never find it again. HTTP/1.1 therefore reuses streams here, below Pingora:
//!
//! - Pingora gives a connection back only when it has judged it reusable itself, and its first act
//!   then is to read one byte, to see whether the connection is still silent.
//! - [`Lent`] knows when the response has ended ([`Dial::response_ended`]). A read after that which
//!   finds nothing *is* that probe. It is answered with an end, Pingora drops the connection, and
//!   dropping it gives the stream back to its member.
//! - Whatever ends otherwise (an error, an upgrade, bytes too many) never reads after the end, so
//!   its stream is dropped, which resets it.
//!
//! HTTP/2 to the service (gRPC) goes through a socket pair, which has a descriptor, so that Pingora
//! can keep and share the connection itself.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::io::AsRawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use adit_wire::{Stream, message::Protocol};
use async_trait::async_trait;
use pingora_core::{
    Result,
    connectors::L4Connect,
    protocols::l4::{
        socket::SocketAddr as L4Addr,
        stream::Stream as L4Stream,
        virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
    },
    upstreams::peer::HttpPeer,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    net::UnixStream,
    time::{Instant, Sleep, sleep},
};

use super::{dial::Dial, exchange::Exchange, tries::Patience};
use crate::{
    config::Limits,
    pools::{flight::Flight, member::Member, session::OpenFailure},
};

/// HTTP/2 streams that share one connection to a service.
const SHARED: usize = 100;

/// How long a finished connection waits in Pingora's own pool. HTTP/1.1 never gets that far, except
/// for a stream whose response ended unnoticed; that one must not wait.
const PARKED: Duration = Duration::from_millis(1);
const HTTP2_IDLE: Duration = Duration::from_secs(60);

/// Copy buffer of the socket pair, each way.
const COPY: usize = 16 * 1024;

/// Makes Pingora peers for the members that one core serves.
pub(super) struct Upstreams {
    core: usize,
    http1: HttpPeer,
    http2: HttpPeer,
}

// === impl Upstreams ===

impl Upstreams {
    pub(super) fn new(core: usize, limits: &Limits) -> Self {
        // The address is never dialled. Pingora's pool takes any descriptor for the zero address.
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1));
        let mut http1 = HttpPeer::new(nowhere, false, String::new());
        let options = &mut http1.options;
        options.total_connection_timeout = Some(limits.dial_timeout.0 + Duration::from_secs(1));
        options.read_timeout = Some(limits.upstream_timeout.0);
        options.write_timeout = Some(limits.upstream_timeout.0);
        options.idle_timeout = Some(PARKED);
        let mut http2 = http1.clone();
        http2.options.set_http_version(2, 2);
        http2.options.max_h2_streams = SHARED;
        http2.options.idle_timeout = Some(HTTP2_IDLE);
        Self { core, http1, http2 }
    }

    /// The core that they are for.
    pub(super) fn core(&self) -> usize {
        self.core
    }

    /// A peer that leads to this member and no other, where the exchange counts as being at work from now on.
    ///
    /// `upgrade`: the request asks to switch protocols.
    pub(super) fn peer(
        &self,
        member: Arc<Member>,
        exchange: &mut Exchange,
        upgrade: bool,
    ) -> Box<HttpPeer> {
        let grpc = exchange.routed.as_ref().is_some_and(|routed| routed.grpc);
        // gRPC needs HTTP/2 all the way, whatever the agent said of its service.
        let protocol = if grpc {
            Protocol::Http2
        } else {
            member.spec.protocol
        };
        let mut peer = match protocol {
            Protocol::Http2 => self.http2.clone(),
            Protocol::Http1 | Protocol::Tcp => self.http1.clone(),
        };
        // Pingora may share connections among peers of one key, and this is all that tells them apart.
        peer.group_key = member.id;
        let patience = exchange.routed.as_ref().and_then(|routed| {
            let settings = routed.serving.pool.settings();
            exchange.tries.patience(&settings)
        });
        if let Some(patience) = patience {
            hasten(&mut peer, patience, protocol);
        }
        let fresh = exchange.dial.as_ref().is_some_and(|last| last.was_reused());
        let how = (fresh, upgrade);
        let dial = Arc::new(Dial::new(member, self.core, protocol, how, patience));
        let there = |flight: &Flight| Arc::ptr_eq(flight.member(), dial.member());
        if !exchange.flight.as_ref().is_some_and(there) {
            exchange.flight = Some(Flight::of(dial.member()));
        }
        exchange.dial = Some(Arc::clone(&dial));
        peer.options.custom_l4 = Some(Arc::new(Dialer(dial)));
        Box::new(peer)
    }
}

/// HTTP/1 has [`Lent`] to look at the clock. Streams of HTTP/2 share a connection, so there Pingora has to: the longest
/// wait for the head is the longest one between two pieces of the body, too.
fn hasten(peer: &mut HttpPeer, patience: Patience, protocol: Protocol) {
    let options = &mut peer.options;
    let shorten = |wait: &mut Option<Duration>, most: Option<Duration>| {
        if let (Some(wait), Some(most)) = (wait, most) {
            *wait = most.min(*wait);
        }
    };
    shorten(&mut options.write_timeout, patience.to_write());
    if protocol == Protocol::Http2 {
        shorten(
            &mut options.read_timeout,
            patience.to_connect(Instant::now()),
        );
    }
}

#[derive(Debug)]
struct Dialer(Arc<Dial>);

#[async_trait]
impl L4Connect for Dialer {
    async fn connect(&self, _: &L4Addr) -> Result<L4Stream> {
        let dial = &self.0;
        match dial.protocol() {
            Protocol::Http1 | Protocol::Tcp => {
                let lent = Lent {
                    stream: Some(dial.stream().await?),
                    dial: Arc::clone(dial),
                    give_back: false,
                    timer: None,
                };
                Ok(L4Stream::from(VirtualSocketStream::new(Box::new(lent))))
            }
            Protocol::Http2 => {
                let stream = dial.open().await?;
                let ours = through_socket(stream, dial.member())
                    .map_err(|_| dial.fail(OpenFailure::Lost))?;
                Ok(L4Stream::from(ours))
            }
        }
    }
}

/// A stream behind a real descriptor. HTTP/2 frames say where everything ends, so it does not matter
/// that a socket pair turns a reset into an end. Pingora keeps it for later; an agent that is going does not wait for
/// that.
fn through_socket(mut stream: Stream, member: &Arc<Member>) -> io::Result<UnixStream> {
    let (ours, mut theirs) = UnixStream::pair()?;
    debug_assert!(ours.as_raw_fd() >= 0);
    let member = Arc::clone(member);
    tokio::spawn(async move {
        tokio::select! {
            // Either end may break at any time; both are dropped then, which tells the other one.
            _ = copy_bidirectional_with_sizes(&mut stream, &mut theirs, COPY, COPY) => {}
            () = member.at_rest() => {}
        }
    });
    Ok(ours)
}

/// A member's stream, lent to Pingora for one exchange.
struct Lent {
    stream: Option<Stream>,
    dial: Arc<Dial>,
    give_back: bool,
    /// Runs while the head is waited for, if that is limited.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Lent {
    /// Whether the head of the response has not come in time.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.dial.is_timed() || self.dial.head_came() {
            return false;
        }
        if self.timer.is_none() {
            self.timer = self.dial.wait_for_head().map(|wait| Box::pin(sleep(wait)));
        }
        let timer = self.timer.as_mut();
        let late = timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if late {
            self.dial.is_too_late();
        }
        late
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(Ok(()));
        };
        if this.dial.holds_back(cx) {
            return Poll::Pending;
        }
        let polled = Pin::new(stream).poll_read(cx, buf);
        if polled.is_pending() && this.dial.has_ended() {
            this.give_back = true;
            return Poll::Ready(Ok(()));
        }
        if polled.is_pending() && this.is_late(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match &mut this.stream {
            Some(stream) => {
                let polled = Pin::new(stream).poll_write(cx, bytes);
                if matches!(polled, Poll::Ready(Ok(1..))) {
                    this.dial.sends();
                }
                polled
            }
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.give_back = false;
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl VirtualSocket for Lent {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (true, Some(stream)) = (self.give_back, self.stream.take()) {
            self.dial.give_back(stream);
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent")
            .field("dial", &self.dial)
            .finish_non_exhaustive()
    }
}
