//! A public connection in the form Pingora's HTTP server accepts.

use std::{
    any::Any,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use adit_policy::canonical::Host;
use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};
use pingora_http::ResponseHeader;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    accept::{Admission, address_value},
    ending::{Closing, Ending, GOAWAY, Socket},
    gate::{Gate, GateRules, HeadSwitch, PREFACE},
    running::Running,
    traffic::Traffic,
};
use crate::{http::Greetings, pools::endpoints::Endpoint};

/// Enough for a response head and a small body in one packet, little enough for an idle connection.
const WRITE_BUFFER: usize = 1460;

/// How long a connection may be silent once the gateway goes. A request that is on its way at that moment still
/// arrives, is served, and told that it is the last one; who says nothing for so long is closed.
const LAST_SILENCE: Duration = Duration::from_secs(2);

/// What is known of a connection before its first request.
pub(crate) struct Connection {
    /// The socket's peer.
    pub(crate) peer: SocketAddr,
    /// The peer's address as a header value, made once.
    pub(crate) peer_value: HeaderValue,
    /// The address that accepted the connection.
    pub(crate) local: SocketAddr,
    /// When that was.
    pub(crate) accepted: SystemTime,
    /// The name of the gateway's location at that moment.
    pub(crate) region: Arc<str>,
    /// What the TLS handshake agreed on; `None` without TLS.
    pub(crate) agreed: Option<Agreed>,
    /// The TLS name the client asked for; `None` on plain connections and without SNI.
    pub(crate) sni: Option<Host>,
    /// The JA4 fingerprint of the client's hello; empty without TLS.
    pub(crate) ja4: Box<str>,
    /// Whether the connection is encrypted.
    pub(crate) tls: bool,
    /// Told when an exchange ends.
    pub(crate) switch: HeadSwitch,
    /// Its exchanges.
    pub(crate) running: Running,
    /// How many requests of policies lie around those of this connection; 0 for a client's.
    pub(crate) hops: u8,
    /// The endpoint that serves its requests, whatever host they name: they are copies of a client's.
    pub(crate) mirrored_to: Option<Arc<Endpoint>>,
    /// Bytes each way, without what TLS adds.
    pub(crate) traffic: Arc<Traffic>,
    /// Told when a policy ends it.
    pub(crate) ending: Ending,
    /// What `on_tcp_connect` of the policies that it has met said of it.
    pub(crate) greetings: Greetings,
}

/// What a TLS handshake agreed on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreed {
    /// `1.2` or `1.3`.
    pub(crate) version: &'static str,
    /// The suite by its IANA name.
    pub(crate) cipher_suite: &'static str,
    /// The protocol that is spoken inside.
    pub(crate) alpn: &'static str,
    /// Whether an earlier session was taken up again.
    pub(crate) resumed: bool,
}

impl Connection {
    /// A plain connection that was accepted just now.
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr, region: Arc<str>) -> Self {
        Self {
            peer,
            peer_value: address_value(peer.ip()),
            local,
            accepted: SystemTime::now(),
            region,
            agreed: None,
            sni: None,
            ja4: Box::default(),
            tls: false,
            hops: 0,
            mirrored_to: None,
            switch: HeadSwitch::new(),
            running: Running::default(),
            traffic: Arc::default(),
            ending: Ending::default(),
            greetings: Greetings::default(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("sni", &self.sni)
            .finish()
    }
}

/// A public connection: gate, write buffer, and the facts Pingora asks for.
pub(crate) struct PublicIo<T> {
    io: BufWriter<T>,
    gate: Gate,
    id: UniqueIDType,
    http2: bool,
    ssl: Option<Arc<SslDigest>>,
    facts: Arc<ProxyDigest>,
    traffic: Arc<Traffic>,
    ending: Ending,
    /// The client was told that the connection ends.
    told: bool,
    running: Running,
    /// The end of a silence while the gateway goes.
    silence: Option<Pin<Box<Sleep>>>,
    /// Counts the connection for as long as it lives.
    _admission: Option<Admission>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> PublicIo<T> {
    pub(crate) fn new(
        io: T,
        id: UniqueIDType,
        connection: Connection,
        http2: bool,
        rules: GateRules,
        admission: impl Into<Option<Admission>>,
    ) -> Self {
        let gate = Gate::new(connection.switch.clone(), rules);
        if http2 {
            connection.switch.is_http2();
        }
        let ssl = connection
            .tls
            .then(|| Arc::new(SslDigest::new("", "", None, None, Vec::new())));
        Self {
            traffic: Arc::clone(&connection.traffic),
            ending: connection.ending.clone(),
            told: false,
            running: connection.running.clone(),
            silence: None,
            io: BufWriter::with_capacity(WRITE_BUFFER, io),
            gate,
            id,
            http2,
            ssl,
            facts: Arc::new(ProxyDigest::new(
                // The only place Pingora offers for data of our own; the header is not used.
                Box::new(
                    ResponseHeader::build_no_case(200, None).unwrap_or_else(|_| unreachable!()),
                ),
                Some(Box::new(connection)),
            )),
            _admission: admission.into(),
        }
    }
}

impl<T> PublicIo<T> {
    /// What ends it.
    pub(crate) fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

/// The facts of the connection that a Pingora session came in on.
pub(crate) fn connection(session: &pingora_proxy::Session) -> Option<&Connection> {
    facts(session.digest()?.proxy_digest.as_ref()?)
}

/// The same, for whoever needs the session for something else meanwhile.
pub(crate) fn shared_connection(session: &pingora_proxy::Session) -> Option<SharedConnection> {
    let digest = session.digest()?.proxy_digest.as_ref()?;
    Some(SharedConnection(Arc::clone(digest)))
}

/// The facts of a connection, kept.
pub(crate) struct SharedConnection(Arc<ProxyDigest>);

impl SharedConnection {
    pub(crate) fn get(&self) -> Option<&Connection> {
        facts(&self.0)
    }
}

fn facts(digest: &ProxyDigest) -> Option<&Connection> {
    let any: &(dyn Any + Send + Sync) = digest.user_data.as_ref()?.as_ref();
    any.downcast_ref()
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for PublicIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ending.wanted().is_some() {
            return self.poll_ended();
        }
        let before = out.filled().len();
        let Self { io, gate, .. } = &mut *self;
        let polled = gate.poll_read(io, cx, out);
        if polled.is_pending() && !io.buffer().is_empty() {
            // Pingora flushes a body of known length at its end only. While it has nothing to write it
            // watches the client, which is here: what lies in the buffer must not wait for more.
            // A failure shows at the next write.
            drop(Pin::new(io).poll_flush(cx));
        }
        self.traffic.came(out.filled().len() - before);
        match polled.is_pending() && self.ending.is_leaving() {
            true => self.poll_silence(cx),
            false => polled,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> PublicIo<T> {
    /// The gateway goes, and the client says nothing: its end comes after a while, if no exchange runs.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_quiet = match self.gate.expects_frames() {
            true => self.running.is_none(),
            false => self.gate.is_idle(),
        };
        if !is_quiet {
            self.silence = None;
            return Poll::Pending;
        }
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(sleep(LAST_SILENCE)));
        ready!(silence.as_mut().poll(cx));
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// HTTP/2 flushes what it has written before it waits for more to read, so that the last frame goes out then.
    fn poll_ended(&self) -> Poll<io::Result<()>> {
        match self.gate.expects_frames() && !self.told {
            true => Poll::Pending,
            false => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }

    fn poll_goaway(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A flush ends on a frame's last byte, and so many bytes always have room in an empty buffer.
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        ready!(Pin::new(&mut self.io).poll_write(cx, GOAWAY))?;
        self.told = true;
        // The reader is to see the end.
        cx.waker().wake_by_ref();
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Socket> AsyncWrite for PublicIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gate.is_shut() || self.told {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.traffic.went(written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gate.expects_frames() && !self.told && self.ending.wanted().is_some() {
            return self.poll_goaway(cx);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A reset could overtake the last frame of HTTP/2.
        if !self.told && self.ending.wanted() == Some(Closing::Reset) {
            self.io.get_ref().reset_when_closed();
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[async_trait]
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Socket> Shutdown for PublicIo<T> {
    async fn shutdown(&mut self) {
        // The peer may be gone already; there is nobody to tell.
        drop(AsyncWriteExt::shutdown(self).await);
    }
}

#[async_trait]
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Peek for PublicIo<T> {
    async fn try_peek(&mut self, preface: &mut [u8]) -> io::Result<bool> {
        let found = std::future::poll_fn(|cx| {
            let Self { io, gate, .. } = &mut *self;
            let polled = gate.poll_starts_with(io, cx, PREFACE);
            if polled.is_ready() || !self.ending.is_leaving() {
                return polled;
            }
            ready!(self.poll_silence(cx))?;
            Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
        })
        .await?;
        if let (true, Some(space)) = (found, preface.get_mut(..PREFACE.len())) {
            space.copy_from_slice(PREFACE);
        }
        Ok(true)
    }
}

impl<T> UniqueID for PublicIo<T> {
    fn id(&self) -> UniqueIDType {
        self.id
    }
}

impl<T> Ssl for PublicIo<T> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.ssl.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.ssl
            .as_ref()
            .map(|_| if self.http2 { ALPN::H2 } else { ALPN::H1 })
    }
}

impl<T> GetTimingDigest for PublicIo<T> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<T> GetProxyDigest for PublicIo<T> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.facts))
    }
}

impl<T> GetSocketDigest for PublicIo<T> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl<T> fmt::Debug for PublicIo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicIo")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
