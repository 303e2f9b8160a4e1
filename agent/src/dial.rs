//! Connections to the service itself, made for each stream.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use adit_wire::message::{DialError, DialErrorKind, Protocol};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    tcp,
    tls::{self, CasError},
    upstream::{Place, Speaks, Upstream, UpstreamError},
};

/// From the first packet to the end of the TLS handshake.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);

/// An upstream with all it takes to dial it.
#[derive(Debug)]
pub(crate) struct Dialer {
    /// As a user would recognise it.
    pub(crate) shown: String,
    place: Place,
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    name: ServerName<'static>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// A connection to the service.
pub(crate) enum Local {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Why an upstream cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum DialerError {
    /// Its host is no name that a certificate could carry.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The authorities to verify it against.
    #[error(transparent)]
    Cas(#[from] CasError),
    /// A unix socket on a system that has none.
    #[error("unix sockets are not available on this system: use a port")]
    NoUnixSockets,
}

// === impl Dialer ===

impl Dialer {
    pub(crate) fn new(upstream: &Upstream) -> Result<Self, DialerError> {
        let tls = match &upstream.place {
            Place::Tcp {
                host,
                speaks: Speaks::Https,
                ..
            } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| UpstreamError::Host(host.clone()))?;
                let config = tls::to_service(&upstream.verify)?;
                let (http1, http2) = (
                    tls::offering(&config, &[b"http/1.1"]),
                    tls::offering(&config, &[b"h2"]),
                );
                Some(Tls { name, http1, http2 })
            }
            Place::Unix(_) if !cfg!(unix) => return Err(DialerError::NoUnixSockets),
            Place::Tcp { .. } | Place::Unix(_) => None,
        };
        Ok(Self {
            shown: upstream.to_string(),
            place: upstream.place.clone(),
            tls,
        })
    }

    pub(crate) async fn dial(&self, protocol: Protocol) -> Result<Local, DialError> {
        match timeout(DIAL_DEADLINE, self.connect(protocol)).await {
            Ok(dialled) => dialled,
            Err(_) => {
                let detail = format!("no answer within {DIAL_DEADLINE:?}");
                Err(self.error(DialErrorKind::Timeout, detail))
            }
        }
    }

    async fn connect(&self, protocol: Protocol) -> Result<Local, DialError> {
        let (host, port) = match &self.place {
            Place::Tcp { host, port, .. } => (host, *port),
            #[cfg(unix)]
            Place::Unix(path) => {
                let connected = UnixStream::connect(path).await;
                return connected
                    .map(Local::Unix)
                    .map_err(|error| self.io_error(&error));
            }
            #[cfg(not(unix))]
            Place::Unix(_) => {
                return Err(self.error(DialErrorKind::Other, "no unix sockets here".into()));
            }
        };
        let stream = tcp::connect(host, port, DIAL_DEADLINE)
            .await
            .map_err(|error| self.io_error(&error))?;
        let Some(tls) = &self.tls else {
            return Ok(Local::Tcp(stream));
        };
        let config = match protocol {
            Protocol::Http1 | Protocol::Tcp => &tls.http1,
            Protocol::Http2 => &tls.http2,
        };
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(tls.name.clone(), stream)
            .await
            .map_err(|error| self.error(DialErrorKind::Tls, error.to_string()))?;
        if protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            let detail = "the service does not offer HTTP/2 over TLS".into();
            return Err(self.error(DialErrorKind::Tls, detail));
        }
        Ok(Local::Tls(Box::new(stream)))
    }

    fn io_error(&self, error: &io::Error) -> DialError {
        use io::ErrorKind::{
            AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound,
            TimedOut,
        };
        let kind = match error.kind() {
            // A unix socket whose file is missing: nothing listens.
            ConnectionRefused | NotFound => DialErrorKind::Refused,
            TimedOut => DialErrorKind::Timeout,
            AddrNotAvailable | HostUnreachable | NetworkUnreachable => DialErrorKind::Unreachable,
            _ => DialErrorKind::Other,
        };
        self.error(kind, error.to_string())
    }

    pub(crate) fn error(&self, kind: DialErrorKind, detail: String) -> DialError {
        DialError {
            kind,
            upstream: self.shown.clone(),
            detail,
        }
    }
}

// === impl Local ===

impl Local {
    /// Makes the close that follows a reset, so that the service, too, can tell a break from an
    /// end. A unix socket has no such thing.
    pub(crate) fn reset_on_close(&self) {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            #[cfg(unix)]
            Self::Unix(_) => return,
        };
        // The service may be gone already; then there is nobody left to tell.
        drop(tcp.set_zero_linger());
    }
}

impl AsyncRead for Local {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Local {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
