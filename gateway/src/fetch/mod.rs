//! Requests that policies send themselves.
//!
//! - [`own`]: to an endpoint of this gateway: within the process, through routing and policies like any other
//! - [`outside`]: to servers that the operator allows, at addresses that were checked
//! - [`address`]: which addresses are nobody's business
//! - [`dial`]: the first of several addresses that answers
//! - [`trust`]: whose certificates are believed

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use adit_policy::{
    canonical::Host,
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
    env::{Env, Fetch, FetchError, Fetched, Log, ToFetch},
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tracing::{info, warn};

mod address;
mod dial;
mod outside;
mod own;
#[cfg(test)]
mod tests;
mod trust;

pub(crate) use outside::Outside;
pub(crate) use own::{Asked, OnBehalf, on_behalf, serve};

use crate::{config, edge::Edge, front::tls::TlsError, work::Workers};

/// So many requests may lie inside each other, each sent by the policy that looks at the one before.
pub(crate) const HOPS: u8 = 3;

/// About the longest header of an answer in bytes; a longer one is an error.
const HEADER_MAX: usize = 64 * 1024;

/// Sends the requests of policies.
#[derive(Clone)]
pub(crate) struct Fetcher {
    shared: Arc<Shared>,
    /// How deep the exchange lies whose policy asks.
    hops: u8,
}

struct Shared {
    /// The way to servers outside as it is now; who is on it stays on it.
    outside: ArcSwap<Outside>,
    /// Set once it is there: policies are built before it.
    edge: OnceLock<Weak<Edge>>,
}

/// Where the `log` action writes.
#[derive(Debug)]
struct PolicyLog;

/// A URL to ask, taken apart.
struct Target {
    endpoint: EndpointUrl,
    host: Host,
    port: u16,
    /// `host` header.
    authority: HeaderValue,
    path: Uri,
}

// === impl Fetcher ===

impl Fetcher {
    /// A fetcher for these settings.
    ///
    /// # Errors
    /// When a file under `ca_files` cannot be used.
    pub(crate) fn new(config: &config::Fetch) -> Result<Self, TlsError> {
        let outside = Self::read(config)?;
        Ok(Self {
            shared: Arc::new(Shared {
                outside: ArcSwap::from_pointee(outside),
                edge: OnceLock::new(),
            }),
            hops: 0,
        })
    }

    /// What it takes to follow other settings.
    ///
    /// # Errors
    /// When a file under `ca_files` cannot be used.
    pub(crate) fn read(config: &config::Fetch) -> Result<Outside, TlsError> {
        Outside::new(config.clone())
    }

    /// Follows other settings from now on.
    pub(crate) fn set(&self, outside: Outside) {
        self.shared.outside.store(Arc::new(outside));
    }

    /// The environment of a gateway's policies.
    pub(crate) fn env(&self) -> Env {
        let env = Env::system().with_log(Arc::new(PolicyLog));
        env.with_fetch(Arc::new(self.clone()))
            .with_work(Arc::new(Workers::new()))
    }

    /// The same for exchanges by how deep they lie: requests of policies at another's endpoint.
    pub(crate) fn envs(&self, env: &Env) -> [Env; HOPS as usize + 1] {
        std::array::from_fn(|hops| {
            let hops = u8::try_from(hops).unwrap_or(HOPS);
            env.clone().with_fetch(Arc::new(Self {
                hops,
                ..self.clone()
            }))
        })
    }

    /// From now on the gateway's own endpoints can be asked.
    pub(crate) fn serve(&self, edge: &Arc<Edge>) {
        // There is one gateway for each fetcher.
        drop(self.shared.edge.set(Arc::downgrade(edge)));
    }

    async fn send(&self, request: ToFetch) -> Result<Fetched, FetchError> {
        let target = Target::parse(&request.url)?;
        let began = Instant::now();
        let edge = self.shared.edge.get().and_then(Weak::upgrade);
        let edge = edge.ok_or_else(|| FetchError::Failed("the gateway is stopping".into()))?;
        if edge.serving(&target.endpoint).is_some() {
            if self.hops >= HOPS {
                return Err(FetchError::Loop);
            }
            let io = own::connect(&edge, &target.endpoint, self.hops + 1);
            let (head, body) = ask(io, &target, request).await?;
            return Ok(fetched(head, body, None, began));
        }
        drop(edge);
        ask_outside(&self.shared.outside.load_full(), &target, request, began).await
    }
}

#[async_trait]
impl Fetch for Fetcher {
    async fn fetch(&self, request: ToFetch) -> Result<Fetched, FetchError> {
        let answered = timeout(request.timeout, self.send(request));
        answered.await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn pause(&self, time: Duration) {
        sleep(time).await;
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("hops", &self.hops)
            .finish_non_exhaustive()
    }
}

// === impl Target ===

impl Target {
    fn parse(url: &str) -> Result<Self, FetchError> {
        let bad = |why: &str| FetchError::Failed(format!("{url}: {why}"));
        let uri: Uri = url.parse().map_err(|_| bad("this is no url"))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(bad("only http and https urls can be asked")),
        };
        let authority = uri.authority().ok_or_else(|| bad("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(bad("user information does not belong into a url"));
        }
        let host = Host::parse(authority.host()).map_err(|error| bad(&error.to_string()))?;
        let port = authority.port_u16().or_else(|| scheme.default_port());
        let port = port.ok_or_else(|| bad("the port is missing"))?;
        let usual = Some(port) == scheme.default_port();
        let named = match usual {
            true => host.as_str().to_owned(),
            false => format!("{}:{port}", host.as_str()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            endpoint: EndpointUrl {
                scheme,
                host: HostPattern::Exact(host.clone()),
                port: Some(port).filter(|_| !usual),
            },
            host,
            port,
            authority: HeaderValue::try_from(named).map_err(|_| bad("this is no host"))?,
            path: path.parse().map_err(|_| bad("this is no path"))?,
        })
    }
}

async fn ask_outside(
    outside: &Outside,
    target: &Target,
    request: ToFetch,
    began: Instant,
) -> Result<Fetched, FetchError> {
    let (io, address) = outside.connect(target, request.purpose).await?;
    let (head, body) = ask(io, target, request).await?;
    Ok(fetched(head, body, Some(address), began))
}

fn fetched(
    head: http::response::Parts,
    body: Bytes,
    resolved: Option<std::net::IpAddr>,
    began: Instant,
) -> Fetched {
    Fetched {
        status: head.status,
        headers: head.headers,
        body,
        resolved,
        took: began.elapsed(),
    }
}

/// Ends a connection's task with the request that it was made for.
struct Ends(AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One request on a connection of its own, and the whole answer.
async fn ask(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    request: ToFetch,
) -> Result<(http::response::Parts, Bytes), FetchError> {
    let failed = |error: hyper::Error| match error.is_parse_too_large() {
        true => FetchError::TooLarge,
        false => FetchError::Failed(format!("{}: {error}", target.endpoint)),
    };
    let mut http = http1::Builder::new();
    http.max_buf_size(HEADER_MAX);
    let connected = http.handshake(TokioIo::new(io)).await;
    let (mut send, connection) = connected.map_err(failed)?;
    let _ends = Ends(tokio::spawn(connection).abort_handle());
    let mut asked = Request::new(Full::new(request.body));
    *asked.method_mut() = request.method;
    *asked.uri_mut() = target.path.clone();
    *asked.headers_mut() = request.headers;
    asked
        .headers_mut()
        .insert(header::HOST, target.authority.clone());
    let (head, mut body) = send.send_request(asked).await.map_err(failed)?.into_parts();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(failed)?.into_data() else {
            continue;
        };
        if piece.len() > request.max.saturating_sub(whole.len()) {
            return Err(FetchError::TooLarge);
        }
        whole.extend_from_slice(&piece);
    }
    Ok((head, whole.freeze()))
}

impl Log for PolicyLog {
    fn write(&self, endpoint: &str, metadata: &str) {
        info!(target: "adit::policy::log", endpoint, metadata, "log");
    }

    fn warn(&self, endpoint: &str, what: &str) {
        warn!(target: "adit::policy", endpoint, "{what}");
    }
}
